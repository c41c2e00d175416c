"""Pictures of a report, by matplotlib, which nothing outside of this package imports.

slide.py       the memory curve over who makes the peak, for a slide
lifetimes.py   the lifetime plot, a poster: a bar per tensor, the memory curve under it, the peak
rows.py        what gets a row of that plot and what is folded into groups; no drawing
sweep.py       the peak over sizes of a dimension
style.py       what all plots share: colours, type, the byte axis, saving
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memprof.plots.lifetimes import plot_lifetimes
    from memprof.plots.slide import plot_slide
    from memprof.plots.sweep import plot_sweep

__all__ = ["plot_lifetimes", "plot_slide", "plot_sweep"]

_HOMES = {
    "plot_lifetimes": "memprof.plots.lifetimes",
    "plot_slide": "memprof.plots.slide",
    "plot_sweep": "memprof.plots.sweep",
}


def __getattr__(name: str) -> Any:
    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module 'memprof.plots' has no attribute {name!r}") from None
    return getattr(import_module(home), name)
