"""The line at the foot of a terminal for whoever waits: what is going on and for how long; gone when it is over.

A whole command runs under one ``WaitLine``, so no part of it can be silent, the loading of libraries included: who
knows better says so (``saying``), hands over to a bar (``drawing``) or writes results (``quiet``). One thread draws
all of it, bars too. Where nobody reads along, in a pipe or a log, only long searches leave a line now and then.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Protocol, TextIO, TypeVar
from unicodedata import east_asian_width

PATIENCE_SECONDS = 0.8
"""How long a person waits without a word; Python itself has taken a moment before."""

_FRAME_SECONDS = 0.5
_LOG_SECONDS = 5.0
_USUAL_COLUMNS = 80


class Bar(Protocol):
    """A bar over several lines: a context manager that draws itself when it is told to."""

    def __enter__(self) -> object:
        """Put it on the terminal."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Leave it as it is at the end."""

    def refresh(self) -> None:
        """Draw it anew."""


_Bar = TypeVar("_Bar", bound=Bar)


class Stage:
    """One thing that is waited for.

    Args:
        text: What it is, short and safe to print.
        draw: What draws it instead of the line, ``None`` for the line itself.
        log: Where what is said goes if nobody reads along, ``None`` for nowhere.
    """

    def __init__(self, text: str, draw: Callable[[], None] | None, log: TextIO | None) -> None:
        self.text = text
        self.draw = draw
        self.began = time.monotonic()
        self._log = log
        self._said = 0.0

    def say(self, text: str, seconds: float) -> None:
        """Say how far it is; in a log every few seconds.

        Args:
            text: How far it is, short and safe to print.
            seconds: How long it has taken; fewer than the last time if it is something else now.
        """
        self.text = text
        self._said = min(self._said, seconds)
        if self._log is not None and seconds - self._said >= _LOG_SECONDS:
            self._said = seconds
            with suppress(OSError, ValueError):  # nobody is there any more
                self._log.write(f"{_timed(text, seconds)}\n")
                self._log.flush()


class WaitLine:
    """What a command is at, and who draws it.

    Args:
        stream: Stderr; ``None`` if it was closed at the start.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._is_read = stream is not None and stream.isatty()
        self._stages: list[Stage] = []
        self._lock = threading.RLock()
        self._is_shown = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Have a thread draw the line while a command runs; no thread if nobody reads it."""
        if not self._is_read:
            yield
            return
        over = threading.Event()
        threading.Thread(target=self._draw_on, args=(over,), name="memprof-line", daemon=True).start()
        try:
            with self.saying("working"):
                yield
        finally:
            over.set()

    def _draw_on(self, over: threading.Event) -> None:
        seconds = PATIENCE_SECONDS
        while not over.wait(seconds):
            self.tick()
            seconds = min(_FRAME_SECONDS, PATIENCE_SECONDS)

    @contextmanager
    def saying(self, text: str) -> Iterator[Stage]:
        """Show ``text`` while the body runs."""
        with self._on_top(Stage(text, None, None if self._is_read else self._stream)) as stage:
            yield stage

    @contextmanager
    def drawing(self, bar: _Bar) -> Iterator[_Bar]:
        """Show ``bar`` instead of the line while the body runs."""
        with self._on_top(Stage("", bar.refresh, None)), bar:
            yield bar

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Leave the terminal to what is written while the body runs."""
        with self._on_top(Stage("", _draw_nothing, None)):
            yield

    @contextmanager
    def cleared(self) -> Iterator[None]:
        """Have the line out of the way of a message."""
        with self._lock:
            self._clear()
            yield

    @contextmanager
    def _on_top(self, stage: Stage) -> Iterator[Stage]:
        self._stages.append(stage)
        if stage.draw is not None:
            with self._lock:
                self._clear()
        try:
            yield stage
        finally:
            self._stages.remove(stage)
            if stage.draw is None and (not self._stages or self._stages[-1].draw is not None):
                with self._lock:
                    self._clear()

    def tick(self) -> None:
        """Draw what is going on now."""
        with self._lock:
            stages = self._stages[-1:]
            for stage in stages:
                if stage.draw is not None:
                    stage.draw()
                else:
                    self._show(stage)

    def _show(self, stage: Stage) -> None:
        text = _timed(stage.text, time.monotonic() - stage.began)
        self._write(f"\r{_fit(text, self._columns() - 1)}\x1b[K")
        self._is_shown = True

    def _clear(self) -> None:
        if self._is_shown:
            self._write("\r\x1b[K")
            self._is_shown = False

    def _write(self, text: str) -> None:
        assert self._stream is not None, "nobody reads a closed stream"
        with suppress(OSError, ValueError):  # the terminal went away
            self._stream.write(text)
            self._stream.flush()

    def _columns(self) -> int:
        assert self._stream is not None, "nobody reads a closed stream"
        with suppress(OSError, ValueError):
            return os.get_terminal_size(self._stream.fileno()).columns or _USUAL_COLUMNS
        return _USUAL_COLUMNS


def _draw_nothing() -> None:
    pass


def _timed(text: str, seconds: float) -> str:
    return f"{text} ... {seconds:.0f} s" if seconds >= 1 else f"{text} ..."


def _fit(text: str, columns: int) -> str:
    """Return as much of ``text`` as a line holds: what wraps could not be cleared.

    >>> _fit("net.onnx", 5), _fit("神経.onnx", 5)
    ('net.o', '神経.')
    """
    used = 0
    for i, character in enumerate(text):
        used += 2 if east_asian_width(character) in "WF" else 1
        if used > columns:
            return text[:i]
    return text
