"""What all plots share: colours, type, measures, the byte axis, and how a figure is written to a file.

One accent colour on greys: it says "at the peak", and nothing else does, so that a plot reads the same in print and
to colour-blind eyes. Shape tells the rest apart (hollow, capped, hatched). Lengths are inches from the bottom left
corner of the page, so that type keeps its size whatever the figure's.

Figures are objects, never pyplot's; the caller's settings are put aside while one is drawn and come back untouched.
The same report gives the same bytes of SVG and PDF: no dates, a fixed salt, the typeface that ships with matplotlib.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, get_font
from matplotlib.text import Text
from matplotlib.textpath import TextToPath
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from memprof.base import palette
from memprof.base.errors import UsageError
from memprof.base.files import write_whole
from memprof.base.text import safe_text

INK = palette.LIGHT.ink
MUTED = palette.LIGHT.muted
BAR = palette.LIGHT.bar
BAR_EDGE = palette.BAR_EDGE
RULE = palette.LIGHT.rule
ACCENT = palette.LIGHT.accent
ACCENT_SHADE = palette.ACCENT_SHADE
ACCENT_TINT = palette.ACCENT_TINT
CURVE = palette.CURVE_FILL
PAPER = palette.LIGHT.paper

SMALL, TEXT, LARGE, TITLE = 7.5, 8.5, 15.0, 21.0
"""Type sizes in points."""

ZOOMED_FROM, ZOOMED_STEPS = 200, 80
"""Steps from which on a picture for a slide shows a part of them, and how many it shows then."""

_POINTS_PER_INCH = 72.0

FORMATS: dict[str, dict[str, Any]] = {
    ".png": {"dpi": 200, "metadata": {"Software": "memprof"}},
    ".svg": {"metadata": {"Date": None, "Creator": "memprof"}},
    ".pdf": {"metadata": {"CreationDate": None, "Creator": "memprof", "Producer": "memprof"}},
}
"""File suffix -> how it is saved."""

_SETTINGS: Any = {
    "axes.unicode_minus": False,
    "hatch.linewidth": 0.6,
    "path.simplify": False,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",  # text that can be searched, copied and read aloud; a font that is missing is replaced
    "svg.hashsalt": "memprof",
    "text.parse_math": False,  # a $ in a name stays a $
    "text.usetex": False,
}


@contextmanager
def house_style() -> Iterator[None]:
    """Put the caller's matplotlib settings aside and draw under memprof's; theirs come back at the end."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


class Page:
    """A white figure of a given size on which things are placed in inches.

    Args:
        width: In inches.
        height: In inches.
    """

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width, height), facecolor=PAPER)

    def axes(self, left: float, bottom: float, width: float, height: float) -> Axes:
        """Return bare axes: no frame, no ticks."""
        rectangle = (left / self.width, bottom / self.height, width / self.width, height / self.height)
        axes = self.figure.add_axes(rectangle, facecolor="none")
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.tick_params(length=0, labelsize=SMALL, labelcolor=MUTED, pad=5)
        return axes

    def text(self, left: float, bottom: float, text: str, **style: Any) -> Text:
        """Write at a place of the page; see ``text_style``."""
        return self.figure.text(left / self.width, bottom / self.height, text, **text_style(**style))


def text_style(*, size: float = TEXT, colour: str = INK, bold: bool = False, **more: Any) -> dict[str, Any]:
    """Return matplotlib's keywords for text of the house."""
    return {"fontproperties": typeface(bold=bold, size=size), "color": colour, **more}


def typeface(*, bold: bool = False, size: float = TEXT) -> FontProperties:
    """Return the typeface that every matplotlib brings along, so that no machine's fonts matter."""
    folder = Path(matplotlib.get_data_path(), "fonts", "ttf")
    return FontProperties(fname=str(folder / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf")), size=size)


def text_width(text: str, *, size: float = TEXT, bold: bool = False) -> float:
    """Return the width of ``text`` in inches, with a little for what rounding to pixels adds."""
    if not text:
        return 0.0
    font = typeface(bold=bold, size=size)
    width, _, _ = TextToPath().get_text_width_height_descent(text, font, ismath=False)
    return 1.02 * float(width) / _POINTS_PER_INCH


def fit(text: str, width: float, *, size: float = TEXT, bold: bool = False) -> str:
    """Return a name from a model as it can be drawn in ``width`` inches: safe, in known glyphs, its middle cut out.

    A character that the typeface lacks is shown as ``\\uNNNN``: names stay distinct, and nothing draws as a box.
    """
    text = "".join(c if _has_glyph(c) else _escape(c) for c in safe_text(text))
    if text_width(text, size=size, bold=bold) <= width:
        return text
    fits, too_long = 0, len(text)  # characters kept
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if text_width(_cut(text, middle), size=size, bold=bold) <= width:
            fits = middle
        else:
            too_long = middle
    return _cut(text, fits)


def _cut(text: str, kept: int) -> str:
    tail = (kept + 1) // 2
    return f"{text[: kept - tail]}…{text[len(text) - tail :]}"


@cache
def _has_glyph(character: str) -> bool:
    return get_font(typeface().get_file() or "").get_char_index(ord(character)) != 0


def _escape(character: str) -> str:
    point = ord(character)
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def set_tick_type(axes: Axes) -> None:
    """Set the tick labels of both axes in the house's type."""
    for tick_label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        tick_label.set(fontproperties=typeface(size=SMALL), color=MUTED)


def byte_axis(axes: Axes, highest_bytes: float, *, count: int = 4) -> None:
    """Let the y axis run from 0 to ``highest_bytes`` and a little more, labelled in one round unit."""
    top = highest_bytes * 1.02
    axes.set_ylim(0, top or 1)
    axis = axes.yaxis
    if not top:
        axis.set_major_locator(FixedLocator([0]))
    else:
        axis.set_major_locator(MaxNLocator(nbins=count, steps=[1, 2, 2.5, 5, 10], integer=top < 10))
    power, unit = _unit(top)
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / power:g} {unit}" if value else "0"))


def _unit(highest_bytes: float) -> tuple[int, str]:
    units = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
    steps = 0
    while highest_bytes >= 1000 and steps < len(units) - 1:
        highest_bytes /= 1000
        steps += 1
    return 1000**steps, units[steps]


def save_figure(figure: Figure, path: str | os.PathLike[str], title: str = "") -> None:
    """Write ``figure`` to ``path`` as its suffix says, whole or not at all; call it in ``house_style``.

    Args:
        figure: What was drawn.
        path: Where to.
        title: What a viewer calls it.

    Raises:
        UsageError: The suffix is none of ``FORMATS``, or the file cannot be written.
    """
    check_suffix(path)
    suffix = Path(path).suffix.lower()
    picture = BytesIO()
    saved = FORMATS[suffix]
    if title:
        saved = saved | {"metadata": saved["metadata"] | {"Title": safe_text(title)}}
    figure.savefig(picture, format=suffix[1:], facecolor=PAPER, **saved)
    write_whole(path, lambda draft: draft.write_bytes(picture.getvalue()))


def check_suffix(path: str | os.PathLike[str]) -> None:
    """Raise a UsageError unless ``path`` ends as a picture that can be written."""
    suffix = Path(path).suffix
    if suffix.lower() not in FORMATS:
        raise UsageError(
            f"A plot cannot be written as {suffix!r}." if suffix else f"The plot's file {str(path)!r} has no suffix.",
            f"Name a file that ends in {', '.join(FORMATS)}.",
        )
