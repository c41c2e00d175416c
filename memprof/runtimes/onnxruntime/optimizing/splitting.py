"""Slices and single places of one tensor that together are all of it: one Split, and a Squeeze for each place."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from memprof.ir import TensorType
from memprof.runtimes.onnxruntime.optimizing.draft import Draft, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """What one operation takes of a tensor.

    Attributes:
        step: The operation.
        axis: Along which axis.
        start: From where on.
        stop: To where, this excluded.
    """

    step: Step
    axis: int
    start: int
    stop: int


def split_all(draft: Draft) -> None:
    """Put a Split in the place of operations that take a tensor apart."""
    sources = dict.fromkeys(step.read(0) for step in draft.of("Slice", "Gather"))
    for source in sources:
        shape = draft.dims(source)
        if shape is None or draft.is_fixed(source):
            continue
        by_axis: defaultdict[int, list[_Piece]] = defaultdict(list)
        for reader in draft.readers(source):
            piece = _piece(draft, reader, source)
            if piece is not None:
                by_axis[piece.axis].append(piece)
        for axis, pieces in by_axis.items():
            ordered = sorted(pieces, key=lambda piece: piece.start)
            length = shape[axis]
            ends = [0, *(piece.stop for piece in ordered)]
            is_whole = ends[-1] == length and [piece.start for piece in ordered] == ends[:-1]
            if len(ordered) > 1 and is_whole and all(piece.start < piece.stop for piece in ordered):
                _split(draft, source, axis, ordered)
                break


def _piece(draft: Draft, step: Step, source: int) -> _Piece | None:
    shape = draft.dims(source) or ()
    if step.read(0) != source or draft.is_seen(source):
        return None
    if step.op == "Gather":
        places, axis = draft.elements(step.read(1)), step.attributes.get("axis", 0)
        if places is None or len(places) != 1 or draft.rank(step.read(1)) > 1 or not isinstance(axis, int):
            return None
        axis = axis % max(1, len(shape))
        length = shape[axis]
        if not isinstance(length, int):
            return None
        start = int(places[0]) % length if length else 0
        return _Piece(step=step, axis=axis, start=start, stop=start + 1)
    if step.op != "Slice":
        return None
    return _slice(draft, step, shape)


def _slice(draft: Draft, step: Step, shape: tuple[int | str | None, ...]) -> _Piece | None:
    if len(step.inputs) > 1:
        given = [draft.elements(step.read(position)) for position in range(1, len(step.inputs))]
    else:
        given = [_numbers(step.attributes.get(name)) for name in ("starts", "ends", "axes")]
    starts, ends = given[:2]
    axes = given[2] if len(given) > 2 else (0,)
    steps = given[3] if len(given) > 3 else (1,)
    if starts is None or ends is None or axes is None or steps != (1,) or not len(starts) == len(axes) == 1:
        return None
    axis = int(axes[0]) % max(1, len(shape))
    length = shape[axis]
    if not isinstance(length, int):
        return None
    start, stop = (_place(int(of), length) for of in (starts[0], ends[0]))
    return _Piece(step=step, axis=axis, start=start, stop=stop)


def _numbers(found: object) -> tuple[float, ...] | None:
    return found if isinstance(found, tuple) and all(isinstance(of, int | float) for of in found) else None


def _place(place: int, length: int) -> int:
    return min(length, max(0, place + length if place < 0 else place))


def _split(draft: Draft, source: int, axis: int, pieces: list[_Piece]) -> None:
    outputs: list[int | None] = []
    squeezed: list[tuple[_Piece, int]] = []
    for piece in pieces:
        result = piece.step.output
        if piece.step.op == "Gather" and draft.rank(piece.step.read(1)) == 0:
            of, ahead = (_with_one(kind, axis) for kind in (draft.types[result], draft.ahead_type(result)))
            value_id = draft.add_value(of, ahead)
            squeezed.append((piece, value_id))
            outputs.append(value_id)
        else:
            outputs.append(result)
    for piece in pieces:
        draft.remove(piece.step)
    draft.add(pieces[0].step, "Split", [source], outputs, {"axis": axis})
    for piece, value_id in squeezed:
        draft.add(piece.step, "Squeeze", [value_id], piece.step.outputs[:1])


def _with_one(of: TensorType, axis: int) -> TensorType:
    shape = of.shape or ()
    return TensorType(of.dtype, (*shape[:axis], 1, *shape[axis:]))
