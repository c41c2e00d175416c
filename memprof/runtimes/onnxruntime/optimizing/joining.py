"""Operations that onnxruntime removes or joins, as far as they decide what is alive.

    removed    Identity, Dropout and Cast to the same type
    joined     a convolution with the batch normalisation, constant factor, constant term or activation behind it
               a matrix product with the constant row that is added to it, and that with its activation
               x * sigmoid(x); the three-step and the five-step forms of Gelu; a layer normalisation in nine steps

A join wants that nobody else reads what lies between. Found by comparing what onnxruntime 1.32 made of files; what is
not here stays as it is in the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from math import prod

from memprof.ir import TensorType
from memprof.runtimes.onnxruntime.optimizing.draft import Draft, Step

_ACTIVATIONS = frozenset(("Relu", "Sigmoid", "Tanh", "LeakyRelu", "Clip", "HardSigmoid"))
_SKIPPED = frozenset(("Identity", "Dropout"))
_TRAINING = 3  # a Dropout with so many inputs may be told to train
_FUSED = "com.microsoft.FusedConv"
_SEQUENCE_RANK = 3
_GELU_STEPS = 5
_PRODUCTS = frozenset(("Gemm", "com.microsoft.FusedGemm"))


def remove_idle(draft: Draft) -> None:
    """Remove what hands its input on."""
    same: dict[int, int] = {}
    gone = []
    for step in draft.steps:
        step.inputs = [None if i is None else same.get(i, i) for i in step.inputs]
        source = step.inputs[0] if step.inputs else None
        if source is None or source in draft.fixed or draft.is_seen(step.output):
            continue
        is_alone = len([i for i in step.outputs if i is not None]) == 1
        is_same = step.op == "Cast" and draft.types[source].dtype == draft.types[step.output].dtype
        if is_alone and ((step.op in _SKIPPED and len(step.inputs) < _TRAINING) or is_same):
            same[step.output] = source
            gone.append(step)
    draft.drop(gone)


def join_all(draft: Draft) -> None:
    """Join what is joined, until nothing changes."""
    while any(_pass(draft, rule) for rule in _RULES):
        pass


def _pass(draft: Draft, rule: Callable[[Draft, Step, Step], bool]) -> bool:
    """Apply a rule to each pair of a step and the only reader of what it writes; return whether it held anywhere."""
    readers = draft.readers()
    producers = draft.producers()
    changed, gone = False, set[int]()
    for step in list(draft.steps):
        for value_id in step.inputs:
            first = None if value_id is None else producers.get(value_id)
            if first is None or id(first) in gone or id(step) in gone or readers[first.output] != 1:
                continue
            if first.output == value_id and rule(draft, first, step):
                gone.add(id(first))
                producers.update({i: step for i in step.outputs if i is not None})
                changed = True
                break
    draft.steps = [step for step in draft.steps if id(step) not in gone]
    return changed


def _others(first: Step, second: Step) -> list[int | None]:
    return [i for i in second.inputs if i != first.output]


def _become(second: Step, first: Step, op: str) -> bool:
    """Let ``second`` do what both did."""
    second.op, second.inputs, second.attributes = op, list(first.inputs), first.attributes
    second.outputs = second.outputs[:1]
    return True


def _normalised(draft: Draft, first: Step, second: Step) -> bool:
    if first.op != "Conv" or first.inputs[1] not in draft.fixed:
        return False
    others = _others(first, second)
    is_norm = second.op == "BatchNormalization"
    is_scaled = second.op in ("Mul", "Add") and draft.shape(first.output) == draft.shape(second.output)
    if not (is_norm or is_scaled) or not all(i in draft.fixed for i in others):
        return False
    shape, out = draft.shape(others[0] if others else None), draft.shape(first.output) or ()
    if is_scaled and (
        shape is None or sum(dim > 1 for dim in shape) > 1 or max(shape, default=1) not in (1, *out[1:2])
    ):
        return False
    return _become(second, first, "Conv")


def _activated(draft: Draft, first: Step, second: Step) -> bool:
    if first.op != "Conv" or second.op not in _ACTIVATIONS or second.inputs[0] != first.output:
        return False
    if not all(i is None or i in draft.fixed for i in second.inputs[1:]):
        return False
    return draft.types[first.output].dtype == "float32" and _become(second, first, _FUSED)


def _summed(draft: Draft, first: Step, second: Step) -> bool:
    """A convolution, and the other side of the sum as its fourth input, which it may overwrite."""
    if first.op != "Conv" or second.op != "Add" or draft.types[first.output].dtype != "float32":
        return False
    others = _others(first, second)
    shape = draft.shape(first.output)
    if len(others) != 1 or others[0] in draft.fixed or shape is None or draft.shape(others[0]) != shape:
        return False
    _become(second, first, _FUSED)
    second.inputs = [*second.inputs, *[None] * (3 - len(second.inputs)), others[0]]
    return True


def _sum_activated(draft: Draft, first: Step, second: Step) -> bool:
    if first.op != _FUSED or len(first.inputs) != 4 or second.op != "Relu" or "Sum" in second.attributes:
        return False
    return _become(second, first, _FUSED)


def _biased(draft: Draft, first: Step, second: Step) -> bool:
    if first.op != "MatMul" or second.op != "Add" or first.inputs[1] not in draft.fixed:
        return False
    others, weight = _others(first, second), draft.shape(first.inputs[1])
    if weight is None or len(weight) != 2 or draft.shape(others[0] if others else None) != weight[1:]:
        return False
    if others[0] not in draft.fixed:
        return False
    second.op, second.inputs = "Gemm", [*first.inputs, others[0]]
    return True


def _product_activated(draft: Draft, first: Step, second: Step) -> bool:
    if first.op != "Gemm" or second.op not in _ACTIVATIONS - {"Clip", "HardSigmoid"}:
        return False
    return _become(second, first, "com.microsoft.FusedGemm")


def _scaled_product(draft: Draft, first: Step, second: Step) -> bool:
    """A matrix product and the number that its result, or one of its factors, is multiplied with or divided by."""
    ops = ("MatMul", "com.microsoft.FusedMatMul")
    if first.op in ops and second.op in ("Mul", "Div"):
        is_scaled = second.inputs[0] == first.output and all(_is_number(draft, i) for i in second.inputs[1:])
        return is_scaled and _become(second, first, "com.microsoft.FusedMatMul")
    if second.op in ops and first.op in ("Mul", "Div") and _is_number(draft, first.inputs[1]):
        return _replace(second, first)
    if second.op in ops and first.op == "Transpose" and _swaps_ends(first):
        return _replace(second, first)
    return False


def _replace(second: Step, first: Step) -> bool:
    second.op = "com.microsoft.FusedMatMul"
    second.inputs = [first.inputs[0] if i == first.output else i for i in second.inputs]
    return True


def _is_number(draft: Draft, value_id: int | None) -> bool:
    shape = draft.shape(value_id)
    return value_id in draft.fixed and shape is not None and all(dim == 1 for dim in shape)


def _swaps_ends(step: Step) -> bool:
    order = step.attributes.get("perm")
    if not isinstance(order, (list, tuple)) or len(order) < 2:
        return False
    n = len(order)
    return list(order) == [*range(n - 2), n - 1, n - 2]


_RULES = (_normalised, _activated, _summed, _sum_activated, _biased, _product_activated, _scaled_product)


def join_skips(draft: Draft) -> None:
    """Join a sum of two equal shapes with the layer normalisation that alone reads it."""
    readers, producers = draft.readers(), draft.producers()
    gone = []
    for step in draft.steps:
        first = producers.get(step.inputs[0] or -1) if step.op == "LayerNormalization" else None
        if first is None or first.op != "Add" or first in gone or draft.types[step.output].dtype != "float32":
            continue
        shapes = [draft.shape(i) for i in first.inputs]
        is_fixed = any(i in draft.fixed for i in first.inputs)
        if is_fixed or readers[first.output] != 1 or shapes[0] != shapes[1]:
            continue
        if len(shapes[0] or ()) != _SEQUENCE_RANK:
            continue
        step.op, step.inputs = "com.microsoft.SkipLayerNormalization", [*first.inputs, *step.inputs[1:]]
        step.outputs = [step.output]
        gone.append(first)
    draft.drop(gone)


def flatten_products(draft: Draft) -> None:
    """Give products with a bias two dimensions, between reshapes that move nothing."""
    steps: list[Step] = []
    for step in draft.steps:
        shape, weight = draft.shape(step.output), draft.shape(step.inputs[1]) if len(step.inputs) > 1 else None
        if step.op not in _PRODUCTS or step.node.op == "Gemm" or shape is None or weight is None or len(shape) < 3:
            steps.append(step)
            continue
        kind, rows, source = draft.types[step.output].dtype, prod(shape[:-1]), step.inputs[0]
        flat = draft.add_value(TensorType(kind, (rows, weight[0])))
        result = draft.add_value(TensorType(kind, (rows, weight[1])))
        steps.append(Step(step.node, "Reshape", [source], [flat]))
        steps.append(Step(step.node, step.op, [flat, *step.inputs[1:]], [result], step.attributes))
        steps.append(Step(step.node, "Reshape", [result], [step.output]))
    draft.steps = steps


def join_products_of_sigmoids(draft: Draft) -> None:
    """Join x * sigmoid(x)."""
    readers, producers = draft.readers(), draft.producers()
    gone = []
    for step in draft.steps:
        if step.op != "Mul" or len(step.inputs) != 2:
            continue
        for gate, value in (step.inputs, step.inputs[::-1]):
            first = producers.get(gate) if gate is not None else None
            if first is not None and first.op == "Sigmoid" and first.inputs == [value] and readers[gate or 0] == 1:
                step.op, step.inputs = "com.microsoft.QuickGelu", [value]
                gone.append(first)
                break
    draft.drop(gone)


def join_gelus(draft: Draft) -> None:
    """Join x * (1 + erf(x / sqrt 2)) / 2, in any order of the factors."""
    readers, producers = draft.readers(), draft.producers()
    after = {i: step for step in draft.steps for i in step.inputs if i is not None}
    gone: list[Step] = []
    for step in draft.steps:
        before = producers.get(-1 if step.op != "Erf" or step.inputs[0] is None else step.inputs[0])
        if before is None or before.op not in ("Div", "Mul") or readers[before.output] != 1:
            continue
        root = next((i for i in before.inputs if i not in draft.fixed), None)
        chain = _chain(draft, root, [before, step], (after, readers, producers))
        inside = [i for other in chain[2:] for i in other.inputs if i is not None]
        halves = [producers[i] for i in inside if _is_half(draft, producers, i, root)]
        if len(chain) + len(halves) == _GELU_STEPS and root is not None:
            last = chain[-1]
            last.op, last.inputs, last.attributes = "com.microsoft.Gelu", [root], {}
            gone += [*chain[:-1], *halves]
    draft.drop(gone)


_Links = tuple[Mapping[int, Step], Counter[int], Mapping[int, Step]]
"""By value: a reader, how many there are, and who writes it."""


def _chain(draft: Draft, root: int | None, chain: list[Step], links: _Links) -> list[Step]:
    """Return ``chain`` and the sums and products behind it that read nothing but it, weights and the root."""
    after, readers, producers = links
    while len(chain) < _GELU_STEPS and readers[chain[-1].output] == 1:
        value = chain[-1].output
        step = after.get(value)
        if step is None or step.op not in ("Add", "Mul"):
            break
        rest = [i for i in step.inputs if i not in draft.fixed and i not in (value, root)]
        if not all(_is_half(draft, producers, i, root) for i in rest):
            break
        chain.append(step)
    return chain


def _is_half(draft: Draft, producers: Mapping[int, Step], value_id: int | None, root: int | None) -> bool:
    step = producers.get(-1 if value_id is None else value_id)
    return (
        step is not None and step.op == "Mul" and root in step.inputs and any(i in draft.fixed for i in step.inputs)
    )
