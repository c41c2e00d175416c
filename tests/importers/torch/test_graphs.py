from __future__ import annotations

import random

import pytest

from memprof.importers.torch.graphs import build_graph
from memprof.importers.torch.records import OpRecord, Recording, StorageRecord, TensorRecord
from memprof.ir import Graph, Role
from tests.importers.torch.programs import places, random_order, random_program, run_graph, run_program, window

X = StorageRecord(size_bytes=16, role=Role.INPUT, name="x", window=window(0, 4))
NEW = StorageRecord(size_bytes=16)


def graph_of(storages: list[StorageRecord], ops: list[OpRecord], outputs: list[TensorRecord]) -> Graph:
    return build_graph(Recording(name="", ops=tuple(ops), storages=tuple(storages), outputs=tuple(outputs)))


def op(kind: str, reads: list[TensorRecord], write: TensorRecord) -> OpRecord:
    changes = (reads[0].storage,) if kind.endswith("_") else ()
    return OpRecord(op=kind, reads=tuple(reads), writes=(write,), changes=changes)


def test_in_place_on_a_whole_tensor_becomes_a_value_that_may_overwrite() -> None:
    x, y = window(0, 4), window(1, 4)
    graph = graph_of([X, NEW], [op("aten.cumsum", [x], y), op("aten.relu_", [y], y), op("aten.exp", [y], y)], [y])
    relu = graph.nodes[1]
    assert relu.is_elementwise
    assert graph.values[relu.outputs[0]].view_of is None  # type: ignore[index]
    assert graph.nodes[2].inputs == relu.outputs


def test_what_reads_an_older_window_later_keeps_the_change_in_place() -> None:
    x, y, half = window(0, 4), window(1, 4), window(1, 2)
    ops = [
        op("aten.cumsum", [x], y),
        op("aten.slice", [y], half),
        op("aten.relu_", [y], y),
        op("aten.exp", [half], window(2, 2)),
    ]
    graph = graph_of([X, NEW, StorageRecord(size_bytes=8)], ops, [window(2, 2)])
    relu, exp = graph.nodes[2], graph.nodes[3]
    assert not relu.is_elementwise
    assert graph.values[relu.outputs[0]].view_of == graph.nodes[0].outputs[0]  # type: ignore[index]
    assert relu.outputs[0] in exp.inputs


def test_a_view_made_after_the_change_does_not_keep_it_in_place() -> None:
    x, y, flat = window(0, 4), window(1, 4), window(1, 2)
    ops = [op("aten.cumsum", [x], y), op("aten.relu_", [y], y), op("aten.slice", [y], flat)]
    graph = graph_of([X, NEW], ops, [flat])
    assert graph.nodes[1].is_elementwise
    assert graph.values[graph.outputs[0]].view_of == graph.nodes[1].outputs[0]


def test_an_earlier_reader_stays_before_the_change() -> None:
    x, y, part = window(0, 4), window(1, 4), window(1, 2)
    ops = [
        op("aten.cumsum", [x], y),
        op("aten.exp", [y], window(2, 4)),
        op("aten.slice", [y], part),
        op("aten.zero_", [part], part),
    ]
    graph = graph_of([X, NEW, NEW], ops, [y, window(2, 4)])
    token = graph.nodes[1].outputs[-1]
    assert token in graph.nodes[3].inputs
    assert graph.value_bytes[token] == 0  # type: ignore[index]


def test_an_updated_parameter_adds_no_bytes() -> None:
    weight = StorageRecord(size_bytes=16, role=Role.PARAMETER, name="w", module="fc", window=window(1, 4))
    graph = graph_of([X, weight], [op("aten.add_", [window(1, 4), window(0, 4)], window(1, 4))], [])
    assert [buffer.root for buffer in graph.activations] == list(graph.inputs)


def test_a_cache_filled_from_an_input_is_no_constant() -> None:
    x, cache, part = window(0, 2), window(1, 4), window(1, 2)
    storages = [StorageRecord(size_bytes=8, role=Role.INPUT, name="x", window=x), NEW]
    ops = [
        OpRecord(op="aten.zeros", reads=(), writes=(cache,)),
        op("aten.slice", [cache], part),
        op("aten.copy_", [part, x], part),
    ]
    graph = graph_of(storages, ops, [cache])
    assert graph.values[graph.nodes[0].outputs[0]].role is Role.INTERMEDIATE  # type: ignore[index]


def test_tensors_made_from_constants_alone_are_constants_unless_drawn_at_random() -> None:
    made = OpRecord(op="aten.arange", reads=(), writes=(window(0, 4),))
    drawn = OpRecord(op="aten.rand", reads=(), writes=(window(1, 4),), is_random=True)
    graph = graph_of([NEW, NEW], [made, drawn], [])
    assert [value.role for value in graph.values] == [Role.CONSTANT, Role.INTERMEDIATE]


@pytest.mark.parametrize("seed", range(150))
def test_every_order_that_the_edges_allow_computes_the_same(seed: int) -> None:
    rng = random.Random(seed)
    recording = random_program(rng, rng.randint(3, 14))
    expected = run_program(recording)
    graph = build_graph(recording)
    for _ in range(6):
        assert run_graph(graph, recording, random_order(graph, rng)) == expected


@pytest.mark.parametrize("seed", range(150))
def test_an_elementwise_output_written_element_by_element_over_an_input_is_right(seed: int) -> None:
    rng = random.Random(1000 + seed)
    recording = random_program(rng, 14)
    for node, record in zip(build_graph(recording).nodes, recording.ops, strict=True):
        if not node.is_elementwise:
            continue
        sources = [tensor for tensor in record.reads if tensor is not None]
        output = record.writes[0]
        for target in sources:
            if target.shape != output.shape:
                continue
            memory = {t.storage: [float(7 * p + t.storage) for p in range(32)] for t in sources}
            expected = [element(memory, sources, i) for i in range(int(output.shape[0]))]
            for i, place in enumerate(places(target)):  # the output takes over the target's places
                memory[target.storage][place] = element(memory, sources, i)
            assert [memory[target.storage][p] for p in places(target)] == expected


def element(memory: dict[int, list[float]], sources: list[TensorRecord], i: int) -> float:
    found = [memory[t.storage][places(t)[i % int(t.shape[0])]] for t in sources]
    return 3 * found[0] + sum(found[1:])
