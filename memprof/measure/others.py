"""Copies of a process as it was, each of which does one piece of work when it is asked to: forks inside a child.

They are made before the process does its own part, wait until they are asked, one at a time, and die with it.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

_PR_SET_PDEATHSIG = 1
_PIECE = 1 << 16


class Others:
    """Copies that wait; use it as a context manager, whose end is theirs.

    Args:
        count: How many at most.
        work: What each does with its number, counted from 1; what it returns is JSON-ready.
    """

    def __init__(self, count: int, work: Callable[[int], Any]) -> None:
        self._asks: list[int] = []
        self._answers: list[int] = []
        self._pids: list[int] = []
        parent = os.getpid()
        for number in range(1, count + 1):
            try:
                ends = (*os.pipe(), *os.pipe())
                pid = os.fork()
            except OSError:  # no more processes or files are allowed: fewer copies
                break
            asked, ask, read, answer = ends
            if not pid:
                for end in (ask, read, *self._asks, *self._answers):  # else none would hear that the asker is gone
                    os.close(end)
                _wait_and_work(parent, asked, answer, partial(work, number))
            os.close(asked)
            os.close(answer)
            self._pids.append(pid)
            self._asks.append(ask)
            self._answers.append(read)

    def __enter__(self) -> Others:
        return self

    def __exit__(self, *_: object) -> None:
        for pid in self._pids:
            os.kill(pid, signal.SIGKILL)  # its number is its own until it is waited for
            os.waitpid(pid, 0)
        for end in (*self._asks, *self._answers):
            os.close(end)

    def ask(self, index: int) -> Any:
        """Return what copy ``index`` (from 0) found, ``None`` if it failed or was not made; each is asked once."""
        if index >= len(self._pids):
            return None
        try:
            os.write(self._asks[index], b"?")
        except BrokenPipeError:  # it was ended while it waited
            return None
        pieces = []
        while piece := os.read(self._answers[index], _PIECE):
            pieces.append(piece)
        try:
            return json.loads(b"".join(pieces))
        except ValueError:  # nothing, or half of it: it was ended while it wrote
            return None


def _wait_and_work(parent: int, asked: int, answer: int, work: Callable[[], Any]) -> None:
    """Do the work once asked, write what it found, and end; nothing of the caller runs on in a copy."""
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == parent and os.read(asked, 1):
            found = json.dumps(work()).encode()
            for start in range(0, len(found), _PIECE):
                _write(answer, found[start : start + _PIECE])
    finally:
        os._exit(0)  # whatever it raised, or a session's own end: the answer is there whole, or there is none


def _write(end: int, piece: bytes) -> None:
    while piece:
        piece = piece[os.write(end, piece) :]
