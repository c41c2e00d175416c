"""Operations whose rule was proven, by element type: written by ``benchmarks/proven.py``, do not edit.

An operation a line: letters of ``kernel_table``, then names; an indented line goes on. ``BY_HAND`` was measured on
single operations, and counts for this version alone.
"""

VERSION = "1.32"

TABLE = """\
f Abs Acos Acosh AffineGrid ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization CastLike Ceil Col2Im
  Conv ConvTranspose Cos Cosh DFT DeformConv Det Dropout DynamicQuantizeLinear Elu Erf Floor GRU Gelu Gemm
  GlobalAveragePool GlobalMaxPool GridSample HardSigmoid Hardmax InstanceNormalization LRN LSTM LayerNormalization
  LeakyRelu LogSoftmax LpNormalization LpPool MaxUnpool Mean MeanVarianceNormalization NonMaxSuppression PRelu
  QuantizeLinear RMSNormalization RNN Reciprocal ReduceL1 ReduceL2 ReduceMean ReduceProd ReduceSumSquare Relu Resize
  RotaryEmbedding Round STFT Scatter Selu Shrink Sigmoid Sign SimplifiedLayerNormalization Sin Sinh Softplus
  Softsign Sqrt Sum Tan Tanh TensorScatter ThresholdedRelu Upsample ai.onnx.ml.ArrayFeatureExtractor
  ai.onnx.ml.Binarizer com.microsoft.DynamicQuantizeMatMul com.microsoft.FastGelu com.microsoft.FusedConv
  com.microsoft.FusedGemm com.microsoft.FusedMatMul com.microsoft.Gelu com.microsoft.QLinearConcat
  com.microsoft.QuickGelu com.microsoft.SkipLayerNormalization com.microsoft.nchwc.AveragePool
  com.microsoft.nchwc.Conv com.microsoft.nchwc.GlobalAveragePool com.microsoft.nchwc.MaxPool
  com.microsoft.nchwc.ReorderInput com.microsoft.nchwc.ReorderOutput com.microsoft.nchwc.Upsample
5 ConvInteger MatMulInteger QLinearConv com.microsoft.NhwcMaxPool com.microsoft.QGemm com.microsoft.QLinearConv
  com.microsoft.QLinearGlobalAveragePool
fd Einsum Exp Log MatMul ReduceSum Softmax ai.onnx.ml.TreeEnsemble
3 BlackmanWindow EyeLike HammingWindow HannWindow MelWeightMatrix TfIdfVectorizer
? And Not Or Where Xor
f4 Neg OneHot TopK Unique
f12345678 Add Div Sub
f1245678 GreaterOrEqual Less LessOrEqual
fh Attention IsInf IsNaN
2358 BitwiseAnd BitwiseXor
d3 CumProd CumSum
f34 Pow Range
f? ReduceMax ReduceMin
fdh134578 Max Min
s RegexFullMatch ai.onnx.ml.LabelEncoder
12345678 BitShift
135 DequantizeLinear
1358 BitwiseOr
15 QLinearMatMul
356 BitwiseNot
f12345678s Equal
f125678 Greater
f14 Clip
f5 MaxPool
fb ReverseSequence
fd12345678 Mul
fd13467 BitCast
fdh12345678 Mod
fhb Celu
"""

BY_HAND = """\
15 com.microsoft.MatMulIntegerToFloat com.microsoft.QLinearAdd com.microsoft.QLinearAveragePool
  com.microsoft.QLinearConcat com.microsoft.QLinearLeakyRelu com.microsoft.QLinearMul com.microsoft.QLinearSigmoid
  com.microsoft.QLinearSoftmax com.microsoft.QLinearWhere
1 ConvInteger MatMulInteger QLinearConv com.microsoft.NhwcMaxPool com.microsoft.QGemm com.microsoft.QLinearConv
  com.microsoft.QLinearGlobalAveragePool
f CumSum DequantizeLinear com.microsoft.BiasGelu com.microsoft.DynamicQuantizeLSTM
  com.microsoft.SkipSimplifiedLayerNormalization
  com.microsoft.nchwc.GlobalMaxPool
4 ReduceProd ReduceSum
"""
