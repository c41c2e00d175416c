"""Where the time of a search's workers went, from its journal: training, or waiting for what.

    python benchmarks/nas_idle.py DIR... [--json FILE]

    training       seconds that outcomes tell
    start          until the first candidate begins
    in a round     from its first beginning to its last: waiting for a rung
    its end        from its last beginning to its last outcome: waiting for the others
    between        from a round's last outcome to the next one's first beginning: waiting for the controller

Shares of the time of all workers together; a beginning is an outcome's time less its seconds.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nas_record import write_record

from memprof.nas.record.journal import read_journal
from memprof.nas.record.state import fold


def main() -> None:
    """Print the shares of each search."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", type=Path, nargs="+", metavar="DIR")
    parser.add_argument("--json", type=Path, help="file to write")
    options = parser.parse_args()
    found = {folder.name: shares(folder) for folder in options.folders}
    for name, parts in found.items():
        print(f"{name}: " + ", ".join(f"{part} {100 * share:.1f} %" for part, share in parts.items()))
    write_record(options.json, {"searches": found})


def shares(folder: Path) -> dict[str, float]:
    """Return what each part takes of the time of all workers."""
    events = read_journal(folder)[0]
    workers = fold(events).limits.workers
    rounds: list[list[tuple[float, float]]] = []
    for event in events:
        if event.kind in {"round", "tournament"}:
            rounds.append([])
        elif event.kind == "outcome":
            rounds[-1].append((event.spent - event.data["seconds"], event.spent))
    rounds = [trained for trained in rounds if trained]
    training = sum(end - begin for trained in rounds for begin, end in trained)
    ends = waiting = between = 0.0
    for index, trained in enumerate(rounds):
        first, last = min(begin for begin, _ in trained), max(end for _, end in trained)
        turn = max(begin for begin, _ in trained)
        tail = workers * (last - turn) - sum(max(0.0, end - max(begin, turn)) for begin, end in trained)
        ends += tail
        waiting += workers * (last - first) - sum(end - begin for begin, end in trained) - tail
        if index:
            between += workers * max(0.0, first - max(end for _, end in rounds[index - 1]))
    start = workers * rounds[0][0][0] if rounds else 0.0
    whole = workers * max(event.spent for event in events)
    parts = {"training": training, "start": start, "in a round": waiting, "its end": ends, "between": between}
    return {part: seconds / whole for part, seconds in parts.items()}


if __name__ == "__main__":
    main()
