"""Operations whose rule was proven, by element type: written by ``benchmarks/proven.py``, do not edit.

An operation a line: letters of ``kernel_table``, then names; an indented line goes on.
"""

VERSION = "1.32"

TABLE = """\
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
