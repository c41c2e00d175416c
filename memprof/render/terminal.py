"""What a terminal, or the pipe in its place, can show: its width, its characters, its colours."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console, RenderableType

from memprof.base.text import safe_text

MAX_WIDTH = 110  # wider lines are harder to read, not easier
MIN_WIDTH = 40
_PIPE_WIDTH = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Glyphs:
    """Characters for drawings.

    Attributes:
        columns: From empty to full, growing upwards.
        bars: From empty to full, growing to the right.
        tick: Where a label meets the vertical axis.
        vertical: The vertical axis.
        corner: Where the axes meet.
        horizontal: The horizontal axis.
        marker: Points down at the peak.
        ellipsis: Stands for text left out.
        at_least: Greater or equal.
        nothing: Stands for no value.
        separator: Between facts on one line.
    """

    columns: str
    bars: str
    tick: str
    vertical: str
    corner: str
    horizontal: str
    marker: str
    ellipsis: str
    at_least: str
    nothing: str
    separator: str


UNICODE = Glyphs(
    columns=" ▁▂▃▄▅▆▇█",
    bars=" ▏▎▍▌▋▊▉█",
    tick="┤",
    vertical="│",
    corner="└",
    horizontal="─",
    marker="▼",
    ellipsis="…",
    at_least="≥",
    nothing="–",  # noqa: RUF001 - a dash, meant
    separator="·",
)
ASCII = Glyphs(
    columns=" .:#",
    bars=" -=#",
    tick="+",
    vertical="|",
    corner="+",
    horizontal="-",
    marker="v",
    ellipsis="..",
    at_least=">=",
    nothing="-",
    separator="-",
)


_LEAST_PARTS = 12
"""Cells below which a name and what stands in brackets behind it are not both shown."""


@dataclass(frozen=True, slots=True)
class Screen:
    """Where text is drawn.

    Attributes:
        console: rich's console on the stream.
        glyphs: The characters that the stream's encoding can show.
    """

    console: Console
    glyphs: Glyphs

    @property
    def width(self) -> int:
        """Columns to fill at most."""
        return self.console.width

    def show(self, *renderables: RenderableType, keep_lines: bool = False) -> None:
        """Write each of ``renderables`` on lines of its own, without blanks at the end of a line.

        Args:
            renderables: What rich can draw; nothing writes an empty line.
            keep_lines: Do not break lines that are too long: they are there to be copied.
        """
        with self.console.capture() as capture:
            for renderable in renderables or ("",):
                self.console.print(renderable, soft_wrap=keep_lines)
        self.console.file.writelines(f"{line.rstrip()}\n" for line in capture.get().splitlines())

    def clean(self, text: str, limit: int = 200) -> str:
        """Return a text from a model as ``safe_text`` has it, in characters that the stream's encoding can show."""
        return self._encodable(safe_text(text, limit))

    def fit(self, text: str, width: int) -> str:
        """Return ``text`` in at most ``width`` cells, shortened in the middle: both ends of a name tell it apart.

        Of ``name (operation)`` each part is shortened by itself, so that the brackets stay whole.
        """
        text = self._encodable(text)
        if cell_len(text) <= width:
            return text
        name, bracket, inner = text.removesuffix(")").rpartition(" (")
        if bracket and text.endswith(")") and "(" not in inner and ")" not in inner:
            return self._fit_parts(name, inner, width)
        return self._cut(text, width)

    def _fit_parts(self, name: str, inner: str, width: int) -> str:
        room = width - len(" ()")
        if room < _LEAST_PARTS:
            return self._cut(f"{name.partition(' (')[0]}{self.glyphs.ellipsis}", width)
        of_name = min(cell_len(name), max(room - cell_len(inner), room // 3))
        return f"{self.fit(name, of_name)} ({self.fit(inner, room - of_name)})"

    def _cut(self, text: str, width: int) -> str:
        if cell_len(text) <= width:
            return text
        room = width - len(self.glyphs.ellipsis)
        if room < 1:
            return _take(text, max(0, width))
        tail = _take(text[::-1], room - room // 3)[::-1]
        return f"{_take(text, room - cell_len(tail))}{self.glyphs.ellipsis}{tail}"

    def _encodable(self, text: str) -> str:
        encoding = self.console.encoding
        return text.encode(encoding, "backslashreplace").decode(encoding)


def open_screen(stream: TextIO, width: int | None = None) -> Screen:
    """Return a screen on ``stream``: as wide as its terminal, 80 columns into a pipe or file.

    Colours appear on a terminal only, and not under ``NO_COLOR`` or ``TERM=dumb``.
    """
    if width is None:
        fallback = (_PIPE_WIDTH, 24)
        width = shutil.get_terminal_size(fallback).columns if stream.isatty() else _PIPE_WIDTH
    width = max(MIN_WIDTH, min(width, MAX_WIDTH))
    console = Console(file=stream, width=width, highlight=False, markup=False, emoji=False)
    drawn = "".join(getattr(UNICODE, name) for name in Glyphs.__slots__)
    try:
        drawn.encode(console.encoding)
    except (UnicodeEncodeError, LookupError):
        return Screen(console, ASCII)
    return Screen(console, UNICODE)


def _take(text: str, width: int) -> str:
    taken = 0
    for i, character in enumerate(text):
        taken += cell_len(character)
        if taken > width:
            return text[:i]
    return text
