"""What onnxruntime would make of a file, from the file alone: an estimate, for where nobody asks it.

    first     what follows from weights alone is done ahead; what changes nothing goes, what is done twice stays once;
              constants behind convolutions, rows behind products, written-out activations and normalisations join;
              changes of type move past what only moves elements; transposes move to where they meet
    second    activations join convolutions and products; pieces of one tensor become one Split; products transpose
              and scale themselves; sums join normalisations
    third     convolutions in a layout of 16 channels, with reorders where others want the plain one; sums join the
              convolutions that are left

Each stage runs until nothing changes, a few times at most. The rest stays as in the file. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from memprof.ir import Graph
from memprof.runtimes.onnxruntime.lowering import with_casts
from memprof.runtimes.onnxruntime.optimizing.blocking import block_all
from memprof.runtimes.onnxruntime.optimizing.building import build
from memprof.runtimes.onnxruntime.optimizing.convolving import join_activations, join_constants, join_sums
from memprof.runtimes.onnxruntime.optimizing.draft import Draft
from memprof.runtimes.onnxruntime.optimizing.dynamic import join_dynamic
from memprof.runtimes.onnxruntime.optimizing.gelus import join_erfs, join_sigmoids, join_tanhs
from memprof.runtimes.onnxruntime.optimizing.halves import keep_casts
from memprof.runtimes.onnxruntime.optimizing.idle import (
    merge_clips,
    merge_pads,
    merge_reciprocals,
    remove_idle,
    share,
)
from memprof.runtimes.onnxruntime.optimizing.inlining import inline_branches
from memprof.runtimes.onnxruntime.optimizing.normalising import join_layer_norms, join_simple_norms, join_skips
from memprof.runtimes.onnxruntime.optimizing.products import (
    activate,
    add_rows,
    add_rows_of_bits,
    bias_gelus,
    scale,
    transpose_factors,
    transpose_gemm,
)
from memprof.runtimes.onnxruntime.optimizing.propagating import propagate_changes
from memprof.runtimes.onnxruntime.optimizing.quantising import (
    drop_pairs,
    drop_relus,
    drop_unread,
    join_quantised,
    make_unsigned,
    put_channels_last,
    quantise_weights,
)
from memprof.runtimes.onnxruntime.optimizing.splitting import split_all
from memprof.runtimes.onnxruntime.optimizing.transposing import (
    move_transposes,
    move_transposes_on_cpu,
)
from memprof.runtimes.onnxruntime.rewriter import Lowered

_MAX_NODES = 50_000
_MAX_ROUNDS = 3
_WIDENING = 1  # of the stages, the one before which operations without a kernel are widened

Rule = Callable[[Draft], None]


def _from_version(first: int, rule: Rule) -> Rule:
    """Return a rule for files of a version of ONNX's operations on, whose result is one of these."""

    def checked(draft: Draft) -> None:
        if (draft.graph.opset or 0) >= first:
            rule(draft)

    return checked


_STAGES: Sequence[tuple[Rule, ...]] = (
    (
        remove_idle,
        inline_branches,
        merge_reciprocals,
        merge_clips,
        transpose_gemm,
        join_constants,
        merge_pads,
        share,
        add_rows,
        _from_version(20, join_erfs),
        _from_version(17, join_layer_norms),
        propagate_changes,
        move_transposes,
    ),
    (
        keep_casts,
        move_transposes_on_cpu,
        drop_unread,
        drop_relus,
        transpose_gemm,
        make_unsigned,
        quantise_weights,
        join_quantised,
        join_dynamic,
        activate,
        join_activations,
        join_erfs,
        join_layer_norms,
        join_simple_norms,
        _from_version(13, split_all),
        transpose_factors,
        bias_gelus,
        join_skips,
        join_tanhs,
        join_sigmoids,
        scale,
        add_rows_of_bits,
        drop_pairs,
    ),
    (block_all, put_channels_last, join_sums),
)


def optimized(
    graph: Graph,
    index: Sequence[int] = (),
    ahead: Graph | None = None,
    constants: frozenset[str] = frozenset(),
) -> tuple[Graph, Graph]:
    """Return a graph as onnxruntime would run it with all optimisations, as far as rules of ours tell.

    Args:
        graph: The graph, with what has no kernel already replaced.
        index: onnxruntime's number of each node, the node's id if left out.
        ahead: The same with no more known than onnxruntime knows before it runs, ``None`` if nothing differs.
        constants: Names of values around a body that are weights.

    Returns:
        The graph, its nodes in the order in which they run, and the same with what onnxruntime knows.
    """
    as_it_is = graph, graph if ahead is None else ahead
    if len(graph.nodes) > _MAX_NODES or any(node.is_malformed for node in graph.nodes):
        return as_it_is
    try:
        draft = Draft(graph, index or range(len(graph.nodes)), ahead, constants)
        for number, stage in enumerate(_STAGES):
            draft = _widened(draft, constants) if number == _WIDENING else draft
            _run(draft, stage)
        return build(draft)
    except (ArithmeticError, LookupError, TypeError, ValueError):  # a rule that does not fit: the file as it is
        return as_it_is


def _widened(draft: Draft, constants: frozenset[str]) -> Draft:
    """Return a draft where operations on 16-bit floats without a kernel run in 32 bits, and Casts are joined."""
    if "float16" not in draft.graph.dtypes and "Cast" not in draft.graph.ops:
        return draft
    found, known = build(draft)
    numbers = tuple([step.index for step in draft.ordered()])
    wide = with_casts(Lowered(found, numbers))
    if wide.graph is found:
        return draft
    planned = wide.graph if known is found else with_casts(Lowered(known, numbers)).graph
    return Draft(wide.graph, wide.index, planned, constants)


def _run(draft: Draft, rules: Sequence[Rule]) -> None:
    for _ in range(_MAX_ROUNDS):
        before = draft.version
        for rule in rules:
            rule(draft)
        if draft.version == before:
            return
