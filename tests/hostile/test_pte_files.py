"""Hostile .pte files and 800 mutants of honest ones: each ends in a report or in one sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests import pte_models as make
from tests.hostile.attack import SECONDS, Answer, attack
from tests.pte_models import Call, Delegate, Jump, Method, Tensor
from tests.tflite_models import Number, Vector, flatbuffer

MUTANTS = 800


def _main(*values: object, calls: tuple[object, ...] = (), arenas: tuple[int, ...] = (0, 64)) -> bytes:
    return make.program(Method(values, calls, [0], [0], arenas))  # type: ignore[arg-type] # hostile on purpose


def _lists_of_lists(count: int) -> bytes:
    """One list of many tensors, opened by every call."""
    values = [Tensor((1,), (1, 0)), [0] * 2000]
    return _main(*values, calls=tuple([Call("x::f", [1, 1, 1])] * count))


def _loops(count: int) -> bytes:
    values = [Tensor((1,), (1, 0))]
    calls = [each for _ in range(count) for each in (Call("x::f", [0] * 100), Jump(0, 0))]
    return _main(*values, calls=tuple(calls))


def _much_at_once(count: int) -> bytes:
    """Arenas, tensors and instructions, as many of each: nothing may take each with each."""
    values = [Tensor((1,), (1 + i, 0)) for i in range(count)]
    calls = [Call("x::f", [i]) for i in range(count)]
    return make.program(Method(values, calls, list(range(count)), list(range(count)), [0, *[16] * count]))


CORPUS: Mapping[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "identifier_alone": lambda: b"\0\0\0\0ET12",
    "cut": lambda: make.chain(8, 8)[:150],
    "no_method": make.program,
    "no_value": lambda: make.program(Method([], [], [], [], [0])),
    "negative_arena": lambda: _main(Tensor((1,), (1, 0)), arenas=(0, -1)),
    "arena_outside": lambda: _main(Tensor((1,), (7, 0))),
    "behind_the_arena": lambda: _main(Tensor((1,), (1, 2**40))),
    "large_arena": lambda: _main(Tensor((1,), (1, 0)), arenas=(0, 2**62)),
    "many_arenas": lambda: _main(Tensor((1,), (1, 0)), arenas=tuple([16] * 100_000)),
    "many_axes": lambda: _main(Tensor([1] * 65, (1, 0))),
    "large_dims": lambda: _main(Tensor([2**31 - 1] * 60, (1, 0))),
    "argument_outside": lambda: _main(Tensor((1,)), calls=(Call("x::f", [9]),)),
    "negative_argument": lambda: _main(Tensor((1,)), calls=(Call("x::f", [-1]),)),
    "list_outside": lambda: _main(Tensor((1,)), [5]),
    "list_of_itself": lambda: _main(Tensor((1,)), [1, 1, 0], calls=(Call("x::f", [1]),)),
    "jump_outside": lambda: _main(Tensor((1,)), calls=(Jump(0, 99),)),
    "delegate_alone": lambda: _main(Tensor((1,), (1, 0)), calls=(Delegate("B", []),)),
    "lists_of_lists": lambda: _lists_of_lists(300),
    "much_at_once": lambda: _much_at_once(12_000),
    "loops": lambda: _loops(2000),
    "instruction_of_no_kind": lambda: flatbuffer({1: [{5: [{2: [{0: Number("B", 77)}]}]}]}, b"ET12"),
    "odd_names": lambda: _main(Tensor((1,), (1, 0), name="\x1b[31m\u202e")),
    "same_names": lambda: _main(Tensor((1,), name="a"), Tensor((1,), name="a")),
    "no_sizes": lambda: flatbuffer({1: [{2: [{0: Number("B", 5), 1: {}}], 8: Vector("q", [0])}]}, b"ET12"),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Answer]:
    folder = tmp_path_factory.mktemp("hostile_pte")
    for name, content in CORPUS.items():
        (folder / f"{name}.pte").write_bytes(content())
    jobs = [["analyze", "--json", "--", f"{name}.pte"] for name in CORPUS]
    return dict(zip(CORPUS, attack(folder, jobs), strict=True))


@pytest.mark.parametrize("name", CORPUS)
def test_ends_with_a_report_or_one_sentence(answers: dict[str, Answer], name: str) -> None:
    answer = answers[name]

    assert answer.code in (0, 3, 4), answer.stderr
    assert answer.seconds < SECONDS
    assert "Traceback" not in answer.stderr
    assert answer.document["schema"] == ("memprof/analysis/2" if answer.code == 0 else "memprof/error/1")


@pytest.mark.parametrize("name", ["odd_names", "same_names", "large_arena", "no_value", "delegate_alone"])
def test_odd_but_valid_files_are_analysed(answers: dict[str, Answer], name: str) -> None:
    assert answers[name].code == 0


def test_mutants_end_in_a_report_or_a_refusal(tmp_path: Path) -> None:
    branch = [Call("aten::any", [0, 1]), Jump(1, 3), Call("aten::sin", [0, 2, 2]), Delegate("B", [2, 3])]
    values = [Tensor((4,), (1, 0)), Tensor((1,), (1, 16)), Tensor((4,), (1, 32)), Tensor((4,), (1, 48))]
    originals = (make.chain(64, 96, 32, 32), make.program(Method(values, branch, [0], [3], [0, 64])))
    paths = []
    for i, content in enumerate(originals):
        paths.append(str(tmp_path / f"{i}.pte"))
        Path(paths[-1]).write_bytes(content)

    mutant = Path(__file__).with_name("mutant.py")
    child = subprocess.run(
        [sys.executable, str(mutant), str(MUTANTS), *paths], capture_output=True, text=True, check=False
    )

    assert child.returncode == 0, child.stderr[-2000:]
    found = json.loads(child.stdout)
    assert not found["bugs"], found["bugs"][0]
    assert sum(found["ends"].values()) == MUTANTS
    assert found["ends"]["report"] > MUTANTS / 10  # else the mutations break the format and test nothing behind it
