"""How a Transpose moves from the inputs of an operation to its outputs: one rule for each kind of operation.

A rule gets the order of the Transpose that was found on an input. It lets the operation read its inputs as they were
before, changes the axes that it names, and puts a Transpose behind it; or says that it cannot, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from memprof.runtimes.onnxruntime.optimizing.draft import Draft, Step
from memprof.runtimes.onnxruntime.optimizing.permutations import (
    Order,
    inverse,
    is_idle,
    joined,
    order_of,
    with_ones,
    without,
)
from memprof.runtimes.onnxruntime.optimizing.turning import (
    add_axes,
    add_integers,
    constant_axes,
    turn_inputs,
    turn_numbers,
    turn_outputs,
)

_SOFTMAX_BY_AXIS = 13  # before, the axis parts the dimensions into two groups
_CHANNELS_LAST, _CHANNELS_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
_FIRST = (0,)
_BYTES = frozenset(("int8", "uint8"))
_MICROSOFT = "com.microsoft."


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """How a Transpose moves behind an operation.

    Attributes:
        inputs: Which inputs of an operation have the axes of its output.
        rule: Moves it, given the order; says whether it did.
        is_behind: Whether a Transpose lies behind the operation then.
    """

    inputs: Callable[[Draft, Step], Sequence[int]]
    rule: Callable[[Draft, Step, Order], bool]
    is_behind: bool = True


def _all_inputs(_draft: Draft, step: Step) -> Sequence[int]:
    return range(len(step.inputs))


def _first_input(_draft: Draft, _step: Step) -> Sequence[int]:
    return _FIRST


def _no_numbers(draft: Draft, step: Step) -> Sequence[int]:
    return [position for position in range(len(step.inputs)) if draft.dims(step.read(position)) != ()]


def _each(draft: Draft, step: Step, order: Order) -> bool:
    turn_inputs(draft, step, PUSHES[step.op].inputs(draft, step), inverse(order))
    turn_outputs(draft, step, order)
    return True


def _broadcast(draft: Draft, step: Step, order: Order) -> bool:
    positions = PUSHES[step.op].inputs(draft, step)
    shapes = [draft.dims(step.read(position)) for position in positions]
    missing = [len(order) - len(shape) if shape is not None else -1 for shape in shapes]
    if any(count < 0 for count in missing):
        return False
    for position, count in zip(positions, missing, strict=True):
        if count:
            add_axes(draft, step, position, range(count))
    turn_inputs(draft, step, positions, inverse(order))
    turn_outputs(draft, step, order)
    return True


def _axis(step: Step, order: Order, default: int | None) -> int | None:
    found = step.attributes.get("axis", default)
    rank = len(order)
    return found % rank if isinstance(found, int) and -rank <= found < rank else None


def _along(default: int | None) -> Callable[[Draft, Step, Order], bool]:
    """Return a rule for operations along one axis."""

    def rule(draft: Draft, step: Step, order: Order) -> bool:
        axis = _axis(step, order, default)
        if axis is None:
            return False
        _each(draft, step, order)
        step.attributes = {**step.attributes, "axis": order[axis]}
        return True

    return rule


def _softmax(draft: Draft, step: Step, order: Order) -> bool:
    if step.node.version >= _SOFTMAX_BY_AXIS:
        return _along(-1)(draft, step, order)
    axis = _axis(step, order, 1)
    if axis is None or any((place < axis) != (source < axis) for place, source in enumerate(order)):
        return False
    return _each(draft, step, order)


def _shape(draft: Draft, step: Step, order: Order) -> bool:
    start, stop = (step.attributes.get(name, default) for name, default in (("start", 0), ("end", len(order))))
    if not isinstance(start, int) or not isinstance(stop, int):
        return False
    places = order[start:stop]
    turn_inputs(draft, step, _FIRST, inverse(order))
    step.attributes = {}
    result = step.output
    new = draft.add_value(draft.types[result], draft.ahead_type(result))
    draft.redirect(step, new)
    draft.add(step, "Gather", [new, add_integers(draft, places)], [result], {"axis": 0})
    return True


def _pad(draft: Draft, step: Step, order: Order) -> bool:
    back = inverse(order)
    both = (*back, *[place + len(order) for place in back])
    pads = step.attributes.get("pads")
    if step.read(1) >= 0:
        turn_numbers(draft, step, 1, both)
    elif isinstance(pads, tuple) and len(pads) == len(both):
        step.attributes = {**step.attributes, "pads": tuple([int(pads[place]) for place in both])}
    else:
        return False
    turn_inputs(draft, step, _FIRST, back)
    turn_outputs(draft, step, order)
    return True


def _resize(draft: Draft, step: Step, order: Order) -> bool:
    if order not in (_CHANNELS_LAST, _CHANNELS_FIRST):
        return False
    back = inverse(order)
    for position in range(1, len(step.inputs)):
        if step.read(position) >= 0:
            is_region = position == 1 and len(step.inputs) > 2
            turn_numbers(draft, step, position, (*back, *[place + 4 for place in back]) if is_region else back)
    turn_inputs(draft, step, _FIRST, back)
    turn_outputs(draft, step, order)
    return True


def _keeps_axes(step: Step) -> bool:
    return bool(step.attributes.get("keepdims", 1))


def _reduce(draft: Draft, step: Step, order: Order) -> bool:
    is_given = step.read(1) >= 0 or "axes" in step.attributes
    axes = constant_axes(draft, step) if is_given else ()
    found = None if axes is None else _within(axes, len(order))
    if found is None:
        return False
    turn_inputs(draft, step, _FIRST, inverse(order))
    if not found:
        is_idle = bool(step.attributes.get("noop_with_empty_axes", 0))
        turn_outputs(draft, step, order if is_idle or _keeps_axes(step) else ())
        return True
    gone = _name_axes(draft, step, sorted(order[axis] for axis in found))
    turn_outputs(draft, step, order if _keeps_axes(step) else without(order, gone))
    return True


def _arg(draft: Draft, step: Step, order: Order) -> bool:
    axis = _axis(step, order, 0)
    if axis is None:
        return False
    step.attributes = {**step.attributes, "axis": order[axis]}
    turn_inputs(draft, step, _FIRST, inverse(order))
    turn_outputs(draft, step, order if _keeps_axes(step) else without(order, [order[axis]]))
    return True


def _squeeze(draft: Draft, step: Step, order: Order) -> bool:
    axes = constant_axes(draft, step)
    found = None if axes is None else _within(axes, len(order))
    if found is None:
        return False
    gone = _name_axes(draft, step, sorted(order[axis] for axis in found))
    turn_inputs(draft, step, _FIRST, inverse(order))
    turn_outputs(draft, step, without(order, gone))
    return True


def _unsqueeze(draft: Draft, step: Step, order: Order) -> bool:
    axes = constant_axes(draft, step)
    found = None if axes is None else _within(axes, len(order) + len(axes))
    if found is None:
        return False
    turn_inputs(draft, step, _FIRST, inverse(order))
    turn_outputs(draft, step, with_ones(order, found))
    return True


def _name_axes(draft: Draft, step: Step, axes: Sequence[int]) -> Sequence[int]:
    if step.read(1) >= 0:
        draft.rewire(step, 1, add_integers(draft, axes))
    else:
        step.attributes = {**step.attributes, "axes": tuple(axes)}
    return axes


def _within(axes: Sequence[int], rank: int) -> tuple[int, ...] | None:
    """Return axes counted from the front, ``None`` if they are none."""
    found = tuple([axis + rank if axis < 0 else axis for axis in axes])
    return found if len(set(found)) == len(found) and all(0 <= axis < rank for axis in found) else None


def _slice(draft: Draft, step: Step, order: Order) -> bool:
    is_attribute = len(step.inputs) == 1
    if is_attribute or step.read(3) < 0:
        starts = step.attributes.get("starts")
        count = len(starts) if is_attribute and isinstance(starts, tuple) else None
        shape = draft.shape(step.read(1))
        count = shape[0] if not is_attribute and shape is not None and len(shape) == 1 else count
        named = step.attributes.get("axes") if is_attribute else None
        axes = named if named is not None else None if count is None else tuple(range(count))
    else:
        axes = draft.elements(step.read(3))
    numbers = [int(axis) for axis in axes if isinstance(axis, int | float)] if isinstance(axes, tuple) else None
    found = None if numbers is None else _within(numbers, len(order))
    if found is None:
        return False
    new = [order[axis] for axis in found]
    if is_attribute:
        step.attributes = {**step.attributes, "axes": tuple(new)}
    else:
        draft.rewire(step, 3, add_integers(draft, new))
    turn_inputs(draft, step, _FIRST, inverse(order))
    turn_outputs(draft, step, order)
    return True


def _tile(draft: Draft, step: Step, order: Order) -> bool:
    turn_numbers(draft, step, 1, inverse(order))
    turn_inputs(draft, step, _FIRST, inverse(order))
    turn_outputs(draft, step, order)
    return True


def _meet(draft: Draft, step: Step, order: Order) -> bool:
    second = order_of(step)
    return second is not None and len(second) == len(order) and _merge(draft, step, order, second)


def _reshape(draft: Draft, step: Step, order: Order) -> bool:
    """Move behind a Reshape that keeps the order of all axes longer than one, or that splits axes."""
    before, after, wanted = draft.shape(step.read(0)), draft.shape(step.output), draft.elements(step.read(1))
    if before is None or after is None or wanted is None or len(before) != len(order):
        return False
    if len(after) != len(before):
        return _split_first(draft, step, order, before, after)
    left: list[int | None] = list(before)
    places = []
    for dim in after:
        place = next((i for i, of in enumerate(left) if of == dim or (of not in (None, 1) and dim != 1)), None)
        if place is None or left[place] != dim:
            return False
        left[place] = None
        places.append(place)
    return _merge(draft, step, order, tuple(places))


def _split_first(draft: Draft, step: Step, order: Order, before: Sequence[int], after: Sequence[int]) -> bool:
    """Split the axes of what a Transpose reads, and transpose what comes of them."""
    groups = _groups(before, after)
    if groups is None:
        return False
    places = [place for axis in inverse(order) for place in groups[axis]]
    turn_inputs(draft, step, _FIRST, inverse(order))
    draft.rewire(step, 1, add_integers(draft, [after[place] for place in places]))
    turn_outputs(draft, step, inverse(tuple(places)))
    return True


def _groups(before: Sequence[int], after: Sequence[int]) -> list[list[int]] | None:
    """Return the axes that each axis is split into, ``None`` if some are joined or left over."""
    groups: list[list[int]] = []
    place = 0
    for dim in before:
        start, size = place, 1
        while place < len(after) and (place == start or size < dim):
            size *= after[place]
            place += 1
        if size != dim or place == start:
            return None
        groups.append(list(range(start, place)))
    return groups if place == len(after) else None


def _merge(draft: Draft, step: Step, order: Order, second: Order) -> bool:
    first = draft.writer(step.read(0))
    if first is None:
        return False
    source, whole, result = first.read(0), joined(order, second), step.output
    if not is_idle(whole):
        if step.op == "Transpose":
            draft.rewire(step, 0, source)
            step.attributes = {"perm": whole}
        else:
            draft.remove(step)
            draft.add(step, "Transpose", [source], [result], {"perm": whole})
    elif not draft.is_seen(result):
        draft.bypass(step, source)
    else:
        _write_before(draft, step, source)
    if not draft.uses(first.output):
        draft.remove(first)
    return True


def _write_before(draft: Draft, step: Step, source: int) -> None:
    """Let what writes the source of two that undo each other write the result that the caller reads."""
    result, writer = step.output, draft.writer(source)
    draft.remove(step)
    if writer is None or draft.is_seen(source):
        draft.add(step, "Identity", [source], [result])
        return
    for reader, position in draft.reads_of(source):
        draft.rewire(reader, position, result)
    draft.redirect(writer, result, writer.outputs.index(source))


def _quantise(draft: Draft, step: Step, order: Order) -> bool:
    """Move behind a change between numbers and bytes, which may have a scale for each place of an axis."""
    if draft.dims(step.read(1)) != ():
        axis = _axis(step, order, 1)
        if axis is None:
            return False
        step.attributes = {**step.attributes, "axis": order[axis]}
    turn_inputs(draft, step, _FIRST, inverse(order))
    turn_outputs(draft, step, order)
    return True


def _pool_bytes(draft: Draft, step: Step, order: Order) -> bool:
    """Let a pool of bytes have its channels elsewhere."""
    is_last = bool(step.attributes.get("channels_last", 0))
    if (inverse(order) if is_last else order) != _channels_first(len(order)):
        return False
    step.attributes = {**step.attributes, "channels_last": int(not is_last)}
    turn_inputs(draft, step, _FIRST, inverse(order))
    turn_outputs(draft, step, order)
    return True


def _max_pool(draft: Draft, step: Step, order: Order) -> bool:
    has_places = any(i is not None for i in step.outputs[1:])
    if has_places or draft.dtype(step.output) not in _BYTES or order != _channels_first(len(order)):
        return False
    draft.rename(step, "com.microsoft.NhwcMaxPool")
    step.attributes = {**step.attributes, "channels_last": 1}
    turn_inputs(draft, step, _FIRST, inverse(order))
    turn_outputs(draft, step, order)
    return True


def _channels_first(rank: int) -> Order:
    return (0, rank - 1, *range(1, rank - 1))


def _both(_draft: Draft, _step: Step) -> Sequence[int]:
    return 0, 3


def _every_third(_draft: Draft, step: Step) -> Sequence[int]:
    return range(2, len(step.inputs), 3)


def _never(_draft: Draft, _step: Step, _order: Order) -> bool:
    return False


_EACH = Push(inputs=_all_inputs, rule=_each)
_FIRST_OF = Push(inputs=_first_input, rule=_each)
_BROADCAST = Push(inputs=_no_numbers, rule=_broadcast)
_REDUCE = Push(inputs=_first_input, rule=_reduce)
_ARG = Push(inputs=_first_input, rule=_arg)
_SOFTMAX = Push(inputs=_first_input, rule=_softmax)
_QUANTISE = Push(inputs=_first_input, rule=_quantise)
_POOL = Push(inputs=_first_input, rule=_pool_bytes)

_ALONE = (
    *("Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Cast", "Ceil", "Celu", "Cos", "Cosh", "Erf", "Exp"),
    *("Floor", "Gelu", "HardSigmoid", "HardSwish", "Identity", "IsInf", "IsNaN", "LeakyRelu", "Log", "Neg", "Not"),
    *("Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign"),
    *("Sqrt", "Tan", "Tanh", "ThresholdedRelu"),
)
_TOGETHER = (
    *("Add", "And", "BitShift", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Mean"),
    *("Min", "Mod", "Mul", "Or", "PRelu", "Pow", "Sub", "Sum", "Where", "Xor"),
)
_OVER = (
    *(
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceProd",
    ),
    *("ReduceSum", "ReduceSumSquare"),
)

PUSHES: Mapping[str, Push] = {
    **dict.fromkeys(_ALONE, _EACH),
    **dict.fromkeys(_TOGETHER, _BROADCAST),
    **dict.fromkeys(_OVER, _REDUCE),
    **dict.fromkeys(("Clip", "CastLike"), _FIRST_OF),
    **dict.fromkeys(("ArgMin", "ArgMax"), _ARG),
    **dict.fromkeys(("Softmax", "Hardmax", "LogSoftmax"), _SOFTMAX),
    "Transpose": Push(inputs=_first_input, rule=_meet, is_behind=False),
    "Reshape": Push(inputs=_first_input, rule=_reshape, is_behind=False),
    "Concat": Push(inputs=_all_inputs, rule=_along(None)),
    "Split": Push(inputs=_first_input, rule=_along(0)),
    "Shape": Push(inputs=_first_input, rule=_shape, is_behind=False),
    "Pad": Push(inputs=_first_input, rule=_pad),
    "Squeeze": Push(inputs=_first_input, rule=_squeeze),
    "Unsqueeze": Push(inputs=_first_input, rule=_unsqueeze),
    "Slice": Push(inputs=_first_input, rule=_slice),
    "Tile": Push(inputs=_first_input, rule=_tile),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear"), _QUANTISE),
    **dict.fromkeys((f"{_MICROSOFT}QuantizeLinear", f"{_MICROSOFT}DequantizeLinear"), _QUANTISE),
    **dict.fromkeys((f"{_MICROSOFT}QLinearAdd", f"{_MICROSOFT}QLinearMul"), Push(inputs=_both, rule=_broadcast)),
    **dict.fromkeys((f"{_MICROSOFT}QLinearLeakyRelu", f"{_MICROSOFT}QLinearSigmoid"), _FIRST_OF),
    **dict.fromkeys((f"{_MICROSOFT}QLinearAveragePool", f"{_MICROSOFT}QLinearGlobalAveragePool"), _POOL),
    f"{_MICROSOFT}QLinearConcat": Push(inputs=_every_third, rule=_along(None)),
    f"{_MICROSOFT}QLinearReduceMean": _REDUCE,
    f"{_MICROSOFT}QLinearSoftmax": _SOFTMAX,
    "MaxPool": Push(inputs=_first_input, rule=_never),
    "Resize": Push(inputs=_first_input, rule=_never),
}
"""Operations behind which a Transpose may move. Pools and Resize count as such when others are weighed."""

PUSHES_ON_CPU: Mapping[str, Push] = {
    **PUSHES,
    "Resize": Push(inputs=_first_input, rule=_resize),
    "MaxPool": Push(inputs=_first_input, rule=_max_pool),
}
"""The same once it is known that the processor runs them."""
