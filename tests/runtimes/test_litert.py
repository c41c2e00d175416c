"""LiteRT's arena by hand, and against the runtime itself where it is installed."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

import memprof
from memprof.importers.flatbuffers import Flatbuffer
from memprof.importers.tflite.schema import read_contents
from memprof.runtimes.litert.arena import LitertArena, lay_out
from tests import tflite_models as make
from tests.importers.tflite.test_reading import small_network
from tests.real_data import require_shared_data
from tests.tflite_models import Graph, Number, Operator, Tensor, weight

ADD = {0: Number("b", 0)}
make.CODES.setdefault("SQUEEZE", 43)


def arena_of(graph: Graph) -> LitertArena:
    content = make.model(graph)
    return lay_out(read_contents(Flatbuffer(lambda i, n: content[i : i + n], len(content))).program)


def pools(*sizes: int) -> Graph:
    tensors = [Tensor(f"t{i}", (1, size, 1, 1)) for i, size in enumerate(sizes)]
    names = [tensor.name for tensor in tensors]
    operators = [Operator("RELU", [a], [b]) for a, b in pairwise(names)]
    return Graph(tensors, operators, names[:1], names[-1:])


def test_inputs_and_outputs_are_held_for_ever_and_addresses_are_multiples_of_64() -> None:
    assert (
        arena_of(pools(10, 100, 20)).arena_bytes == 192 + 20
    )  # input at 0, the middle at 64, the output behind both


def test_an_addition_writes_over_an_input_that_dies() -> None:
    tensors = [Tensor(name, (1, 256)) for name in ("x", "a", "b", "y")]
    operators = [
        Operator("RELU", ["x"], ["a"]),
        Operator("ADD", ["a", "x"], ["b"], ADD, union=11),
        Operator("RELU", ["b"], ["y"]),
    ]
    assert arena_of(Graph(tensors, operators, ["x"], ["y"])).arena_bytes == 3 * 256


def test_an_addition_does_not_write_over_what_is_still_read() -> None:
    tensors = [Tensor(name, (1, 256)) for name in ("x", "a", "b", "c", "y")]
    operators = [
        Operator("RELU", ["x"], ["a"]),
        Operator("ADD", ["a", "x"], ["b"], ADD, union=11),
        Operator("ADD", ["a", "b"], ["c"], ADD, union=11),  # over b, which dies; a is read twice
        Operator("RELU", ["c"], ["y"]),
    ]
    assert arena_of(Graph(tensors, operators, ["x"], ["y"])).arena_bytes == 3 * 256


def test_an_activation_does_not_write_over_its_input() -> None:
    tensors = [Tensor(name, (1, 256)) for name in ("x", "a", "b", "y")]
    operators = [Operator("RELU", ["x"], ["a"]), Operator("LOGISTIC", ["a"], ["b"]), Operator("RELU", ["b"], ["y"])]
    assert arena_of(Graph(tensors, operators, ["x"], ["y"])).arena_bytes == 3 * 256


def test_a_reshape_shares_what_the_caller_gets_and_a_result_that_nobody_reads_is_freed_with_it() -> None:
    tensors = [Tensor("x", (1, 256)), Tensor("a", (1, 256)), Tensor("b", (256,)), Tensor("y", (1, 256))]
    operators = [
        Operator("RELU", ["x"], ["a"]),
        Operator("SQUEEZE", ["a"], ["b"], {}, union=30),
        Operator("RELU", ["x"], ["y"]),
    ]
    assert arena_of(Graph(tensors, operators, ["x"], ["a", "y"])).arena_bytes == 3 * 256
    assert arena_of(Graph(tensors, operators, ["x"], ["y"])).arena_bytes == 2 * 256


def test_variables_lie_elsewhere() -> None:
    tensors = [Tensor("x", (1, 256)), Tensor("v", (1, 256), is_variable=True), Tensor("y", (1, 256))]
    operators = [Operator("ADD", ["x", "v"], ["y"], ADD, union=11)]
    assert arena_of(Graph(tensors, operators, ["x"], ["y"])).arena_bytes == 2 * 256


def test_a_convolution_unfolds_its_input() -> None:
    found = arena_of(small_network())
    unfolded = [block.size_bytes for block in found.blocks if not block.tensors]

    assert unfolded == [8 * 8 * 27]


def test_weights_that_are_unpacked_lie_elsewhere() -> None:
    tensors = [Tensor("x", (1, 4), make.FLOAT32), weight("w", 4, 4, dtype=1), Tensor("v", (4, 4), make.FLOAT32)]
    tensors.append(Tensor("y", (1, 4), make.FLOAT32))
    operators = [Operator("DEQUANTIZE", ["w"], ["v"]), Operator("FULLY_CONNECTED", ["x", "v", ""], ["y"])]
    make.CODES.setdefault("DEQUANTIZE", 6)

    assert arena_of(Graph(tensors, operators, ["x"], ["y"])).arena_bytes == 64 + 16


def test_an_unknown_operator_lowers_the_grade(tmp_path: Path) -> None:
    graph = Graph([Tensor("x", (1, 4)), Tensor("y", (1, 4))], [Operator("custom.Odd", ["x"], ["y"])], ["x"], ["y"])
    path = tmp_path / "m.tflite"
    path.write_bytes(make.model(graph))
    row = memprof.analyze(path).runtimes["litert"]

    assert row.grade == "estimate" and "custom.Odd" in row.lowered_by[0]


@pytest.mark.parametrize("op", ["MEAN", "SVDF", "UNIDIRECTIONAL_SEQUENCE_LSTM"])
@pytest.mark.parametrize("inputs", [[], [""], ["x"]], ids=["none", "left out", "one"])
def test_an_operator_that_lacks_what_its_kernel_reads_lowers_the_grade(op: str, inputs: list[str]) -> None:
    found = arena_of(Graph([Tensor("x", ()), Tensor("y", ())], [Operator(op, inputs, ["y"])], ["x"], ["y"]))
    assert found.unproven == (f"{op}: it lacks what its kernel reads or writes",)


def test_json_has_the_arena(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(make.model(small_network()))
    row = memprof.analyze(path).to_json()["runtimes"]["litert"]

    assert row["arena_bytes"] == row["peak_intermediate_bytes"] > 0


def test_real_models_are_exact_in_the_runtime() -> None:
    pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
    for path in sorted((require_shared_data() / "models").glob("*.tflite")):
        found = memprof.verify(str(path), runtime="litert")

        assert found.is_exact, path
        assert found.steps
