"""What windows onto storages say: types, whether two lie alike in memory, what may overwrite what. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from memprof.importers.torch.ops import ELEMENTWISE, base_name
from memprof.importers.torch.records import OpRecord, StorageRecord, TensorRecord
from memprof.ir import TensorType


def tensor_type(tensor: TensorRecord) -> TensorType:
    """Return element type and shape of ``tensor``."""
    return TensorType(tensor.dtype, tensor.shape)


def covers_storage(tensor: TensorRecord, storage: StorageRecord) -> bool:
    """Tell whether ``tensor`` shows every byte of ``storage``; false where sizes are open."""
    size = tensor_type(tensor).size_bytes
    return size is not None and size == storage.size_bytes and 0 not in (tensor.strides or ())


def may_overwrite(op: OpRecord) -> bool:
    """Tell whether the first output may take the place of a same-sized input, see ``Node.is_elementwise``.

    The kind of operation must allow it, every tensor it reads must lie in memory as the output does (or be smaller:
    broadcast), and no storage may be read through two different windows.
    """
    if base_name(op.op) not in ELEMENTWISE or not op.writes:
        return False
    output = op.writes[0]
    seen: dict[int, TensorRecord] = {}
    for tensor in op.reads:
        if tensor is None:
            continue
        if seen.setdefault(tensor.storage, tensor) != tensor:
            return False
        if tensor.shape == output.shape and not _is_same_layout(tensor, output):
            return False
    return True


def _is_same_layout(a: TensorRecord, b: TensorRecord) -> bool:
    if a.strides is None or b.strides is None:
        return a.strides is b.strides
    return all(
        left == right for left, right, dim in zip(a.strides, b.strides, a.shape, strict=True) if dim != 1
    )  # the stride of an axis of one element says nothing


def is_contiguous(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Tell whether elements lie in row-major order without gaps.

    >>> is_contiguous((2, 3), (3, 1)), is_contiguous((3, 2), (1, 3))
    (True, False)
    """
    expected = 1
    for dim, step in zip(reversed(shape), reversed(strides), strict=True):
        if dim == 0:
            return True
        if dim != 1 and step != expected:
            return False
        expected *= dim
    return True


def is_reshape_view(shape: Sequence[int], strides: Sequence[int], new_shape: Sequence[int]) -> bool:
    """Tell whether a tensor can be shown in ``new_shape`` without a copy.

    Neighbouring axes that are dense to one another form a run; the new shape must cut inside runs, never across two.

    >>> is_reshape_view((2, 3), (3, 1), (6,)), is_reshape_view((3, 2), (1, 3), (6,))
    (True, False)
    >>> is_reshape_view((4, 6), (1, 4), (4, 2, 3))
    True
    """
    if 0 in shape:
        return True
    runs: list[int] = []
    following: tuple[int, int] | None = None  # size and stride of the axis before, from the back
    for dim, step in zip(reversed(shape), reversed(strides), strict=True):
        if dim == 1:
            continue
        if following is not None and step == following[0] * following[1]:
            runs[-1] *= dim
        else:
            runs.append(dim)
        following = (dim, step)
    remaining = iter(runs)
    left = next(remaining, 1)
    for dim in reversed(new_shape):
        if dim == 1:
            continue
        while left == 1:
            left = next(remaining, 0)
        if left == 0 or left % dim:
            return False
        left //= dim
    return left == 1 and next(remaining, None) is None
