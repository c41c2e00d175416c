"""The colours of every picture, page and terminal: the same thing has the same colour wherever it is shown.

One accent says "at the peak", and nothing else does. The rest of a report is greys and one blue; what must be told
apart by colour (what bytes are for) takes a series that colour-blind eyes can tell apart too, after Okabe and Ito.
Light and dark differ in lightness, not in hue.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """Colours on one background.

    Attributes:
        ink: Text.
        muted: Text that matters less.
        rule: Lines and edges.
        paper: The background.
        raised: A background that stands out a little.
        bar: A tensor that is not at the peak.
        curve: The memory curve.
        accent: At the peak.
        good: Less than before, or within the budget.
        bad: More than before, or over it.
    """

    ink: str
    muted: str
    rule: str
    paper: str
    raised: str
    bar: str
    curve: str
    accent: str
    good: str
    bad: str


LIGHT = Theme(
    ink="#1f2933",
    muted="#5d6873",
    rule="#dde2e7",
    paper="#ffffff",
    raised="#f4f6f8",
    bar="#b3bcc6",
    curve="#3b7dd8",
    accent="#c2410c",
    good="#15803d",
    bad="#b91c1c",
)
DARK = Theme(
    ink="#e6e9ee",
    muted="#9aa5b1",
    rule="#333c47",
    paper="#14181d",
    raised="#1d232a",
    bar="#56616e",
    curve="#6aa5f2",
    accent="#fb8147",
    good="#4ade80",
    bad="#f87171",
)

BAR_EDGE = "#8a95a1"
"""Around a tensor that is not at the peak, and lines between things; on paper."""

ACCENT_SHADE = "#eba987"
"""At the peak, under text."""

ACCENT_TINT = "#fbe9df"
"""The step of the peak, behind all else."""

CURVE_FILL = "#d5dce3"
"""Under a curve that no kinds of bytes are told apart in."""

FIELD = "#f6f7f9"
"""An arena where nothing lies."""

ON_COLOUR = "#ffffff"
"""Text on one of the series."""

BYTES_FOR: Mapping[str, str] = MappingProxyType(
    {
        "parameters": "#0072b2",
        "inputs": "#56b4e9",
        "activations": "#009e73",
        "saved activations": "#009e73",
        "outputs": "#8fbf3f",
        "gradients": "#cc79a7",
        "optimizer state": "#e69f00",
        "key-value cache": "#b0713c",
        "scratch": "#8b6fc0",
        "held": "#a3adb859",  # what is taken and empty lets the background through
        "other": "#8a95a1",
    }
)
"""What bytes are for -> its colour, readable on light and on dark."""

SERIES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#8b6fc0", "#8fbf3f", "#b0713c")
"""Colours of things that have none of their own, modules say, in order."""

TERMINAL_ACCENT = "#e0612b"
"""Between the two themes' accents: a terminal does not say how dark it is."""

TERMINAL_CURVE = "#4f93e0"
