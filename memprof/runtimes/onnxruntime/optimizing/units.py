"""Operations between DequantizeLinear and QuantizeLinear, where transposes move: each unit stays whole.

weights       a DequantizeLinear of a weight with one reader is looked through: the weight itself is turned
X
in front      so does one in front of a QuantizeLinear, before it
empty         a DequantizeLinear and the same QuantizeLinear behind it, with nothing between, go
"""

from __future__ import annotations

from memprof.ir import TensorType
from memprof.runtimes.onnxruntime.optimizing.draft import Draft, Step
from memprof.runtimes.onnxruntime.optimizing.permutations import Order, inverse, order_of, turned

QUANTISE, RESTORE = "QuantizeLinear", "DequantizeLinear"


def restorer(draft: Draft, value_id: int) -> Step | None:
    """Return the DequantizeLinear that writes a value, if it has one scale or one to each place of an axis."""
    found = draft.writer_of(value_id, RESTORE)
    return None if found is None or found.attributes.get("block_size", 0) else found


def restored_weight(draft: Draft, value_id: int) -> Step | None:
    """Return the DequantizeLinear that writes a value of a weight, for one reader."""
    found = restorer(draft, value_id)
    is_weight = found is not None and draft.writer(found.read(0)) is None and draft.is_fixed(found.read(0))
    return found if is_weight and draft.only_reader(value_id) is not None else None


def is_by_axis(draft: Draft, step: Step) -> bool:
    """Return whether a QuantizeLinear or DequantizeLinear has a scale for each place of an axis."""
    return draft.dims(step.read(1)) not in ((), (1,))


def read_turned(draft: Draft, step: Step, value_id: int, order: Order) -> int:
    """Let a DequantizeLinear read what is in another order, and return what it writes then."""
    result = step.output
    new = draft.add_value(*(turned(of, order) for of in (draft.types[result], draft.ahead_type(result))))
    draft.rewire(step, 0, value_id)
    draft.redirect(step, new)
    axis = step.attributes.get("axis", 1)
    if is_by_axis(draft, step) and isinstance(axis, int):
        step.attributes = {**step.attributes, "axis": inverse(order)[axis % len(order)]}
    return new


def restore_behind(draft: Draft, first: Step, step: Step) -> None:
    """Put a QuantizeLinear and a DequantizeLinear like ``first`` behind an operation that reads what it writes.

    Args:
        draft: The operations.
        first: The DequantizeLinear.
        step: A Transpose or an Unsqueeze behind it.
    """
    result, order = step.output, order_of(step)
    attributes = dict(first.attributes)
    axis = attributes.get("axis", 1)
    if order is not None and is_by_axis(draft, first) and isinstance(axis, int):
        attributes["axis"] = inverse(order)[axis % len(order)]
    plain = draft.add_value(draft.types[result], draft.ahead_type(result))
    dtype = draft.dtype(first.read(0)) or ""
    kinds = (draft.types[result], draft.ahead_type(result))
    narrow = draft.add_value(*(TensorType(dtype, kind.shape) for kind in kinds))
    draft.redirect(step, plain)
    draft.add(first, QUANTISE, [plain, *first.inputs[1:]], [narrow], attributes)
    draft.add(first, RESTORE, [narrow, *first.inputs[1:]], [result], attributes)


def mend_units(draft: Draft) -> None:
    """Make units whole again after transposes moved."""
    for step in draft.of(QUANTISE, "Transpose"):
        if step.is_gone:
            continue
        if step.op == QUANTISE:
            _remove_empty(draft, step)
        elif not _mend_behind(draft, step):
            _mend_in_front(draft, step)


def _remove_empty(draft: Draft, step: Step) -> None:
    first = draft.writer_of(step.read(0), RESTORE)
    if first is None or draft.only_reader(first.output) is None:
        return
    if draft.dtype(first.read(0)) != draft.dtype(step.output) or draft.is_seen(step.output):
        return
    same = all(draft.canonical(first.read(place)) == draft.canonical(step.read(place)) for place in (1, 2))
    if same and len(draft.readers(step.output)) == 1:
        draft.bypass(step, first.read(0))
        draft.remove(first)


def _mend_behind(draft: Draft, step: Step) -> bool:
    first = restorer(draft, step.read(0))
    readers = draft.readers(step.output)
    if first is None or len(readers) > 1 or draft.only_reader(first.output) is not step:
        return False
    if readers and readers[0].op == QUANTISE:
        return False
    restore_behind(draft, first, step)
    return True


def _mend_in_front(draft: Draft, step: Step) -> None:
    after, order = draft.only_reader(step.output, QUANTISE), order_of(step)
    source = step.read(0)
    writer = draft.writer(source)
    if after is None or writer is None or order is None or writer.op == RESTORE:
        return
    if draft.only_reader(source) is not step or after.attributes.get("block_size", 0):
        return
    attributes = dict(after.attributes)
    axis = attributes.get("axis", 1)
    if is_by_axis(draft, after) and isinstance(axis, int):
        attributes["axis"] = order[axis % len(order)]
    kinds = (draft.types[source], draft.ahead_type(source))
    dtype = draft.dtype(after.output) or ""
    narrow = draft.add_value(*(TensorType(dtype, kind.shape) for kind in kinds))
    wide = draft.add_value(*kinds)
    draft.add(after, QUANTISE, [source, *after.inputs[1:]], [narrow], attributes)
    draft.add(after, RESTORE, [narrow, *after.inputs[1:]], [wide], attributes)
    draft.rewire(step, 0, wide)
