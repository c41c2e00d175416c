"""Local worker processes: whatever a candidate does to its process is labelled, and the search goes on.

The trainers here misbehave by the candidate's seed, so that a test takes no longer than processes take to start.
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

pytest.importorskip("torch")


from memprof.base.errors import RuntimeFailure, UsageError
from memprof.nas.jobs import Job, derive_seed
from memprof.nas.record.journal import Journal, read_journal
from memprof.nas.record.settings import Limits
from memprof.nas.record.summarizing import summarize
from memprof.nas.searching import run, workers
from memprof.nas.searching.rounds import Search
from memprof.nas.space.architecture import CIFAR10
from memprof.nas.train import evaluation
from memprof.nas.train.evaluation import evaluate
from memprof.nas.train.trainer import Checkpoint, Training
from tests.nas.searching.searches import SETTINGS, start

REPOSITORY = Path(__file__).resolve().parents[3]
STATUSES = ("ok", "diverged", "out of memory", "out of memory", "timed out", "crashed", "crashed")
"""What must come of a seed, modulo their number."""

SEED = 493
"""Of a search whose first eight candidates do everything there is; the one that hangs finds its worker warm."""


FULL = Path("/dev/full")

GUARD_SECONDS = 600.0
"""Of tests that would otherwise never end where they fail; nothing that passes waits for it."""


class Misbehaving:
    """Looks like a Trainer; what becomes of it depends on the seed alone."""

    builders: Mapping[str, Any] = MappingProxyType({})

    def train(self, module: Any, *, seed: int, until: int, **_: Any) -> tuple[Training, Checkpoint]:
        match seed % len(STATUSES):
            case 1:
                return real_trainer().train(with_nan(module), seed=0, until=1)
            case 2:
                return real_trainer().train(without_memory(module), seed=0, until=1)
            case 3:
                os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does when memory runs out
            case 4:
                Path(os.environ["HANGING"]).touch()  # the clock of the test leaps when it sees this
                signal.pause()
            case 5:
                os._exit(11)
            case 6:
                raise ValueError("nobody expected\nthis")
        training = Training(status="ok", accuracy=0.5, epochs=until, loss=1.0)
        return training, Checkpoint(until, module.state_dict(), {})


def real_trainer() -> Any:
    """Return memprof's own trainer on four grey images."""
    import torch

    from memprof.nas.train.data import TrainingData
    from memprof.nas.train.images import Augmentation, Images
    from memprof.nas.train.recipe import Recipe
    from memprof.nas.train.trainer import Trainer

    images = Images(torch.zeros((4, 3, 8, 8), dtype=torch.uint8), torch.zeros(4, dtype=torch.int64))
    change = Augmentation(padding=0, flips=False, cutout=0)
    data = TrainingData(name="", training=images, validation=images, classes=10, augmentation=change)
    return Trainer(data, Recipe(), torch.device("cpu"))


def with_nan(module: Any) -> Any:
    """Return ``module`` with a weight that is not a number."""
    module.classifier.weight.data[0, 0] = float("nan")
    return module


def without_memory(module: Any) -> Any:
    """Return ``module``, which now asks for a tensor that no machine has room for."""
    import torch

    def ask(*_: object) -> None:
        torch.empty(1 << 60, dtype=torch.uint8)

    module.register_forward_pre_hook(ask)
    return module


def job(seed: int, folder: Path, seconds: float = 600.0) -> Job:
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
        seconds=seconds,
    )


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], float]:
    """A clock that stands still until a worker hangs, and is then far ahead: no test waits for seconds."""
    sign = tmp_path / "hanging"
    monkeypatch.setenv("HANGING", str(sign))
    leaps = [0]

    def read() -> float:
        if sign.exists():
            sign.unlink()
            leaps[0] += 1
        return leaps[0] * 1e6

    return read


def test_a_search_full_of_bad_candidates_completes_and_labels_each(
    tmp_path: Path, clock: Callable[[], float]
) -> None:
    settings = replace(SETTINGS, seed=SEED, sample=8, rungs=(4,), finalists=0)
    with Journal(tmp_path) as journal:
        start(journal, settings, Limits(rounds=1, job_seconds=600.0))
        search = Search(tmp_path, journal, time.monotonic)
        with workers.WorkerPool(1, Misbehaving, clock=clock) as pool:
            while jobs := search.ask():
                for outcome in pool.run(jobs):
                    search.tell(outcome)
    events, beat = read_journal(tmp_path)
    found = summarize(events, beat, beat)
    assert found is not None
    expected = [STATUSES[derive_seed(SEED, "candidate", i) % len(STATUSES)] for i in range(8)]
    assert [candidate.status for candidate in found.candidates] == expected
    assert set(expected) == set(STATUSES)
    assert found.reason == "1 round is done"
    assert found.rounds[0].failed == 8 - expected.count("ok")
    assert found.best is None
    assert found.leader is not None
    assert found.leader.status == "ok"
    messages = {candidate.message for candidate in found.candidates}
    assert {"ValueError: nobody expected", "the process ended with code 11"} <= messages
    assert len(list((tmp_path / "weights").iterdir())) == expected.count("ok")


def test_nothing_is_begun_after_the_deadline_and_what_was_begun_gives_up(
    tmp_path: Path, clock: Callable[[], float]
) -> None:
    good = next(seed for seed in range(100) if STATUSES[seed % len(STATUSES)] == "ok")
    with workers.WorkerPool(1, Misbehaving, clock=clock) as pool:
        assert [o.status for o in pool.run([job(good, tmp_path)])] == ["ok"]
        hang, late = job(STATUSES.index("timed out"), tmp_path), job(good + len(STATUSES), tmp_path)
        assert [o.status for o in pool.run([hang, late], clock() + 1.0)] == ["timed out"]
        assert list(pool.run([late], clock())) == []


def test_a_worker_that_stands_still_costs_its_own_job_alone(tmp_path: Path) -> None:
    is_stopped: list[bool] = []

    def clock() -> float:
        """Leap when the worker that was stopped has been given a job."""
        return 1e6 if is_stopped and pool._workers[0].job is not None else 0.0

    with workers.WorkerPool(1, Misbehaving, clock=clock) as pool:
        assert [o.status for o in pool.run([job(0, tmp_path)])] == ["ok"]
        os.kill(pool._workers[0].process.pid, signal.SIGSTOP)
        is_stopped.append(True)
        found = pool.run([job(7, tmp_path), job(14, tmp_path)])
        first = next(found)
        is_stopped.clear()
        assert [(o.candidate, o.status) for o in (first, *found)] == [(7, "timed out"), (14, "ok")]


class SlowToSend:
    """A worker's pipe whose parent goes on only when the worker hangs, as on a busy machine."""

    def __init__(self, pipe: Any, sign: Path) -> None:
        self._pipe = pipe
        self._sign = sign

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipe, name)

    def send(self, given: object) -> None:
        self._pipe.send(given)
        until = time.monotonic() + GUARD_SECONDS
        while not self._sign.exists() and time.monotonic() < until:
            time.sleep(0.01)


def test_the_time_of_a_job_begins_before_its_worker_knows(tmp_path: Path, clock: Callable[[], float]) -> None:
    with workers.WorkerPool(1, Misbehaving, clock=clock) as pool:
        assert [o.status for o in pool.run([job(0, tmp_path)])] == ["ok"]
        worker = pool._workers[0]
        worker.pipe = SlowToSend(worker.pipe, tmp_path / "hanging")  # type: ignore[assignment] # a stand-in
        found = list(pool.run([job(STATUSES.index("timed out"), tmp_path)]))
    assert [o.status for o in found] == ["timed out"]


class NoData:
    """A trainer factory whose data are gone; picklable."""

    def __call__(self) -> Any:
        raise UsageError("There is no data set 'gone'.", "Choose another.")


def test_what_the_machine_lacks_is_no_candidates_fault(tmp_path: Path) -> None:
    with (
        workers.WorkerPool(1, NoData()) as pool,
        pytest.raises(RuntimeFailure, match="There is no data set 'gone'"),
    ):
        list(pool.run([job(0, tmp_path)]))


class Dies:
    """A trainer factory that takes its process with it; picklable."""

    def __call__(self) -> Any:
        os._exit(5)


def test_a_worker_that_dies_before_its_first_job_is_no_candidates_fault(tmp_path: Path) -> None:
    with (
        workers.WorkerPool(1, Dies()) as pool,
        pytest.raises(RuntimeFailure, match="ended with code 5 before it was"),
    ):
        list(pool.run([job(0, tmp_path)]))


def test_a_worker_that_died_while_it_was_idle_costs_no_job(tmp_path: Path) -> None:
    with workers.WorkerPool(1, Misbehaving) as pool:
        assert [o.status for o in pool.run([job(0, tmp_path)])] == ["ok"]
        os.kill(pool._workers[0].process.pid, signal.SIGKILL)
        pool._workers[0].process.wait()
        assert [o.status for o in pool.run([job(7, tmp_path)])] == ["ok"]


class Limited:
    """Trains for real in what memory the process has and little more; candidate 1 asks for a gibibyte of it."""

    builders: Mapping[str, Any] = MappingProxyType({})

    def train(self, module: Any, *, seed: int, **_: Any) -> tuple[Training, Checkpoint]:
        import resource

        import torch

        if seed == 1:
            held = int(re.search(r"VmData:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024  # type: ignore[index] # Linux has it
            resource.setrlimit(resource.RLIMIT_DATA, (held + 2**28, resource.RLIM_INFINITY))
            module.register_forward_pre_hook(lambda *_: torch.ones(2**28).sum())
        return real_trainer().train(module, seed=0, until=1)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of memory are Linux's")
def test_a_limit_of_memory_costs_the_candidate_that_meets_it(tmp_path: Path) -> None:
    with workers.WorkerPool(1, Limited) as pool:
        found = list(pool.run([job(seed, tmp_path) for seed in (0, 1, 2)]))
    assert [(o.candidate, o.status) for o in found] == [(0, "ok"), (1, "out of memory"), (2, "ok")]


def test_a_full_disk_is_no_candidates_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's own full device stands in for the disk."""
    monkeypatch.setattr(evaluation, "create_anew", lambda path: FULL.open("wb"))
    with pytest.raises(OSError, match="No space left"):
        evaluate(job(0, tmp_path), Misbehaving())  # type: ignore[arg-type]


def test_a_disk_that_cannot_be_written_is_no_candidates_fault(tmp_path: Path) -> None:
    nowhere = replace(job(0, tmp_path), checkpoint=str(tmp_path / "gone" / "0.pt"))
    with workers.WorkerPool(1, Misbehaving) as pool, pytest.raises(RuntimeFailure, match="A worker cannot go on"):
        list(pool.run([nowhere]))


def test_a_visit_that_was_trained_but_never_told_is_told_and_not_trained_again(tmp_path: Path) -> None:
    asked = job(0, tmp_path)
    first = evaluate(asked, Misbehaving())  # type: ignore[arg-type]

    class Nobody:
        def train(self, *_: object, **__: object) -> None:
            raise AssertionError("trained again")

    assert evaluate(asked, Nobody()) == first  # type: ignore[arg-type]


PARENT = """
import sys
from pathlib import Path
from memprof.nas.searching import workers
from tests.nas.searching.test_workers import Misbehaving, job

with workers.WorkerPool(1, Misbehaving) as pool:
    for outcome in pool.run([job(0, Path(sys.argv[1])), job(4, Path(sys.argv[1]))]):
        print(pool._workers[0].process.pid, flush=True)
"""


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_no_worker_outlives_a_killed_search(tmp_path: Path, ending: signal.Signals) -> None:
    (tmp_path / "parent.py").write_text(PARENT)
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / "parent.py"), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "HANGING": str(tmp_path / "hanging")},
    )
    assert parent.stdout is not None
    worker = os.pidfd_open(int(parent.stdout.readline()))
    parent.send_signal(ending)
    parent.wait()
    ended, _, _ = select.select([worker], [], [], GUARD_SECONDS)
    assert ended


def test_ctrl_c_ends_a_search_in_order_and_says_how_to_go_on(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    arguments = ["--dataset", "digits", "--width", "4", "--epochs", "40", "--workers", "1", "-o", str(folder)]
    search = subprocess.Popen(
        [sys.executable, "-m", "memprof", "nas", "search", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        start_new_session=True,
    )
    until = time.monotonic() + GUARD_SECONDS
    while not (folder / "search.db").is_file() or not any(e.kind == "round" for e in read_journal(folder)[0]):
        assert time.monotonic() < until
        time.sleep(0.1)
    os.killpg(search.pid, signal.SIGINT)  # as a terminal does: the search and its workers
    out, err = search.communicate(timeout=GUARD_SECONDS)
    assert search.returncode == 130
    assert out == ""
    assert f"memprof nas resume {folder}" in err
    assert "Traceback" not in err
    events, beat = read_journal(folder)
    assert events[-1].kind == "stopped"
    found = summarize(events, beat, beat + 1000)
    assert found is not None
    assert found.status == "stopped"


def test_ctrl_c_before_a_worker_starts_is_written_down_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "Work", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run.search(tmp_path / "run", SETTINGS, Limits(rounds=1))
    assert [event.kind for event in read_journal(tmp_path / "run")[0]][-2:] == ["round", "stopped"]


LANES = 3


@pytest.mark.slow
def test_a_lane_that_takes_its_process_along_costs_no_other_job(tmp_path: Path) -> None:
    """Two of these kill the process that all share, whoever begins first; the others are trained all the same."""
    seeds = [0, 5, 7, 14, 3, 21]
    with workers.WorkerPool(1, Misbehaving, lanes=LANES) as pool:
        found = {o.candidate: o.status for o in pool.run([job(seed, tmp_path) for seed in seeds])}
    assert found == {seed: STATUSES[seed % len(STATUSES)] for seed in seeds}


def test_a_lane_that_hangs_is_the_only_one_that_is_timed_out(tmp_path: Path, clock: Callable[[], float]) -> None:
    hangs, good = STATUSES.index("timed out"), [0, 7, 14]
    with workers.WorkerPool(1, Misbehaving, clock=clock, lanes=2) as pool:
        found = {o.candidate: o.status for o in pool.run([job(seed, tmp_path) for seed in (hangs, *good)])}
    assert found == {hangs: "timed out"} | dict.fromkeys(good, "ok")


class Placed(Misbehaving):
    """Says by its accuracy where it was made."""

    def __init__(self, accuracy: float) -> None:
        self._accuracy = accuracy

    def __call__(self) -> Placed:
        return self

    def train(self, module: Any, *, seed: int, until: int, **_: Any) -> tuple[Training, Checkpoint]:
        training = Training(status="ok", accuracy=self._accuracy, epochs=until, loss=1.0)
        return training, Checkpoint(until, module.state_dict(), {})


def test_processes_take_turns_on_the_devices(tmp_path: Path) -> None:
    with workers.WorkerPool(2, [Placed(0.25), Placed(0.75)]) as pool:
        for worker in pool._workers:
            while not worker.is_ready:
                list(pool._collect(float("inf")))
        assert sorted(o.accuracy for o in pool.run([job(0, tmp_path), job(1, tmp_path)])) == [0.25, 0.75]
