"""What the header of a file of weights says, as plain records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class StoredTensor(NamedTuple):
    """A tensor in a file.

    Attributes:
        name: As the file has it.
        dtype: Element type as memprof names it, or the file's own name of a packed one: ``q4_k``.
        shape: One size per axis, the outermost first.
        size_bytes: Its bytes in the file.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Stored:
    """All that the headers of a model's files say.

    Attributes:
        tensors: Every tensor, in order.
        metadata: What the file says of the model besides.
    """

    tensors: tuple[StoredTensor, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def bytes_by_dtype(self) -> dict[str, int]:
        """Bytes by element type, the most first."""
        found: dict[str, int] = {}
        for tensor in self.tensors:
            found[tensor.dtype] = found.get(tensor.dtype, 0) + tensor.size_bytes
        return dict(sorted(found.items(), key=lambda item: -item[1]))
