"""Orders of axes, as a Transpose has them: axis ``order[place]`` of the source lies at ``place`` of the result."""

from __future__ import annotations

from collections.abc import Sequence

from memprof.ir import TensorType
from memprof.runtimes.onnxruntime.optimizing.draft import Step

Order = tuple[int, ...]


def order_of(step: Step | None) -> Order | None:
    """Return the order of a Transpose, ``None`` where it is none or the file does not say."""
    order = None if step is None or step.op != "Transpose" else step.attributes.get("perm")
    if not isinstance(order, tuple):
        return None
    places = tuple([place for place in order if isinstance(place, int)])
    return places if sorted(places) == list(range(len(order))) else None


def inverse(order: Order) -> Order:
    """Return the order that undoes another."""
    return tuple(sorted(range(len(order)), key=order.__getitem__))


def joined(first: Order, second: Order) -> Order:
    """Return the order that does what ``first`` does, and then what ``second`` does."""
    return tuple([first[place] for place in second])


def is_idle(order: Order) -> bool:
    """Return whether an order changes nothing."""
    return order == tuple(range(len(order)))


def without(order: Order, axes: Sequence[int]) -> Order:
    """Return what is left of an order when some axes of what is read are gone."""
    left = [axis for axis in range(len(order)) if axis not in axes]
    return tuple([left.index(axis) for axis in order if axis in left])


def with_ones(order: Order, axes: Sequence[int]) -> Order:
    """Return an order among whose axes new ones of one place lie, which stay where they are."""
    rank = len(order) + len(axes)
    others = [axis for axis in range(rank) if axis not in axes]
    rest = iter(order)
    return tuple([axis if axis in axes else others[next(rest)] for axis in range(rank)])


def turned(of: TensorType, order: Order) -> TensorType:
    """Return a type with its axes in another order."""
    shape = of.shape
    if shape is None or len(shape) != len(order):
        return of
    return TensorType(of.dtype, tuple([shape[axis] for axis in order]))


def turned_elements(
    elements: tuple[float, ...] | None, shape: Sequence[int], order: Order
) -> tuple[float, ...] | None:
    """Return what a small constant holds once its axes are in another order."""
    if elements is None or len(shape) != len(order):
        return None
    strides = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    places = [0]
    for axis in order:
        places = [place + i * strides[axis] for place in places for i in range(shape[axis])]
    return tuple([elements[place] for place in places]) if len(places) == len(elements) else None
