"""Keeps Python's cycle collector from walking hundreds of thousands of new records over and over."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused_collector() -> Iterator[None]:
    """Switch the cycle collector off inside, if it was on: it takes half of the time of a large graph or search.

    Only around what makes no cycles: reference counts free that.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


_KEPT: list[object] = []
_KEPT.append(_KEPT)  # a cycle, which the frozen collector never finds: the list outlives its module


def keep(found: object) -> None:
    """Let nobody look through ``found`` any more, nor free it: a process that ends with it has no use for either.

    Only where the process is memprof's own and ends with its answer, and before the collector goes on: it would walk
    through all that was made meanwhile.
    """
    _KEPT.append(found)
    gc.freeze()
