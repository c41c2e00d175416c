"""Numbers that are not known but lie between others: the largest size that follows from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

import memprof
from tests.onnx_models import body, integers, load, model, node, shapes, tensor

INT = TensorProto.INT64

NUMBERS: dict[str, tuple[int, list[NodeProto]]] = {
    "Min": (100, [node("Min", ["k", "hundred"], ["n"])]),
    "Clip": (100, [node("Clip", ["k", "zero", "hundred"], ["n"])]),
    "Mod": (99, [node("Mod", ["k", "hundred"], ["n"])]),
    "fmod of Abs": (99, [node("Abs", ["k"], ["a"]), node("Mod", ["a", "hundred"], ["n"], fmod=1)]),
    "ArgMax": (3, [node("ArgMax", ["x"], ["i"], axis=1), node("ReduceMax", ["i"], ["n"], keepdims=0)]),
    "NonZero": (3, [node("NonZero", ["x"], ["i"]), node("ReduceMax", ["i"], ["n"], keepdims=0)]),
    "TopK": (3, [node("TopK", ["x", "first"], ["t", "i"], axis=1), node("ReduceMin", ["i"], ["n"], keepdims=0)]),
    "Sigmoid times": (
        50,
        [
            node("ReduceMean", ["x"], ["m"], keepdims=0),
            node("Sigmoid", ["m"], ["s"]),
            node("Mul", ["s", "fifty"], ["f"]),
            node("Cast", ["f"], ["n"], to=INT),
        ],
    ),
    "counted": (
        12,
        [
            node("Greater", ["x", "fifty"], ["g"]),
            node("Cast", ["g"], ["i"], to=INT),
            node("ReduceSum", ["i"], ["n"], keepdims=0),
        ],
    ),
    "Where": (100, [node("Greater", ["k", "seven"], ["g"]), node("Where", ["g", "seven", "hundred"], ["n"])]),
    "Div": (14, [node("Clip", ["k", "zero", "hundred"], ["q"]), node("Div", ["q", "seven"], ["n"])]),
    "Mul": (49, [node("Clip", ["k", "zero", "seven"], ["q"]), node("Mul", ["q", "seven"], ["n"])]),
    "Sub": (100, [node("Clip", ["k", "zero", "seven"], ["q"]), node("Sub", ["hundred", "q"], ["n"])]),
    "looked up": (
        9,
        [
            node("ArgMax", ["x"], ["i"], axis=0),
            node("ReduceMin", ["i"], ["j"], keepdims=0),
            node("Gather", ["table", "j"], ["n"]),
        ],
    ),
    "uint8": (255, [node("Cast", ["byte"], ["n"], to=INT)]),
}
"""What computes one number, and the largest that it is."""

FLOATS = TensorProto.FLOAT
VECTOR = [node("Unsqueeze", ["n", "nought"], ["v"]), node("Concat", ["three", "v"], ["s"], axis=0)]
SIZES: dict[str, tuple[tuple[int, ...], list[NodeProto]]] = {
    "Range": ((100,), [node("Range", ["zero", "n", "one"], ["y"])]),
    "ConstantOfShape": ((3, 100), [*VECTOR, node("ConstantOfShape", ["s"], ["y"])]),
    "Expand": ((3, 100), [*VECTOR, node("Expand", ["one", "s"], ["y"])]),
    "Tile": ((9, 400), [*VECTOR, node("Tile", ["x", "s"], ["y"])]),
    "Slice": ((100, 2), [VECTOR[0], node("Slice", ["large", "nought", "v", "nought"], ["y"])]),
    "Slice from behind": (
        (120, 2),
        [VECTOR[0], node("Neg", ["v"], ["w"]), node("Slice", ["large", "w", "end"], ["y"])],
    ),
    "Pad": (
        (6, 104),
        [*VECTOR, node("Concat", ["nought", "nought", "s"], ["p"], axis=0), node("Pad", ["x", "p"], ["y"])],
    ),
    "OneHot": ((4, 100), [node("Max", ["n", "one"], ["m"]), node("OneHot", ["table", "m", "both"], ["y"])]),
    "Resize": ((3, 100), [*VECTOR, node("Max", ["s", "one"], ["m"]), node("Resize", ["x", "", "", "m"], ["y"])]),
    "HannWindow": ((100,), [node("Max", ["n", "one"], ["m"]), node("HannWindow", ["m"], ["y"])]),
    "TopK": (
        (3, 4),
        [
            node("Min", ["n", "four"], ["m"]),
            node("Unsqueeze", ["m", "nought"], ["v"]),
            node("TopK", ["x", "v"], ["y", "i"]),
        ],
    ),
    "TopK of fewer": (
        (3, 2),
        [
            node("Clip", ["k", "zero", "two"], ["m"]),
            node("Unsqueeze", ["m", "nought"], ["v"]),
            node("TopK", ["x", "v"], ["y", "i"]),
        ],
    ),
}
"""What a number between 0 and 100 decides, and the largest that it writes."""

_SCALARS = {"zero": 0, "one": 1, "two": 2, "four": 4, "seven": 7, "hundred": 100}
CONSTANTS = [
    *(numpy_helper.from_array(np.array(number), name) for name, number in _SCALARS.items()),
    *(integers(name, number) for name, number in (("nought", 0), ("first", 1), ("three", 3), ("end", 10**6))),
    integers("table", 5, 9, 2, 7),
    numpy_helper.from_array(np.array(50, np.float32), "fifty"),
    numpy_helper.from_array(np.array([0, 1], np.float32), "both"),
    numpy_helper.from_array(np.zeros((120, 2), np.float32), "large"),
]
INPUTS = [tensor("k", [], INT), tensor("x", [3, 4]), tensor("byte", [], TensorProto.UINT8)]


def built(nodes: list[NodeProto]) -> ModelProto:
    return model(nodes, inputs=INPUTS, outputs=["y"], initializers=CONSTANTS, opset=18)


@pytest.mark.parametrize("name", NUMBERS)
def test_the_largest_that_a_number_is(tmp_path: Path, name: str) -> None:
    most, nodes = NUMBERS[name]
    found = load(tmp_path, built([*nodes, *SIZES["Range"][1]]))
    assert shapes(found)["y"] == (most,)
    assert [note.kind for note in found.graph.assumed if note.name == "y"] == ["bound"]


@pytest.mark.parametrize("name", SIZES)
def test_the_largest_that_a_number_decides(tmp_path: Path, name: str) -> None:
    shape, nodes = SIZES[name]
    net = built([*NUMBERS["Clip"][1], *nodes])
    found = load(tmp_path, net)
    assert shapes(found)["y"] == shape
    (tmp_path / "net.onnx").write_bytes(net.SerializeToString())
    report = memprof.analyze(tmp_path / "net.onnx", runtimes=["reference"])
    assert (report.unknown, report.headline.grade) == ((), "upper bound")


@pytest.mark.parametrize("name", NUMBERS)
def test_no_run_exceeds_what_is_said(tmp_path: Path, name: str) -> None:
    _, nodes = NUMBERS[name]
    net = built([*nodes, node("Max", ["n", "zero"], ["last"]), node("Range", ["zero", "last", "one"], ["y"])])
    (most,) = shapes(load(tmp_path, net))["y"] or ()
    session = ReferenceEvaluator(net)
    draw = np.random.default_rng(11)
    for number in (-7, 0, 6, 8, 99, 100, 101, 10**6):
        x = (draw.normal(size=(3, 4)) * 100).astype(np.float32)
        given = {"k": np.array(number), "x": x, "byte": np.array(number % 256, np.uint8)}
        (written,) = session.run(["y"], given)
        assert written.size <= most


def test_what_nothing_bounds_stays_unknown(tmp_path: Path) -> None:
    for nodes in (
        [node("Max", ["k", "hundred"], ["n"])],
        [node("Sub", ["hundred", "k"], ["n"])],
        [node("Min", ["k", "hundred"], ["q"]), node("Abs", ["q"], ["n"])],
        [node("Min", ["k", "hundred"], ["q"]), node("Mul", ["q", "q"], ["n"])],
        [node("Div", ["hundred", "k"], ["n"])],
    ):
        found = load(tmp_path, built([*nodes, *SIZES["Range"][1]]))
        assert shapes(found)["y"] == (None,)
        assert found.graph.unknown


def test_a_loop_runs_as_often_as_a_number_says_at_most(tmp_path: Path) -> None:
    inner = body([node("Identity", ["c"], ["d"]), node("Relu", ["x"], ["z"])], inputs=["i", "c"], outputs=["d", "z"])
    nodes = [*NUMBERS["Min"][1], node("Loop", ["n", ""], ["y"], body=inner)]
    assert shapes(load(tmp_path, built(nodes)))["y"] == (100, 3, 4)


def test_a_body_asks_the_graph_around(tmp_path: Path) -> None:
    branch = [node("Range", ["zero", "n", "one"], ["r"]), node("Identity", ["r"], ["z"])]
    both = {name: body(branch, outputs=["z"]) for name in ("then_branch", "else_branch")}
    nodes = [*NUMBERS["Min"][1], node("Greater", ["k", "seven"], ["g"]), node("If", ["g"], ["y"], **both)]
    assert shapes(load(tmp_path, built(nodes)))["y"] == (100,)


def constants(**numbers: object) -> list[TensorProto]:
    return [numpy_helper.from_array(np.array(number), name) for name, number in numbers.items()]


TIGHT: dict[str, tuple[list[NodeProto], list[TensorProto], dict[str, object]]] = {
    "Col2Im": (
        [node("Clip", ["k", "one", "two"], ["b"]), node("Col2Im", ["x", "image", "b"], ["y"])],
        constants(two=2, image=[4, 4]),
        {"x": np.zeros((1, 4, 16), np.float32), "k": np.array([1, 1])},
    ),
    "a product that float32 rounds up": (
        [
            node("Min", ["k", "least"], ["m"]),
            node("Concat", ["ones", "m"], ["s"], axis=0),
            node("Resize", ["x", "", "s"], ["y"]),
        ],
        constants(least=np.array([1 / 49], np.float32), ones=np.ones(3, np.float32)),
        {"x": np.zeros((1, 1, 1, 49), np.float32), "k": np.ones(1, np.float32)},
    ),
    "a sum that float32 rounds up at each step": (
        [
            node("Min", ["x", "least"], ["m"]),
            node("Sum", ["m"] * 10, ["s"]),
            node("Ceil", ["s"], ["f"]),
            node("Cast", ["f"], ["n"], to=INT),
            node("Range", ["zero", "n", "one"], ["y"]),
        ],
        constants(least=np.float32(0.1)),
        {"x": np.array(1, np.float32)},
    ),
    "a narrower number that wraps around": (
        [
            node("Abs", ["k"], ["a"]),
            node("Cast", ["a"], ["narrow"], to=TensorProto.INT32),
            node("Cast", ["narrow"], ["b"], to=INT),
            node("Neg", ["b"], ["c"]),
            node("Min", ["c", "hundred"], ["n"]),
            node("Range", ["zero", "n", "one"], ["y"]),
        ],
        constants(hundred=100),
        {"k": np.array(2**31 + 5)},
    ),
}
"""What a run writes as much as is said: nodes, constants, inputs."""


@pytest.mark.parametrize("name", TIGHT)
def test_a_run_writes_all_that_is_said(tmp_path: Path, name: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    nodes, more, given = TIGHT[name]
    inputs = [
        tensor(key, np.shape(array), FLOATS if np.asarray(array).dtype == np.float32 else INT)
        for key, array in given.items()
    ]
    net = model(nodes, inputs=inputs, outputs=["y"], initializers=[*constants(zero=0, one=1), *more], opset=18)
    found = shapes(load(tmp_path, net))["y"]
    kind = INT if nodes[-1].op_type == "Range" else FLOATS
    net.graph.output[0].type.tensor_type.elem_type = kind
    session = onnxruntime.InferenceSession(net.SerializeToString(), providers=["CPUExecutionProvider"])
    assert session.run(["y"], given)[0].shape == found


def test_more_may_be_asked_for_where_less_is_read_so_nothing_is_promised(tmp_path: Path) -> None:
    nodes = [
        node("NonZero", ["x"], ["places"]),
        node("Clip", ["places", "one", "seven"], ["c"]),
        node("ReduceSum", ["c", "first"], ["s"], keepdims=0),
        node("Sub", ["many", "s"], ["k"]),
        node("TopK", ["data", "k"], ["y", "i"]),
    ]
    more = [*constants(one=1, seven=7, many=[200]), integers("first", 1)]
    inputs = [tensor("x", [100]), tensor("data", [300])]
    net = model(nodes, inputs=inputs, outputs=["y", "i"], initializers=more, opset=18)
    (tmp_path / "net.onnx").write_bytes(net.SerializeToString())
    assert memprof.analyze(tmp_path / "net.onnx", runtimes=["reference"]).headline.grade == "estimate"


def test_a_loop_of_no_number_of_rounds_is_not_known(tmp_path: Path) -> None:
    inner = body([node("Identity", ["c"], ["d"]), node("Relu", ["x"], ["z"])], inputs=["i", "c"], outputs=["d", "z"])
    net = model(
        [node("Loop", ["n", ""], ["y"], body=inner)],
        inputs=[tensor("x", [3, 4])],
        outputs=["y"],
        initializers=constants(n=np.float32("nan")),
    )
    assert shapes(load(tmp_path, net))["y"] == (None, 3, 4)


def test_a_limit_of_a_loop_that_is_no_number_bounds_nothing(tmp_path: Path) -> None:
    inner = body([node("Identity", ["c"], ["d"]), node("Relu", ["x"], ["z"])], inputs=["i", "c"], outputs=["d", "z"])
    nan = numpy_helper.from_array(np.array(np.nan, np.float32), "nan")
    nodes = [node("Mul", ["nan", "fifty"], ["m"]), node("Loop", ["m", "go"], ["y"], body=inner)]
    inputs = [*INPUTS, tensor("go", [], TensorProto.BOOL)]
    found = model(nodes, inputs=inputs, outputs=["y"], initializers=[*CONSTANTS, nan], opset=18)
    assert shapes(load(tmp_path, found))["y"] == (None, 3, 4)


def test_a_slice_of_a_single_number_has_no_axis_to_be_bounded(tmp_path: Path) -> None:
    nodes = [node("Slice", ["k", "at", "at"], ["y"])]
    found = load(tmp_path, model(nodes, inputs=[*INPUTS, tensor("at", [1], INT)], outputs=["y"], opset=18))
    assert shapes(found)["y"] == ()
    assert not found.graph.assumed


@pytest.mark.parametrize("op", ["Tanh", "Sigmoid"])
def test_what_kernels_approximate_is_a_little_above_one(tmp_path: Path, op: str) -> None:
    """onnxruntime 1.32 writes 1.0000002 and 1.0000001 for some numbers."""
    nodes = [
        node("ReduceMax", ["x"], ["m"], keepdims=0),
        node(op, ["m"], ["t"]),
        node("Ceil", ["t"], ["f"]),
        node("Cast", ["f"], ["n"], to=INT),
        node("Range", ["zero", "n", "one"], ["y"]),
    ]
    assert shapes(load(tmp_path, built(nodes)))["y"] == (2,)
