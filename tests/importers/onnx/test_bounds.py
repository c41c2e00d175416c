"""Where the data decide: the most that an operation writes, and the number of elements that it keeps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, numpy_helper

import memprof
from tests.onnx_models import body, integers, load, model, node, shapes, sizes, tensor, weight

INT = TensorProto.INT64


def analysed(folder: Path, nodes: list[NodeProto], **settings: object) -> memprof.Report:
    return memprof.analyze(load(folder, model(nodes, **settings)), runtimes=["reference"])  # type: ignore[arg-type]


def reshaped(*nodes: NodeProto) -> dict[str, object]:
    inputs = [tensor("x", [5, 50]), tensor("s", [4], INT), tensor("t", [4], INT)]
    return {"nodes": [node("Reshape", ["x", "s"], ["a"]), *nodes], "inputs": inputs, "outputs": ["z"]}


def test_a_reshape_to_a_shape_of_run_time_keeps_its_elements(tmp_path: Path) -> None:
    found = analysed(
        tmp_path,
        **reshaped(node("Relu", ["a"], ["b"]), node("Sigmoid", ["b"], ["z"])),  # type: ignore[arg-type]
    )
    assert found.peak_intermediate_bytes == 2000
    assert not found.unknown
    assert found.headline.grade == "upper bound"
    assert memprof.Report.from_json(found.to_json()).peak_intermediate_bytes == 2000


@pytest.mark.parametrize(
    ("nodes", "size"),
    [
        ([node("Relu", ["a"], ["b"]), node("Add", ["a", "b"], ["z"])], 1000),
        ([node("Add", ["a", "one"], ["z"])], 1000),
        ([node("Cast", ["a"], ["z"], to=TensorProto.FLOAT16)], 500),
        ([node("Transpose", ["a"], ["z"], perm=[0, 2, 1, 3])], 1000),
        ([node("Flatten", ["a"], ["z"])], 1000),
        ([node("Concat", ["a", "a", "a"], ["z"], axis=2)], 3000),
        ([node("Reshape", ["a", "flat"], ["z"])], 1000),
    ],
    ids=["same shape", "scalar", "cast", "transpose", "flatten", "concat", "reshape"],
)
def test_numbers_of_elements_travel_on(tmp_path: Path, nodes: list[NodeProto], size: int) -> None:
    settings = reshaped(*nodes)
    settings["initializers"] = [numpy_helper.from_array(np.array(1, np.float32), "one"), integers("flat", -1)]
    found = load(tmp_path, model(**settings))  # type: ignore[arg-type] # settings are of several types
    assert sizes(found)["z"] == size


def test_two_open_shapes_of_equal_size_are_not_taken_for_one(tmp_path: Path) -> None:
    settings = reshaped(node("Reshape", ["x", "t"], ["b"]), node("Add", ["a", "b"], ["z"]))
    found = load(tmp_path, model(**settings))  # type: ignore[arg-type] # settings are of several types
    assert sizes(found)["z"] is None
    assert [unknown.hint for unknown in found.graph.unknown] == ["--value s=N,N,N,N"]


_BOXES = [tensor("boxes", [2, 100, 4]), tensor("scores", [2, 3, 100])]


@pytest.mark.parametrize(
    ("nodes", "shape"),
    [
        ([node("NonZero", ["x"], ["y"])], (2, 12)),
        ([node("Unique", ["x"], ["y"])], (12,)),
        ([node("Unique", ["x"], ["y"], axis=1)], (3, 4)),
        ([node("Compress", ["x", "c"], ["y"], axis=1)], (3, 2)),
        ([node("Compress", ["x", "c"], ["y"])], (2,)),
        ([node("TopK", ["x", "k"], ["y", "i"], axis=1)], (3, 4)),
        ([node("Slice", ["x", "k", "k"], ["y"])], (3, 4)),
        ([node("NonMaxSuppression", ["boxes", "scores", "ten"], ["y"])], (60, 3)),
        ([node("NonMaxSuppression", ["boxes", "scores", "k"], ["y"])], (600, 3)),
        ([node("NonMaxSuppression", ["boxes", "scores"], ["y"])], (0, 3)),
    ],
    ids=[
        "NonZero",
        "Unique",
        "Unique axis",
        "Compress axis",
        "Compress",
        "TopK",
        "Slice",
        "NMS",
        "NMS open",
        "NMS none",
    ],
)
def test_the_largest_that_an_operation_writes(tmp_path: Path, nodes: list[NodeProto], shape: tuple[int, ...]) -> None:
    inputs = [tensor("x", [3, 4]), tensor("c", [2], TensorProto.BOOL), tensor("k", [1], INT), *_BOXES]
    found = load(tmp_path, model(nodes, inputs=inputs, outputs=["y"], initializers=[integers("ten", 10)]))
    assert shapes(found)["y"] == shape
    assert {note.kind for note in found.graph.assumed} <= {"bound"}
    assert not found.graph.unknown


def test_an_empty_tensor_with_a_side_that_nothing_bounds_is_within_all_limits(tmp_path: Path) -> None:
    nodes = [
        node("Shape", ["a"], ["sides"]),
        node("Gather", ["sides", "first"], ["side"], axis=0),
        node("Unsqueeze", ["side", "zero"], ["n"]),
        node("Concat", ["n", "zero"], ["shape"], axis=0),
        node("ConstantOfShape", ["shape"], ["z"]),
    ]
    settings = reshaped(*nodes)
    settings["initializers"] = [integers("zero", 0), numpy_helper.from_array(np.array(0), "first")]
    found = load(tmp_path, model(**settings))  # type: ignore[arg-type] # settings are of several types
    assert sizes(found)["z"] is None


def selected(*nodes: NodeProto) -> dict[str, object]:
    """Return a detector's end: the boxes that are kept, gathered."""
    return {
        "nodes": [
            node("NonMaxSuppression", ["boxes", "scores", "ten"], ["kept"]),
            node("Gather", ["kept", "two"], ["index"], axis=1),
            *nodes,
        ],
        "inputs": _BOXES,
        "outputs": ["y"],
        "initializers": [integers("ten", 10), integers("two", 2), weight("w", 4, 8)],
    }


def test_what_grows_with_a_bound_is_an_upper_bound(tmp_path: Path) -> None:
    found = analysed(
        tmp_path,
        **selected(node("Gather", ["boxes", "index"], ["b"], axis=1), node("MatMul", ["b", "w"], ["y"])),  # type: ignore[arg-type]
    )
    assert found.headline.grade == "upper bound"
    assert "kept" in found.headline.lowered_by


@pytest.mark.parametrize(
    ("nodes", "grade"),
    [
        ([node("Shape", ["kept"], ["n"]), node("ConstantOfShape", ["n"], ["y"])], "upper bound"),
        ([node("Shape", ["index"], ["n"]), node("Expand", ["two", "n"], ["y"])], "upper bound"),
        (
            [
                node("Shape", ["index"], ["n"]),
                node("Sub", ["hundred", "n"], ["rest"]),
                node("Slice", ["rest", "nought", "one"], ["first"]),
                node("ConstantOfShape", ["first"], ["y"]),
            ],
            "estimate",
        ),
        (
            [
                node("Shape", ["index"], ["n"]),
                node("Gather", ["falling", "n"], ["m"]),
                node("Reshape", ["m", "minus"], ["first"]),
                node("ConstantOfShape", ["first"], ["y"]),
            ],
            "estimate",
        ),
    ],
    ids=["shape", "expanded", "difference", "looked up"],
)
def test_numbers_that_are_sizes_rise_with_them_or_it_is_an_estimate(
    tmp_path: Path, nodes: list[NodeProto], grade: str
) -> None:
    settings = selected(*nodes)
    constants = [integers("hundred", 100), integers("nought", 0), integers("one", 1), integers("minus", -1)]
    constants += [integers("falling", *range(100, 0, -1))]
    settings["initializers"] = [*settings["initializers"], *constants]  # type: ignore[misc]
    assert analysed(tmp_path, **settings).headline.grade == grade


def loop(*, limit: int) -> dict[str, object]:
    """Return a loop that may end early and collects a tensor of 4 x 8 each time."""
    inner = body(
        [
            node("Add", ["a", "a"], ["b"]),
            node("ReduceSum", ["b"], ["sum"], keepdims=0),
            node("Greater", ["sum", "nought"], ["goes_on"]),
            node("Identity", ["b"], ["each"]),
        ],
        inputs=["i", "c", "a"],
        outputs=["goes_on", "b", "each"],
    )
    return {
        "nodes": [node("Loop", ["limit", "first", "x"], ["last", "all"], body=inner), node("Relu", ["all"], ["y"])],
        "inputs": [tensor("x", [4, 8]), tensor("first", [], TensorProto.BOOL)],
        "outputs": ["y"],
        "initializers": [integers("limit", limit), numpy_helper.from_array(np.array(0, np.float32), "nought")],
    }


def test_a_loop_that_may_end_early_collects_at_most_what_its_limit_says(tmp_path: Path) -> None:
    found = load(tmp_path, model(**loop(limit=10)))  # type: ignore[arg-type]
    assert shapes(found)["all"] == (10, 4, 8)
    assert [note.kind for note in found.graph.assumed] == ["bound"]
    assert analysed(tmp_path, **loop(limit=10)).headline.grade == "upper bound"
    for_ever = load(tmp_path, model(**loop(limit=2**62)))  # type: ignore[arg-type]
    assert [unknown.name for unknown in for_ever.graph.unknown] == ["all"]


def test_how_often_a_loop_runs_may_be_said(tmp_path: Path) -> None:
    found = load(tmp_path, model(**loop(limit=10)), dims={"all[0]": 3})  # type: ignore[arg-type]
    assert shapes(found)["all"] == (3, 4, 8)
    assert not found.graph.assumed
    assert [each.attributes["trip_count"] for each in found.graph.nodes if each.op == "Loop"] == [3]
    more = load(tmp_path, model(**loop(limit=10)), dims={"all[0]": 11})  # type: ignore[arg-type]
    assert shapes(more)["all"] == (10, 4, 8)
    assert [note.kind for note in more.graph.assumed] == ["bound"]


def test_a_bound_is_refused_by_the_strict_and_settled_by_a_size(tmp_path: Path) -> None:
    nodes = [node("NonZero", ["x"], ["y"])]
    found = model(nodes, inputs=[tensor("x", [3, 4])], outputs=["y"])
    from memprof.results.assumed import refuse_assumed

    refused = refuse_assumed(load(tmp_path, found).graph.assumed)
    assert refused is not None
    assert refused.code == 4
    assert not load(tmp_path, found, dims={"y[1]": 5}).graph.assumed


@pytest.mark.default_session
def test_a_block_laid_out_at_the_largest_sizes_bounds_nothing(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")

    def most(of: str) -> NodeProto:
        return node("ReduceMax", [of], [f"most_{of}"], keepdims=0)

    nodes = [
        node("Relu", ["x"], ["a"]),
        node("NonZero", ["a"], ["n"]),
        node("Cast", ["n"], ["f"], to=TensorProto.FLOAT),
        node("Concat", ["f"] * 2, ["four"], axis=1),
        most("four"),
        node("Concat", ["a"] * 3, ["last"], axis=0),
        most("last"),
        node("Concat", ["f"] * 3, ["three"], axis=1),
        node("Concat", ["a"] * 3, ["other"], axis=0),
        node("Concat", ["f"], ["one"], axis=1),
        *map(most, ("one", "three", "other")),
        node("Sum", [f"most_{of}" for of in ("one", "three", "other", "four", "last")], ["y"]),
    ]
    path = tmp_path / "net.onnx"
    path.write_bytes(model(nodes, inputs=[tensor("x", [8, 8])], outputs=["y"]).SerializeToString())
    largest, smaller = (memprof.analyze(path, dims=dims) for dims in ({}, {"n[1]": 48}))
    assert (smaller.peak_intermediate_bytes or 0) > (largest.peak_intermediate_bytes or 0)
    assert {
        name: row.grade for name, row in largest.runtimes.items() if name in ("onnxruntime", "onnxruntime-default")
    } == {
        "onnxruntime-default": "estimate",
        "onnxruntime": "upper bound",
    }
