"""What searches find, against random search with the same trainer and minutes, and against logistic regression.

    python benchmarks/nas_searches.py [--dataset digits] [--minutes 5] [--seeds 5] [--workers 2] [--at-once 1]
                                      [--output DIR] [--json FILE]

Per seed two searches run in the same time and end in the same tournament: fresh weights, equally long, several seeds.
They run in turns, or where a machine has the cores several at once, each on as many cores of its own as workers.
With ``--output`` a search that is there already is read, not run again.

    memnas    memprof's own rounds
    random    networks of 1 to 6 random cells, some trimmed, trained as long as candidates that go all the way

Reported are the tournaments' fronts, the area under accuracy against the logarithm of total bytes (from 50 % and up
to 1 MB), the first round's winner, and what logistic regression on the pixels reaches on the same validation images,
with the standard error over them. Networks that logistic regression beats in accuracy and bytes at once are counted.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import islice
from math import log, sqrt
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from sklearn.linear_model import LogisticRegression

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nas_record import write_record

from memprof.nas.jobs import derive_seed
from memprof.nas.rank.metric import Metric
from memprof.nas.record.journal import Journal, read_journal
from memprof.nas.record.settings import Limits, Settings
from memprof.nas.record.state import Chosen, SearchState, fold
from memprof.nas.record.tournament import Standing, best_standing, standings
from memprof.nas.searching.presets import facts_of, quick
from memprof.nas.searching.run import resume, search
from memprof.nas.space.architecture import Architecture
from memprof.nas.space.budget import Budget
from memprof.nas.space.generator import grow_inputs, ordered_cells, trim
from memprof.nas.space.isomorphism import network_key
from memprof.nas.space.screening import is_within, measure
from memprof.nas.train.data import load_training

FLOOR, TOP_BYTES = 0.5, 1e6
RANDOM_NETWORKS = 400


def main() -> None:
    """Run the searches and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, help="file to write")
    parser.add_argument("--dataset", default="digits", help="as for memprof nas search")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--at-once", type=int, default=1, help="searches, each on cores of its own")
    parser.add_argument("--output", type=Path, help="keep the searches here")
    options = parser.parse_args()
    linear = logistic_regression(options.dataset)
    print(f"logistic regression: {linear['accuracy']:.2%} +- {linear['standard_error']:.2%}, {linear['bytes']:,} B")
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as passing:
        place = options.output or Path(passing)
        facts = facts_of(options.dataset, root=place / "data")
        settings = [quick(facts, Metric(accuracy_weight=0.9), Budget(), seed=seed) for seed in range(options.seeds)]
        limits = Limits(seconds=60 * options.minutes, workers=options.workers)
        with pool_of(options.at_once, options.workers) as pool:
            begun = [
                {name: pool.submit(ARMS[name], place / f"{name}-{each.seed}", each, limits) for name in ARMS}
                for each in settings
            ]
            for seed, pair in enumerate(begun):
                found = {name: read(state.result(), linear) for name, state in pair.items()}
                rows.append({"seed": seed} | found)
                for name, row in found.items():
                    print(f"seed {seed}, {name}: {describe(row)}", flush=True)
    judged = [row for row in rows if row["memnas"]["standings"] and row["random"]["standings"]]
    above = sum(row["memnas"]["area"] > row["random"]["area"] for row in judged)
    print(f"more area than random search in {above} of {len(judged)} seeds with both tournaments")
    flags = ("dataset", "minutes", "workers", "at_once")
    facts_of_run = {flag: getattr(options, flag) for flag in flags}
    write_record(
        options.json,
        facts_of_run | {"above": above, "judged": len(judged), "logistic_regression": linear, "rows": rows},
    )


def pool_of(count: int, cores: int) -> ProcessPoolExecutor:
    """Return processes that run a search each; if they are several, each on some cores of its own.

    Raises:
        SystemExit: There are fewer cores than that takes.
    """
    context = get_context("spawn")
    if count == 1:
        return ProcessPoolExecutor(1, context)
    free = sorted(os.sched_getaffinity(0))
    if len(free) < count * cores:
        raise SystemExit(f"{count} searches of {cores} cores each need {count * cores}; there are {len(free)}")
    places: Any = context.SimpleQueue()
    for first in range(0, count * cores, cores):
        places.put(free[first : first + cores])
    return ProcessPoolExecutor(count, context, _stay, (places,))


def _stay(places: Any) -> None:
    """Keep to the next cores that nobody has; what this process starts keeps to them too."""
    os.sched_setaffinity(0, places.get())


def run_memnas(folder: Path, settings: Settings, limits: Limits) -> SearchState:
    """Return the state of a finished search; one that is there already is not run again."""
    if not (folder / "search.db").is_file():
        search(folder, settings, limits)
    return fold(read_journal(folder)[0])


def run_random(folder: Path, settings: Settings, limits: Limits, most: int = RANDOM_NETWORKS) -> SearchState:
    """Return the state of a search whose only round holds random networks, as many as the time allows."""
    if not (folder / "search.db").is_file():
        rng = random.Random(derive_seed(settings.seed, "random search"))
        networks = list(islice(networks_within(rng, settings), most))
        unhalved = {**settings.to_json(), "rungs": [settings.recipe.epochs]}
        with Journal(folder) as journal:
            journal.append("started", {"settings": unhalved, "limits": limits.to_json()})
            chosen = []
            for number, network in enumerate(networks):
                footprint = measure(network, settings.budget)
                sizes = (footprint.parameter_bytes, footprint.peak_intermediate_bytes)
                chosen.append(
                    Chosen(
                        candidate=number,
                        architecture=network,
                        parameter_bytes=sizes[0],
                        peak_intermediate_bytes=sizes[1],
                        predicted=None,
                    ).to_json()
                )
            opened = {"index": 0, "base": None, "generated": len(chosen), "rejected": 0, "chosen": chosen}
            journal.append("round", opened)
        resume(folder, limits)
    return fold(read_journal(folder)[0])


ARMS = {"memnas": run_memnas, "random": run_random}


def networks_within(rng: random.Random, settings: Settings) -> Iterator[Architecture]:
    """Yield random networks within the budget, none twice, for as long as some of many draws is one."""
    seen: set[object] = set()
    missed = 0
    while missed < RANDOM_NETWORKS:
        found = random_network(rng, settings)
        key = network_key(found)
        if key in seen or not is_within(measure(found, settings.budget), settings.budget):
            missed += 1
            continue
        seen.add(key)
        missed = 0
        yield found


def random_network(rng: random.Random, settings: Settings) -> Architecture:
    """Return a network of the search's space: cells drawn one after the other, then perhaps a few trims."""
    found = settings.template.build([])
    for _ in range(rng.randrange(1, settings.max_cells + 1)):
        cells = [cell for cell in ordered_cells(grow_inputs(found), settings.combines) if cell == cell.canonical]
        cell = rng.choice(cells)
        found = replace(found, blocks=tuple(replace(b, cells=(*b.cells, cell)) for b in found.blocks))
    for _ in range(rng.choice((0, 0, 1, 2, 4))):
        found = rng.choice([*trim(found), found])
    return found


def logistic_regression(dataset: str) -> dict[str, Any]:
    """Return what a linear model on the pixels reaches, and its bytes: weights, image and scores."""
    data = load_training(dataset, root=Path(tempfile.gettempdir()))
    pixels = data.training.pixels.flatten(1).numpy() / 255
    model = LogisticRegression(max_iter=2000).fit(pixels, data.training.labels.numpy())
    accuracy = float(model.score(data.validation.pixels.flatten(1).numpy() / 255, data.validation.labels.numpy()))
    size = 4 * (pixels.shape[1] * data.classes + data.classes + pixels.shape[1] + data.classes)
    error = sqrt(accuracy * (1 - accuracy) / len(data.validation))
    return {"accuracy": accuracy, "standard_error": error, "bytes": size}


def read(state: SearchState, linear: dict[str, Any]) -> dict[str, Any]:
    """Return what is reported of a search."""
    found, best = standings(state), best_standing(state)
    final = state.tournaments[-1] if state.tournaments else None
    return {
        "rounds": len(state.rounds),
        "trained": sum(state.measures(n) is not None for n in state.chosen),
        "reason": state.finished,
        "area": area(found),
        "best": None if best is None else facts(best),
        "is_best_beaten_by_logistic_regression": best is not None
        and best.accuracy <= linear["accuracy"]
        and best.total_bytes >= linear["bytes"],
        "first_winner": next((facts(s) for s in found if final and s.candidate == final.yardstick), None),
        "standings": [facts(each) for each in found],
    }


def facts(found: Standing) -> dict[str, Any]:
    """Return one entrant of a tournament."""
    return {
        "candidate": found.candidate,
        "accuracy": found.accuracy,
        "standard_error": found.standard_error,
        "trainings": len(found.accuracies),
        "epochs": found.epochs,
        "parameter_bytes": found.parameter_bytes,
        "peak_intermediate_bytes": found.peak_intermediate_bytes,
        "score": found.score,
    }


def area(found: tuple[Standing, ...]) -> float:
    """Return the area under the front of mean accuracy against log10 of total bytes."""
    total, best, start = 0.0, FLOOR, 0.0
    for each in sorted(found, key=lambda each: (each.total_bytes, -each.accuracy)):
        place = log(each.total_bytes, 10)
        total += (best - FLOOR) * (place - start)
        best, start = max(best, each.accuracy), place
    return total + (best - FLOOR) * (log(TOP_BYTES, 10) - start)


def describe(row: dict[str, Any]) -> str:
    """Return one line about a search."""
    best = row["best"]
    if best is None:
        return f"{row['rounds']} rounds, {row['trained']} trained, no tournament ({row['reason']})"
    total, error = best["parameter_bytes"] + best["peak_intermediate_bytes"], best["standard_error"]
    return (
        f"{row['rounds']} rounds, {row['trained']} trained; area {row['area']:.4f}; best {best['accuracy']:.2%} "
        f"{'' if error is None else f'+- {error:.2%} '}with {total:,} B; score {best['score']:+.4f}"
    )


if __name__ == "__main__":
    main()
