"""SIGTERM, SIGHUP and Ctrl-C in the middle of a run: the child goes, the folder goes, the exit code says what it was.

A stand-in for onnxruntime tells when it is reached and then hangs in native code, so nothing waits for a clock.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from memprof.cli import main, signals
from memprof.cli.program import Program
from memprof.cli.signals import Heard, Terminated, ended_by_signals
from tests.cli.conftest import write_chain

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")

ROOT = Path(__file__).parents[2]
STAND_IN = """
import os, ctypes
pipe = os.open(os.environ["READY"], os.O_WRONLY)
os.write(pipe, b"r")
ctypes.PyDLL(None).sleep(600)
"""


class Running:
    """The program, stopped where its child has just begun to hang."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        package = folder / "packages" / "onnxruntime"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(STAND_IN)
        os.mkfifo(folder / "ready")
        model = write_chain(folder / "net.onnx", ["Relu"], [1, 4])
        environment = {
            "PYTHONPATH": os.pathsep.join([str(folder / "packages"), str(ROOT)]),
            "TMPDIR": str(self.temporary),
            "READY": str(folder / "ready"),
        }
        self.pipe = os.open(folder / "ready", os.O_RDONLY | os.O_NONBLOCK)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "memprof", *arguments, str(model)],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.next_byte() == b"r"

    def next_byte(self) -> bytes:
        """Return what the child writes next, nothing once it is gone. Fails instead of hanging."""
        ready, _, _ = select.select([self.pipe], [], [], 600)
        assert ready, "the child still runs"
        return os.read(self.pipe, 1)


@pytest.mark.parametrize("arguments", [("verify",), ("bench",), ("analyze", "--optimized")], ids=" ".join)
@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)],
    ids=["TERM", "HUP", "INT"],
)
def test_a_signal_ends_all_and_leaves_nothing(
    tmp_path: Path, arguments: tuple[str, ...], number: int, code: int
) -> None:
    running = Running(tmp_path, *arguments)
    running.process.send_signal(number)
    out, err = running.process.communicate(timeout=600)
    assert running.next_byte() == b""
    assert (running.process.returncode, out) == (code, "")
    assert err.splitlines()[-1] in ("error: Interrupted.", f"error: Ended by {signal.Signals(number).name}.")
    assert "Traceback" not in err
    assert list(running.temporary.iterdir()) == []


def test_a_killed_program_takes_its_child_along(tmp_path: Path) -> None:
    running = Running(tmp_path, "verify")
    running.process.kill()
    running.process.communicate(timeout=600)
    assert running.next_byte() == b""


def test_a_child_that_runs_out_of_time_leaves_no_folder(tmp_path: Path) -> None:
    running = Running(tmp_path, "verify", "--timeout", "2")
    _, err = running.process.communicate(timeout=600)
    assert running.process.returncode == 3
    assert "did not finish within 2 s" in err
    assert running.next_byte() == b""
    assert list(running.temporary.iterdir()) == []


@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
@pytest.mark.parametrize("moment", [signals._MOMENT_SECONDS, 0.0], ids=["later", "at once"])
def test_a_signal_that_a_finaliser_loses_comes_until_it_is_heard(
    number: int, error: type[BaseException], moment: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signals, "_MOMENT_SECONDS", moment)

    class Finalised:
        def __del__(self) -> None:
            signal.raise_signal(number)

    with pytest.raises(error), ended_by_signals(Heard()):
        Finalised()
        time.sleep(600)


@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_a_signal_that_comes_just_before_a_wait_is_heard_during_it(
    number: int, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal that another thread takes is noted, and does not end the wait: as one that comes just before it."""
    sent, send = list[int](), signals._send

    def note(to_send: int) -> None:
        sent.append(to_send)
        (signal.raise_signal if to_send == number else send)(to_send)

    monkeypatch.setattr(signals, "_send", note)

    class Finalised:
        def __del__(self) -> None:
            signal.raise_signal(number)

    with pytest.raises(error), ended_by_signals(Heard()):
        Finalised()
        time.sleep(30)
    assert sent[0] == number
    assert signals._WAKING_SIGNAL in sent


@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_a_signal_that_is_lost_just_before_the_end_comes_at_the_end(number: int, error: type[BaseException]) -> None:
    class Finalised:
        def __del__(self) -> None:
            signal.raise_signal(number)

    with pytest.raises(error), ended_by_signals(Heard()):
        Finalised()


@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_a_signal_that_comes_while_a_finalisers_own_error_is_told_of_is_not_lost(
    number: int, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Finalised:
        def __del__(self) -> None:
            raise ValueError

    monkeypatch.setattr(sys, "unraisablehook", lambda _: signal.raise_signal(number))
    with pytest.raises(error), ended_by_signals(Heard()):
        Finalised()


def test_a_signal_of_which_native_code_makes_another_error_is_told_as_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lose(*_: object) -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ValueError("Invalid bounding box") from None

    monkeypatch.setattr(Program, "invoke", lose)

    assert main.main(["doctor"], standalone_mode=False) == 130
    assert capsys.readouterr().err.strip() == "error: Interrupted."
