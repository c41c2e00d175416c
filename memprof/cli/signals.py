"""SIGTERM and SIGHUP end the program as Ctrl-C does: children are stopped, temporary folders removed."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

ENDING_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))

_MOMENT_SECONDS = 0.01
"""Until a signal that was lost is sent again, and between two times that it is sent until it is heard."""


_Lost = tuple[KeyboardInterrupt, threading.Event]
"""What was lost, and whether it was heard since."""


class Terminated(KeyboardInterrupt):
    """Somebody asked the process to end; what looks after itself on Ctrl-C does so here too.

    Args:
        number: The signal's.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(signal.Signals(number).name)


@dataclass(slots=True)
class Heard:
    """What came while a command ran.

    Attributes:
        error: What the last signal raised, ``None`` if none came.
    """

    error: KeyboardInterrupt | None = None


@contextmanager
def ended_by_signals(heard: Heard) -> Iterator[None]:
    """Turn the first of those signals into ``Terminated``; a signal that is ignored (``nohup``) stays so.

    What a signal raises may be lost: native code makes another error of it, and in a finaliser nobody can catch it.
    The first is told by ``heard``; the second comes again until it is heard, or at the end if that is sooner.
    """
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        if _is_within(frame, say_again.__code__):  # it would be lost once more, and comes again
            return
        _cancel(lost_ones)
        heard.error = KeyboardInterrupt()
        raise heard.error

    def terminate(number: int, frame: FrameType | None) -> None:
        if _is_within(frame, say_again.__code__):
            return
        _ignore(terminate)  # once is enough: a second one must not cut the cleaning up short
        _cancel(lost_ones)
        heard.error = Terminated(number)
        raise heard.error

    def say_again(lost: UnraisableHookArgs) -> None:
        if not isinstance(lost.exc_value, KeyboardInterrupt):
            report_lost(lost)
            return
        number = signal.SIGINT
        if isinstance(lost.exc_value, Terminated):
            number = signal.Signals(lost.exc_value.number)
            signal.signal(number, terminate)
        is_heard = threading.Event()
        lost_ones.append((lost.exc_value, is_heard))
        threading.Thread(target=_send_until, args=(number, is_heard), daemon=True).start()

    lost_ones: list[_Lost] = []
    wanted: dict[int, tuple[Any, Callable[[int, FrameType | None], None]]]
    wanted = dict.fromkeys(ENDING_SIGNALS, (signal.SIG_DFL, terminate))
    wanted[signal.SIGINT] = (signal.default_int_handler, interrupt)
    before = {number: signal.getsignal(number) for number in wanted}
    mine = {number: handler for number, (usual, handler) in wanted.items() if before[number] is usual}
    report_lost, sys.unraisablehook = sys.unraisablehook, say_again
    for number, handler in mine.items():
        signal.signal(number, handler)
    try:
        yield
    finally:
        lost = [error for error, _ in lost_ones]
        _cancel(lost_ones)
        for number in mine:
            signal.signal(number, before[number])
        sys.unraisablehook = report_lost
    if lost:  # it has not come again, since the end came first
        raise lost[0]


def _is_within(frame: FrameType | None, code: CodeType) -> bool:
    """Return whether a function runs in ``frame`` or in one that waits for it."""
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    return frame is not None


def _ignore(handler: Callable[[int, FrameType | None], None]) -> None:
    """Ignore the signals that end the program, where ``handler`` would be called."""
    for each in ENDING_SIGNALS:
        if signal.getsignal(each) is handler:
            signal.signal(each, signal.SIG_IGN)


def _cancel(lost_ones: list[_Lost]) -> None:
    """Have nothing come again, since it was heard."""
    while lost_ones:
        lost_ones.pop()[1].set()


def _send_until(number: int, is_heard: threading.Event) -> None:
    while not is_heard.wait(_MOMENT_SECONDS):
        _send(number)


def _send(number: int) -> None:
    """Send a signal to the main thread, which may be waiting for something."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        signal.raise_signal(number)
