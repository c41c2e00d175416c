"""What onnxruntime joins with a convolution, before any layout is chosen and after.

before    a batch normalisation, a factor or a term for each channel; it keeps the convolution's number
then      an activation: a new operation
after     a sum of the same shape, which it may overwrite, and an activation behind it; what is blocked has its
          own rules for that, see ``blocking``
"""

from __future__ import annotations

from memprof.runtimes.onnxruntime.optimizing.draft import Draft, Step

FUSED = "com.microsoft.FusedConv"
ACTIVATIONS = frozenset(("Relu", "Sigmoid", "Tanh", "LeakyRelu", "Clip", "HardSigmoid"))
_CHANNEL_AXIS = 1
_SUM = 3  # position of what is added


def join_constants(draft: Draft) -> None:
    """Join a convolution with constants for each channel behind it."""
    for step in draft.of("Conv"):
        if not draft.is_fixed(step.read(1)) or (step.read(2) >= 0 and not draft.is_fixed(step.read(2))):
            continue
        while (second := draft.only_reader(step.output)) is not None and _is_constant(draft, step, second):
            draft.take_over(step, second)


def _is_constant(draft: Draft, step: Step, second: Step) -> bool:
    if second.op == "BatchNormalization":
        others = second.given[1:]
        return second.read(0) == step.output and len(second.node.writes) == 1 and all(map(draft.is_fixed, others))
    if second.op not in ("Mul", "Add"):
        return False
    other = next((i for i in second.given if i != step.output), None)
    shape, filters = draft.shape(other), draft.shape(step.read(1))
    if not draft.is_fixed(other) or shape is None or filters is None:
        return False
    if not shape:
        return second.op == "Mul"
    rank = len(filters)
    if len(shape) not in (rank, rank - 1):
        return False
    axis = _CHANNEL_AXIS if len(shape) == rank else 0
    return shape[axis] == filters[0] and all(dim == 1 for place, dim in enumerate(shape) if place != axis)


def join_activations(draft: Draft) -> None:
    """Join a convolution of 32-bit floats with the activation that alone reads it."""
    for step in draft.of("Conv"):
        second = draft.only_reader(step.output, *ACTIVATIONS)
        if second is None or second.read(0) != step.output or draft.dtype(step.output) != "float32":
            continue
        if all(map(draft.is_fixed, second.given[1:])) and not _needs_numbers(draft, second):
            _fuse(draft, step, second)


def _needs_numbers(draft: Draft, second: Step) -> bool:
    """Whether a Clip's bounds are no constants in the file: what only rules made constant does not count."""
    return second.op == "Clip" and any(draft.elements(i) is None for i in second.given[1:])


def _fuse(draft: Draft, step: Step, second: Step) -> Step:
    fused = draft.replace([step, second], FUSED, step.inputs, step)
    fused.attributes = {**step.attributes, "activation": second.op}
    return fused


def join_sums(draft: Draft) -> None:
    """Join a convolution with a sum of its own shape that reads it, and with a Relu behind that."""
    for step in draft.of("Conv"):
        second = draft.only_reader(step.output, "Add", "Sum")
        if second is None or len(second.inputs) != 2 or draft.dtype(step.output) != "float32" or step.is_gone:
            continue
        if draft.rank(step.output) != _RANK:
            continue
        other = next((i for i in second.given if i != step.output), None)
        shape = draft.shape(step.output)
        if other is None or shape is None or draft.shape(other) != shape or draft.writer(other) is None:
            continue
        third = draft.only_reader(second.output, "Relu")
        inputs = [*step.inputs, *[None] * (_SUM - len(step.inputs)), other]
        draft.replace([step, second] if third is None else [step, second, third], FUSED, inputs, step)


_RANK = 4
