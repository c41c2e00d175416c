"""``memprof check``: does a model fit its budgets? For a CI job: 0 it does, 1 it does not, 4 nobody knows."""

from __future__ import annotations

import shlex
from fractions import Fraction

import click

from memprof.cli.options import json_option, read_request, repeat_flags, request_flags, runtime_option, source_options
from memprof.cli.output import open_stdout
from memprof.errors import UsageError
from memprof.render.json import write_document
from memprof.text import safe_text
from memprof.units import parse_bytes

_CODES = {True: 0, False: 1, None: 4}


@click.command()
@click.argument("model")
@source_options
@click.option("--max-peak", metavar="BYTES", help="Most intermediates at the peak: 512KiB.")
@click.option("--max-params", metavar="BYTES", help="Most parameters: 1MB.")
@click.option("--max-total", metavar="BYTES", help="Most of weights and peak together.")
@runtime_option(help="Runtime model of the peak; the headline if left out.")
@click.option("--baseline", metavar="REPORT", help="A saved report (or a model): none of the three may grow over it.")
@click.option(
    "--tolerance", default="0%", show_default=True, metavar="PERCENT", help="Growth over the baseline allowed."
)
@json_option
def command(  # noqa: PLR0913, PLR0917 - click gives one argument per flag, by name
    model: str,
    max_peak: str | None,
    max_params: str | None,
    max_total: str | None,
    runtime: str | None,
    baseline: str | None,
    tolerance: str,
    as_json: bool,
) -> int:
    """Does MODEL fit? Exit code 0: it does, 1: it does not, 4: a size that decides is unknown.

    \b
    memprof check model.onnx --max-peak 512KiB --max-params 1MB
    memprof check model.onnx --baseline report.json --tolerance 1%
    """
    request, growth = read_request(model), parse_percent(tolerance)
    from memprof.api import check
    from memprof.results.budgets import Budgets

    limits = {"peak": max_peak, "params": max_params, "total": max_total}
    budgets = Budgets(**{name: None if text is None else parse_bytes(text) for name, text in limits.items()})
    older = None if baseline is None else read_request(baseline)
    found = check(request, budgets, runtime=runtime, baseline=older, tolerance=growth)
    with open_stdout() as stream:
        if as_json:
            write_document(found.to_json(), stream)
        else:
            from memprof.render.comparison import render_check

            flags = [*request_flags(), *repeat_flags({"--runtime": [found.runtime]})]
            command = safe_text(shlex.join(["memprof", "analyze", model, *flags, "--why"]), limit=2000)
            render_check(found, stream, next_command="" if model.lower().endswith(".json") else command)
    return _CODES[found.is_met]


def parse_percent(text: str) -> Fraction:
    """Return a percentage as an exact fraction.

    Raises:
        UsageError: The text is no percentage from 0 up.

    >>> parse_percent("1%"), parse_percent("0.5%")
    (Fraction(1, 100), Fraction(1, 200))
    """
    number = text.strip().removesuffix("%")
    if not text.strip().endswith("%") or not number.replace(".", "", 1).isdecimal() or not number.isascii():
        raise UsageError(f"--tolerance {text} is no percentage.", "Write --tolerance 1%.")
    return Fraction(number) / 100
