"""Transposes that onnxruntime moves behind what takes a tensor apart or folds it, so that they meet others.

behind pieces    one that only takes of single places read (Gathers, or a Split that is squeezed), of which another
                 Transpose reads one, is done on each piece instead
behind images    a sequence with channels last that becomes an image for a convolution does so as it is, and is
                 transposed then: a change of layout that a reorder does
met              a Transpose of a Transpose is one, or nothing
"""

from __future__ import annotations

from memprof.ir import TensorType
from memprof.runtimes.onnxruntime.optimizing.draft import Draft, Step

_SEVERAL = 2
_SEQUENCE, _FIRST = (0, 2, 1), (0, 3, 1, 2)
_IMAGE_RANK = 4


def move_behind_pieces(draft: Draft) -> None:
    """Transpose the pieces of a tensor instead of the whole."""
    for step in draft.of("Transpose"):
        readers, order = draft.readers(step.output), _order(step)
        if order is None or draft.is_seen(step.output):
            continue
        if len(readers) == 1 and readers[0].op == "Split":
            _move_behind_split(draft, step, readers[0], order)
        elif len(readers) >= _SEVERAL:
            _move_behind_gathers(draft, step, readers, order)


def _order(step: Step) -> tuple[int, ...] | None:
    order = step.attributes.get("perm")
    places = [place for place in order if isinstance(place, int)] if isinstance(order, tuple) else []
    return tuple(places) if places else None


def _meets(draft: Draft, value_id: int) -> bool:
    return draft.only_reader(value_id, "Transpose") is not None


def _move_behind_gathers(draft: Draft, step: Step, readers: list[Step], order: tuple[int, ...]) -> None:
    axes = [_axis(draft, reader, step) for reader in readers]
    if not any(_meets(draft, reader.output) for reader in readers) or any(axis is None for axis in axes):
        return
    for reader, axis in zip(readers, axes, strict=True):
        taken = order[axis or 0]
        piece = _piece(draft, step.read(0), taken)
        draft.remove(reader)
        draft.add(reader, "Gather", [step.read(0), reader.read(1)], [piece], {"axis": taken})
        draft.add(reader, "Transpose", [piece], reader.outputs[:1], {"perm": _rest(order, taken)})
    draft.remove(step)


def _axis(draft: Draft, reader: Step, step: Step) -> int | None:
    """Return the axis along which a Gather takes one place of what a step writes."""
    axis = reader.attributes.get("axis", 0)
    is_place = reader.op == "Gather" and reader.read(0) == step.output and draft.rank(reader.read(1)) == 0
    rank = draft.rank(step.output)
    return axis % rank if is_place and isinstance(axis, int) and rank > 0 else None


def _move_behind_split(draft: Draft, step: Step, split: Step, order: tuple[int, ...]) -> None:
    axis, outputs, source = split.attributes.get("axis", 0), [i for i in split.outputs if i is not None], step.read(0)
    squeezes = [of for i in outputs if (of := draft.only_reader(i, "Squeeze")) is not None]
    if not isinstance(axis, int) or not len(squeezes) == len(outputs) == len(split.outputs):
        return
    axis %= len(order)
    if any(draft.rank(of.output) != len(order) - 1 for of in squeezes):
        return
    if any((draft.dims(i) or (None,) * len(order))[axis] != 1 for i in outputs):
        return
    if not any(_meets(draft, of.output) for of in squeezes):
        return
    taken = order[axis]
    parts = [draft.add_value(*(_with_one(kind, taken) for kind in _kinds(draft, source))) for _ in outputs]
    for gone in (step, split, *squeezes):
        draft.remove(gone)
    draft.add(split, "Split", [source, *split.inputs[1:]], parts, {"axis": taken})
    for of, part in zip(squeezes, parts, strict=True):
        piece = _piece(draft, source, taken)
        draft.add(of, "Squeeze", [part], [piece])
        draft.add(of, "Transpose", [piece], of.outputs[:1], {"perm": _rest(order, taken)})


def _rest(order: tuple[int, ...], taken: int) -> tuple[int, ...]:
    return tuple([place - (place > taken) for place in order if place != taken])


def _piece(draft: Draft, source: int, taken: int) -> int:
    """Return a new value: one place of another along an axis."""
    shapes = [(kind, kind.shape or ()) for kind in _kinds(draft, source)]
    return draft.add_value(*(TensorType(kind.dtype, (*of[:taken], *of[taken + 1 :])) for kind, of in shapes))


def _with_one(of: TensorType, axis: int) -> TensorType:
    shape = of.shape or ()
    return TensorType(of.dtype, (*shape[:axis], 1, *shape[axis + 1 :]))


def _kinds(draft: Draft, value_id: int) -> tuple[TensorType, TensorType]:
    return draft.types[value_id], draft.ahead_type(value_id)


def move_behind_images(draft: Draft) -> None:
    """Make an image of a sequence with channels last, then transpose it."""
    for step in draft.of("Transpose"):
        reader = draft.only_reader(step.output, "Reshape")
        if reader is None or _order(step) != _SEQUENCE:
            continue
        image, flat = draft.shape(reader.output), draft.shape(step.output)
        if image is None or flat is None or len(image) != _IMAGE_RANK or image[:2] != flat[:2]:
            continue
        if not any(of.op == "Conv" for of in draft.readers(reader.output)):
            continue
        kinds = _kinds(draft, reader.output)
        last = draft.add_value(*(TensorType(kind.dtype, (image[0], *image[2:], image[1])) for kind in kinds))
        draft.remove(step)
        draft.remove(reader)
        draft.add(reader, "Reshape", [step.read(0)], [last])
        draft.add(reader, "Transpose", [last], reader.outputs[:1], {"perm": _FIRST})


def merge_transposes(draft: Draft) -> None:
    """Make one Transpose of two."""
    for step in draft.of("Transpose"):
        first = draft.writer_of(step.read(0), "Transpose")
        if first is None or draft.uses(first.output) != 1:
            continue
        one, two = _order(first), _order(step)
        if one is None or two is None or len(one) != len(two):
            continue
        source, order = first.read(0), tuple([one[place] for place in two])
        if order == tuple(range(len(order))) and not draft.is_seen(step.output):
            draft.bypass(step, source)
            draft.remove(first)
        else:
            draft.replace([first, step], "Transpose", [source]).attributes = {"perm": order}
