"""Programs of the kinds that are easy to get wrong: nested control flow, state, odd element types, scratch."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Mapping
from typing import Any

from memprof.importers.tflite.operators import DTYPES, OPERATORS
from tests import tflite_models as make
from tests.tflite_models import FLOAT32, INT4, INT8, INT16, INT32, RESOURCE, Graph, Number, Operator, Tensor, Vector

make.CODES.update({op: number for number, op in enumerate(OPERATORS)})
NUMBERS = {name: number for number, (name, _) in enumerate(DTYPES)}
BOOL, INT64 = NUMBERS["BOOL"], NUMBERS["INT64"]
ROW = (1, 16)
ADD = {0: Number("b", 0)}
_WIDTHS = {FLOAT32: 4, INT8: 1, INT16: 2, INT32: 4, INT64: 8, BOOL: 1}


def tensor(name: str, shape: tuple[int, ...] = ROW, dtype: int = FLOAT32, **more: Any) -> Tensor:
    """Return a tensor that nothing fills, quantised where its type is that of quantised data."""
    scales = {4: {2: Vector("f", [0.5]), 3: Vector("q", [0])}} if dtype in {INT8, INT16, INT4} else {}
    return Tensor(name, shape, dtype, scales=0, more=scales, **more)


def zeros(name: str, shape: tuple[int, ...], dtype: int = FLOAT32, scale: float = 0.0) -> Tensor:
    """Return a constant of zeros; with ``scale`` a quantised one."""
    count = 1
    for size in shape:
        count *= size
    content = bytes(-(-count // 2) if dtype == INT4 else count * _WIDTHS[dtype])
    found = Tensor(name, shape, dtype, content, scales=0)
    if scale:
        found.more[4] = {2: Vector("f", [scale] * shape[0]), 3: Vector("q", [0] * shape[0])}
    return found


def integers(name: str, *values: int) -> Tensor:
    """Return a constant of 32-bit integers."""
    return Tensor(name, (len(values),), INT32, struct.pack(f"<{len(values)}i", *values), scales=0)


def relus(count: int, prefix: str) -> Graph:
    """Return a subgraph of so many RELU."""
    names = [f"{prefix}{i}" for i in range(count + 1)]
    operators = [Operator("RELU", [a], [b]) for a, b in itertools.pairwise(names)]
    return Graph([tensor(name) for name in names], operators, names[:1], names[-1:])


def branch(inputs: list[str], output: str, then: int, other: int) -> Operator:
    """Return an IF."""
    return Operator("IF", inputs, [output], {0: Number("i", then), 1: Number("i", other)}, union=92)


def _if_in_if() -> bytes:
    inner = Graph(
        [tensor("c", (1,), BOOL), tensor("p"), tensor("q")], [branch(["c", "p"], "q", 2, 3)], ["c", "p"], ["q"]
    )
    main = Graph(
        [tensor("c", (1,), BOOL), tensor("x"), tensor("y"), tensor("z")],
        [branch(["c", "c", "x"], "y", 1, 1), Operator("RELU", ["y"], ["z"])],
        ["c", "x"],
        ["z"],
    )
    return make.model(main, inner, relus(3, "a"), relus(1, "b"))


def _same_branch_twice() -> bytes:
    main = Graph(
        [tensor("c", (1,), BOOL), *[tensor(name) for name in "xymz"]],
        [branch(["c", "x"], "y", 1, 2), Operator("RELU", ["y"], ["m"]), branch(["c", "m"], "z", 2, 1)],
        ["c", "x"],
        ["z"],
    )
    return make.model(main, relus(3, "a"), relus(2, "b"))


def _if_in_while() -> bytes:
    condition = Graph(
        [tensor("i", (1,), INT32), tensor("v"), integers("most", 3), tensor("r", (1,), BOOL)],
        [Operator("LESS", ["i", "most"], ["r"], {}, union=41)],
        ["i", "v"],
        ["r"],
    )
    body = Graph(
        [
            tensor("i", (1,), INT32),
            tensor("v"),
            integers("one", 1),
            tensor("j", (1,), INT32),
            tensor("c", (1,), BOOL),
            integers("two", 2),
            tensor("w"),
        ],
        [
            Operator("ADD", ["i", "one"], ["j"], ADD, union=11),
            Operator("LESS", ["i", "two"], ["c"], {}, union=41),
            branch(["c", "v"], "w", 3, 4),
        ],
        ["i", "v"],
        ["j", "w"],
    )
    main = Graph(
        [tensor("x"), integers("zero", 0), tensor("i", (1,), INT32), tensor("y"), tensor("z")],
        [
            Operator("WHILE", ["zero", "x"], ["i", "y"], {0: Number("i", 1), 1: Number("i", 2)}, union=93),
            Operator("RELU", ["y"], ["z"]),
        ],
        ["x"],
        ["z"],
    )
    return make.model(main, condition, body, relus(2, "a"), relus(4, "b"))


def _state_set_up_once() -> bytes:
    handle = {0: "", 1: "state"}
    first = Graph(
        [tensor("h", (1,), RESOURCE), zeros("k", ROW), tensor("l")],
        [
            Operator("VAR_HANDLE", [], ["h"], handle, union=111),
            Operator("RELU", ["k"], ["l"]),
            Operator("ASSIGN_VARIABLE", ["h", "l"], [], {}, union=113),
        ],
        [],
        [],
    )
    main = Graph(
        [tensor("x"), tensor("h", (1,), RESOURCE), *[tensor(name) for name in "vsy"]],
        [
            Operator("CALL_ONCE", [], [], {0: Number("i", 1)}, union=103),
            Operator("VAR_HANDLE", [], ["h"], handle, union=111),
            Operator("READ_VARIABLE", ["h"], ["v"], {}, union=112),
            Operator("ADD", ["x", "v"], ["s"], ADD, union=11),
            Operator("ASSIGN_VARIABLE", ["h", "s"], [], {}, union=113),
            Operator("RELU", ["s"], ["y"]),
        ],
        ["x"],
        ["y"],
    )
    return make.model(main, first)


def lstm(dtype: int, batch: int = 2, steps: int = 3, width: int = 5, units: int = 4) -> bytes:
    """Return an LSTM over a sequence, of floats, of 8 or of 16 bits."""
    is_float = dtype == FLOAT32
    weights, biases = (FLOAT32, FLOAT32) if is_float else (INT8, INT32 if dtype == INT8 else INT64)
    scale = 0.0 if is_float else 0.25
    inputs = [
        tensor("x", (batch, steps, width), dtype),
        *[zeros(f"i{k}", (units, width), weights, scale and 0.5) for k in range(4)],
        *[zeros(f"r{k}", (units, units), weights, scale and 0.5) for k in range(4)],
        *[zeros(f"b{k}", (units,), biases, scale) for k in range(4)],
        tensor("h", (batch, units), dtype, is_variable=True),
        tensor("c", (batch, units), FLOAT32 if is_float else INT16, is_variable=True),
    ]
    if not is_float:
        inputs = [_one_scale(each) for each in inputs]
        inputs[-1].more[4] = {2: Vector("f", [1 / 2048]), 3: Vector("q", [0])}
    names = [each.name for each in inputs]
    listed = [*names[:9], "", "", "", *names[9:13], "", "", *names[13:], "", "", "", ""]
    options = {0: Number("b", 4), 1: Number("f", 10.0)}
    operator = Operator("UNIDIRECTIONAL_SEQUENCE_LSTM", listed, ["y"], options, union=71)
    return make.model(Graph([*inputs, tensor("y", (batch, steps, units), dtype)], [operator], ["x"], ["y"]))


def _one_scale(each: Tensor) -> Tensor:
    if 4 in each.more:
        each.more[4] = {key: Vector(value.code, value.values[:1]) for key, value in each.more[4].items()}
    return each


def _unary(op: str, *shapes: tuple[int, ...], options: make.Table | None = None, union: int = 1) -> bytes:
    names = [f"x{i}" for i in range(len(shapes) - 1)]
    tensors = [tensor(name, shape) for name, shape in zip([*names, "y"], shapes, strict=True)]
    return make.model(Graph(tensors, [Operator(op, names, ["y"], options, union=union)], names, ["y"]))


def _four_bit_weights() -> bytes:
    tensors = [tensor("x", (1, 6, 6, 8), INT8), zeros("w", (10, 3, 3, 8), INT4, 0.5)]
    tensors += [zeros("b", (10,), INT32, 0.25), tensor("y", (1, 6, 6, 10), INT8)]
    options = {0: Number("b", 0), 1: Number("i", 1), 2: Number("i", 1), 4: Number("i", 1), 5: Number("i", 1)}
    return make.model(Graph(tensors, [Operator("CONV_2D", ["x", "w", "b"], ["y"], options)], ["x"], ["y"]))


def _half_planned() -> bytes:
    graph = relus(3, "x")
    plan = struct.pack("<3i4i", 1, 0, 4, 256, -1, 64, -1)
    return make.model(graph, more={6: [{0: "OfflineMemoryAllocation", 1: Number("I", 1)}]}, buffers=[{0: plan}])


def _odd_type() -> bytes:
    graph = relus(1, "x")
    unused = Tensor("u", (3, 5), NUMBERS["FLOAT8_E4M3FN"], scales=0)
    return make.model(Graph([*graph.tensors, unused], graph.operators, graph.inputs, graph.outputs))


def kinds() -> Mapping[str, bytes]:
    """Return .tflite files by what is special of them."""
    return {
        "if in if": _if_in_if(),
        "the same branch twice": _same_branch_twice(),
        "if in while": _if_in_while(),
        "state set up once": _state_set_up_once(),
        "float LSTM": lstm(FLOAT32),
        "8-bit LSTM": lstm(INT8),
        "16-bit LSTM": lstm(INT16, 1, 4, 3, 6),
        "4-bit weights": _four_bit_weights(),
        "sum of three": _unary("ADD_N", ROW, ROW, ROW, ROW, options={}, union=82),
        "product of batches": _unary("BATCH_MATMUL", (2, 5, 7), (2, 7, 3), (2, 5, 3), options={}, union=101),
        "half a plan": _half_planned(),
        "unused tensor of 8-bit floats": _odd_type(),
    }
