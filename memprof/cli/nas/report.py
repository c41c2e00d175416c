"""``memprof nas report``: a page about one search, or several with different lambdas."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING

import click

from memprof.base.errors import UsageError
from memprof.base.files import write_whole
from memprof.base.text import safe_text
from memprof.cli.output import note, open_stdout, telling

if TYPE_CHECKING:
    from memprof.nas.record.summary import SearchSummary

PAGE = "README.md"


@click.command(short_help="Write a Markdown page with pictures about a search.")
@click.argument("folders", type=click.Path(path_type=Path), metavar="DIR...", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR|FILE.html",
    help="Folder, DIR/report if left out; or a file that ends in .html, an interactive page in itself.",
)
def report(folders: tuple[Path, ...], output: Path | None) -> None:
    """Write a Markdown page with pictures about the search in DIR; more DIRs add accuracy against lambda.

    \b
    memprof nas report runs/first
    memprof nas report runs/first -o page.html
    memprof nas report runs/lambda-0 runs/lambda-5 runs/lambda-9 -o page
    """
    with telling(f"reporting on {safe_text(str(folders[0]))}"):
        _report(folders, output)


def _report(folders: tuple[Path, ...], output: Path | None) -> None:
    from memprof import analyze, nas
    from memprof.nas.given.inside import output_folder
    from memprof.nas.record.changes import changes_of_rounds
    from memprof.nas.record.trainings import finished_trainings
    from memprof.plots.architecture import plot_architecture
    from memprof.plots.lifetimes import plot_lifetimes
    from memprof.plots.search import plot_front, plot_lambda, plot_rounds
    from memprof.render.search_page import Pictures, render_page

    summaries = [nas.status(folder) for folder in folders]
    trainings = finished_trainings(folders[0])
    datasets = sorted({summary.settings.dataset for summary in summaries})
    if len(datasets) > 1:
        raise UsageError(
            f"The searches are on different data: {safe_text(', '.join(datasets))}.",
            "Their accuracies do not compare: report on each data set alone.",
        )
    first = summaries[0]
    if output is not None and output.suffix.lower() == ".html":
        _write_html(summaries, output)
        return
    pictures = Pictures(
        rounds="rounds.png",
        front="front.png",
        weights="lambda.png" if len(summaries) > 1 else None,
        architecture="architecture.png" if first.found is not None else None,
        lifetimes="lifetimes.png" if first.found is not None else None,
    )
    target = output_folder(output, folders, "report", (PAGE, *filter(None, astuple(pictures))))
    plot_rounds(first, target / pictures.rounds)
    plot_front(first, target / pictures.front)
    if pictures.weights is not None:
        plot_lambda(summaries, target / pictures.weights)
    title = "" if first.found is None else f"Candidate {first.found.candidate} of {folders[0].resolve().name}"
    if first.found is not None and pictures.architecture is not None:
        plot_architecture(first.found.architecture, target / pictures.architecture, title=title)
    if first.found is not None and pictures.lifetimes is not None:
        levels = analyze(nas.deployed(first.found.architecture), runtimes=["paper"])
        plot_lifetimes(levels, target / pictures.lifetimes, title=title)

    def write(path: Path) -> None:
        with path.open("w", encoding="utf-8") as stream:
            render_page(summaries, changes_of_rounds(first), trainings, pictures, stream)

    write_whole(target / PAGE, write)
    note(f"wrote {safe_text(str(target))}")
    with open_stdout() as stream:
        stream.write(f"{safe_text(str(target / PAGE), limit=2000)}\n")


_LAMBDAS = (0.0, 0.2, 0.5, 0.8, 0.9, 1.0)
"""The paper's, and the default of a search."""


def _write_html(summaries: list[SearchSummary], target: Path) -> None:
    """Write the interactive page: the front, every round, every network, and lifetimes of those on the front."""
    import platform
    import shlex
    import sys

    import memprof
    from memprof import nas
    from memprof.nas.record.changes import changes_of_rounds, describe_blocks
    from memprof.nas.record.sweep import sweep_lambda
    from memprof.render.page import PageNote
    from memprof.render.page.searches import MOST_LIFETIMES, SearchPage, write_search_page

    first = summaries[0]
    close = {found.candidate: found.architecture for found in first.front[-MOST_LIFETIMES:]}
    if first.found is not None:
        close[first.found.candidate] = first.found.architecture
    page = SearchPage(
        summary=first,
        changes=changes_of_rounds(first),
        cells={found.candidate: describe_blocks(found.architecture) for found in first.candidates},
        lifetimes={number: memprof.analyze(nas.deployed(network)).headline for number, network in close.items()},
        sweep=sweep_lambda(first, _LAMBDAS) if first.leader is not None else None,
        others=summaries[1:],
    )
    versions = (("memprof", memprof.__version__), ("Python", platform.python_version()))
    note_ = PageNote(command=shlex.join(["memprof", *sys.argv[1:]]), versions=versions)

    def write(path: Path) -> None:
        with path.open("w", encoding="utf-8") as stream:
            write_search_page(page, stream, note_)

    write_whole(target, write)
    note(f"wrote {safe_text(str(target))}")
    with open_stdout() as stream:
        stream.write(f"{safe_text(str(target), limit=2000)}\n")
