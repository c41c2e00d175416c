"""``memprof plan``: the order and the addresses that need the fewest bytes, each with a proof or the gap."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from memprof.base.errors import UsageError
from memprof.base.files import open_plain
from memprof.base.text import safe_text
from memprof.base.units import parse_bytes, unit_of
from memprof.cli.boards import board_option, budget_on
from memprof.cli.options import (
    json_option,
    read_limits,
    read_request,
    repeat_flags,
    request_flags,
    run_options,
    runtime_option,
    source_options,
)
from memprof.cli.output import note, open_stdout, telling
from memprof.cli.pages import Origin, check_redaction, redact_option
from memprof.cli.plan_targets import PICTURES, Planned, check_plan_targets, write_plan_targets
from memprof.cli.plan_tflite import TfliteRequest, check_flags, is_tflite, plan_file
from memprof.render.json import write_document

if TYPE_CHECKING:
    from memprof.cli.waiting import Stage
    from memprof.importers.request import Request
    from memprof.ir import Graph
    from memprof.ir.model import Model
    from memprof.measure.child import Limits
    from memprof.measure.orders import MeasuredOrder
    from memprof.planning.arenas import Arena
    from memprof.planning.plan import PlanProgress
    from memprof.planning.record import Plan

_COST = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?")
_CODES = {True: 0, False: 1, None: 4}
_MAX_HEADER = 4096


@click.command()
@click.argument("model")
@source_options
@runtime_option(
    takes=lambda row: row.ordering is not None,
    default="reference",
    show_default=True,
    help="What a peak counts.",
)
@click.option("--in-place", is_flag=True, help="Elementwise operations in place where every order allows it.")
@click.option("--keep-order", is_flag=True, help="Plan addresses only; the operations keep their order.")
@click.option("--seconds", type=click.FloatRange(min=0), default=10, show_default=True, help="Time to search.")
@click.option(
    "--effort", type=click.IntRange(min=0), metavar="STEPS", help="Steps to search: same plan however busy."
)
@click.option("--alignment", type=click.IntRange(min=1), help="Bytes; 64 for a model, 1 for a CSV file.")
@click.option("--no-inputs", is_flag=True, help="Leave graph inputs out of the arena: the caller holds them.")
@click.option("--no-outputs", is_flag=True, help="Leave graph outputs out of the arena.")
@click.option(
    "--budget",
    "--capacity",
    "budget",
    metavar="BYTES",
    help="Does an arena of that size do? Exit 0 yes, 1 no, 4 open.",
)
@board_option
@click.option(
    "--arena",
    "arenas",
    multiple=True,
    metavar="NAME=BYTES:COST",
    help="Spread buffers over memories by their cost per byte: sram=512KiB:1. Repeatable.",
)
@click.option(
    "--recompute",
    metavar="MACS|PERCENT",
    help="Let operations run twice: extra MACs at most, 0 for activations and the like, or 5%.",
)
@click.option(
    "--split",
    metavar="MACS|PERCENT",
    help="Estimate the first layers patch by patch: extra MACs for the overlap at most.",
)
@json_option
@click.option(
    "-o",
    "targets",
    multiple=True,
    metavar="FILE",
    help="Write a file: model (.onnx .tflite), plan (.json .csv .h .html), address map (.png .svg .pdf).",
)
@click.option(
    "--format",
    "picture",
    type=click.Choice(PICTURES),
    default=PICTURES[0],
    show_default=True,
    help="Of an address map: landscape and around the busiest step, or every step.",
)
@click.option("--replace", is_flag=True, help="Let -o write over MODEL itself.")
@click.option("--measure", is_flag=True, help="Run the model before and after in onnxruntime; needs -o FILE.onnx.")
@run_options
@redact_option
def command(**given: Any) -> int:
    """The least memory MODEL needs: order, addresses, proof. MODEL may be a CSV of buffers (minimalloc's format).

    \b
    memprof plan model.onnx
    memprof plan model.onnx --budget 512KiB -o plan.h -o map.png
    memprof plan model.onnx --recompute 5% -o smaller.onnx
    memprof plan model.onnx --arena sram=256KiB:1 --arena dram=8MiB:10
    memprof plan problem.csv --capacity 1048576
    memprof plan model.tflite -o better.tflite --measure
    """
    if given["board"] is not None:
        given["budget"] = budget_on(given["board"], given["budget"])
    flags = PlanFlags(**given)
    if is_tflite(flags.model) and _is_micro(flags.runtime) and flags.recompute is None and flags.split is None:
        return plan_file(_tflite_request(flags))
    check_plan_targets(flags.targets, flags.model)
    check_redaction(flags.targets, is_redacted=flags.redact_names)
    if flags.measure and (flags.reordered is None or flags.replace):
        raise UsageError("--measure compares two files.", "Add -o better.onnx, and leave --replace out.")
    request, limits = read_request(flags.model), read_limits()
    with telling(f"reading and planning {safe_text(flags.model)}") as stage:
        plan, loaded, left_out = _plan(flags, request, stage)
    if flags.split is not None and plan.split is None:
        note("no patches of the first layers that lower the peak were found, within that work and time")
    origin = Origin(shlex.join(["memprof", "plan", flags.model, *flags.repeated]), is_redacted=flags.redact_names)
    planned = Planned(
        plan=plan,
        source=flags.model,
        model=loaded,
        may_replace_source=flags.replace,
        origin=origin,
        picture=flags.picture,
    )
    write_plan_targets(planned, flags.targets)
    measured: Sequence[MeasuredOrder] = ()
    if flags.measure and flags.reordered is not None and loaded is not None:
        measured = _measure(request, Path(flags.reordered), loaded.graph, limits)
    _show(plan, flags, measured, left_out)
    return 0 if plan.budget is None else _CODES[plan.budget.answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFlags:
    """What was typed; each field is a flag of ``memprof plan`` by its name."""

    model: str
    runtime: str
    in_place: bool
    keep_order: bool
    seconds: float
    effort: int | None
    alignment: int | None
    no_inputs: bool
    no_outputs: bool
    budget: str | None
    board: str | None
    arenas: tuple[str, ...]
    recompute: str | None
    split: str | None
    as_json: bool
    targets: tuple[str, ...]
    picture: str
    replace: bool
    measure: bool
    redact_names: bool

    @property
    def reordered(self) -> str | None:
        """Where the model in the planned order goes."""
        return next((target for target in self.targets if target.lower().endswith(".onnx")), None)

    @property
    def repeated(self) -> list[str]:
        """The flags that ask for the same plan."""
        switches = {"--in-place": self.in_place, "--no-inputs": self.no_inputs, "--no-outputs": self.no_outputs}
        switches |= {"--keep-order": self.keep_order}
        values = {"--alignment": self.alignment, "--recompute": self.recompute, "--split": self.split}
        runtimes = [self.runtime] if self.runtime != "reference" else []
        flags = [*request_flags(), *repeat_flags({"--runtime": runtimes})]
        flags += [flag for flag, is_set in switches.items() if is_set]
        return flags + [word for flag, value in values.items() if value for word in (flag, str(value))]


def _tflite_request(flags: PlanFlags) -> TfliteRequest:
    """Return what is asked of a plan for TensorFlow Lite Micro.

    Raises:
        UsageError: A flag means nothing to it.
    """
    unused: dict[str, object]
    unused = {"--in-place": flags.in_place, "--alignment": flags.alignment, "--no-inputs": flags.no_inputs}
    unused |= {"--effort": flags.effort, "--no-outputs": flags.no_outputs, "--arena": flags.arenas}
    check_flags(unused | {"--replace": flags.replace, "--redact-names": flags.redact_names})
    return TfliteRequest(
        request=read_request(flags.model),
        limits=read_limits(),
        seconds=flags.seconds,
        keep_order=flags.keep_order,
        budget=flags.budget,
        targets=flags.targets,
        picture=flags.picture,
        measure=flags.measure,
        as_json=flags.as_json,
    )


def _plan(flags: PlanFlags, request: Request, stage: Stage) -> tuple[Plan, Model | None, str]:
    """Return the plan, the model as it was read (none for a table of buffers) and what of a table is not used."""
    from memprof.api import load
    from memprof.api import plan as plan_model
    from memprof.planning.plan import PlanOptions
    from memprof.render.plan import describe_progress

    is_endless = flags.effort is not None and _is_left_out("seconds")
    options = PlanOptions(
        runtime=flags.runtime,
        in_place=flags.in_place,
        keep_order=flags.keep_order,
        seconds=inf if is_endless else flags.seconds,
        effort=flags.effort,
        alignment=flags.alignment,
        with_inputs=not flags.no_inputs,
        with_outputs=not flags.no_outputs,
        budget_bytes=None if flags.budget is None else parse_bytes(flags.budget),
        arenas=parse_arenas(flags.arenas),
        recompute=flags.recompute,
        split=flags.split,
    )

    def report(progress: PlanProgress) -> None:
        stage.say(describe_progress(progress), progress.seconds)

    is_table = flags.model.lower().endswith(".csv")
    left_out = _unused_offsets(Path(flags.model)) if is_table else ""
    if left_out and flags.as_json:
        note(left_out)
    loaded = None if is_table else load(request)
    return plan_model(loaded or request, options=options, progress=report), loaded, left_out


def _show(plan: Plan, flags: PlanFlags, measured: Sequence[MeasuredOrder], left_out: str) -> None:
    with open_stdout() as stream:
        if flags.as_json:
            runs = {"measured": [run.to_json() for run in measured]} if flags.measure else {}
            write_document(plan.to_json() | runs, stream)
            return
        from memprof.render.plan import PlanView, render_plan

        advice = _advise(plan, flags.model, flags.repeated, flags.targets, has_measured=flags.measure)
        view = PlanView(
            next_command=advice,
            measured=measured,
            has_model=flags.reordered is not None,
            budget_unit="" if flags.budget is None else unit_of(flags.budget),
        )
        stream.write(f"{left_out[:1].upper()}{left_out[1:]}.\n\n" if left_out else "")
        render_plan(plan, stream, view)


def _is_micro(runtime: str) -> bool:
    return _is_left_out("runtime") or runtime == "tflm"


def _is_left_out(parameter: str) -> bool:
    return click.get_current_context().get_parameter_source(parameter) is ParameterSource.DEFAULT


def parse_arenas(texts: Sequence[str]) -> tuple[Arena, ...]:
    """Return the memories that the flags describe.

    Raises:
        UsageError: A text is not NAME=BYTES:COST, or a name comes twice.

    >>> [(arena.name, arena.size_bytes, arena.cost_per_byte) for arena in parse_arenas(["sram=512KiB:2.5"])]
    [('sram', 524288, Fraction(5, 2))]
    """
    from memprof.planning.arenas import Arena

    found: dict[str, Arena] = {}
    for text in texts:
        name, _, rest = text.partition("=")
        size, _, cost = rest.partition(":")
        if not name or name in found or not _COST.fullmatch(cost):
            raise UsageError(
                f"--arena {text} is not NAME=BYTES:COST.", "Write --arena sram=512KiB:1, each name once."
            )
        found[name] = Arena(name, parse_bytes(size), Fraction(cost))
    return tuple(found.values())


def _measure(request: Request, after: Path, graph: Graph, limits: Limits) -> Sequence[MeasuredOrder]:
    from memprof.measure.orders import measure_orders

    with telling("running both orders"):
        return measure_orders(request, after, graph, limits)


def _advise(plan: Plan, model: str, flags: Sequence[str], targets: Sequence[str], *, has_measured: bool) -> str:
    """Return the command to try next: more time for what is open, then the model, its runs, picture, header."""
    order, budget = plan.order, plan.budget
    written = {Path(target).suffix.lower(): target for target in targets}
    stem = Path(model).stem or "model"
    is_open = not plan.arena.is_optimal or (order is not None and not order.is_optimal)
    has_model_to_write = order is not None and order.is_changed and Path(model).suffix.lower() == ".onnx"
    following: tuple[tuple[bool, list[str]], ...] = (
        (budget is not None and budget.answer is False, []),
        (
            budget is not None and budget.answer is None,
            ["--budget", str(budget.budget_bytes if budget else 0), "--seconds", "60"],
        ),
        (is_open, ["--seconds", "60"]),
        (has_model_to_write and ".onnx" not in written, ["-o", f"{stem}-planned.onnx"]),
        (".onnx" in written and not has_measured, ["-o", written.get(".onnx", ""), "--measure"]),
        (".png" not in written, ["-o", f"{stem}-plan.png"]),
        (".h" not in written, ["-o", f"{stem}-plan.h"]),
        (True, ["--json"]),
    )
    return shlex.join(["memprof", "plan", model, *flags, *next(words for applies, words in following if applies)])


def _unused_offsets(path: Path) -> str:
    """Return that offsets in a table are no wish, since every buffer is placed anew; empty if it has none."""
    from memprof.planning.minimalloc import read_csv

    with open_plain(path, "a table of buffers") as file:
        header = file.readline(_MAX_HEADER).lower()
    if header.endswith(b"\n") and b'"' not in header and b"offset" not in header:
        return ""  # most tables: 200,000 rows take a second to read
    table = read_csv(path)
    if not table.placed_count:
        return ""
    of = f"{table.placed_count:,} of {len(table.problem.buffers):,} buffers"
    return f"the offsets in the file ({of}, {table.placed_bytes:,} bytes) are not used: every buffer is placed anew"
