"""What searches find, against random search with the same trainer and minutes, and against logistic regression.

    python benchmarks/nas_searches.py [--dataset digits] [--minutes 5] [--seeds 5] [--workers 2] [--output DIR]
                                      [--json FILE]

Per seed two searches run after each other in the same time, and end in the same tournament: fresh weights, equally
long, several seeds.

    memnas    memprof's own rounds
    random    networks of 1 to 6 random cells, some trimmed, trained as long as candidates that go all the way

Reported are the tournaments' fronts, the area under accuracy against the logarithm of total bytes (from 50 % and up
to 1 MB), the first round's winner, and what logistic regression on the pixels reaches on the same validation images,
with the standard error over them. Networks that logistic regression beats in accuracy and bytes at once are counted.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from math import log, sqrt
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
from memprof.nas.space.generator import grow, trim
from memprof.nas.space.screening import measure
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
    parser.add_argument("--output", type=Path, help="keep the searches here")
    options = parser.parse_args()
    linear = logistic_regression(options.dataset)
    print(f"logistic regression: {linear['accuracy']:.2%} +- {linear['standard_error']:.2%}, {linear['bytes']:,} B")
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as passing:
        place = options.output or Path(passing)
        facts = facts_of(options.dataset, root=place / "data")
        for seed in range(options.seeds):
            settings = quick(facts, Metric(accuracy_weight=0.9), Budget(), seed=seed)
            limits = Limits(seconds=60 * options.minutes, workers=options.workers)
            found: dict[str, dict[str, Any]] = {
                "memnas": read(run_memnas(place / f"memnas-{seed}", settings, limits), linear),
                "random": read(run_random(place / f"random-{seed}", settings, limits), linear),
            }
            rows.append({"seed": seed} | found)
            for name, row in found.items():
                print(f"seed {seed}, {name}: {describe(row)}", flush=True)
    above = sum(row["memnas"]["area"] > row["random"]["area"] for row in rows)
    print(f"more area than random search in {above} of {len(rows)} seeds")
    facts_of_run = {"dataset": options.dataset, "minutes": options.minutes, "workers": options.workers}
    write_record(options.json, facts_of_run | {"above": above, "logistic_regression": linear, "rows": rows})


def run_memnas(folder: Path, settings: Settings, limits: Limits) -> SearchState:
    """Return the state of a finished search; one that is there already is not run again."""
    if not (folder / "search.db").is_file():
        search(folder, settings, limits)
    return fold(read_journal(folder)[0])


def run_random(folder: Path, settings: Settings, limits: Limits) -> SearchState:
    """Return the state of a search whose only round holds random networks, as many as the time allows."""
    if not (folder / "search.db").is_file():
        rng = random.Random(derive_seed(settings.seed, "random search"))
        networks = [random_network(rng, settings) for _ in range(RANDOM_NETWORKS)]
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


def random_network(rng: random.Random, settings: Settings) -> Architecture:
    """Return a network of the search's space: cells drawn one after the other, then perhaps a few trims."""
    found = settings.template.build([])
    for _ in range(rng.randrange(1, settings.max_cells + 1)):
        found = rng.choice(list(grow(found, settings.combines)))
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
