"""Operations whose rule was proven: equal bytes in a traced run, per element type of the first input that is there.

From ONNX's node tests (``benchmarks/node_tests.py``), from single operations, and from whole networks
(``benchmarks/accuracy.py``), onnxruntime 1.32 on x86-64, one thread. Letters as in ``kernel_table``. Any other
operation or element type is modelled as it is, its scratch taken as its rule says or as none, and lowers the grade.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from types import MappingProxyType

from memprof.analysis import Lifetimes
from memprof.ir import Graph, Node, Role
from memprof.runtimes.onnxruntime.kernels import type_letter

_MOVES_TEXT = """\
Cast Compress Concat Constant ConstantOfShape DepthToSpace Expand Flatten Gather GatherElements GatherND
Identity If Loop NonZero Pad Reshape Scan ScatterElements ScatterND Shape Size Slice SpaceToDepth Split
Squeeze Tile Transpose Trilu Unsqueeze
"""
_MOVES = frozenset(_MOVES_TEXT.split())
"""Operations that move elements, whatever they are."""

_TABLE = """\
fd Einsum
f Abs Acos Acosh ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization Ceil Conv ConvTranspose
  Cos Cosh DFT DeformConv Det Dropout DynamicQuantizeLinear Elu Erf Floor GRU Gelu Gemm GlobalAveragePool
  GlobalMaxPool GridSample HardSigmoid Hardmax InstanceNormalization LRN LSTM LayerNormalization LeakyRelu
  LogSoftmax LpNormalization LpPool MaxUnpool Mean MeanVarianceNormalization PRelu QuantizeLinear
  RMSNormalization RNN Reciprocal ReduceL1 ReduceL2 ReduceMax ReduceMean ReduceMin ReduceSumSquare Relu Resize
  RotaryEmbedding Round Scatter Selu Shrink Sigmoid Sign SimplifiedLayerNormalization Sin Sinh Softplus
  Softsign Sqrt Sum Tan Tanh TensorScatter ThresholdedRelu Upsample ai.onnx.ml.ArrayFeatureExtractor
  ai.onnx.ml.Binarizer com.microsoft.BiasGelu com.microsoft.DynamicQuantizeMatMul com.microsoft.FastGelu
  com.microsoft.FusedConv com.microsoft.FusedGemm com.microsoft.FusedMatMul com.microsoft.Gelu
  com.microsoft.QuickGelu com.microsoft.SkipLayerNormalization com.microsoft.SkipSimplifiedLayerNormalization
  com.microsoft.nchwc.AveragePool com.microsoft.nchwc.Conv com.microsoft.nchwc.GlobalAveragePool
  com.microsoft.nchwc.GlobalMaxPool com.microsoft.nchwc.MaxPool com.microsoft.nchwc.ReorderInput
  com.microsoft.nchwc.ReorderOutput com.microsoft.nchwc.Upsample
15 ConvInteger MatMulInteger QLinearConv QLinearMatMul com.microsoft.MatMulIntegerToFloat
  com.microsoft.NhwcMaxPool com.microsoft.QGemm com.microsoft.QLinearAdd com.microsoft.QLinearAveragePool
  com.microsoft.QLinearConv com.microsoft.QLinearGlobalAveragePool com.microsoft.QLinearLeakyRelu
  com.microsoft.QLinearMul com.microsoft.QLinearSigmoid com.microsoft.QLinearSoftmax
  com.microsoft.QLinearWhere
f1245678 Add Greater GreaterOrEqual Less LessOrEqual Sub
fd Exp Log MatMul Softmax ai.onnx.ml.TreeEnsemble
f4 Neg ReduceProd TopK
fh Attention IsInf IsNaN
2358 BitwiseAnd BitwiseXor
3 EyeLike TfIdfVectorizer
4? And Not
? Or Xor
fdh134578 Max Min
s RegexFullMatch ai.onnx.ml.LabelEncoder
12345678 BitShift
1358 BitwiseOr
356 BitwiseNot
4 Range
d3 CumProd
f1 Clip
f12345678 Div
f12345678s Equal
f135 DequantizeLinear
f15 com.microsoft.QLinearConcat
f34 Pow
f4? Where
f5 MaxPool
fb ReverseSequence
fd1245678 Mul
fd13467 BitCast
fd3 CumSum
fd4 ReduceSum
fdh12345678 Mod
fhb Celu
"""


def lowered_by(lifetimes: Lifetimes) -> tuple[str, ...]:
    """Return the names of the operations in what runs that are not proven, each once, in the order they run."""
    return tuple(dict.fromkeys(_unproven(lifetimes.graph)))


def _unproven(graph: Graph) -> Iterator[str]:
    for node in graph.nodes:
        if not _is_proven(graph, node):
            yield node.op
        for body in node.bodies:
            yield from _unproven(body)
    constants = {i for node in graph.nodes if node.op == "Constant" for i in node.writes}
    if any(i in constants or graph.values[i].role is Role.PARAMETER for i in graph.outputs):
        yield "a constant output"


def _is_proven(graph: Graph, node: Node) -> bool:
    if node.bodies and _depends_on_the_run(graph, node):
        return False
    if node.op in _MOVES:
        return True
    letters = _letters().get(node.op, "")
    first: Iterable[int] = (i for i in (*node.inputs, *node.outputs) if i is not None)
    return type_letter(next((graph.values[i].type.dtype for i in first), None)) in letters


def _depends_on_the_run(graph: Graph, node: Node) -> bool:
    """Whether how often bodies run, or which, is open; a Scan that runs once has a rule of its own, not known yet."""
    if node.op == "If":
        return len(node.bodies) > 1
    if node.op == "Loop":
        return "trip_count" not in node.attributes
    inputs = [i for i in node.inputs if i is not None]
    shape = graph.values[inputs[-1]].type.shape if inputs else None
    axes = node.attributes.get("scan_input_axes", (0,))
    axis = axes[-1] if isinstance(axes, tuple) and isinstance(axes[-1], int) else 0
    return not shape or shape[axis] == 1


@cache
def _letters() -> Mapping[str, str]:
    found: dict[str, str] = {}
    for line in _TABLE.replace("\n  ", " ").splitlines():
        letters, *operations = line.split()
        found.update(dict.fromkeys(operations, letters))
    return MappingProxyType(found)
