"""What a comparison comes to, as a person would say it: how much, where the peak moved, what grew, and the weights.

Every sentence is a fact of the comparison; what is not known is not said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import PurePath

from memprof.base.text import safe_text
from memprof.base.units import format_apart, format_bytes, format_growth
from memprof.results.comparison import Change, Comparison, NamedChange

_MOST = 0.8
"""So much of a change are "most" of it."""

_ALL = 1.1
"""More than all of a change, and some room for rounding."""

_NAMED = 3

Show = Callable[[str], str]
"""How a name from a model is shown."""


def summarize_comparison(found: Comparison, show: Show = safe_text) -> str:
    """Return the comparison in a few sentences.

    Args:
        found: The comparison.
        show: Makes a name fit for where the sentences go.
    """
    sentences = [_peak(found, show), _place(found, show), _causes(found, show), _weights(found, show)]
    return " ".join(sentence for sentence in sentences if sentence)


def _peak(found: Comparison, show: Show) -> str:
    before, after = map(show, _names(found))
    peak = found.peak
    if peak.delta is None or peak.after is None or peak.before is None:
        return f"The peaks of {before} and {after} do not compare: a size is not known."
    if not peak.delta:
        return f"{after} needs as much at its peak as {before}, {format_bytes(peak.after)}."
    more = "more" if peak.delta > 0 else "less"
    ratio = "" if peak.ratio is None else f", {format_growth(peak.ratio)}"
    new, old = format_apart(peak.after, peak.before)
    gap = format_bytes(abs(peak.delta))
    return f"{after} needs {gap} {more} at its peak than {before}: {new} instead of {old}{ratio}."


def _names(found: Comparison) -> tuple[str, str]:
    """Return what the sides are called: files without folders, and networks of one library without its name."""
    before, after = (PurePath(side.path).name or side.path for side in (found.before, found.after))
    library, colon, _ = before.partition(":")
    if colon and after.startswith(library + colon) and before != after:
        return before[len(library) + 1 :], after[len(library) + 1 :]
    return before, after


def _place(found: Comparison, show: Show) -> str:
    before, after = found.peak_nodes
    if not before or not after:
        return ""
    old, new = _inside(found, 0, show), _inside(found, 1, show)
    if before == after and old == new:
        return f"The peak stays at {show(after)}{new}."
    return f"The peak moved from {show(before)}{old} to {show(after)}{new}."


def _inside(found: Comparison, side: int, show: Show) -> str:
    """Return the module that holds most of a side's peak, where one holds more than half."""
    sizes = {one.name: (one.change.before, one.change.after)[side] or 0 for one in found.peak_modules}
    name = max(sizes, key=lambda name: sizes[name], default="")
    peak = (found.peak.before, found.peak.after)[side] or 0
    return f" in {show(name)}" if name and sizes[name] * 2 > peak else ""


def _causes(found: Comparison, show: Show) -> str:
    delta = found.peak.delta
    if not delta:
        return ""
    old, new = (side.runtimes[found.headline].live for side in (found.before, found.after))
    is_named_alike = not old.keys().isdisjoint(new.keys())
    changes = found.tensors if is_named_alike or not found.peak_modules else _fold(found.peak_modules)
    named = _largest(changes, delta)
    if not named:
        return ""
    share = _share(named, delta)
    verb = f"Most of the {_more(delta)}" if share >= _MOST else f"The largest part of the {_more(delta)}"
    if share > _ALL:  # what went the other way takes some of it back
        verb = f"What {'grew' if delta > 0 else 'shrank'} most"
    return f"{verb}: {_list(named, show)}."


def _more(delta: int) -> str:
    return f"{format_bytes(abs(delta))} {'more' if delta > 0 else 'less'}"


def _weights(found: Comparison, show: Show) -> str:
    change = found.parameters
    if not change.delta or change.before is None or change.after is None:
        return f"The parameters stay at {format_bytes(change.after)}." if change.after and change.delta == 0 else ""
    what = "grow" if change.delta > 0 else "shrink"
    old, new = format_apart(change.before, change.after)
    text = f"The parameters {what} from {old} to {new}"
    text += "" if change.ratio is None else f", {format_growth(change.ratio)}"
    named = _largest(_fold(found.parameter_modules), change.delta)
    inside = [one for one in found.parameter_modules if named and one.name.startswith(f"{named[0].name}.")]
    if len(named) == 1 and len(inside) > 1:  # a trunk that holds nearly all says nothing of where
        named = _largest(found.parameter_modules, change.delta) or named
    if not named:
        return f"{text}."
    part = "most" if _share(named, change.delta) >= _MOST else "the largest part"
    growth = "growth" if change.delta > 0 else "saving"
    return f"{text}; {part} of that {growth} is in {_list(named, show)}."


def _largest(changes: Sequence[NamedChange], delta: int) -> list[NamedChange]:
    """Return the few changes in the direction of ``delta`` that make most of it, largest first."""
    same = [one for one in changes if (one.change.delta or 0) * delta > 0]
    found: list[NamedChange] = []
    for one in same[:_NAMED]:
        if found and (_share(found, delta) >= _MOST or abs(one.change.delta or 0) * 10 < abs(delta)):
            break
        found.append(one)
    return found


def _share(named: Sequence[NamedChange], delta: int) -> float:
    return sum(one.change.delta or 0 for one in named) / delta


def _list(named: Sequence[NamedChange], show: Show) -> str:
    amounts = {_signed(one.change) for one in named}
    if len(named) > 1 and len(amounts) == 1:
        names = [show(one.name) for one in named]
        return f"{', '.join(names[:-1])} and {names[-1]} ({amounts.pop()} each)"
    words = [f"{show(one.name)} ({_signed(one.change)})" for one in named]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _signed(change: Change) -> str:
    delta = change.delta or 0
    return f"{'+' if delta > 0 else '-'}{format_bytes(abs(delta))}"


def _fold(changes: Sequence[NamedChange]) -> list[NamedChange]:
    """Return changes by the first part of a module's path, if there are several; as they are if there is one."""
    sums: dict[str, tuple[int, int]] = {}
    for one in changes:
        head = one.name.partition(".")[0]
        before, after = sums.get(head, (0, 0))
        sums[head] = before + (one.change.before or 0), after + (one.change.after or 0)
    if len(sums) < 2:
        return list(changes)
    folded = [NamedChange(name, Change(*pair)) for name, pair in sums.items()]
    return sorted(folded, key=lambda one: (-abs(one.change.delta or 0), one.name))
