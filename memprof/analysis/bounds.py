"""Whether a graph in which some tensors have their largest size bounds what any run takes. Pure.

A tensor whose size the data decide is taken at its largest. What is computed from it is largest then, too, if each
operation on the way writes no less for larger inputs: those of the table below do. One that is not in the table (the
arithmetic of shapes, a product of two such tensors that must fit each other) may do anything: then it is an estimate.
"""

from __future__ import annotations

from memprof.ir import BOUND, Graph

_GROWING = (
    "Abs Acos Acosh Add And Asin Asinh Atan Atanh Cast CastLike Ceil Clip Concat Cos Cosh Div Dropout Elu "
    "Equal Erf Exp Floor Gather GatherElements GatherND Gelu Greater GreaterOrEqual HardSigmoid HardSwish "
    "Identity IsInf IsNaN LeakyRelu Less LessOrEqual Log LogSoftmax MatMul Max Mean Min Mish Mod Mul Neg Not "
    "Or PRelu Pow Reciprocal ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum Relu RoiAlign Round "
    "ScatterElements ScatterND Selu Sigmoid Sign Sin Sinh Softmax Softplus Softsign Sqrt Squeeze Sub Sum Tan "
    "Tanh ThresholdedRelu TopK Transpose Unsqueeze Where Xor NonZero Unique Compress"
)
GROWING = frozenset(_GROWING.split())
"""Operations that write no less where they read more."""


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
    for node in graph.nodes:
        if here.isdisjoint(node.reads):
            continue
        if node.bodies or node.op not in GROWING:
            return False
        here.update(node.writes)
    return True
