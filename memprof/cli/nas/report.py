"""``memprof nas report``: a page about one search, or several with different lambdas."""

from __future__ import annotations

from pathlib import Path

import click

from memprof.cli.output import note, open_stdout, write_atomically


@click.command()
@click.argument("folders", type=click.Path(path_type=Path), metavar="DIR...", nargs=-1, required=True)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Folder; DIR/report if left out."
)
def report(folders: tuple[Path, ...], output: Path | None) -> None:
    """Write a Markdown page with pictures about the search in DIR; more DIRs add accuracy against lambda.

    \b
    memprof nas report runs/first
    memprof nas report runs/lambda-0 runs/lambda-5 runs/lambda-9 -o page
    """
    from memprof import nas
    from memprof.nas.final import finished_trainings
    from memprof.plots.architecture import plot_architecture
    from memprof.plots.search import plot_front, plot_lambda, plot_rounds
    from memprof.render.search_page import Pictures, render_page

    summaries = [nas.status(folder) for folder in folders]
    first = summaries[0]
    target = output or folders[0] / "report"
    target.mkdir(parents=True, exist_ok=True)
    plot_rounds(first, target / "rounds.png")
    plot_front(first, target / "front.png")
    plot_lambda(summaries, target / "lambda.png")
    if first.best is not None:
        title = f"Candidate {first.best.candidate}"
        plot_architecture(first.best.architecture, target / "architecture.png", title=title)
    pictures = Pictures(
        rounds="rounds.png",
        front="front.png",
        weights="lambda.png",
        architecture="architecture.png" if first.best is not None else None,
    )

    def write(path: Path) -> None:
        with path.open("w", encoding="utf-8") as stream:
            render_page(summaries, finished_trainings(folders[0]), pictures, stream)

    write_atomically(str(target / "README.md"), write)
    note(f"wrote {target}")
    with open_stdout() as stream:
        stream.write(f"{target / 'README.md'}\n")
