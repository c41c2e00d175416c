"""Headers of .gguf files: metadata and the list of tensors; weights are not read.

    "GGUF", version, number of tensors, number of entries
    entries: name, type, value
    tensors: name, sizes, type, offset

The format is https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little-endian. The file is
walked once, a window of it in memory; every length is checked against what is left of it, every count against a
limit, and a tensor against the file's end. Of an array of strings (a vocabulary) the number is kept, not the strings.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Mapping
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

from memprof.base.errors import InputError, LimitError
from memprof.base.files import open_plain
from memprof.importers.weights.stored import Stored, StoredTensor
from memprof.ir.types import MAX_DIM

MAX_TENSORS = 200_000
MAX_ENTRIES = 20_000
MAX_STRINGS = 4_000_000
MAX_PARTS = 1_000
_MAX_SIZES = 4
_MAX_KEPT = 4096
_WINDOW_BYTES = 2**20

_NUMBERS: Mapping[int, struct.Struct] = MappingProxyType(
    {i: struct.Struct(f"<{code}") for i, code in ((0, "B"), (1, "b"), (2, "H"), (3, "h"), (4, "I"), (5, "i"))}
    | {6: struct.Struct("<f"), 7: struct.Struct("<?"), 10: struct.Struct("<Q"), 11: struct.Struct("<q")}
    | {12: struct.Struct("<d")}
)
_STRING, _ARRAY = 8, 9

TYPES: Mapping[int, tuple[str, int, int]] = MappingProxyType(
    {
        0: ("float32", 1, 4),
        1: ("float16", 1, 2),
        2: ("q4_0", 32, 18),
        3: ("q4_1", 32, 20),
        6: ("q5_0", 32, 22),
        7: ("q5_1", 32, 24),
        8: ("q8_0", 32, 34),
        9: ("q8_1", 32, 40),
        10: ("q2_k", 256, 84),
        11: ("q3_k", 256, 110),
        12: ("q4_k", 256, 144),
        13: ("q5_k", 256, 176),
        14: ("q6_k", 256, 210),
        15: ("q8_k", 256, 292),
        16: ("iq2_xxs", 256, 66),
        17: ("iq2_xs", 256, 74),
        18: ("iq3_xxs", 256, 98),
        19: ("iq1_s", 256, 50),
        20: ("iq4_nl", 32, 18),
        21: ("iq3_s", 256, 110),
        22: ("iq2_s", 256, 82),
        23: ("iq4_xs", 256, 136),
        24: ("int8", 1, 1),
        25: ("int16", 1, 2),
        26: ("int32", 1, 4),
        27: ("int64", 1, 8),
        28: ("float64", 1, 8),
        29: ("iq1_m", 256, 56),
        30: ("bfloat16", 1, 2),
        34: ("tq1_0", 256, 54),
        35: ("tq2_0", 256, 66),
        39: ("mxfp4", 32, 17),
        40: ("nvfp4", 64, 36),
        41: ("q1_0", 128, 18),
    }
)
"""Types of tensors by number: name, elements of a block, bytes of a block."""

_PART = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf", re.IGNORECASE | re.DOTALL)


def read_gguf(path: Path) -> Stored:
    """Return what the header of a file says; of one in parts (``NAME-00001-of-00003.gguf``) what all of them say.

    Raises:
        InputError: It is no such file, a part is missing, or the header contradicts the file's size.
        LimitError: It lists more than a limit allows.
    """
    parts = [_read(part) for part in _parts(path)]
    return Stored(tuple(tensor for part in parts for tensor in part.tensors), parts[0].metadata)


def _parts(path: Path) -> list[Path]:
    named = _PART.fullmatch(path.name)
    if named is None:
        return [path]
    count = int(named[3])
    if not 0 < count <= MAX_PARTS:
        raise LimitError(f"{path} says that it has {count:,} parts.", f"The limit is {MAX_PARTS:,}.")
    found = [path.with_name(f"{named[1]}-{i:05}-of-{named[3]}{path.suffix}") for i in range(1, count + 1)]
    for part in found:
        if not part.is_file():
            raise InputError(f"{part} is not there, a part of {path.name}.", "Fetch all parts.")
    return found


def _read(path: Path) -> Stored:
    with open_plain(path, "a .gguf file") as file:
        if os.fstat(file.fileno()).st_size < 24:
            raise InputError(f"{path} ends inside its header.", "Fetch it again.")
        return _Walk(path, file).stored()


class _Walk:
    """One pass over the header, front to back."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path = path
        self._file = file
        self._size = os.fstat(file.fileno()).st_size
        self._window, self._start = b"", 0
        self._at = 0

    def stored(self) -> Stored:
        magic = self._bytes(4)
        self._at = 4
        version = self._number(4)
        if magic != b"GGUF" or version not in (2, 3):
            how = "big-endian" if version in (2 << 24, 3 << 24) else f"version {version}"
            raise InputError(f"{self._path} is no GGUF file that is read here: {how}.", "Versions 2 and 3 are.")
        tensors, entries = self._count(MAX_TENSORS, "tensors"), self._count(MAX_ENTRIES, "entries")
        metadata = {}
        for _ in range(entries):
            name = self._string()
            metadata[name] = self._value(self._number(4), 0)
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 0 < alignment <= 2**20:
            raise InputError(f"{self._path} aligns its tensors to {alignment!r}.", "Save it again.")
        listed = [self._tensor() for _ in range(tensors)]
        data_start = -(-self._at // alignment) * alignment
        for tensor, offset in listed:
            if data_start + offset + tensor.size_bytes > self._size:
                raise InputError(f"{self._path} ends before its tensor {tensor.name!r} does.", "Fetch it again.")
        return Stored(tuple(tensor for tensor, _ in listed), metadata)

    def _place(self, size: int) -> int:
        """Return where the next ``size`` bytes are in the window, which is moved if they are not in it."""
        place = self._at - self._start
        if place + size > len(self._window):
            self._file.seek(self._at)
            self._window, self._start, place = self._file.read(max(size, _WINDOW_BYTES)), self._at, 0
            if len(self._window) < size:  # or it was cut since it was opened
                raise InputError(f"{self._path} ends inside its header.", "Fetch it again.")
        return place

    def _bytes(self, size: int) -> bytes:
        place = self._place(size)
        return self._window[place : place + size]

    def _number(self, kind: int) -> Any:
        found = _NUMBERS[kind]
        place = self._place(found.size)
        (value,) = found.unpack_from(self._window, place)
        self._at += found.size
        return value

    def _count(self, most: int, what: str) -> int:
        count: int = self._number(10)
        if count > most:
            raise LimitError(f"{self._path} lists {count:,} {what}.", f"The limit is {most:,}.")
        return count

    def _skip(self, size: int) -> None:
        if size > self._size - self._at:
            raise InputError(f"{self._path} ends inside its header.", "Fetch it again.")
        self._at += size

    def _string(self) -> str:
        size = self._number(10)
        kept = self._bytes(min(size, _MAX_KEPT))
        self._skip(size)
        return kept.decode("utf-8", "replace")

    def _value(self, kind: int, depth: int) -> Any:
        if kind in _NUMBERS:
            return self._number(kind)
        if kind == _STRING:
            return self._string()
        if kind != _ARRAY or depth > 1:
            raise InputError(f"{self._path} holds a value of type {kind}.", "Save it again.")
        inner, count = self._number(4), self._number(10)
        if inner in _NUMBERS:
            if count > _MAX_KEPT:
                self._skip(_NUMBERS[inner].size * count)
                return count
            return [self._number(inner) for _ in range(count)]
        if count > MAX_STRINGS:
            raise LimitError(f"{self._path} lists {count:,} strings.", f"The limit is {MAX_STRINGS:,}.")
        if inner == _STRING:
            for _ in range(count):
                self._skip(self._number(10))
            return count
        for _ in range(count):
            self._value(inner, depth + 1)
        return count

    def _tensor(self) -> tuple[StoredTensor, int]:
        name = self._string()
        rank = self._number(4)
        if rank > _MAX_SIZES:
            raise InputError(f"{self._path}: {name!r} has {rank} axes.", f"The format allows {_MAX_SIZES}.")
        sizes = [self._number(10) for _ in range(rank)]
        kind, offset = self._number(4), self._number(10)
        if kind not in TYPES:
            raise InputError(
                f"{self._path}: {name!r} is of type {kind}, which is not known here.", "Save it in another type."
            )
        dtype, elements, size = TYPES[kind]
        if any(number > MAX_DIM for number in sizes) or offset > 2**62 or (sizes and sizes[0] % elements):
            raise InputError(f"{self._path}: {name!r} has a size that no tensor has.", "Save the file again.")
        return StoredTensor(name, dtype, tuple(reversed(sizes)), prod(sizes) // elements * size), offset
