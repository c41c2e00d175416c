"""Sizes for open dimensions that a graph fits, where the usual ones do not: candidates from the graph itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from math import prod

from memprof.importers.onnx.assumed import candidate_sizes, sizes_that_fit
from memprof.importers.onnx.attributes import integers, tensor
from memprof.importers.onnx.constants import Constant
from memprof.importers.onnx.library import ModelProto, TensorProto
from memprof.importers.onnx.misfits import count_misfits
from memprof.ir import Graph, TensorType

MOST_NODES = 2000
"""A graph of more is not built again and again."""

_NODES_BUILT, _FEWEST_TRIALS = 12_000, 8
_MOST_AXES, _LONGEST = 8, 512


def refit(
    proto: ModelProto,
    graph_inputs: Mapping[str, TensorType],
    groups: Sequence[Sequence[str]],
    build: Callable[[Mapping[str, int]], Graph],
) -> Mapping[str, int]:
    """Return sizes that the graph fits better than the usual ones; none if none of those that are tried do.

    Args:
        proto: The model.
        graph_inputs: The types of the graph's inputs.
        groups: The dimensions that were assumed, those that change together.
        build: What builds the graph with sizes for some of them.
    """
    most = max(_FEWEST_TRIALS, _NODES_BUILT // max(1, len(proto.graph.node)))
    strides = {step for node in proto.graph.node for step in integers(node, "strides")}
    candidates = tuple(islice(candidate_sizes(_shapes(proto, graph_inputs), strides), most))
    known: dict[tuple[tuple[str, int], ...], int] = {}

    def misfits(wished: Mapping[str, int]) -> int:
        key = tuple(sorted(wished.items()))
        if key not in known:
            known[key] = count_misfits(build(wished))
        return known[key]

    return sizes_that_fit(groups, candidates, misfits)


def _shapes(proto: ModelProto, graph_inputs: Mapping[str, TensorType]) -> Iterator[tuple[int, ...]]:
    """Yield shapes that the graph fixes: of weights, of inputs, and of what is reshaped to a constant shape."""
    for of in graph_inputs.values():
        yield tuple(dim for dim in of.shape or () if isinstance(dim, int))
    constants = [value for node in proto.graph.node if (value := tensor(node, "value")) is not None]
    for each in (*proto.graph.initializer, *constants):
        yield tuple(each.dims)
        if each.data_type == TensorProto.INT64 and len(each.dims) == 1 and each.dims[0] <= _MOST_AXES:
            array = Constant(each).array
            fixed = prod(size for size in array.tolist() if size > 0) if array is not None else 1
            if 1 < fixed <= _LONGEST:
                long = fixed * (_LONGEST // fixed)
                yield (long, long, fixed)  # the longer one is the more usual
