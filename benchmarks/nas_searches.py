"""What later rounds are worth: whole searches, each by the command line, over several seeds.

    python benchmarks/nas_searches.py [--dataset digits] [--images N] [--width N] [--minutes 5] [--seeds 3]
                                      [--lambda 0.9] [--epochs 20] [--output DIR] [--json FILE]

Per seed ``memprof nas search``, ``export``, ``bench`` and ``report`` run as a user runs them. Then every network that
was trained to the last epoch is compared, by the metric on validation images, with the first winner, which is 0:

    best            of the whole search; never below 0, since the first winner is among those compared
    later rounds    the best network that came after the first round: above 0 only if the rounds were worth it
    last winner     the network that the last round chose

Later networks start from their base's weights and so have had more epochs than the first winner. What is left of
their lead when that is taken away is seen by training both from fresh weights, equally long, with the same few seeds:

    from scratch    the metric of the best of the later rounds against the first winner, of mean accuracies after that

With ``--output`` the searches are kept, and one that is finished is not run again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nas_record import ROOT, write_record

from memprof.nas.jobs import derive_seed
from memprof.nas.rank.metric import Measures
from memprof.nas.record.journal import read_journal
from memprof.nas.record.scores import best_candidate, score_against_first
from memprof.nas.record.state import SearchState, fold
from memprof.nas.searching.run import TrainerRecipe
from memprof.nas.train.modules import build_module


def main() -> None:
    """Run the searches and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, help="file to write")
    parser.add_argument("--dataset", default="digits", help="as for memprof nas search")
    parser.add_argument("--images", type=int, help="training images; all if left out")
    parser.add_argument("--width", type=int, help="filters of every layer; what suits the images if left out")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--lambda", dest="weight", type=float, default=0.9)
    parser.add_argument("--epochs", type=int, default=20, help="of the training from scratch; 0 for none")
    parser.add_argument("--repeats", type=int, default=3, help="seeds of the training from scratch")
    parser.add_argument("--output", type=Path, help="keep the searches here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as passing:
        place = options.output or Path(passing)
        rows = []
        for seed in range(options.seeds):
            folder = place / f"seed-{seed}"
            if not (folder / "report").is_dir():
                if not (folder / "search.db").is_file():
                    memprof("nas", "search", *search_flags(options, seed), "-o", str(folder))
                memprof("nas", "export", str(folder))
                memprof("bench", str(folder / "export" / "model.onnx"), "--runs", "3")
                memprof("nas", "report", str(folder))
            state = fold(read_journal(folder)[0])
            row = {"seed": seed, **read(state)}
            rows.append(row | {"from_scratch": from_scratch(state, row, options.epochs, options.repeats)})
            print(describe(rows[-1]), flush=True)
    wins = sum(row["later"] is not None and row["later"]["score"] > 0 for row in rows)
    print(f"a later round beat the first round's winner in {wins} of {len(rows)} searches")
    equal = [row["from_scratch"]["score"] for row in rows if row["from_scratch"]]
    print(f"trained from scratch, equally long, it did in {sum(score > 0 for score in equal)} of {len(equal)}")
    asked = {"dataset": Path(options.dataset).name, "images": options.images, "width": options.width}
    found = {"minutes": options.minutes, "lambda": options.weight, "wins": wins, "rows": rows}
    write_record(options.json, asked | found)


def search_flags(options: argparse.Namespace, seed: int) -> list[str]:
    """Return the flags of one search."""
    named = {
        "--dataset": options.dataset,
        "--images": options.images,
        "--width": options.width,
        "--lambda": options.weight,
        "--minutes": options.minutes,
        "--seed": seed,
    }
    return [str(part) for flag, value in named.items() if value is not None for part in (flag, value)]


def memprof(*arguments: str) -> None:
    """Run the program as a user does."""
    subprocess.run([sys.executable, "-m", "memprof", *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)


def read(state: SearchState) -> dict[str, Any]:
    """Return what is compared, from a search's state."""
    epochs = state.settings.recipe.epochs if state.settings else 0
    scores = {n: y for n, y in score_against_first(state).items() if state.outcomes[n][-1].epochs == epochs}
    first = next(found.winner for found in state.rounds if found.winner is not None)
    rounds = {chosen.candidate: found.index + 1 for found in state.rounds for chosen in found.chosen}
    later = max((n for n in scores if rounds[n] > 1), key=lambda n: scores[n], default=None)
    last = next(found.winner for found in reversed(state.rounds) if found.winner is not None)
    best = best_candidate(state)

    def facts(number: int | None) -> dict[str, Any] | None:
        measures = state.measures(number) if number is not None else None
        if number is None or measures is None:
            return None
        return {
            "candidate": number,
            "round": rounds[number],
            "validation_accuracy": measures.accuracy,
            "parameter_bytes": measures.parameter_bytes,
            "peak_intermediate_bytes": measures.peak_intermediate_bytes,
            "score": scores.get(number),
        }

    return {
        "rounds": len(state.rounds),
        "trained": sum(state.measures(n) is not None for n in state.chosen),
        "reason": state.finished,
        "first_winner": facts(first),
        "best": facts(best[0] if best else None),
        "later": facts(later),
        "last_winner": facts(last),
    }


def from_scratch(state: SearchState, row: dict[str, Any], epochs: int, repeats: int) -> dict[str, Any] | None:
    """Return both networks' mean validation accuracy after equal training from fresh weights, and its metric."""
    if row["later"] is None or state.settings is None or not epochs:
        return None
    recipe = replace(state.settings.recipe, epochs=epochs)
    settings = replace(state.settings, recipe=recipe, rungs=(epochs,))
    trainer = TrainerRecipe(settings, "", "cpu")()
    accuracies: dict[str, list[float]] = {}
    measured = []
    for name in ("later", "first_winner"):
        chosen = state.chosen[row[name]["candidate"]]
        accuracies[name] = []
        for repeat in range(repeats):
            seed = derive_seed(settings.seed, "from scratch", repeat)
            torch.manual_seed(seed)
            training, _ = trainer.train(build_module(chosen.architecture), seed=seed)
            accuracies[name].append(training.accuracy)
        measured.append(
            Measures(
                accuracy=mean(accuracies[name]),
                peak_intermediate_bytes=chosen.peak_intermediate_bytes,
                parameter_bytes=chosen.parameter_bytes,
            )
        )
    later, first = measured
    return {
        "epochs": epochs,
        "later_accuracy": later.accuracy,
        "first_winner_accuracy": first.accuracy,
        "accuracies": accuracies,
        "score": settings.metric.score(later, first),
    }


def describe(row: dict[str, Any]) -> str:
    """Return one line about a search."""

    def of(name: str) -> str:
        found = row[name]
        if found is None:
            return "none"
        total = found["parameter_bytes"] + found["peak_intermediate_bytes"]
        score = "not trained to the end" if found["score"] is None else f"{found['score']:+.4f}"
        return f"{found['validation_accuracy']:.2%} with {total:,} B in round {found['round']} ({score})"

    scratch = row["from_scratch"]
    equal = (
        f"; from scratch {scratch['later_accuracy']:.2%} against {scratch['first_winner_accuracy']:.2%} "
        f"({scratch['score']:+.4f})"
        if scratch
        else ""
    )
    return (
        f"seed {row['seed']}: {row['rounds']} rounds, {row['trained']} trained; first winner {of('first_winner')}; "
        f"best {of('best')}; later rounds {of('later')}; last winner {of('last_winner')}{equal}"
    )


if __name__ == "__main__":
    main()
