"""No wait is silent: each command on a terminal of its own, where time is counted in work, not in seconds.

A wait of a second cannot be had without a clock, so here a moment is so many calls of Python functions: the program
runs as it is, but its line is drawn after each such moment instead of by a thread, and a mark is written into the
terminal. Between two marks there must be something to read.
"""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.cli.conftest import write_chain, write_space

ROOT = Path(__file__).parents[2]
MARK = b"\x1b]memprof\x07"
CONTROL = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|[\r\n\s]")

PROGRAM = """
import json, os, sys
from memprof.cli import main
from memprof.cli.waiting import WaitLine

MOMENT, MARK = int(sys.argv[1]), b"\\x1b]memprof\\x07"
lines, calls = [], 0

def count(frame, event, argument):
    global calls
    if event == "call":
        calls += 1
        if calls % MOMENT == 0 and lines:
            sys.setprofile(None)
            lines[-1].tick()
            os.write(2, MARK)
            sys.setprofile(count)

real = WaitLine.running

def running(line):
    line._draw_on = lambda over: None
    lines.append(line)
    sys.setprofile(count)
    return real(line)

WaitLine.running = running
code = 0
for words in json.loads(sys.argv[2]):
    code = code or main.main(words, standalone_mode=False)
sys.setprofile(None)
sys.exit(code)
"""


def moments(folder: Path, *commands: tuple[str, ...], calls: int, before: str = "") -> list[bytes]:
    """Return what a terminal shows in each moment but the last, which the end of the last command cuts short."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", before + PROGRAM, str(calls), json.dumps(commands)]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=environment()
    ) as process:
        os.close(theirs)
        shown = b"".join(everything(ours))
        code = process.wait()
    os.close(ours)
    assert code == 0, shown.decode(errors="replace")
    *whole, _ = shown.split(MARK)
    return [CONTROL.sub(b"", part) for part in whole]


def longest_silence(shown: list[bytes]) -> int:
    """Return how many moments in a row have nothing to read."""
    return max(len(run) for run in "".join("x" if part else " " for part in shown).split("x"))


def everything(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # the other end was closed
            return
        if not part:
            return
        yield part


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"}


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    return write_chain(tmp_path / "chain.onnx", ["Relu", "Sigmoid"], ["batch", 64])


@pytest.mark.parametrize(
    "words",
    [
        ("analyze", "chain.onnx", "--from-file", "-o", "page.html", "-o", "picture.png"),
        ("plan", "chain.onnx", "--dim", "batch=1", "-o", "page.html"),
        ("compare", "chain.onnx", "chain.onnx", "--from-file", "-o", "page.html"),
        ("check", "chain.onnx", "--max-peak", "1GB", "--from-file"),
        ("fit", "chain.onnx", "--ram", "1GB", "--dim", "batch", "--from-file"),
    ],
    ids=lambda words: words[0],
)
def test_no_part_of_a_command_is_silent(chain: Path, words: tuple[str, ...]) -> None:
    assert longest_silence(moments(chain.parent, words, calls=5_000)) < 15


def test_a_command_that_says_nothing_is_found_out(chain: Path) -> None:
    quiet = "from memprof.cli.waiting import WaitLine; WaitLine._show = lambda line, stage: None\n"
    words = ("check", "chain.onnx", "--max-peak", "1GB", "--from-file")
    shown = moments(chain.parent, words, calls=5_000, before=quiet)
    assert longest_silence(shown) > 15


ONNXRUNTIME = pytest.mark.skipif(find_spec("onnxruntime") is None, reason="onnxruntime is not installed")
TORCH = pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
TINY = (
    *("--dataset", "digits", "--images", "200", "--width", "4", "--sample", "2", "--epochs", "1", "--rounds", "1"),
    *("--finalists", "1", "--final-seeds", "1", "--final-epochs", "1", "--workers", "1"),
)


@ONNXRUNTIME
@pytest.mark.slow
@pytest.mark.parametrize("words", [("verify", "chain.onnx"), ("bench", "chain.onnx"), ("analyze", "chain.onnx")])
def test_no_part_of_a_command_that_asks_onnxruntime_is_silent(chain: Path, words: tuple[str, ...]) -> None:
    assert longest_silence(moments(chain.parent, (*words, "--dim", "batch=8"), calls=5_000)) < 15


@TORCH
@pytest.mark.slow
def test_no_part_of_tracing_a_module_is_silent(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("import torch\ndef make():\n    return torch.nn.Linear(8, 8)\n")
    words = ("analyze", "net.py:make", "--input", "1x8", "--optimizer", "adam")
    assert longest_silence(moments(tmp_path, words, calls=20_000)) < 15


@TORCH
@pytest.mark.slow
def test_no_part_of_a_search_and_what_follows_it_is_silent(tmp_path: Path) -> None:
    write_space(tmp_path / "space.csv")
    commands = (
        ("search", *TINY, "-o", "found"),
        ("train", "found", "--epochs", "2"),
        ("export", "found"),
        ("sweep", "found", "-o", "sweep.png"),
        ("report", "found", "-o", "page.html"),
        ("simulate", "space.csv", "--trained", "12", "--seeds", "2", "--ranker", "ridge"),
        ("bench-controller", "space.csv", "--repeats", "1", "--pool", "20", "--trained", "8"),
    )
    shown = moments(tmp_path, *(("nas", *words) for words in commands), calls=20_000)
    assert longest_silence(shown) < 15
