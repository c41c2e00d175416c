"""What would help a model that takes too much: each change is made, the model evaluated, and the effect kept.

asked.py    what is to be helped
sizes.py    batch 1, half the height and width, half the length, where the source leaves them open
lighter.py  another optimiser or precision of a named PyTorch module
kept.py     the answer, kept for the next analysis of the same file
orders.py   another order of the same operations, operations in place
files.py    what tools make of an .onnx file: initialisers that are no graph inputs, int8, float16, folded batch
            norms, a later opset

What trying a change takes is counted in steps, each a millisecond of a processor or less, which follow from the
size of the model alone: the same question has the same answer on a busy machine. A change that goes beyond
``MAX_STEPS`` is not tried, and named with its command. Tools run in a child process; what they made is kept. What was
tried in vain is named too. Nothing is promised of results: a smaller image may be seen worse.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator
from functools import partial

from memprof.api import load
from memprof.api.helping.asked import Asked, Attempt, NotMadeError
from memprof.api.helping.kept import kept_help
from memprof.api.helping.lighter import lighter_runs
from memprof.api.helping.orders import other_orders
from memprof.api.helping.sizes import size_flags, smaller_sizes
from memprof.base.errors import ChangedError, MemprofError
from memprof.importers.request import Request
from memprof.ir.model import Model
from memprof.results.helped import Change, Helped, Untried
from memprof.results.report import Report

MAX_STEPS = 2600
"""So much may be spent on changes, in steps: a second or two of a processor, half of it in a child."""

_LEAST = 0.01
_MOST_NODES = 5000
"""Beyond these it takes longer to see what could be tried than to try it."""


def find_help(request: Request, report: Report, model: Model | None = None) -> Helped:
    """Return what would lower the peak of ``report``, which answers ``request``.

    Args:
        request: What was asked.
        report: The answer.
        model: The source as it was read for it; read anew if left out.
    """
    if request.from_file or not (request.is_file or _is_resized_by_name(request)):
        return Helped()
    if report.model.nodes > _MOST_NODES:
        command = shlex.join(["memprof", "plan", request.name, *size_flags(request)])
        return Helped(skipped=(Untried("a large model: changes are not tried", command),))
    peak = report.peak_intermediate_bytes
    if peak is None:
        return Helped()
    return kept_help(request, report, partial(_find, request, report, model, peak))


def _is_resized_by_name(request: Request) -> bool:
    """Tell whether a module can be asked for again in another way, by a command: it is named, with a usual loss."""
    is_usual = request.training is None or request.training.loss is None
    return isinstance(request.source, str) and is_usual and not request.run


def _find(request: Request, report: Report, model: Model | None, peak: int) -> Helped:
    try:
        model = model or load(request)
    except MemprofError:
        return Helped()
    weights = report.model.parameter_bytes + report.model.foldable_constant_bytes
    return _try_all(Asked(request=request, report=report, model=model, peak_bytes=peak, weight_bytes=weights))


def help_broken(request: Request, report: Report, model: Model | None, over: Collection[str]) -> Helped | None:
    """Return what would help a model of which limits are broken, ``None`` where no change of these kinds is known to.

    Args:
        request: What was asked.
        report: The answer.
        model: The source as it was read for it; read anew if left out.
        over: Names of the limits that are broken: ``peak``, ``total`` and others.
    """
    if not {"peak", "total"}.intersection(over):
        return None
    found = find_help(request, report, model)
    found = found if "total" in over else found.of_peak()
    return found if found.changes or found.skipped else None


def _try_all(asked: Asked) -> Helped:
    changes: list[Change] = []
    useless, skipped, was_cut, left = [], [], False, MAX_STEPS
    for kind in (_of_requests, _of_files):
        for attempt in kind(asked, left):
            untried = Untried(attempt.what, attempt.command)
            if attempt.steps > left:
                skipped.append(untried)
                continue
            left -= attempt.steps
            try:
                found = attempt.effects()
            except (NotMadeError, ChangedError):
                skipped.append(untried)
                was_cut = True
                continue
            except MemprofError:  # the model does not run so
                continue
            useful = [change for change in found if _is_worth_it(asked, change)]
            changes += useful
            if found and not useful:
                useless.append(attempt.what)
    largest_first = sorted(changes, key=lambda change: -change.total_saved_bytes)
    return Helped(tuple(largest_first), tuple(useless), tuple(skipped), was_cut)


def _is_worth_it(asked: Asked, change: Change) -> bool:
    """Tell whether a change lowers the peak, or peak and weights together, by a hundredth at least."""
    whole = asked.peak_bytes + asked.weight_bytes
    return change.saved_bytes > asked.peak_bytes * _LEAST or change.total_saved_bytes > whole * _LEAST


def _of_requests(asked: Asked, _: int) -> Iterator[Attempt]:
    yield from smaller_sizes(asked)
    if not asked.request.is_file:
        yield from lighter_runs(asked)
    if asked.request.is_file and not asked.model.format.startswith("torch"):
        yield from other_orders(asked)


def _of_files(asked: Asked, steps: int) -> Iterator[Attempt]:
    if asked.model.format == "onnx":
        from memprof.api.helping.files import changes_of_files

        yield from changes_of_files(asked, steps)
