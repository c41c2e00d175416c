"""Elements of inputs that the caller gives: the shapes and branches that they decide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper

import memprof
from memprof import UsageError
from memprof.ir.model import Model
from memprof.measure.feeds import input_specs, random_feeds
from tests.onnx_models import body, integers, model, node, shapes, tensor, weight

INT = TensorProto.INT64


def read(folder: Path, found: ModelProto, **values: float | tuple[float, ...]) -> Model:
    path = folder / "net.onnx"
    path.write_bytes(found.SerializeToString())
    return memprof.load(path, values=values)


def resized() -> ModelProto:
    nodes = [node("Resize", ["x", "", "", "sizes"], ["y"]), node("Relu", ["y"], ["z"])]
    return model(nodes, inputs=[tensor("x", [1, 3, 32, 32]), tensor("sizes", [4], INT)], outputs=["z"])


def test_sizes_decide_what_resize_writes(tmp_path: Path) -> None:
    found = read(tmp_path, resized(), sizes=(1, 3, 64, 96))
    assert shapes(found)["z"] == (1, 3, 64, 96)
    assert not found.graph.unknown
    assert found.ahead is not None  # onnxruntime does not know them before it runs


@pytest.mark.parametrize(("given", "expected"), [((0,), (1, 4)), ((1, 0), (1, 1)), (1, (3, 1))])
def test_axes_decide_a_reduction_and_how_many_there_are(
    tmp_path: Path, given: float | tuple[float, ...], expected: tuple[int, ...]
) -> None:
    nodes = [node("ReduceSum", ["x", "axes"], ["y"])]
    inputs = [tensor("x", [3, 4]), tensor("axes", [None], INT)]
    found = read(tmp_path, model(nodes, inputs=inputs, outputs=["y"]), axes=given)
    assert shapes(found)["y"] == expected


def branches() -> ModelProto:
    """Return a model of two sizes, by the rate of what it gets, as models of speech are."""
    wide = body([node("Concat", ["x", "x"], ["a"], axis=1)], outputs=["a"], name="wide")
    narrow = body([node("Relu", ["x"], ["b"])], outputs=["b"], name="narrow")
    nodes = [
        node("Equal", ["sr", "rate"], ["is_wide"]),
        node("If", ["is_wide"], ["y"], then_branch=wide, else_branch=narrow),
        node("Relu", ["y"], ["z"]),
    ]
    rate = integers("rate", 16000)
    rate.ClearField("dims")
    inputs = [tensor("x", [1, 10]), tensor("sr", [], INT)]
    return model(nodes, inputs=inputs, outputs=["z"], initializers=[rate])


@pytest.mark.parametrize(("rate", "width"), [(16000, 20), (8000, 10)])
def test_a_branch_that_follows_from_what_is_given_is_the_one_that_runs(tmp_path: Path, rate: int, width: int) -> None:
    found = read(tmp_path, branches(), sr=rate)
    assert shapes(found)["z"] == (1, width)
    assert not found.graph.unknown
    assert [len(graph.bodies) for graph in found.graph.nodes] == [0, 1, 0]


def test_what_a_branch_writes_decides_shapes_behind_it(tmp_path: Path) -> None:
    large = body([node("Identity", ["big"], ["a"])], outputs=["a"], name="large")
    small = body([node("Identity", ["little"], ["b"])], outputs=["b"], name="small")
    nodes = [
        node("If", ["is_large"], ["shape"], then_branch=large, else_branch=small),
        node("Expand", ["x", "shape"], ["y"]),
    ]
    inputs = [tensor("x", [1]), tensor("is_large", [], TensorProto.BOOL)]
    constants = [integers("big", 7, 9), integers("little", 2, 3)]
    found = read(tmp_path, model(nodes, inputs=inputs, outputs=["y"], initializers=constants), is_large=1)
    assert shapes(found)["y"] == (7, 9)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"scale": 1}, "no input 'scale'"),
        ({"sizes": (1, 2)}, "4, and 2 elements are given"),
    ],
)
def test_what_does_not_fit_an_input_is_said(
    tmp_path: Path, values: dict[str, float | tuple[float, ...]], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        read(tmp_path, resized(), **values)


def test_an_initialiser_has_its_own_elements(tmp_path: Path) -> None:
    nodes = [node("Add", ["x", "w"], ["y"])]
    inputs = [tensor("x", [2]), tensor("w", [2])]
    found = model(nodes, inputs=inputs, outputs=["y"], initializers=[weight("w", 2)])
    with pytest.raises(UsageError, match="no input 'w'"):
        read(tmp_path, found, w=1)


def test_a_run_gets_the_same_elements(tmp_path: Path) -> None:
    graph = read(tmp_path, resized(), sizes=(1, 3, 64, 96)).graph
    feeds = random_feeds(input_specs(graph, {"sizes": (1, 3, 64, 96), "x": 2}))
    assert feeds["sizes"].tolist() == [1, 3, 64, 96]
    assert feeds["sizes"].dtype == np.int64
    assert (feeds["x"] == 2).all()
    with pytest.raises(UsageError, match="4 elements, and 3 are given"):
        input_specs(graph, {"sizes": (1, 3, 64)})


def test_an_input_that_decides_is_asked_for_by_name(tmp_path: Path) -> None:
    nodes = [
        node("Add", ["sizes", "one"], ["more"]),
        node("Expand", ["x", "more"], ["y"]),
        node("Relu", ["y"], ["z"]),
    ]
    inputs = [tensor("x", [1]), tensor("sizes", [2], INT)]
    found = read(tmp_path, model(nodes, inputs=inputs, outputs=["z"], initializers=[integers("one", 1)]))
    assert [(unknown.name, unknown.hint) for unknown in found.graph.unknown] == [("y", "--value sizes=N,N")]


def test_a_scale_that_the_caller_gives_is_asked_for_by_name(tmp_path: Path) -> None:
    path = tmp_path / "resize.onnx"
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8]),
        helper.make_tensor_value_info("scales", TensorProto.FLOAT, [4]),
    ]
    nodes = [helper.make_node("Resize", ["x", "", "scales"], ["y"])]
    graph = helper.make_graph(nodes, "g", inputs, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    (unknown,) = (each for each in memprof.analyze(path, from_file=True).unknown if each.kind == "shape")
    assert unknown.hint == "--value scales=N,N,N,N"
    given = memprof.analyze(path, from_file=True, values={"scales": (1, 1, 2, 2)})
    assert given.runtimes["reference"].peak_intermediate_bytes == 3 * 64 * 4 + 4 * 4 + 4 * 3 * 64 * 4
