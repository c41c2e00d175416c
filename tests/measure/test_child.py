"""A child process that crashes, hangs or runs out ends alone, and the parent gets one line."""

from __future__ import annotations

import os
import signal
import time

import pytest

from memprof.base.errors import MissingExtraError, RuntimeFailure, UsageError
from memprof.measure.child import Limits, run_in_child

HERE = "tests.measure.test_child"


def task_that_adds(a: int, b: int) -> int:
    return a + b


def task_that_crashes() -> None:
    os.abort()


def task_that_hangs() -> None:
    time.sleep(60)


def task_that_computes_for_ever() -> None:
    while True:
        pass


def task_that_raises() -> None:
    raise ValueError("the model is odd\nand more lines")


def task_that_misses_an_extra() -> None:
    raise MissingExtraError("Trying", "onnxruntime")


def task_that_is_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does when memory runs out


def task_that_takes_memory(size: int) -> int:
    return len(bytearray(size))


def run(task: str, limits: Limits | None = None, **arguments: object) -> object:
    return run_in_child(f"{HERE}:{task}", arguments, limits or Limits(), runtime="runtime", model="m.onnx")


@pytest.fixture(autouse=True)
def _from_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")]))  # noqa: PTH109


def test_a_result_comes_back() -> None:
    assert run("task_that_adds", a=2, b=3) == 5


def test_a_crash_is_one_line() -> None:
    with pytest.raises(RuntimeFailure, match=r"runtime on m\.onnx crashed \(SIGABRT\)"):
        run("task_that_crashes")


def test_a_hang_ends_at_the_limit() -> None:
    with pytest.raises(RuntimeFailure, match="did not finish within 1 s"):
        run("task_that_hangs", Limits(seconds=1))


@pytest.mark.skipif(os.name != "posix", reason="processor time is limited on Unix only")
def test_what_computes_for_ever_ends_at_its_time_of_the_processor() -> None:
    with pytest.raises(RuntimeFailure, match="did not finish within 1 s of processor time"):
        run("task_that_computes_for_ever", Limits(processor_seconds=1))


def test_an_exception_is_its_first_line() -> None:
    with pytest.raises(RuntimeFailure, match=r"failed: the model is odd$"):
        run("task_that_raises")


def test_a_missing_extra_stays_one() -> None:
    with pytest.raises(MissingExtraError) as caught:
        run("task_that_misses_an_extra")
    assert (caught.value.code, caught.value.extra) == (5, "onnxruntime")


@pytest.mark.skipif(os.name != "posix", reason="memory is limited on Unix only")
def test_more_memory_than_allowed_is_one_line() -> None:
    with pytest.raises(RuntimeFailure, match=r"ran out of memory within 300 MB"):
        run("task_that_takes_memory", Limits(memory_bytes=300_000_000), size=1_000_000_000)


@pytest.mark.skipif(os.name != "posix", reason="only Unix kills for memory")
def test_a_child_that_the_system_kills_is_told_as_out_of_memory() -> None:
    with pytest.raises(RuntimeFailure, match=r"ran out of memory"):
        run("task_that_is_killed")


def test_a_limit_must_be_above_zero() -> None:
    with pytest.raises(UsageError):
        Limits(seconds=0)


def task_that_crashes_for_want_of_memory() -> None:
    os.write(2, b"out of memory: there are no 5 bytes\nsomething else that the runtime says while it dies\n")
    os.kill(os.getpid(), signal.SIGSEGV)


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_crash_for_want_of_memory_is_told_as_that() -> None:
    with pytest.raises(RuntimeFailure, match=r"ran out of memory within 1.00 GB"):
        run("task_that_crashes_for_want_of_memory", Limits(memory_bytes=10**9))


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_crash_that_may_be_for_want_of_memory_says_so() -> None:
    with pytest.raises(RuntimeFailure, match="crashed") as caught:
        run("task_that_crashes", Limits(memory_bytes=10**9))
    assert "need more than 1.00 GB" in caught.value.hint
