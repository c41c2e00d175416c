"""The last line of a report: the next useful command, filled in, ready to be copied."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from itertools import pairwise
from math import gcd
from pathlib import Path
from typing import TYPE_CHECKING

from memprof.base.text import safe_text

if TYPE_CHECKING:
    from memprof.results.report import Report
    from memprof.results.sweep import Sweep

_SETTLING_FLAGS = ("--dim", "--input")


def advise(report: Report, model: str, flags: Sequence[str], *, has_files: bool, has_why: bool) -> str:
    """Return the command to try next.

    Args:
        report: What was found.
        model: The model as the caller wrote it.
        flags: The flags of this call that decide what is analysed, not how it is shown.
        has_files: Whether this call wrote files.
        has_why: Whether this call showed the causes.

    What stays unknown comes first, for a microcontroller its boards, then the picture, then the causes, then a
    smaller peak.
    """
    from memprof.importers.request import names_report  # not for a command's help

    base = ["memprof", "analyze", model, *flags]
    is_saved = names_report(model)  # sizes are settled there, and there is nothing to plan
    if not is_saved and (missing := [flag for flag in settling_flags(report) if flag not in flags]):
        return _shell([*base, *missing])
    if report.headline.runtime.name == "tflm" and not is_saved and not has_files and not has_why:
        return _shell(["memprof", "boards", model, *_without_runtimes(flags)])
    if not has_files and not has_why:
        return _shell([*base, "-o", f"{Path(model).stem.rpartition(':')[2] or 'model'}.png"])
    if not has_why:
        return _shell([*base, "--why"])
    from memprof.cli import COMMANDS  # here, since this module serves one of them

    cannot_plan = report.unknown or "--run" in flags  # a plan needs all sizes; what was measured has no other orders
    if is_saved or cannot_plan or "plan" not in COMMANDS:
        limit = (report.headline.known_bytes_at_least * 11 + 9) // 10
        chosen = ["--runtime", report.headline.runtime.name] if "--runtime" in flags else []
        return _shell(["memprof", "check", model, *_without_runtimes(flags), *chosen, "--max-peak", str(limit)])
    return _shell(["memprof", "plan", model, *_for_plan(report, flags)])


def _for_plan(report: Report, flags: Sequence[str]) -> list[str]:
    """Return ``flags`` as ``plan`` takes them: one runtime model whose orders are planned, no size left open."""
    from memprof.runtimes import RUNTIMES

    words = _without_runtimes(flags)
    named = [name for name in report.runtimes if "--runtime" in flags and name in flags]
    planned = next((name for name in named if (row := RUNTIMES.get(name)) and row.ordering), None)
    words += ["--runtime", planned] if planned else []
    for note in report.assumed:
        if note.kind == "dimension":
            words += shlex.split(note.hint)
    return words


def _without_runtimes(flags: Sequence[str]) -> list[str]:
    words = list(flags)
    while "--runtime" in words:
        place = words.index("--runtime")
        del words[place : place + 2]
    return words


def advise_sweep(report: Report, model: str, flags: Sequence[str], targets: Sequence[str]) -> str:
    """Return the command to try after a sweep: what settles it, its picture, then the largest size that fits."""
    if missing := [flag for flag in settling_flags(report) if flag not in flags]:
        return _shell(["memprof", "analyze", model, *flags, *missing])
    if not targets:
        return _shell(["memprof", "analyze", model, *flags, "-o", "sweep.png"])
    assert report.sweep is not None, "a sweep was asked for"
    others = flags[: flags.index("--sweep")]  # sweeps are the last of the flags
    name = next(iter(report.sweep.dims))
    words = ["memprof", "fit", model, *others, "--ram", str(_amount_at_the_end(report)), "--dim", name]
    step = _step(report.sweep, name)
    return _shell([*words, *(("--step", str(step)) if step > 1 else ())])


def _step(found: Sweep, name: str) -> int:
    """Return the step from which the known sizes of a sweep are multiples, where it has unknown ones: 1 if not."""
    known = [point.dims[name] for point in found.points if point.peak_intermediate_bytes is not None]
    return gcd(*known) if len(known) < len(found.points) else 1


def _amount_at_the_end(report: Report) -> int:
    """Return what holds the largest known point of a sweep, rounded up: asked what fits that, fit has an answer."""
    model, points = report.model, report.sweep.points if report.sweep is not None else ()
    weights = model.parameter_bytes + model.foldable_constant_bytes
    process = report.process.size_bytes or 0 if report.process is not None else 0
    taken = [point.process_bytes or (point.peak_intermediate_bytes or 0) * 2 + weights + process for point in points]
    most = max(taken, default=0)
    unit = int("1".ljust(len(str(most)) - 1, "0"))
    return (most // unit + 1) * unit


def settling_flags(report: Report) -> list[str]:
    """Return the flags that would settle the report's unknowns, as arguments, each once.

    A hint quotes its flag: ``--dim batch=1``. Where it leaves the number open, ``N`` becomes 1.
    """
    found: dict[tuple[str, str], None] = {}
    for unknown in report.unknown:
        try:
            words = shlex.split(unknown.hint)
        except ValueError:  # a name with a lone quote: no flag can be read from the sentence
            continue
        for word, value in pairwise(words):
            if word in _SETTLING_FLAGS and "=" in value:
                found[word, re.sub(r"=N$", "=1", value.rstrip(".,;"))] = None
    return [word for pair in found for word in pair]


def _shell(words: Sequence[str]) -> str:
    return safe_text(shlex.join(words), limit=2000)
