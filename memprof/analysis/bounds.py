"""Whether a graph in which some tensors have their largest size bounds what any run takes. Pure.

A tensor whose size the data decide is taken at its largest. What is computed from it is largest then, too, if each
operation on the way writes no less for larger inputs: those of ``GROWING`` do. Sizes may also travel as numbers: what
``Shape`` reads off such a tensor is largest then, what ``RISING`` operations make of it is too, and what is made to
measure (``MEASURED``) is no smaller for it. One that is in no table (a difference of sizes, a product of two tensors
that must fit each other) may do anything: then it is an estimate.
"""

from __future__ import annotations

from memprof.ir import BOUND, Graph

_GROWING = (
    "Abs Acos Acosh Add And Asin Asinh Atan Atanh Cast CastLike Ceil Clip Concat Cos Cosh Div Dropout Elu "
    "Equal Erf Exp Floor Gather GatherElements GatherND Gelu Greater GreaterOrEqual HardSigmoid HardSwish "
    "Identity IsInf IsNaN LeakyRelu Less LessOrEqual Log LogSoftmax MatMul Max Mean Min Mish Mod Mul Neg Not "
    "Or PRelu Pow Reciprocal ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum Relu RoiAlign Round "
    "ScatterElements ScatterND Selu Sigmoid Sign Sin Sinh Softmax Softplus Softsign Sqrt Squeeze Sub Sum Tan "
    "Tanh ThresholdedRelu TopK Transpose Unsqueeze Where Xor NonZero Unique Compress Flatten Reshape Gemm Conv "
    "BatchNormalization LayerNormalization MaxPool AveragePool GlobalAveragePool GlobalMaxPool"
)
GROWING = frozenset(_GROWING.split())
"""Operations that write no less where they read more."""


_RISING = "Add Cast Concat Gather Identity Max Min ReduceMax ReduceSum Squeeze Unsqueeze"
RISING = frozenset(_RISING.split())
"""Operations whose elements are no smaller where those that they read are larger."""

MEASURED = frozenset({"ConstantOfShape", "Expand", "Tile"})
"""Operations that write no less where the numbers that they are told to write by are larger."""


def taken_at_largest(graph: Graph) -> tuple[str, ...]:
    """Return the names of the tensors that were taken at their largest size."""
    return tuple(note.name for note in graph.assumed if note.kind == BOUND)


def is_bounded(graph: Graph) -> bool:
    """Whether the largest sizes of some tensors make the largest of all that is computed from them."""
    named = set(taken_at_largest(graph))
    if not named:
        return True
    here = {i for i, value in enumerate(graph.values) if value.name in named}
    if len(here) < len(named):  # some lie in bodies
        return False
    numbers: set[int] = set()  # elements that are sizes of what was taken at its largest
    for node in graph.nodes:
        is_told, is_larger = not numbers.isdisjoint(node.reads), not here.isdisjoint(node.reads)
        if not is_told and not is_larger:
            continue
        if node.bodies or (is_told and node.op == "Gather" and node.inputs[1] in numbers):
            return False
        if node.op == "TopK" and len(node.inputs) > 1 and node.inputs[1] in here:  # a number of fewer may be larger
            return False
        rises = node.op in RISING if is_told and not is_larger else node.op in ("Shape", "Size") and not is_told
        if rises:
            numbers.update(node.writes)
        elif node.op in (MEASURED if is_told else GROWING):
            here.update(node.writes)
        else:
            return False
    return True
