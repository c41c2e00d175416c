"""Fifty deaths of real worker processes: every job has one outcome, none is lost, none begins twice.

    python benchmarks/nas_deaths.py [--deaths 50] [--workers 2] [--json FILE]

Local workers, as a search starts them, train made-up jobs; every other one kills its process: by the signal that the
kernel sends when memory runs out, or by an exit of its own. The rest tell an outcome and write a checkpoint.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nas_record import write_record

from memprof.nas.jobs import Job
from memprof.nas.searching.workers import WorkerPool
from memprof.nas.space.architecture import CIFAR10
from memprof.nas.train.modules import NO_BUILDERS
from memprof.nas.train.trainer import Checkpoint, Training

EXPECTED = {"killed": "out of memory", "ended": "crashed"}


class Mortal:
    """Looks like a trainer; odd seeds end its process, one way or the other in turns."""

    builders = NO_BUILDERS

    def __init__(self, log: Path) -> None:
        self._log = log

    def train(self, module: Any, *, seed: int, until: int, **_: Any) -> tuple[Training, Checkpoint]:
        """Write down that a job began, then die or be done."""
        with self._log.open("a", encoding="utf-8") as log:
            log.write(f"{seed}\n")
        match seed % 4:
            case 1:
                os.kill(os.getpid(), signal.SIGKILL)
            case 3:
                os._exit(11)
        training = Training(status="ok", accuracy=0.5, epochs=until, loss=1.0)
        return training, Checkpoint(until, module.state_dict(), {})


class Factory:
    """Makes the trainer of a worker."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def __call__(self) -> Any:
        """Return the trainer."""
        return Mortal(self._log)


def main() -> int:
    """Run the jobs and say what came of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--deaths", type=int, default=50)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        jobs = [job(number, Path(place)) for number in range(2 * options.deaths)]
        began = time.perf_counter()
        from nas_deaths import Factory as Importable  # a worker imports it by this name

        with WorkerPool(options.workers, Importable(Path(place) / "begun")) as pool:
            found = list(pool.run(jobs))
        seconds = time.perf_counter() - began
        begun = Counter(int(line) for line in (Path(place) / "begun").read_text(encoding="utf-8").split())
        kept = sum(Path(each.checkpoint).is_file() for each in jobs)
    wrong = [o.candidate for o in found if o.status != _expected(o.candidate)]
    results = {
        "jobs": len(jobs),
        "deaths": sum(o.status != "ok" for o in found),
        "lost": len(jobs) - len({o.candidate for o in found}),
        "told_twice": len(found) - len({o.candidate for o in found}),
        "begun_twice": sum(times > 1 for times in begun.values()),
        "wrong_status": len(wrong),
        "checkpoints": kept,
        "seconds": seconds,
    }
    print(results)
    write_record(options.json, results)
    bad = results["lost"] or results["told_twice"] or results["begun_twice"] or wrong or kept != options.deaths
    return int(bool(bad) or results["deaths"] != options.deaths)


def _expected(seed: int) -> str:
    return {1: EXPECTED["killed"], 3: EXPECTED["ended"]}.get(seed % 4, "ok")


def job(seed: int, folder: Path) -> Job:
    """Return a job on the smallest network there is."""
    return Job(
        candidate=seed,
        rung=0,
        architecture=CIFAR10.build([]).to_json(),
        seed=seed,
        until=1,
        parent=None,
        resume_from="",
        checkpoint=str(folder / f"{seed}.pt"),
        seconds=600.0,
    )


if __name__ == "__main__":
    sys.exit(main())
