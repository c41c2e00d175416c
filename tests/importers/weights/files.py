"""Files of weights, written for tests: headers in full, weights as holes."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

_NUMPY = {"F32": 4, "F16": 2, "BF16": 2, "I32": 4, "U8": 1, "F8_E4M3": 1}


def write_safetensors(path: Path, tensors: Mapping[str, tuple[str, Sequence[int]]]) -> Path:
    """Write a .safetensors file of zeros."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, (dtype, shape) in tensors.items():
        size = int(np.prod(shape, dtype=np.int64)) * _NUMPY[dtype]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + at)
    return path


def _string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _value(value: Any) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", 8) + _string(value)
    if isinstance(value, list):
        if value and isinstance(value[0], str):
            return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(_string, value))
        return struct.pack("<IIQ", 9, 4, len(value)) + b"".join(struct.pack("<I", item) for item in value)
    return struct.pack("<IB", 7, value) if isinstance(value, bool) else struct.pack("<II", 4, value)


def gguf_header(metadata: Mapping[str, Any], tensors: Sequence[tuple[str, Sequence[int], int, int]]) -> bytes:
    """Return the header of a .gguf file; tensors are name, sizes (innermost first), type, offset."""
    found = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    for key, value in metadata.items():
        found += _string(key) + _value(value)
    for name, sizes, kind, offset in tensors:
        found += _string(name) + struct.pack(f"<I{len(sizes)}QIQ", len(sizes), *sizes, kind, offset)
    return found


def write_gguf(
    path: Path, metadata: Mapping[str, Any], tensors: Sequence[tuple[str, Sequence[int], int, int]]
) -> Path:
    """Write a .gguf file whose tensors are ``(name, sizes, type, bytes)``, zeros all."""
    at, listed = 0, []
    for name, sizes, kind, size in tensors:
        listed.append((name, sizes, kind, at))
        at += -(-size // 32) * 32
    header = gguf_header(metadata, listed)
    with path.open("wb") as file:
        file.write(header)
        file.truncate(-(-len(header) // 32) * 32 + at)
    return path
