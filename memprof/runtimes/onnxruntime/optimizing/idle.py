"""Operations that onnxruntime leaves out, since they change nothing or another one does the same.

removed    Identity, Dropout, Cast to the same type, Slice of everything, Expand to the same shape, sums with zero,
           products and quotients with one; Relu before a Clip from zero on
shared     of two operations that read the same and are the same, the second
merged     a Pad with the convolution or the pool behind it; 1 / x * y into y / x
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from memprof.runtimes.onnxruntime.optimizing.draft import Draft, Step
from memprof.runtimes.onnxruntime.optimizing.folding import KEPT

_MAX_DROPOUT_INPUTS = 2  # a third may tell it to train
_IMAGE_RANK = 4
_OPEN_END = 2**31 - 1  # an end within the tensor is left as it is


def remove_idle(draft: Draft) -> None:
    """Remove what hands its input on."""
    for step in draft.of(*_IDLE):
        source = _IDLE[step.op](draft, step)
        if source is None or step.is_gone or any(i is not None for i in step.outputs[1:]):
            continue
        writer = draft.writer(source)
        if not draft.is_seen(step.output):
            draft.bypass(step, source)
            continue
        if step.op != "Identity":  # what else writes an output of the graph stays
            continue
        is_alone = draft.only_reader(source) is step
        if writer is not None and is_alone and writer.output == source and not writer.node.bodies:
            draft.take_over(writer, step)


def _first(draft: Draft, step: Step) -> int | None:
    source = step.read(0)
    return source if source >= 0 and not (draft.is_fixed(source) and draft.is_seen(step.output)) else None


def _dropout(draft: Draft, step: Step) -> int | None:
    is_idle = len(step.inputs) <= _MAX_DROPOUT_INPUTS
    return _first(draft, step) if is_idle and not any(map(draft.uses, step.node.writes[1:])) else None


def _cast(draft: Draft, step: Step) -> int | None:
    return _first(draft, step) if draft.dtype(step.read(0)) == draft.dtype(step.output) else None


def _slice(draft: Draft, step: Step) -> int | None:
    ends = draft.elements(step.read(2)) if len(step.inputs) > 1 else step.attributes.get("ends")
    is_open = isinstance(ends, tuple) and all(isinstance(end, int | float) and end >= _OPEN_END for end in ends)
    steps = draft.elements(step.read(4)) if step.read(4) >= 0 else (1,)
    is_forward = steps is not None and all(of == 1 for of in steps)
    return _same_shape(draft, step) if is_open and is_forward else None


def _same_shape(draft: Draft, step: Step) -> int | None:
    shape = draft.shape(step.read(0))
    return _first(draft, step) if shape is not None and shape == draft.shape(step.output) else None


def _neutral(number: float, *, commutes: bool) -> Callable[[Draft, Step], int | None]:
    """Return a rule: what an operation hands on if its other input is a number that changes nothing."""

    def rule(draft: Draft, step: Step) -> int | None:
        for kept, other in (0, 1), (1, 0):
            if kept and not commutes:
                break
            found, value_id = draft.elements(step.read(other)), step.read(kept)
            is_wanted = found is not None and len(found) == 1 and found[0] == number
            if is_wanted and draft.rank(step.read(other)) <= draft.rank(value_id) and not draft.is_fixed(value_id):
                return value_id
        return None

    return rule


_IDLE: Mapping[str, Callable[[Draft, Step], int | None]] = {
    "Identity": _first,
    "Dropout": _dropout,
    "Cast": _cast,
    "Slice": _slice,
    "Expand": _same_shape,
    "Add": _neutral(0, commutes=True),
    "Sub": _neutral(0, commutes=False),
    "Mul": _neutral(1, commutes=True),
    "Div": _neutral(1, commutes=False),
}


def share(draft: Draft) -> None:
    """Let what is done twice be done once."""
    seen: dict[object, Step] = {}
    for step in draft.ordered():
        if step.op in KEPT or step.node.bodies or not step.given:
            continue
        key = (step.op, tuple(map(draft.canonical, step.inputs)), len(step.outputs), _attributes(step))
        first = seen.setdefault(key, step)
        if first is not step and len(step.outputs) == 1 and not draft.is_seen(step.output):
            draft.bypass(step, first.output)


def _attributes(step: Step) -> object:
    return tuple(sorted([(name, str(value)) for name, value in step.attributes.items()])) if step.attributes else ()


def merge_reciprocals(draft: Draft) -> None:
    """Make y / x of 1 / x * y."""
    for step in draft.of("Div"):
        second = draft.only_reader(step.output, "Mul")
        if second is None or draft.elements(step.read(0)) != (1,):
            continue
        other = second.read(1) if second.read(0) == step.output else second.read(0)
        draft.rewire(step, 0, other)
        draft.take_over(step, second)


def merge_clips(draft: Draft) -> None:
    """Remove a Relu whose only reader clips, from a constant on, anyway."""
    for step in draft.of("Relu"):
        second = draft.only_reader(step.output, "Clip")
        if second is not None and draft.elements(second.read(1)) is not None:
            draft.bypass(step, step.read(0))


def merge_pads(draft: Draft) -> None:
    """Let the convolution or pool behind a Pad of zeros around an image pad itself."""
    for step in draft.of("Pad"):
        readers = draft.readers(step.output)
        before, after = draft.shape(step.read(0)), draft.shape(step.output)
        is_plain = step.attributes.get("mode", "constant") == "constant"
        if not readers or not is_plain or draft.is_seen(step.output) or before is None or after is None:
            continue
        if len(before) != _IMAGE_RANK or before[:2] != after[:2] or not _is_zero(draft, step, readers):
            continue
        draft.bypass(step, step.read(0))


def _is_zero(draft: Draft, step: Step, readers: list[Step]) -> bool:
    pads = draft.elements(step.read(1)) if len(step.inputs) > 1 else step.attributes.get("pads")
    if not isinstance(pads, tuple) or any(not isinstance(pad, int | float) or pad < 0 for pad in pads):
        return False
    if any(reader.attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID") for reader in readers):
        return False
    number = draft.elements(step.read(2)) if step.read(2) >= 0 else (0,)
    return number == (0,) and all(reader.op == "Conv" for reader in readers)
