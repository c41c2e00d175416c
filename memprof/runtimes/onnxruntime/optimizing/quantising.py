"""Graphs of quantised files: what lies between DequantizeLinear and QuantizeLinear runs in 8 bits where it can.

    weights               constant filters and biases of 32 bits are quantised where the image and the result are, of
                          convolutions and Gemm, and restored by a DequantizeLinear
    unread                a DequantizeLinear whose shape alone was asked for
    signed to unsigned    a QuantizeLinear of int8 with one reader, a DequantizeLinear, becomes one of uint8
    idle                  a Relu in front of a QuantizeLinear whose zero is the smallest number
    joined                an operation that reads nothing but DequantizeLinear, of one type, and that a QuantizeLinear
                          of that type alone reads; a bias is int32 of the product of the scales, to 1e-6
    apart                 convolutions and two-factor products of int8 that stays signed, on this processor
    moved                 operations that only move elements run on the 8 bits as they are
    left                  two-factor products without a QuantizeLinear: 32-bit floats from integers
    channels last         quantised convolutions, between transposes that move to where they meet

Every reader of a DequantizeLinear has one of its own by now: see ``lowering``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from memprof.ir import TensorType
from memprof.runtimes.onnxruntime.optimizing.draft import Draft, Step
from memprof.runtimes.onnxruntime.optimizing.permutations import Order, inverse, turned
from memprof.runtimes.onnxruntime.optimizing.transposing import move_transposes_on_cpu

_MICROSOFT = "com.microsoft."
_QUANTISE, _RESTORE = "QuantizeLinear", "DequantizeLinear"
_SIGNED = "int8"
_BYTES = frozenset(("int8", "uint8"))
_BIAS_TOLERANCE = 1e-6
_LEAST_RANK = 3  # of one dimension beside sequences and channels
_BIAS = 2
_WEIGHTED = ("Conv", "ConvTranspose", "Gemm")


def drop_unread(draft: Draft) -> None:
    """Remove a DequantizeLinear whose only reader asked for the shape, which is known."""
    for step in draft.of(_RESTORE):
        if not draft.uses(step.output):
            draft.remove(step)


def make_unsigned(draft: Draft) -> None:
    """Let what is quantised to int8 for one reader be uint8."""
    for step in draft.of(_QUANTISE):
        reader = draft.only_reader(step.output, _RESTORE)
        if reader is not None and draft.dtype(step.output) == "int8" and not draft.is_fixed(step.read(0)):
            draft.retype(step.output, "uint8")


def drop_relus(draft: Draft) -> None:
    """Remove a Relu that the quantisation behind it does anyway."""
    for step in draft.of("Relu"):
        second = draft.only_reader(step.output, _QUANTISE)
        zero = None if second is None else draft.elements(second.read(2))
        if second is not None and zero in ((-128,), (0,)):
            is_least = (zero == (-128,)) == (draft.dtype(second.read(2)) == "int8")
            if is_least:
                draft.bypass(step, step.read(0))


def quantise_weights(draft: Draft) -> None:
    """Let filters and a bias of 32 bits be restored from integers, where what they meet and what they make is."""
    for step in draft.of(*_WEIGHTED) if draft.has(_RESTORE) else ():
        is_between = draft.writer_of(step.read(0), _RESTORE) and draft.only_reader(step.output, _QUANTISE)
        places = [place for place in range(1, len(step.given)) if draft.writer_of(step.read(place), _RESTORE) is None]
        is_plain = all(draft.is_fixed(step.read(i)) and draft.dtype(step.read(i)) == "float32" for i in places)
        if not is_between or not is_plain or (places == [1] and len(step.given) > _BIAS):
            continue
        for place in places:
            _restore_weight(draft, step, place)


def _restore_weight(draft: Draft, step: Step, place: int) -> None:
    of = draft.types[step.read(place)]
    narrow = draft.add_value(TensorType("int32" if place == _BIAS else _SIGNED, of.shape))
    scale, wide = draft.add_value(TensorType("float32", ())), draft.add_value(of)
    for value_id in (narrow, scale):
        draft.fix(value_id, None)
    draft.add(step, _RESTORE, [narrow, scale], [wide])
    draft.rewire(step, place, wide)


def join_quantised(draft: Draft) -> None:
    """Join operations with the changes of type around them."""
    if not draft.has(_RESTORE):
        return
    for step in draft.ordered():
        rule = _RULES.get(step.op)
        if rule is None or step.is_gone:
            continue
        restored = [draft.writer_of(i, _RESTORE) for i in step.given]
        before = [of for of in restored if of is not None and draft.uses(of.output) == 1]
        if before:
            rule(draft, step, before, draft.only_reader(step.output, _QUANTISE))


def _convolve(draft: Draft, step: Step, before: list[Step], after: Step | None) -> None:
    if after is None or len(before) != len(step.given) or not _is_one_type(draft, before[:1], after):
        return
    if draft.dtype(before[0].read(0)) == _SIGNED:
        return
    if draft.dtype(before[1].read(0)) not in _BYTES or not _fits_bias(draft, before):
        return
    image, filters = before[0], before[1]
    inputs = [*image.inputs[:3], *filters.inputs[:3], *after.inputs[1:3]]
    inputs += [before[_BIAS].read(0)] if len(before) > _BIAS else []
    _join(draft, [*before, step, after], "QLinearConv", inputs, step)


def _fits_bias(draft: Draft, before: list[Step]) -> bool:
    if len(before) <= _BIAS:
        return True
    scales = [draft.elements(of.read(1)) for of in before]
    if draft.dtype(before[_BIAS].read(0)) != "int32":
        return False
    if any(of is None or len(of) != 1 for of in scales):
        return True
    image, filters, bias = ((of or (0.0,))[0] for of in scales)
    return abs(image * filters - bias) <= _BIAS_TOLERANCE


def _multiply(draft: Draft, step: Step, before: list[Step], after: Step | None) -> None:
    if len(before) != len(step.given):
        return
    left, right = before[:2]
    if step.op == "Gemm":
        if not _fits_bias(draft, before) or (after is not None and not _is_one_type(draft, before[:1], after)):
            return
        bias = [before[_BIAS].read(0)] if len(before) > _BIAS else [None]
        ends = [*after.inputs[1:3]] if after is not None else []
        gone = [*before, step, after] if after is not None else [*before, step]
        inputs = [*left.inputs[:3], *right.inputs[:3], *bias, *ends]
        _join(draft, gone, f"{_MICROSOFT}QGemm", inputs, step)
    elif draft.dtype(left.read(0)) == _SIGNED:
        return
    elif after is None:
        inputs = [left.read(0), right.read(0), left.read(1), right.read(1), *left.inputs[2:3], *right.inputs[2:3]]
        _join(draft, [*before, step], f"{_MICROSOFT}MatMulIntegerToFloat", inputs, step)
    elif _is_one_type(draft, before[:1], after):
        _join(draft, [*before, step, after], "QLinearMatMul", [*_triples(before), *after.inputs[1:3]], step)


def _combine(draft: Draft, step: Step, before: list[Step], after: Step | None) -> None:
    if after is not None and len(before) == len(step.given) and _is_one_type(draft, before, after):
        inputs = [*_triples(before), *after.inputs[1:3]]
        _join(draft, [*before, step, after], f"{_MICROSOFT}QLinear{step.op}", inputs, step)


def _concatenate(draft: Draft, step: Step, before: list[Step], after: Step | None) -> None:
    if after is not None and len(before) == len(step.given) and _is_one_type(draft, before, after):
        inputs = [*after.inputs[1:3], *_triples(before)]
        _join(draft, [*before, step, after], f"{_MICROSOFT}QLinearConcat", inputs, step)


def _move(draft: Draft, step: Step, before: list[Step], after: Step | None) -> None:
    """Run on 8 bits what only moves elements, where both scales are the same; a Resize between elements does more."""
    if step.op == "Resize" and step.attributes.get("mode", "nearest") != "nearest":
        return
    first = draft.writer_of(step.read(0), _RESTORE)
    if after is None or first not in before or not _is_one_type(draft, [first], after):
        return
    if draft.canonical(first.read(1)) != draft.canonical(after.read(1)):
        return
    inputs = [first.read(0), *step.inputs[1:]]
    _join(draft, [first, step, after], step.op, inputs, step)


def _split(draft: Draft, step: Step, before: list[Step], _after: Step | None) -> None:
    """Split 8 bits, where all pieces have the scale of the whole."""
    first = before[0]
    ends = [None if i is None else draft.only_reader(i, _QUANTISE) for i in step.outputs]
    found = [of for of in ends if of is not None]
    if len(found) != len(ends) or draft.dtype(first.read(0)) not in _BYTES:
        return
    if any(draft.dtype(of.output) != draft.dtype(first.read(0)) for of in found):
        return
    if any(draft.canonical(of.read(place)) != draft.canonical(first.read(place)) for of in found for place in (1, 2)):
        return
    outputs = [of.output for of in found]
    for gone in (first, step, *found):
        draft.remove(gone)
    draft.add(step, "Split", [first.read(0), *step.inputs[1:]], outputs, step.attributes)


def _triples(before: list[Step]) -> list[int | None]:
    return [i for of in before for i in (*of.inputs, None)[:3]]


def _is_one_type(draft: Draft, before: list[Step], after: Step) -> bool:
    kinds = {draft.dtype(of.read(0)) for of in before} | {draft.dtype(after.output)}
    return len(kinds) == 1 and kinds <= _BYTES


def _join(draft: Draft, gone: list[Step], op: str, inputs: list[int | None], like: Step) -> None:
    attributes = like.attributes
    new = draft.replace(gone, op, inputs)
    new.attributes = attributes


_RULES: Mapping[str, Callable[[Draft, Step, list[Step], Step | None], None]] = {
    "Conv": _convolve,
    "Gemm": _multiply,
    "MatMul": _multiply,
    **dict.fromkeys(
        ("Add", "Mul", "GlobalAveragePool", "AveragePool", "LeakyRelu", "Sigmoid", "Softmax", "Where"), _combine
    ),
    "Concat": _concatenate,
    "Split": _split,
    **dict.fromkeys(
        ("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Gather", "MaxPool", "Resize", "Slice"), _move
    ),
}


def drop_pairs(draft: Draft) -> None:
    """Remove a DequantizeLinear and a QuantizeLinear of the same scale that follow each other."""
    for step in draft.of(_RESTORE):
        after = draft.only_reader(step.output, _QUANTISE)
        if after is None or draft.dtype(step.read(0)) != draft.dtype(after.output) or draft.is_seen(after.output):
            continue
        if draft.canonical(step.read(1)) == draft.canonical(after.read(1)):
            source = step.read(0)
            draft.bypass(step, source)
            draft.bypass(after, source)


def put_channels_last(draft: Draft) -> None:
    """Put quantised convolutions between transposes, and move these to where they undo each other."""
    for step in draft.of("QLinearConv"):
        if draft.rank(step.output) >= _LEAST_RANK and draft.dtype(step.output) in _BYTES:
            _put_last(draft, step, (0, *range(2, draft.rank(step.output)), 1))
    move_transposes_on_cpu(draft)


def _put_last(draft: Draft, step: Step, last: Order) -> None:
    source, result = step.read(0), step.output
    before, after = (
        draft.add_value(*(turned(of, last) for of in (draft.types[i], draft.ahead_type(i)))) for i in (source, result)
    )
    inputs = [before, *step.inputs[1:]]
    draft.remove(step)
    draft.add(step, "Transpose", [source], [before], {"perm": last})
    draft.add(step, f"{_MICROSOFT}QLinearConv", inputs, [after], {**step.attributes, "channels_last": 1})
    draft.add(step, "Transpose", [after], [result], {"perm": inverse(last)})
