"""Predicted against TensorFlow Lite Micro itself: random programs, and the real models beside this checkout."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest

import memprof
from memprof.base.errors import RuntimeFailure, UsageError
from memprof.importers.tflite import read_tflite
from memprof.runtimes.tflm import find_arena
from tests import tflite_models as make
from tests.real_data import require_shared_data
from tests.tflite_models import Graph, Number, Operator, Tensor, weight

pytest.importorskip("tflite_micro", reason="the extra tflm is not installed")

ROUNDS = 60


def random_graph(rng: random.Random, callees: list[int], size: int) -> Graph:
    """Return a graph of random sizes whose IFs run two of ``callees``, graphs from 16 numbers to 16."""
    tensors = [Tensor("x", (1, size)), Tensor("c", (1,), 6, scales=0)]
    operators: list[Operator] = []
    for i in range(rng.randrange(1, 14)):
        name, kind = f"t{i}", rng.choice(["RELU", "ADD", "CONCATENATION", "IF", "MEAN", "unused"])
        pool = [t for t in tensors if t.dtype == make.INT8 and t.data is None]
        first = rng.choice(pool)
        if kind == "RELU":
            tensors.append(Tensor(name, first.shape))
            operators.append(Operator("RELU", [first.name], [name]))
        elif kind == "ADD":
            second = rng.choice([t for t in pool if t.shape == first.shape])
            tensors.append(Tensor(name, first.shape))
            operators.append(Operator("ADD", [first.name, second.name], [name], {0: Number("b", 0)}, union=11))
        elif kind == "CONCATENATION":
            second = rng.choice(pool)
            tensors.append(Tensor(name, (1, first.shape[1] + second.shape[1])))
            operators.append(Operator(kind, [first.name, second.name], [name], {0: Number("i", 1)}, union=10))
        elif kind == "MEAN":
            tensors += [Tensor(f"axis{i}", (1,), make.INT32, b"\1\0\0\0"), Tensor(name, (1, 1))]
            operators.append(Operator(kind, [first.name, f"axis{i}"], [name], {0: Number("B", 1)}, union=27))
        elif kind == "unused":
            tensors.append(Tensor(name, (1, rng.randrange(1, 200)), rng.choice([make.FLOAT32, make.INT16])))
        elif callees and first.shape == (1, 16):
            tensors.append(Tensor(name, (1, 16)))
            then, other = rng.choice(callees), rng.choice(callees)
            options = {0: Number("i", then), 1: Number("i", other)}
            operators.append(Operator("IF", ["c", first.name], [name], options, union=92))
    written = [t.name for t in tensors if t.dtype == make.INT8 and t.name != "x"]
    return Graph(tensors, operators, ["x", "c"], rng.sample(written, min(len(written), rng.randrange(1, 3))) or ["x"])


def branch(rng: random.Random) -> Graph:
    middle = rng.randrange(1, 5)
    tensors = [Tensor("p", (1, 16)), *[Tensor(f"m{i}", (1, 16)) for i in range(middle)], Tensor("q", (1, 16))]
    names = [t.name for t in tensors]
    operators = [Operator("RELU", [a], [b]) for a, b in pairwise(names)]
    return Graph(tensors, operators, ["p"], ["q"])


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_the_head_of_a_random_program_is_predicted(tmp_path: Path, seed: int) -> None:
    from memprof.measure.tflm_runs import run_model

    rng = random.Random(seed)
    inner = [branch(rng) for _ in range(rng.choice([0, 2, 3]))]
    graph = random_graph(rng, list(range(1, 1 + len(inner))), 16)
    written = {name for operator in graph.operators for name in operator.outputs} | {"x"}
    graph = Graph(graph.tensors, graph.operators, graph.inputs, [o for o in graph.outputs if o in written] or ["x"])
    path = tmp_path / "m.tflite"
    path.write_bytes(make.model(graph, *inner))
    program = read_tflite(path, dims={}, inputs={}).graph.program
    assert program is not None

    found = run_model(str(path), 2**20, 1)

    arena = find_arena(program)
    assert (arena.head_bytes, arena.unproven) == (found["head_bytes"], ())
    assert abs(arena.tail_bytes) < found["tail_bytes"]  # pointers of 4 bytes take less than those of 8


def test_real_models_are_exact(tmp_path: Path) -> None:
    for path in sorted((require_shared_data() / "models").glob("*.tflite")):
        found = memprof.verify(str(path))

        assert found.runtime == "tflm"
        assert found.is_exact, path
        assert abs(found.others[0].predicted_bytes / found.others[0].measured_bytes - 1) < 0.12  # type: ignore[operator]


def test_what_the_runtime_refuses_is_one_sentence(tmp_path: Path) -> None:
    graph = Graph(
        [Tensor("x", (1, 4)), weight("w", 1), Tensor("y", (1, 4))],
        [Operator("custom.Odd", ["x"], ["y"])],
        ["x"],
        ["y"],
    )
    path = tmp_path / "m.tflite"
    path.write_bytes(make.model(graph))

    with pytest.raises(RuntimeFailure, match="CUSTOM"):
        memprof.verify(str(path))


def test_other_sizes_than_the_files_are_refused(tmp_path: Path) -> None:
    tensors = [Tensor("x", (1, 4), signature=(-1, 4)), Tensor("y", (1, 4), signature=(-1, 4))]
    path = tmp_path / "m.tflite"
    path.write_bytes(make.model(Graph(tensors, [Operator("RELU", ["x"], ["y"])], ["x"], ["y"])))

    with pytest.raises(UsageError, match="as it is"):
        memprof.verify(str(path), dims={"batch": 2})
