"""Attributes of a node: those that the graph keeps, and any of them by name for what computes shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from memprof.importers.onnx.library import AttributeProto, NodeProto, TensorProto
from memprof.importers.onnx.limits import check_names
from memprof.ir import Attribute

MAX_LIST = 64
"""Longer lists are data (tree ensembles, vocabularies), which no analysis reads."""

_NONE: Mapping[str, Attribute] = MappingProxyType({})


def kept_attributes(node: NodeProto) -> Mapping[str, Attribute]:
    """Return numbers, strings and lists of up to ``MAX_LIST`` integers or floats by name.

    Raises:
        InputError: A name is not UTF-8.
    """
    if not node.attribute:
        return _NONE
    found: dict[str, Attribute] = {}
    for attribute in node.attribute:
        read = _KEPT.get(attribute.type)
        value = None if read is None else read(attribute)
        if value is not None:
            found[attribute.name] = value
    check_names(tuple(found))
    return found


def _short(values: Sequence[int] | Sequence[float]) -> tuple[int, ...] | tuple[float, ...] | None:
    return tuple(values) if len(values) <= MAX_LIST else None


_KEPT: dict[int, Callable[[AttributeProto], Attribute | None]] = {
    AttributeProto.INT: lambda a: a.i,
    AttributeProto.INTS: lambda a: _short(a.ints),
    AttributeProto.FLOAT: lambda a: a.f,
    AttributeProto.FLOATS: lambda a: _short(a.floats),
    AttributeProto.STRING: lambda a: a.s.decode("utf-8", "backslashreplace"),
}


def attribute(node: NodeProto, name: str, default: Any = None) -> Any:
    """Return one attribute as a Python number, list or proto; ``default`` if the node does not have it."""
    for found in node.attribute:
        if found.name == name:
            read = _VALUES.get(found.type)
            return default if read is None else read(found)
    return default


def integer(node: NodeProto, name: str) -> int | None:
    """Return an integer attribute, ``None`` if there is none of that type."""
    found = attribute(node, name)
    return found if isinstance(found, int) else None


def integers(node: NodeProto, name: str) -> list[int]:
    """Return an attribute that lists integers, empty if there is none of that type."""
    found = attribute(node, name)
    return found if isinstance(found, list) and all(isinstance(i, int) for i in found) else []


def text(node: NodeProto, name: str) -> str | None:
    """Return a text attribute, ``None`` if there is none of that type."""
    found = attribute(node, name)
    return found.decode("utf-8", "backslashreplace") if isinstance(found, bytes) else None


def tensor(node: NodeProto, name: str) -> TensorProto | None:
    """Return a tensor attribute, ``None`` if there is none of that type."""
    found = attribute(node, name)
    return found if isinstance(found, TensorProto) else None


_VALUES: Mapping[int, Callable[[AttributeProto], Any]] = MappingProxyType(
    {
        AttributeProto.INT: lambda a: a.i,
        AttributeProto.INTS: lambda a: list(a.ints),
        AttributeProto.FLOAT: lambda a: a.f,
        AttributeProto.FLOATS: lambda a: list(a.floats),
        AttributeProto.STRING: lambda a: a.s,
        AttributeProto.STRINGS: lambda a: list(a.strings),
        AttributeProto.TENSOR: lambda a: a.t,
    }
)
