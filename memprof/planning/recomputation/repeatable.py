"""Which operations may run twice, and the multiply-accumulates (MACs) of one more run.

An operation may if its second run gives what the first gave:

    it is known     it has a count of MACs: one that no table knows may do anything
    it is pure      it draws nothing at random, keeps no state between runs, and runs no bodies
    its operands    no operation writes on the storages that it reads or writes: they are what they were
"""

from __future__ import annotations

import re

from memprof.analysis.macs import node_macs, operation_kind
from memprof.base.errors import UsageError
from memprof.base.text import safe_text
from memprof.base.units import parse_percent
from memprof.ir import Graph

_COUNT = re.compile(r"([0-9]{1,18})(?:\.0{0,18})?")
_RANDOM_OR_STATEFUL = """
    Bernoulli Dropout Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike TensorScatter
    CausalConvWithState com.microsoft.BiasDropout
    aten._batch_norm_impl_index aten._native_batch_norm_legit aten.alpha_dropout aten.batch_norm aten.bernoulli
    aten.cauchy aten.dropout aten.empty aten.empty_like aten.empty_permuted aten.empty_strided aten.exponential
    aten.feature_dropout aten.fractional_max_pool2d aten.fractional_max_pool3d aten.geometric aten.gru
    aten.instance_norm aten.log_normal aten.lstm aten.multinomial aten.native_batch_norm aten.native_dropout
    aten.new_empty aten.new_empty_strided aten.normal aten.poisson aten.rand aten.rand_like aten.randint
    aten.randint_like aten.randn aten.randn_like aten.random aten.randperm aten.rnn_relu aten.rnn_tanh aten.rrelu
    aten.rrelu_with_noise aten.scaled_dot_product_attention aten._scaled_dot_product_cudnn_attention
    aten._scaled_dot_product_efficient_attention aten._scaled_dot_product_flash_attention
    aten._scaled_dot_product_flash_attention_for_cpu aten.uniform
    tfl.CALL_ONCE tfl.HASHTABLE tfl.MULTINOMIAL tfl.RANDOM_STANDARD_NORMAL tfl.RANDOM_UNIFORM tfl.READ_VARIABLE
    tfl.STABLEHLO_RNG_BIT_GENERATOR tfl.SVDF tfl.UNIDIRECTIONAL_SEQUENCE_LSTM tfl.UNIDIRECTIONAL_SEQUENCE_RNN
    tfl.BIDIRECTIONAL_SEQUENCE_LSTM tfl.BIDIRECTIONAL_SEQUENCE_RNN tfl.LSTM tfl.RNN tfl.VAR_HANDLE tfl.ASSIGN_VARIABLE
"""
_NEVER_TWICE = frozenset(_RANDOM_OR_STATEFUL.split())
"""Kinds that are random, at least with some attributes (dropout, attention with dropout), or write to a state."""


def rerun_macs(graph: Graph) -> list[int | None]:
    """Return for each node the MACs of one more run, ``None`` if it may not run twice."""
    macs = node_macs(graph)
    overwritten = {graph.storage[i] for node in graph.nodes if _is_in_place(node.op) for i in node.writes}
    overwritten |= {graph.storage[i] for node in graph.nodes if _is_in_place(node.op) for i in node.reads[:1]}
    captured = {graph.storage[i] for node in graph.nodes for i in node.captures}  # a body's names stay as they are
    for node_id, node in enumerate(graph.nodes):
        storages = {graph.storage[i] for i in (*node.reads, *node.writes)}
        is_pure = operation_kind(node.op) not in _NEVER_TWICE and not node.bodies and not node.is_malformed
        if not is_pure or storages & overwritten or {graph.storage[i] for i in node.writes} & captured:
            macs[node_id] = None
    return macs


def _is_in_place(op: str) -> bool:
    """Tell whether ``op`` writes on its first input, by PyTorch's naming rule."""
    name = op.split(".", 2)[1] if op.startswith("aten.") else ""
    return name.endswith("_") and not name.endswith("__")


def known_macs(graph: Graph) -> int:
    """Return the MACs of one run of every node that they are known of."""
    return sum(count or 0 for count in node_macs(graph))


def parse_allowance(text: str | int, total_macs: int) -> int:
    """Return the extra MACs that ``text`` allows.

    Args:
        text: A whole number of MACs, or a share of the model's: ``"5%"``.
        total_macs: MACs of the model.

    Raises:
        UsageError: It is neither.

    >>> parse_allowance("2.5%", 1000), parse_allowance(0, 1000)
    (25, 0)
    """
    written = str(text).strip()
    share = parse_percent(written)
    if share is not None:
        return int(share * total_macs)
    count = _COUNT.fullmatch(written)
    if count is None:
        raise UsageError(
            f"{safe_text(written, limit=40)} is no amount of work.",
            "Give extra MACs as a number of 18 digits at most, or 5%.",
        )
    return int(count[1])
