"""What ``memprof plan -o FILE`` writes: the suffix decides, one row each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from memprof.cli.output import check_writable, note, write_atomically
from memprof.errors import UsageError
from memprof.text import safe_text

if TYPE_CHECKING:
    from memprof.planning.plan import Plan


def check_plan_targets(targets: Iterable[str]) -> None:
    """Fail before the work if a file cannot be written.

    Raises:
        UsageError: A suffix means nothing, or a place cannot be written.
    """
    for target in targets:
        _find_writer(target)
        check_writable(target)


def write_plan_targets(plan: Plan, targets: Iterable[str], title: str) -> None:
    """Write ``plan`` to each of ``targets``, whole or not at all, and say so on stderr."""
    for target in targets:
        writer = _find_writer(target)
        write_atomically(target, partial(writer, plan, title))
        note(f"wrote {safe_text(target)}")


def _find_writer(target: str) -> Callable[[Plan, str, Path], None]:
    suffix = Path(target).suffix.lower()
    if suffix in PLOTS:
        return _write_map
    if suffix in TEXTS:
        return partial(_write_text, TEXTS[suffix])
    known = " ".join((*TEXTS, *PLOTS))
    raise UsageError(f"-o {target}: the suffix says what to write, and this one says nothing.", f"Choose: {known}.")


def _write_map(plan: Plan, title: str, path: Path) -> None:
    from memprof.plots.address_map import plot_addresses

    plot_addresses(plan.arena, path, title=title)


def _write_text(write: Callable[[Plan, str, TextIO], None], plan: Plan, title: str, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        write(plan, title, stream)


def _write_json(plan: Plan, title: str, stream: TextIO) -> None:
    from memprof.render.json import write_document

    write_document(plan.to_json(), stream)


def _write_csv(plan: Plan, title: str, stream: TextIO) -> None:
    from memprof.planning.minimalloc import write_csv

    write_csv(plan.arena, stream)


def _write_header(plan: Plan, title: str, stream: TextIO) -> None:
    from memprof.exporters.plan_header import write_header

    write_header(plan.arena, stream, title)


PLOTS = (".png", ".svg", ".pdf")
"""Suffixes of the address map."""

TEXTS: Mapping[str, Callable[[Plan, str, TextIO], None]] = {
    ".json": _write_json,
    ".csv": _write_csv,
    ".h": _write_header,
}
"""From a suffix to what writes such a text."""
