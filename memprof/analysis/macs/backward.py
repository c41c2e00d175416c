"""The MACs of backward passes: what PyTorch runs in training, as it records it.

    operation                     costs
    of a convolution              as many as the convolution, for the gradient of its input and for that of its weight
    of an attention               Q K^T once more, then the gradients of V, of the weights, of Q and of K
    of a recurrent layer          twice what the layer took
    of what is free forwards      nothing

A matrix product's backward pass is matrix products, which ``formulas`` knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from types import MappingProxyType

from memprof.analysis.macs.operation import NoFormulaError, Operation


def recurrent_layer(op: Operation) -> int:
    """Return the MACs of one layer in one direction; x: (length, batch, inputs), in either order, two weights."""
    return prod(op.input(0, rank=3)[:2]) * (prod(op.input(1, rank=2)) + prod(op.input(2, rank=2)))


def _recurrent_layer_backward(op: Operation) -> int:
    return 2 * recurrent_layer(op)


def _convolution_backward(op: Operation) -> int:
    """Gradient of the output, input, weight; which of the gradients of input, weight and bias are wanted is said."""
    wanted = op.node.attributes.get("output_mask")
    if not isinstance(wanted, tuple):
        raise NoFormulaError("does not say which gradients it writes")
    spread = op.input(1 if op.integer("transposed") else 0)
    return sum(map(bool, wanted[:2])) * prod(spread) * prod(op.input(2, rank=2)[1:])


def _attention_backward(op: Operation) -> int:
    """Gradient of the output, then q: (..., queries, d), k: (..., keys, d), v: (..., keys, d_v)."""
    q, k, v = (op.input(i, rank=2) for i in (1, 2, 3))
    return prod(q[:-1]) * k[-2] * (3 * q[-1] + 2 * v[-1])


BACKWARD: Mapping[str, Callable[[Operation], int]] = MappingProxyType(
    {
        "aten._scaled_dot_product_cudnn_attention_backward": _attention_backward,
        "aten._scaled_dot_product_efficient_attention_backward": _attention_backward,
        "aten._scaled_dot_product_flash_attention_backward": _attention_backward,
        "aten._scaled_dot_product_flash_attention_for_cpu_backward": _attention_backward,
        "aten.convolution_backward": _convolution_backward,
        "aten.mkldnn_rnn_layer": recurrent_layer,
        "aten.mkldnn_rnn_layer_backward": _recurrent_layer_backward,
    }
)
"""Kind of operation -> its formula."""

_FREE = """
    _adaptive_avg_pool2d_backward _adaptive_avg_pool3d_backward _embedding_bag_backward
    _embedding_bag_dense_backward _fused_rms_norm_backward _log_softmax_backward_data _masked_softmax_backward
    _prelu_kernel_backward _softmax_backward_data _thnn_fused_gru_cell _thnn_fused_gru_cell_backward
    _thnn_fused_lstm_cell _thnn_fused_lstm_cell_backward_impl _upsample_bicubic2d_aa_backward
    _upsample_bilinear2d_aa_backward _upsample_nearest_exact1d_backward _upsample_nearest_exact2d_backward
    _upsample_nearest_exact3d_backward _weight_norm_interface_backward adaptive_max_pool2d_backward
    adaptive_max_pool3d_backward avg_pool2d_backward avg_pool3d_backward binary_cross_entropy
    binary_cross_entropy_backward cudnn_batch_norm cudnn_batch_norm_backward diagonal_backward elu_backward
    embedding_backward embedding_dense_backward fractional_max_pool2d_backward fractional_max_pool3d_backward
    gather_backward gelu_backward glu_backward grid_sampler_2d_backward grid_sampler_3d_backward
    hardshrink_backward hardsigmoid_backward hardswish_backward hardtanh_backward huber_loss huber_loss_backward
    index_select_backward leaky_relu_backward log_sigmoid_backward log_sigmoid_forward logit_backward
    masked_scatter_backward masked_select_backward max_pool2d_backward max_pool2d_with_indices_backward
    max_pool3d_with_indices_backward mish_backward mse_loss_backward multi_margin_loss multi_margin_loss_backward
    multilabel_margin_loss_backward native_batch_norm_backward native_dropout_backward native_group_norm_backward
    native_layer_norm_backward nll_loss2d_backward nll_loss_backward reflection_pad1d_backward
    reflection_pad2d_backward reflection_pad3d_backward replication_pad1d_backward replication_pad2d_backward
    replication_pad3d_backward rrelu_with_noise_backward select_backward sigmoid_backward silu_backward
    slice_backward smooth_l1_loss_backward soft_margin_loss soft_margin_loss_backward softplus_backward
    softshrink_backward tanh_backward threshold_backward unfold_backward upsample_bicubic2d_backward
    upsample_bilinear2d_backward upsample_linear1d_backward upsample_nearest1d_backward
    upsample_nearest2d_backward upsample_nearest3d_backward upsample_trilinear3d_backward
    value_selecting_reduction_backward
"""

BACKWARD_FREE: frozenset[str] = frozenset(f"aten.{name}" for name in _FREE.split())
"""Kinds of operation that cost nothing, and losses whose forward pass PyTorch writes as one operation."""
