"""The rules of the onnxruntime model on graphs small enough to work out by hand; no onnxruntime is needed."""

from __future__ import annotations

from typing import Any

import pytest

from memprof.ir import Attribute, Graph, GraphBuilder, NewValue, TensorType
from memprof.ir.model import Once
from memprof.runtimes import Promise
from memprof.runtimes.onnxruntime import MODEL, onnxruntime_lifetimes
from memprof.runtimes.onnxruntime.arranging import as_listed, as_planned
from memprof.runtimes.onnxruntime.figures import runtime_figures
from memprof.runtimes.onnxruntime.frame import run_frame
from memprof.runtimes.onnxruntime.order import execution_order
from memprof.runtimes.onnxruntime.scratch import SCRATCH, scratch_by_step, scratch_bytes


def build(*nodes: tuple[str, str, tuple[str, ...]], outputs: tuple[str, ...], shape: tuple[int, ...] = (4,)) -> Graph:
    """Return a graph on one input ``x``; a node is (what it writes, operation, what it reads), all of one type."""
    of = TensorType("float32", shape)
    builder = GraphBuilder("small")
    ids: dict[str, int | None] = {"x": builder.add_input("x", of)}
    for name, op, reads in nodes:
        (ids[name],) = builder.add_node(op, [ids[read] for read in reads], [NewValue(name, of)], name=f"{op}_{name}")
    return builder.build(i for name in outputs if (i := ids[name]) is not None)


def names_in_order(graph: Graph) -> list[str]:
    return [graph.nodes[i].name for i in execution_order(graph)]


def test_the_branch_that_is_written_later_runs_first() -> None:
    graph = build(
        ("a", "Exp", ("x",)),
        ("b", "Neg", ("a",)),
        ("c", "Abs", ("x",)),
        ("y", "Add", ("b", "c")),
        outputs=("y",),
    )
    assert names_in_order(graph) == ["Abs_c", "Exp_a", "Neg_b", "Add_y"]


@pytest.mark.parametrize(("shape", "buffers"), [((), 4), ((1,), 3)])
def test_a_scalar_never_takes_a_dead_buffer(shape: tuple[int, ...], buffers: int) -> None:
    """A tensor of one element and rank 1 does: c takes the buffer of a, which is dead once b is written."""
    graph = build(
        ("a", "Exp", ("x",)),
        ("b", "Exp", ("a",)),
        ("c", "Exp", ("b",)),
        ("y", "Exp", ("c",)),
        outputs=("y",),
        shape=shape,
    )
    assert len(onnxruntime_lifetimes(graph).buffers) == buffers


def test_a_relu_takes_over_a_buffer_that_nobody_else_reads() -> None:
    graph = build(("a", "Exp", ("x",)), ("b", "Relu", ("a",)), ("y", "Neg", ("b",)), outputs=("y",))
    assert onnxruntime_lifetimes(graph).timeline.step_bytes == (16, 16, 32)


def test_an_addition_takes_over_nothing() -> None:
    graph = build(("a", "Exp", ("x",)), ("b", "Add", ("a", "a")), ("y", "Neg", ("b",)), outputs=("y",))
    assert onnxruntime_lifetimes(graph).timeline.step_bytes == (16, 32, 32)


def test_a_dead_buffer_of_the_same_shape_is_held_until_a_later_tensor_takes_it() -> None:
    graph = build(
        ("a", "Exp", ("x",)),
        ("b", "Exp", ("a",)),
        ("c", "Exp", ("b",)),
        ("y", "Exp", ("c",)),
        outputs=("y",),
    )
    buffers = {
        lifetimes.values: (lifetimes.start, lifetimes.stop) for lifetimes in onnxruntime_lifetimes(graph).buffers
    }
    assert buffers == {(1, 3): (0, 4), (2,): (1, 3), (4,): (3, 4)}


def test_what_nobody_reads_is_freed_when_the_run_ends() -> None:
    of = TensorType("float32", (4,))
    builder = GraphBuilder("two outputs")
    x = builder.add_input("x", of)
    a, _ = builder.add_node("TopK", [x], [NewValue("a", of), NewValue("unread", TensorType("int64", (4,)))])
    (b,) = builder.add_node("Neg", [a], [NewValue("b", TensorType("float32", (2, 2)))])
    (y,) = builder.add_node("Exp", [b], [NewValue("y", TensorType("float32", (2, 2)))])
    assert y is not None
    assert onnxruntime_lifetimes(builder.build([y])).timeline.step_bytes == (16 + 32, 32 + 32, 32 + 32)


def test_what_nobody_reads_takes_no_dead_buffer_and_leaves_its_own_to_the_next() -> None:
    """a is dead when u and v are written, and is not taken: c takes the buffer of v, which died last."""
    graph = build(
        ("a", "Exp", ("x",)),
        ("b", "Exp", ("a",)),
        ("c", "Exp", ("b",)),
        ("y", "Exp", ("c",)),
        ("v", "Exp", ("b",)),
        ("u", "Exp", ("b",)),
        outputs=("y",),
    )
    lifetimes = onnxruntime_lifetimes(graph)
    names = [graph.nodes[step[0]].name for step in lifetimes.schedule.steps]
    buffers = {
        "".join(graph.values[i].name for i in buffer.values): (buffer.start, buffer.stop)
        for buffer in lifetimes.buffers
    }
    assert names == ["Exp_a", "Exp_b", "Exp_u", "Exp_v", "Exp_c", "Exp_y"]
    assert buffers == {"a": (0, 2), "b": (1, 5), "u": (2, 6), "vc": (3, 6), "y": (5, 6)}
    assert MODEL.promise(lifetimes) == Promise("exact")


def test_graph_inputs_are_the_callers_and_are_never_taken_over() -> None:
    graph = build(("a", "Relu", ("x",)), ("y", "Neg", ("a",)), outputs=("y",))
    lifetimes = onnxruntime_lifetimes(graph)
    assert lifetimes.timeline.step_bytes == (16, 32)
    assert all(0 not in buffer.values for buffer in lifetimes.buffers)


def test_a_constant_node_does_not_run() -> None:
    of = TensorType("float32", (4,))
    builder = GraphBuilder("constant")
    x = builder.add_input("x", of)
    (c,) = builder.add_node("Constant", [], [NewValue("c", of)], name="c")
    (y,) = builder.add_node("Add", [x, c], [NewValue("y", of)], name="add")
    assert y is not None
    lifetimes = onnxruntime_lifetimes(builder.build([y]))
    assert [lifetimes.graph.nodes[i].name for (i,) in lifetimes.schedule.steps] == ["add"]
    assert lifetimes.timeline.peak_bytes == 16


def test_each_further_reader_of_a_dequantised_tensor_gets_a_copy() -> None:
    graph = build(
        ("d", "DequantizeLinear", ("x",)),
        ("a", "Exp", ("d",)),
        ("b", "Neg", ("d",)),
        ("y", "Add", ("a", "b")),
        outputs=("y",),
    )
    ran = onnxruntime_lifetimes(graph)
    assert [ran.graph.nodes[i].name for (i,) in ran.schedule.steps] == [
        "DequantizeLinear_d/duplicated",
        "Neg_b",
        "DequantizeLinear_d",
        "Exp_a",
        "Add_y",
    ]


def test_shapes_that_are_equal_only_by_binding_do_not_share_a_buffer() -> None:
    def chain(middle: TensorType) -> Graph:
        of = TensorType("float32", (4,))
        builder = GraphBuilder("chain")
        i: int | None = builder.add_input("x", of)
        for name in "abcy":
            (i,) = builder.add_node("Exp", [i], [NewValue(name, middle if name == "c" else of)])
        assert i is not None
        return builder.build([i])

    bound = chain(TensorType("float32", (4,)))
    assert len(onnxruntime_lifetimes(bound).buffers) == 3
    ahead = Once(lambda: chain(TensorType("float32", ("n",))))
    assert len(onnxruntime_lifetimes(bound, ahead=ahead).buffers) == 4


@pytest.mark.parametrize(
    ("filters", "output", "attributes", "expected"),
    [
        ((16, 8, 3, 3), (1, 16, 18, 18), {}, 65_536),
        ((500, 8, 3, 3), (1, 500, 18, 18), {}, 93_312),
        ((16, 8, 1, 1), (1, 16, 20, 20), {}, 0),
        ((500, 8, 1, 1), (1, 500, 10, 10), {"strides": (2, 2)}, 3_200),
        ((2048, 1, 3, 3), (1, 2048, 2, 2), {"group": 8}, 144),
        ((16, 1, 7, 7), (1, 16, 10, 10), {"group": 8, "strides": (2, 2), "pads": (3,) * 4}, 0),
        ((16, 1, 7, 7), (1, 16, 9, 9), {"group": 8, "strides": (2, 2), "pads": (2,) * 4}, 65_536),
        ((24, 1, 7, 7), (1, 24, 10, 10), {"group": 8, "strides": (2, 2), "pads": (3,) * 4}, 65_536),
        ((16, 1, 7, 7), (1, 16, 10, 10), {"group": 8, "strides": (2, 2), "auto_pad": "SAME_UPPER"}, 65_536),
    ],
)
def test_a_convolutions_scratch_is_what_was_measured(
    filters: tuple[int, ...], output: tuple[int, ...], attributes: dict[str, Any], expected: int
) -> None:
    builder = GraphBuilder("convolution")
    x = builder.add_input("x", TensorType("float32", (1, 8, 20, 20)))
    w = builder.add_parameter("w", TensorType("float32", filters))
    (y,) = builder.add_node("Conv", [x, w], [NewValue("y", TensorType("float32", output))], attributes=attributes)
    assert y is not None
    graph = builder.build([y])
    assert scratch_bytes(graph, graph.nodes[0]) == expected


@pytest.mark.parametrize(
    ("images", "is_last", "zero_point", "expected"),
    [
        (1, True, 0, 76_832),
        (2, True, 0, 2 * 76_832),
        (3, True, 0, 3 * 76_832),
        (3, False, 0, 76_832 + 4 * 400 + 16 * 196),
        (3, True, 3, 12_544 + 38_416),
        (1, False, 3, 12_544 + 38_416 + 4 * 400 + 16 * 196),
    ],
)
def test_a_quantised_convolutions_scratch_is_what_was_measured(
    images: int, *, is_last: bool, zero_point: int, expected: int
) -> None:
    """Symmetric weights with channels last point to the pixels of all images, others to those of one."""
    builder = GraphBuilder("convolution")
    shapes = [(images, 20, 20, 4), (images, 14, 14, 16)]
    read, written = shapes if is_last else [(of[0], of[3], *of[1:3]) for of in shapes]
    x = builder.add_input("x", TensorType("uint8", read))
    scale = builder.add_parameter("scale", TensorType("float32", ()))
    point = builder.add_parameter("point", TensorType("uint8", ()))
    weights = builder.add_parameter("weights", TensorType("int8", (16, 4, 7, 7)))
    middle = builder.add_parameter("middle", TensorType("int8", ()))
    (y,) = builder.add_node(
        "com.microsoft.QLinearConv",
        [x, scale, point, weights, scale, middle, scale, point],
        [NewValue("y", TensorType("uint8", written))],
        attributes={"channels_last": int(is_last)},
    )
    assert y is not None
    graph = builder.build([y], {middle: (float(zero_point),)})
    assert scratch_bytes(graph, graph.nodes[0]) == expected


@pytest.mark.parametrize(
    ("equation", "shapes", "output", "expected"),
    [
        ("ij,jk->ik", ((3, 4), (4, 5)), (3, 5), 140),
        ("bhid,bhjd->bhij", ((2, 3, 4, 5), (2, 3, 6, 5)), (2, 3, 4, 6), 2_016),
        ("BGHID,BGHJD->BGHIJ", ((1, 64, 2, 49, 32), (1, 64, 2, 49, 32)), (1, 64, 2, 49, 49), 4_867_072),
        ("abi,bcj->ac", ((2, 3, 4), (3, 5, 6)), (2, 5), 148),
        ("ab,bc,cd->ad", ((2, 3), (3, 4), (4, 5)), (2, 5), 184),
        ("ij->ji", ((3, 4),), (4, 3), 48),
    ],
)
def test_an_einsums_scratch_is_what_was_measured(
    equation: str, shapes: tuple[tuple[int, ...], ...], output: tuple[int, ...], expected: int
) -> None:
    builder = GraphBuilder("einsum")
    reads = [builder.add_input(f"x{i}", TensorType("float32", shape)) for i, shape in enumerate(shapes)]
    written = NewValue("y", TensorType("float32", output))
    (y,) = builder.add_node("Einsum", reads, [written], attributes={"equation": equation})
    assert y is not None
    graph = builder.build([y])
    assert scratch_bytes(graph, graph.nodes[0]) == expected


def test_later_runs_take_one_block_rounded_to_256_bytes() -> None:
    graph = build(("a", "Exp", ("x",)), ("b", "Neg", ("a",)), ("y", "Add", ("a", "b")), outputs=("y",))
    figures = {figure.name: figure.size_bytes for figure in runtime_figures(graph, as_planned)}
    assert (figures["later_runs_block"], figures["later_runs_peak"]) == (512, 512 + 16)


def test_a_graph_that_onnxruntime_wrote_runs_in_the_order_in_which_it_is_listed() -> None:
    graph = build(("a", "Exp", ("x",)), ("b", "Neg", ("x",)), ("y", "Add", ("a", "b")), outputs=("y",))
    assert as_listed(graph).order == [0, 1, 2]
    assert as_planned(graph).order == [1, 0, 2]


def test_a_grade_is_exact_only_where_every_kernel_is_proven() -> None:
    plain = build(("a", "Exp", ("x",)), ("y", "Relu", ("a",)), outputs=("y",))
    odd = build(("a", "Exp", ("x",)), ("y", "com.microsoft.QMoE", ("a",)), outputs=("y",))
    assert MODEL.promise(onnxruntime_lifetimes(plain)) == Promise("exact")
    found = MODEL.promise(onnxruntime_lifetimes(odd))
    assert found == Promise("estimate", ("com.microsoft.QMoE",))


def test_scratch_of_equal_nodes_is_that_of_each() -> None:
    ops = [op for op in SCRATCH if "." not in op]
    shapes = [(1, 4, 9, 9), (1, 4, 8, 8), (1, 2, 9, 9)]
    builder = GraphBuilder("equal and unequal", 17)
    values = [builder.add_input(f"x{i}", TensorType("float32", shape)) for i, shape in enumerate(shapes)]
    filters = [
        builder.add_parameter("w", TensorType("float32", (4, 4, 3, 3))),
        builder.add_input("v", TensorType("float32", (4, 4, 3, 3))),
        builder.add_parameter("q", TensorType("int8", (4, 4, 3, 3))),
    ]
    settings: list[dict[str, Attribute]] = [{}, {"kernel_shape": (3, 3)}, {"group": 2}, {"axis": 1}]
    for i in range(300):
        new = NewValue(f"t{i}", TensorType("float32", shapes[i % 2]))
        reads = [values[i % 3], filters[i // 3 % 3], None, filters[i // 5 % 3]]
        builder.add_node(ops[i % len(ops)], reads, [new], attributes=settings[i // 7 % 4])
    graph = builder.build([])
    order = [*range(0, 300, 2), *range(1, 300, 2)]
    for threads in (1, 4):
        found = scratch_by_step(graph, order, threads)
        assert list(found) == [scratch_bytes(graph, graph.nodes[i], threads) for i in order]
        assert len({*found}) > 3


def test_rows_of_one_graph_share_its_order_and_plan() -> None:
    graph = build(("a", "Exp", ("x",)), ("y", "Neg", ("a",)), outputs=("y",))
    one, other = run_frame(graph, None, as_planned), run_frame(graph, None, as_planned, threads=4)
    assert one.plan is other.plan
    assert one.plan.order is not run_frame(graph, None, as_listed).plan.order
