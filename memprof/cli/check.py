"""``memprof check``: do models fit their budgets? For a CI job: 0 they do, 1 one does not, 4 nobody knows."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TextIO

import click

from memprof.base.errors import IncompleteError, UsageError
from memprof.base.files import check_writable, strange_suffix, write_text_whole
from memprof.base.text import safe_text
from memprof.base.units import parse_bytes, parse_percent, unit_of
from memprof.cli.boards import DEFAULT_MARGIN, board_option, check_board
from memprof.cli.options import (
    json_option,
    measured_option,
    read_request,
    repeat_flags,
    request_flags,
    runtime_option,
    source_options,
)
from memprof.cli.output import note, open_stdout, telling
from memprof.render.json import write_document

if TYPE_CHECKING:
    from memprof.importers.request import Request
    from memprof.results.budgets import Budgets, Check
    from memprof.results.gate import Gate

_CODES = {True: 0, False: 1, None: 4}


@click.command()
@click.argument("models", metavar="[MODEL]...", nargs=-1)
@source_options
@measured_option
@click.option("--max-peak", metavar="BYTES", help="Most intermediates at the peak: 512KiB.")
@click.option("--max-params", metavar="BYTES", help="Most parameters, tensors in Constant operations too: 1MB.")
@click.option("--max-weights", metavar="BYTES", help="Most parameters and constants that follow from them.")
@click.option("--max-total", metavar="BYTES", help="Most of weights and peak together.")
@runtime_option(help="Runtime model of the peak; the headline if left out.")
@board_option
@click.option("--baseline", metavar="REPORT", help="A saved report (or a model): none of the three may grow over it.")
@click.option("--tolerance", metavar="PERCENT", help="Growth over the baseline allowed: 1%. [default: 0%]")
@click.option(
    "--config", type=click.Path(path_type=Path), metavar="FILE", help="What is watched, instead of memprof.toml."
)
@click.option("--strict", is_flag=True, help="Exit with 4 if a size was assumed.")
@click.option("--update-baseline", is_flag=True, help="Save today's numbers as what growth is measured from.")
@click.option(
    "--format",
    "view",
    type=click.Choice(["text", "json", "markdown", "sarif", "github", "junit"]),
    default="text",
    show_default=True,
    help="What is printed.",
)
@json_option
@click.option(
    "-o",
    "targets",
    multiple=True,
    metavar="FILE",
    help="Write a file too: .json .md .sarif .xml (JUnit) .txt. Repeatable.",
)
def command(**given: Any) -> int:
    """Do models fit? Exit code 0: all do, 1: one does not, 4: a size that decides is unknown.

    Without a MODEL, memprof.toml (or [tool.memprof] of pyproject.toml) says which models are watched.

    \b
    memprof check
    memprof check --update-baseline
    memprof check --format github -o report.md -o report.sarif
    memprof check model.onnx --max-peak 512KiB --max-params 1MB
    memprof check model.onnx --baseline report.json --tolerance 1%
    memprof check model.tflite --board nucleo-h743zi
    """
    flags = CheckFlags(**given)
    for target in flags.targets:
        _find_writer(target)
        check_writable(target)
    if flags.board is not None:
        _check_alone(flags)
        return check_board(
            read_request(flags.models[0]), flags.board, DEFAULT_MARGIN, as_json=flags.printed == "json"
        )
    if flags.strict and flags.update_baseline:
        raise UsageError("--strict judges, and --update-baseline saves.", "Leave one of them out.")
    if not flags.models:
        return _show(_judge_project(flags), flags)
    if flags.config is not None or flags.update_baseline:
        raise UsageError("A MODEL that is named is no part of a file's baseline.", "Leave MODEL out, or the flag.")
    if len(flags.models) > 1 or flags.printed not in ("text", "json") or flags.targets:
        return _show(_judge_named(flags), flags)
    return _judge_one(flags)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckFlags:
    """What was typed; each field is an argument of ``memprof check`` by its name."""

    models: tuple[str, ...]
    max_peak: str | None
    max_params: str | None
    max_weights: str | None
    max_total: str | None
    runtime: str | None
    board: str | None
    baseline: str | None
    tolerance: str | None
    config: Path | None
    strict: bool
    update_baseline: bool
    view: str
    as_json: bool
    targets: tuple[str, ...]

    @property
    def printed(self) -> str:
        """What is printed: a key of ``_VIEWS``."""
        return "json" if self.as_json else self.view

    @property
    def limits(self) -> dict[str, str | None]:
        """From what is limited to the limit as it was typed."""
        return {
            "peak": self.max_peak,
            "params": self.max_params,
            "weights": self.max_weights,
            "total": self.max_total,
        }

    @property
    def budgets(self) -> Budgets:
        """The limits in bytes."""
        from memprof.results.budgets import Budgets

        return Budgets(**{name: None if text is None else parse_bytes(text) for name, text in self.limits.items()})

    @property
    def growth(self) -> Fraction:
        """How much a model may grow."""
        return parse_tolerance(self.tolerance or "0%")

    @property
    def older(self) -> Request | None:
        """What it is compared with."""
        return None if self.baseline is None else read_request(self.baseline)

    def named(self, *others: str) -> list[str]:
        """Return those of the flags about one model, and of ``others``, that were given."""
        flags: dict[str, object] = {f"--max-{name}": text for name, text in self.limits.items()}
        flags |= {"--runtime": self.runtime, "--baseline": self.baseline}
        of_others = {
            "--tolerance": self.tolerance,
            "--config": self.config,
            "-o": self.targets or None,
            "--strict": self.strict or None,
        }
        flags |= {name: of_others[name] for name in others}
        return [flag for flag, value in flags.items() if value is not None]


def _judge_project(flags: CheckFlags) -> Gate:
    """Return how the models stand that a file names.

    Raises:
        UsageError: A flag is about a model that is named.
    """
    given = request_flags()
    _refuse([*flags.named("--tolerance"), *(flag for flag in given if flag != "--trust")])
    with telling("reading the models"):
        return _check_project(flags.config, updates=flags.update_baseline, trusts="--trust" in given)


def _judge_named(flags: CheckFlags) -> Gate:
    """Return how the models stand that were typed."""
    from memprof.gate.project import check_named

    budgets, growth, older = flags.budgets, flags.growth, flags.older
    requests = [read_request(model) for model in flags.models]
    with telling("reading the models"):
        return check_named(requests, budgets, flags.runtime, older, growth)


def _judge_one(flags: CheckFlags) -> int:
    """Show how the one model stands that was typed; return the exit code."""
    model = flags.models[0]
    budgets, growth, older = flags.budgets, flags.growth, flags.older
    with telling(f"reading {safe_text(model)}"):
        one = _check_one(read_request(model), budgets, flags.runtime, older, growth)
    from memprof.results.assumed import refuse_assumed

    refused = refuse_assumed(one.assumed) if flags.strict else None
    if refused and flags.printed == "json":  # one document on stdout, and it says what went wrong
        raise refused
    units = {name: unit_of(text) for name, text in flags.limits.items() if text is not None}
    deciders = {} if older is None else _deciders(one, flags.limits, budgets, growth)
    _show_one(one, model, units, deciders, as_json=flags.printed == "json")
    if refused:
        raise refused
    return _CODES[one.is_met]


def _deciders(found: Check, typed: Mapping[str, str | None], budgets: Budgets, growth: Fraction) -> dict[str, str]:
    """Return by name of a limit whether it is the one that was typed or the baseline's."""
    extra = f" + {float(growth * 100):.4g} %" if growth else ""
    words = {}
    for verdict in found.verdicts:
        own, flag = getattr(budgets, verdict.name), f"--max-{verdict.name} {typed[verdict.name]}"
        if own is None:
            words[verdict.name] = f"the baseline{extra} decides"
        elif own > verdict.limit_bytes:
            words[verdict.name] = f"the baseline{extra} decides; {flag} allows more"
        else:
            words[verdict.name] = f"{flag} decides; the baseline allows no less"
    return words


def _check_one(
    request: Request, budgets: Budgets, runtime: str | None, baseline: Request | None, growth: Fraction
) -> Check:
    """Return how one model stands and, where its peak is over, what would help: it is read and evaluated once."""
    from memprof.api import check
    from memprof.api.asking import read_and_report
    from memprof.importers.request import names_report

    if names_report(request.source):  # a saved report, of an older version maybe: its model is not here
        return check(request, budgets, runtime=runtime, baseline=baseline, tolerance=growth)
    report, model = read_and_report(request, None if runtime is None else (runtime,))
    found = check(report, budgets, runtime=runtime, baseline=baseline, tolerance=growth)
    from memprof.api.helping import help_broken

    return replace(found, helped=help_broken(request, report, model, found.over))


def _check_alone(flags: CheckFlags) -> None:
    """Refuse what a question about a board has no use for.

    Raises:
        UsageError: There is not one model, or another limit was typed.
    """
    if len(flags.models) != 1:
        raise UsageError("--board is about one MODEL.", "memprof check model.tflite --board NAME")
    others = sorted(flags.named("--config", "-o", "--strict"))
    if others or flags.printed not in ("text", "json"):
        odd = next(iter(others), f"--format {flags.printed}")
        raise UsageError(f"{odd} does not go with --board, which has limits of its own.", "Leave one of them out.")


def _check_project(path: Path | None, *, updates: bool, trusts: bool) -> Gate:
    from memprof.gate.config import code_of, find_config, read_config
    from memprof.gate.project import check_project, update_baseline

    update = ["memprof", "check", "--update-baseline", *([] if path is None else ["--config", str(path)])]
    path = path or find_config(Path())
    if path is None:
        raise UsageError(
            "No model was named, and there is no memprof.toml and no [tool.memprof] in pyproject.toml here.",
            "memprof check model.onnx --max-peak 512KiB; for all models a memprof.toml with the lines "
            """[[check.models]], source = "models/*.onnx", max-growth = "1%".""",
        )
    config = read_config(path)
    code = code_of(config)
    if code and not trusts:  # nobody has typed its name, and the folder may be a stranger's
        raise UsageError(f"{path} names Python code, which would run: {safe_text(code)}.", "If you trust it: --trust")
    if not updates:
        return check_project(config, shlex.join([*update, *(["--trust"] if code else [])]))
    found = update_baseline(config)
    is_written = all(row.status != "failed" for row in found.rows)
    note(f"{'wrote' if is_written else 'did not change'} {safe_text(str(config.baseline))}")
    return found


def _show(found: Gate, flags: CheckFlags) -> int:
    from io import StringIO

    refused = _refuse_assumed(found) if flags.strict else None
    for target in flags.targets:
        text = StringIO()
        _find_writer(target)(found, text)
        write_text_whole(target, text.getvalue())
        note(f"wrote {safe_text(target)}")
    if refused and flags.printed == "json":
        raise refused
    with open_stdout() as stream:
        _VIEWS[flags.printed](found, stream)
    if refused:
        raise refused
    return found.code


def _refuse_assumed(found: Gate) -> IncompleteError | None:
    if any(row.status == "failed" for row in found.deciding):  # which says more
        return None
    for row in found.deciding:
        if row.assumed:
            return IncompleteError(
                f"A size was assumed: {row.assumed[0]} of {safe_text(row.name)}.",
                "Give it: --dim NAME=N or --input NAME=1x128; in a file dims = { NAME = N } or inputs.",
            )
    return None


def _show_one(
    found: Check, model: str, units: Mapping[str, str], deciders: Mapping[str, str], *, as_json: bool
) -> None:
    with open_stdout() as stream:
        if as_json:
            write_document(found.to_json(), stream)
        else:
            from memprof.importers.request import names_report
            from memprof.render.comparison import render_check

            flags = [*request_flags(), *repeat_flags({"--runtime": [found.runtime]})]
            command = safe_text(shlex.join(["memprof", "analyze", model, *flags, "--why"]), limit=2000)
            render_check(
                found,
                stream,
                units=units,
                deciders=deciders,
                next_command="" if names_report(model) else command,
            )


def _refuse(flags: Sequence[str]) -> None:
    if flags:
        raise UsageError(
            f"{flags[0]} needs a MODEL: the file of a project has its own.", "Name one, or leave it out."
        )


def _find_writer(target: str) -> Callable[[Gate, TextIO], None]:
    suffix = Path(target).suffix.lower()
    if suffix not in _SUFFIXES:
        raise strange_suffix(target, _SUFFIXES)
    return _VIEWS[_SUFFIXES[suffix]]


def _render_text(found: Gate, stream: TextIO) -> None:
    from memprof.render.gate import render_gate

    render_gate(found, stream)


def _render_markdown(found: Gate, stream: TextIO) -> None:
    from memprof.render.gate import render_gate_markdown

    render_gate_markdown(found, stream)


def _render_sarif(found: Gate, stream: TextIO) -> None:
    from memprof import __version__
    from memprof.render.gate_ci import render_sarif

    render_sarif(found, stream, version=__version__)


def _render_github(found: Gate, stream: TextIO) -> None:
    from memprof.render.gate_ci import render_github

    render_github(found, stream)


def _render_junit(found: Gate, stream: TextIO) -> None:
    from datetime import UTC, datetime

    from memprof.render.gate_ci import render_junit

    render_junit(found, stream, made_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"))


def _render_json(found: Gate, stream: TextIO) -> None:
    write_document(found.to_json(), stream)


_VIEWS: Mapping[str, Callable[[Gate, TextIO], None]] = MappingProxyType(
    {
        "text": _render_text,
        "json": _render_json,
        "markdown": _render_markdown,
        "sarif": _render_sarif,
        "github": _render_github,
        "junit": _render_junit,
    }
)
"""From a format to what writes it."""

_SUFFIXES: Mapping[str, str] = MappingProxyType(
    {".txt": "text", ".json": "json", ".md": "markdown", ".sarif": "sarif", ".xml": "junit"}
)


def parse_tolerance(text: str) -> Fraction:
    """Return a percentage as an exact fraction.

    Raises:
        UsageError: The text is no percentage from 0 up.

    >>> parse_tolerance("1%"), parse_tolerance("0.5%")
    (Fraction(1, 100), Fraction(1, 200))
    """
    tolerance = parse_percent(text)
    if tolerance is None:
        raise UsageError(f"--tolerance {safe_text(text)} is no percentage.", "Write --tolerance 1%.")
    return tolerance
