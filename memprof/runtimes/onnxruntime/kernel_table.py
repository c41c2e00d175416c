"""Kernels of onnxruntime's CPU provider: for which versions of an operation, and which element types, it has one.

Read off an installed onnxruntime 1.32.0 (``get_all_opkernel_def``); one operation a line, an indented line goes on:

    Conv 1-21 0:f; 22 0:f                 versions 1 to 21 and exactly 22; input 0 in 32-bit floats
    Celu 12-27 0:f; 28 0:fdhb             a version without an end is that version alone
    Attention 24 0:f,2:f,3:f? 0:h,...     two kernels; o0 is output 0, * any type

    f d h b    floats of 32, 64 and 16 bits, bfloat16       ?    booleans
    1 2 3 4    int8, int16, int32, int64                    s    texts
    5 6 7 8    uint8, uint16, uint32, uint64                ~    anything else
"""

VERSION = "1.32"

TABLE = """\
Abs 6-12 0:fd12345678; 13 0:fd12345678
Acos 7-21 0:f; 22 0:f
Acosh 9-21 0:f; 22 0:f
Add 7-13 0:fd3478; 14 0:fd12345678
Affine 1 0:f
AffineGrid 20 0:fd,1:4
And 7 0:?,o0:?
ArgMax 1-12 0:fd1345; 13 0:fd1345
ArgMin 1-12 0:fd1345; 13 0:fd1345
Asin 7-21 0:f; 22 0:f
Asinh 9-21 0:f; 22 0:f
Atan 7-21 0:f; 22 0:f
Atanh 9-21 0:f; 22 0:f
Attention 23-23 0:f,2:f,3:f? 0:h,2:h,3:h?; 24 0:f,2:f,3:f? 0:h,2:h,3:h?
AveragePool 7-21 0:f; 22 0:f
BatchNormalization 7-13 0:fd; 14-14 0:d,3:d 0:f,3:f; 15 0:d,1:d,3:d 0:f,1:f,3:f
BitCast 26 0:fdhb12345678,o0:fdhb12345678
BitShift 11-27 0:5678; 28 0:12345678
BitwiseAnd 18 0:12345678
BitwiseNot 18 0:12345678
BitwiseOr 18 0:12345678
BitwiseXor 18 0:12345678
BlackmanWindow 17 0:34,o0:fd12345678
Cast 6-27 *; 28 *
Ceil 6-12 0:fd; 13 0:fd
Celu 12-27 0:f; 28 0:fdhb
Clip 6-11 0:f; 12-12 0:fdh134578; 13 0:fdh134578
Col2Im 18 0:f
Compress 9-27 1:?; 28 1:?
Concat 4-12 *; 13 *
ConcatFromSequence 11 0:~
ConstantOfShape 9-24 0:4; 25 0:4
Conv 1-21 0:f; 22 0:f
ConvInteger 10 0:15,1:15,o0:3
ConvTranspose 1-21 0:f; 22 0:f
Cos 7-21 0:fd; 22 0:fd
Cosh 9-21 0:f; 22 0:f
Crop 1 0:f
CumProd 26 0:fd3478,1:34
CumSum 11-13 0:fd34,1:34; 14 0:fd34,1:34
DFT 17-19 0:fd,1:34; 20 0:fd,1:34
DeformConv 19-21 0:fd; 22 0:fd
DepthToSpace 1-10 0:fd; 11-27 0:fd15; 28 0:fd15
DequantizeLinear 10-18 0:135; 19-20 0:135~,1:fh; 21-22 0:12356~,1:fh; 23-24 0:12356~,1:fh,o0:fh;
  25 0:12356~,1:fh,o0:fh
Det 11-21 0:f; 22 0:f
Div 7-13 0:fd3478; 14 0:fd12345678
Dropout 7-9 0:fdh; 10-11 0:fdh,o1:?; 12-21 0:fd,1:fd,2:?; 22 0:fd,1:fd,2:?
DynamicQuantizeLinear 11 o0:5
DynamicSlice 1 1:34
Einsum 12-27 0:fd34; 28 0:fdb34
Elu 6-21 0:f; 22 0:f
Equal 7-10 0:fd34?,o0:?; 11-18 0:fd12345678?,o0:?; 19 0:fd12345678?s,o0:?
Erf 9-12 0:f; 13 0:f
Exp 6-12 0:fd; 13 0:fd
Expand 8-12 0:fdh12345678?s; 13 0:fdh12345678?s
EyeLike 9-21 0:fd348,o0:fd348; 22 0:fd348,o0:fd348
Flatten 1-24 *; 25 *
Floor 6-12 0:fd; 13 0:fd
GRU 7-21 0:fd,4:3; 22 0:fd,4:3
Gather 1-12 1:34; 13 1:34
GatherElements 11-12 1:34; 13 1:34
GatherND 11-12 1:4; 13 1:4
Gelu 20 0:f
Gemm 7-12 0:fd; 13 0:fd
GlobalAveragePool 1-21 0:f; 22 0:f
GlobalLpPool 2 0:f
GlobalMaxPool 1-21 0:f; 22 0:f
Greater 7-8 0:fd,o0:?; 9-12 0:fd12345678,o0:?; 13 0:fd12345678,o0:?
GreaterOrEqual 12-15 0:fd12345678,o0:?; 16 0:fd12345678,o0:?
GridSample 16-19 0:f,1:f; 20-21 0:d,1:d 0:f,1:f; 22 0:d,1:d 0:f,1:f
HammingWindow 17 0:34,o0:fd12345678
HannWindow 17 0:34,o0:fd12345678
HardSigmoid 6-21 0:f; 22 0:f
Hardmax 1-12 0:f; 13 0:f
Identity 1-24 *; 25 *
If 1-24 0:?; 25 0:?
ImageScaler 1 0:f
InstanceNormalization 6-21 0:f; 22 0:f
IsInf 10-19 0:fd,o0:?; 20 0:fdhb~,o0:?
IsNaN 9-19 0:fdh,o0:?; 20 0:fdhb~,o0:?
LRN 1-12 0:f; 13 0:f
LSTM 7-21 0:fd,4:3; 22 0:fd,4:3
LayerNormalization 1-16 0:b,1:b,o1:f 0:d,1:d,o1:f 0:f,1:f,o1:f 0:h,1:h,o1:f; 17 0:fdhb,o1:f
LeakyRelu 6-15 0:f; 16 0:f
Less 7-8 0:fd,o0:?; 9-12 0:fd12345678,o0:?; 13 0:fd12345678,o0:?
LessOrEqual 12-15 0:fd12345678,o0:?; 16 0:fd12345678,o0:?
Log 6-12 0:fd; 13 0:fd
LogSoftmax 1-12 0:fd; 13 0:fd
Loop 1-24 0:4,1:?; 25 0:4,1:?
LpNormalization 1-21 0:fd; 22 0:fd
LpPool 2-21 0:f; 22 0:f
MatMul 1-8 0:fd; 9-12 0:fd3478; 13 0:fd3478
MatMulInteger 10 0:15,1:15,o0:3
Max 6-7 0:f; 8-11 0:fd; 12-12 0:fdh134578; 13 0:fdh134578
MaxPool 1-7 0:f; 8-11 0:fd,o1:4; 12-21 0:fd15,o1:4; 22 0:fd15,o1:4
MaxRoiPool 1 0:f
MaxUnpool 9-21 0:f,1:4; 22 0:f,1:4
Mean 6-12 0:f; 13 0:f
MeanVarianceNormalization 1-12 0:f; 13 0:f
MelWeightMatrix 17 0:34,3:f,o0:fd12345678
MemcpyFromHost 1 *
MemcpyToHost 1 *
Min 6-7 0:f; 8-11 0:fd; 12-12 0:fdh134578; 13 0:fdh134578
Mod 10-27 0:fdh12345678; 28 0:fdh12345678
Mul 7-13 0:fd3478; 14 0:fd12345678
Multinomial 7 0:f,o0:34
Neg 6-12 0:fd1234; 13 0:fd1234
NonMaxSuppression 10-10 *; 11 *
NonZero 9-12 0:f345?; 13 0:f345?
Not 1 0:?
OneHot 9-27 0:3,1:3,2:f 0:4,1:34,2:f 0:4,1:f,2:3 0:f34,1:f,2:f 0:f4,1:4,2:4s;
  28 0:3,1:3,2:fb 0:4,1:34,2:f 0:4,1:4,2:b 0:4,1:f,2:3 0:f34,1:f,2:f 0:f4,1:4,2:4s
Optional 15 o0:~
OptionalGetElement 15-17 0:~; 18 *
OptionalHasElement 15-17 0:~,o0:?; 18 o0:?
Or 7 0:?,o0:?
PRelu 7-15 0:f; 16 0:f
Pad 2-10 0:fd; 11-12 0:fd134578; 13-20 0:fd134578?; 21-24 0:fdb134578?; 25 0:fdb134578?
ParametricSoftplus 1 0:f
Pow 7-11 0:fd; 12-14 0:fd34,1:fd34; 15 0:fd34,1:fd34
QLinearConv 10 0:1,3:1,7:1,8:3 0:5,3:15,7:5,8:3
QLinearMatMul 10-20 0:1,3:1,7:1 0:5,3:15,7:5; 21 0:1,1:f,3:1,7:1 0:5,1:f,3:15,7:5
QuantizeLinear 10-18 0:f,2:15; 19-20 0:fh,2:15~; 21-22 0:fh,2:1256~; 23-24 0:fh,1:fh,2:1256~; 25 0:fh,1:fh,2:1256~
RMSNormalization 23 0:d,1:d 0:f,1:f 0:h,1:h
RNN 7-21 0:f,4:3; 22 0:f,4:3
RandomNormal 1 o0:fd
RandomNormalLike 1 o0:fd
RandomUniform 1 o0:fd
RandomUniformLike 1 o0:fd
Range 11-26 0:fd234; 27 0:fd234
Reciprocal 6-12 0:fd; 13 0:fd
ReduceL1 1-17 0:fd34; 18 0:fd34
ReduceL2 1-17 0:fd34; 18 0:fd34
ReduceLogSum 1-17 0:fd34; 18 0:fd34
ReduceLogSumExp 1-17 0:fd34; 18 0:fd34
ReduceMax 1-11 0:fd34; 12-19 0:fd1345; 20 0:fd1345?
ReduceMean 1-17 0:fd34; 18 0:fd34
ReduceMin 1-11 0:fd34; 12-19 0:fd1345; 20 0:fd1345?
ReduceProd 1-17 0:fd34; 18 0:fd34
ReduceSum 1-12 0:fd34; 13 0:fd34
ReduceSumSquare 1-17 0:fd34; 18 0:fd34
RegexFullMatch 20 0:s,o0:?
Relu 6-13 0:fd; 14 0:fd13
Reshape 1-4 *; 5-24 1:4; 25 1:4
Resize 10-18 0:f135; 19 0:f135
ReverseSequence 10-27 *; 28 *
RoiAlign 10-15 0:fd,2:4; 16 0:fd,2:4
RotaryEmbedding 23 0:fh,3:4
Round 11-21 0:fdh; 22 0:fdh
STFT 17 0:fd,1:34
Scale 1 0:f
ScaledTanh 1 0:f
Scan 8-8 0:4; 9-24 *; 25 *
Scatter 9-10 1:34
ScatterElements 11-17 1:34; 18 1:34
ScatterND 11-17 *; 18 *
Selu 6-21 0:f; 22 0:f
SequenceAt 11 0:~,1:34
SequenceConstruct 11 o0:~
SequenceEmpty 11 o0:~
SequenceErase 11 0:~,1:34
SequenceInsert 11 0:~,2:34
SequenceLength 11 0:~,o0:4
Shape 1-24 o0:4; 25 o0:4
Shrink 9 0:fdhb12345678
Sigmoid 6-12 0:fd; 13 0:fd
Sign 9-12 0:fdhb12345678; 13 0:fdhb12345678
SimplifiedLayerNormalization 1 0:b,1:b,o1:f 0:d,1:d,o1:f 0:f,1:f,o1:f 0:h,1:h,o1:f
Sin 7-21 0:fd; 22 0:fd
Sinh 9-21 0:f; 22 0:f
Size 1-24 0:fd12345678?s,o0:4; 25 0:fd12345678?s,o0:4
Slice 1-9 *; 10-12 1:34; 13 1:34
Softmax 1-12 0:fd; 13 0:fd
Softplus 1-21 0:f; 22 0:f
Softsign 1-21 0:f; 22 0:f
SpaceToDepth 1-27 0:fd15; 28 0:fd15
Split 2-17 *; 18 *
SplitToSequence 11-23 0:fdh34?s,1:34,o0:~; 24 0:fdh34?s,1:34,o0:~
Sqrt 6-12 0:fd; 13 0:fd
Squeeze 1-24 *; 25 *
StringConcat 20 0:s
StringNormalizer 10 0:s
StringSplit 20 0:s,o0:s,o1:4
Sub 7-13 0:fd3478; 14 0:fd12345678
Sum 6-12 0:fd; 13 0:fd
Tan 7-21 0:f; 22 0:f
Tanh 6-12 0:fd; 13 0:fd
TensorScatter 24 *
TfIdfVectorizer 9 0:34s,o0:f
ThresholdedRelu 1-21 0:f; 22 0:f
Tile 6-12 0:fd12345678?s,1:4; 13 0:fd12345678?s,1:4
TopK 1-10 0:fd,o1:4; 11-23 0:fd12345,o1:4; 24 0:fd12345,o1:4
Transpose 1-24 *; 25 *
Trilu 14 0:fd34?
Unique 11-27 0:fd14s; 28 0:fdb14s
Unsqueeze 1-24 *; 25 *
Upsample 7-9 0:f135
Where 9-15 1:fd13457s; 16 1:fd13457s
Xor 7 0:?,o0:?
ai.onnx.ml.ArrayFeatureExtractor 1 0:fd34s
ai.onnx.ml.Binarizer 1 0:f
ai.onnx.ml.CastMap 1 0:~,o0:f4s
ai.onnx.ml.CategoryMapper 1 0:4s,o0:4s
ai.onnx.ml.DictVectorizer 1 0:~,o0:fd4s
ai.onnx.ml.FeatureVectorizer 1 0:fd34
ai.onnx.ml.Imputer 1 0:f4
ai.onnx.ml.LabelEncoder 1-1 0:4s,o0:4s; 2-3 0:f4s,o0:f4s; 4 0:4s,o0:f 0:d4,o0:d4s 0:f,o0:f4s 0:s,o0:d24s
ai.onnx.ml.LinearClassifier 1 0:fd34,o0:4s
ai.onnx.ml.LinearRegressor 1 0:f
ai.onnx.ml.Normalizer 1 0:fd34
ai.onnx.ml.OneHotEncoder 1 0:fd4s
ai.onnx.ml.SVMClassifier 1 0:fd34,o0:4s
ai.onnx.ml.SVMRegressor 1 0:f
ai.onnx.ml.Scaler 1 0:fd34
ai.onnx.ml.TreeEnsemble 5 0:fd
ai.onnx.ml.TreeEnsembleClassifier 1-2 0:fd34,o0:4s; 3 0:fd34,o0:4s
ai.onnx.ml.TreeEnsembleRegressor 1-2 0:fd; 3 0:fd
ai.onnx.ml.ZipMap 1 o0:~
com.microsoft.Attention 1 0:f
com.microsoft.AttnLSTM 1 0:fd,4:3
com.microsoft.BeamSearch 1 5:f
com.microsoft.BiasGelu 1 0:f
com.microsoft.BifurcationDetector 1 0:4
com.microsoft.BranchwiseRMSNorm 1 0:fhb,1:fhb
com.microsoft.CDist 1 0:fd
com.microsoft.CausalConvWithState 1 0:f
com.microsoft.ConvTransposeWithDynamicPads 1 0:f
com.microsoft.CropAndResize 1 0:f,2:3
com.microsoft.DecoderMaskedMultiHeadAttention 1 0:f
com.microsoft.DequantizeLinear 1 0:12356~,1:f
com.microsoft.DynamicQuantizeLSTM 1 0:f,1:15,4:3
com.microsoft.DynamicQuantizeMatMul 1 0:f,1:15
com.microsoft.DynamicTimeWarping 1 0:f,o0:3
com.microsoft.EmbedLayerNormalization 1 2:f
com.microsoft.EngramGate 1 0:fh
com.microsoft.ExpandDims 1 1:3
com.microsoft.FastGelu 1 0:f
com.microsoft.FusedConv 1 0:f
com.microsoft.FusedGemm 1 0:f
com.microsoft.FusedMatMul 1 0:fd
com.microsoft.GatedAdd 1 0:fh
com.microsoft.GatedDeltaNet 1 0:fhb,3:3,4:fhb,6:f
com.microsoft.GatedRMSNorm 1 0:fhb
com.microsoft.GatherBlockQuantized 1 0:5~,1:34,2:fh
com.microsoft.GatherND 1 1:34
com.microsoft.GatherPacked 1 0:5,1:34,o0:fhb
com.microsoft.Gelu 1 0:f
com.microsoft.GreedySearch 1 3:f
com.microsoft.GridSample 1 0:f,o0:f
com.microsoft.GroupQueryAttention 1 0:f,12:f,3:f15,5:3 0:h,12:f,3:h15,5:3
com.microsoft.HyperConnectionPostMix 1 0:fhb,2:fhb
com.microsoft.HyperConnectionPreMix 1 0:fhb,1:fhb
com.microsoft.Inverse 1 0:fdh
com.microsoft.LinearAttention 1 0:f
com.microsoft.LinearAttentionGate 1 0:fhb,1:f
com.microsoft.MRotaryEmbedding 1 0:fh,1:4
com.microsoft.MatMulBnb4 1 0:f,1:5
com.microsoft.MatMulFpQ4 1 0:f,1:5,2:4
com.microsoft.MatMulInteger16 1 0:2,1:2,o0:3
com.microsoft.MatMulIntegerToFloat 1 0:1,1:1,2:f 0:5,1:15,2:f
com.microsoft.MatMulNBits 1 0:f,1:5,3:f5,4:3 0:h,1:5,3:h5,4:3
com.microsoft.MaxpoolWithMask 1 0:f
com.microsoft.MoE 1 0:f
com.microsoft.MoEGroupRouter 1 0:fhb,1:f
com.microsoft.MultiHeadAttention 1 0:f
com.microsoft.MurmurHash3 1 0:fd3478s,o0:37
com.microsoft.NGramHashMapping 1 0:34
com.microsoft.NGramRepeatBlock 1 0:4,1:f
com.microsoft.NhwcMaxPool 1 0:15
com.microsoft.Pad 1 0:f
com.microsoft.QAttention 1 0:5,1:15,2:f,5:3
com.microsoft.QEmbedLayerNormalization 1 8:f
com.microsoft.QGemm 1 0:1,1:f,3:1,6:3,8:1,o0:f1 0:5,1:f,3:15,6:3,8:5,o0:f5
com.microsoft.QLinearAdd 1 0:15
com.microsoft.QLinearAveragePool 1 *
com.microsoft.QLinearConcat 1 *
com.microsoft.QLinearConv 1 0:1,3:1,7:1,8:3 0:5,3:15,7:5,8:3
com.microsoft.QLinearGlobalAveragePool 1 *
com.microsoft.QLinearLeakyRelu 1 0:15
com.microsoft.QLinearMul 1 0:15
com.microsoft.QLinearSigmoid 1 0:15
com.microsoft.QLinearSoftmax 1 0:15
com.microsoft.QLinearWhere 1 1:15
com.microsoft.QMoE 1 0:b,15:f,2:5,3:b~ 0:f,15:f,2:5,3:f~ 0:h,15:f,2:5,3:h~
com.microsoft.QuantizeLinear 1 0:f,2:1256~
com.microsoft.QuickGelu 1 0:f
com.microsoft.Range 1 0:fd234
com.microsoft.RotaryEmbedding 1 0:fh,1:4
com.microsoft.SampleOp 1 0:f
com.microsoft.Sampling 1 3:f
com.microsoft.ScaledSiLU 1 0:fhb,1:fhb
com.microsoft.SkipLayerNormalization 1 0:fdhb
com.microsoft.SkipSimplifiedLayerNormalization 1 0:fdhb
com.microsoft.SparseAttention 1 0:fh,5:3
com.microsoft.SparseToDenseMatMul 1 0:~,1:fd3478
com.microsoft.Tokenizer 1 0:s
com.microsoft.TransposeMatMul 1 0:f
com.microsoft.Trilu 1 0:fd4
com.microsoft.UnfoldTensor 1 *
com.microsoft.Unique 1 0:f
com.microsoft.VarlenCausalConvWithState 1 0:fhb,2:3
com.microsoft.VarlenNGramHashMapping 1 0:34,3:3
com.microsoft.WhisperBeamSearch 1 5:f
com.microsoft.WordConvEmbedding 1 0:3,1:f
com.microsoft.nchwc.AveragePool 1 0:f
com.microsoft.nchwc.Conv 1 0:f
com.microsoft.nchwc.GlobalAveragePool 1 0:f
com.microsoft.nchwc.GlobalMaxPool 1 0:f
com.microsoft.nchwc.MaxPool 1 0:f
com.microsoft.nchwc.ReorderInput 1 0:f
com.microsoft.nchwc.ReorderOutput 1 0:f
com.microsoft.nchwc.Upsample 1 0:f
"""
