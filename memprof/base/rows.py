"""What a document of JSON holds instead of many short lists and many objects, so that nothing is copied to write it.

in the document     written as
a tuple             a list
``Rows``            a list of objects, which exist one after the other while they are written
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A list of objects with the same fields.

    Attributes:
        fields: Names of the fields.
        count: How many objects there are.
        make: Makes the values of each, in the order of the fields, as often as it is called.
    """

    fields: tuple[str, ...]
    count: int
    make: Callable[[], Iterable[tuple[Any, ...]]]

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (dict(zip(self.fields, row, strict=True)) for row in self.make())


def as_lists(value: Any) -> Any:
    """Return a value of a document as a parser of its JSON would return it, no list in two places.

    >>> live = Rows(fields=("name", "bytes"), count=1, make=lambda: [("x", 4)])
    >>> as_lists({"steps": ((0, 1), (2,)), "live": live})
    {'steps': [[0, 1], [2]], 'live': [{'name': 'x', 'bytes': 4}]}
    """
    if isinstance(value, dict):
        return {key: as_lists(item) for key, item in value.items()}
    return [as_lists(item) for item in value] if isinstance(value, list | tuple | Rows) else value
