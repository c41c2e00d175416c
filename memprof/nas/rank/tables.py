"""Tables of networks whose accuracy is known: NAS-Bench-201, NAS-Bench-Macro, NAS-Bench-301-like, and plain ones.

    columns of a CSV file              codes
    code, accuracy, bytes              0 and 1, a space between blocks; other letters become one bit each per place
    cell, val_accuracy                 |op~0|+|op~0|op~1|+|op~0|op~1|op~2| of NAS-Bench-201: six edges of five bits
    genotype, accuracy[, bytes]        Genotype(normal=[(op, input), ...], ..., reduce=[...], ...) of DARTS
    a JSON object                      "02012100": {"mean_acc": 89.2, "params": 890666} of NAS-Bench-Macro

Accuracies are shares or percent: where one is above 1.5, all are percent. Where bytes are not given they are counted
from the weights of the operations, in units of their own: only their order and ratios matter here.

A network that stands in several rows, with the same code and bytes, is one with the mean of their accuracies.
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from statistics import mean
from typing import Any

from memprof.base.errors import InputError
from memprof.base.files import open_plain
from memprof.nas.rank.rankers import Candidate

MOST_BYTES = 256 * 2**20
MOST_ROWS = 500_000
_MOST_ACCURATE, _MOST_WEIGHTS = 100, 2**48
_PERCENT_ABOVE = 1.5
_CODE = re.compile(r"[0-9A-Za-z]+( [0-9A-Za-z]+)*")
_HINT = (
    "The columns are cell and val_accuracy (NAS-Bench-201), genotype and accuracy (DARTS), or code, accuracy, bytes."
)

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
_PAIR = re.compile(r"\(\s*'(\w+)'\s*,\s*(\d+)\s*\)")
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
        reason = error.strerror if isinstance(error, OSError) else "it is no text of that kind"
        raise InputError(f"Cannot read {path}: {reason}.", _HINT) from error
    if not rows:
        raise InputError(f"{path} has no networks.", _HINT)
    scale = 100.0 if max(row.accuracy for row in rows) > _PERCENT_ABOVE else 1.0
    rows = _joined(rows)
    return [
        (Candidate(codes, row.parameter_bytes), row.accuracy / scale)
        for codes, row in zip(_bits([row.codes for row in rows]), rows, strict=True)
    ]


def _read_rows(file: Any, path: Path) -> Iterator[_Row]:
    reader, shape = csv.DictReader(file), None
    read = next((read for column, read in _READERS.items() if column in (reader.fieldnames or ())), None)
    if read is None:
        raise InputError(f"{path} has none of the columns {', '.join(_READERS)}.", _HINT)
    for number, row in enumerate(reader, start=2):
        try:
            found = _checked(read(row))
            shape = shape or _shape(found)
            if _shape(found) != shape:
                raise ValueError("its code has another length than those before")
        except (KeyError, ValueError, AttributeError, TypeError) as error:
            raise InputError(f"{path}, line {number}, is no network with its accuracy.", _HINT) from error
        if number > MOST_ROWS:
            raise InputError(f"{path} has more than {MOST_ROWS:,} networks.", "Keep fewer of its rows.")
        yield found


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
                'Each is as in NAS-Bench-Macro: "02012100": {"mean_acc": 89.2, "params": 890666}.',
            ) from error
        yield row


def _checked(row: _Row) -> _Row:
    if not 0 <= row.accuracy <= _MOST_ACCURATE or not isinstance(row.parameter_bytes, int):
        raise ValueError("an accuracy is a number and bytes are whole")
    if not 0 < row.parameter_bytes <= _MOST_WEIGHTS:
        raise ValueError("a network has bytes")
    return row


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
        raise ValueError(row["code"])
    return _Row(codes=codes, accuracy=float(row["accuracy"]), parameter_bytes=int(row["bytes"]))


def _nasbench201(row: Mapping[str, str]) -> _Row:
    names = [edge.split("~")[0] for part in row["cell"].split("+") for edge in part.strip("|").split("|")]
    code = "".join("1" if name == operation else "0" for name in names for operation in _EDGES)
    if len(names) != 6 or code.count("1") != 6:
        raise ValueError(row["cell"])
    weight = 1 + sum(_EDGE_WEIGHTS.get(name, 0) for name in names)
    return _Row(codes=(code,), accuracy=float(row["val_accuracy"]), parameter_bytes=weight)


def _genotype(row: Mapping[str, str]) -> _Row:
    found = _GENOTYPE.search(row["genotype"])
    if found is None:
        raise ValueError(row["genotype"])
    cells = [[(name, int(source)) for name, source in _PAIR.findall(part)] for part in found.groups()]
    weight = 1 + sum(_DARTS_WEIGHTS.get(name, 0) for cell in cells for name, _ in cell)
    size = int(row["bytes"]) if row.get("bytes") else weight
    accuracy = row["accuracy"] if "accuracy" in row else row["val_accuracy"]
    return _Row(codes=tuple(map(_darts_cell, cells)), accuracy=float(accuracy), parameter_bytes=size)


def _darts_cell(pairs: list[tuple[str, int]]) -> str:
    """Return a cell's bits: for each of its 14 possible edges one of seven operations, or none."""
    if len(pairs) != 2 * _DARTS_NODES:
        raise ValueError("a cell of DARTS has two operations in each of four nodes")
    bits = []
    for node in range(_DARTS_NODES):
        edges = [[False] * len(_DARTS) for _ in range(node + 2)]
        for name, source in pairs[2 * node : 2 * node + 2]:
            edges[range(node + 2).index(source)][_DARTS.index(name)] = True
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


_READERS: Mapping[str, Callable[[Mapping[str, str]], _Row]] = {
    "code": _plain,
    "cell": _nasbench201,
    "genotype": _genotype,
}
"""From the column that tells a table's kind to how one of its rows is read."""
