"""TensorFlow Lite Micro's head by hand: lifetimes in scopes, greedy by size, ties, subgraphs, scratch."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

import memprof
from memprof.base.errors import RuntimeFailure
from memprof.importers.tflite import read_tflite
from memprof.ir.program import Program
from memprof.runtimes.tflm import find_arena
from memprof.runtimes.tflm.lifetimes import Need, find_needs
from memprof.runtimes.tflm.planner import height, load_bound, place
from memprof.runtimes.tflm.scratch import CMSIS_NN, CMSIS_NN_MVE, REFERENCE
from tests import onnx_models
from tests import tflite_models as make
from tests.importers.tflite.test_reading import branches
from tests.render.graphs import chain
from tests.tflite_kinds import NUMBERS, tensor
from tests.tflite_models import FLOAT32, INT8, Graph, Number, Operator, Tensor, weight

FLOAT16 = NUMBERS["FLOAT16"]


def program_of(content: bytes, folder: Path) -> Program:
    path = folder / "model.tflite"
    path.write_bytes(content)
    program = read_tflite(path, dims={}, inputs={}).graph.program
    assert program is not None
    return program


def need(size: int, first: int, last: int, offset: int = -1) -> Need:
    return Need(subgraph=0, tensor=0, size_bytes=size, first=first, last=last, offset=offset)


def test_a_chain_holds_two_tensors_at_a_time(tmp_path: Path) -> None:
    assert find_arena(program_of(make.chain(64, 32, 16), tmp_path)).head_bytes == 96


def test_sizes_are_rounded_up_to_sixteen(tmp_path: Path) -> None:
    assert find_arena(program_of(make.chain(1, 1), tmp_path)).head_bytes == 32


def test_inputs_live_from_the_start_and_outputs_to_the_end(tmp_path: Path) -> None:
    graph = Graph(
        [Tensor(name, (1, 16)) for name in ("x", "late", "a", "early", "y")],
        [Operator("RELU", ["x"], ["early"]), Operator("RELU", ["x"], ["a"]), Operator("ADD", ["a", "late"], ["y"])],
        ["x", "late"],
        ["early", "y"],
    )
    needs = find_needs(program_of(make.model(graph), tmp_path), REFERENCE)

    spans = {each.tensor: (each.first, each.last) for each in needs.buffers}
    assert spans == {0: (0, 2), 1: (0, 3), 2: (2, 3), 3: (1, 3), 4: (3, 3)}


def test_of_equal_sizes_the_later_one_is_placed_first() -> None:
    assert place([need(16, 0, 1), need(16, 1, 2)]) == (16, 0)


def test_the_largest_is_placed_first_and_the_lowest_gap_is_taken() -> None:
    buffers = [need(16, 0, 3), need(64, 0, 1), need(32, 2, 3), need(48, 3, 4)]

    assert place(buffers) == (80, 0, 48, 0)


def test_planned_addresses_are_taken_as_they_are() -> None:
    assert place([need(16, 0, 1, offset=32), need(32, 0, 1), need(16, 0, 1)]) == (32, 0, 48)


def test_a_tensor_that_nobody_touches_is_placed_all_the_same(tmp_path: Path) -> None:
    graph = Graph(
        [Tensor("x", (1, 16)), Tensor("spare", (1, 4096)), Tensor("y", (1, 16))],
        [Operator("RELU", ["x"], ["y"])],
        ["x"],
        ["y"],
    )
    assert find_arena(program_of(make.model(graph), tmp_path)).head_bytes == 4096


def test_variables_and_constants_are_elsewhere(tmp_path: Path) -> None:
    graph = Graph(
        [Tensor("x", (1, 16)), Tensor("state", (1, 16), is_variable=True), weight("w", 1, 16), Tensor("y", (1, 16))],
        [Operator("ADD", ["x", "state"], ["y"]), Operator("ADD", ["x", "w"], ["y"])],
        ["x"],
        ["y"],
    )
    assert find_arena(program_of(make.model(graph), tmp_path)).head_bytes == 32


def test_weights_behind_the_flatbuffer_are_taken_for_activations(tmp_path: Path) -> None:
    graph = Graph(
        [Tensor("x", (1, 16)), Tensor("w", (1, 16), more={2: Number("I", 1)}), Tensor("y", (1, 16))],
        [Operator("ADD", ["x", "w"], ["y"])],
        ["x"],
        ["y"],
    )
    content = make.model(graph, buffers=[{1: Number("Q", 4096), 2: Number("Q", 16)}])

    assert find_arena(program_of(content + bytes(4096), tmp_path)).head_bytes == 48


def test_branches_are_planned_together_with_what_waits(tmp_path: Path) -> None:
    # condition and input wait, the output is there before the branches run; each branch holds two tensors of its own
    assert find_arena(program_of(branches(), tmp_path)).head_bytes == 5 * 16


SVDF = Graph(
    [
        Tensor("x", (2, 8)),
        weight("features", 6, 8),
        weight("time", 6, 3, dtype=make.INT16),
        weight("bias", 3, dtype=make.INT32),
        Tensor("state", (2, 18), is_variable=True, dtype=make.INT16),
        Tensor("y", (2, 3)),
    ],
    [Operator("SVDF", ["x", "features", "time", "bias", "state"], ["y"])],
    ["x"],
    ["y"],
)


def test_kernels_take_scratch_while_they_run(tmp_path: Path) -> None:
    needs = find_needs(program_of(make.model(SVDF), tmp_path), REFERENCE)

    assert [each.size_bytes for each in needs.buffers if each.operator == 0] == [48, 32]
    assert find_arena(program_of(make.model(SVDF), tmp_path)).head_bytes == 16 + 16 + 48 + 32


def convolution(shape: tuple[int, int], padding: int) -> bytes:
    high, wide = shape
    out = (8, 8) if padding == 0 else (9 - high, 9 - wide)
    tensors = [Tensor("x", (1, 8, 8, 3)), weight("w", 4, high, wide, 3, scales=4), Tensor("y", (1, *out, 4))]
    options = {0: Number("b", padding), 1: Number("i", 1), 2: Number("i", 1)}
    return make.model(Graph(tensors, [Operator("CONV_2D", ["x", "w", ""], ["y"], options)], ["x"], ["y"]))


def test_cmsis_nn_unfolds_two_columns_or_four(tmp_path: Path) -> None:
    program = program_of(convolution((3, 3), 0), tmp_path)

    found = [find_needs(program, rules).buffers for rules in (CMSIS_NN, CMSIS_NN_MVE)]
    sizes = [[each.size_bytes for each in buffers if each.operator == 0] for buffers in found]
    assert sizes == [[112], [128]]  # 27 columns: 2 x 28 x 2 bytes, and 4 x 32


def test_cmsis_nn_needs_nothing_for_a_pointwise_convolution(tmp_path: Path) -> None:
    needs = find_needs(program_of(convolution((1, 1), 0), tmp_path), CMSIS_NN)

    assert [each for each in needs.buffers if each.operator == 0] == []


def test_an_operator_without_a_kernel_lowers_the_grade_and_is_named(tmp_path: Path) -> None:
    graph = Graph([Tensor("x", (1, 4)), Tensor("y", (1, 4))], [Operator("custom.Odd", ["x"], ["y"])], ["x"], ["y"])
    path = tmp_path / "m.tflite"
    path.write_bytes(make.model(graph))
    row = memprof.analyze(path).headline

    assert row.runtime.name == "tflm"
    assert row.grade == "estimate"
    assert "custom.Odd" in row.lowered_by[0]


def test_the_peak_is_the_head_and_json_has_both_ends(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(make.chain(64, 32, 16))
    report = memprof.analyze(path)
    row = report.to_json()["runtimes"]["tflm"]

    assert report.peak_intermediate_bytes == row["head_bytes"] == 96
    assert report.headline.grade == "exact"
    assert row["tail_bytes"] > 0


def test_holes_that_the_planner_leaves_count_at_the_peak(tmp_path: Path) -> None:
    # the bound is 96, and greedy by size puts the last tensor above a hole
    buffers = [need(48, 0, 1), need(32, 1, 2), need(32, 2, 3), need(64, 3, 4), need(16, 0, 4)]

    assert height(buffers, place(buffers)) >= load_bound(buffers, 5)


def test_a_model_without_operators_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(make.model(Graph([Tensor("x", (1, 4))], [], ["x"], ["x"])))

    assert memprof.analyze(path).peak_intermediate_bytes == 16


def test_it_refuses_a_file_that_is_no_tflite_file(tmp_path: Path) -> None:
    import onnx

    from memprof.base.errors import UsageError

    path = tmp_path / "m.onnx"
    proto = onnx_models.model(
        [onnx_models.node("Relu", ["x"], ["y"])], inputs=[onnx_models.tensor("x", (1,))], outputs=["y"]
    )
    onnx.save(proto, str(path))

    with pytest.raises(UsageError, match="tflite"):
        memprof.analyze(path, runtimes=["tflm"])


def test_a_graph_is_what_a_converter_would_make_of_it() -> None:
    report = memprof.analyze(chain([4, 4]), runtimes=["tflm"]).headline

    assert report.runtime.grade == "estimate"
    assert "no converter was asked" in report.runtime.lowered_by
    assert report.peak_intermediate_bytes == 32  # two tensors of 4 bytes each, 16 bytes apart


@pytest.mark.parametrize(
    ("channels", "stride", "size"),
    [(3, 2, 64), (4, 2, 12), (2, 2, 6), (7, 1, 128), (8, 1, 24)],  # what CMSIS-NN's own functions return
)
def test_a_row_is_unfolded_with_helium_unless_its_steps_are_words(
    tmp_path: Path, channels: int, stride: int, size: int
) -> None:
    width = (8 - 3) // stride + 1
    tensors = [
        Tensor("x", (1, 1, 8, channels)),
        weight("w", 64, 1, 3, channels, scales=64),
        Tensor("y", (1, 1, width, 64)),
    ]
    options = {0: Number("b", 1), 1: Number("i", stride), 2: Number("i", 1)}
    graph = Graph(tensors, [Operator("CONV_2D", ["x", "w", ""], ["y"], options)], ["x"], ["y"])
    needs = find_needs(program_of(make.model(graph), tmp_path), CMSIS_NN_MVE)

    assert [each.size_bytes for each in needs.buffers if each.operator == 0] == [-(-size // 16) * 16]


def test_one_channel_to_many_is_the_compilers_choice_with_helium(tmp_path: Path) -> None:
    tensors = [Tensor("x", (1, 8, 8, 1)), weight("w", 1, 3, 3, 4, scales=4), Tensor("y", (1, 6, 6, 4))]
    options = {0: Number("b", 1), 1: Number("i", 1), 2: Number("i", 1)}
    graph = Graph(tensors, [Operator("DEPTHWISE_CONV_2D", ["x", "w", ""], ["y"], options)], ["x"], ["y"])
    program = program_of(make.model(graph), tmp_path)

    assert find_needs(program, CMSIS_NN_MVE).unproven
    assert not find_needs(program, CMSIS_NN).unproven


@pytest.mark.parametrize(
    ("op", "read", "written", "is_known"),
    [
        ("DEQUANTIZE", FLOAT16, FLOAT32, False),
        ("ADD", FLOAT16, FLOAT16, False),
        ("RESHAPE", FLOAT16, FLOAT16, True),
        ("DEQUANTIZE", INT8, FLOAT32, True),
    ],
)
def test_nothing_but_copies_reads_floats_of_16_bits(
    tmp_path: Path, op: str, read: int, written: int, *, is_known: bool
) -> None:
    names = ["x", "x"] if op == "ADD" else ["x"]
    graph = Graph([tensor("x", dtype=read), tensor("y", dtype=written)], [Operator(op, names, ["y"])], ["x"], ["y"])
    unproven = find_arena(program_of(make.model(graph), tmp_path)).unproven
    assert unproven == (() if is_known else (f"{op}: the runtime has no kernel that reads FLOAT16",))


@pytest.mark.parametrize(("op", "is_run"), [("DEQUANTIZE", False), ("RESHAPE", True)])
def test_the_runtime_runs_copies_alone_of_floats_of_16_bits(tmp_path: Path, op: str, *, is_run: bool) -> None:
    pytest.importorskip("tflite_micro", reason="the extra tflm is not installed")
    written = FLOAT16 if is_run else FLOAT32
    graph = Graph(
        [tensor("x", dtype=FLOAT16), tensor("y", dtype=written)], [Operator(op, ["x"], ["y"])], ["x"], ["y"]
    )
    path = tmp_path / "model.tflite"
    path.write_bytes(make.model(graph))
    with nullcontext() if is_run else pytest.raises(RuntimeFailure, match="cannot run"):
        assert memprof.verify(path).is_exact
