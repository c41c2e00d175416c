"""Where the parts of the lifetime plot are: measures in inches, the height of the page, the column of names.

header            figures in large type
rows              names | bars | bytes
headroom          the label of the peak
curve             on the steps of the bars
footer            steps, notes
"""

from __future__ import annotations

from dataclasses import dataclass

from memprof.plots import style
from memprof.plots.rows import Rows

WIDTH = 12.0
MARGIN = 0.7
HEADER = 2.55
CURVE = 2.0
HEADROOM = 0.5
FOOTER = 1.85
NAMES = (1.2, 3.2)
"""The column of names, at least and at most."""
BYTES = 1.65
"""The column of bytes and of shares of the peak."""
AMOUNTS = 1.1
"""Where in that column bytes end and shares begin."""
GAP = 0.14
PITCH = (0.2, 0.34)
"""From one row to the next, at least and at most."""
ROWS = 8.0
"""What the rows of tensors share before their least pitch makes the page higher."""
GROUP_PITCH = 0.38
GROUP_HEADING = 0.42
LINE = 0.17


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where things are, in inches from the bottom left corner of the page.

    Attributes:
        height: Of the page.
        left: Of the bars and of the curve.
        width: Of the bars and of the curve.
        rows_bottom: Of the lowest row.
        rows_top: Of the highest row.
        pitch: From one tensor's row to the next.
    """

    height: float
    left: float
    width: float
    rows_bottom: float
    rows_top: float
    pitch: float

    @property
    def right(self) -> float:
        """Where bars end and the column of bytes begins."""
        return self.left + self.width


def lay_out(rows: Rows) -> Layout:
    """Return a page as high as its rows need, with the names in as narrow a column as they fit."""
    names = [style.fit(row.name, NAMES[1], bold=True) for row in (*rows.tensors, *rows.others)]
    column = max(NAMES[0], max((style.text_width(name, bold=True) for name in names), default=0.0))
    pitch = min(PITCH[1], max(PITCH[0], ROWS / max(1, len(rows.tensors))))
    height = pitch * max(1, len(rows.tensors))
    if rows.others:
        height += GROUP_HEADING + GROUP_PITCH * len(rows.others)
    bottom = FOOTER + CURVE + HEADROOM
    left = MARGIN + column + GAP
    return Layout(
        height=bottom + height + HEADER,
        left=left,
        width=WIDTH - MARGIN - BYTES - left,
        rows_bottom=bottom,
        rows_top=bottom + height,
        pitch=pitch,
    )
