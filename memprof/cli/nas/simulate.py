"""``memprof nas simulate``: whole strategies of search at equal numbers of trained networks, on a table."""

from __future__ import annotations

from pathlib import Path

import click

from memprof.base.text import safe_text
from memprof.cli.options import json_option
from memprof.cli.output import drawing, note, open_stdout
from memprof.render.json import write_document


@click.command(short_help="Hold this search against others, on known accuracies.")
@click.argument("table", type=click.Path(path_type=Path), metavar="TABLE")
@click.option("--trained", type=click.IntRange(min=8), default=96, show_default=True, help="Networks to train.")
@click.option("--seeds", type=click.IntRange(min=1), default=10, show_default=True, help="Repetitions.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--lambda",
    "accuracy_weight",
    type=click.FloatRange(0, 1),
    help="Let equation 4 lead, against the table's medians; without it the Pareto front is the goal.",
)
@click.option(
    "--ranker",
    type=click.Choice(["scc", "set-scc", "single-rnn", "double-rnn", "blend", "ridge", "parameters", "random"]),
    default="blend",
    show_default=True,
    help="Who ranks for memprof's own strategy.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Picture: .png, .svg or .pdf.")
@json_option
def simulate(  # noqa: PLR0913, PLR0917 - one argument per flag
    table: Path,
    trained: int,
    seeds: int,
    seed: int,
    accuracy_weight: float | None,
    ranker: str,
    output: Path | None,
    as_json: bool,
) -> None:
    """Let this search, random and local search, regularised evolution and NSGA-II loose on networks whose accuracy is
    known, and compare their regret. TABLE is NAS-Bench-201 (cell, val_accuracy), NAS-Bench-Macro (its JSON file),
    DARTS genotypes as in NAS-Bench-301 (genotype, accuracy), or any CSV file with code, accuracy and bytes.

    \b
    memprof nas simulate table.csv --trained 96 --seeds 20 -o regret.png
    """
    from memprof.nas.train.devices import pick_device

    pick_device("cpu")  # one clear line if torch is missing
    from memprof.nas.rank.metric import Metric
    from memprof.nas.rank.simulate import SimulationPlan, simulate
    from memprof.nas.rank.tables import read_table
    from memprof.render.simulation import SimulationProgress, render_simulation

    if output is not None:
        from memprof.plots.style import check_suffix

        check_suffix(output)  # before minutes are spent
    cells = read_table(table)
    metric = None if accuracy_weight is None else Metric(accuracy_weight=accuracy_weight)
    plan = SimulationPlan(table=table.name, trained=trained, seeds=seeds, seed=seed, metric=metric, ranker=ranker)
    with drawing(SimulationProgress()) as progress:
        found = simulate(cells, plan, progress.watch)
    if output is not None:
        from memprof.plots.simulation import plot_simulation

        plot_simulation(found, output)
        note(f"wrote {safe_text(str(output))}")
    with open_stdout() as stream:
        if as_json:
            write_document(found.to_json(), stream)
        else:
            render_simulation(found, stream)
