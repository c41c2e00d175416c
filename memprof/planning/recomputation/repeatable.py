"""Which operations may run twice, and the multiply-accumulates (MACs) of one more run.

An operation may if its second run gives what the first gave:

    it is known     it has a count of MACs: one that no table knows may do anything
    it is pure      it draws nothing at random, keeps no state between runs, and runs no bodies
    its results     no operation writes on the storages that it writes
    its operands    no operation has written on the storages that it reads since: it runs again before that, or never
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

from memprof.analysis.macs import node_macs, operation_kind
from memprof.base.errors import UsageError
from memprof.base.text import safe_text
from memprof.base.units import parse_percent
from memprof.ir import Graph, Node

_COUNT = re.compile(r"([0-9]{1,18})(?:\.0{0,18})?")
_RANDOM_OR_STATEFUL = """
    Bernoulli Dropout Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike TensorScatter
    CausalConvWithState com.microsoft.BiasDropout aten.alpha_dropout aten.bernoulli
    aten.cauchy aten.dropout aten.empty aten.empty_like aten.empty_permuted
    aten.empty_strided aten.exponential aten.feature_dropout aten.fractional_max_pool2d aten.fractional_max_pool3d
    aten.geometric aten.gru aten.log_normal aten.lstm aten.multinomial aten.native_dropout aten.new_empty
    aten.new_empty_strided aten.normal aten.poisson aten.rand aten.rand_like aten.randint aten.randint_like aten.randn
    aten.randn_like aten.random aten.randperm aten.rnn_relu aten.rnn_tanh aten.rrelu
    aten.rrelu_with_noise aten.uniform
    tfl.CALL_ONCE tfl.HASHTABLE tfl.MULTINOMIAL tfl.RANDOM_STANDARD_NORMAL tfl.RANDOM_UNIFORM tfl.READ_VARIABLE
    tfl.STABLEHLO_RNG_BIT_GENERATOR tfl.SVDF tfl.UNIDIRECTIONAL_SEQUENCE_LSTM tfl.UNIDIRECTIONAL_SEQUENCE_RNN
    tfl.BIDIRECTIONAL_SEQUENCE_LSTM tfl.BIDIRECTIONAL_SEQUENCE_RNN tfl.LSTM tfl.RNN tfl.VAR_HANDLE tfl.ASSIGN_VARIABLE
"""
_OF_STATISTICS = """
    aten._batch_norm_impl_index aten._batch_norm_with_update aten._native_batch_norm_legit aten.batch_norm
    aten.cudnn_batch_norm aten.instance_norm aten.native_batch_norm
"""
_UPDATING = frozenset(_OF_STATISTICS.split())
"""Kinds that write on the statistics that they read, without a mark of it in their names."""
_NEVER_TWICE = _UPDATING.union(_RANDOM_OR_STATEFUL.split())
"""Kinds that are random, at least with some attributes (dropout), or write to a state."""
_DROPPING = """
    aten.scaled_dot_product_attention aten._scaled_dot_product_cudnn_attention
    aten._scaled_dot_product_efficient_attention aten._scaled_dot_product_flash_attention
    aten._scaled_dot_product_flash_attention_for_cpu
"""
_ATTENTION = frozenset(_DROPPING.split())
"""Kinds that are random with dropout alone."""


@dataclass(frozen=True, slots=True)
class Repeatable:
    """What may run twice.

    Attributes:
        macs: For each node the MACs of one more run, ``None`` if it may not run twice.
        spoilers: For each node those that write on what it reads after it: it may run again before them alone.
    """

    macs: tuple[int | None, ...]
    spoilers: tuple[tuple[int, ...], ...]


def repeatable(graph: Graph) -> Repeatable:
    """Return which nodes of ``graph``, which lists them in an order in which they may run, may run twice."""
    macs = node_macs(graph)
    storage = graph.storage
    writers: defaultdict[int, list[int]] = defaultdict(list)  # of each storage that is written on, by whom
    for node_id, node in enumerate(graph.nodes):
        for root in _written_on(graph, node):
            writers[root].append(node_id)
            macs[node_id] = None
    captured = {storage[i] for node in graph.nodes for i in node.captures}  # a body's names stay as they are
    changed = captured.union(writers)
    spoilers: list[tuple[int, ...]] = []
    for node_id, node in enumerate(graph.nodes):
        if not _is_pure(node) or not changed.isdisjoint([storage[i] for i in node.writes]):
            macs[node_id] = None
        later = {k for i in node.reads for k in writers.get(storage[i], ()) if k > node_id}
        spoilers.append(tuple(sorted(later)))
    return Repeatable(tuple(macs), tuple(spoilers))


def _written_on(graph: Graph, node: Node) -> set[int]:
    """Return the storages that a node writes on: none if what it writes has storage of its own.

    One in place that returns nothing (of lists of tensors, say) may write on all that it reads.
    """
    if operation_kind(node.op) in _UPDATING:
        return {graph.storage[i] for i in node.reads[1:]}
    if not _is_in_place(node.op):
        return set()
    written = [i for i in node.writes if graph.value_bytes[i] != 0]
    if not written:
        return {graph.storage[i] for i in node.reads}
    return {graph.storage[i] for i in written if graph.values[i].view_of is not None}


def _is_pure(node: Node) -> bool:
    """Tell whether a node gives the same again for the same operands."""
    kind = operation_kind(node.op)
    if node.bodies or node.is_malformed or kind in _NEVER_TWICE:
        return False
    return kind not in _ATTENTION or not node.attributes.get("dropout_p")


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
