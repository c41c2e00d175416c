from __future__ import annotations

import threading

import pytest

pytest.importorskip("torch")

import torch
from torch import nn

from memprof.base.errors import InputError
from memprof.importers.torch.fakes import Placeholders


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_copy_has_the_same_layouts_and_no_memory(device: str) -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    module.register_buffer("mask", torch.ones(4, 6).t()[1:])
    copied = Placeholders(device).module(module)
    for (name, old), (_, new) in zip(module.state_dict().items(), copied.state_dict().items(), strict=True):
        assert new.shape == old.shape, name
        assert new.stride() == old.stride(), name
        assert new.dtype == old.dtype, name
        assert new.device.type == device, name
        assert new.untyped_storage().device.type == "meta", name


def test_what_shares_storage_shares_it_in_the_copy() -> None:
    module = nn.Module()
    module.first = nn.Linear(4, 4)
    module.second = nn.Linear(4, 4)
    module.second.weight = module.first.weight
    module.register_buffer("row", module.first.bias.detach()[:2])
    copied = Placeholders("cpu").module(module)
    assert copied.first.weight is copied.second.weight
    assert copied.row.untyped_storage()._cdata == copied.first.bias.untyped_storage()._cdata


def test_tensors_outside_parameters_and_buffers_are_replaced_too() -> None:
    module = nn.Module()
    module.tables = [torch.ones(3), {"scale": torch.ones(2)}]
    copied = Placeholders("cpu").module(module)
    assert copied.tables[0].untyped_storage().device.type == "meta"
    assert copied.tables[1]["scale"].untyped_storage().device.type == "meta"


def test_parameters_keep_whether_they_learn() -> None:
    module = nn.Linear(2, 2)
    module.bias.requires_grad_(False)
    copied = Placeholders("cpu").module(module)
    assert [parameter.requires_grad for parameter in copied.parameters()] == [True, False]


def test_a_module_that_cannot_be_copied_is_the_callers_error() -> None:
    module = nn.Linear(2, 2)
    module.lock = threading.Lock()
    with pytest.raises(InputError, match="Linear cannot be copied"):
        Placeholders("cpu").module(module)


def test_sparse_tensors_are_refused() -> None:
    with pytest.raises(InputError, match="only dense tensors"):
        Placeholders("cpu").tensor(torch.eye(3).to_sparse())
