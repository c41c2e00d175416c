"""Where a change of type moves past operations that only move elements, so that these run on 8 bits.

    QuantizeLinear       one value, one scale     moves to where what it quantises comes from, past operations that
                                                  nobody else reads: a pair of changes goes in front of each
    DequantizeLinear     one value, one scale     moves on, past operations to whatever reads them: a pair of changes
                                                  goes behind each, with an end for every reader

A pair around an operation is joined with it later, see ``quantising``.
"""

from __future__ import annotations

from memprof.ir import TensorType
from memprof.runtimes.onnxruntime.optimizing.draft import Draft, Step

_QUANTISE, _RESTORE = "QuantizeLinear", "DequantizeLinear"
_MOVERS = ("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice")
_NEWER = 21  # version of ONNX's operations from which on these are others
_POOLS = range(12, 22)


def propagate_changes(draft: Draft) -> None:
    """Let changes of type move past what only moves elements."""
    version = draft.graph.opset or 0
    movers = frozenset((*(_MOVERS if version < _NEWER else ("Slice",)), *(("MaxPool",) if version in _POOLS else ())))
    for step in list(draft.of(_QUANTISE)):
        if _has_one_scale(draft, step):
            _quantise_sooner(draft, step, movers)
    for step in list(draft.of(_RESTORE)):
        if _has_one_scale(draft, step) and draft.uses(step.output) == 1:
            _restore_later(draft, step, movers)


def _quantise_sooner(draft: Draft, step: Step, movers: frozenset[str]) -> None:
    source = step.read(0)
    while draft.uses(source) == 1:
        mover = draft.writer(source)
        if mover is None or mover.op not in movers:
            return
        source = mover.read(0)
        before = draft.writer(source)
        if draft.is_fixed(source) or (before is not None and (before.op == _RESTORE or draft.uses(source) != 1)):
            return
        quantised = _quantise(draft, step, source)
        draft.rewire(mover, 0, _restore(draft, step, quantised, source))


def _restore_later(draft: Draft, step: Step, movers: frozenset[str]) -> None:
    stack = [reader for reader in draft.readers(step.output) if reader.op in movers and reader.read(0) == step.output]
    while stack:
        mover = stack.pop()
        moved = mover.output
        if draft.is_seen(moved):
            if draft.uses(moved) == 1:
                before = draft.add_value(draft.types[moved], draft.ahead_type(moved))
                draft.redirect(mover, before)
                draft.add(step, _RESTORE, [_quantise(draft, step, before), *step.inputs[1:3]], [moved])
            continue
        readers = [(reader, place) for reader, place in draft.reads_of(moved) if reader.op != _QUANTISE]
        if not readers:
            continue
        quantised = _quantise(draft, step, moved)
        for reader, place in readers:
            draft.rewire(reader, place, _restore(draft, step, quantised, moved))
            if reader.op in movers and place == 0:
                stack.append(reader)


def _has_one_scale(draft: Draft, step: Step) -> bool:
    given = [i for i in step.inputs[1:3] if i is not None]
    return all(draft.is_fixed(i) and draft.shape(i) in ((), (1,)) for i in given)


def _quantise(draft: Draft, of: Step, source: int) -> int:
    """Return the 8 bits of a value, quantised by the scale of a change."""
    dtype = draft.dtype(of.output if of.op == _QUANTISE else of.read(0))
    ids = (draft.types[source], draft.ahead_type(source))
    quantised = draft.add_value(*(TensorType(dtype, kind.shape) for kind in ids))
    draft.add(of, _QUANTISE, [source, *of.inputs[1:3]], [quantised])
    return quantised


def _restore(draft: Draft, of: Step, quantised: int, like: int) -> int:
    """Return a value again, from its 8 bits."""
    restored = draft.add_value(draft.types[like], draft.ahead_type(like))
    draft.add(of, _RESTORE, [quantised, *of.inputs[1:3]], [restored])
    return restored
