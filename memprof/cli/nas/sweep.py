"""``memprof nas sweep``: what each lambda would choose of the networks that one search trained."""

from __future__ import annotations

from pathlib import Path

import click

from memprof.base.errors import UsageError
from memprof.base.text import safe_text
from memprof.cli.options import json_option
from memprof.cli.output import note, open_stdout, telling
from memprof.render.json import write_document


@click.command(short_help="Figure 5 of the paper from one search.")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--lambda", "weights", default="0,.2,.5,.8,1", show_default=True, help="Lambdas, commas between them.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Picture: .png, .svg or .pdf.")
@json_option
def sweep(folder: Path, weights: str, output: Path | None, as_json: bool) -> None:
    """Figure 5 of the paper from one search: the network that each lambda chooses of all that were trained to the
    end, by the metric against the first round's winner. Nothing is trained.

    \b
    memprof nas sweep runs/first --lambda 0,.2,.5,.8,1 -o figure5.png
    """
    from memprof import nas
    from memprof.nas.record.sweep import sweep_lambda
    from memprof.render.search import render_sweep

    try:
        asked = [float(text) for text in weights.split(",")]
    except ValueError:
        raise UsageError(
            f"{safe_text(weights)!r} are no numbers with commas between them.", "For example: --lambda 0,.5,1"
        ) from None
    with telling(f"reading {safe_text(str(folder))}"):
        found = sweep_lambda(nas.status(folder), asked)
        if output is not None:
            from memprof.plots.search import plot_sweep

            plot_sweep(found, output)
    if output is not None:
        note(f"wrote {safe_text(str(output))}")
    with open_stdout() as stream:
        if as_json:
            write_document(found.to_json(), stream)
        else:
            render_sweep(found, stream)
