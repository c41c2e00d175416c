"""``memprof compare``: two models, or two saved reports, side by side."""

from __future__ import annotations

import shlex

import click

from memprof.cli.options import (
    json_option,
    read_request,
    repeat_flags,
    request_flags,
    runtimes_option,
    source_options,
    top_option,
)
from memprof.cli.output import open_stdout
from memprof.render.json import write_document
from memprof.text import safe_text


@click.command()
@click.argument("before")
@click.argument("after")
@source_options
@runtimes_option
@top_option
@json_option
def command(before: str, after: str, runtimes: tuple[str, ...], top: int, as_json: bool) -> None:
    """BEFORE and AFTER side by side: models, or reports saved with -o report.json.

    \b
    memprof compare old.onnx new.onnx
    memprof compare baseline.json new.onnx --json
    memprof compare torchvision:resnet18 torchvision:resnet34 --input 1x3x224x224
    """
    requests = read_request(before), read_request(after)
    from memprof.api import compare

    found = compare(*requests, runtimes=runtimes or None)
    with open_stdout() as stream:
        if as_json:
            write_document(found.to_json(), stream)
        else:
            from memprof.render.comparison import render_comparison

            larger = after if (found.peak.delta or 0) >= 0 else before
            flags = [*request_flags(), *repeat_flags({"--runtime": runtimes})]
            command = safe_text(shlex.join(["memprof", "analyze", larger, *flags, "--why"]), limit=2000)
            is_saved = larger.lower().endswith(".json")  # a saved report cannot be analysed again
            render_comparison(found, stream, top=top, next_command="" if is_saved else command)
