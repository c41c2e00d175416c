"""``memprof verify``: predicted against measured, on this machine."""

from __future__ import annotations

import shlex

import click

from memprof.cli.options import json_option, model_options, parse_dims, parse_input_shapes, repeat_flags
from memprof.cli.output import open_stdout
from memprof.cli.running import parse_limits, parse_values, run_options
from memprof.errors import BudgetError
from memprof.text import safe_text


@click.command()
@model_options
@click.option("--runtime", metavar="NAME", help="onnxruntime or pytorch; the one that fits the model if left out.")
@click.option(
    "--optimized", is_flag=True, help="Let onnxruntime optimise the graph, and predict what it makes of it."
)
@click.option("--require-exact", is_flag=True, help="Exit with 1 unless the predicted peak is the measured one.")
@run_options
@click.option("--top", type=click.IntRange(min=1), default=8, show_default=True, help="Rows in long lists.")
@json_option
def command(  # noqa: PLR0913, PLR0917 - click gives one argument per flag, by name
    model: str,
    dim: tuple[str, ...],
    input_shape: tuple[str, ...],
    runtime: str | None,
    optimized: bool,
    require_exact: bool,
    timeout: float,
    memory_limit: str | None,
    value: tuple[str, ...],
    top: int,
    as_json: bool,
) -> int:
    """Run MODEL in a child process and compare what it allocated with what was predicted.

    \b
    memprof verify model.onnx
    memprof verify model.onnx --optimized --require-exact
    memprof verify torchvision:resnet18 --input 1x3x224x224 --json
    """
    dims, inputs, values = parse_dims(dim), parse_input_shapes(input_shape), parse_values(value)
    limits = parse_limits(timeout, memory_limit)
    from memprof.runs import verify

    found = verify(
        model, runtime=runtime, optimized=optimized, dims=dims, inputs=inputs, values=values, limits=limits
    )
    with open_stdout() as stream:
        if as_json:
            from memprof.render.json import write_document

            write_document(found.to_json(), stream)
        else:
            from memprof.render.verify import render_verification

            flags = repeat_flags({"--dim": dim, "--input": input_shape})
            following = ["bench", model] if found.runtime == "onnxruntime" else ["analyze", model]
            next_command = safe_text(shlex.join(["memprof", *following, *flags]), limit=2000)
            render_verification(found, stream, top=top, next_command=next_command)
    return BudgetError.code if require_exact and not found.is_exact else 0
