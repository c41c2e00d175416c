"""Where transposes end up by rules of the file alone, against where the installed onnxruntime puts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from memprof.importers.onnx import read_onnx
from memprof.importers.request import Request
from memprof.ir import Graph
from memprof.measure.sessions import with_session
from memprof.runtimes.onnxruntime.default import session_frame
from memprof.runtimes.onnxruntime.kernel_table import VERSION
from tests.onnx_models import integers, model, node, tensor, weight

_END = 2**63 - 1


def _heads(nodes: Sequence[NodeProto], outputs: Sequence[str] = ("y",), opset: int = 17) -> ModelProto:
    """Return a product of one tensor ``k`` of four heads, heads first, that some operations turn into ``c``."""
    return model(
        [
            node("Transpose", ["x"], ["k"], perm=[0, 2, 1, 3]),
            *nodes,
            node("Transpose", ["c"], ["t"], perm=[0, 1, 3, 2]),
            node("MatMul", ["q", "t"], ["y"]),
        ],
        inputs=[tensor("x", [1, 24, 4, 32]), tensor("q", [1, 4, 24, 32]), tensor("angles", [1, 1, 24, 32])],
        outputs=outputs,
        initializers=[
            weight("cos", 1, 1, 24, 32),
            weight("row", 32),
            *(integers(f"i{i}", i) for i in (0, 1, 2, 3, 16, 32)),
            integers("end", _END),
            integers("pads", 0, 0, 1, 0, 0, 0, 1, 0),
            integers("repeats", 1, 1, 3, 1),
            integers("flat", 1, 1, 4, 32),
            numpy_helper.from_array(np.float32(0.5), "half"),
        ],
        opset=opset,
    )


def _rotated(source: str, angles: str) -> list[NodeProto]:
    """Return a rotary embedding: each half of the last axis turns around the other."""
    return [
        node("Slice", [source, "i0", "i16", "i3"], ["left"]),
        node("Slice", [source, "i16", "end", "i3"], ["right"]),
        node("Neg", ["right"], ["minus"]),
        node("Concat", ["minus", "left"], ["turned"], axis=-1),
        node("Mul", ["turned", angles], ["sin"]),
        node("Mul", [source, angles], ["cosine"]),
        node("Add", ["cosine", "sin"], ["embedded"]),
    ]


_GRAPHS = {
    "a rotary embedding by weights": _heads([*_rotated("k", "cos"), node("Identity", ["embedded"], ["c"])]),
    "a rotary embedding by an input": _heads([*_rotated("k", "angles"), node("Identity", ["embedded"], ["c"])]),
    "a part that is embedded and an empty rest": _heads(
        [
            node("Slice", ["k", "i0", "i32", "i3"], ["part"]),
            node("Slice", ["k", "i32", "end", "i3"], ["rest"]),
            *_rotated("part", "cos"),
            node("Concat", ["embedded", "rest"], ["c"], axis=3),
        ]
    ),
    "a weight of fewer axes": _heads([node("Mul", ["k", "row"], ["m"]), node("Add", ["m", "half"], ["c"])]),
    "a weight that two read": _heads(
        [node("Mul", ["k", "cos"], ["m"]), node("Exp", ["cos"], ["e"]), node("Sub", ["m", "e"], ["c"])]
    ),
    "two ways that meet again": _heads(
        [node("Neg", ["k"], ["n"]), node("Exp", ["n"], ["e"]), node("Add", ["n", "e"], ["c"])]
    ),
    "one of several readers undoes it": _heads(
        [
            node("Exp", ["k"], ["n"]),
            node("Transpose", ["n"], ["b"], perm=[0, 2, 1, 3]),
            node("Sqrt", ["b"], ["z"]),
            node("Neg", ["n"], ["c"]),
        ],
        ["y", "z"],
    ),
    "of two that do the same the caller reads one": _heads(
        [
            node("Tanh", ["q"], ["a"]),
            node("Neg", ["a"], ["u"]),
            node("Tanh", ["q"], ["z"]),
            node("Neg", ["k"], ["c"]),
        ],
        ["y", "u", "z"],
    ),
    "one tensor twice": _heads([node("Neg", ["k"], ["n"]), node("Mul", ["n", "n"], ["c"])]),
    "the caller reads it": _heads([node("Neg", ["k"], ["n"]), node("Exp", ["n"], ["c"])], ["y", "n"]),
    "the caller reads what is transposed": _heads([node("Neg", ["k"], ["c"])], ["y", "c"]),
    "a sum along an axis": _heads(
        [node("ReduceMean", ["k"], ["m"], axes=[2], keepdims=1), node("Sub", ["k", "m"], ["c"])]
    ),
    "an axis that goes and comes back": _heads(
        [
            node("ReduceMax", ["k"], ["m"], axes=[2], keepdims=0),
            node("Unsqueeze", ["m", "i2"], ["u"]),
            node("Squeeze", ["u", "i2"], ["s"]),
            node("Unsqueeze", ["s", "i2"], ["w"]),
            node("Add", ["w", "k"], ["c"]),
        ]
    ),
    "padded, repeated and cut": _heads(
        [
            node("Pad", ["k", "pads"], ["p"]),
            node("Tile", ["p", "repeats"], ["r"]),
            node("Slice", ["r", "i1", "end", "i2"], ["s"]),
            node("Softmax", ["s"], ["c"], axis=-1),
        ]
    ),
    "a softmax that parts the axes in two": _heads([node("Softmax", ["k"], ["c"], axis=1)], opset=12),
    "turned, and turned again by a reshape": _heads(
        [
            node("Relu", ["k"], ["n"]),
            node("ReduceSum", ["n", "i2"], ["m"], keepdims=1),
            node("Reshape", ["m", "flat"], ["f"]),
            node("Transpose", ["f"], ["b"], perm=[0, 2, 1, 3]),
            node("Add", ["b", "k"], ["c"]),
        ]
    ),
    "split by one and joined": _heads(
        [
            node("Split", ["k"], ["a", "b"], axis=3),
            node("Sigmoid", ["b"], ["g"]),
            node("Mul", ["a", "g"], ["h"]),
            node("Concat", ["h", "h"], ["c"], axis=3),
        ]
    ),
}


def _pair(name: str) -> list[NodeProto]:
    return [
        node("QuantizeLinear", [name, "s", "z"], [f"{name}_q"]),
        node("DequantizeLinear", [f"{name}_q", "s", "z"], [f"{name}_d"]),
    ]


def _signed(zero: str) -> ModelProto:
    """Return a convolution of one dimension of a signed result that two read, so that it stays signed."""

    def pair(name: str) -> list[NodeProto]:
        return [
            node("QuantizeLinear", [name, "s", zero], [f"{name}_q"]),
            node("DequantizeLinear", [f"{name}_q", "s", zero], [f"{name}_d"]),
        ]

    return model(
        [
            *(node("DequantizeLinear", [f"w{i}_q", "s", "z8"], [f"w{i}"]) for i in (1, 2)),
            *pair("x"),
            node("Conv", ["x_d", "w1"], ["k"]),
            *pair("k"),
            node("Conv", ["k_d", "w2"], ["c"]),
            *pair("c"),
            node("Softplus", ["k_d"], ["p"]),
            node("Add", ["c_d", "p"], ["y"]),
            node("Softsign", ["c_d"], ["o"]),
        ],
        inputs=[tensor("x", [1, 8, 12])],
        outputs=["y", "o"],
        initializers=[
            *(weight(f"w{i}_q", 8, 8, 1, dtype=TensorProto.INT8) for i in (1, 2)),
            numpy_helper.from_array(np.float32(0.02), "s"),
            numpy_helper.from_array(np.uint8(0), "z"),
            numpy_helper.from_array(np.int8(0), "z8"),
        ],
        opset=13,
    )


def _quantised(nodes: Sequence[NodeProto]) -> ModelProto:
    """Return operations between a quantised image ``x_d`` and a result ``c``, and a convolution behind them."""
    return model(
        [
            *(node("DequantizeLinear", [f"{name}_q", "s", "z8"], [name]) for name in ("w1", "w2")),
            *_pair("x"),
            node("Conv", ["x_d", "w1"], ["k"], pads=[1, 1, 1, 1]),
            *_pair("k"),
            *nodes,
            *_pair("c"),
            node("Conv", ["c_d", "w2"], ["v"]),
            *_pair("v"),
            node("Identity", ["v_d"], ["y"]),
        ],
        inputs=[tensor("x", [1, 3, 12, 12])],
        outputs=["y"],
        initializers=[
            weight("w1_q", 16, 3, 3, 3, dtype=TensorProto.INT8),
            weight("w2_q", 8, 16, 1, 1, dtype=TensorProto.INT8),
            weight("number", 1, 16, 12, 12),
            numpy_helper.from_array(np.float32(0.02), "s"),
            numpy_helper.from_array(np.uint8(0), "z"),
            numpy_helper.from_array(np.int8(0), "z8"),
        ],
        opset=13,
    )


_QUANTISED = {
    "a gate between two convolutions": [
        node("Sigmoid", ["k_d"], ["g"]),
        *_pair("g"),
        node("Mul", ["k_d", "g_d"], ["c"]),
    ],
    "pools of a convolution": [
        node("MaxPool", ["k_d"], ["p"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        *_pair("p"),
        node("MaxPool", ["p_d"], ["o"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        *_pair("o"),
        node("Add", ["p_d", "o_d"], ["c"]),
    ],
    "pools of a result that stays as it is": [
        node("Sigmoid", ["k_d"], ["g"]),
        *_pair("g"),
        node("Softplus", ["g_d"], ["h"]),
        *_pair("h"),
        node("MaxPool", ["h_d"], ["c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    ],
    "split and joined": [
        node("Split", ["k_d"], ["a", "b"], axis=1),
        *_pair("a"),
        *_pair("b"),
        node("Concat", ["b_d", "a_d"], ["c"], axis=1),
    ],
    "a softmax between transposes": [
        node("Transpose", ["k_d"], ["t"], perm=[0, 2, 1, 3]),
        *_pair("t"),
        node("Softmax", ["t_d"], ["m"], axis=3),
        *_pair("m"),
        node("Transpose", ["m_d"], ["c"], perm=[0, 2, 1, 3]),
    ],
    "a weight that is quantised": [*_pair("number"), node("Add", ["k_d", "number_d"], ["c"])],
    "a sum of what is transposed": [
        node("Transpose", ["k_d"], ["t"], perm=[0, 2, 3, 1]),
        *_pair("t"),
        node("Relu", ["t_d"], ["r"]),
        node("Neg", ["r"], ["n"]),
        node("Transpose", ["n"], ["c"], perm=[0, 3, 1, 2]),
    ],
}
_GRAPHS |= {name: _quantised(nodes) for name, nodes in _QUANTISED.items()}
_GRAPHS |= {"one dimension of signed bytes": _signed("z8"), "one dimension of bytes": _signed("z")}

for _name, _shape, _order, _target in (
    ("an axis that is split", (40, 8, 24), (1, 0, 2), (2, 4, 40, 24)),
    ("a sequence that becomes an image", (1, 64, 32), (0, 2, 1), (1, 32, 8, 8)),
    ("ones in front of an axis", (1, 64, 32), (0, 2, 1), (1, 32, 1, 1, 64)),
    ("ones behind the last axis", (1, 64, 32), (0, 2, 1), (1, 32, 64, 1)),
    ("axes that are joined", (2, 8, 24), (2, 0, 1), (24, 16)),
    ("axes that are split and joined", (6, 8, 24), (1, 0, 2), (2, 4, 144)),
    ("an axis of one", (4, 1, 32), (2, 1, 0), (8, 4, 1, 4)),
):
    _GRAPHS[_name] = model(
        [
            node("Transpose", ["x"], ["t"], perm=_order),
            node("Reshape", ["t", "target"], ["r"]),
            node("Softplus", ["r"], ["y"]),
        ],
        inputs=[tensor("x", _shape)],
        outputs=["y"],
        initializers=[integers("target", *_target)],
    )

_GRAPHS["factors that a product transposes itself"] = model(
    [
        node("Transpose", ["x"], ["a"], perm=[1, 2, 0, 3]),
        node("Transpose", ["z"], ["b"], perm=[1, 2, 3, 0]),
        node("Transpose", ["z"], ["c"], perm=[2, 1, 0, 3]),
        node("MatMul", ["a", "b"], ["p"]),
        node("MatMul", ["p", "c"], ["y"]),
    ],
    inputs=[tensor("x", [6, 4, 4, 8]), tensor("z", [6, 4, 4, 8])],
    outputs=["y"],
)

_GRAPHS["the same done with a weight under another name"] = model(
    [
        node("Identity", ["w"], ["v"]),
        node("MatMul", ["x", "w"], ["a"]),
        node("MatMul", ["x", "v"], ["b"]),
        node("Exp", ["b"], ["c"]),
        node("Add", ["a", "c"], ["y"]),
    ],
    inputs=[tensor("x", [4, 8])],
    outputs=["y"],
    initializers=[weight("w", 8, 8)],
)


def _operations(graph: Graph) -> Counter[tuple[str, tuple[object, ...] | None]]:
    return Counter(
        (of.op, graph.values[i].type.shape) for of in graph.nodes for i in of.writes if of.op != "Constant"
    )


pytestmark = pytest.mark.skipif(
    not version("onnxruntime").startswith(VERSION), reason=f"the rules are those of onnxruntime {VERSION}"
)


@pytest.mark.parametrize("name", _GRAPHS)
def test_transposes_lie_where_onnxruntime_puts_them(name: str, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    path, optimised = tmp_path / "net.onnx", tmp_path / "optimised.onnx"
    path.write_bytes(_GRAPHS[name].SerializeToString())
    options = runtime.SessionOptions()
    options.optimized_model_filepath = str(optimised)
    options.log_severity_level = 3
    runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    request = replace(Request(source=path), from_file=True)
    ruled = session_frame(with_session(read_onnx(request), request)).graph

    assert _operations(ruled) == _operations(read_onnx(Request(source=optimised)).graph)
