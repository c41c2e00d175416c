"""``memprof analyze``: how much memory a model needs, where it goes and why."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

import click

from memprof.base.collector import paused_collector
from memprof.base.errors import IncompleteError, UsageError
from memprof.base.text import safe_text
from memprof.cli.advice import advise, advise_sweep, settling_flags
from memprof.cli.boards import DEFAULT_MARGIN, board_option, fit_one, show_fit
from memprof.cli.options import (
    json_option,
    measured_option,
    pick_one,
    read_request,
    repeat_flags,
    request_flags,
    runtimes_option,
    source_options,
    top_option,
)
from memprof.cli.output import open_stdout, telling
from memprof.cli.pages import Origin, check_redaction, redact_option
from memprof.cli.sweep import helped, read_sweep, swept
from memprof.cli.targets import PICTURES, RENDERERS, SLIDE, check_targets, write_targets

if TYPE_CHECKING:
    from memprof.importers.request import Request
    from memprof.results.report import Report

_VIEWS = {"--json": ".json", "--csv": ".csv", "--markdown": ".md"}


@click.command()
@click.argument("model")
@source_options
@measured_option
@runtimes_option
@click.option(
    "--sweep",
    "sweeps",
    multiple=True,
    metavar="NAME=SIZES",
    help="The peak as a function of a size: batch=1..64, batch=1,2,4, width=64..1024:64. Twice: of two.",
)
@click.option("--strict", is_flag=True, help="Exit with 4 if anything stays unknown.")
@click.option("--modules", type=click.IntRange(min=0), metavar="DEPTH", help="Add a table by module path, folded.")
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV: one row per tensor buffer of the headline.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print Markdown, for a comment on a change.")
@click.option("--why", is_flag=True, help="Add why each tensor is there and what each runtime model means.")
@top_option
@board_option
@click.option(
    "-o",
    "targets",
    multiple=True,
    metavar="FILE",
    help="Write a file: picture (.png .svg .pdf) or report (.json .csv .md .html),"
    " viewers' files (.trace.json .netron.json .model-explorer.json). Repeatable.",
)
@click.option(
    "--format",
    "picture",
    type=click.Choice(list(PICTURES)),
    default=SLIDE,
    show_default=True,
    help="Of a picture: the curve and who makes the peak, or every tensor.",
)
@redact_option
def command(**given: Any) -> None:
    """How much memory MODEL needs, where it goes and why. MODEL may be a report saved with -o report.json.

    \b
    memprof analyze model.onnx
    memprof analyze model.onnx --dim batch=1 --why
    memprof analyze model.onnx --json -o model.png
    memprof analyze torchvision:resnet18 --input 1x3x224x224 --optimizer adam
    memprof analyze model.onnx --sweep batch=1..64 -o sweep.png
    memprof analyze model.py:make --input ids=int64:1x128
    memprof analyze model.py:make --run
    memprof analyze report.json -o report.html
    """
    click.get_current_context().with_resource(paused_collector())
    flags = AnalyzeFlags(**given)
    if flags.board is not None and flags.view:
        raise UsageError(
            f"{flags.view} and --board exclude each other.", f"memprof check MODEL --board {flags.board} --json"
        )
    request = read_request(flags.model)
    axes = read_sweep(flags.sweeps, flags.model, flags.view, flags.board)
    check_targets(flags.targets)
    check_redaction(flags.targets, is_redacted=flags.redact_names)
    fit = None if flags.board is None else fit_one(request, flags.board, DEFAULT_MARGIN)
    report = _report(flags, request, axes)
    origin = Origin(shlex.join(["memprof", "analyze", flags.model, *flags.repeated]), is_redacted=flags.redact_names)
    write_targets(report, flags.targets, origin, flags.picture)
    incomplete = _find_incomplete(report) if flags.strict else None
    if incomplete and flags.as_json:  # one document on stdout, and it says what went wrong
        raise incomplete
    with open_stdout() as stream:
        if flags.view:
            RENDERERS[_VIEWS[flags.view]](report, stream)
        else:
            _print_text(report, flags, stream)
            if fit is not None:
                stream.write("\n")
                show_fit(*fit, request, stream)
    if incomplete:
        raise incomplete


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyzeFlags:
    """What was typed; each field is an argument of ``memprof analyze`` by its name."""

    model: str
    runtimes: tuple[str, ...]
    sweeps: tuple[str, ...]
    strict: bool
    modules: int | None
    as_json: bool
    as_csv: bool
    as_markdown: bool
    why: bool
    top: int
    board: str | None
    targets: tuple[str, ...]
    picture: str
    redact_names: bool

    @property
    def view(self) -> str | None:
        """The flag that says what is printed; ``None`` for text.

        Raises:
            UsageError: There are two.
        """
        return pick_one({"--json": self.as_json, "--csv": self.as_csv, "--markdown": self.as_markdown})

    @property
    def repeated(self) -> list[str]:
        """The flags that ask for the same report."""
        return [*request_flags(), *repeat_flags({"--runtime": self.runtimes, "--sweep": self.sweeps})]


def _report(flags: AnalyzeFlags, request: Request, axes: Mapping[str, tuple[int, ...]]) -> Report:
    """Return the report, with the sweep that was asked for or else, where somebody will read it, what would help."""
    from memprof.api.asking import read_and_report
    from memprof.importers.request import names_report

    with telling(f"reading {safe_text(flags.model)}"):
        report, read = read_and_report(request, flags.runtimes or None)
        if axes:
            return swept(report, request, axes)
        if flags.view in (None, "--json", "--markdown") and not names_report(flags.model):
            return helped(report, request, read)
        return report


def _print_text(report: Report, flags: AnalyzeFlags, stream: TextIO) -> None:
    if flags.sweeps:
        from memprof.render.sweep import render_sweep

        next_command = advise_sweep(report, flags.model, flags.repeated, flags.targets)
        render_sweep(report, stream, top=flags.top, next_command=next_command)
        return
    from memprof.render.text import TextView, render_text

    next_command = advise(report, flags.model, flags.repeated, has_files=bool(flags.targets), has_why=flags.why)
    render_text(
        report, stream, TextView(top=flags.top, why=flags.why, next_command=next_command, modules=flags.modules)
    )


def _find_incomplete(report: Report) -> IncompleteError | None:
    names = ", ".join(f"{unknown.kind} {unknown.name[:80]}" for unknown in report.unknown[:5])
    n = len(report.unknown)
    if not n:
        from memprof.results.assumed import refuse_assumed

        return refuse_assumed(report.assumed)
    flags = settling_flags(report)
    hint = f"Add {' '.join(flags)}" if flags else report.unknown[0].hint
    return IncompleteError(f"{n} {'thing stays' if n == 1 else 'things stay'} unknown: {names}.", hint)
