"""The least and the largest that operations write, from the least and the largest of what they read.

operations                                   what they write lies
Add, Sum, Min, Max, Concat, Clip, Relu,      between what they make of the least and of the largest: they rise with
Floor, Ceil, Round, Sqrt, Mean, reductions   all that they read
Sub, Neg, Mul, Div                           between what they make of the ends
Mod                                          between 0 and the divisor, of its sign; with the dividend's sign for fmod
Where                                        where either branch lies, or the one that the condition picks
Gather, Slice, Reshape and their like        where what they move lies, element by element if the places are known
ArgMax, ArgMin, NonZero, TopK (indices)      between 0 and the last place of the axis
Sigmoid, Softmax; Tanh, Sin and their like   between 0 and 1; between -1 and 1
Shape, Size                                  from 0 on; where its dimensions are known
all else                                     in the range of its element type

Each of them is rounded to the element type as a kernel rounds, and rounding keeps order. A sum of floats counts where
its ends are whole numbers, which no rounding moves. What goes beyond a type of whole numbers could wrap around, so
then nothing is known but the type. numpy is loaded here: imported where something is asked.

Source: the ONNX operator specification.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from memprof.importers.onnx.attributes import attribute, integer
from memprof.importers.onnx.constants import MAX_ELEMENTS, NUMERIC
from memprof.importers.onnx.evaluators import evaluate
from memprof.importers.onnx.facts import Fact
from memprof.importers.onnx.interval import Interval
from memprof.importers.onnx.library import NodeProto
from memprof.ir import Dim, TensorType

_Array = np.ndarray[Any, Any]
_Ends = tuple[_Array, _Array]

_INF = np.array(np.inf)
_NEARLY = 1 + 2.0**-20  # kernels approximate: a tanh of onnxruntime's is 1.0000001 for some numbers
_EXACT = 2**24  # whole numbers up to here are exact in float32, and so are their sums
_LARGEST_SIZE = np.array(2.0**62)  # no tensor has more elements
_FLOATS = frozenset({"float16", "float32", "float64"})
_WHOLE = frozenset(NUMERIC.values()) - _FLOATS - {"bool"}
_WRAPPING = frozenset({"Abs", "Add", "Cast", "CastLike", "Div", "Mul", "Neg", "Pow", "ReduceSum", "Sub", "Sum"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One output of a node.

    Attributes:
        node: The node.
        place: Which of its outputs.
        of: The output's type.
        inputs: What is known of its inputs, ``None`` where one is left out.
        between: Intervals of tensors by name.
    """

    node: NodeProto
    place: int
    of: TensorType
    inputs: Sequence[Fact | None]
    between: Callable[[str], Interval]

    def given(self, i: int) -> Interval:
        """Return the interval of an input; an ``IndexError`` where it is left out."""
        if self.inputs[i] is None:
            raise IndexError(i)
        return self.between(self.node.input[i])

    def all_given(self) -> list[Interval]:
        """Return the intervals of all inputs that are not left out."""
        return [self.between(name) for name in self.node.input if name]


def exactly(elements: _Array) -> Interval:
    """Return the interval of elements that are known."""
    ends = elements.astype(np.float64)
    return Interval(ends, ends)


def any_of(of: TensorType) -> Interval:
    """Return the interval that an element type allows."""
    if of.dtype == "bool":
        return _fitted(np.array(0.0), np.array(1.0), of)
    if of.dtype in _WHOLE:
        limits = np.iinfo(of.dtype)
        return _fitted(np.array(float(limits.min)), np.array(float(limits.max)), of)
    return _fitted(-_INF, _INF, of)


def interval(written: Written) -> Interval:
    """Return between which numbers the elements of what a node writes lie."""
    of, rule = written.of, _RULES.get(written.node.op_type)
    if rule is None or written.node.domain not in ("", "ai.onnx"):
        return any_of(of)
    try:
        with np.errstate(all="ignore"):
            low, high = rule(written)
            return _fitted(*_rounded(low, high, written), of)
    except (
        IndexError,
        TypeError,
        ValueError,
        ArithmeticError,
        AttributeError,
    ):  # attributes or shapes that do not fit
        return any_of(of)


def _rounded(low: _Array, high: _Array, written: Written) -> _Ends:
    """Return the ends as the element type holds them, those of the type where a whole number could wrap around."""
    of = written.of
    low, high = np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)
    if of.dtype in _FLOATS:
        return _in_type(low, of.dtype), _in_type(high, of.dtype)
    if of.dtype == "bool":
        return np.clip(low, 0, 1), np.clip(high, 0, 1)
    if of.dtype not in _WHOLE:
        return -_INF, _INF
    low, high = np.floor(low), np.ceil(high)
    limits = np.iinfo(of.dtype)
    most = float(limits.max)  # of 64 bits one more than that: what is computed may be either
    is_beyond = (low < limits.min) | (high > most)
    if written.node.op_type in _WRAPPING and most > limits.max:
        is_beyond |= high == most
    if np.any(is_beyond):
        found = any_of(of)
        return found.low, found.high
    return low, high


def _in_type(numbers: _Array, dtype: str) -> _Array:
    return np.asarray(numbers).astype(dtype).astype(np.float64)


def _fitted(low: _Array, high: _Array, of: TensorType) -> Interval:
    """Return the ends in the tensor's shape if that is known and small, else one pair for all."""
    count, shape = of.element_count, of.shape
    if count is None or count > MAX_ELEMENTS or shape is None or not all(isinstance(dim, int) for dim in shape):
        return Interval(_least(low), _most(high))
    try:
        return Interval(np.broadcast_to(low, shape), np.broadcast_to(high, shape))  # type: ignore[arg-type] # all are integers
    except ValueError:
        return Interval(np.broadcast_to(_least(low), shape), np.broadcast_to(_most(high), shape))  # type: ignore[arg-type] # the same


def _least(low: _Array) -> _Array:
    return np.array(low.min() if low.size else np.inf)


def _most(high: _Array) -> _Array:
    return np.array(high.max() if high.size else -np.inf)


def _rising(function: Callable[[Any, Any], Any]) -> Callable[[Written], _Ends]:
    """Return the rule of a function that rises with each of its inputs, any number of them."""

    def rule(written: Written) -> _Ends:
        low, high = (given := written.all_given())[0].low, given[0].high
        for other in given[1:]:
            low, high = function(low, other.low), function(high, other.high)
            if written.of.dtype in _FLOATS:  # a kernel rounds each step
                low, high = _in_type(low, written.of.dtype), _in_type(high, written.of.dtype)
        return np.asarray(low), np.asarray(high)

    return rule


def _rising_of_one(function: Callable[[Any], Any]) -> Callable[[Written], _Ends]:
    def rule(written: Written) -> _Ends:
        given = written.given(0)
        return np.asarray(function(given.low)), np.asarray(function(given.high))

    return rule


def _within(low: float, high: float) -> Callable[[Written], _Ends]:
    return lambda written: (np.array(low), np.array(high))


def _cast(written: Written) -> _Ends:
    given, fact = written.given(0), written.inputs[0]
    if written.of.dtype == "bool" or fact is None or fact.type.dtype not in NUMERIC.values():
        return -_INF, _INF
    if written.of.dtype in _FLOATS:
        return given.low, given.high
    low, high = np.trunc(given.low), np.trunc(given.high)  # towards zero, as in C
    if fact.type.dtype in _FLOATS and written.of.dtype in ("int32", "int64"):
        low = np.maximum(low, np.iinfo(written.of.dtype).min)  # what processors make of less
    return low, high


def _clip(written: Written) -> _Ends:
    given, ends = written.given(0), [attribute(written.node, "min"), attribute(written.node, "max")]
    least, most = (None if end is None else np.array(float(end)) for end in ends)
    low, high = given.low, given.high
    if len(written.inputs) > 1 and written.inputs[1] is not None:
        limit = written.given(1)
        low, high = np.maximum(low, limit.low), np.maximum(high, limit.high)
    elif least is not None:
        low, high = np.maximum(low, least), np.maximum(high, least)
    if len(written.inputs) > 2 and written.inputs[2] is not None:
        limit = written.given(2)
        return np.minimum(low, limit.low), np.minimum(high, limit.high)
    return (low, high) if most is None else (np.minimum(low, most), np.minimum(high, most))


def _sub(written: Written) -> _Ends:
    a, b = written.given(0), written.given(1)
    return a.low - b.high, a.high - b.low


def _neg(written: Written) -> _Ends:
    given = written.given(0)
    return -given.high, -given.low


def _abs(written: Written) -> _Ends:
    given = written.given(0)
    least = np.where((given.low <= 0) & (given.high >= 0), 0, np.minimum(np.abs(given.low), np.abs(given.high)))
    return least, np.maximum(np.abs(given.low), np.abs(given.high))


def _corners(function: Callable[[Any, Any], Any], a: Interval, b: Interval) -> _Ends:
    ends = [np.nan_to_num(function(x, y), nan=0, posinf=np.inf, neginf=-np.inf) for x, y in
            ((a.low, b.low), (a.low, b.high), (a.high, b.low), (a.high, b.high))]  # fmt: skip
    low, high = ends[0], ends[0]
    for end in ends[1:]:
        low, high = np.minimum(low, end), np.maximum(high, end)
    return low, high


def _mul(written: Written) -> _Ends:
    return _corners(np.multiply, written.given(0), written.given(1))  # nothing times what is not bounded is nothing


def _div(written: Written) -> _Ends:
    a, b = written.given(0), written.given(1)
    if np.any((b.low <= 0) & (b.high >= 0)):
        return -_INF, _INF
    low, high = _corners(np.divide, a, b)
    return (low, high) if written.of.dtype in _FLOATS else (np.trunc(low), np.trunc(high))


def _mod(written: Written) -> _Ends:
    a, b = written.given(0), written.given(1)
    reach = np.maximum(np.abs(b.low), np.abs(b.high))
    reach = reach if written.of.dtype in _FLOATS else reach - 1
    if np.all(a.low >= 0) and np.all(b.low > 0):
        return np.array(0.0), np.minimum(reach, a.high)
    if integer(written.node, "fmod"):
        return np.where(a.low < 0, np.maximum(-reach, a.low), 0), np.where(a.high > 0, np.minimum(reach, a.high), 0)
    return np.where(b.low < 0, -reach, 0), np.where(b.high > 0, reach, 0)


def _power(written: Written) -> _Ends:
    base, exponent = written.given(0), written.given(1)
    if np.any(base.low < 1) or np.any(exponent.low < 0):
        return -_INF, _INF
    return np.power(base.low, exponent.low), np.power(base.high, exponent.high)


def _where(written: Written) -> _Ends:
    condition, a, b = (written.given(i) for i in range(3))
    is_never, is_always = condition.high <= 0, condition.low >= 1
    low = np.where(is_never, b.low, np.where(is_always, a.low, np.minimum(a.low, b.low)))
    high = np.where(is_never, b.high, np.where(is_always, a.high, np.maximum(a.high, b.high)))
    return low, high


def _hull(given: Sequence[Interval]) -> _Ends:
    return np.min([_least(each.low) for each in given]), np.max([_most(each.high) for each in given])


def _moved(written: Written) -> _Ends:
    """Elements of the first input, in other places: the others say which."""
    data, first = written.given(0), written.inputs[0]
    arrays = [None if fact is None or fact.constant is None else fact.constant.array for fact in written.inputs[1:]]
    is_known = all(fact is None or array is not None for fact, array in zip(written.inputs[1:], arrays, strict=True))
    is_whole = first is not None and first.is_fixed and first.type.shape == data.low.shape
    if is_known and is_whole:
        low, high = (evaluate(written.node, [end, *arrays]) for end in (data.low, data.high))
        if low is not None and high is not None and max(low[written.place].size, high[written.place].size):
            return low[written.place], high[written.place]
    return _hull([data])


def _joined(written: Written) -> _Ends:
    given, axis = written.all_given(), integer(written.node, "axis")
    shapes = [fact.type.shape if fact is not None and fact.is_fixed else None for fact in written.inputs]
    if axis is not None and all(each.low.shape == shape for each, shape in zip(given, shapes, strict=True)):
        return np.concatenate([each.low for each in given], axis), np.concatenate([each.high for each in given], axis)
    return _hull(given)


def _mixed(*places: int, zero: bool = False) -> Callable[[Written], _Ends]:
    """Return the rule of what writes elements of several inputs, and zeros too."""

    def rule(written: Written) -> _Ends:
        if written.place or attribute(written.node, "reduction", b"none") != b"none":
            raise ValueError("not what is moved")
        read = [written.given(i) for i in places if i < len(written.inputs) and written.inputs[i] is not None]
        return _hull([*read, *([Interval(np.array(0.0), np.array(0.0))] if zero else [])])

    return rule


def _reduced(function: str) -> Callable[[Written], _Ends]:
    def rule(written: Written) -> _Ends:
        data, first = written.given(0), written.inputs[0]
        axes = written.inputs[1] if len(written.inputs) > 1 else None
        array = None if axes is None or axes.constant is None else axes.constant.array
        if first is None or first.type.element_count is None:
            raise ValueError("an open shape")
        count = first.type.element_count // max(1, written.of.element_count or 1)
        if function in ("sum", "mean") and written.of.dtype in _FLOATS and not _is_exact(data, count):
            raise ValueError("a sum may be rounded beyond the sum of its ends")
        is_whole = first.is_fixed and first.type.shape == data.low.shape
        if is_whole and (axes is None or array is not None):
            found = [evaluate(written.node, [end, array]) for end in (data.low, data.high)]
            if found[0] is not None and found[1] is not None:
                return found[0][0], found[1][0]
        low, high = _hull([data])
        if function in ("max", "min"):
            return low, high
        return (low, high) if function == "mean" else (np.minimum(low * count, low), np.maximum(high * count, high))

    return rule


def _is_exact(data: Interval, count: int) -> bool:
    """Whether sums of so many elements at their ends are exact in any order."""
    ends = np.concatenate([data.low.reshape(-1), data.high.reshape(-1)])
    ends = ends[np.isfinite(ends)]
    return bool(np.all(ends == np.floor(ends)) and np.all(np.abs(ends) * count <= _EXACT))


def _place(written: Written) -> _Ends:
    """Places along an axis, or along any."""
    fact = written.inputs[0]
    shape = None if fact is None else fact.type.shape
    if shape is None:
        return np.array(0.0), _LARGEST_SIZE
    axis = attribute(written.node, "axis", None if written.node.op_type == "NonZero" else 0)
    sizes = shape if axis is None else (shape[axis],)
    return np.array(0.0), np.array(max((float(_most_of(dim)) - 1 for dim in sizes), default=0.0))


def _top(written: Written) -> _Ends:
    if written.place == 0:
        return _hull([written.given(0)])
    fact = written.inputs[0]
    shape = None if fact is None else fact.type.shape
    size = None if shape is None else shape[attribute(written.node, "axis", -1)]
    return np.array(0.0), np.array(float(_most_of(size)) - 1)


def _shape(written: Written) -> _Ends:
    fact = written.inputs[0]
    dims = None if fact is None else fact.type.shape
    if dims is None or written.node.op_type == "Size":
        return np.array(0.0), _LARGEST_SIZE
    dims = dims[slice(integer(written.node, "start"), integer(written.node, "end"))]
    ends = [(dim if isinstance(dim, int) else 0, _most_of(dim)) for dim in dims]
    return np.array([low for low, _ in ends], np.float64), np.array([high for _, high in ends], np.float64)


def _most_of(dim: Dim) -> int:
    return dim if isinstance(dim, int) else int(_LARGEST_SIZE)


def _random(written: Written) -> _Ends:
    return np.array(attribute(written.node, "low", 0.0)), np.array(attribute(written.node, "high", 1.0))


_RULES: Mapping[str, Callable[[Written], _Ends]] = MappingProxyType(
    {
        **dict.fromkeys(("Add", "Sum"), _rising(np.add)),
        **dict.fromkeys(
            (
                "Flatten",
                "Gather",
                "Identity",
                "Reshape",
                "Slice",
                "Split",
                "Squeeze",
                "Tile",
                "Transpose",
                "Unsqueeze",
            ),
            _moved,
        ),
        **dict.fromkeys(("Compress", "Expand", "GatherElements", "GatherND", "MaxPool", "Unique"), _mixed(0)),
        **dict.fromkeys(("DepthToSpace", "GlobalMaxPool", "ReverseSequence", "SpaceToDepth"), _mixed(0)),
        **dict.fromkeys(("ScatterElements", "ScatterND"), _mixed(0, 2)),
        **dict.fromkeys(("Bernoulli", "HardSigmoid"), _within(0, 1)),
        **dict.fromkeys(("Sigmoid", "Softmax"), _within(0, _NEARLY)),
        **dict.fromkeys(("Sign", "Softsign"), _within(-1, 1)),
        **dict.fromkeys(("Cos", "Erf", "Sin", "Tanh"), _within(-_NEARLY, _NEARLY)),
        **dict.fromkeys(("Exp", "Softplus", "ReduceL1", "ReduceL2", "ReduceSumSquare"), _within(0, np.inf)),
        **dict.fromkeys(("ArgMax", "ArgMin", "NonZero"), _place),
        **dict.fromkeys(("RandomUniform", "RandomUniformLike"), _random),
        **dict.fromkeys(("Shape", "Size"), _shape),
        "Abs": _abs,
        "Cast": _cast,
        "CastLike": _cast,
        "Ceil": _rising_of_one(np.ceil),
        "Clip": _clip,
        "Concat": _joined,
        "Div": _div,
        "Floor": _rising_of_one(np.floor),
        "Max": _rising(np.maximum),
        "Min": _rising(np.minimum),
        "Mod": _mod,
        "Mul": _mul,
        "Neg": _neg,
        "Pow": _power,
        "ReduceMax": _reduced("max"),
        "ReduceMean": _reduced("mean"),
        "ReduceMin": _reduced("min"),
        "ReduceSum": _reduced("sum"),
        "Relu": _rising_of_one(lambda end: np.maximum(end, 0)),
        "Round": _rising_of_one(np.round),
        "Sqrt": _rising_of_one(lambda end: np.sqrt(np.maximum(end, 0))),
        "Sub": _sub,
        "TopK": _top,
        "Trilu": _mixed(0, zero=True),
        "Where": _where,
    }
)
"""What bounds each operation; scattering that adds up, and padding, are in no row."""
