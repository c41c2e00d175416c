"""What onnxruntime would make of a file, from the file alone: an estimate, for where nobody asks it.

    remove    what follows from weights alone, and what hands its input on
    join      pairs and small groups of operations that become one
    block     convolutions in a layout of 16 channels, with reorders where others want the plain one

The rest stays as in the file. Pure.
"""

from __future__ import annotations

from memprof.ir import Graph
from memprof.runtimes.onnxruntime.optimizing.blocking import block_all
from memprof.runtimes.onnxruntime.optimizing.draft import Draft
from memprof.runtimes.onnxruntime.optimizing.joining import (
    flatten_products,
    join_all,
    join_gelus,
    join_products_of_sigmoids,
    join_skips,
    remove_idle,
)

_MAX_NODES = 50_000


def optimized(graph: Graph) -> Graph:
    """Return ``graph`` as onnxruntime would run it with all optimisations, as far as rules of ours tell."""
    if len(graph.nodes) > _MAX_NODES or any(node.is_malformed for node in graph.nodes):
        return graph
    try:
        return _changed(Draft(graph))
    except (ArithmeticError, LookupError, TypeError, ValueError):  # a rule that does not fit: the file as it is
        return graph


def _changed(draft: Draft) -> Graph:
    remove_idle(draft)
    join_gelus(draft)
    join_all(draft)
    join_products_of_sigmoids(draft)
    join_skips(draft)
    flatten_products(draft)
    block_all(draft)
    return draft.built()
