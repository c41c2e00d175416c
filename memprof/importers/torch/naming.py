"""Names of nodes and values: unique, short, and the same from run to run."""

from __future__ import annotations

from collections.abc import Sequence

from memprof.importers.torch.ops import base_name
from memprof.importers.torch.records import StorageRecord
from memprof.ir import Role


class Names:
    """Hands out names, each once, numbered from the second on.

    >>> names = Names()
    >>> names.unique("conv2d"), names.unique("conv2d"), names.unique("conv2d_1")
    ('conv2d', 'conv2d_1', 'conv2d_1_1')
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._counts: dict[str, int] = {}

    def unique(self, wish: str) -> str:
        """Return ``wish``, with a number behind it if it is taken."""
        name = wish = wish or "tensor"
        count = self._counts.get(wish, 0)
        while name in self._taken:
            count += 1
            name = f"{wish}_{count}"
        self._counts[wish] = count
        self._taken.add(name)
        return name

    def output(self, node: str, position: int) -> str:
        """Return the name of an output of ``node``: the node's own for the first, ``node.1`` for the second."""
        if position == 0:
            return node
        return self.unique(f"{node}.{position}")


def name_known(names: Names, storages: Sequence[StorageRecord]) -> dict[int, str]:
    """Return the names of what exists before any operation, by index in order; inputs keep theirs, as typed."""
    known = [(index, storage) for index, storage in enumerate(storages) if storage.window is not None]
    known.sort(key=lambda pair: pair[1].role is not Role.INPUT)
    return dict(sorted((index, names.unique(storage.name)) for index, storage in known))


def short_name(op: str) -> str:
    """Return the name of ``op`` without its namespace and in-place mark, as node names start.

    >>> short_name("aten.relu_")
    'relu'
    """
    return base_name(op).rpartition(".")[2]
