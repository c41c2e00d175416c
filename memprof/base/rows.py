"""What a document of JSON holds instead of many short lists and many objects, so that nothing is copied to write it.

in the document     written as
a tuple             a list
``Rows``            a list of objects, of which only the columns exist
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Rows:
    """A list of objects with the same fields, as columns.

    Attributes:
        columns: Each field's values, one for each object, by name.
    """

    columns: Mapping[str, Sequence[Any]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (dict(zip(self.columns, row, strict=True)) for row in zip(*self.columns.values(), strict=True))


def as_lists(value: Any) -> Any:
    """Return a value of a document as a parser of its JSON would return it, no list in two places.

    >>> as_lists({"steps": ((0, 1), (2,)), "live": Rows({"name": ("x",), "bytes": (4,)})})
    {'steps': [[0, 1], [2]], 'live': [{'name': 'x', 'bytes': 4}]}
    """
    if isinstance(value, dict):
        return {key: as_lists(item) for key, item in value.items()}
    return [as_lists(item) for item in value] if isinstance(value, list | tuple | Rows) else value
