"""``memprof verify``: predicted against measured, on this machine."""

from __future__ import annotations

import shlex
from typing import TextIO

import click

from memprof.base.errors import BudgetError
from memprof.base.text import safe_text
from memprof.cli.options import (
    json_option,
    read_limits,
    read_request,
    request_flags,
    run_options,
    runtime_option,
    source_options,
    top_option,
)
from memprof.cli.output import open_stdout, telling
from memprof.cli.pages import (
    Origin,
    check_redaction,
    check_result_targets,
    page_option,
    print_page,
    redact_option,
    write_results,
)
from memprof.render.json import write_document


@click.command()
@click.argument("model")
@source_options
@runtime_option(takes=lambda row: row.measuring is not None, help="What runs it; the headline's if left out.")
@click.option("--require-exact", is_flag=True, help="Exit with 1 unless the predicted peak is the measured one.")
@run_options
@top_option
@json_option
@page_option
@redact_option
def command(  # noqa: PLR0913, PLR0917 - click gives one argument per flag, by name
    model: str,
    runtime: str | None,
    require_exact: bool,
    top: int,
    as_json: bool,
    targets: tuple[str, ...],
    redact_names: bool,
) -> int:
    """Run MODEL in a child process and compare what it allocated with what was predicted.

    Exits with 1 where a number that was graded exact is not what was measured.

    \b
    memprof verify model.onnx
    memprof verify model.onnx --runtime onnxruntime
    memprof verify model.onnx --optimized --require-exact
    memprof verify torchvision:resnet18 --input 1x3x224x224 --optimizer adam --json
    """
    check_result_targets(targets)
    check_redaction(targets, is_redacted=redact_names)
    request, limits = read_request(model), read_limits()
    from memprof.api.running import verify

    with telling(f"predicting and running {safe_text(model)}"):
        found = verify(request, runtime=runtime, limits=limits)

    def write_html(stream: TextIO) -> None:
        from memprof.render.page import verification_page

        flags = [*request_flags(), *(["--runtime", runtime] if runtime else [])]
        origin = Origin(shlex.join(["memprof", "verify", model, *flags]), is_redacted=redact_names)
        print_page(verification_page(found), stream, origin)

    write_results(targets, {".html": write_html, ".json": lambda stream: write_document(found.to_json(), stream)})
    with open_stdout() as stream:
        if as_json:
            write_document(found.to_json(), stream)
        else:
            from memprof.render.verification import render_verification

            following = ["bench", model] if found.runtime == "onnxruntime" else ["analyze", model]
            runs = ["--run"] if found.predicted_bytes is None and not request.is_file else []  # it is read by running
            next_command = safe_text(shlex.join(["memprof", *following, *request_flags(), *runs]), limit=2000)
            render_verification(found, stream, top=top, next_command=next_command)
    is_off = bool(found.broken_promises) or (require_exact and not found.is_exact)
    return BudgetError.code if is_off else 0
