"""Which line of a model's own code asked for an operation: the innermost that is neither PyTorch's nor memprof's.

A line is told as file name and number (``net.py:12``), without the folder: that names nobody's machine. Nothing here
imports torch; saved programs are read without it.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path
from types import FrameType

_OWN = str(Path(__file__).parents[2])
_WATCHING = (str(Path(__file__).with_name("tracker.py")), __file__)
_FRAME = re.compile(r'File "([^"\n]+)", line (\d+)')
_LIBRARY = re.compile(r"[/\\]torch[/\\](?:_|autograd|export|functional|fx|nn|overrides|utils)")
_MOST_LETTERS = 120


def calling_line() -> str:
    """Return the line that runs an operation while a tracker watches, empty where PyTorch's own modules are all."""
    library = _library()
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith((library, "<")) and name not in _WATCHING:
            return "" if name.startswith(_OWN) else _told(name, frame.f_lineno)
        frame = frame.f_back
    return ""


def line_of(stack_trace: object) -> str:
    """Return the innermost line of a stack trace as torch.export records it, where it comes last; empty if none."""
    found = [(name, number) for name, number in _FRAME.findall(str(stack_trace or "")) if not _LIBRARY.search(name)]
    return _told(*found[-1]) if found else ""


@cache
def _library() -> str:
    return str(Path(sys.modules["torch"].__file__ or "").parent)


def _told(name: str, number: int | str) -> str:
    file = name.replace("\\", "/").rpartition("/")[2]
    return f"{file[-_MOST_LETTERS:]}:{number}"
