"""What later rounds are worth: whole searches on digits, each by the command line, over several seeds.

    python benchmarks/nas_digits.py [--minutes 5] [--seeds 3] [--lambda 0.9] [--output DIR] [--json FILE]

Per seed ``memprof nas search``, ``export`` and ``report`` run as a user runs them. Then every network that was
trained to the last epoch is compared, by the metric on validation images, with the first round's winner, which is 0:

    best            of the whole search; never below 0, since the first winner is among those compared
    later rounds    the best network that came after the first round: above 0 only if the rounds were worth it
    last winner     the network that the last round chose
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nas_record import ROOT, write_record

from memprof.nas.journal import read_journal
from memprof.nas.search import best_candidate, score_against_first
from memprof.nas.state import SearchState, fold


def main() -> None:
    """Run the searches and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, help="file to write")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--lambda", dest="weight", type=float, default=0.9)
    parser.add_argument("--output", type=Path, help="keep the searches here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as passing:
        place = options.output or Path(passing)
        rows = []
        for seed in range(options.seeds):
            folder = place / f"seed-{seed}"
            flags = ["--dataset", "digits", "--lambda", str(options.weight), "--seed", str(seed)]
            memprof("nas", "search", *flags, "--minutes", str(options.minutes), "-o", str(folder))
            memprof("nas", "export", str(folder))
            memprof("nas", "report", str(folder))
            rows.append({"seed": seed, **read(fold(read_journal(folder)[0]))})
            print(describe(rows[-1]), flush=True)
    wins = sum(row["later"] is not None and row["later"]["score"] > 0 for row in rows)
    print(f"a later round beat the first round's winner in {wins} of {len(rows)} searches")
    write_record(options.json, {"minutes": options.minutes, "lambda": options.weight, "wins": wins, "rows": rows})


def memprof(*arguments: str) -> None:
    """Run the program as a user does."""
    subprocess.run([sys.executable, "-m", "memprof", *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)


def read(state: SearchState) -> dict[str, Any]:
    """Return what is compared, from a search's state."""
    scores = score_against_first(state)
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


def describe(row: dict[str, Any]) -> str:
    """Return one line about a search."""

    def of(name: str) -> str:
        found = row[name]
        if found is None:
            return "none"
        total = found["parameter_bytes"] + found["peak_intermediate_bytes"]
        score = "not trained to the end" if found["score"] is None else f"{found['score']:+.4f}"
        return f"{found['validation_accuracy']:.2%} with {total:,} B in round {found['round']} ({score})"

    return (
        f"seed {row['seed']}: {row['rounds']} rounds, {row['trained']} trained; first winner {of('first_winner')}; "
        f"best {of('best')}; later rounds {of('later')}; last winner {of('last_winner')}"
    )


if __name__ == "__main__":
    main()
