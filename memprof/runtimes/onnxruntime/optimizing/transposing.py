"""Transposes that onnxruntime moves behind other operations, so that they meet: two become one, or undo each other.

Operations are looked at once, in order. A Transpose in front of one moves behind it if that leaves fewer to do in
front of it, counted in axes longer than one, and either fewer behind it or one from which rules lead to another
Transpose. What takes a weight or another Transpose anyway costs nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from itertools import chain, islice

from memprof.runtimes.onnxruntime.optimizing.draft import Draft, Step
from memprof.runtimes.onnxruntime.optimizing.permutations import Order, inverse, order_of
from memprof.runtimes.onnxruntime.optimizing.pushing import PUSHES, PUSHES_ON_CPU, Push
from memprof.runtimes.onnxruntime.optimizing.turning import do_ahead
from memprof.runtimes.onnxruntime.optimizing.units import RESTORE, mend_units, restored_weight

_IMAGE_RANK = 4
_BYTES = frozenset(("int8", "uint8"))
_LARGEST_RANK = 5  # taken where none is known
_MOST_ORDERS = 64  # behind one value: all a network has, and what a file made to be slow costs
_MOST_READERS = 100  # the same of a Transpose that moves behind all of them


def move_transposes(draft: Draft) -> None:
    """Move transposes to where they meet."""
    _move_all(draft, PUSHES)


def move_transposes_on_cpu(draft: Draft) -> None:
    """Move them behind what the processor runs in any layout, too."""
    _move_all(draft, PUSHES_ON_CPU)


def _move_all(draft: Draft, pushes: Mapping[str, Push]) -> None:
    if not draft.has("Transpose"):
        return
    steps = draft.ordered()
    leading = _leading(draft, steps, pushes)
    for step in steps:
        push = pushes.get(step.op)
        if push is None or step.is_gone or step.node.is_malformed:
            continue
        for position in range(len(step.inputs)):
            order = order_of(draft.writer(step.read(position)))
            if order is None or position not in push.inputs(draft, step):
                continue
            if _pays(draft, step, order, pushes, leading) and push.rule(draft, step, order):
                break
    do_ahead(draft)
    if draft.has(RESTORE):
        mend_units(draft)


def _leading(draft: Draft, steps: list[Step], pushes: Mapping[str, Push]) -> Mapping[int, set[Order]]:
    """Return the values from which operations lead to transposes, and the orders of these."""
    found: defaultdict[int, set[Order]] = defaultdict(set)
    for step in reversed(steps):
        push, order = pushes.get(step.op), order_of(step)
        if order is not None:
            found[step.read(0)].add(order)
        elif push is not None and push.is_behind:
            behind = chain.from_iterable(found[i] for i in step.outputs if i is not None and i in found)
            orders = set(islice(behind, _MOST_ORDERS))
            for position in push.inputs(draft, step) if orders else ():
                found[step.read(position)] |= orders
    return found


def _pays(
    draft: Draft, step: Step, order: Order, pushes: Mapping[str, Push], leading: Mapping[int, set[Order]]
) -> bool:
    if step.op == "Transpose" or (pushes is PUSHES_ON_CPU and _is_faster_last(draft, step)):
        return True
    push, results = pushes[step.op], [i for i in step.outputs if i is not None]
    cost = sum(_cost(draft, step.read(position), order, pushes) for position in push.inputs(draft, step))
    if cost < 0 and push.is_behind and not any(_is_met(draft, i, order, leading) for i in results):
        cost += max((_rank(draft, i) for i in results), default=0)
    return cost < 0


def _is_faster_last(draft: Draft, step: Step) -> bool:
    is_linear = step.attributes.get("mode") == "linear" and draft.rank(step.read(0)) == _IMAGE_RANK
    return step.op == "MaxPool" or (step.op == "Resize" and is_linear and draft.dtype(step.read(0)) in _BYTES)


def _is_met(draft: Draft, value_id: int, order: Order, leading: Mapping[int, set[Order]]) -> bool:
    """Return whether what is transposed meets another Transpose: one that undoes it, if others read it too."""
    orders = leading.get(value_id)
    if not orders or draft.is_seen(value_id):
        return False
    return len(set(draft.readers(value_id))) == 1 or inverse(order) in orders


def _cost(draft: Draft, value_id: int, order: Order, pushes: Mapping[str, Push]) -> int:
    """Return what it costs to undo an order in front of an operation, less than nothing if it was done there."""
    writer = draft.writer(value_id)
    is_weight = writer is None and draft.is_fixed(value_id)
    if is_weight or restored_weight(draft, value_id) is not None:
        return 0
    if writer is not None and writer.op == RESTORE:
        writer = _behind_restored(draft, writer)
    before = order_of(writer)
    if writer is None or before is None:
        return _rank(draft, value_id)
    if draft.is_seen(writer.output) or draft.uses(writer.output) > _MOST_READERS:
        return 0
    is_alone = all(of.op in pushes for of in draft.readers(writer.output))
    return -_rank(draft, value_id) if before == order and is_alone else 0


def _behind_restored(draft: Draft, step: Step) -> Step:
    """Return what writes the bytes that a DequantizeLinear reads, looking through a Squeeze for a Transpose."""
    source = draft.writer(step.read(0))
    if source is None or source.op != "Squeeze":
        return source or step
    first = draft.writer_of(source.read(0), "Transpose")
    return first or step


def _rank(draft: Draft, value_id: int) -> int:
    dims = draft.dims(value_id)
    return _LARGEST_RANK if dims is None else sum(dim != 1 for dim in dims)
