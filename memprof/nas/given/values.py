"""JSON of a search read into frozen records, each value by its declared type and within bounds.

    record = read_record(Outcome, data)        data: what json.loads gave, from anybody

What a class declares is what it gets: whole numbers that are no booleans and fit 63 bits, finite numbers, texts that
are printable and short, the members of an enumeration, tuples of these, other records. What a class lacks, or has and
the data do not, is an error; ranges are the business of the class's own ``__post_init__``.
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import lru_cache
from math import isfinite
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from memprof.base.text import safe_text

MOST_CHARACTERS = 4096
MOST_ITEMS = 100_000
_INTEGERS = range(-(2**63), 2**63)

_Record = TypeVar("_Record")


def parse_json(text: str | bytes) -> Any:
    """Return what a JSON text says; infinities and what is not a number are no JSON.

    Raises:
        ValueError: It is no JSON, or is nested too deep.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def read_record(kind: type[_Record], data: object) -> _Record:
    """Return the record of class ``kind`` that ``data`` describes.

    Args:
        kind: A dataclass; one with a ``from_json`` of its own is read by that.
        data: A mapping from the names of its fields to their values.

    Raises:
        ValueError: The data are not of that class; names the field.
    """
    own: Callable[[object], _Record] | None = getattr(kind, "from_json", None)
    if own is not None:
        return own(data)
    if not isinstance(data, Mapping):
        raise ValueError(f"{kind.__name__} is no record: {_show(data)}")
    hints, names = _hints(cast("Any", kind))
    if strange := [name for name in data if name not in hints]:
        raise ValueError(f"{kind.__name__} has no {_show(strange[0])}")
    if missing := [name for name in names if name not in data]:
        raise ValueError(f"{kind.__name__} lacks {missing[0]}")
    values = {}
    for name, value in data.items():
        try:
            values[name] = read_value(hints[name], value)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    return kind(**values)


def read_value(kind: Any, value: object) -> Any:
    """Return ``value`` as the type ``kind``.

    Raises:
        ValueError: It is none.
    """
    origin = get_origin(kind)
    if origin is not None:
        return _GENERIC[origin](get_args(kind), value)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(_one_of(tuple(member.value for member in kind), value))
    if is_dataclass(kind):
        return read_record(cast("type[Any]", kind), value)
    return _PLAIN[kind](value)


def _read_union(kinds: tuple[Any, ...], value: object) -> Any:
    if value is None and type(None) in kinds:
        return None
    left = [kind for kind in kinds if kind is not type(None)]
    if len(left) > 1:  # a record is written as a mapping, whatever else there is is not
        left = [kind for kind in left if is_dataclass(kind) == isinstance(value, Mapping)]
    (kind,) = left
    return read_value(kind, value)


def _read_tuple(kinds: tuple[Any, ...], value: object) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple) or len(value) > MOST_ITEMS:
        raise ValueError(f"not a list of at most {MOST_ITEMS:,}: {_show(value)}")
    if kinds[-1] is Ellipsis:
        return tuple(read_value(kinds[0], item) for item in value)
    if len(value) != len(kinds):
        raise ValueError(f"{len(value)} values, not {len(kinds)}")
    return tuple(read_value(kind, item) for kind, item in zip(kinds, value, strict=True))


def _one_of(choices: tuple[Any, ...], value: object) -> Any:
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{_show(value)} is none of {', '.join(map(str, choices))}")
    return value


def _read_int(value: object) -> int:
    if type(value) is not int or value not in _INTEGERS:
        raise ValueError(f"not a whole number: {_show(value)}")
    return value


def _read_float(value: object) -> float:
    is_number = type(value) is float or (type(value) is int and value in _INTEGERS)
    if not is_number or not isfinite(found := float(cast("float", value))):
        raise ValueError(f"not a number: {_show(value)}")
    return found


def _read_bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"neither true nor false: {_show(value)}")
    return value


def _read_text(value: object) -> str:
    """Return a text as it may be shown: whatever is not printable in it is escaped."""
    if not isinstance(value, str) or len(value) > MOST_CHARACTERS:
        raise ValueError(f"not a text of at most {MOST_CHARACTERS:,} characters: {_show(value)}")
    return safe_text(value, limit=MOST_CHARACTERS)


_PLAIN: Mapping[type, Callable[[object], Any]] = {
    int: _read_int,
    float: _read_float,
    bool: _read_bool,
    str: _read_text,
}


_GENERIC: Mapping[Any, Callable[[tuple[Any, ...], object], Any]] = {
    Union: _read_union,
    types.UnionType: _read_union,
    Literal: _one_of,
    tuple: _read_tuple,
    frozenset: lambda kinds, value: frozenset(_read_tuple((kinds[0], ...), value)),
}


@lru_cache
def _hints(kind: type) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Return the types of a class's fields, and the names of those without a default."""
    found = fields(cast("Any", kind))
    hints = get_type_hints(kind)
    needed = tuple(f.name for f in found if f.default is MISSING and f.default_factory is MISSING)
    return {f.name: hints[f.name] for f in found}, needed


def _show(value: object) -> str:
    """Return a glimpse of a value; a number of a thousand digits is not even written out."""
    if isinstance(value, str):
        return repr(safe_text(value, limit=40))
    if value is None or isinstance(value, bool | float) or (isinstance(value, int) and value in _INTEGERS):
        return str(value)
    return f"a {type(value).__name__}"


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")
