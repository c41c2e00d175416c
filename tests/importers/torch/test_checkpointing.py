"""Checkpointing: which blocks are computed again, what it costs and saves, and that a module is left as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch

import memprof
from memprof import Request, Training
from memprof.api.helping import find_help
from memprof.base.errors import UsageError
from memprof.importers.torch.calls import Call
from memprof.importers.torch.checkpointing import checkpointed, find_blocks
from memprof.importers.torch.tracked import run_tracked, run_without_data

BATCH, WIDTH, BLOCKS = 64, 16, 4
NET = f"""
import torch


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.wide, self.narrow = torch.nn.Linear({WIDTH}, 128), torch.nn.Linear(128, {WIDTH})
        self.drop = torch.nn.Dropout()

    def forward(self, x):
        return x + self.narrow(self.drop(torch.nn.functional.gelu(self.wide(x))))


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = torch.nn.ModuleList(Block() for _ in range({BLOCKS}))

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x


def make():
    return Net(), torch.ones({BATCH}, {WIDTH})
"""


def make() -> torch.nn.Module:
    names: dict[str, object] = {}
    exec(NET, names)
    return names["make"]()[0]  # type: ignore[operator, no-any-return] # of exec


def test_the_outermost_members_of_lists_are_blocks() -> None:
    class Pair(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = torch.nn.Linear(2, 2)

    def stage() -> torch.nn.Module:
        return torch.nn.Sequential(Pair(), Pair())

    net = torch.nn.Sequential(torch.nn.Linear(2, 2), stage(), stage())
    listed = make()
    assert [*find_blocks(listed)] == [*listed.blocks]
    assert [*find_blocks(net)] == [*net[1], *net[2]]


def test_a_module_is_as_it_was_afterwards() -> None:
    net = make()
    before = [vars(block).copy() for block in net.blocks]
    with checkpointed(net):
        assert all("forward" in vars(block) for block in net.blocks)
    assert [vars(block) for block in net.blocks] == before


@pytest.mark.parametrize("is_on", [False, True])
def test_a_module_that_does_it_by_itself_is_as_it_was_afterwards(is_on: bool) -> None:
    class Own(torch.nn.Module):
        supports_gradient_checkpointing = True
        is_gradient_checkpointing = is_on

        def gradient_checkpointing_enable(self, gradient_checkpointing_kwargs: dict[str, bool]) -> None:
            self.is_gradient_checkpointing = not gradient_checkpointing_kwargs["use_reentrant"]

        def gradient_checkpointing_disable(self) -> None:
            self.is_gradient_checkpointing = False

    net = Own()
    with checkpointed(net):
        assert net.is_gradient_checkpointing
    assert net.is_gradient_checkpointing is is_on


@pytest.mark.parametrize("optimizer", [None, "adam"])
def test_a_step_without_data_is_the_step_with_them(optimizer: str | None) -> None:
    training = Training(optimizer, checkpointing=True)
    call = Call((torch.ones(BATCH, WIDTH),))
    said = run_without_data(make(), call, training=training)
    done = run_tracked(make(), call, training=training, name="", device="cpu", tensors="real")
    lives = [[(life.size_bytes, life.start, life.stop) for life in run.recording.storages] for run in (said, done)]
    assert lives[0] == lives[1]


def test_a_module_without_blocks_is_told_so() -> None:
    with pytest.raises(UsageError, match="Linear has no repeated blocks"):
        memprof.analyze(torch.nn.Linear(2, 2), torch.ones(1, 2), training=Training(checkpointing=True))


def test_it_is_advised_where_activations_are_most_of_the_peak(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET)
    request = Request(source=f"{tmp_path / 'net.py'}:make", training=Training("sgd"))
    changes = {change.what: change for change in find_help(request, memprof.analyze(request)).changes}
    change = changes["activations of blocks computed again (checkpointing)"]
    assert change.command.endswith("net.py:make --optimizer sgd --checkpointing")
    again = memprof.analyze(request.source, training=Training("sgd", checkpointing=True))
    assert change.peak_bytes == again.peak_intermediate_bytes
    hidden = 4 * BATCH * 128
    assert change.saved_bytes > (BLOCKS - 1) * hidden  # of all blocks but the one that runs
