from __future__ import annotations

import random

import pytest

pytest.importorskip("torch")

import torch

from memprof.importers.torch.layouts import is_contiguous, is_reshape_view


def random_tensor(rng: random.Random) -> torch.Tensor:
    tensor = torch.empty([rng.choice([1, 2, 3, 4, 6]) for _ in range(rng.randint(1, 4))], device="meta")
    if rng.random() < 0.6:
        tensor = tensor.permute(rng.sample(range(tensor.dim()), tensor.dim()))
    if rng.random() < 0.3:
        tensor = tensor[..., : max(1, tensor.shape[-1] - 1)]
    if rng.random() < 0.2:
        tensor = tensor.unsqueeze(0).expand(rng.choice([1, 2, 3]), *tensor.shape)
    return tensor


def random_shape(rng: random.Random, elements: int) -> list[int]:
    shape = []
    while elements > 1:
        shape.append(rng.choice([d for d in range(1, elements + 1) if elements % d == 0]))
        elements //= shape[-1]
    rng.shuffle(shape)
    return shape


@pytest.mark.parametrize("seed", range(20))
def test_reshape_gives_a_view_where_pytorch_does(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(50):
        tensor = random_tensor(rng)
        shape = random_shape(rng, tensor.numel())
        is_view = tensor.reshape(shape).untyped_storage()._cdata == tensor.untyped_storage()._cdata
        assert is_reshape_view(tensor.shape, tensor.stride(), shape) == is_view, (
            tensor.shape,
            tensor.stride(),
            shape,
        )
        assert is_contiguous(tensor.shape, tensor.stride()) == tensor.is_contiguous()


def test_a_tensor_without_elements_can_take_any_shape() -> None:
    assert is_reshape_view((0, 3), (3, 1), (3, 0, 5))
    assert is_contiguous((2, 0), (7, 9))
