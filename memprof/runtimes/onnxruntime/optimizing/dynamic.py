"""Products of dynamically quantised files: integers that are scaled back, and what quantises their left side, join.

integers to floats     MatMulInteger, a Cast, a product with both scales, and a sum with a row of weights
dynamic                the same with the DynamicQuantizeLinear in front, if nobody else reads what that writes
"""

from __future__ import annotations

from memprof.runtimes.onnxruntime.optimizing.draft import Draft, Step

_MICROSOFT = "com.microsoft."


def join_dynamic(draft: Draft) -> None:
    """Join what stands around products of integers."""
    for step in draft.of("MatMulInteger"):
        cast = draft.only_reader(step.output, "Cast")
        scaled = None if cast is None else draft.only_reader(cast.output, "Mul")
        if cast is None or scaled is None or draft.dtype(cast.output) != "float32":
            continue
        other = scaled.read(1) if scaled.read(0) == cast.output else scaled.read(0)
        scales = draft.writer_of(other, "Mul")
        if scales is not None and draft.only_reader(other) is scaled:
            _join(draft, [step, cast, scaled], scales)


def _join(draft: Draft, steps: list[Step], scales: Step) -> None:
    product, last = steps[0], steps[-1]
    quantised = draft.writer_of(product.read(0), "DynamicQuantizeLinear")
    left, right = scales.read(0), scales.read(1)
    if quantised is not None and right == quantised.outputs[1]:
        left, right = right, left
    row = draft.only_reader(last.output, "Add")
    bias = None if row is None else row.read(1) if row.read(0) == last.output else row.read(0)
    if row is None or bias is None or draft.rank(bias) != 1 or not draft.is_own_weight(bias):
        bias, gone = None, steps
    else:
        gone = [*steps, row]
    right_zero = product.read(3) if product.read(3) >= 0 else None
    is_alone = quantised is not None and left == quantised.outputs[1]
    if quantised is not None and is_alone and all(draft.uses(i) == 1 for i in quantised.outputs if i is not None):
        inputs = [quantised.read(0), product.read(1), right, right_zero, bias]
        draft.replace([quantised, scales, *gone], f"{_MICROSOFT}DynamicQuantizeMatMul", _given(inputs))
        return
    zero = product.read(2) if product.read(2) >= 0 else None
    inputs = [product.read(0), product.read(1), left, right, zero, right_zero, bias]
    draft.replace([scales, *gone], f"{_MICROSOFT}MatMulIntegerToFloat", _given(inputs))


def _given(inputs: list[int | None]) -> list[int | None]:
    while inputs[-1] is None:
        inputs.pop()
    return inputs
