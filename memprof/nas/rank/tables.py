"""Tables of networks whose accuracy is known: NAS-Bench-201, NAS-Bench-Macro, NAS-Bench-301-like, and plain ones.

    columns of a CSV file              codes
    code, accuracy, bytes              0 and 1, a space between blocks; other letters become one bit each per place
    cell, val_accuracy                 |op~0|+|op~0|op~1|+|op~0|op~1|op~2| of NAS-Bench-201: six edges of five bits
    genotype, accuracy[, bytes]        Genotype(normal=[(op, input), ...], ..., reduce=[...], ...) of DARTS
    a JSON object                      "02012100": {"mean_acc": 89.2, "params": 890666} of NAS-Bench-Macro

Columns may stand in any order, beside others, in any case, with commas, semicolons or tabs between. Accuracies are
shares or percent: where one is above 1.5, all are percent. Where bytes are not given they are counted from the
weights of the operations, in units of their own: only their order and ratios matter here.

A network that stands in several rows, with the same code and bytes, is one with the mean of their accuracies.
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from statistics import mean
from typing import Any, TextIO

from memprof.base.errors import InputError
from memprof.base.files import open_plain
from memprof.base.text import safe_text
from memprof.nas.rank.rankers import Candidate

MOST_BYTES = 256 * 2**20
MOST_ROWS = 500_000
_MOST_ACCURATE, _MOST_WEIGHTS = 100, 2**48
_PERCENT_ABOVE = 1.5
_CODE = re.compile(r"[0-9A-Za-z]+( [0-9A-Za-z]+)*")
_HINT = (
    "The columns are cell and val_accuracy (NAS-Bench-201), genotype and accuracy (DARTS), or code, accuracy, bytes."
)
_JSON_HINT = 'Each is as in NAS-Bench-Macro: "02012100": {"mean_acc": 89.2, "params": 890666}.'
_DELIMITERS = ",;\t"
_MOST_NAMED = 8
"""Columns that an error names."""

_EDGES = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
_EDGE_WEIGHTS = {"nor_conv_1x1": 1, "nor_conv_3x3": 9}

_DARTS = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
_DARTS_WEIGHTS = {"sep_conv_3x3": 2 * 41, "sep_conv_5x5": 2 * 57, "dil_conv_3x3": 41, "dil_conv_5x5": 57}
"""Of 32 channels, per channel: depthwise weights and those of the pointwise convolution after them."""
_DARTS_NODES = 4
_PAIR = re.compile(r"\(\s*['\"](\w+)['\"]\s*,\s*(\d+)\s*\)")
_GENOTYPE = re.compile(r"normal\s*=\s*\[(.*?)\].*?reduce\s*=\s*\[(.*?)\]", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """A network as its table has it: a code of letters for each block, and whether those are bits already."""

    codes: tuple[str, ...]
    accuracy: float
    parameter_bytes: int


def read_table(path: Path) -> list[tuple[Candidate, float]]:
    """Return the networks of a table with their accuracy, as a share.

    Raises:
        InputError: The file is missing or is no such table; names the line.
    """
    try:
        with TextIOWrapper(open_plain(path, "a table of networks"), encoding="utf-8-sig", newline="") as file:
            if os.fstat(file.fileno()).st_size > MOST_BYTES:
                raise InputError(f"{path} is larger than {MOST_BYTES:,} B.", "Keep fewer of its rows.")
            rows = list(_macro(json.load(file), path) if path.suffix == ".json" else _read_rows(file, path))
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text of that kind, in UTF-8"
        raise InputError(f"Cannot read {path}: {reason}.", _HINT) from error
    if not rows:
        raise InputError(f"{path} has no networks.", _JSON_HINT if path.suffix == ".json" else _HINT)
    scale = 100.0 if max(row.accuracy for row in rows) > _PERCENT_ABOVE else 1.0
    rows = _joined(rows)
    return [
        (Candidate(codes, row.parameter_bytes), row.accuracy / scale)
        for codes, row in zip(_bits([row.codes for row in rows]), rows, strict=True)
    ]


def _read_rows(file: TextIO, path: Path) -> Iterator[_Row]:
    head = file.readline()
    delimiter = max(_DELIMITERS, key=head.count)
    columns = [
        column.strip().casefold()
        for column in next(csv.reader([head], delimiter=delimiter, skipinitialspace=True), [])
    ]
    read, needed = _kind(columns, path)
    reader, shape = csv.reader(file, delimiter=delimiter, skipinitialspace=True), None
    for fields in filter(None, reader):
        number = reader.line_num + 1
        try:
            if len(fields) != len(columns):
                raise ValueError(f"it has {len(fields)} fields, the first line {len(columns)}")
            row = dict(zip(columns, fields, strict=True))
            found = _checked(read({name: row[column].strip() for name, column in needed.items()}))
            shape = shape or _shape(found)
            if _shape(found) != shape:
                raise ValueError("its code has another length than those before")
        except ValueError as error:
            raise InputError(
                f"{path}, line {number}, is no network with its accuracy: {safe_text(str(error))}.", _HINT
            ) from error
        if number > MOST_ROWS:
            raise InputError(f"{path} has more than {MOST_ROWS:,} networks.", "Keep fewer of its rows.")
        yield found


def _kind(columns: Sequence[str], path: Path) -> tuple[_Read, Mapping[str, str]]:
    """Return how a row is read, and what it needs: by name its column."""
    kind = next((name for name in _READERS if name in columns), None)
    if kind is None:
        named = ", ".join(columns[:_MOST_NAMED]) or "none"
        raise InputError(
            f"{path} has none of the columns {', '.join(_READERS)}; its first line has: {safe_text(named)}.", _HINT
        )
    read, accuracies = _READERS[kind]
    accuracy = next((name for name in accuracies if name in columns), None)
    missing = "accuracy" if accuracy is None else "bytes" if kind == "code" and "bytes" not in columns else ""
    if accuracy is None or missing:
        raise InputError(f"{path} has a column {kind} and none for its {missing}.", _HINT)
    needed = {kind: kind, "accuracy": accuracy} | ({"bytes": "bytes"} if "bytes" in columns else {})
    if twice := next((column for column in needed.values() if columns.count(column) > 1), ""):
        raise InputError(f"{path} has the column {twice} more than once.", "Keep the one that is meant.")
    return read, needed


def _macro(document: Any, path: Path) -> Iterator[_Row]:
    shape = None
    for name, found in document.items() if isinstance(document, dict) else ():
        try:
            row = _checked(_Row(codes=(name,), accuracy=found["mean_acc"], parameter_bytes=4 * found["params"]))
            shape = shape or _shape(row)
            if _CODE.fullmatch(name) is None or " " in name or _shape(row) != shape:
                raise ValueError(name)
        except (KeyError, ValueError, TypeError) as error:
            raise InputError(
                f"{path}, network {name[:40]!r}, is no network with its accuracy.",
                _JSON_HINT,
            ) from error
        yield row


def _checked(row: _Row) -> _Row:
    if not 0 <= row.accuracy <= _MOST_ACCURATE or not isinstance(row.parameter_bytes, int):
        raise ValueError(f"its accuracy is {row.accuracy}, which is neither a share nor percent")
    if not 0 < row.parameter_bytes <= _MOST_WEIGHTS:
        raise ValueError(f"it has {row.parameter_bytes} bytes")
    return row


def _number(row: Mapping[str, str], name: str) -> float:
    try:
        return float(row[name])
    except ValueError as error:
        raise ValueError(f"its column {name} holds {row[name][:40]!r}, which is no number") from error


def _given_bytes(row: Mapping[str, str]) -> int | None:
    """Return a network's bytes, ``None`` where its table has none; 5000.0 and 5e3 are whole numbers, too."""
    if not row.get("bytes"):
        return None
    size = _number(row, "bytes")
    if not size.is_integer():
        raise ValueError(f"it has {row['bytes'][:40]} bytes, which are whole")
    return int(size)


def _joined(rows: list[_Row]) -> list[_Row]:
    """Return each network once: one that was trained several times would be its own neighbour."""
    accuracies: dict[tuple[tuple[str, ...], int], list[float]] = {}
    for row in rows:
        accuracies.setdefault((row.codes, row.parameter_bytes), []).append(row.accuracy)
    return [
        _Row(codes=codes, accuracy=mean(found), parameter_bytes=size) for (codes, size), found in accuracies.items()
    ]


def _shape(row: _Row) -> tuple[int, ...]:
    return tuple(map(len, row.codes))


def _plain(row: Mapping[str, str]) -> _Row:
    codes = tuple(row["code"].split())
    if _CODE.fullmatch(" ".join(codes)) is None or len({len(code) for code in codes}) != 1:
        raise ValueError(f"its code {row['code'][:40]!r} is not of letters and digits, equally many in each block")
    return _Row(codes=codes, accuracy=_number(row, "accuracy"), parameter_bytes=_given_bytes(row) or 0)


def _nasbench201(row: Mapping[str, str]) -> _Row:
    names = [edge.split("~")[0] for part in row["cell"].split("+") for edge in part.strip("|").split("|")]
    code = "".join("1" if name == operation else "0" for name in names for operation in _EDGES)
    if len(names) != 6 or code.count("1") != 6:
        raise ValueError(f"its cell {row['cell'][:40]!r} has not six edges of {', '.join(_EDGES)}")
    weight = 1 + sum(_EDGE_WEIGHTS.get(name, 0) for name in names)
    size = _given_bytes(row)
    return _Row(codes=(code,), accuracy=_number(row, "accuracy"), parameter_bytes=weight if size is None else size)


def _genotype(row: Mapping[str, str]) -> _Row:
    found = _GENOTYPE.search(row["genotype"])
    if found is None:
        raise ValueError(f"its genotype {row['genotype'][:40]!r} has not normal=[...] and reduce=[...]")
    cells = [[(name, int(source)) for name, source in _PAIR.findall(part)] for part in found.groups()]
    weight = 1 + sum(_DARTS_WEIGHTS.get(name, 0) for cell in cells for name, _ in cell)
    size = _given_bytes(row)
    return _Row(
        codes=tuple(map(_darts_cell, cells)),
        accuracy=_number(row, "accuracy"),
        parameter_bytes=weight if size is None else size,
    )


def _darts_cell(pairs: list[tuple[str, int]]) -> str:
    """Return a cell's bits: for each of its 14 possible edges one of seven operations, or none."""
    if len(pairs) != 2 * _DARTS_NODES:
        raise ValueError("a cell of DARTS has two operations in each of four nodes")
    bits = []
    for node in range(_DARTS_NODES):
        edges = [[False] * len(_DARTS) for _ in range(node + 2)]
        for name, source in pairs[2 * node : 2 * node + 2]:
            if source >= len(edges) or name not in _DARTS:
                raise ValueError(f"({name!r}, {source}) is no operation of DARTS from a node before its own")
            edges[source][_DARTS.index(name)] = True
        bits += [bit for edge in edges for bit in edge]
    return "".join("1" if bit else "0" for bit in bits)


def _bits(codes: list[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Yield the codes as they are where they hold bits alone; else each letter as one bit of all that occur."""
    letters = sorted({letter for blocks in codes for block in blocks for letter in block})
    if set(letters) <= set("01"):
        yield from codes
        return
    hot = {letter: "".join("1" if other == letter else "0" for other in letters) for letter in letters}
    for blocks in codes:
        yield tuple("".join(hot[letter] for letter in block) for block in blocks)


_Read = Callable[[Mapping[str, str]], _Row]
_READERS: Mapping[str, tuple[_Read, tuple[str, ...]]] = {
    "code": (_plain, ("accuracy", "val_accuracy")),
    "cell": (_nasbench201, ("val_accuracy", "accuracy")),
    "genotype": (_genotype, ("accuracy", "val_accuracy")),
}
"""From the column that tells a table's kind to how a row is read, and what its accuracy may be called."""
