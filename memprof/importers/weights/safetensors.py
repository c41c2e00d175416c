"""Headers of .safetensors files: eight bytes of length, then that much JSON; the rest is weights, which are not read.

The format is https://github.com/huggingface/safetensors (README, "Format"). Every number is checked against the size
of the file before it counts: a tensor lies inside the file, and has as many bytes as its type and shape say.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any

from memprof.base.errors import InputError, LimitError
from memprof.base.files import open_plain, read_plain
from memprof.importers.weights.stored import Stored, StoredTensor
from memprof.ir.types import MAX_DIM, MAX_RANK

MAX_HEADER_BYTES = 100_000_000
"""The format's own limit."""

MAX_SHARDS = 10_000
INDEX_NAME = "model.safetensors.index.json"

_DTYPES: Mapping[str, tuple[str, int]] = MappingProxyType(
    {
        "BOOL": ("bool", 8),
        "U8": ("uint8", 8),
        "I8": ("int8", 8),
        "U16": ("uint16", 16),
        "I16": ("int16", 16),
        "U32": ("uint32", 32),
        "I32": ("int32", 32),
        "U64": ("uint64", 64),
        "I64": ("int64", 64),
        "F16": ("float16", 16),
        "BF16": ("bfloat16", 16),
        "F32": ("float32", 32),
        "F64": ("float64", 64),
        "C64": ("complex64", 64),
        "F8_E4M3": ("float8e4m3fn", 8),
        "F8_E4M3FNUZ": ("float8e4m3fnuz", 8),
        "F8_E5M2": ("float8e5m2", 8),
        "F8_E5M2FNUZ": ("float8e5m2fnuz", 8),
        "F8_E8M0": ("float8e8m0", 8),
        "F6_E2M3": ("float6e2m3", 6),
        "F6_E3M2": ("float6e3m2", 6),
        "F4": ("float4e2m1", 4),
    }
)
"""The format's types by memprof's names, with their bits."""


def read_safetensors(path: Path) -> Stored:
    """Return what the header of a file says.

    Raises:
        InputError: It is no such file, or its header contradicts itself or the file's size.
        LimitError: The header is larger than the format allows.
    """
    with open_plain(path, "a .safetensors file") as file:
        size = os.fstat(file.fileno()).st_size
        first = file.read(8)
        length = int.from_bytes(first, "little")
        if length > MAX_HEADER_BYTES:
            raise LimitError(f"{path} has a header of {length:,} bytes.", f"The limit is {MAX_HEADER_BYTES:,}.")
        if len(first) < 8 or 8 + length > size:
            raise InputError(f"{path} ends inside its header.", "Fetch it again.")
        found = _json(file.read(length), path)
    if not isinstance(found, dict):
        raise InputError(f"{path} has a header that is no object.", "Save it again.")
    metadata = found.pop("__metadata__", None)
    tensors = tuple(_tensor(path, str(name), said, size - 8 - length) for name, said in found.items())
    return Stored(tensors, metadata if isinstance(metadata, dict) else {})


def read_index(path: Path) -> Stored:
    """Return what the headers of all files say that an index names; errors as ``read_safetensors``."""
    found = _json(read_plain(path, MAX_HEADER_BYTES, "an index"), path)
    names = found.get("weight_map") if isinstance(found, dict) else None
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise InputError(f"{path} has no weight_map of names to files.", "Save the model again.")
    files = dict.fromkeys(names.values())
    if len(files) > MAX_SHARDS:
        raise LimitError(f"{path} names {len(files):,} files.", f"The limit is {MAX_SHARDS:,}.")
    tensors: list[StoredTensor] = []
    for name in files:
        if Path(name).name != name or name in {"", ".", ".."}:
            raise InputError(f"{path} names {name!r}, which is no file beside it.", "Save the model again.")
        if not (path.parent / name).is_file():
            raise InputError(f"{path} names {name}, which is not there.", "Fetch all files of the model.")
        tensors += read_safetensors(path.parent / name).tensors
    return Stored(tuple(tensors))


def _tensor(path: Path, name: str, said: Any, data_bytes: int) -> StoredTensor:
    try:
        dtype, bits = _DTYPES[said["dtype"]]
        shape = said["shape"]
        begin, end = said["data_offsets"]
        numbers = (*shape, begin, end)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: the header of {name!r} cannot be read.", "Save the file again.") from error
    if any(type(number) is not int or not 0 <= number <= MAX_DIM for number in numbers) or len(shape) > MAX_RANK:
        raise InputError(f"{path}: {name!r} has a size that no tensor has.", "Save the file again.")
    if not begin <= end <= data_bytes:
        raise InputError(f"{path} ends before its tensor {name!r} does.", "Fetch it again.")
    if end - begin != -(-prod(shape) * bits // 8):
        raise InputError(f"{path}: {name!r} has other bytes than its type and shape.", "Save the file again.")
    return StoredTensor(name, dtype, tuple(shape), end - begin)


def _json(text: bytes, path: Path) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} has a header that is no JSON.", "Fetch it again.") from error
