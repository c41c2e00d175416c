"""``memprof nas bench-controller``: the controllers against their simple rivals, on accuracies that are known."""

from __future__ import annotations

from pathlib import Path

import click

from memprof.cli.options import json_option
from memprof.cli.output import open_stdout, telling
from memprof.render.json import write_document


@click.command("bench-controller", short_help="Rank networks of known accuracy, by each ranker.")
@click.argument("table", type=click.Path(path_type=Path), metavar="TABLE.csv")
@click.option("--repeats", type=click.IntRange(min=1), default=5, show_default=True, help="Pools to draw.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--pool", type=click.IntRange(min=4), default=392, show_default=True, help="Networks in a pool.")
@click.option("--trained", type=click.IntRange(min=2), default=98, show_default=True, help="Of those, known ones.")
@json_option
def bench_controller(table: Path, repeats: int, seed: int, pool: int, trained: int, as_json: bool) -> None:
    """Rank networks whose accuracy is known with each controller and its rivals. The table has the columns cell and
    val_accuracy (NAS-Bench-201), or code, accuracy and bytes: a code of 0 and 1 for each block, spaces between."""
    from memprof.nas.train.devices import pick_device

    pick_device("cpu")  # one clear line if torch is missing
    from memprof.nas.rank.bench import bench_controllers
    from memprof.nas.rank.tables import read_table
    from memprof.render.search import render_controllers

    with telling(f"ranking {repeats} pools of {pool} networks"):
        found = bench_controllers(read_table(table), repeats=repeats, seed=seed, pool_size=pool, trained=trained)
    with open_stdout() as stream:
        if as_json:
            write_document(found.to_json(), stream)
        else:
            render_controllers(found, stream)
