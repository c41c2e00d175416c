"""SIGTERM and SIGHUP end the program as Ctrl-C does: children are stopped, temporary folders removed."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

ENDING_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))

_WAKING_SIGNAL = getattr(signal, "SIGURG", None)
"""What nobody misses where it does nothing, and the system ignores where nobody handles it."""

_MOMENT_SECONDS = 0.01
"""Until a signal that was lost is sent again."""


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
    handling = _Handling(heard)
    usual = {**dict.fromkeys(ENDING_SIGNALS, signal.SIG_DFL), signal.SIGINT: signal.default_int_handler}
    handlers = dict.fromkeys(usual, handling.hear)
    if _WAKING_SIGNAL is not None:
        usual[_WAKING_SIGNAL], handlers[_WAKING_SIGNAL] = signal.SIG_DFL, _wake
    before = {number: signal.getsignal(number) for number in usual}
    mine = [number for number in usual if before[number] is usual[number]]
    report_lost, sys.unraisablehook = sys.unraisablehook, handling.say_again
    handling.report_lost = report_lost
    try:
        for number in mine:
            signal.signal(number, handlers[number])
        yield
    finally:
        handling.end()
        for number in mine:
            signal.signal(number, before[number])
        sys.unraisablehook = report_lost
    if handling.lost is not None:  # it has not come again, since the end came first
        raise handling.lost


class _Handling:
    """What signals do while a command runs.

    Handlers run between any two steps of the main thread, so they only read and set attributes: a lock could be one
    that the interrupted step holds.

    Attributes:
        lost: What was raised where nobody could catch it, until its signal is heard.
        report_lost: Told of every other error that nobody could catch.
    """

    def __init__(self, heard: Heard) -> None:
        self.heard = heard
        self.lost: KeyboardInterrupt | None = None
        self.report_lost = sys.__unraisablehook__
        self._sender: threading.Thread | None = None
        self._on_its_way: int | None = None
        self._is_over = False

    def hear(self, number: int, frame: FrameType | None) -> None:
        """Raise what a signal asks for, unless it would be lost once more or was heard since it was sent again."""
        is_sent_again = number == self._on_its_way
        if is_sent_again:
            self._on_its_way = None
        if self._is_over or (is_sent_again and self.lost is None):
            return
        error = KeyboardInterrupt() if number == signal.SIGINT else Terminated(number)
        if _is_within(frame, _Handling.say_again.__code__):  # it comes again
            self.lost = error
            return
        self.lost = None
        if number != signal.SIGINT:
            self._ignore()  # once is enough: a second one must not cut the cleaning up short
            if self._on_its_way in ENDING_SIGNALS:  # it is ignored too, and is never heard
                self._on_its_way = None
        self.heard.error = error
        raise error

    def say_again(self, lost: UnraisableHookArgs) -> None:
        """Have a signal come again whose error was raised in a finaliser, or that came while one is told of here."""
        if isinstance(lost.exc_value, Terminated):
            signal.signal(lost.exc_value.number, self.hear)
        if isinstance(lost.exc_value, KeyboardInterrupt):
            self.lost = lost.exc_value
        else:
            self.report_lost(lost)
        if self.lost is not None and self._sender is None:
            self._sender = threading.Thread(target=self._send_until_the_end, daemon=True)
            self._sender.start()

    def end(self) -> None:
        """Raise nothing any more, and have all that was sent arrive."""
        self._is_over = True
        if self._sender is not None:
            self._sender.join()
            time.sleep(0)  # what is sent to a thread arrives when it comes back from the system

    def _ignore(self) -> None:
        for number in ENDING_SIGNALS:
            if signal.getsignal(number) == self.hear:
                signal.signal(number, signal.SIG_IGN)

    def _send_until_the_end(self) -> None:
        """Send what is lost, one at a time, so that none comes after another was heard.

        What comes just before the main thread begins to wait is heard when it has waited: it is woken.
        """
        while not self._is_over:
            time.sleep(_MOMENT_SECONDS)
            lost = self.lost
            if self._is_over:
                return
            if self._on_its_way is not None:
                if _WAKING_SIGNAL is not None:
                    _send(_WAKING_SIGNAL)
            elif lost is not None:
                self._on_its_way = lost.number if isinstance(lost, Terminated) else signal.SIGINT
                _send(self._on_its_way)


def _wake(number: int, frame: FrameType | None) -> None:
    """Do nothing: whoever waits for the system comes back, and signals that came before are heard."""


def _is_within(frame: FrameType | None, code: CodeType) -> bool:
    """Return whether a function runs in ``frame`` or in one that waits for it."""
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    return frame is not None


def _send(number: int) -> None:
    """Send a signal to the main thread, which may be waiting for something."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        signal.raise_signal(number)
