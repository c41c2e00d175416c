"""A clock that runs on work: it stands still unless Python executes lines, whatever else the machine does."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class WorkClock:
    """Tells how many lines of Python have run, and what was done between two readings.

    Attributes:
        lines: Lines so far.
        readings: ``lines`` at each reading.
    """

    def __init__(self) -> None:
        self.lines = 0
        self.readings: list[int] = []

    def __call__(self) -> float:
        self.readings.append(self.lines)
        return float(self.lines)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count lines inside the block."""
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            yield
        finally:
            sys.settrace(before)

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        return self._count

    def _count(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        if event == "line":
            self.lines += 1
        return self._count
