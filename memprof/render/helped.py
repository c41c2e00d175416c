"""What would help, as text: the same under a report and under a check."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from memprof.base.palette import TERMINAL_CURVE
from memprof.base.text import safe_text
from memprof.base.units import format_bytes
from memprof.render.terminal import Screen
from memprof.results.helped import Change, Helped


def show_helped(screen: Screen, helped: Helped, leads: str, top: int) -> None:
    """Write the changes that would lower a peak, each with its effect and its command.

    Args:
        screen: Where to.
        helped: What was found.
        leads: The runtime model that is spoken of already.
        top: How many changes are shown.
    """
    screen.show(Text("What would help", style="bold"))
    for first, *others in _by_command(helped.changes, leads)[:top]:
        effects = [_effect(screen, first, leads)]
        if first.saved_weight_bytes:
            effects.append(f"weights {less(first.saved_weight_bytes)}")
        if first.saved_bytes < 0:  # what it is good for comes first
            effects = [*reversed(effects[1:]), f"but the peak {effects[0]}"]
        effect = "; ".join([*effects, *(_effect(screen, other, leads) for other in others)])
        screen.show(Text.assemble(f"  {screen.clean(first.what, limit=80)}: ", (effect, "bold")))
        screen.show(Text(f"    {screen.clean(first.command, limit=2000)}", style=TERMINAL_CURVE), keep_lines=True)
    for line, command in untried(helped):
        screen.show(Text(f"  {screen.clean(line, limit=2000)}", style="dim"))
        if command:
            screen.show(Text(f"    {screen.clean(command, limit=2000)}", style="dim"), keep_lines=True)


def _by_command(changes: Sequence[Change], leads: str) -> list[list[Change]]:
    """Return what each command changes, largest first; of one command the runtime model comes first that leads."""
    found: dict[tuple[str, str], list[Change]] = {}
    for change in changes:
        found.setdefault((change.what, change.command), []).append(change)
    return [sorted(group, key=lambda change: change.runtime != leads) for group in found.values()]


def _effect(screen: Screen, change: Change, leads: str) -> str:
    of = "" if change.runtime == leads else f" under {screen.clean(change.runtime, limit=40)}"
    return f"{less(change.saved_bytes)}{of}, {format_bytes(change.peak_bytes)}"


def untried(helped: Helped) -> Iterator[tuple[str, str]]:
    """Yield a line for what was tried in vain, and one with its command for each change that was not tried."""
    if helped.useless:
        yield f"Tried in vain: {'; '.join(safe_text(name, limit=80) for name in helped.useless)}", ""
    for found in helped.skipped:
        yield f"Not tried: {safe_text(found.what, limit=80)}", safe_text(found.command, limit=2000)


def untried_lines(helped: Helped) -> list[str]:
    """Return the same, each in one line."""
    return [f"{line}: {command}" if command else line for line, command in untried(helped)]


def less(saved_bytes: int) -> str:
    """Return by how much a number is lower, in words.

    >>> less(2_000), less(-500), less(0)
    ('2.00 kB less', '500 B more', 'no less')
    """
    if not saved_bytes:
        return "no less"
    return f"{format_bytes(abs(saved_bytes))} {'less' if saved_bytes > 0 else 'more'}"
