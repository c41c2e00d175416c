"""Patches of the first layers: what they need is what onnxruntime shows; bytes and work of a small example."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

import memprof
from memprof.base.errors import UsageError
from memprof.ir import Graph, GraphBuilder, NewValue, TensorType
from memprof.ir.model import Model
from memprof.planning.meter import Meter
from memprof.planning.plan import PlanOptions, plan_graph
from memprof.planning.record import Plan
from memprof.planning.splitting.estimate import find_split, needed_spans
from memprof.planning.splitting.windows import Window, find_windows
from memprof.runtimes.reference import reference_lifetimes
from tests.onnx_models import model, node, tensor
from tests.planning.work import WorkClock
from tests.schemas import check_document

ROWS, COLUMNS = 19, 14


def layered_model(rng: Random) -> onnx.ModelProto:
    """Return convolutions, pools and sums of two branches, weights positive: every input shows in what it reaches."""
    weights = []

    def convolution(read: str, write: str, *, keeps_size: bool) -> onnx.NodeProto:
        kernel, dilation = rng.choice([(1, 1), (3, 1), (3, 2), (5, 1)]), 1
        size, dilation = kernel
        values = np.full((2, 2, size, size), 0.1, np.float32)
        weights.append(numpy_helper.from_array(values, f"w of {write}"))
        if keeps_size:
            pads = [(size - 1) * dilation // 2] * 4
            return node("Conv", [read, f"w of {write}"], [write], pads=pads, dilations=[dilation] * 2)
        strides = [rng.choice([1, 2]), rng.choice([1, 2])]
        if rng.random() < 0.3:
            return node("Conv", [read, f"w of {write}"], [write], strides=strides, auto_pad=rng.choice(_AUTO))
        pads = [rng.randint(0, 2) for _ in range(4)]
        return node("Conv", [read, f"w of {write}"], [write], strides=strides, pads=pads)

    nodes, last = [], "x"
    for step in range(3):
        kind = rng.choice(["Conv", "Conv", "MaxPool", "AveragePool", "branches"])
        write = f"t{step}"
        if kind == "Conv":
            nodes.append(convolution(last, write, keeps_size=False))
        elif kind == "branches":
            nodes += [convolution(last, f"{write}{side}", keeps_size=True) for side in "ab"]
            nodes.append(node("Add", [f"{write}a", f"{write}b"], [f"{write}.sum"]))
            nodes.append(node("Concat", [f"{write}.sum", last], [f"{write}.both"], axis=1))
            weights.append(numpy_helper.from_array(np.full((2, 4, 1, 1), 0.1, np.float32), f"w of {write}"))
            nodes.append(node("Conv", [f"{write}.both", f"w of {write}"], [write]))
        else:
            ceil = {"ceil_mode": rng.randint(0, 1)} if kind == "MaxPool" else {"count_include_pad": rng.randint(0, 1)}
            nodes.append(node(kind, [last], [write], kernel_shape=[2, 3], strides=[2, 1], pads=[0, 1, 1, 1], **ceil))
        nodes.append(node("Relu", [write], [f"{write}.relu"]))
        last = f"{write}.relu"
    return model(nodes, inputs=[tensor("x", [1, 2, ROWS, COLUMNS])], outputs=[last], initializers=weights)


_AUTO = ("SAME_UPPER", "SAME_LOWER", "VALID")


def padded_model(auto_pad: str) -> onnx.ModelProto:
    """Return one convolution that wants one row and one column of padding: on one side only."""
    weight = numpy_helper.from_array(np.full((1, 2, 4, 3), 0.1, np.float32), "w")
    nodes = [node("Conv", ["x", "w"], ["y"], auto_pad=auto_pad, strides=[1, 2])]
    return model(nodes, inputs=[tensor("x", [1, 2, ROWS, COLUMNS])], outputs=["y"], initializers=[weight])


@pytest.mark.parametrize("seed", range(12))
def test_a_patch_needs_what_changes_it(seed: int, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    rng = Random(f"patch {seed}")
    path = tmp_path / "model.onnx"
    onnx.save(padded_model(_AUTO[seed]) if seed < len(_AUTO) else layered_model(rng), path)
    session = onnxruntime.InferenceSession(str(path))
    graph = memprof.load(path, from_file=True).graph
    windows = {i: found for i, of in enumerate(graph.nodes) if (found := find_windows(graph, of)) is not None}
    assert len(windows) == len(graph.nodes)
    x = np.ones((1, 2, ROWS, COLUMNS), np.float32)
    plain = session.run(None, {"x": x})[0]
    for axis, size in enumerate((ROWS, COLUMNS)):
        changed = []  # of each input row: the output rows that show it
        for i in range(size):
            louder = x.copy()
            louder[(slice(None),) * (2 + axis) + (i,)] = 100
            differs = session.run(None, {"x": louder})[0] != plain
            changed.append(differs.any(axis=tuple(d for d in range(4) if d != 2 + axis)))
        length = plain.shape[2 + axis]
        start = rng.randrange(length)
        stop = rng.randint(start + 1, length)
        seen = [i for i, rows in enumerate(changed) if rows[start:stop].any()]
        spans = needed_spans(graph, range(len(graph.nodes)), windows, (graph.outputs[0], axis, (start, stop)))
        assert spans[graph.inputs[0]] == (seen[0], seen[-1] + 1)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_span_needs_exactly_what_its_windows_read(data: st.DataObject) -> None:
    small = st.integers(1, 6)
    window = Window(data.draw(small), data.draw(small), data.draw(st.integers(0, 30)), data.draw(small))
    size, start = data.draw(st.integers(1, 30)), data.draw(st.integers(0, 20))
    span = (start, start + data.draw(st.integers(1, 12)))
    taps = {
        o * window.stride - window.padding + j * window.dilation for o in range(*span) for j in range(window.kernel)
    }
    read = [row for row in range(size) if row in taps]
    assert window.needs(span, size) == ((read[0], read[-1] + 1) if read else None)


def test_windows_in_the_padding_read_nothing_and_widen_nothing() -> None:
    builder = GraphBuilder("padded")
    x = builder.add_input("x", TensorType("uint8", (1, 1, 8, 8)))
    weight = builder.add_parameter("w", TensorType("uint8", (1, 1, 3, 3)))
    sides = []
    for pads, name in (((6, 1, 0, 1), "above"), ((0, 1, 6, 1), "below")):
        new = NewValue(name, TensorType("uint8", (1, 1, 12, 8)))
        sides.append(builder.add_node("Conv", [x, weight], [new], attributes={"pads": pads})[0])
    (y,) = builder.add_node("Add", sides, [NewValue("y", TensorType("uint8", (1, 1, 12, 8)))], is_elementwise=True)
    assert y is not None
    graph = builder.build([y])
    windows = {i: found for i, node in enumerate(graph.nodes) if (found := find_windows(graph, node)) is not None}
    # The first rows of one side lie in its padding: the other side's are all that is read.
    assert needed_spans(graph, range(3), windows, (y, 0, (0, 2)))[graph.inputs[0]] == (0, 4)
    assert needed_spans(graph, range(3), windows, (y, 0, (10, 12)))[graph.inputs[0]] == (4, 8)


def two_layers(more: int = 0) -> Graph:
    """Return x (2 channels) -> wide (8) -> slim (1) -> ``more`` of one channel, of 8 x 8, 3 x 3 kernels."""
    builder = GraphBuilder("two")
    x = builder.add_input("x", TensorType("uint8", (1, 2, 8, 8)))
    pads = {"pads": (1, 1, 1, 1)}

    def convolution(read: int | None, name: str, channels: tuple[int, int]) -> int | None:
        weight = builder.add_parameter(f"w of {name}", TensorType("uint8", (*channels, 3, 3)))
        new = NewValue(name, TensorType("uint8", (1, channels[0], 8, 8)))
        return builder.add_node("Conv", [read, weight], [new], attributes=pads)[0]

    slim = convolution(convolution(x, "wide", (8, 2)), "slim", (1, 8))
    for i in range(more):
        slim = convolution(slim, f"more{i}", (1, 1))
    assert slim is not None
    return builder.build([slim])


def test_bytes_and_work_of_a_small_example() -> None:
    plan = plan_graph(Model.of(two_layers()), PlanOptions(split="25%", alignment=1))
    assert plan.split is not None
    # Two strips of 4 columns need 5 of wide each: 5 x 8 x 8 channels beside x and slim, whole.
    assert (plan.split.rows, plan.split.columns) == (1, 2)
    assert plan.split.peak_bytes == 128 + 64 + 5 * 8 * 8
    macs = 64 * 8 * 2 * 9 + 64 * 8 * 9
    assert (plan.split.extra_macs, plan.split.model_macs) == (2 * 8 * 8 * 2 * 9, macs)
    assert plan.split.extra_bytes == 2 * 8 * 8
    assert plan.order is not None
    assert plan.order.peak_bytes == 128 + 512  # the plan itself is of the network as it is
    document = json.loads(json.dumps(plan.to_json()))
    check_document(document)
    assert Plan.from_json(document) == plan


def test_no_patches_are_better_than_patches_that_cost_more_than_they_may() -> None:
    assert plan_graph(Model.of(two_layers()), PlanOptions(split=0)).split is None


def test_a_search_for_patches_ends_soon_after_its_time_with_the_best_so_far() -> None:
    graph = two_layers(more=12)
    lifetimes = reference_lifetimes(graph)
    found = {}
    for lines in (0, 100_000, 10**9):
        clock = WorkClock()
        with clock.running():
            found[lines] = find_split(lifetimes, graph.storage, 10**9, Meter(lines, clock=clock))
        assert clock.lines <= 1.1 * lines + 30_000
    assert found[0] is None
    early, late = found[100_000], found[10**9]
    assert early is not None and late is not None
    assert (early.is_complete, late.is_complete) == (False, True)
    assert replace(early, is_complete=True) == late  # those that take few operations come first


@pytest.mark.parametrize("options", [{"runtime": "ideal"}, {"recompute": 0}, {"split": "much"}])
def test_patches_go_with_reference_alone(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        PlanOptions(**{"split": 0, **options})  # type: ignore[arg-type] # the wrong ones are the point
