"""``memprof plan``: the order and the addresses that need the fewest bytes, each with a proof or the gap."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import click

from memprof.cli.options import json_option, model_options, parse_dims, parse_input_shapes, repeat_flags
from memprof.cli.output import open_stdout
from memprof.cli.plan_targets import Planned, check_plan_targets, write_plan_targets
from memprof.errors import UsageError
from memprof.units import parse_bytes

if TYPE_CHECKING:
    from memprof.ir import Graph
    from memprof.measure.orders import MeasuredOrder
    from memprof.planning.plan import Plan, PlanProgress

_COST = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?")
_CODES = {True: 0, False: 1, None: 4}
_MODEL_ONLY = ("--dim", "--input", "--runtime", "--in-place", "--no-inputs", "--no-outputs", "--keep-order")


@click.command()
@model_options
@click.option("--runtime", metavar="NAME", help="What a peak counts: reference (default), ideal, onnxruntime.")
@click.option("--in-place", is_flag=True, help="Elementwise operations in place where every order allows it.")
@click.option("--keep-order", is_flag=True, help="Plan addresses only; the operations keep their order.")
@click.option("--seconds", type=click.FloatRange(min=0), default=10, show_default=True, help="Time to search.")
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
@click.option(
    "--arena",
    "arenas",
    multiple=True,
    metavar="NAME=BYTES:COST",
    help="Spread buffers over memories by their cost per byte: sram=512KiB:1. Repeatable.",
)
@json_option
@click.option(
    "-o",
    "targets",
    multiple=True,
    metavar="FILE",
    help="Write a file: reordered model (.onnx), plan (.json .csv .h), address map (.png .svg .pdf). Repeatable.",
)
@click.option("--replace", is_flag=True, help="Let -o write over MODEL itself.")
@click.option("--measure", is_flag=True, help="Run the model before and after in onnxruntime; needs -o FILE.onnx.")
def command(  # noqa: PLR0913, PLR0917 - click gives one argument per flag, by name
    model: str,
    dim: tuple[str, ...],
    input_shape: tuple[str, ...],
    runtime: str | None,
    in_place: bool,
    keep_order: bool,
    seconds: float,
    alignment: int | None,
    no_inputs: bool,
    no_outputs: bool,
    budget: str | None,
    arenas: tuple[str, ...],
    as_json: bool,
    targets: tuple[str, ...],
    replace: bool,
    measure: bool,
) -> int:
    """The least memory MODEL needs: order, addresses, proof. MODEL may be a CSV of buffers (minimalloc's format).

    \b
    memprof plan model.onnx
    memprof plan model.onnx --budget 512KiB -o plan.h -o map.png
    memprof plan model.onnx --arena sram=256KiB:1 --arena dram=8MiB:10
    memprof plan problem.csv --capacity 1048576
    """
    check_plan_targets(targets, model)
    reordered = next((target for target in targets if target.lower().endswith(".onnx")), None)
    if measure and (reordered is None or replace):
        raise UsageError("--measure compares two files.", "Add -o better.onnx, and leave --replace out.")
    dims, inputs = parse_dims(dim), parse_input_shapes(input_shape)
    budget_bytes = None if budget is None else parse_bytes(budget)
    memories = parse_arenas(arenas)
    from memprof.render.plan import PlanView, ProgressLine, render_plan

    graph: Graph | None = None
    line = ProgressLine(sys.stderr)

    def report(progress: PlanProgress) -> None:
        line.show(progress.stage, progress.size_bytes, progress.lower_bound_bytes, progress.seconds)

    try:
        if model.lower().endswith(".csv"):
            used = (dim, input_shape, runtime, in_place, no_inputs, no_outputs, keep_order)
            _refuse([flag for flag, value in zip(_MODEL_ONLY, used, strict=True) if value])
            from memprof.planning.arenas import Arena
            from memprof.planning.minimalloc import read_csv
            from memprof.planning.plan import PlanOptions, plan_allocation

            problem = read_csv(Path(model), 1 if alignment is None else alignment).problem
            options = PlanOptions(
                seconds=seconds,
                budget_bytes=budget_bytes,
                arenas=tuple(Arena(name, size, cost) for name, (size, cost) in memories.items()),
            )
            plan = plan_allocation(problem, options, report)
        else:
            from memprof.api import load
            from memprof.api import plan as plan_model

            loaded = load(model, dims=dims, inputs=inputs)
            graph = loaded.graph
            plan = plan_model(
                loaded,
                runtime="reference" if runtime is None else runtime,
                in_place=in_place,
                keep_order=keep_order,
                seconds=seconds,
                alignment=64 if alignment is None else alignment,
                with_inputs=not no_inputs,
                with_outputs=not no_outputs,
                budget_bytes=budget_bytes,
                arenas=memories,
                report=report,
            )
    finally:
        line.close()
    write_plan_targets(Planned(plan=plan, source=model, graph=graph, may_replace_source=replace), targets)
    measured = _measure(model, reordered, graph) if measure and reordered and graph else ()
    with open_stdout() as stream:
        if as_json:
            from memprof.render.json import write_document

            runs = {"measured": [run.to_json() for run in measured]} if measure else {}
            write_document(plan.to_json() | runs, stream)
        else:
            flags = repeat_flags({"--dim": dim, "--input": input_shape, "--runtime": [runtime] if runtime else []})
            switches = {"--in-place": in_place, "--no-inputs": no_inputs, "--no-outputs": no_outputs}
            flags += [flag for flag, is_set in {**switches, "--keep-order": keep_order}.items() if is_set]
            flags += ["--alignment", str(alignment)] if alignment else []
            view = PlanView(
                next_command=_advise(plan, model, flags, targets, has_measured=measure),
                measured=measured,
                has_model=reordered is not None,
            )
            render_plan(plan, stream, view)
    return 0 if plan.budget is None else _CODES[plan.budget.answer]


def parse_arenas(texts: Sequence[str]) -> dict[str, tuple[int, Fraction]]:
    """Return size and cost per byte of each memory, by name.

    Raises:
        UsageError: A text is not NAME=BYTES:COST, or a name comes twice.

    >>> parse_arenas(["sram=512KiB:1", "dram=4GiB:2.5"])
    {'sram': (524288, Fraction(1, 1)), 'dram': (4294967296, Fraction(5, 2))}
    """
    found: dict[str, tuple[int, Fraction]] = {}
    for text in texts:
        name, _, rest = text.partition("=")
        size, _, cost = rest.partition(":")
        if not name or name in found or not _COST.fullmatch(cost):
            raise UsageError(
                f"--arena {text} is not NAME=BYTES:COST.", "Write --arena sram=512KiB:1, each name once."
            )
        found[name] = (parse_bytes(size), Fraction(cost))
    return found


def _refuse(flags: Sequence[str]) -> None:
    if flags:
        raise UsageError(f"{flags[0]} means nothing to a CSV file of buffers.", "Leave it out.")


def _measure(before: str, after: str, graph: Graph) -> Sequence[MeasuredOrder]:
    from memprof.measure.child import Limits
    from memprof.measure.orders import measure_orders

    return measure_orders(Path(before), Path(after), graph, Limits())


def _advise(plan: Plan, model: str, flags: Sequence[str], targets: Sequence[str], *, has_measured: bool) -> str:
    """Return the command to try next: more time for what is open, then the model, its runs, picture, header."""
    import shlex

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
