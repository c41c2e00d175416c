"""Operations that take no multiply-accumulates by convention: nothing in them sums products along an axis.

A read-only list in the groups of the convention. Elementwise operations, pooling, normalisation and interpolation
do multiply, but published MAC counts leave them out, and so does this one. What is neither here nor in
``formulas`` or ``backward`` is reported as unknown: Fourier transforms, determinants.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_ONNX = {
    "elementwise": """
        Abs Acos Acosh Add And Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Ceil Celu
        Clip Cos Cosh Div Dropout Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual HardSigmoid HardSwish IsInf
        IsNaN LeakyRelu Less LessOrEqual Log Max Mean Min Mish Mod Mul Neg Not Or Pow PRelu Reciprocal Relu
        RotaryEmbedding Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Sub Sum SwiGLU Swish Tan Tanh
        ThresholdedRelu Where Xor
    """,
    "normalisation": """
        BatchNormalization GroupNormalization Hardmax InstanceNormalization LayerNormalization LogSoftmax
        LpNormalization LRN MeanVarianceNormalization RMSNormalization SimplifiedLayerNormalization Softmax
    """,
    "reduction": """
        ArgMax ArgMin CumProd CumSum NegativeLogLikelihoodLoss ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp
        ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare SoftmaxCrossEntropyLoss
    """,
    "pooling": """
        AveragePool GlobalAveragePool GlobalLpPool GlobalMaxPool LpPool MaxPool MaxRoiPool MaxUnpool RoiAlign
    """,
    "interpolation": """
        GridSample Resize Upsample
    """,
    "data movement": """
        BitCast CenterCropPad Col2Im Compress Concat ConcatFromSequence DepthToSpace Expand Flatten Gather
        GatherElements GatherND Identity Optional OptionalGetElement OptionalHasElement Pad Reshape ReverseSequence
        Scatter ScatterElements ScatterND SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert
        SequenceLength Shape Size Slice SpaceToDepth Split SplitToSequence Squeeze TensorScatter Tile Transpose
        Trilu Unsqueeze
    """,
    "type conversion": """
        Cast CastLike DequantizeLinear DynamicQuantizeLinear QuantizeLinear
    """,
    "making data": """
        Bernoulli BlackmanWindow Constant ConstantOfShape EyeLike HammingWindow HannWindow MelWeightMatrix
        Multinomial OneHot RandomNormal RandomNormalLike RandomUniform RandomUniformLike Range
    """,
    "selection": """
        NonMaxSuppression NonZero RegexFullMatch StringConcat StringNormalizer StringSplit TfIdfVectorizer TopK
        Unique
    """,
}

_ONNX_ML = {
    "features and trees": """
        ArrayFeatureExtractor Binarizer CastMap CategoryMapper DictVectorizer FeatureVectorizer Imputer LabelEncoder
        Normalizer OneHotEncoder Scaler TreeEnsemble TreeEnsembleClassifier TreeEnsembleRegressor ZipMap
    """,
}

_MICROSOFT = {
    "fused or quantised": """
        BiasAdd BiasDropout BiasGelu BiasSoftmax BiasSplitGelu DequantizeLinear EmbedLayerNormalization FastGelu
        Gelu GroupNorm NhwcMaxPool QLinearAdd QLinearAveragePool QLinearConcat QLinearGlobalAveragePool
        QLinearLeakyRelu QLinearMul QLinearReduceMean QLinearSigmoid QLinearSoftmax QLinearWhere QuantizeLinear
        QuickGelu RotaryEmbedding SkipGroupNorm SkipLayerNormalization SkipSimplifiedLayerNormalization Trilu Unique
    """,
}

_ATEN = {
    "elementwise": """
        __and__ __ilshift__ __irshift__ __ixor__ __lshift__ __or__ __rshift__ __xor__ _conj_physical abs absolute acos
        acosh add addcdiv addcmul angle arccos arccosh arcsin arcsinh arctan arctan2 arctanh asin asinh atan atan2
        atanh bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor ceil celu clamp
        clamp_max clamp_min clip complex conj conj_physical copysign cos cosh deg2rad digamma div divide dropout elu
        eq erf erfc erfinv exp exp2 expm1 feature_dropout fix float_power floor floor_divide fmax fmin fmod frac
        frexp gcd ge gelu glu greater greater_equal gt hardshrink hardsigmoid hardswish hardtanh heaviside hypot i0
        igamma igammac isclose isfinite isinf isnan isneginf isposinf isreal lcm ldexp le leaky_relu lerp less
        less_equal lgamma log log10 log1p log2 log_sigmoid logaddexp logaddexp2 logical_and logical_not logical_or
        logical_xor logit lt masked_fill maximum minimum mish mul multiply mvlgamma nan_to_num native_dropout ne neg
        negative nextafter not_equal outer polar polygamma positive pow prelu rad2deg reciprocal relu relu6
        remainder round rrelu rsqrt rsub selu sgn sigmoid sign signbit silu sin sinc sinh softplus softshrink
        special_airy_ai special_bessel_j0 special_bessel_j1 special_bessel_y0 special_bessel_y1
        special_chebyshev_polynomial_t special_chebyshev_polynomial_u special_chebyshev_polynomial_v
        special_chebyshev_polynomial_w special_entr special_erf special_erfcx special_expit
        special_hermite_polynomial_h special_hermite_polynomial_he special_i0e special_i1 special_i1e
        special_laguerre_polynomial_l special_legendre_polynomial_p special_log_ndtr special_modified_bessel_i0
        special_modified_bessel_i1 special_modified_bessel_k0 special_modified_bessel_k1 special_ndtri
        special_scaled_modified_bessel_k0 special_scaled_modified_bessel_k1 special_shifted_chebyshev_polynomial_t
        special_shifted_chebyshev_polynomial_u special_shifted_chebyshev_polynomial_v
        special_shifted_chebyshev_polynomial_w special_spherical_bessel_j0 special_xlog1py special_zeta sqrt square
        sub subtract tan tanh threshold true_divide trunc where xlogy
    """,
    "normalisation": """
        _batch_norm_impl_index _fused_rms_norm _log_softmax _native_batch_norm_legit
        _native_batch_norm_legit_no_training _safe_softmax _softmax _weight_norm _weight_norm_interface batch_norm
        group_norm instance_norm layer_norm log_softmax native_batch_norm native_group_norm native_layer_norm
        rms_norm softmax special_log_softmax special_softmax
    """,
    "reduction": """
        _embedding_bag all amax amin aminmax any argmax argmin bincount count_nonzero cross_entropy_loss cummax
        cummin cumprod cumsum embedding_bag equal kthvalue l1_loss linalg__powsum linalg_norm linalg_vector_norm
        logcumsumexp logsumexp
        max mean median min mode mse_loss nanmean nanmedian nansum nll_loss nll_loss2d nll_loss2d_forward
        nll_loss_forward nll_loss_nd norm prod smooth_l1_loss special_logsumexp std std_mean sum var var_mean
    """,
    "pooling": """
        _adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d
        adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d avg_pool1d avg_pool2d avg_pool3d
        fractional_max_pool2d fractional_max_pool3d max_pool1d max_pool1d_with_indices max_pool2d
        max_pool2d_with_indices max_pool3d max_pool3d_with_indices max_unpool2d max_unpool3d
    """,
    "interpolation": """
        _upsample_bicubic2d_aa _upsample_bilinear2d_aa _upsample_nearest_exact1d _upsample_nearest_exact2d
        _upsample_nearest_exact3d grid_sampler grid_sampler_2d grid_sampler_3d upsample_bicubic2d
        upsample_bilinear2d upsample_linear1d upsample_nearest1d upsample_nearest2d upsample_nearest3d
        upsample_trilinear3d
    """,
    "data movement": """
        _assert_async _assert_scalar _assert_tensor_metadata _local_scalar_dense _reshape_alias _reshape_copy
        _shape_as_tensor _to_copy _unsafe_index _unsafe_index_put _unsafe_masked_index _unsafe_view alias alias_copy
        as_strided as_strided_copy as_strided_scatter atleast_1d atleast_2d atleast_3d block_diag broadcast_tensors
        broadcast_to cat channel_shuffle chunk clone col2im column_stack concat concatenate constant_pad_nd
        contiguous copy detach detach_copy diag diag_embed diagonal diagonal_copy diagonal_scatter dsplit dstack
        embedding expand expand_as expand_copy flatten flip fliplr flipud gather hsplit hstack im2col index
        index_add index_copy index_fill index_put index_reduce index_select item lift lift_fresh lift_fresh_copy
        masked_scatter masked_select matrix_H meshgrid mH moveaxis movedim mT narrow narrow_copy
        native_channel_shuffle nonzero nonzero_static numel numpy_T one_hot pad permute permute_copy pixel_shuffle
        pixel_unshuffle ravel reflection_pad1d reflection_pad2d reflection_pad3d repeat repeat_interleave
        replication_pad1d replication_pad2d replication_pad3d reshape reshape_as resize resolve_conj resolve_neg roll
        rot90 row_stack scatter scatter_add scatter_reduce select select_copy select_scatter size slice slice_copy
        slice_scatter split split_copy split_with_sizes split_with_sizes_copy squeeze squeeze_copy stack stride
        swapaxes swapdims sym_constrain_range sym_constrain_range_for_size
        sym_is_contiguous sym_numel sym_size sym_storage_offset
        sym_stride t t_copy take take_along_dim tensor_split tile to transpose transpose_copy tril triu type_as
        unbind unbind_copy unflatten unfold unfold_copy unsafe_chunk unsafe_split unsafe_split_with_sizes unsqueeze
        unsqueeze_copy view view_as view_as_complex view_as_complex_copy view_as_real view_as_real_copy view_copy
        vsplit vstack
    """,
    "type conversion": """
        fake_quantize_per_channel_affine fake_quantize_per_tensor_affine imag real
    """,
    "making data": """
        arange bernoulli empty empty_like empty_permuted empty_strided exponential eye fill full full_like
        hann_window linspace logspace multinomial new_empty new_empty_strided new_full new_ones new_zeros normal
        ones ones_like rand rand_like randint randint_like randn randn_like randperm scalar_tensor tril_indices
        triu_indices uniform zero zeros zeros_like
    """,
    "selection": """
        argsort bucketize histc isin msort searchsorted sort topk unique_consecutive unique_dim
    """,
}

_EXECUTORCH = """
    dim_order_ops._clone_dim_order.out dim_order_ops._empty_dim_order.out dim_order_ops._to_dim_order_copy.out
    executorch.free executorch.move executorch_prim.et_copy_index.tensor executorch_prim.et_view.default
"""


def _named(prefix: str, groups: Mapping[str, str]) -> Iterable[str]:
    return (prefix + name for names in groups.values() for name in names.split())


MAC_FREE: frozenset[str] = frozenset(
    [
        *_named("", _ONNX),
        *_named("ai.onnx.ml.", _ONNX_ML),
        *_named("com.microsoft.", _MICROSOFT),
        *_named("aten.", _ATEN),
        *_EXECUTORCH.split(),
    ]
)
"""Kinds of operation that cost nothing."""
