"""Report -> JSON, schema ``memprof/analysis/2``: readable by people, columns on one line."""

from __future__ import annotations

import json
import re
from itertools import chain
from typing import TYPE_CHECKING, Any, TextIO

from memprof.base.collector import paused_collector

if TYPE_CHECKING:
    from memprof.results.report import Report

_INLINE = frozenset({str, int, float, bool, list, type(None)})
_LONG = 64
_PLAIN = re.compile(r"[ !\x22-\[\]-~]*")  # nothing that is escaped but the quotes between names
_NUMBERS = frozenset({int, type(None)})
_quote = json.encoder.encode_basestring_ascii
_encode = json.JSONEncoder(allow_nan=False).encode  # one for all: a report of many tensors has as many small values


def render_json(report: Report, stream: TextIO) -> None:
    """Write ``report`` to ``stream`` as one JSON document."""
    with paused_collector():
        write_document(report.to_json(), stream)


def write_document(document: dict[str, Any], stream: TextIO) -> None:
    """Write any JSON document of ours: ASCII only, two spaces per level, a list without objects on one line."""
    stream.writelines(_Texts().parts(document, "\n"))  # all of them made before the first is written
    stream.write("\n")


def format_document(document: dict[str, Any]) -> str:
    """Return any JSON document of ours as ``write_document`` writes it."""
    return "".join(_Texts().parts(document, "\n")) + "\n"


class _Numbers(dict[int | None, str]):
    """Whole numbers as text: the columns of a report repeat the same ones, and each is written out once."""

    def __missing__(self, number: int | None) -> str:
        found = self[number] = "null" if number is None else repr(number)
        return found


class _Texts:
    """What one document looks like."""

    def __init__(self) -> None:
        self._number = _Numbers().__getitem__
        self._columns: dict[int, str] = {}  # long lists that are in the document more than once

    def parts(self, value: Any, newline: str) -> list[str]:
        """Return the text of ``value`` in pieces; joined on each level it would be in memory many times."""
        deeper = newline + "  "
        if isinstance(value, dict) and value:
            is_flat = _INLINE.issuperset(map(type, value.values()))
            pieces, before = [], "{"
            for key, item in value.items():
                pieces.append(f"{before}{deeper}{_quote(key)}: ")
                pieces += [self._inline(item, _kinds(item))] if is_flat else self.parts(item, deeper)
                before = ","
            return [*pieces, f"{newline}}}"]
        kinds = _kinds(value)
        if kinds <= _INLINE:
            return [self._inline(value, kinds)]
        pieces, before = [], "["
        for item in value:
            first, *rest = self.parts(item, deeper)
            pieces.append(f"{before}{deeper}{first}")
            pieces += rest
            before = ","
        return [*pieces, f"{newline}]"]

    def _inline(self, value: Any, kinds: set[type]) -> str:
        """Return the text of a value on one line; a long column is put together here: twice as fast."""
        if not kinds:  # the encoder takes ten times as long for a number by itself
            kind = type(value)
            return _quote(value) if kind is str else self._number(value) if kind in _NUMBERS else _encode(value)
        if len(value) < _LONG:
            return _encode(value)
        if id(value) not in self._columns:
            self._columns[id(value)] = self._column(value, kinds)
        return self._columns[id(value)]

    def _column(self, value: list[Any], kinds: set[type]) -> str:
        if kinds <= _NUMBERS:
            return f"[{', '.join(map(self._number, value))}]"
        if kinds == {list} and {*map(type, chain.from_iterable(value))} <= {int}:
            if {*map(len, value)} == {1}:
                return f"[[{'], ['.join(map(self._number, chain.from_iterable(value)))}]]"
            return f"[[{'], ['.join([', '.join(map(self._number, row)) for row in value])}]]"
        if kinds == {str} and _PLAIN.fullmatch(text := '", "'.join(value)) and text.count('"') == 2 * len(value) - 2:
            return f'["{text}"]'
        return _encode(value)


def _kinds(value: Any) -> set[type]:
    """Return the types of what is in a list, none for anything else."""
    return {*map(type, value)} if isinstance(value, list) else set()
