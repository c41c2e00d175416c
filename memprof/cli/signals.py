"""SIGTERM and SIGHUP end the program as Ctrl-C does: children are stopped, temporary folders removed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Terminated(KeyboardInterrupt):
    """Somebody asked the process to end; what looks after itself on Ctrl-C does so here too.

    Args:
        number: The signal's.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(signal.Signals(number).name)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Turn the first of those signals into ``Terminated``; a signal that is ignored (``nohup``) stays so."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield
        return
    before = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
    mine = [number for number, handler in before.items() if handler is signal.SIG_DFL]
    for number in mine:
        signal.signal(number, _raise_terminated)
    try:
        yield
    finally:
        for number in mine:
            signal.signal(number, before[number])


def _raise_terminated(number: int, frame: FrameType | None) -> None:
    for each in ENDING_SIGNALS:  # once is enough: a second one must not cut the cleaning up short
        if signal.getsignal(each) is _raise_terminated:
            signal.signal(each, signal.SIG_IGN)
    raise Terminated(number)
