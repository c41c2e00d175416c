"""What a Transpose that moves behind an operation leaves around it: inputs in another order, and transposed outputs.

    a weight            is turned itself; who else reads it reads it turned back, which is done ahead
    already turned      the two become one, or undo each other
    turned elsewhere    is read from there
    anything else       gets a Transpose of its own

The same for inputs that lack axes which others broadcast over.
"""

from __future__ import annotations

from collections.abc import Sequence

from memprof.ir import TensorType
from memprof.runtimes.onnxruntime.optimizing.draft import Draft, Step
from memprof.runtimes.onnxruntime.optimizing.permutations import (
    Order,
    inverse,
    is_idle,
    joined,
    order_of,
    turned,
    turned_elements,
    with_ones,
)
from memprof.runtimes.onnxruntime.optimizing.units import read_turned, restore_behind, restored_weight, restorer

_INTEGERS = "int64"


def turn_inputs(draft: Draft, step: Step, positions: Sequence[int], order: Order) -> None:
    """Let an operation read some inputs in another order."""
    for position in positions:
        turn_input(draft, step, position, order)


def turn_input(draft: Draft, step: Step, position: int, order: Order) -> None:
    """Let an operation read one input in another order."""
    value_id = step.read(position)
    weight = restored_weight(draft, value_id)
    if weight is not None and _is_changeable(draft, weight.read(0)):
        new = _turn_weight(draft, weight, 0, order)
        draft.rewire(step, position, value_id if new is None else read_turned(draft, weight, new, order))
    elif _is_changeable(draft, value_id):
        _turn_weight(draft, step, position, order)
    elif not _undo(draft, step, position, order):
        same = [of for of in draft.readers(value_id) if of is not step and order_of(of) == order]
        draft.rewire(step, position, same[0].output if same else _add_transpose(draft, step, value_id, order))
        _keep_whole(draft, value_id, () if same else ("Transpose",))


def _undo(draft: Draft, step: Step, position: int, order: Order) -> bool:
    """Join an order with a Transpose in front of it, behind a DequantizeLinear only if the two undo each other."""
    value_id = step.read(position)
    restored = restorer(draft, value_id)
    first = draft.writer(value_id if restored is None else restored.read(0))
    before = order_of(first)
    if first is None or before is None or len(before) != len(order):
        return False
    whole, source, result = joined(before, order), first.read(0), first.output
    if restored is None:
        draft.rewire(step, position, source if is_idle(whole) else _add_transpose(draft, step, source, whole))
    elif is_idle(whole) and draft.only_reader(value_id) is step:
        draft.rewire(step, position, read_turned(draft, restored, source, order))
    else:
        return False
    if not draft.uses(result):
        draft.remove(first)
    return True


def _keep_whole(draft: Draft, value_id: int, ops: Sequence[str]) -> None:
    """Restore what is written behind a DequantizeLinear by an operation that was just added."""
    restored = restorer(draft, value_id)
    added = draft.only_reader(value_id, *ops) if restored is not None and ops else None
    if restored is not None and added is not None:
        restore_behind(draft, restored, added)


def turn_outputs(draft: Draft, step: Step, order: Order) -> None:
    """Let an operation write its results in another order, and a Transpose behind each put them back."""
    if is_idle(order):
        return
    for position, value_id in enumerate(step.outputs):
        if value_id is not None:
            _turn_output(draft, step, position, order)


def add_axes(draft: Draft, step: Step, position: int, axes: Sequence[int]) -> None:
    """Let an operation read one input with more axes of one place."""
    value_id = step.read(position)
    if _is_changeable(draft, value_id):
        new = _new_weight(draft, [_with_axes(of, axes) for of in _kinds(draft, value_id)], draft.elements(value_id))
        _read_instead(draft, step, position, new, "Squeeze", axes)
        return
    first = draft.writer(value_id)
    if first is not None and first.op == "Squeeze" and constant_axes(draft, first) == tuple(axes):
        draft.rewire(step, position, first.read(0))
        if not draft.uses(value_id):
            draft.remove(first)
        return
    new = draft.add_value(*(_with_axes(of, axes) for of in _kinds(draft, value_id)))
    added = draft.add(step, "Unsqueeze", [value_id, add_integers(draft, axes)], [new])
    draft.rewire(step, position, new)
    order = order_of(first)
    if order is not None:
        turn_input(draft, added, 0, inverse(order))
        draft.rewire(step, position, _turn_output(draft, added, 0, with_ones(order, axes)))
    _keep_whole(draft, value_id, ("Unsqueeze",))


def constant_axes(draft: Draft, step: Step) -> tuple[int, ...] | None:
    """Return the axes of an operation, an input or an attribute, ``None`` if they are not known."""
    found = draft.elements(step.read(1)) if step.read(1) >= 0 else step.attributes.get("axes")
    if not isinstance(found, tuple) or not all(isinstance(axis, int | float) for axis in found):
        return None
    return tuple([int(axis) for axis in found if isinstance(axis, int | float)])


def add_integers(draft: Draft, numbers: Sequence[int]) -> int:
    """Return a new constant."""
    kind = TensorType(_INTEGERS, (len(numbers),))
    return _new_weight(draft, [kind, kind], tuple([float(number) for number in numbers]))


def turn_numbers(draft: Draft, step: Step, position: int, order: Order) -> None:
    """Let an operation read a row of numbers, one to an axis, in another order."""
    value_id = step.read(position)
    found = draft.elements(value_id)
    if found is not None and len(found) == len(order):
        draft.rewire(step, position, add_integers(draft, [int(found[place]) for place in order]))
        return
    new = draft.add_value(*_kinds(draft, value_id))
    draft.add(step, "Gather", [value_id, add_integers(draft, order)], [new], {"axis": 0})
    draft.rewire(step, position, new)


def do_ahead(draft: Draft) -> None:
    """Turn and squeeze weights ahead."""
    for step in draft.of("Transpose", "Squeeze", "Unsqueeze"):
        source, result = step.read(0), step.output
        if draft.writer(source) is not None or not draft.is_own_weight(source) or draft.is_seen(result):
            continue
        elements, order = draft.elements(source), order_of(step)
        if order is not None:
            elements = turned_elements(elements, draft.shape(source) or (), order)
        draft.remove(step)
        draft.fix(result, elements)


def _is_changeable(draft: Draft, value_id: int) -> bool:
    return draft.writer(value_id) is None and draft.is_own_weight(value_id) and not draft.is_seen(value_id)


def _turn_weight(draft: Draft, step: Step, position: int, order: Order) -> int | None:
    """Let an operation read a weight in another order, and return that, ``None`` if it stays the same."""
    value_id = step.read(position)
    shape = draft.shape(value_id) or ()
    if all(dim == 1 for dim in shape):
        return None
    if len(shape) == 1 and shape[0] == len(order):
        turn_numbers(draft, step, position, order)
        return None
    elements = turned_elements(draft.elements(value_id), shape, order)
    new = _new_weight(draft, [turned(of, order) for of in _kinds(draft, value_id)], elements)
    _read_instead(draft, step, position, new, "Transpose", inverse(order))
    return new


def _read_instead(draft: Draft, step: Step, position: int, new: int, op: str, how: Sequence[int]) -> None:
    """Let one reader of a weight read a changed one, and all others that one with the change undone."""
    value_id = step.read(position)
    draft.rewire(step, position, new)
    others = draft.reads_of(value_id)
    if not others:
        return
    old = draft.add_value(*_kinds(draft, value_id))
    if op == "Transpose":
        draft.add(step, op, [new], [old], {"perm": tuple(how)})
    else:
        draft.add(step, op, [new, add_integers(draft, how)], [old])
    for reader, place in others:
        draft.rewire(reader, place, old)


def _new_weight(draft: Draft, kinds: Sequence[TensorType], elements: tuple[float, ...] | None) -> int:
    new = draft.add_value(*kinds)
    draft.fix(new, elements)
    return new


def _add_transpose(draft: Draft, like: Step, value_id: int, order: Order) -> int:
    new = draft.add_value(*(turned(of, order) for of in _kinds(draft, value_id)))
    draft.add(like, "Transpose", [value_id], [new], {"perm": order})
    return new


def _turn_output(draft: Draft, step: Step, position: int, order: Order) -> int:
    result = step.outputs[position]
    assert result is not None, "what is left out is not turned"
    new = draft.add_value(*(turned(of, inverse(order)) for of in _kinds(draft, result)))
    draft.redirect(step, new, position)
    draft.add(step, "Transpose", [new], [result], {"perm": order})
    return result


def _with_axes(of: TensorType, axes: Sequence[int]) -> TensorType:
    rest = iter(of.shape or ())
    rank = len(of.shape or ()) + len(axes)
    return TensorType(of.dtype, tuple([1 if axis in axes else next(rest) for axis in range(rank)]))


def _kinds(draft: Draft, value_id: int) -> tuple[TensorType, TensorType]:
    return draft.types[value_id], draft.ahead_type(value_id)
