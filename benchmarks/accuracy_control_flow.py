"""Control flow for the accuracy page, written with onnx.helper: a gated cell in a Loop, recurrent Scans, an If,
bodies in bodies, a loop that its data ends. ``write_models(folder)`` writes ``cf_*.onnx``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper

_FLOAT, _INT64, _BOOL = 1, 7, 9
_rng = np.random.default_rng(0)
node = helper.make_node


def write_models(folder: Path) -> None:
    """Write the models that the folder does not have yet."""
    for name, proto in models().items():
        path = folder / f"cf_{name}.onnx"
        if not path.exists():
            onnx.save(proto, path)


def models() -> dict[str, ModelProto]:
    return {
        "loop_gru_1": gated_loop(1),
        "loop_gru_2": gated_loop(2),
        "loop_gru_8": gated_loop(8),
        "loop_gru_big": gated_loop(50, (16, 64, 128)),
        "loop_gru_noscan": gated_loop(8, collects=False),
        "scan_rnn_1": scan(1),
        "scan_rnn_2": scan(2),
        "scan_rnn_8": scan(8),
        "scan_rev": scan(9, scan_input_directions=[1]),
        "if_dyn": branches(constant=False),
        "if_const": branches(constant=True),
        "nested": nested(),
        "while_loop": while_loop(),
    }


def gated_loop(steps: int, sizes: tuple[int, int, int] = (4, 16, 32), *, collects: bool = True) -> ModelProto:
    """Return a gated recurrent cell in a Loop over x [steps, batch, inputs]."""
    batch, inputs, hidden = sizes
    inside = [
        node("Gather", ["x", "i"], ["xt"]),
        node("MatMul", ["xt", "wx"], ["a"]),
        node("MatMul", ["h", "wh"], ["b"]),
        node("Add", ["a", "b"], ["s"]),
        node("Sigmoid", ["s"], ["z"]),
        node("Sub", ["one", "z"], ["iz"]),
        node("MatMul", ["h", "wn"], ["n0"]),
        node("Tanh", ["n0"], ["n"]),
        node("Mul", ["iz", "n"], ["p"]),
        node("Mul", ["z", "h"], ["q"]),
        node("Add", ["p", "q"], ["h_out"]),
        node("Identity", ["c"], ["c_out"]),
        *([node("Relu", ["h_out"], ["part"])] if collects else []),
    ]
    outputs = [_info("c_out", _BOOL), _info("h_out", _FLOAT, batch, hidden)]
    outputs += [_info("part", _FLOAT, batch, hidden)] if collects else []
    body = helper.make_graph(inside, "body", _loop_inputs(_info("h", _FLOAT, batch, hidden)), outputs)
    nodes = [
        node("ReduceSum", ["x", "axis"], ["x0"], keepdims=0),
        node("MatMul", ["x0", "wx"], ["h0"]),
        node("Loop", ["trips", "true", "h0"], ["last", "parts"] if collects else ["last"], body=body),
        node("Exp", ["last"], ["y"]),
        *([node("Neg", ["parts"], ["ys"])] if collects else []),
    ]
    weights = {"wx": _random(inputs, hidden), "wh": _random(hidden, hidden), "wn": _random(hidden, hidden)}
    constants = {"trips": np.array(steps), "true": np.array(True), "axis": np.array([0]), "one": np.float32(1)}
    return _model(nodes, (steps, batch, inputs), ["y", "ys"] if collects else ["y"], {**weights, **constants})


def scan(steps: int, **attributes: Any) -> ModelProto:
    """Return a plain recurrent cell in a Scan."""
    inside = [
        node("MatMul", ["u", "wx"], ["a"]),
        node("MatMul", ["h", "wh"], ["b"]),
        node("Add", ["a", "b"], ["s"]),
        node("Tanh", ["s"], ["h_out"]),
        node("Relu", ["h_out"], ["part"]),
    ]
    state = (4, 32)
    body = helper.make_graph(
        inside,
        "body",
        [_info("h", _FLOAT, *state), _info("u", _FLOAT, 4, 16)],
        [_info("h_out", _FLOAT, *state), _info("part", _FLOAT, *state)],
    )
    nodes = [
        node("ReduceSum", ["x", "axis"], ["x0"], keepdims=0),
        node("MatMul", ["x0", "wx"], ["h0"]),
        node("Scan", ["h0", "x"], ["last", "parts"], body=body, num_scan_inputs=1, **attributes),
        node("Exp", ["last"], ["y"]),
        node("Neg", ["parts"], ["ys"]),
    ]
    constants = {"wx": _random(16, 32), "wh": _random(32, 32), "axis": np.array([0])}
    return _model(nodes, (steps, 4, 16), ["y", "ys"], constants)


def branches(*, constant: bool) -> ModelProto:
    """Return an If with a convolution in each branch, its condition constant or computed."""
    image = (1, 8, 32, 32)
    then = [
        node("Conv", ["a", "w"], ["t1"], pads=[1, 1, 1, 1]),
        node("Relu", ["t1"], ["t2"]),
        node("Conv", ["t2", "w"], ["t3"], pads=[1, 1, 1, 1]),
        node("Add", ["t3", "a"], ["t"]),
    ]
    other = [node("Concat", ["a", "a"], ["e1"], axis=1), node("Conv", ["e1", "w2"], ["e"])]
    nodes = [node("Exp", ["x"], ["a"])]
    constants = {"w": _random(8, 8, 3, 3), "w2": _random(8, 16, 1, 1), "zero": np.float32(0)}
    if constant:
        constants["c"] = np.array(False)
    else:
        nodes += [node("ReduceMean", ["a"], ["m"], keepdims=0), node("Greater", ["m", "zero"], ["c"])]
    nodes += [
        node(
            "If",
            ["c"],
            ["b"],
            then_branch=helper.make_graph(then, "then", [], [_info("t", _FLOAT, *image)]),
            else_branch=helper.make_graph(other, "else", [], [_info("e", _FLOAT, *image)]),
        ),
        node("Sigmoid", ["b"], ["y"]),
    ]
    return _model(nodes, image, ["y"], constants)


def nested() -> ModelProto:
    """Return a Loop in a Loop."""
    inner = helper.make_graph(
        [node("Exp", ["v"], ["e"]), node("Neg", ["e"], ["v_out"]), node("Identity", ["ic"], ["ic_out"])],
        "inner",
        [_info("ii", _INT64), _info("ic", _BOOL), _info("v", _FLOAT, 8, 50)],
        [_info("ic_out", _BOOL), _info("v_out", _FLOAT, 8, 50)],
    )
    outer = helper.make_graph(
        [
            node("Abs", ["h"], ["a"]),
            node("Loop", ["four", "true", "a"], ["l"], body=inner),
            node("Add", ["l", "h"], ["h_out"]),
            node("Identity", ["c"], ["c_out"]),
        ],
        "outer",
        _loop_inputs(_info("h", _FLOAT, 8, 50)),
        [_info("c_out", _BOOL), _info("h_out", _FLOAT, 8, 50)],
    )
    nodes = [
        node("Concat", ["x"], ["start"], axis=0),
        node("Loop", ["three", "true", "start"], ["f"], body=outer),
        node("Relu", ["f"], ["y"]),
    ]
    return _model(nodes, (8, 50), ["y"], {"three": np.array(3), "four": np.array(4), "true": np.array(True)})


def while_loop() -> ModelProto:
    """Return a Loop that its data ends, after one iteration on inputs in [0, 1)."""
    inside = [
        node("Mul", ["h", "two"], ["d"]),
        node("Tanh", ["d"], ["h_out"]),
        node("ReduceMax", ["h_out"], ["m"], keepdims=0),
        node("Less", ["m", "limit"], ["c_out"]),
    ]
    outputs = [_info("c_out", _BOOL), _info("h_out", _FLOAT, 8, 50)]
    body = helper.make_graph(inside, "body", _loop_inputs(_info("h", _FLOAT, 8, 50)), outputs)
    nodes = [
        node("Concat", ["x"], ["a"], axis=0),
        node("Loop", ["", "true", "a"], ["f"], body=body),
        node("Exp", ["f"], ["y"]),
    ]
    constants = {"true": np.array(True), "two": np.float32(2), "limit": np.float32(0.9)}
    return _model(nodes, (8, 50), ["y"], constants)


def _loop_inputs(carried: onnx.ValueInfoProto) -> list[onnx.ValueInfoProto]:
    return [_info("i", _INT64), _info("c", _BOOL), carried]


def _info(name: str, kind: int, *shape: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def _random(*shape: int) -> Any:
    return _rng.random(shape, dtype=np.float32)


def _model(
    nodes: list[NodeProto], shape: tuple[int, ...], outputs: list[str], constants: Mapping[str, Any]
) -> ModelProto:
    wanted = [helper.make_tensor_value_info(name, _FLOAT, None) for name in outputs]
    initialisers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph: GraphProto = helper.make_graph(
        nodes, "control_flow", [_info("x", _FLOAT, *shape)], wanted, initializer=initialisers
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
