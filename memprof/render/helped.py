"""What would help, as text: the same under a report and under a check."""

from __future__ import annotations

from rich.text import Text

from memprof.base.palette import TERMINAL_CURVE
from memprof.base.units import format_bytes
from memprof.render.terminal import Screen
from memprof.results.helped import Helped


def show_helped(screen: Screen, helped: Helped, leads: str, top: int) -> None:
    """Write the changes that would lower a peak, each with its effect and its command.

    Args:
        screen: Where to.
        helped: What was found.
        leads: The runtime model that is spoken of already.
        top: How many changes are shown.
    """
    screen.show(Text("What would help", style="bold"))
    for change in helped.changes[:top]:
        of = "" if change.runtime == leads else f" under {screen.clean(change.runtime, limit=40)}"
        effect = f"{format_bytes(change.saved_bytes)} less{of}, {format_bytes(change.peak_bytes)}"
        screen.show(Text.assemble(f"  {screen.clean(change.what, limit=80)}: ", (effect, "bold")))
        screen.show(Text(f"    {screen.clean(change.command, limit=2000)}", style=TERMINAL_CURVE), keep_lines=True)
    if helped.skipped:
        names = "; ".join(screen.clean(name, limit=80) for name in helped.skipped)
        screen.show(Text(f"  Not tried: {names}", style="dim"))
