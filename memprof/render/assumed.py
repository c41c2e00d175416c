"""The line about sizes that a source leaves open: the same under a report, a check and a comparison."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from memprof.ir import Assumption
from memprof.render.terminal import Screen
from memprof.results.assumed import assumed_sizes, change_of


def show_assumed_sizes(
    screen: Screen, assumed: Sequence[Assumption], top: int, *, title: str = "Assumed", style: str = ""
) -> None:
    """Write which sizes were taken, and a flag that changes the first; nothing if none was.

    Args:
        screen: Where to.
        assumed: All that was assumed.
        top: How many are named.
        title: First word.
        style: Of the flag.
    """
    sizes = assumed_sizes(assumed)
    if sizes:
        names = ", ".join(screen.clean(note.name, limit=60) for note in sizes[:top])
        more = f" and {len(sizes) - top:,} more" if len(sizes) > top else ""
        example = screen.clean(change_of(sizes[0]), limit=100)
        screen.show(
            Text.assemble((f"{title}: ", "bold yellow"), f"{names}{more}", (f"; to change: {example}", style))
        )
