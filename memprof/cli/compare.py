"""``memprof compare``: two models, or two saved reports, side by side."""

from __future__ import annotations

import shlex

import click

from memprof.cli.options import (
    binding_options,
    json_option,
    parse_dims,
    parse_input_shapes,
    repeat_flags,
    runtime_option,
)
from memprof.cli.output import open_stdout
from memprof.text import safe_text


@click.command()
@click.argument("before")
@click.argument("after")
@binding_options
@runtime_option
@click.option("--top", type=click.IntRange(min=1), default=8, show_default=True, help="Rows in long lists.")
@json_option
def command(  # noqa: PLR0913, PLR0917 - click gives one argument per flag, by name
    before: str,
    after: str,
    dim: tuple[str, ...],
    input_shape: tuple[str, ...],
    runtime: tuple[str, ...],
    top: int,
    as_json: bool,
) -> None:
    """BEFORE and AFTER side by side: models, or reports saved with -o report.json.

    \b
    memprof compare old.onnx new.onnx
    memprof compare baseline.json new.onnx --json
    """
    dims, inputs = parse_dims(dim), parse_input_shapes(input_shape)
    from memprof.api import compare

    found = compare(before, after, dims=dims, inputs=inputs, runtimes=runtime or None)
    with open_stdout() as stream:
        if as_json:
            from memprof.render.json import write_document

            write_document(found.to_json(), stream)
        else:
            from memprof.render.comparison import render_comparison

            larger = after if (found.peak.delta or 0) >= 0 else before
            flags = repeat_flags({"--dim": dim, "--input": input_shape, "--runtime": runtime})
            command = safe_text(shlex.join(["memprof", "analyze", larger, *flags, "--why"]), limit=2000)
            is_saved = larger.lower().endswith(".json")  # a saved report cannot be analysed again
            render_comparison(found, stream, top=top, next_command="" if is_saved else command)
