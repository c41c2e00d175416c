"""Hostile .tflite files and 2,000 mutants of honest ones: each ends in a report or in one sentence."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import memprof
from tests import tflite_models as make
from tests.hostile.attack import SECONDS, Answer, attack
from tests.hostile.silence import assert_nothing_is_silent
from tests.importers.tflite.test_reading import branches, small_network
from tests.tflite_kinds import kinds
from tests.tflite_models import Graph, Number, Operator, Tensor, flatbuffer

MUTANTS = 2000


def _patched(place: int, code: str, value: int) -> bytes:
    content = bytearray(make.chain(4, 4))
    struct.pack_into(f"<{code}", content, place, value)
    return bytes(content)


def _root() -> int:
    return int(struct.unpack_from("<I", make.chain(4, 4))[0])


def _one_subgraph_many_times(count: int) -> bytes:
    """One subgraph of many tensors, pointed at over and over: overlapping tables that unfold."""
    tensors = [{0: [1, 4], 3: f"t{i}"} for i in range(2000)]
    return flatbuffer({0: Number("I", 3), 2: [{0: tensors, 1: [0], 2: [1]}] * count, 4: [{}]})


def _wide(count: int) -> bytes:
    return make.model(Graph([Tensor("x", [1] * count)], [], ["x"], ["x"]))


def _calls_deep() -> bytes:
    def caller(i: int) -> Graph:
        options = {0: Number("i", i + 1), 1: Number("i", i + 1)}
        tensors = [Tensor("c", (1,)), Tensor("x", (1, 4)), Tensor("y", (1, 4))]
        return Graph(tensors, [Operator("WHILE", ["c", "x"], ["y"], options, union=93)], ["c", "x"], ["y"])

    return make.model(*[caller(i) for i in range(300)], Graph([Tensor("x", (1, 4))], [], ["x"], ["x"]))


def _many_operators(count: int) -> bytes:
    tensors = [Tensor(f"t{i}", (1, 4)) for i in range(2)]
    return make.model(Graph(tensors, [Operator("ADD", ["t0"] * 1000, ["t1"])] * count, ["t0"], ["t1"]))


def _same_names() -> bytes:
    tensors = [Tensor(name, (4,)) for name in ("t", "t#2", "t")]
    return make.model(Graph(tensors, [], ["t"], ["t"]))


CORPUS: Mapping[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "identifier_alone": lambda: b"\0\0\0\0TFL3",
    "root_outside": lambda: _patched(0, "I", 2**32 - 1),
    "root_is_itself": lambda: _patched(0, "I", 0),
    "vtable_outside": lambda: _patched(_root(), "i", -(2**31)),
    "vtable_before": lambda: _patched(_root(), "i", 2**31 - 1),
    "vtable_is_the_table": lambda: _patched(_root(), "i", 0),
    "cut": lambda: make.model(small_network())[:200],
    "huge_vector": lambda: _patched(_root() + 20, "I", 2**31),
    "overlapping": lambda: _one_subgraph_many_times(2000),
    "many_axes": lambda: _wide(65),
    "large_dims": lambda: make.model(Graph([Tensor("x", [2**31 - 1] * 60)], [], ["x"], ["x"])),
    "negative_dims": lambda: make.model(Graph([Tensor("x", [-1, -7, 3])], [], ["x"], ["x"])),
    "zero_dims": lambda: make.model(Graph([Tensor("x", [0, 4])], [], ["x"], ["x"])),
    "no_subgraph": make.model,
    "no_tensor": lambda: make.model(Graph([], [], [], [])),
    "calls_deep": _calls_deep,
    "many_operators": lambda: _many_operators(3000),
    "bad_utf8": lambda: flatbuffer({0: Number("I", 3), 2: [{0: [], 4: b"\xff\xfe"}], 4: [{}]}),
    "long_name": lambda: make.model(Graph([Tensor("n" * 70_000, (1,))], [], [], [])),
    "odd_names": lambda: make.model(Graph([Tensor("\x1b[31m[bold]\u202e", (4,))], [], [], [])),
    "same_names": lambda: make.model(
        Graph([Tensor("t", (4,)), Tensor("t#1", (4,)), Tensor("t", (4,))], [], ["t"], ["t"])
    ),
    "unknown_operator": lambda: flatbuffer(
        {1: [{0: Number("b", 127), 3: Number("i", 100_000)}], 2: [{0: [], 3: [{0: Number("I", 0)}]}], 4: [{}]}
    ),
    "code_outside": lambda: flatbuffer({2: [{0: [], 3: [{0: Number("I", 9)}]}], 4: [{}]}),
    "buffer_outside": lambda: make.model(Graph([Tensor("x", (4,), more={2: Number("I", 99)})], [], [], [])),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Answer]:
    folder = tmp_path_factory.mktemp("hostile_tflite")
    for name, content in CORPUS.items():
        (folder / f"{name}.tflite").write_bytes(content())
    jobs = [["analyze", "--json", "--", f"{name}.tflite"] for name in CORPUS]
    return dict(zip(CORPUS, attack(folder, jobs), strict=True))


@pytest.mark.parametrize("name", CORPUS)
def test_ends_with_a_report_or_one_sentence(answers: dict[str, Answer], name: str) -> None:
    answer = answers[name]

    assert answer.code in (0, 3, 4), answer.stderr
    assert answer.seconds < SECONDS
    assert "Traceback" not in answer.stderr
    assert answer.document["schema"] == ("memprof/analysis/2" if answer.code == 0 else "memprof/error/1")


@pytest.mark.parametrize("name", ["zero_dims", "odd_names", "same_names", "unknown_operator", "negative_dims"])
def test_odd_but_valid_files_are_analysed(answers: dict[str, Answer], name: str) -> None:
    assert answers[name].code == 0


@pytest.mark.parametrize("kind", kinds())
def test_no_number_of_an_honest_file_is_null_in_silence(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(kinds()[kind])
    assert_nothing_is_silent(memprof.analyze(path))


def test_mutants_end_in_a_report_or_a_refusal(tmp_path: Path) -> None:
    paths = []
    for i, content in enumerate((make.model(small_network()), branches(), make.chain(64, 96, 32, 32))):
        paths.append(str(tmp_path / f"{i}.tflite"))
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
