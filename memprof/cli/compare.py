"""``memprof compare``: two models, or two saved reports, side by side."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TextIO

import click

from memprof.base.text import safe_text
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
from memprof.cli.pages import (
    Origin,
    Write,
    check_redaction,
    check_result_targets,
    page_option,
    print_page,
    redact_option,
    write_results,
)
from memprof.render.json import write_document

if TYPE_CHECKING:
    from memprof.results.comparison import Comparison
    from memprof.results.report import Report


@click.command()
@click.argument("before")
@click.argument("after")
@source_options
@measured_option
@runtimes_option
@top_option
@json_option
@click.option("--markdown", "as_markdown", is_flag=True, help="Print Markdown, for a comment on a change.")
@click.option("--strict", is_flag=True, help="Exit with 4 if a size was assumed.")
@page_option
@redact_option
def command(  # noqa: PLR0913, PLR0917 - click gives one argument per flag, by name
    before: str,
    after: str,
    runtimes: tuple[str, ...],
    top: int,
    as_json: bool,
    as_markdown: bool,
    strict: bool,
    targets: tuple[str, ...],
    redact_names: bool,
) -> None:
    """BEFORE and AFTER side by side: models, or reports saved with -o report.json.

    \b
    memprof compare old.onnx new.onnx
    memprof compare baseline.json new.onnx --markdown
    memprof compare old.onnx new.onnx -o change.html
    memprof compare torchvision:resnet18 torchvision:resnet34 --input 1x3x224x224
    """
    pick_one({"--json": as_json, "--markdown": as_markdown})
    check_result_targets(targets)
    check_redaction(targets, is_redacted=redact_names)
    requests = read_request(before), read_request(after)
    from memprof.api import compare

    flags = [*request_flags(), *repeat_flags({"--runtime": runtimes})]
    if any(target.lower().endswith(".html") for target in targets):  # a page shows the tensors of both sides
        from memprof.api import analyze

        with telling("reading both"):
            reports = [analyze(request, runtimes=runtimes or None) for request in requests]
        found = compare(*reports)
    else:
        reports = []
        with telling("reading both"):
            found = compare(*requests, runtimes=runtimes or None)
    origin = Origin(shlex.join(["memprof", "compare", before, after, *flags]), is_redacted=redact_names)
    write_results(targets, _writers(found, reports, origin))
    from memprof.results.assumed import refuse_assumed

    refused = refuse_assumed((*found.before.assumed, *found.after.assumed)) if strict else None
    if refused and as_json:  # one document on stdout, and it says what went wrong
        raise refused
    with open_stdout() as stream:
        if as_json:
            write_document(found.to_json(), stream)
        elif as_markdown:
            from memprof.render.comparison_markdown import render_comparison_markdown

            render_comparison_markdown(found, stream, top=top)
        else:
            from memprof.importers.request import names_report
            from memprof.render.comparison import render_comparison

            larger = after if (found.peak.delta or 0) >= 0 else before
            command = safe_text(shlex.join(["memprof", "analyze", larger, *flags, "--why"]), limit=2000)
            is_saved = names_report(larger)  # a saved report cannot be analysed again
            render_comparison(found, stream, top=top, next_command="" if is_saved else command)
    if refused:
        raise refused


def _writers(found: Comparison, reports: Sequence[Report], origin: Origin) -> Mapping[str, Write]:
    def write_html(stream: TextIO) -> None:
        from memprof.render.page import comparison_page

        before, after = reports
        print_page(comparison_page(found, before, after), stream, origin)

    return {".html": write_html, ".json": partial(write_document, found.to_json())}
