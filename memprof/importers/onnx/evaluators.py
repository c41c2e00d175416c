"""Operations on small constants, evaluated: Shape -> Gather -> Concat -> Reshape and their like.

An exporter that traces a model writes the arithmetic of its shapes into the graph. Once the inputs' shapes are bound
that arithmetic has one value, which ONNX's inference needs in order to see through a Reshape. The operations below
are evaluated with numpy on tensors of at most ``MAX_ELEMENTS`` elements; the caller has already inferred that the
result is no larger. What is not in the table, or fails, is simply not known.

Imported where something is evaluated: most networks of images need no numpy.

Semantics: the ONNX operator specification; one entry serves all opset versions of an operation (axes given as an
attribute or as an input).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from memprof.importers.onnx.attributes import attribute, integer
from memprof.importers.onnx.constants import MAX_ELEMENTS, NUMERIC, Constant
from memprof.importers.onnx.library import NodeProto
from memprof.ir import TensorType

_Array = np.ndarray[Any, Any]


def evaluate_shape(node: NodeProto, of: TensorType) -> _Array | None:
    """Return what ``Shape`` or ``Size`` of a tensor of this type writes, ``None`` while a dimension is open."""
    dims = of.shape
    if dims is None:
        return None
    if node.op_type == "Size":
        return None if of.element_count is None else np.array(of.element_count, dtype=np.int64)
    dims = dims[slice(integer(node, "start"), integer(node, "end"))]
    return np.array(dims, dtype=np.int64) if all(isinstance(dim, int) for dim in dims) else None


def evaluate(node: NodeProto, inputs: Sequence[_Array | None]) -> tuple[_Array, ...] | None:
    """Return what ``node`` writes for these inputs, ``None`` if that is not in the table or fails.

    Args:
        node: A node whose ``op_type`` is in ``EVALUATORS``.
        inputs: Its inputs, ``None`` where an optional one is left out.
    """
    try:
        with np.errstate(all="ignore"):
            found = EVALUATORS[node.op_type](node, list(inputs))
    except (ValueError, TypeError, IndexError, ArithmeticError, AttributeError, MemoryError):
        return None  # constants that do not fit the operation: the model is at fault, and the value stays unknown
    return tuple(np.asarray(array) for array in found) if isinstance(found, tuple | list) else (np.asarray(found),)


def _axes(node: NodeProto, inputs: Sequence[_Array | None], index: int = 1) -> tuple[int, ...] | None:
    """Return the axes that an input (newer opsets) or an attribute (older ones) gives."""
    given = inputs[index] if len(inputs) > index else None
    if given is not None:
        return tuple(int(axis) for axis in given.reshape(-1))
    stated = attribute(node, "axes")
    return None if stated is None else tuple(stated)


def _given(inputs: Sequence[_Array | None], place: int) -> _Array:
    data = inputs[place]
    if data is None:
        raise ValueError("an input is missing")
    return data


def _first(inputs: Sequence[_Array | None]) -> _Array:
    return _given(inputs, 0)


def _unary(function: Callable[[Any], Any]) -> Callable[[NodeProto, list[_Array | None]], Any]:
    return lambda node, inputs: np.asarray(function(inputs[0])).astype(_first(inputs).dtype)


def _fold(function: Callable[[Any, Any], Any]) -> Callable[[NodeProto, list[_Array | None]], Any]:
    def run(node: NodeProto, inputs: list[_Array | None]) -> Any:
        result: Any = _first(inputs)
        for other in inputs[1:]:
            result = function(result, other)
        return result

    return run


def _divide(a: _Array, b: _Array) -> _Array:
    if a.dtype.kind == "f":
        return np.asarray(a / b)
    if not np.all(b):
        raise ValueError("division by zero")
    return np.asarray((np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b))).astype(a.dtype))  # towards zero, as in C


def _mod(node: NodeProto, inputs: list[_Array | None]) -> Any:
    return (np.fmod if attribute(node, "fmod", 0) else np.mod)(_first(inputs), _given(inputs, 1))


def _cast(node: NodeProto, inputs: list[_Array | None]) -> Any:
    number = attribute(node, "to")
    if number not in NUMERIC:
        raise ValueError("not a plain number")
    return _first(inputs).astype(NUMERIC[number])


def _concat(node: NodeProto, inputs: list[_Array | None]) -> Any:
    return np.concatenate([_given(inputs, i) for i in range(len(inputs))], axis=attribute(node, "axis", 1))


def _gather(node: NodeProto, inputs: list[_Array | None]) -> Any:
    return np.take(_first(inputs), _given(inputs, 1), axis=attribute(node, "axis", 0))


def _slice(node: NodeProto, inputs: list[_Array | None]) -> Any:
    data = _first(inputs)
    if len(inputs) == 1:
        starts, ends, axes, steps = attribute(node, "starts"), attribute(node, "ends"), attribute(node, "axes"), None
    else:
        starts, ends, axes, steps = [
            None if given is None else given.reshape(-1).tolist() for given in (inputs[1:] + [None] * 3)[:4]
        ]
    axes = range(len(starts)) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    where = [slice(None)] * data.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        stop = None if step < 0 and end < -data.shape[axis] else end
        where[axis] = slice(start, stop, step)
    return data[tuple(where)]


def _squeeze(node: NodeProto, inputs: list[_Array | None]) -> Any:
    return np.squeeze(_first(inputs), axis=_axes(node, inputs))


def _unsqueeze(node: NodeProto, inputs: list[_Array | None]) -> Any:
    return np.expand_dims(_first(inputs), axis=_axes(node, inputs) or ())


def _reshape(node: NodeProto, inputs: list[_Array | None]) -> Any:
    data = _first(inputs)
    wish = attribute(node, "shape") if len(inputs) == 1 else _given(inputs, 1).reshape(-1).tolist()
    if not attribute(node, "allowzero", 0):
        wish = [data.shape[i] if dim == 0 else dim for i, dim in enumerate(wish)]
    return data.reshape(wish)


def _flatten(node: NodeProto, inputs: list[_Array | None]) -> Any:
    data = _first(inputs)
    axis = attribute(node, "axis", 1)
    return data.reshape(math.prod(data.shape[: axis if axis >= 0 else data.ndim + axis]), -1)


def _expand(node: NodeProto, inputs: list[_Array | None]) -> Any:
    data = _first(inputs)
    return np.broadcast_to(data, np.broadcast_shapes(data.shape, tuple(_given(inputs, 1))))


def _constant_of_shape(node: NodeProto, inputs: list[_Array | None]) -> Any:
    value = attribute(node, "value")
    fill = np.zeros(1, np.float32) if value is None else Constant(value).array
    if fill is None:
        raise ValueError("not a plain number")
    return np.full(tuple(_first(inputs)), fill.reshape(-1)[0], dtype=fill.dtype)


def _range(node: NodeProto, inputs: list[_Array | None]) -> Any:
    start, limit, delta = (_given(inputs, place).reshape(-1)[0] for place in range(3))
    count = max(0, math.ceil((float(limit) - float(start)) / float(delta)))
    if count > MAX_ELEMENTS:
        raise ValueError("too long")
    return start + np.arange(count).astype(start.dtype) * delta


def _split(node: NodeProto, inputs: list[_Array | None]) -> Any:
    data = _first(inputs)
    sizes = inputs[1].tolist() if len(inputs) > 1 and inputs[1] is not None else attribute(node, "split")
    axis, count = attribute(node, "axis", 0), len(node.output)
    if sizes is None:
        each = -(-data.shape[axis] // count)
        return np.split(data, [each * i for i in range(1, count)], axis)
    return np.split(data, np.cumsum(sizes)[:-1].tolist(), axis)


def _reduce(function: Callable[..., Any]) -> Callable[[NodeProto, list[_Array | None]], Any]:
    def run(node: NodeProto, inputs: list[_Array | None]) -> Any:
        data, axes = _first(inputs), _axes(node, inputs)
        if not axes and attribute(node, "noop_with_empty_axes", 0):
            return data
        if function is np.mean and not data.size:
            raise ValueError("nothing has no mean, and numpy would warn")
        found = function(data, axis=axes or None, keepdims=bool(attribute(node, "keepdims", 1)))
        return np.asarray(found).astype(data.dtype)

    return run


def _scatter_nd(node: NodeProto, inputs: list[_Array | None]) -> Any:
    data, indices, updates = _first(inputs).copy(), _given(inputs, 1), _given(inputs, 2)
    if attribute(node, "reduction", b"none") != b"none":
        raise ValueError("not in the table")
    for place in np.ndindex(indices.shape[:-1]):
        data[tuple(indices[place])] = updates[place]
    return data


def _clip(node: NodeProto, inputs: list[_Array | None]) -> Any:
    low, high = (*inputs[1:], None, None)[:2]
    data = _first(inputs)
    data = data if low is None else np.maximum(data, low)
    return data if high is None else np.minimum(data, high)


def _cumsum(node: NodeProto, inputs: list[_Array | None]) -> Any:
    if attribute(node, "exclusive", 0) or attribute(node, "reverse", 0):
        raise ValueError("not in the table")
    data = _first(inputs)
    return np.cumsum(data, axis=int(_given(inputs, 1).reshape(-1)[0]), dtype=data.dtype)


EVALUATORS: Mapping[str, Callable[[NodeProto, list[_Array | None]], Any]] = MappingProxyType(
    {
        "Abs": _unary(np.abs),
        "Add": _fold(np.add),
        "And": _fold(np.logical_and),
        "Cast": _cast,
        "CastLike": lambda node, inputs: _first(inputs).astype(_given(inputs, 1).dtype),
        "Ceil": _unary(np.ceil),
        "Clip": _clip,
        "Concat": _concat,
        "ConstantOfShape": _constant_of_shape,
        "CumSum": _cumsum,
        "Div": _fold(_divide),
        "Equal": _fold(np.equal),
        "Expand": _expand,
        "Flatten": _flatten,
        "Floor": _unary(np.floor),
        "Gather": _gather,
        "Greater": _fold(np.greater),
        "GreaterOrEqual": _fold(np.greater_equal),
        "Identity": lambda node, inputs: inputs[0],
        "Less": _fold(np.less),
        "LessOrEqual": _fold(np.less_equal),
        "Max": _fold(np.maximum),
        "Min": _fold(np.minimum),
        "Mod": _mod,
        "Mul": _fold(np.multiply),
        "Neg": _unary(np.negative),
        "NonZero": lambda node, inputs: np.array(np.nonzero(np.atleast_1d(_first(inputs))), dtype=np.int64),
        "Not": _unary(np.logical_not),
        "Or": _fold(np.logical_or),
        "Pow": lambda node, inputs: np.power(_first(inputs), _given(inputs, 1)).astype(_first(inputs).dtype),
        "Range": _range,
        "ReduceMax": _reduce(np.max),
        "ReduceMean": _reduce(np.mean),
        "ReduceMin": _reduce(np.min),
        "ReduceProd": _reduce(np.prod),
        "ReduceSum": _reduce(np.sum),
        "Relu": _unary(lambda data: np.maximum(data, 0)),
        "Reshape": _reshape,
        "Round": _unary(np.round),
        "ScatterND": _scatter_nd,
        "Slice": _slice,
        "Split": _split,
        "Sqrt": _unary(np.sqrt),
        "Squeeze": _squeeze,
        "Sub": _fold(np.subtract),
        "Sum": _fold(np.add),
        "Tile": lambda node, inputs: np.tile(_first(inputs), _given(inputs, 1).tolist()),
        "Transpose": lambda node, inputs: np.transpose(_first(inputs), attribute(node, "perm")),
        "Unsqueeze": _unsqueeze,
        "Where": lambda node, inputs: np.where(_first(inputs), _given(inputs, 1), _given(inputs, 2)),
        "Xor": _fold(np.logical_xor),
    }
)
"""How each operation is computed; where a formula misses an input that it needs numpy raises."""
