"""Matrix products: with the row that is added, with an activation, with transposed factors and a number."""

from __future__ import annotations

from math import prod

from memprof.ir import TensorType
from memprof.runtimes.onnxruntime.optimizing.draft import Draft, Step

_FLAT = 2
_FUSED = "com.microsoft.FusedMatMul"
_GELU, _FEW_BITS = "com.microsoft.Gelu", "com.microsoft.MatMulNBits"
_ROW = 5  # position of the row that a product with weights of a few bits adds
_ACTIVATIONS = (
    "Relu",
    "Sigmoid",
    "Tanh",
    "LeakyRelu",
    "Elu",
    "HardSigmoid",
    "Selu",
    "Softplus",
    "Softsign",
    "ThresholdedRelu",
)
_FLOATS = frozenset(("float32", "float64", "float16"))


def add_rows(draft: Draft) -> None:
    """Join a product and the row added to it; more than two dimensions are flattened by reshapes around."""
    for step in draft.of("MatMul"):
        second = draft.only_reader(step.output, "Add")
        weight, row = draft.shape(step.read(1)), None
        if second is None or weight is None or len(weight) != _FLAT or draft.dtype(step.output) not in _FLOATS:
            continue
        row = next((i for i in second.given if i != step.output), None)
        rank, shape = draft.rank(step.read(0)), draft.shape(row)
        if row is None or shape is None or rank < _FLAT:
            continue
        rows = (draft.dims(step.read(0)) or (None,))[0]
        if rank == _FLAT and shape in ((weight[1],), (1, weight[1]), (rows, weight[1]), (rows, 1)):
            draft.replace([step, second], "Gemm", [*step.inputs, row])
        elif rank > _FLAT and draft.shape(step.read(0)) is not None and shape == (weight[1],):
            _flatten(draft, step, second, row)


def _flatten(draft: Draft, step: Step, second: Step, row: int) -> None:
    shape, weight = draft.shape(step.read(0)) or (), draft.shape(step.read(1)) or (0, 0)
    kind, rows, source = draft.types[step.output].dtype, prod(shape[:-1]), step.read(0)
    flat = draft.add_value(TensorType(kind, (rows, weight[0])))
    result = draft.add_value(TensorType(kind, (rows, weight[1])))
    draft.remove(step)
    draft.remove(second)
    draft.add(second, "Reshape", [source], [flat])
    draft.add(second, "Gemm", [flat, step.read(1), row], [result])
    draft.add(second, "Reshape", [result], second.outputs[:1])


def bias_gelus(draft: Draft) -> None:
    """Join the row that is added and the Gelu behind it."""
    for step in draft.of(_GELU):
        first = draft.writer_of(step.read(0), "Add")
        row = None if first is None else _row(draft, first)
        if first is not None and row is not None and draft.only_reader(first.output) is step:
            source = next(i for i in first.given if i != row)
            draft.replace([first, step], "com.microsoft.BiasGelu", [source, row])


def add_rows_of_bits(draft: Draft) -> None:
    """Join a product with weights of a few bits and the row that alone is added to it."""
    for step in draft.of(_FEW_BITS):
        second = draft.only_reader(step.output, "Add")
        row = None if second is None else _row(draft, second)
        if second is not None and row is not None and len(step.inputs) < _ROW + 1:
            inputs = [*step.inputs, *[None] * (_ROW - len(step.inputs)), row]
            draft.replace([step, second], _FEW_BITS, inputs, step)


def _row(draft: Draft, step: Step) -> int | None:
    """Return the row of weights that a sum adds along its last axis."""
    width = (draft.dims(step.output) or (None,))[-1]
    return next((i for i in step.given if draft.is_own_weight(i) and draft.shape(i) == (width,)), None)


def activate(draft: Draft) -> None:
    """Join a Gemm and the activation that alone reads it."""
    for step in draft.of("Gemm"):
        second = draft.only_reader(step.output, *_ACTIVATIONS)
        if second is not None and draft.dtype(step.output) == "float32":
            fused = draft.replace([step, second], "com.microsoft.FusedGemm", step.inputs, step)
            fused.attributes = {**step.attributes, "activation": second.op}


def transpose_gemm(draft: Draft) -> None:
    """Let a Gemm transpose its factors itself."""
    for step in draft.of("Gemm"):
        for position in (0, 1):
            first = draft.writer_of(step.read(position), "Transpose")
            if first is not None and draft.uses(first.output) == 1 and first.attributes.get("perm", (1, 0)) == (1, 0):
                draft.rewire(step, position, first.read(0))
                draft.remove(first)


def transpose_factors(draft: Draft) -> None:
    """Let a product transpose its factors itself."""
    for step in draft.of("MatMul", _FUSED):
        if draft.dtype(step.output) not in ("float32", "float64"):
            continue
        found = []
        for position in (0, 1):
            first = draft.writer_of(step.read(position), "Transpose")
            if first is not None and _is_done_inside(first) and draft.rank(first.read(0)) >= _FLAT:
                found.append((position, first))
        if not found:
            continue
        inputs = list(step.inputs)
        for position, first in found:
            inputs[position] = first.read(0)
        draft.replace([step], _FUSED, inputs, step)
        for _, first in found:
            if not draft.uses(first.output):
                draft.remove(first)


def scale(draft: Draft) -> None:
    """Join a product with a number that it, or one of its factors, is multiplied with or divided by."""
    for step in draft.of("MatMul", _FUSED):
        if draft.dtype(step.output) not in ("float32", "float64"):
            continue
        inputs, gone = list(step.inputs), []
        for position in (0, 1):
            first = draft.writer_of(step.read(position), "Mul", "Div")
            source = None if first is None else _scaled(draft, first)
            if first is not None and source is not None and draft.uses(first.output) == 1:
                inputs[position] = source
                gone.append(first)
        second = draft.only_reader(step.output, "Mul", "Div")
        if second is not None and _scaled(draft, second) == step.output:
            draft.replace([*gone, step, second], _FUSED, inputs, step)
        elif gone:
            draft.replace([*gone, step], _FUSED, inputs, step)


def _scaled(draft: Draft, step: Step) -> int | None:
    """Return what a number scales, ``None`` if it is no such operation."""
    for kept, other in ((0, 1), (1, 0)) if step.op == "Mul" else ((0, 1),):
        if draft.is_number(step.read(other)) and not draft.is_fixed(step.read(kept)):
            return step.read(kept)
    return None


def _is_done_inside(step: Step) -> bool:
    """Return whether a product can do a Transpose itself: the last two swapped, or the first beside the last."""
    order = step.attributes.get("perm")
    if not isinstance(order, tuple) or len(order) < _FLAT:
        return False
    n = len(order)
    batch = range(1, n - 1)
    return order in ((*range(n - 2), n - 1, n - 2), (*batch, 0, n - 1), (*batch, n - 1, 0))
