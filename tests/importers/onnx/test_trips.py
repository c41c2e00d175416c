"""How often a Loop runs that counts for itself: what onnxruntime collects is as long."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from random import Random

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

import memprof
from memprof.base.errors import InputError
from tests.onnx_models import load, model, node, shapes, tensor

BOOL, FLOAT, INT32, INT64 = TensorProto.BOOL, TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT64
DTYPES = {INT64: np.int64, INT32: np.int32, FLOAT: np.float32}


def number(name: str, value: float, dtype: int = INT64) -> TensorProto:
    return numpy_helper.from_array(np.array(value, DTYPES[dtype]), name)


def counting(
    nodes: list[NodeProto],
    carried: dict[str, float],
    constants: dict[str, float],
    *,
    limit: int | None = None,
    dtype: int = INT64,
    inputs: tuple[onnx.ValueInfoProto, ...] = (),
) -> ModelProto:
    """Return a Loop whose body ends with the condition ``go`` and with ``NAME_after``, and collects three numbers."""
    inside = helper.make_graph(
        [*nodes, node("Neg", ["x"], ["row"])],
        "body",
        [tensor("i", [], INT64), tensor("going", [], BOOL), *(tensor(name, [], dtype) for name in carried)],
        [tensor("go", [], BOOL), *(tensor(f"{name}_after", [], dtype) for name in carried), tensor("row", [3])],
    )
    reads = ["" if limit is None else "limit", "yes", *(f"{name}_start" for name in carried)]
    loop = node("Loop", reads, [*(f"{name}_end" for name in carried), "rows"], body=inside)
    initializers = [number(f"{name}_start", value, dtype) for name, value in carried.items()]
    initializers += [number(name, value, dtype) for name, value in constants.items()]
    initializers.append(numpy_helper.from_array(np.array(True), "yes"))
    if limit is not None:
        initializers.append(number("limit", limit))
    found = model([loop], inputs=[tensor("x", [3]), *inputs], outputs=["rows"], initializers=initializers, opset=17)
    found.graph.output[0].type.tensor_type.elem_type = FLOAT
    return found


def collected(path: Path) -> int:
    runtime = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (rows,) = session.run(None, {"x": np.zeros(3, np.float32)})
    return int(rows.shape[0])


def random_loop(rng: Random) -> ModelProto:
    """Return a loop that counts up or down, by constants or by what counts itself, to a limit that may move."""
    dtype = rng.choice([INT64, INT32, FLOAT])
    constants = {"step": rng.choice([1, 2, 3, -1, -2]), "other": rng.choice([0, 1, -1]), "two": 2}
    carried = {"a": rng.randint(-5, 20), "b": rng.randint(-5, 60), "c": rng.randint(1, 2)}
    nodes = [
        node(rng.choice(["Add", "Sub"]), ["a", rng.choice(["step", "c"])], ["a_after"]),
        node("Add", ["b", "other"], ["b_after"]),
        node(rng.choice(["Identity", "Neg"]), ["c"], ["c_after"]),
        node("Mul", ["b_after", "two"], ["twice"]),
        node("Cast", ["i"], ["turn"], to=dtype),
    ]
    sides = ["a", "a_after", "b", "b_after", "twice", "turn"]
    nodes.append(node(rng.choice(["Less", "LessOrEqual", "Greater", "GreaterOrEqual"]), rng.sample(sides, 2), ["g"]))
    if rng.random() < 0.5:
        nodes.append(node(rng.choice(["Less", "Greater"]), rng.sample(sides, 2), ["h"]))
        nodes.append(node("And", ["g", "h"], ["go"]))
    else:
        nodes.append(node("And", ["g", "going"], ["go"]))
    limit = rng.choice([None, 500, 3, 0])
    return counting(nodes, carried, constants, limit=limit, dtype=dtype)


@pytest.mark.parametrize("seed", range(4))
def test_a_loop_that_counts_is_as_long_as_in_onnxruntime(tmp_path: Path, seed: int) -> None:
    rng, decided = Random(seed), 0
    path = tmp_path / "loop.onnx"
    for _ in range(60):
        made = random_loop(rng)
        read = load(tmp_path, made)
        found = shapes(read)["rows"]
        if found is None or not isinstance(found[0], int):  # it may run for ever
            continue
        onnx.save(made, path)
        ran = collected(path)
        if read.graph.assumed:  # a number that it does not exceed
            assert found[0] >= ran, made
            continue
        decided += 1
        assert found == (ran, 3), made
    assert decided > 20


def test_a_while_of_an_exporter_has_a_number(tmp_path: Path) -> None:
    nodes = [node("Add", ["a", "one"], ["a_after"]), node("Less", ["a_after", "n"], ["go"])]
    found = load(tmp_path, counting(nodes, {"a": 0}, {"one": 1, "n": 512}))
    assert shapes(found)["rows"] == (512, 3)
    assert not found.graph.unknown


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ([node("Add", ["a", "a"], ["a_after"]), node("Less", ["a_after", "n"], ["go"])], "it doubles"),
        ([node("Sub", ["a", "one"], ["a_after"]), node("Less", ["a_after", "n"], ["go"])], "it never ends"),
        (
            [
                node("Sub", ["a", "one"], ["a_after"]),
                node("Cast", ["a"], ["truth"], to=BOOL),
                node("Cast", ["truth"], ["bit"], to=INT64),
                node("Less", ["bit", "n"], ["go"]),
            ],
            "a truth adds up to nothing",
        ),
    ],
)
def test_what_is_no_count_stays_open(tmp_path: Path, nodes: list[NodeProto], reason: str) -> None:
    found = load(tmp_path, counting(nodes, {"a": 9}, {"one": 1, "n": 512}))
    assert shapes(found)["rows"] == (None, 3), reason


@pytest.mark.parametrize(
    ("nodes", "constants", "dtype"),
    [
        pytest.param(
            [
                node("Add", ["a", "step"], ["a_after"]),
                node("Cast", ["a"], ["cut"], to=INT64),
                node("Add", ["cut", "i"], ["side"]),
            ],
            {"step": 1 / 16},
            FLOAT,
            id="a Cast cuts off what adds up to one in the end",
        ),
        pytest.param(
            [
                node("Add", ["a", "step"], ["a_after"]),
                node("Cast", ["a"], ["wide"], to=INT64),
                node("Cast", ["step"], ["far"], to=INT64),
                node("Mul", ["i", "far"], ["other"]),
                node("Sub", ["wide", "other"], ["nothing"]),
                node("Add", ["nothing", "i"], ["side"]),
            ],
            {"step": 2**26},
            INT32,
            id="an integer of 32 bits wraps around",
        ),
        pytest.param(
            [
                node("Identity", ["a"], ["a_after"]),
                node("Cast", ["i"], ["turn"], to=FLOAT),
                node("Add", ["far", "turn"], ["sum"]),
                node("Sub", ["sum", "far"], ["back"]),
                node("Cast", ["back"], ["side"], to=INT64),
            ],
            {"far": 2**24 - 20},
            FLOAT,
            id="a sum of floats is rounded",
        ),
    ],
)
def test_what_is_no_sum_of_whole_numbers_is_no_count(
    tmp_path: Path, nodes: list[NodeProto], constants: dict[str, float], dtype: int
) -> None:
    made = counting([*nodes, node("Less", ["side", "n"], ["go"])], {"a": 0}, constants, limit=150, dtype=dtype)
    made.graph.initializer.append(number("n", 100))
    path = tmp_path / "loop.onnx"
    onnx.save(made, path)
    read = load(tmp_path, made)
    assert collected(path) != 101, "counted as if its numbers were exact"
    assert (shapes(read)["rows"], [note.kind for note in read.graph.assumed]) == ((150, 3), ["bound"])


def test_numbers_that_broadcast_take_no_room(tmp_path: Path) -> None:
    axes = 22
    places = [[2 if axis == other else 1 for other in range(axes)] for axis in range(axes)]
    grown = [node("Add", [f"e{k}" if k else "i", f"z{k}"], [f"e{k + 1}"]) for k in range(axes)]
    last = [node("Less", [f"e{axes}", "n"], ["go"]), node("Identity", ["a"], ["a_after"])]
    made = counting([*grown, *last], {"a": 0}, {"n": 10})
    made.graph.initializer.extend(
        numpy_helper.from_array(np.zeros(place, np.int64), f"z{k}") for k, place in enumerate(places)
    )
    tracemalloc.start()
    try:
        load(tmp_path, made)
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**axes / 4
    finally:
        tracemalloc.stop()


def test_a_condition_that_may_end_it_early_gives_a_bound(tmp_path: Path) -> None:
    nodes = [
        node("Add", ["a", "one"], ["a_after"]),
        node("Less", ["a_after", "n"], ["more"]),
        node("And", ["more", "ready"], ["go"]),
    ]
    made = counting(nodes, {"a": 0}, {"one": 1, "n": 40}, inputs=(tensor("ready", [], BOOL),))
    found = load(tmp_path, made)
    assert shapes(found)["rows"] == (40, 3)
    path = tmp_path / "loop.onnx"
    onnx.save(made, path)
    report = memprof.analyze(path, from_file=True)
    assert {row.grade for row in report.runtimes.values()} <= {"upper bound", "estimate"}


def test_a_circle_of_conditions_is_no_hang(tmp_path: Path) -> None:
    nodes = [node("And", ["go", "go"], ["go"]), node("Identity", ["a"], ["a_after"])]
    with pytest.raises(InputError):
        load(tmp_path, counting(nodes, {"a": 0}, {}))
