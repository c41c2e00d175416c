"""Reads a JSON document field by field, and trusts none of it: the one gate of every ``from_json``.

A saved result is a file from a stranger. A getter returns a value of the type that its name says, or raises an error
that names the file and the field. What nobody asks for is not looked at, so that a later version may add fields.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from memprof.base.errors import InputError, MemprofError
from memprof.base.text import safe_text

MAX_COUNT = 2**62
"""No count of bytes or steps of a real result comes near it."""

MAX_ITEMS = 2**24
"""As many tensors, operations or steps as a saved result may hold."""

_OWN = re.compile(r"memprof/([a-z-]{1,20})/[0-9]{1,4}")
_NAME_THE_MODEL = "Name the model itself, or a report of it: memprof analyze MODEL -o report.json."
HINT = "Write it again: memprof analyze MODEL -o report.json, say."

_T = TypeVar("_T")


class Fields:
    """A JSON object of a saved result.

    Args:
        document: What ``json.load`` gave.
        source: Where the document came from, for errors.
        path: Where in the document this object is, for errors.

    Raises:
        InputError: It is no JSON object.
    """

    __slots__ = ("_path", "_record", "_source")

    def __init__(self, document: object, source: str, path: str = "") -> None:
        self._source = source
        self._path = path
        if not isinstance(document, dict):
            raise InputError(f"{source} is a damaged report: {path or 'it'} is no JSON object.", HINT)
        self._record: Mapping[str, Any] = document

    def __contains__(self, name: str) -> bool:
        return name in self._record

    def error(self, name: str, reason: str = "is missing or wrong") -> InputError:
        """Return the error about one field."""
        where = f"{self._path}.{name}" if self._path else name
        return InputError(f"{self._source} is a damaged report: {safe_text(where)!r} {reason}.", HINT)

    def is_null(self, name: str) -> bool:
        """Return whether a field is there and null."""
        return self._record.get(name, 0) is None

    def text(self, name: str) -> str:
        """Return a text."""
        return self._typed(name, str)

    def text_or_none(self, name: str) -> str | None:
        """Return a text or null."""
        return None if self.is_null(name) else self._typed(name, str)

    def flag(self, name: str) -> bool:
        """Return true or false."""
        return self._typed(name, bool)

    def flag_or_none(self, name: str) -> bool | None:
        """Return true, false or null."""
        return None if self.is_null(name) else self._typed(name, bool)

    def number(self, name: str) -> float:
        """Return a finite number."""
        value: Any = self._record.get(name)
        if not _is_number(value):
            raise self.error(name)
        return float(value)

    def count(self, name: str) -> int:
        """Return a count: an integer from 0 on."""
        value = self.count_or_none(name)
        if value is None:
            raise self.error(name)
        return value

    def count_or_none(self, name: str) -> int | None:
        """Return a count or null; the field must be there."""
        value = self._record.get(name, -1)
        if value is None or _is_count(value):
            return value  # type: ignore[no-any-return] # checked
        raise self.error(name)

    def integer(self, name: str) -> int:
        """Return an integer, negative or not, of as many digits as a count."""
        value = self._record.get(name)
        if isinstance(value, int) and _is_count(abs(value)) and not isinstance(value, bool):
            return value
        raise self.error(name)

    def value(self, name: str, known: Callable[[Any], _T]) -> _T:
        """Return what ``known`` makes of a field that must be there.

        Args:
            name: The field.
            known: Raises ``ValueError``, ``KeyError``, ``TypeError`` or an error of memprof's if it cannot.
        """
        if name not in self:
            raise self.error(name)
        try:
            return known(self._record[name])
        except (ValueError, KeyError, TypeError, MemprofError) as error:
            raise self.error(name, f"is wrong: {error}") from error

    def numbers(self, name: str) -> tuple[float, ...]:
        """Return a list of finite numbers."""
        return tuple(map(float, self._list(name, _is_number)))

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts."""
        return self._list(name, lambda value: isinstance(value, str))

    def counts(self, name: str, below: int = MAX_COUNT) -> tuple[int, ...]:
        """Return a list of counts that are all less than ``below``."""
        return self._list(name, lambda value: _is_count(value) and value < below)

    def counts_or_none(self, name: str, below: int = MAX_COUNT) -> tuple[int | None, ...]:
        """Return a list of counts and nulls."""
        return self._list(name, lambda value: value is None or (_is_count(value) and value < below))

    def groups(self, name: str, below: int = MAX_COUNT) -> tuple[tuple[int, ...], ...]:
        """Return a list of lists of counts that are all less than ``below``."""
        groups = self._list(name, lambda value: isinstance(value, list))
        if not all(_is_count(value) and value < below for group in groups for value in group):
            raise self.error(name)
        return tuple([tuple(group) for group in groups])

    def rows(self, name: str) -> tuple[Sequence[Any], ...]:
        """Return a list of lists of whatever they hold."""
        return self._list(name, lambda value: isinstance(value, list))

    def repeated(self, name: str, known: Callable[[Any], _T]) -> tuple[_T, ...]:
        """Return a column whose values repeat: ``{"table": [...], "index": [...]}``.

        Args:
            name: The field.
            known: Makes a value of an entry of the table; raises ``ValueError``, ``KeyError`` or ``TypeError`` if it
                is none.
        """
        inner = self.fields(name)
        try:
            table = [known(entry) for entry in inner._typed("table", list)]
        except (ValueError, KeyError, TypeError) as error:
            raise inner.error("table") from error
        return tuple([table[i] for i in inner.counts("index", len(table))])

    def fields(self, name: str) -> Fields:
        """Return an object inside this one."""
        where = f"{self._path}.{name}" if self._path else name
        return Fields(self._record.get(name), self._source, where)

    def each(self, name: str) -> Iterator[Fields]:
        """Yield the objects of a list."""
        for i, item in enumerate(self._list(name, lambda _: True)):
            where = f"{self._path}.{name}" if self._path else name
            yield Fields(item, self._source, f"{where}[{i}]")

    def named(self, name: str) -> Iterator[tuple[str, Fields]]:
        """Yield name and object of a mapping to objects."""
        for key in self._typed(name, dict):
            yield key, self.fields(name).fields(key)

    def named_counts(self, name: str) -> dict[str, int]:
        """Return a mapping from names to counts."""
        inner = self.fields(name)
        return {key: inner.count(key) for key in inner._record}

    def _typed(self, name: str, wanted: type[_T]) -> _T:
        value = self._record.get(name)
        if not isinstance(value, wanted):
            raise self.error(name)
        return value

    def _list(self, name: str, is_fine: Callable[[Any], bool]) -> tuple[Any, ...]:
        found = self._typed(name, list)
        if len(found) > MAX_ITEMS:
            raise self.error(name, f"holds more than {MAX_ITEMS:,} entries")
        if not all(map(is_fine, found)):
            raise self.error(name)
        return tuple(found)


def check_schema(document: object, source: str, known: Sequence[str]) -> str:
    """Return the schema of ``document``, one of ``known``.

    Raises:
        InputError: It is none of them.
    """
    schema = document.get("schema") if isinstance(document, dict) else None
    if isinstance(schema, str) and schema in known:
        return schema
    family = known[-1].rpartition("/")[0]
    is_other_version = isinstance(schema, str) and schema.startswith(f"{family}/")
    reason = f"its schema is {schema!r}, and {' and '.join(known)} can be read" if is_other_version else _no(family)
    if not is_other_version and isinstance(schema, str) and (other := _OWN.fullmatch(schema)):
        reason += f" but what memprof {other[1]} writes"
        raise InputError(f"{source} cannot be read: {reason}.", _NAME_THE_MODEL)
    raise InputError(f"{source} cannot be read: {reason}.", HINT)


def _no(family: str) -> str:
    return "it is no memprof report" if family == "memprof/analysis" else f"it is no document of {family}"


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_COUNT


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e18 < value < 1e18
