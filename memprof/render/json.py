"""Report -> JSON, schema ``memprof/analysis/2``: readable by people, columns on one line."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from math import isfinite
from typing import TYPE_CHECKING, Any, TextIO

from memprof.base.collector import paused_collector
from memprof.base.rows import Rows

if TYPE_CHECKING:
    from memprof.results.report import Report

_INLINE = frozenset({str, int, float, bool, list, tuple, Rows, type(None)})
_LISTS = frozenset({list, tuple})
_LONG = 64
_AT_ONCE = 10_000
_PLAIN = re.compile(r"[ !\x22-\[\]-~]*")  # nothing that is escaped but the quotes between names
_NUMBERS = frozenset({int, type(None)})
_quote = json.encoder.encode_basestring_ascii
_encode = json.JSONEncoder(allow_nan=False).encode  # one for all: a report of many tensors has as many small values


def render_json(report: Report, stream: TextIO) -> None:
    """Write ``report`` to ``stream`` as one JSON document."""
    with paused_collector():
        write_document(report.document(), stream)


def write_document(document: dict[str, Any], stream: TextIO) -> None:
    """Write any JSON document of ours: ASCII only, two spaces per level, a list without objects on one line."""
    stream.writelines(_Texts(document).parts(document, "\n"))  # each made when the one before is written
    stream.write("\n")


def format_document(document: dict[str, Any]) -> str:
    """Return any JSON document of ours as ``write_document`` writes it."""
    return "".join(_Texts(document).parts(document, "\n")) + "\n"


class _Numbers(dict[int | None, str]):
    """Whole numbers as text: the columns of a report repeat the same ones, and each is written out once."""

    def __missing__(self, number: int | None) -> str:
        found = self[number] = "null" if number is None else repr(number)
        return found


class _Templates(dict[int, str]):
    """Places for so many whole numbers: to fill them in takes a fifth of the time of joining a row."""

    def __missing__(self, count: int) -> str:
        found = self[count] = ", ".join(["%d"] * count)
        return found


class _Texts:
    """What one document looks like.

    Args:
        document: The document.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        self._number = _Numbers().__getitem__
        self._template = _Templates().__getitem__
        self._scalar: dict[type, Callable[[Any], str]] = {
            int: self._number,
            type(None): self._number,
            str: _quote,
            float: _real,
            bool: {False: "false", True: "true"}.__getitem__,
        }
        self._left = Counter(map(id, _long_lists(document)))  # how often each is still to come
        self._kept: dict[int, tuple[str, ...]] = {}  # the pieces of those that come again

    def parts(self, value: Any, newline: str) -> Iterator[str]:
        """Yield the text of ``value`` in pieces: of a large document no more than a column need be in memory."""
        deeper = newline + "  "
        if isinstance(value, dict) and value:
            is_flat = _INLINE.issuperset(map(type, value.values()))
            before = "{"
            for key, item in value.items():
                yield f"{before}{deeper}{_quote(key)}: "
                if is_flat:
                    yield from self._inline(item, _kinds(item))
                else:
                    yield from self.parts(item, deeper)
                before = ","
            yield f"{newline}}}"
        elif (kinds := _kinds(value)) <= _INLINE:
            yield from self._inline(value, kinds)
        else:
            before = "["
            for item in value:
                yield f"{before}{deeper}"
                yield from self.parts(item, deeper)
                before = ","
            yield f"{newline}]"

    def _inline(self, value: Any, kinds: set[type]) -> Iterable[str]:
        """Return the text of a value on one line, in pieces; a long column is put together here: twice as fast."""
        kind = type(value)
        if not kinds and kind is not Rows:  # the encoder takes ten times as long for a number by itself
            return (self._scalar.get(kind, _encode)(value),)
        if kinds and len(value) < _LONG:
            return (_encode(value),)
        key = id(value)
        pieces = self._kept.pop(key, None) or (self._rows(value) if kind is Rows else (self._column(value, kinds),))
        self._left[key] -= 1
        if self._left[key] > 0:
            pieces = self._kept[key] = tuple(pieces)
        return pieces

    def _column(self, value: Sequence[Any], kinds: set[type]) -> str:
        if kinds <= _NUMBERS:
            return f"[{', '.join(map(self._number, value))}]"
        if kinds <= _LISTS and {*map(type, chain.from_iterable(value))} <= {int}:
            lengths = {*map(len, value)}
            if lengths == {1}:
                return f"[[{'], ['.join(map(self._number, chain.from_iterable(value)))}]]"
            if max(lengths) < _LONG:
                template = self._template
                return f"[[{'], ['.join([template(len(row)) % tuple(row) for row in value])}]]"
        if kinds == {str} and _PLAIN.fullmatch(text := '", "'.join(value)) and text.count('"') == 2 * len(value) - 2:
            return f'["{text}"]'
        return _encode(value)

    def _rows(self, value: Rows) -> Iterator[str]:
        fields = ", ".join([f"{_quote(name).replace('%', '%%')}: %s" for name in value.fields])
        template, scalar = f"{{{fields}}}", self._scalar
        rows, before = iter(value.make()), "["
        while some := list(islice(rows, _AT_ONCE)):
            texts = [template % tuple([scalar[type(each)](each) for each in row]) for row in some]
            yield f"{before}{', '.join(texts)}"
            before = ", "
        yield "[]" if before == "[" else "]"


def _long_lists(value: Any) -> Iterator[Any]:
    """Yield the long lists of a document, as often as they are in it; not those in longer ones."""
    if isinstance(value, dict):
        for item in value.values():
            yield from _long_lists(item)
    elif isinstance(value, list | tuple | Rows):
        if len(value) >= _LONG:
            yield value
        else:
            for item in value:
                yield from _long_lists(item)


def _real(number: float) -> str:
    return repr(number) if isfinite(number) else _encode(number)  # which refuses it


def _kinds(value: Any) -> set[type]:
    """Return the types of what is in a list, none for anything else."""
    return {*map(type, value)} if isinstance(value, list | tuple) else set()
