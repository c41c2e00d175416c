"""Weights that are no parameters: the packed objects of quantised modules, opened for their shapes.

A quantised layer keeps its weight, its bias and its scales in an object of C++ (``LinearPackedParams`` and its like),
which neither ``parameters()`` nor ``buffers()`` shows. Such an object tells its state as tensors, for pickling; their
bytes are what is counted, the scales and zero points of single channels too. How a kernel pads them is not known.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import torch

from memprof.importers.torch.records import StorageRecord
from memprof.importers.torch.tracker import window_of
from memprof.ir import Role

_MAX_DEPTH = 8


def packed_weights(module: torch.nn.Module) -> tuple[StorageRecord, ...]:
    """Return the tensors in packed objects that the children of ``module`` hold, each object once."""
    found: list[StorageRecord] = []
    seen: set[int] = set()
    kept_alive: list[torch.Tensor] = []  # so that no other takes the address of one that was seen
    for path, child in module.named_modules():
        for name, value in vars(child).items():
            for kept in value if isinstance(value, list | tuple) else (value,):
                if isinstance(kept, torch.ScriptObject) and id(kept) not in seen:
                    seen.add(id(kept))
                    full = f"{path}.{name}" if path else name
                    for i, tensor in enumerate(_tensors(kept, 0)):
                        if tensor.data_ptr() not in seen:  # a bias lies in a cell and in the layer inside it
                            seen.add(tensor.data_ptr())
                            kept_alive.append(tensor)
                            found.append(_storage(f"{full}.{i}", path, tensor))
    return tuple(found)


def _tensors(value: Any, depth: int) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        if value.is_quantized or value.is_floating_point():  # whole numbers are strides and paddings
            yield value
        if value.is_quantized and value.qscheme() in (torch.per_channel_affine, torch.per_channel_symmetric):
            yield from (value.q_per_channel_scales(), value.q_per_channel_zero_points())
    elif depth < _MAX_DEPTH and isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item, depth + 1)
    elif depth < _MAX_DEPTH and isinstance(value, torch.ScriptObject) and hasattr(value, "__getstate__"):
        with suppress(RuntimeError):  # one that was never meant to be stored, such as TorchScript's own
            yield from _tensors(value.__getstate__(), depth + 1)


def _storage(name: str, module: str, tensor: torch.Tensor) -> StorageRecord:
    return StorageRecord(
        size_bytes=tensor.numel() * tensor.element_size(),
        device="cpu",
        role=Role.PARAMETER,
        name=name,
        module=module,
        window=window_of(tensor.contiguous() if not tensor.is_quantized else tensor, 0),
    )
