"""The process of a default session: the heap, the arena in it, and both against a session that runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from memprof.importers.onnx import read_onnx
from memprof.importers.request import Request
from memprof.ir import Graph, GraphBuilder, NewValue, TensorType
from memprof.ir.model import Loading, Model
from memprof.measure.child import Limits
from memprof.measure.feeds import input_specs
from memprof.measure.onnxruntime import measure_process
from memprof.measure.sessions import with_session
from memprof.measure.verify import process_pairs
from memprof.runtimes.onnxruntime import process
from memprof.runtimes.onnxruntime.arranging import as_planned
from memprof.runtimes.onnxruntime.control_flow import BodiesUse
from memprof.runtimes.onnxruntime.default import session_frame
from memprof.runtimes.onnxruntime.frame import run_frame
from memprof.runtimes.onnxruntime.process import default_process, process_growth
from memprof.runtimes.onnxruntime.process.arena import Arena
from memprof.runtimes.onnxruntime.process.heap import Heap
from memprof.runtimes.onnxruntime.process.loading import load
from memprof.runtimes.onnxruntime.process.packing import packed_bytes

PAGE = 4096
MIB = 2**20


def test_what_is_not_written_is_not_resident() -> None:
    heap = Heap()
    address = heap.take(8 * MIB, written=0)

    assert heap.resident_bytes == PAGE
    heap.write(address, 0, 3 * PAGE)
    assert heap.resident_bytes == 3 * PAGE


def test_a_map_goes_back_and_what_was_freed_below_others_stays() -> None:
    heap = Heap()
    large = heap.take(MIB)
    low, _ = heap.take(100_000), heap.take(100_000)
    before = heap.resident_bytes
    heap.give(large)
    assert before - heap.resident_bytes == MIB + PAGE  # its header needs a page more

    heap.give(low)
    assert before - heap.resident_bytes == MIB + PAGE


def test_a_freed_map_makes_the_next_of_its_size_a_chunk_that_stays() -> None:
    heap = Heap()
    heap.give(heap.take(MIB))
    kept = heap.resident_bytes
    heap.give(heap.take(MIB))  # from the heap now; its end is not twice the threshold

    assert heap.resident_bytes - kept >= MIB


def test_aligned_chunks_side_by_side_never_join() -> None:
    heap = Heap()
    heap.give(heap.take(4 * MIB))  # from here on nothing below 4 MiB has a map of its own
    first, second, _ = heap.take_aligned(MIB), heap.take_aligned(MIB), heap.take(64)
    heap.give(first)
    heap.give(second)
    holes = heap.resident_bytes
    heap.take(2 * MIB - PAGE)

    assert heap.resident_bytes > holes + MIB


def test_regions_double_and_a_chunk_is_split_only_where_it_is_twice_as_large() -> None:
    arena = Arena(Heap())
    arena.take(600 * 1024)  # takes the whole first region
    assert arena.held_bytes == MIB
    arena.take(600 * 1024)  # the second has 2 MiB: split
    arena.take(600 * 1024)
    assert arena.held_bytes == 3 * MIB
    arena.take(5 * MIB)  # 4 MiB do not do: 8
    assert arena.held_bytes == 11 * MIB


@given(st.lists(st.integers(1, 3 * MIB), min_size=1, max_size=30))
def test_what_was_given_back_serves_the_same_requests_again(sizes: list[int]) -> None:
    heap = Heap()
    arena = Arena(heap)
    for _ in range(3):
        taken = [arena.take(size) for size in sizes]
        assert arena.held_bytes >= sum(sizes)
        assert heap.resident_bytes >= sum(sizes)
        for address in taken:
            arena.give(address)
        arena.take(1)
        held = arena.held_bytes
    assert arena.held_bytes == held


def matrices(names: list[str]) -> onnx.GraphProto:
    """Return products with weights of the given names, one after the other; a name may come again."""
    rng = np.random.default_rng(0)
    weights = [numpy_helper.from_array(rng.random((400, 400), np.float32), name) for name in sorted(set(names))]
    nodes = [helper.make_node("MatMul", [f"x{i}", name], [f"x{i + 1}"]) for i, name in enumerate(names)]
    ends = [helper.make_tensor_value_info(f"x{i}", TensorProto.FLOAT, [1500, 400]) for i in (0, len(names))]
    return helper.make_graph(nodes, "chain", ends[:1], ends[1:], weights)


def responses() -> onnx.GraphProto:
    """Return a normalisation whose kernel asks for two pieces of scratch, which lie elsewhere than one would."""
    nodes = [helper.make_node("LRN", ["x"], ["z"], size=5)]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 32, 90, 90]) for name in ("x", "z")]
    return helper.make_graph(nodes, "responses", ends[:1], ends[1:])


GRAPHS = {"chain": partial(matrices, ["a", "b", "c"]), "shared": partial(matrices, ["a"] * 3), "pieces": responses}


@pytest.mark.parametrize("make", GRAPHS.values(), ids=GRAPHS)
def test_the_arena_of_a_session_is_predicted_to_the_byte(make: Callable[[], onnx.GraphProto], tmp_path: Path) -> None:
    path = tmp_path / "chain.onnx"
    onnx.save(helper.make_model(make(), opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    request = Request(source=path, threads=1)
    model = with_session(read_onnx(request), request)

    found = measure_process(str(path), input_specs(model.graph), Limits(seconds=60), threads=1)
    pairs = {pair.name: pair for pair in process_pairs(model, session_frame(model), found)}

    for name in ("arena_first_run", "arena_later_runs"):
        assert pairs[name].predicted_bytes == pairs[name].measured_bytes
    total = pairs["process"]
    assert total.predicted_bytes == pytest.approx(total.measured_bytes, rel=0.15)


def test_a_heap_goes_on_where_a_process_was() -> None:
    pages = ((0, 10), (600, 610))
    loading = Loading(
        library_bytes=0,
        anonymous_bytes=0,
        taken_bytes=0,
        holes=((PAGE, 64 * PAGE),),
        top=600 * PAGE,
        end=612 * PAGE,
        threshold=MIB,
        written=pages,
    )
    heap = Heap.after(loading)
    assert heap.resident_bytes == 20 * PAGE

    heap.take(60 * PAGE)  # fits into the hole, whose first nine pages are there
    assert heap.resident_bytes == (61 + 10 + 1) * PAGE  # of what is left the header is written
    heap.take(MIB)  # a map
    assert heap.resident_bytes == (61 + 10 + 1) * PAGE + MIB + PAGE


def twice(*, is_source: bool) -> Graph:
    """Return two products with one weight, which an Identity hands on in the file; a session has another, unread."""
    builder = GraphBuilder()
    of = TensorType("float32", (64, 64))
    x, w = builder.add_input("x", of), builder.add_parameter("w", of)
    if is_source:
        (v,) = builder.add_node("Identity", [w], [NewValue("v", of)])
    else:
        v = builder.add_parameter("v", of)
        builder.add_parameter("unread", of)
    (a,) = builder.add_node("MatMul", [x, w], [NewValue("a", of)])
    (b,) = builder.add_node("MatMul", [a, v], [NewValue("b", of)])
    assert b is not None
    return builder.build([b])


def test_a_weight_that_is_handed_on_is_one_and_one_that_nobody_reads_is_none() -> None:
    found = load(Heap(), twice(is_source=True), twice(is_source=False))
    assert (found.kept_bytes, found.packed_bytes) == (0, 64 * 64 * 4)


@pytest.mark.parametrize(
    ("op", "kind", "shape", "attributes", "size"),
    [
        ("com.microsoft.QGemm", "int8", (1000, 512), {"transB": 1}, 520_128),
        ("MatMulInteger", "int8", (100, 30), {}, 3_328),
        ("QLinearConv", "int8", (24, 24, 1, 1), {}, 768),
        ("QLinearConv", "int8", (15, 64, 1, 1), {}, 1_088),
        ("QLinearConv", "int8", (32, 6, 3, 3), {}, 1_920),
        ("QLinearConv", "uint8", (64, 64, 1, 1), {}, 4_352),
        ("QLinearConv", "int8", (58, 1, 3, 3), {"group": 58}, 522),
        ("QLinearConv", "int8", (64, 8, 3, 3), {"group": 8}, 9_728),
        ("MatMul", "float32", (10, 30), {}, 4 * 10 * 32),
        ("MatMul", "float64", (10, 30), {}, None),
    ],
)
def test_what_kernels_keep_of_weights_is_what_a_session_was_seen_to_take(
    op: str, kind: str, shape: tuple[int, ...], attributes: dict[str, int], size: int | None
) -> None:
    builder = GraphBuilder()
    x, w = builder.add_input("x", TensorType(kind, (1,))), builder.add_parameter("w", TensorType(kind, shape))
    position = 3 if "QGemm" in op or "QLinear" in op else 1
    reads = [x] * position + [w]
    (y,) = builder.add_node(op, reads, [NewValue("y", TensorType(kind, (1,)))], attributes=attributes)
    assert y is not None
    graph = builder.build([y])
    assert packed_bytes(graph, graph.nodes[0], position) == (() if size is None else (size,))


def quantised(shapes: list[tuple[int, ...]], classes: int) -> onnx.GraphProto:
    """Return convolutions of 8 bits between float32 ends, with filters of ``shapes``, and a product at the end."""
    rng = np.random.default_rng(0)
    scales = [
        numpy_helper.from_array(np.array(one), name) for name, one in (("s", np.float32(0.1)), ("z", np.uint8(0)))
    ]
    weights = [*scales, numpy_helper.from_array(np.array(0, np.int8), "i")]
    nodes = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q0"])]
    shapes = [*shapes, (classes, shapes[-1][0])]
    for k, shape in enumerate(shapes):
        op, attributes = "Conv", {"pads": [1, 1, 1, 1], "group": shape[0] if shape[1] == 1 else 1}
        if k == len(shapes) - 1:
            nodes.append(helper.make_node("GlobalAveragePool", [f"d{k - 1}"], ["p"]))
            nodes.append(helper.make_node("Flatten", ["p"], [f"f{k}"]))
            nodes.append(helper.make_node("QuantizeLinear", [f"f{k}", "s", "z"], [f"q{k}"]))
            op, attributes = "Gemm", {"transB": 1}
        weights.append(numpy_helper.from_array(rng.integers(-100, 100, shape, dtype=np.int8), f"w{k}"))
        nodes += [
            helper.make_node("DequantizeLinear", [f"q{k}", "s", "z"], [f"r{k}"]),
            helper.make_node("DequantizeLinear", [f"w{k}", "s", "i"], [f"v{k}"]),
            helper.make_node(op, [f"r{k}", f"v{k}"], [f"y{k}"], **attributes),
            helper.make_node("QuantizeLinear", [f"y{k}", "s", "z"], [f"t{k}"]),
            helper.make_node("DequantizeLinear", [f"t{k}", "s", "z"], [f"d{k}"]),
        ]
        if k < len(shapes) - 2:
            nodes.append(helper.make_node("QuantizeLinear", [f"d{k}", "s", "z"], [f"q{k + 1}"]))
    channels = shapes[0][0] if shapes[0][1] == 1 else shapes[0][1]
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, channels, 8, 8]),
        helper.make_tensor_value_info(f"d{len(shapes) - 1}", TensorProto.FLOAT, None),
    ]
    return helper.make_graph(nodes, "quantised", ends[:1], ends[1:], weights)


@pytest.mark.parametrize(
    ("shapes", "classes"),
    [([(256, 256, 3, 3)] * 2, 10), ([(16, 3, 3, 3), (16, 1, 3, 3), (900, 16, 3, 3)], 1300), ([(64, 1, 3, 3)], 10)],
)
def test_what_packing_filters_of_8_bits_takes_lies_in_the_arena(
    shapes: list[tuple[int, ...]], classes: int, tmp_path: Path
) -> None:
    path = tmp_path / "quantised.onnx"
    graph = quantised(shapes, classes)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    request = Request(source=path, threads=1)
    model = with_session(read_onnx(request), request)

    found = measure_process(str(path), input_specs(model.graph), Limits(seconds=60), threads=1)
    pairs = {pair.name: pair for pair in process_pairs(model, session_frame(model), found)}

    held = pairs["arena_later_runs"]
    assert 0 <= (held.measured_bytes or 0) - (held.predicted_bytes or 0) < 64  # single scales and zero points


def test_processes_that_begin_with_other_heaps_give_a_range() -> None:
    graph = twice(is_source=True)
    frame = session_frame(replace(Model.of(graph), session=None))
    loading = Loading(
        library_bytes=MIB,
        anonymous_bytes=9 * MIB,
        taken_bytes=2 * MIB,
        holes=(),
        top=600 * PAGE,
        end=612 * PAGE,
        threshold=MIB,
        written=((0, 600),),
    )
    more = replace(loading, anonymous_bytes=12 * MIB)
    alone = default_process(graph, frame, loading)
    ranged = default_process(graph, frame, replace(loading, others=(more,)))
    assert alone.range_bytes is None
    assert ranged.size_bytes == alone.size_bytes
    assert alone.size_bytes is not None
    assert ranged.range_bytes == (alone.size_bytes, alone.size_bytes + 3 * MIB)
    most = replace(loading, anonymous_bytes=13 * MIB)
    of_three = default_process(graph, frame, replace(loading, others=(most, more)))
    assert of_three.size_bytes == sum(of_three.parts.values()) == alone.size_bytes + 3 * MIB
    assert of_three.range_bytes == (alone.size_bytes, alone.size_bytes + 4 * MIB)


def test_what_a_session_keeps_in_pages_that_were_there_before_is_no_growth() -> None:
    graph = twice(is_source=True)
    frame = session_frame(replace(Model.of(graph), session=None))
    loading = Loading(
        library_bytes=MIB,
        anonymous_bytes=2 * MIB,
        taken_bytes=3 * MIB,
        holes=(),
        top=600 * PAGE,
        end=612 * PAGE,
        threshold=MIB,
        written=((0, 600),),
    )
    growth = process_growth(graph, frame, loading)
    assert growth is not None
    assert growth.stages["session"] == 3 * MIB


def _replay(arena: Arena, frame: Any, owned: Sequence[int], uses: Sequence[BodiesUse | None]) -> None:
    """Every request of a run, none left out."""
    alive: dict[int, tuple[int, int]] = {}
    for step, use in enumerate(uses):
        for value_id in owned:
            if frame.plan.stop[value_id] == step:
                arena.give(alive.pop(value_id))
        scratch = [arena.take(use.before_bytes)] if use is not None and use.before_bytes else []
        for value_id in owned:
            if frame.plan.start[value_id] == step:
                alive[value_id] = arena.take(frame.graph.value_bytes[value_id])
        scratch += [arena.take(use.beside_bytes)] if use is not None and use.beside_bytes else []
        for address in scratch:
            arena.give(address)
    for address in alive.values():
        arena.give(address)


_SIZES = st.sampled_from((200_000, 500_000, 900_000, 2_000_000))
_STEPS = 8


@given(
    st.lists(st.tuples(st.integers(0, _STEPS - 1), st.integers(1, _STEPS), _SIZES), max_size=5),
    st.lists(
        st.sampled_from((None, BodiesUse(900_000), BodiesUse(500_000, 900_000))), min_size=_STEPS, max_size=_STEPS
    ),
)
def test_what_changes_nothing_is_left_out_of_a_run(
    buffers: list[tuple[int, int, int]], uses: list[BodiesUse | None]
) -> None:
    starts = [start for start, _, _ in buffers]
    stops = [min(start + length, _STEPS) for start, length, _ in buffers]
    plan = SimpleNamespace(start=starts, stop=stops, order=range(_STEPS))
    graph = SimpleNamespace(value_bytes=[size for _, _, size in buffers], nodes=[SimpleNamespace(op="Conv")] * _STEPS)
    frame: Any = SimpleNamespace(graph=graph, plan=plan)
    short, long = Arena(Heap()), Arena(Heap())
    for _ in range(2):
        process._run(short, frame, range(len(buffers)), uses)
        _replay(long, frame, range(len(buffers)), uses)
        assert (short.held_bytes, short._free) == (long.held_bytes, long._free)
        assert short.heap.resident_bytes == long.heap.resident_bytes


def test_equal_scratch_is_asked_for_once() -> None:
    frame = run_frame(_convolutions([(3, 5)] * 50, 8), None, as_planned)
    taken: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        take = Arena.take
        patch.setattr(Arena, "take", lambda arena, size: (taken.append(size), take(arena, size))[1])
        process_growth(frame.source, frame)
    assert len(frame.plan.order) >= 50
    assert len(taken) < 20


def _convolutions(layers: list[tuple[int, int]], side: int) -> Graph:
    """Return convolutions of these windows and channels."""
    builder = GraphBuilder(opset=17)
    last, channels = builder.add_input("x", TensorType("float32", (1, 5, side, side))), 5
    for i, (window, written) in enumerate(layers):
        weight = builder.add_parameter(f"w{i}", TensorType("float32", (written, channels, window, window)))
        of = TensorType("float32", (1, written, side, side))
        attributes = {"pads": (window // 2,) * 4}
        (value,) = builder.add_node("Conv", [last, weight], [NewValue(f"c{i}", of)], attributes=attributes)
        assert value is not None
        last, channels = value, written
    return builder.build([last])


def test_of_equal_chunks_that_of_the_later_region_is_taken_since_maps_lie_below_earlier_ones() -> None:
    arena, most = Arena(Heap()), 400 * 2**20
    first = arena.take(most)  # of 512 MiB, whose rest is too small to be split off
    second = arena.take(1)
    arena.give(second)
    arena.give(first)
    assert (first, second, arena.take(most)) == ((0, 0), (1, 0), (1, 0))
