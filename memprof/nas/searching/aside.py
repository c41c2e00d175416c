"""Work that a thread of its own does ahead, one thing after the other, for whoever asks for it later.

A thing has a key that says all it depends on. Who asks for a key waits if it has begun; one that waits in line or was
never begun is done by who asks.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Hashable
from concurrent.futures import Future
from typing import Any, TypeVar, cast

_Found = TypeVar("_Found")


class Aside:
    """Does things ahead. Its thread ends when nothing is left, and a process that ends does not wait for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._line: deque[Callable[[], None]] = deque()
        self._is_serving = False
        self._found: dict[Hashable, Future[Any]] = {}

    def begin(self, key: Hashable, do: Callable[[], Any]) -> None:
        """Put a thing in line, unless it is there already; returns at once."""
        if key in self._found:
            return
        future = self._found[key] = Future[Any]()

        def run() -> None:
            if future.set_running_or_notify_cancel():
                _fulfil(future, do)

        with self._lock:
            self._line.append(run)
            starts, self._is_serving = not self._is_serving, True
        if starts:
            threading.Thread(target=self._serve, daemon=True, name="aside").start()

    def take(self, key: Hashable, do: Callable[[], _Found]) -> _Found:
        """Return a thing, done ahead if it was begun; what it raises is raised here.

        Args:
            key: As it was begun.
            do: What to do where it was not.
        """
        future = self._found.get(key)
        if future is None or future.cancel():  # in line behind others: who needs it now does it
            future = self._found[key] = Future[Any]()
            _fulfil(future, do)
        return cast("_Found", future.result())

    def forget(self, keep: Collection[Hashable] = ()) -> None:
        """Drop all but some things, done or begun."""
        for key in set(self._found).difference(keep):
            self._found.pop(key).cancel()

    def _serve(self) -> None:
        while True:
            with self._lock:
                if not self._line:
                    self._is_serving = False
                    return
                run = self._line.popleft()
            run()


def _fulfil(future: Future[Any], do: Callable[[], Any]) -> None:
    try:
        future.set_result(do())
    except BaseException as error:  # whoever asks for it is told
        future.set_exception(error)
