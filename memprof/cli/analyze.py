"""``memprof analyze``: how much memory a model needs, where it goes and why."""

from __future__ import annotations

import click

from memprof.cli.options import json_option, model_options, parse_dims, parse_input_shapes
from memprof.cli.output import open_stdout


@click.command()
@model_options
@json_option
def command(model: str, dim: tuple[str, ...], input_shape: tuple[str, ...], as_json: bool) -> int:
    """How much memory MODEL needs, where it goes and why."""
    from memprof.api import analyze
    from memprof.render.json import render_json

    report = analyze(model, dims=parse_dims(dim), inputs=parse_input_shapes(input_shape))
    with open_stdout() as stream:
        render_json(report, stream)
    return 0
