"""How many elements a tensor has where its dimensions are open: some operations keep the number, or add numbers up.

operation                                          elements
Reshape and other views, Transpose, elementwise    those of the first input
elementwise with several inputs                    those of the inputs that have the same open dimensions; others
                                                   must be single elements
Concat                                             the sum

The open dimensions of what a Reshape writes get names of their own, so that what has the same shape is known to.
"""

from __future__ import annotations

from collections.abc import Sequence

from memprof.importers.onnx.facts import Fact
from memprof.importers.onnx.library import NodeProto
from memprof.importers.onnx.ops import ELEMENTWISE, VIEWS
from memprof.importers.onnx.types import TypeTable
from memprof.ir import Dim, TensorType

_KEEPING = VIEWS | {"Transpose"}


def counted_type(
    op: str, node: NodeProto, inputs: Sequence[Fact | None], found: Fact, types: TypeTable
) -> TensorType:
    """Return the type of the first output of ``node`` with the number of its elements, if that is known.

    Args:
        op: The operation, with the domain unless it is ONNX's own.
        node: The node.
        inputs: What is known of its inputs, ``None`` where one is left out.
        found: What is known of the output; a dimension is open.
        types: The model's types.
    """
    of = found.type
    given = [fact.type for fact in inputs if fact is not None]
    if not given or of.dtype is None or of.size_bytes is not None:
        return of
    count, shape = None, of.shape
    if op in _KEEPING:
        count = given[0].element_count
        if count is not None and given[0].shape == shape:
            shape = given[0].shape
        elif count is not None and shape is not None:
            shape = tuple(_named(dim, node.output[0], axis) for axis, dim in enumerate(shape))
    elif op in ELEMENTWISE:
        shaped = [each for each in given if each.element_count != 1 or each.shape is None]
        first = shaped[0] if shaped else given[0]
        if all(_is_same(first, each) for each in shaped):
            count, shape = first.element_count, first.shape
    elif op == "Concat":
        counts = [each.element_count for each in given]
        count = None if None in counts else sum(each or 0 for each in counts)
    return of if count is None else types.of(of.dtype, shape, count)


def _is_same(a: TensorType, b: TensorType) -> bool:
    """Whether two tensors have one shape: an open dimension without a name is equal to no other."""
    return a is b or (a.shape is not None and a.shape == b.shape and None not in a.shape)


def _named(dim: Dim, name: str, axis: int) -> Dim:
    return f"{name}[{axis}]" if dim is None else dim
