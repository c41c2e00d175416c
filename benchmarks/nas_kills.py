"""25 kills of a real search: nothing finished is lost, nothing is repeated, the same network wins.

    python benchmarks/nas_kills.py [--kills 25] [--json FILE]

One search runs undisturbed. Another with the same settings is killed with SIGKILL again and again and resumed each
time. A third of the kills come at random moments; the rest at moments that chance would rarely hit, which the child
process brings about itself: it wraps the journal or the writer of checkpoints and kills itself there.

    random        the parent kills the child after a random time, before its first event perhaps
    commit        inside an uncommitted transaction: the event is written, the commit is not
    checkpoint    in a worker, half of a checkpoint's bytes written under the passing name
    renamed       in a worker, its checkpoint in place, nothing told yet
    resume        right after the process that took over wrote that it did

After every kill all events that were there before must still be there, in order. At the end no visit to a candidate
may stand in the journal twice, none whose checkpoint was finished may have been trained again, and rounds, choices,
accuracies and winners must equal those of the first search; times may differ.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nas_record import ROOT, write_record

from memprof.nas.record.journal import DATABASE, Event, Journal, read_journal

SEARCH = ("--dataset", "digits", "--images", "300", "--rounds", "2", "--sample", "4", "--epochs", "2", "--width", "4")
TRAINED = "trained.log"
"""Where the workers of a killed search write down each checkpoint that they finished."""

MOMENTS = ("random", "commit", "checkpoint", "renamed", "resume")


def main() -> None:
    """Run the benchmark; the exit status is 1 if a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, help="file to write")
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = compare(Path(name), options.kills, random.Random(options.seed))
    print(f"{found['kills']} kills: {', '.join(f'{n} {moment}' for moment, n in found['moments'].items())}")
    print(
        f"events lost {found['lost']}, visits repeated {found['repeated']}, trained again {found['trained_again']}, "
        f"same choices: {found['same']}"
    )
    write_record(options.json, found)
    if (
        found["lost"]
        or found["repeated"]
        or found["trained_again"]
        or not found["same"]
        or found["kills"] < options.kills
    ):
        raise SystemExit(1)


def compare(folder: Path, kills: int, rng: random.Random) -> dict[str, Any]:
    """Run both searches and return what became of the promises."""
    began = time.monotonic()
    run(start_command(folder / "whole"), "none", None)
    seconds = time.monotonic() - began
    whole, killed = choices(events_of(folder / "whole")), folder / "killed"
    hits: Counter[str] = Counter()
    lost = finished = 0
    while hits.total() < kills:
        before = events_of(killed)
        if before and before[-1].kind == "finished":  # go on with one that is not: promises must hold there too
            finished += 1
            killed = folder / f"killed-{finished}"
            before = ()
        moment = MOMENTS[hits.total() % len(MOMENTS)] if before else "random"
        limit = rng.uniform(0.2, 1.0) * seconds if moment == "random" else None
        if run(resume_command(killed) if before else start_command(killed), moment, limit):
            hits[moment] += 1
        lost += sum(old != new for old, new in zip(before, (*events_of(killed), *[None] * len(before)), strict=False))
    places = [folder / "killed", *(folder / f"killed-{i + 1}" for i in range(finished))]
    events = events_of(killed)
    if not events or events[-1].kind != "finished":
        run(resume_command(killed) if events else start_command(killed), "none", None)
    repeated, trained_again, same = 0, 0, True
    for place in places:
        visits = Counter((e.data["candidate"], e.data["rung"]) for e in events_of(place) if e.kind == "outcome")
        repeated += sum(count - 1 for count in visits.values())
        trained = Counter((place / TRAINED).read_text(encoding="utf-8").splitlines())
        trained_again += sum(count - 1 for count in trained.values())
        same = same and choices(events_of(place)) == whole
    return {
        "kills": hits.total(),
        "moments": dict(hits),
        "searches": len(places),
        "lost": lost,
        "repeated": repeated,
        "trained_again": trained_again,
        "same": same,
    }


def run(command: tuple[str, ...], moment: str, limit: float | None) -> bool:
    """Run a search in a process of its own; return whether it was killed."""
    driver = [sys.executable, __file__, "--drive", moment, *command]
    child = subprocess.Popen(driver, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        code = child.wait(limit)
    except subprocess.TimeoutExpired:
        child.kill()
        code = child.wait()
    if code not in (0, -signal.SIGKILL):
        raise RuntimeError(f"{' '.join(driver)} ended with {code}")
    return code != 0


def start_command(folder: Path) -> tuple[str, ...]:
    """Return the command that starts the search."""
    return ("nas", "search", *SEARCH, "--workers", "1", "-o", str(folder))


def resume_command(folder: Path) -> tuple[str, ...]:
    """Return the command that goes on with it."""
    return ("nas", "resume", str(folder), "--rounds", "2", "--workers", "1")


def events_of(folder: Path) -> tuple[Event, ...]:
    """Return the events on the disk; none where there is no search yet."""
    return read_journal(folder)[0] if (folder / DATABASE).is_file() else ()


def choices(events: tuple[Event, ...]) -> list[Any]:
    """Return what a search decided and measured, without times and who did it."""
    outcomes = sorted(
        (e.data["candidate"], e.data["rung"], e.data["status"], e.data["accuracy"], e.data["loss"])
        for e in events
        if e.kind == "outcome"
    )
    return [outcomes, *((e.kind, e.data) for e in events if e.kind in ("round", "closed", "cut", "finished"))]


# What follows runs in the child: the program itself, with one moment changed.


def die_in_commit() -> None:
    """Kill this process in a random transaction, after the event is written and before it is committed."""
    left = random.SystemRandom().randrange(1, 4)
    append = Journal.append

    def torn(self: Journal, kind: str, data: Mapping[str, Any]) -> Event:
        nonlocal left
        if kind == "outcome":
            left -= 1
        if not left:
            self._database.execute("BEGIN")
            append(self, kind, data)
            os.kill(os.getpid(), signal.SIGKILL)
        return append(self, kind, data)

    Journal.append = torn  # type: ignore[method-assign]


def die_after_resume() -> None:
    """Kill this process right after it wrote that it took over."""
    append = Journal.append

    def last(self: Journal, kind: str, data: Mapping[str, Any]) -> Event:
        event = append(self, kind, data)
        if kind == "resumed":
            os.kill(os.getpid(), signal.SIGKILL)
        return event

    Journal.append = last  # type: ignore[method-assign]


def watch_checkpoints(fatal: str) -> None:
    """Have the workers write down what they trained, and kill the search and themselves at the ``fatal`` moment."""
    from nas_kills import Witness as Importable  # a worker imports both by these names
    from nas_kills import WrappedFactory as Wrapped

    from memprof.nas.searching import workers

    pool = workers.WorkerPool

    def wrapped(count: int, factories: Sequence[Any], threads: int, lanes: int) -> Any:
        return pool(count, [Wrapped(Importable(fatal), each) for each in factories], threads, lanes=lanes)

    assert hasattr(workers, "WorkerPool"), "the pool that a search takes has another name"
    setattr(workers, "WorkerPool", wrapped)  # noqa: B010 - another module's name


class WrappedFactory:
    """A trainer factory that changes its worker first; picklable."""

    def __init__(self, wrap: Callable[[Any], Any], factory: Any) -> None:
        self._wrap = wrap
        self._factory = factory

    def __call__(self) -> Any:
        """Return the trainer."""
        return self._wrap(self._factory())


class Witness:
    """Writes down each checkpoint that its process finished; with a fatal moment the second is last; picklable."""

    def __init__(self, fatal: str) -> None:
        self._fatal = fatal

    def __call__(self, trainer: Any) -> Any:
        """Return ``trainer`` unchanged, its process changed."""
        from memprof.nas.train import evaluation

        save, left = evaluation.save_checkpoint, [2]

        def witnessed(checkpoint: Any, path: Path, outcome: Any = None) -> None:
            left[0] -= 1
            is_last = bool(self._fatal) and not left[0]
            if is_last and self._fatal == "checkpoint":
                passing = path.with_suffix(f".{os.getpid()}.part")
                save(checkpoint, passing.with_suffix(".whole"), outcome)
                data = passing.with_suffix(".whole").read_bytes()
                passing.with_suffix(".whole").unlink()
                passing.write_bytes(data[: len(data) // 2])
            else:
                save(checkpoint, path, outcome)
                with (path.parent.parent / TRAINED).open("a", encoding="utf-8") as file:
                    file.write(f"{path.name}\n")
            if is_last:
                os.kill(os.getppid(), signal.SIGKILL)
                os.kill(os.getpid(), signal.SIGKILL)

        evaluation.save_checkpoint = witnessed
        return trainer


CHANGES: Mapping[str, Callable[[], None]] = {
    "commit": die_in_commit,
    "resume": die_after_resume,
}


def drive(moment: str, arguments: list[str]) -> None:
    """Run the program with one moment changed."""
    from memprof.cli import main as program

    watch_checkpoints(moment if moment in ("checkpoint", "renamed") else "")
    CHANGES.get(moment, lambda: None)()
    sys.argv = ["memprof", *arguments]
    program(arguments)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--drive"]:
        drive(sys.argv[2], sys.argv[3:])
    else:
        main()
