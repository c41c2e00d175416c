"""What windows onto storages say: types, whether two lie alike in memory, what may overwrite what. Pure."""

from __future__ import annotations

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
