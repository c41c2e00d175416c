"""What is predicted from a file is what onnxruntime allocates: byte for byte, step by step, on models of a few nodes.

Each model shows one rule; onnxruntime runs it in a child process, with optimisation off and on.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper  # noqa: E402 - onnxruntime may be missing

from memprof.base.errors import MissingExtraError, RuntimeFailure  # noqa: E402
from memprof.importers.request import Request  # noqa: E402
from memprof.measure.child import Limits  # noqa: E402
from memprof.measure.verify import verify_onnxruntime, verify_optimized  # noqa: E402

node = helper.make_node


def info(name: str, *shape: int, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def model(
    nodes: list[NodeProto], shape: tuple[int, ...], weights: dict[str, np.ndarray] | None = None, opset: int = 20
) -> ModelProto:
    constants = [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()]
    output = onnx.ValueInfoProto(name="y")
    output.type.tensor_type.elem_type = TensorProto.FLOAT
    graph = helper.make_graph(nodes, "small", [info("x", *shape)], [output], initializer=constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def residual() -> ModelProto:
    nodes = [
        node("Conv", ["x", "w1"], ["a"], pads=[1, 1, 1, 1]),
        node("Relu", ["a"], ["b"]),
        node("Conv", ["b", "w2"], ["c"], pads=[1, 1, 1, 1]),
        node("Add", ["c", "b"], ["d"]),
        node("HardSwish", ["d"], ["e"]),
        node("MaxPool", ["e"], ["y"], kernel_shape=[2, 2], strides=[2, 2]),
    ]
    return model(nodes, (1, 3, 16, 16), {"w1": random(16, 3, 3, 3), "w2": random(16, 16, 3, 3)})


def attention() -> ModelProto:
    nodes = [
        node("MatMul", ["x", "wq"], ["q"]),
        node("MatMul", ["x", "wk"], ["k"]),
        node("Transpose", ["k"], ["kt"], perm=[0, 2, 1]),
        node("MatMul", ["q", "kt"], ["s"]),
        node("Softmax", ["s"], ["p"], axis=-1),
        node("MatMul", ["p", "x"], ["o"]),
        node("LayerNormalization", ["o", "g"], ["y"]),
    ]
    return model(nodes, (1, 10, 32), {"wq": random(32, 32), "wk": random(32, 32), "g": random(32)})


def quantised() -> ModelProto:
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        node("Exp", ["d"], ["a"]),
        node("Sigmoid", ["d"], ["b"]),
        node("Add", ["a", "b"], ["y"]),
    ]
    return model(nodes, (4, 25), {"s": np.float32(0.1), "z": np.uint8(3)})


def recurrent() -> ModelProto:
    nodes = [
        node("LSTM", ["x", "w", "r"], ["h", "", ""], hidden_size=11, direction="bidirectional"),
        node("ReduceSum", ["h"], ["y"]),
    ]
    return model(nodes, (7, 3, 5), {"w": random(2, 44, 5), "r": random(2, 44, 11)})


def quantised_recurrent() -> ModelProto:
    scales = {name: np.ones(2, np.float32) for name in ("ws", "rs")} | {
        name: np.zeros(2, np.int8) for name in ("wz", "rz")
    }
    weights = {"w": np.zeros((2, 5, 44), np.int8), "r": np.zeros((2, 11, 44), np.int8), "b": random(2, 88)}
    reads = ["x", "w", "r", "b", "", "", "", "", "ws", "wz", "rs", "rz"]
    layer = node(
        "DynamicQuantizeLSTM", reads, ["h"], hidden_size=11, direction="bidirectional", domain="com.microsoft"
    )
    made = model([layer, node("ReduceSum", ["h"], ["y"])], (7, 3, 5), {**weights, **scales})
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return made


def narrow() -> ModelProto:
    nodes = [
        node("Exp", ["h"], ["e"]),
        node("Softplus", ["e"], ["s"]),
        node("Shape", ["s"], ["shape"]),
        node("Expand", ["one", "shape"], ["ones"]),
        node("Concat", ["s", "row"], ["c"], axis=0),
        node("Sqrt", ["c"], ["r"]),
        node("TopK", ["r", "four"], ["t", "places"], axis=0),
        node("Tanh", ["ones"], ["u"]),
        node("Mul", ["t", "u"], ["m"]),
        node("Cast", ["x"], ["h"], to=TensorProto.FLOAT16),  # behind what reads it, as converters leave it
        node("Cast", ["m"], ["y"], to=TensorProto.FLOAT),
    ]
    return model(
        nodes, (4, 25), {"one": np.float16([1]), "row": np.zeros((1, 25), np.float16), "four": np.array([4])}
    )


def loop() -> ModelProto:
    inside = [
        node("Identity", ["c"], ["go"]),
        node("Exp", ["v"], ["e"]),
        node("Neg", ["e"], ["next"]),
        node("Abs", ["e"], ["part"]),
    ]
    body = helper.make_graph(
        inside,
        "body",
        [info("i", kind=TensorProto.INT64), info("c", kind=TensorProto.BOOL), info("v", 4, 25)],
        [info("go", kind=TensorProto.BOOL), info("next", 4, 25), info("part", 4, 25)],
    )
    nodes = [
        node("Concat", ["x"], ["a"], axis=0),
        node("Loop", ["trips", "true", "a"], ["last", "parts"], body=body),
        node("ReduceSum", ["parts"], ["r"]),
        node("Add", ["last", "r"], ["y"]),
    ]
    return model(nodes, (4, 25), {"trips": np.array(4), "true": np.array(True)})


def branch() -> ModelProto:
    then = helper.make_graph([node("Exp", ["a"], ["t"]), node("Neg", ["t"], ["o"])], "then", [], [info("o", 4, 25)])
    other = helper.make_graph(
        [node("Concat", ["a", "a"], ["u"], axis=0), node("Slice", ["u", "zero", "four"], ["p"])],
        "else",
        [],
        [info("p", 4, 25)],
    )
    nodes = [
        node("Abs", ["x"], ["a"]),
        node("ReduceMax", ["a"], ["m"], keepdims=0),
        node("Less", ["m", "limit"], ["c"]),
        node("If", ["c"], ["b"], then_branch=then, else_branch=other),
        node("Relu", ["b"], ["y"]),
    ]
    return model(nodes, (4, 25), {"limit": np.float32(-1), "zero": np.array([0]), "four": np.array([4])})


def unread() -> ModelProto:
    """Return a network in which nobody reads u and v: buffers are dead when they are written."""
    pairs = [("x", "a"), ("a", "b"), ("b", "c"), ("c", "d"), ("d", "y"), ("d", "v"), ("d", "u")]
    return model([node("Exp", [read], [written]) for read, written in pairs], (4, 25), {})


def collected() -> ModelProto:
    """Return a Loop whose iterations are collected: how many there are, onnxruntime knows once it has ended."""
    body = helper.make_graph(
        [node("Identity", ["c"], ["go"]), node("Exp", ["v"], ["next"]), node("Sin", ["next"], ["part"])],
        "body",
        [info("i", kind=TensorProto.INT64), info("c", kind=TensorProto.BOOL), info("v", 4, 25)],
        [info("go", kind=TensorProto.BOOL), info("next", 4, 25), info("part", 4, 25)],
    )
    nodes = [
        node("Loop", ["trips", "", "x"], ["last", "parts"], body=body),
        node("Exp", ["parts"], ["a"]),
        node("Sin", ["a"], ["b"]),
        node("MatMul", ["b", "wide"], ["c"]),
        node("MatMul", ["c", "narrow"], ["d"]),
        node("Exp", ["d"], ["e"]),
        node("Sin", ["e"], ["y"]),
    ]
    return model(nodes, (4, 25), {"trips": np.array(3), "wide": random(25, 99), "narrow": random(99, 25)})


MODELS = [residual, attention, quantised, recurrent, quantised_recurrent, narrow, loop, branch, unread, collected]


@pytest.fixture
def save(tmp_path: Path) -> Callable[[ModelProto], str]:
    def write(proto: ModelProto) -> str:
        path = tmp_path / "model.onnx"
        onnx.save(proto, path)
        return str(path)

    return write


@pytest.mark.parametrize("make", MODELS)
def test_the_prediction_from_the_file_is_what_onnxruntime_allocates(
    make: Callable[[], ModelProto], save: Callable[[ModelProto], str]
) -> None:
    found = verify_onnxruntime(Request(source=save(make())), Limits())
    assert found.predicted_bytes == found.measured_bytes
    assert found.steps
    assert found.first_difference is None
    assert {pair.name: pair.is_equal for pair in found.others if pair.name == "later_runs_block"} == {
        "later_runs_block": True
    }


@pytest.mark.parametrize("make", [residual, attention, loop])
def test_the_prediction_from_the_optimised_graph_is_what_onnxruntime_allocates(
    make: Callable[[], ModelProto], save: Callable[[ModelProto], str]
) -> None:
    found = verify_optimized(Request(source=save(make())), Limits())
    assert (found.optimization, found.first_difference) == ("all", None)
    assert found.predicted_bytes == found.measured_bytes


def test_both_measurements_agree_without_scratch(save: Callable[[ModelProto], str]) -> None:
    found = verify_onnxruntime(Request(source=save(residual())), Limits())
    bare = next(pair for pair in found.others if pair.name == "without_scratch")
    assert bare.is_equal
    assert bare.predicted_bytes is not None
    assert found.predicted_bytes is not None
    assert bare.predicted_bytes < found.predicted_bytes


def test_an_open_input_is_run_as_it_is_assumed(save: Callable[[ModelProto], str]) -> None:
    proto = residual()
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    found = verify_onnxruntime(Request(source=save(proto)), Limits())
    assert found.is_exact


def test_a_model_that_onnxruntime_refuses_is_one_line(save: Callable[[ModelProto], str]) -> None:
    proto = residual()
    proto.graph.node[1].domain = "not.there"
    with pytest.raises(RuntimeFailure, match=r"onnxruntime on .* failed"):
        verify_onnxruntime(Request(source=save(proto)), Limits())


def test_onnxruntime_missing_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, save: Callable[[ModelProto], str]
) -> None:
    monkeypatch.setattr("memprof.measure.onnxruntime.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError) as caught:
        verify_onnxruntime(Request(source=save(residual())), Limits())
    assert caught.value.extra == "onnxruntime"


def carrying(*nodes: NodeProto, prefix: str = "") -> GraphProto:
    """Return the body of a Loop: the nodes take v to m, three more take that to what is carried."""
    names = {name: prefix + name for name in ("i", "go", "v", "goes", "m", "e", "s", "next")}
    ends = [("Exp", "m", "e"), ("Sin", "e", "s"), ("Exp", "s", "next"), ("Identity", "go", "goes")]
    return helper.make_graph(
        [*nodes, *(node(op, [names[read]], [names[written]]) for op, read, written in ends)],
        "body",
        [
            info(names["i"], kind=TensorProto.INT64),
            info(names["go"], kind=TensorProto.BOOL),
            info(names["v"], 10, 10),
        ],
        [info(names["goes"], kind=TensorProto.BOOL), info(names["next"], 10, 10)],
    )


def packing(where: str) -> ModelProto:
    """Return a Loop whose body multiplies by a weight from outside, which kernels pack, and who else reads it."""
    inner = carrying(node("MatMul", ["n_v", "w"], ["n_m"]), prefix="n_")
    product, nested = node("MatMul", ["v", "w"], ["m"]), node("Loop", ["trips", "", "k"], ["m"], body=inner)
    scaled = carrying(node("Mul", ["n_v", "half"], ["n_m"]), prefix="n_")
    other = node("Loop", ["once", "", "k"], ["m"], body=scaled)
    inside = {
        "a body alone": [product],
        "a body twice": [node("MatMul", ["v", "w"], ["k"]), node("MatMul", ["k", "w"], ["m"])],
        "a body in a body": [node("Exp", ["v"], ["k"]), nested],
        "both bodies": [node("MatMul", ["v", "w"], ["k"]), nested],
        "a body around another": [node("MatMul", ["v", "w"], ["k"]), other],
    }
    beside = {"and a product": [node("MatMul", ["x", "w"], ["z"])], "and a sum": [node("Add", ["x", "w"], ["z"])]}
    numbers = {"trips": np.array(3), "once": np.array(1), "half": np.float32(0.5)}
    nodes = [node("Loop", ["trips", "", "x"], ["y"], body=carrying(*inside.get(where, [product])))]
    made = model([*nodes, *beside.get(where, [])], (10, 10), {**numbers, "w": random(10, 10)}, opset=17)
    if where in beside:
        made.graph.output.append(info("z", 10, 10))
    return made


@pytest.mark.parametrize(
    "where",
    [
        *("a body alone", "a body twice", "a body in a body", "both bodies", "a body around another"),
        *("and a product", "and a sum"),
    ],
)
def test_a_weight_that_is_packed_is_dropped_only_where_nobody_else_reads_it(
    where: str, save: Callable[[ModelProto], str]
) -> None:
    """Where it is dropped, a body that reads it has no block; a body in that has one in any case."""
    found = verify_onnxruntime(Request(source=save(packing(where))), Limits())
    assert (found.predicted_bytes, found.grade) == (found.measured_bytes, "exact")
    assert [pair.is_equal for pair in found.others if pair.name == "later_runs_peak"] == [True]
