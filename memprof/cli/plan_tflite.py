"""``memprof plan model.tflite``: addresses and an order for TensorFlow Lite Micro, written into the file it loads."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from memprof.base.errors import UsageError
from memprof.base.files import check_writable, strange_suffix, write_whole
from memprof.base.text import safe_text
from memprof.base.units import parse_bytes
from memprof.cli.output import note, open_stdout, telling
from memprof.cli.plan_targets import PLOTS
from memprof.render.json import write_document

if TYPE_CHECKING:
    from memprof.importers.request import Request
    from memprof.measure.child import Limits
    from memprof.planning.tflm import TflmPlan

_ANSWERS = {True: 0, False: 1, None: 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class TfliteRequest:
    """What is asked about a .tflite file.

    Attributes:
        request: The file.
        limits: What runs of it may use.
        seconds: Time to search.
        keep_order: Whether the operators stay in the file's order.
        budget: Size of an arena to decide about, as it was typed; ``None`` for none.
        targets: Files to write.
        picture: Format of an address map.
        measure: Whether both files are run.
        as_json: Whether JSON is printed.
    """

    request: Request
    limits: Limits
    seconds: float
    keep_order: bool
    budget: str | None
    targets: tuple[str, ...]
    picture: str
    measure: bool
    as_json: bool


def is_tflite(model: str) -> bool:
    """Tell whether a file goes by the name of TensorFlow Lite."""
    return Path(model).suffix.lower() == _MODEL


def check_flags(flags: Mapping[str, object]) -> None:
    """Refuse flags that mean nothing to this runtime.

    Raises:
        UsageError: One is set.
    """
    odd = [flag for flag, value in flags.items() if value]
    if odd:
        raise UsageError(
            f"{odd[0]} means nothing to TensorFlow Lite Micro.",
            "Leave it out, or plan for another runtime model: --runtime reference.",
        )


def plan_file(asked: TfliteRequest) -> int:
    """Plan, write, measure and show; return the exit code.

    Raises:
        UsageError: A flag does not fit, or a target cannot be written.
        InputError: The file is missing or invalid.
        IncompleteError: It cannot be planned safely.
    """
    if asked.budget is not None:
        parse_bytes(asked.budget)
    from memprof.importers.tflite import read_tflite
    from memprof.planning.tflm import plan_program
    from memprof.render.plan_tflite import render_tflm_plan

    planned = next((target for target in asked.targets if is_tflite(target)), None)
    _check_targets(asked.targets)
    if asked.measure and planned is None:
        raise UsageError("--measure compares two files.", "Add -o better.tflite.")
    if asked.measure:
        from memprof.measure.tflm import require_tflm

        require_tflm("--measure")  # before anything is written
    request = asked.request
    if request.fixes_sizes:
        raise UsageError("The plan is for the file as it is.", "Convert the model with the shape that is wanted.")
    program = read_tflite(request.path, dims={}, inputs={}).graph.program
    assert program is not None, "a .tflite file is a program"
    has_header = any(Path(target).suffix.lower() == ".h" for target in asked.targets)
    if has_header and not asked.keep_order:
        note("the operators keep their order: a header goes with the file as it is")
    with telling(f"planning {safe_text(asked.request.name)}"):
        plan = plan_program(program, asked.seconds, keep_order=asked.keep_order or has_header)
    for target in asked.targets:
        suffix = Path(target).suffix.lower()
        write = partial(_write_map, asked.picture) if suffix in PLOTS else _WRITERS[suffix]
        with telling(f"writing {safe_text(target)}"):
            write(plan, request.path, Path(target))
        note(f"wrote {safe_text(target)}")
    measured = None
    if asked.measure and planned is not None:
        from memprof.measure.tflm_plans import measure_plan

        with telling(f"running {safe_text(planned)}"):
            measured = measure_plan(plan, request.name, planned, asked.limits)
    budget_bytes = None if asked.budget is None else parse_bytes(asked.budget)
    answer = None if budget_bytes is None else plan.fits(budget_bytes)
    with open_stdout() as stream:
        if asked.as_json:
            extra = {} if measured is None else {"measured": measured.to_json()}
            budget = {} if budget_bytes is None else {"budget": {"bytes": budget_bytes, "fits": answer}}
            write_document(plan.to_json() | budget | extra, stream)
        else:
            command = shlex.join(_advise(request.name, planned, has_measured=measured is not None))
            render_tflm_plan(plan, stream, measured=measured, budget=asked.budget, next_command=command)
    return 0 if asked.budget is None else _ANSWERS[answer]


def _advise(model: str, planned: str | None, *, has_measured: bool) -> list[str]:
    """Return the command to try next: the planned file, the proof of it where its runtime is installed, the file."""
    can_measure = find_spec("tflite_micro") is not None
    if planned is None:
        measure = ["--measure"] if can_measure else []
        return ["memprof", "plan", model, "-o", f"{Path(model).stem or 'model'}-planned.tflite", *measure]
    if can_measure and not has_measured:
        return ["memprof", "plan", model, "-o", planned, "--measure"]
    return ["memprof", "analyze", planned]


def _check_targets(targets: Iterable[str]) -> None:
    for target in targets:
        if Path(target).suffix.lower() not in (*_WRITERS, *PLOTS):
            raise strange_suffix(target, (*_WRITERS, *PLOTS), "a plan for a .tflite file is not written as that")
        check_writable(target)


def _write_model(plan: TflmPlan, source: Path, target: Path) -> None:
    from memprof.exporters.tflite_plan import write_planned

    write_planned(source, target, plan.program, plan.order)


def _write_header(plan: TflmPlan, source: Path, target: Path) -> None:
    from memprof.exporters.tflm_header import header_text

    text = header_text(plan, source.stem)
    write_whole(target, lambda draft: draft.write_text(text, encoding="utf-8", newline=""))


def _write_json(plan: TflmPlan, source: Path, target: Path) -> None:
    def write(draft: Path) -> None:
        with draft.open("w", encoding="utf-8", newline="") as stream:
            write_document(plan.to_json(), stream)

    write_whole(target, write)


def _write_csv(plan: TflmPlan, source: Path, target: Path) -> None:
    from memprof.planning.minimalloc import write_csv

    def write(draft: Path) -> None:
        with draft.open("w", encoding="utf-8", newline="") as stream:
            write_csv(plan.arena, stream)

    write_whole(target, write)


def _write_map(picture: str, plan: TflmPlan, source: Path, target: Path) -> None:
    from memprof.plots.address_map import plot_addresses

    write_whole(target, partial(plot_addresses, plan.arena, title=source.stem, picture=picture))


_MODEL = ".tflite"

_WRITERS: Mapping[str, Callable[[TflmPlan, Path, Path], None]] = {
    _MODEL: _write_model,
    ".h": _write_header,
    ".json": _write_json,
    ".csv": _write_csv,
}
"""From a suffix to what writes such a file; pictures are ``PLOTS``."""
