"""Signals at random moments of every command: nothing is lost, half-written or left running.

    python benchmarks/interruptions.py [--count N] [--seed N] [--command NAME] [--signal INT|TERM|KILL]

A moment is a function call: a dry run counts how many a command makes, and a trial sends itself the signal at one of
them, drawn at random. So a trial waits for no clock, and the same seed meets the same moment. Each trial is a fork of
a process that has everything imported. After it, these must hold:

    output        the file that the command writes is whole (the old one or the new one), and no draft is beside it
                  (SIGKILL cannot be caught: it may leave a draft, never half a target)
    exit          INT: 130, TERM: 143, or the command's own code where it was done or keeps what it has
    message       no traceback, no "bug"
    processes     none that the trial started is alive
    folders       no temporary folder (SIGKILL: at most until the next command starts)

Prints one JSON object: trials by command and signal, and what was wrong.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import onnx
from onnx import TensorProto, helper

MARK = "MEMPROF_TRIAL"
OLD = '{"old": true}'
GONE_SECONDS = 30.0

COMMANDS: Mapping[str, Sequence[str]] = {
    "analyze": ("analyze", "net.onnx", "-o", "out.json"),
    "analyze html": ("analyze", "net.onnx", "-o", "out.html"),
    "plan": ("plan", "net.onnx", "-o", "out.onnx", "--seconds", "1"),
    "compare": ("compare", "net.onnx", "other.onnx", "--json"),
    "check": ("check", "net.onnx", "--max-peak", "1GB"),
    "verify": ("verify", "net.onnx"),
    "bench": ("bench", "net.onnx", "--runs", "1"),
    "optimized": ("analyze", "net.onnx", "--optimized"),
    "doctor": ("doctor",),
}
"""Name -> arguments; a file named ``out`` is what the command writes."""

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -signal.SIGKILL}


def write_models(folder: Path) -> None:
    """Write the models that the commands read."""
    for name, ops in (("net.onnx", ["Relu", "Sigmoid", "Exp", "Tanh"]), ("other.onnx", ["Relu", "Exp"])):
        nodes = [helper.make_node(op, [f"t{i}"], [f"t{i + 1}"]) for i, op in enumerate(ops)]
        ends = [helper.make_tensor_value_info(t, TensorProto.FLOAT, [1, 64]) for t in ("t0", f"t{len(ops)}")]
        graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:])
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.save(made, str(folder / name))


def run_command(arguments: Sequence[str], at: int, number: int) -> int:
    """Run a command and send this process ``number`` at its ``at``-th call; return the exit code.

    Writes the calls counted to the file ``calls``, for the dry run, which has ``at`` 0.
    """
    from memprof.cli import main

    calls = 0

    def count(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal calls
        if event in ("call", "c_call"):
            calls += 1
            if calls == at:
                os.kill(os.getpid(), number)

    sys.setprofile(count)
    try:
        return main.main(list(arguments), standalone_mode=False)
    finally:
        sys.setprofile(None)
        if not at:
            Path("calls").write_text(str(calls), encoding="utf-8")


def fork(folder: Path, arguments: Sequence[str], at: int, number: int) -> int:
    """Run a trial in a fork; return its exit code, below zero for the signal that ended it."""
    pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status)
    code = 70
    try:
        os.chdir(folder)
        for stream, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        os.environ.update({MARK: str(folder), "TMPDIR": str(folder / "temporary")})
        tempfile.tempdir = None
        signal.signal(signal.SIGINT, signal.default_int_handler)
        code = run_command(arguments, at, number)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException as error:  # what a person would see as a traceback
        code = 130 if isinstance(error, KeyboardInterrupt) and at else 99
        if code == 99:
            Path("stderr").write_text(traceback.format_exc(), encoding="utf-8")
    finally:
        os._exit(code)


def processes_of(folder: Path) -> list[int]:
    """Return the processes that a trial in ``folder`` started and that live."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if f"{MARK}={folder}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def judge(folder: Path, output: str, code: int, number: int, own: int) -> list[str]:
    """Return what is wrong after a trial."""
    wrong = []
    if code not in (CODES[signal.Signals(number)], -number, own):  # before the program is there, the system ends it
        wrong.append(f"exit code {code}")
    said = (folder / "stderr").read_text(encoding="utf-8") if (folder / "stderr").exists() else ""
    if "Traceback" in said or "failed where it should not" in said:
        wrong.append(f"said: {said[-500:]}")
    if output:
        wrong += _wrong_output(folder / output)
    is_kill = number == signal.SIGKILL
    if not is_kill and (drafts := [path.name for path in folder.iterdir() if path.name.startswith(".memprof")]):
        wrong.append(f"left {drafts}")
    deadline = time.monotonic() + GONE_SECONDS
    while left := processes_of(folder):
        if time.monotonic() > deadline:
            wrong.append(f"still running: {left}")
            break
        time.sleep(0.01)
    if not is_kill and (folders := [path.name for path in (folder / "temporary").iterdir()]):
        wrong.append(f"left the folder {folders}")
    return wrong


def _wrong_output(path: Path) -> list[str]:
    content = path.read_bytes()
    if content == OLD.encode():
        return []
    try:
        _READERS[path.suffix](content)
    except Exception as error:  # whatever the reader says of half a file
        return [f"{path.name} is half a file: {error}"]
    return []


def _check_page(content: bytes) -> None:
    if not content.rstrip().endswith(b"</html>"):
        raise ValueError("it does not end")


_READERS: Mapping[str, Callable[[bytes], object]] = {
    ".json": json.loads,
    ".onnx": onnx.load_from_string,
    ".html": _check_page,
}


def try_command(name: str, number: int, count: int, rng: random.Random) -> tuple[int, list[str]]:
    """Return how many trials of a command were made, and what was wrong in them."""
    arguments = COMMANDS[name]
    output = next((argument for argument in arguments if argument.startswith("out.")), "")
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base, "dry")
        _prepare(folder, output)
        own = fork(folder, arguments, 0, 0)
        if own != 0:
            return 0, [
                f"{name}: a run that nobody disturbs ends with {own}: {(folder / 'stderr').read_text()[-300:]}"
            ]
        calls = int((folder / "calls").read_text(encoding="utf-8"))
        trials = [rng.randint(1, calls) for _ in range(count)]
        for i, at in enumerate(trials):
            folder = Path(base, str(i))
            _prepare(folder, output)
            code = fork(folder, arguments, at, number)
            found = judge(folder, output, code, number, own)
            wrong += [f"{name}, {signal.Signals(number).name} at call {at}: {what}" for what in found]
    return len(trials), wrong


def _prepare(folder: Path, output: str) -> None:
    (folder / "temporary").mkdir(parents=True)
    write_models(folder)
    if output:
        (folder / output).write_text(OLD, encoding="utf-8")


def main() -> None:
    """Make the trials and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="trials in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--command", choices=COMMANDS, action="append")
    parser.add_argument("--signal", choices=("INT", "TERM", "KILL"), action="append")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    numbers = [signal.Signals[f"SIG{name}"] for name in options.signal or ("INT", "TERM", "KILL")]
    pairs = [(name, number) for name in options.command or COMMANDS for number in numbers]
    made: collections.Counter[str] = collections.Counter()
    wrong: list[str] = []
    for i, (name, number) in enumerate(pairs):
        share = options.count * (i + 1) // len(pairs) - options.count * i // len(pairs)
        count, found = try_command(name, number, share, rng)
        made[f"{name} {number.name}"] += count
        wrong += found
    print(json.dumps({"trials": sum(made.values()), "by_command": made, "wrong": wrong}, indent=1))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
