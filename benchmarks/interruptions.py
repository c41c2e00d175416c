"""Signals at random moments of every command: nothing is lost, half-written or left running.

    python benchmarks/interruptions.py [--count N] [--seed N] [--command NAME] [--signal INT|TERM|KILL]

A moment is a function call: a dry run counts how many a command makes, and a trial sends itself the signal at one of
them, drawn at random. So a trial waits for no clock, and the same seed meets the same moment. Each trial is a fork of
a process that has everything imported. After it, these must hold:

    output        the files that the command writes are whole (the old ones or the new ones), and no draft is beside
                  them (SIGKILL cannot be caught: it may leave a draft, never half a target)
    search        every event that the journal of a search held is still in it, in order, and the journal can be read
    exit          INT: 130, TERM: 143; of a plan 0 too, which keeps the best so far
    message       no traceback, no "bug"
    processes     none that the trial started is alive
    folders       no temporary folder (SIGKILL: at most until the next command starts)
    end           it ends at all

Prints one JSON object: trials by command and signal, and what was wrong.
"""

from __future__ import annotations

import argparse
import atexit
import collections
import faulthandler
import io
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any
from xml.etree import ElementTree

import onnx
from onnx import TensorProto, helper

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from memprof.nas.record.journal import DATABASE, Event, read_journal
from tests.tflite_models import chain

MARK = "MEMPROF_TRIAL"
OLD = '{"old": true}'
_SENT = "sent"
"""There once the signal has been sent: what waits for others makes more or fewer calls than the dry run."""

GONE_SECONDS = 30.0
HANG_SECONDS = 300.0
"""A trial of a second or two hangs after it, however busy the machine is; it ends itself and says where."""
_OF_PYTORCH = "torchinductor_"
"""A cache that PyTorch's exporter makes, disturbed or not, and finds again."""

PROJECT = '[[check.models]]\nsource = "*et.onnx"\nmax-peak = "1GB"\n'

SEARCH = (
    "--dataset",
    "digits",
    "--images",
    "100",
    "--sample",
    "2",
    "--epochs",
    "1",
    "--width",
    "4",
    "--workers",
    "1",
)
FOLDER = "run"
"""The folder of a search that is there before the command starts."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A command that is disturbed.

    Attributes:
        line: What is typed after ``memprof``; files named ``out`` are what it writes.
        weight: Its share of the trials: what starts processes or trains takes long.
        writes: Files that it writes and that are not named in its line.
    """

    line: str
    weight: int = 4
    writes: tuple[str, ...] = ()

    @property
    def keeps(self) -> bool:
        """Whether it ends in order with the best so far, as ``plan`` does; others would have lost the signal."""
        return self.arguments[0] == "plan"

    @property
    def arguments(self) -> list[str]:
        """The arguments."""
        return self.line.split()

    @property
    def outputs(self) -> list[str]:
        """The files that it writes."""
        return [*self.writes, *(argument for argument in self.arguments if argument.startswith("out."))]

    @property
    def needs_search(self) -> bool:
        """Whether it works on a search that is there."""
        return FOLDER in self.arguments


COMMANDS: Mapping[str, Trial] = {
    "analyze": Trial("analyze net.onnx -o out.json -o out.csv -o out.md -o out.trace.json"),
    "analyze page": Trial("analyze net.onnx --from-file -o out.html -o out.netron.json", 8),
    "analyze picture": Trial("analyze net.onnx --from-file -o out.png -o out.svg", 2),
    "plan": Trial("plan net.onnx --seconds 1 -o out.onnx -o out.h -o out.csv -o out.json", 8),
    "plan arenas": Trial("plan net.onnx --seconds 1 --arena a=300:1 --arena b=1MB:9 -o out.html", 8),
    "plan tflite": Trial("plan net.tflite --seconds 1 -o out.tflite", 8),
    "plan measured": Trial("plan net.onnx --seconds 1 -o out.onnx --measure", 2),
    "compare": Trial("compare net.onnx other.onnx --from-file -o out.html", 8),
    "sweep": Trial("analyze open.onnx --from-file --sweep n=1..64 -o out.json -o out.html"),
    "fit": Trial("fit open.onnx --dim n --from-file --ram 1MB --runtime reference"),
    "boards": Trial("boards net.tflite --seconds 1"),
    "completion": Trial("completion man"),
    "check": Trial("check net.onnx --from-file --max-peak 1GB --json", 8),
    "gate": Trial("check -o out.json -o out.sarif -o out.xml -o out.md"),
    "baseline": Trial("check --update-baseline", writes=("memprof-baseline.json",)),
    "verify": Trial("verify net.onnx -o out.html", 2),
    "bench": Trial("bench net.onnx --runs 1", 2),
    "optimized": Trial("analyze net.onnx --optimized"),
    "doctor": Trial("doctor"),
    "nas status": Trial(f"nas status {FOLDER}", 8),
    "nas report": Trial(f"nas report {FOLDER}", 2),
    "nas export": Trial(f"nas export {FOLDER}", 2),
    "nas sweep": Trial(f"nas sweep {FOLDER} -o out.png", 2),
    "nas simulate": Trial("nas simulate table.csv --trained 8 --seeds 1 --ranker parameters -o out.svg", 2),
    "nas bench-controller": Trial("nas bench-controller table.csv --repeats 1 --pool 24 --trained 12", 1),
    "nas train": Trial(f"nas train {FOLDER} --epochs 1 --device cpu", 2),
    "nas search": Trial(f"nas search {' '.join(SEARCH)} --rounds 1 -o new", 1),
    "nas resume": Trial(f"nas resume {FOLDER} --rounds 2 --workers 1", 1),
}

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -signal.SIGKILL}


def write_models(folder: Path) -> None:
    """Write the models that the commands read."""
    chains = {"net.onnx": (1, ["Relu", "Sigmoid", "Exp", "Tanh"]), "other.onnx": (1, ["Relu", "Exp"])}
    for name, (size, ops) in (chains | {"open.onnx": ("n", ["Relu", "Exp"])}).items():
        nodes = [helper.make_node(op, [f"t{i}"], [f"t{i + 1}"]) for i, op in enumerate(ops)]
        ends = [helper.make_tensor_value_info(t, TensorProto.FLOAT, [size, 64]) for t in ("t0", f"t{len(ops)}")]
        graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:])
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.save(made, str(folder / name))
    (folder / "net.tflite").write_bytes(chain(4, 4))
    (folder / "memprof.toml").write_text(PROJECT, encoding="utf-8")
    (folder / "table.csv").write_text(_table(), encoding="utf-8")


def _table() -> str:
    """Return networks whose accuracy is known: a code of blocks, accuracy, bytes."""
    rng = random.Random(5)
    codes = [[rng.randint(0, 1) for _ in range(12)] for _ in range(40)]
    rows = [f"{' '.join(map(str, code))},{60 + sum(code)},{1000 * (1 + sum(code))}" for code in codes]
    return "\n".join(["code,accuracy,bytes", *rows, ""])


def run_command(arguments: Sequence[str], at: int, number: int) -> int:
    """Run a command and send this process ``number`` at its ``at``-th call; return the exit code.

    Writes the calls counted to the file ``calls``, and what is imported to ``modules``, for the dry run, which has
    ``at`` 0.
    """
    from memprof.cli import main

    calls = 0

    def count(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal calls
        if event in ("call", "c_call"):
            calls += 1
            if calls == at:
                os.close(os.open(_SENT, os.O_WRONLY | os.O_CREAT))
                os.kill(os.getpid(), number)

    sys.setprofile(count)
    try:
        return main.main(list(arguments), standalone_mode=False)
    finally:
        sys.setprofile(None)
        if not at:
            Path("calls").write_text(str(calls), encoding="utf-8")
            Path("modules").write_text(" ".join(sys.modules), encoding="utf-8")


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
        faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
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


def judge(folder: Path, trial: Trial, code: int, number: int) -> list[str]:
    """Return what is wrong after a trial."""
    wrong = []
    in_order = (0,) if trial.keeps and number != signal.SIGKILL else ()
    if code not in (
        CODES[signal.Signals(number)],
        -number,
        *in_order,
    ):  # before the program is there, the system ends it
        wrong.append(f"exit code {code}")
    said = (folder / "stderr").read_text(encoding="utf-8") if (folder / "stderr").exists() else ""
    if wrong or "Traceback" in said or "failed where it should not" in said:
        wrong.append(f"said: {said[-1500:]}")
    deadline = time.monotonic() + GONE_SECONDS
    while left := processes_of(folder):
        if time.monotonic() > deadline:
            wrong.append(f"still running: {left}")
            break
        time.sleep(0.01)
    for output in trial.outputs:
        wrong += _wrong_output(folder / output)
    is_kill = number == signal.SIGKILL
    if not is_kill and (drafts := [path.name for path in folder.rglob(".memprof*")]):
        wrong.append(f"left {drafts}")
    wrong += _wrong_searches(folder, trial)
    folders = [path.name for path in (folder / "temporary").iterdir() if not path.name.startswith(_OF_PYTORCH)]
    if not is_kill and folders:
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


def _ends_with(end: bytes) -> Callable[[bytes], None]:
    def check(content: bytes) -> None:
        if not content.endswith(end):
            raise ValueError("it does not end")

    return check


_READERS: Mapping[str, Callable[[bytes], object]] = {
    ".json": json.loads,
    ".onnx": onnx.load_from_string,
    ".tflite": lambda content: content[4:8].index(b"TFL3"),
    ".html": _ends_with(b"</html>\n"),
    ".svg": _ends_with(b"</svg>\n"),
    ".png": _ends_with(b"IEND\xaeB`\x82"),
    ".csv": _ends_with(b"\n"),
    ".sarif": json.loads,
    ".xml": ElementTree.fromstring,
    ".md": _ends_with(b"\n"),
    ".h": _ends_with(b"\n"),
    ".pt": lambda content: zipfile.ZipFile(io.BytesIO(content)).testzip(),
}


def _wrong_searches(folder: Path, trial: Trial) -> list[str]:
    """Return what is wrong with the searches after a trial: with what they held, and with what was written."""
    wrong = []
    for search in (folder / FOLDER, folder / "new"):
        if not (search / DATABASE).exists():
            continue
        try:
            events = read_journal(search)[0]
        except Exception as error:  # whatever it says of half a journal
            wrong.append(f"the journal of {search.name} cannot be read: {error}")
            continue
        held = _events_before() if trial.needs_search else ()
        if events[: len(held)] != held:
            wrong.append(f"{search.name} lost events: {len(held)} before, {len(events)} now")
        for path in search.rglob("*.*"):
            if path.suffix in _READERS and not path.name.startswith("."):
                wrong += _wrong_output(path)
    return wrong


@cache
def _events_before() -> tuple[Event, ...]:
    return read_journal(_search_of_this_run())[0]


@cache
def _search_of_this_run() -> Path:
    """Return a finished search that every trial gets a copy of."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "temporary").mkdir()
    code = fork(folder, ["nas", "search", *SEARCH, "--rounds", "1", "-o", FOLDER], 0, 0)
    assert code == 0, (folder / "stderr").read_text(encoding="utf-8")
    return folder / FOLDER


@cache
def count_calls(name: str) -> tuple[int, str]:
    """Return how many function calls a command makes where nobody disturbs it, and what went wrong in that.

    A first run tells what it imports, which is then imported here, once for all trials: else most moments would be
    moments of an import.
    """
    with tempfile.TemporaryDirectory() as base:
        for run in ("first", "second"):
            folder = Path(base, run)
            _prepare(folder, COMMANDS[name])
            code = fork(folder, COMMANDS[name].arguments, 0, 0)
            if code:
                said = (folder / "stderr").read_text(encoding="utf-8")
                return 0, f"{name}: a run that nobody disturbs ends with {code}: {said[-300:]}"
            for module in (folder / "modules").read_text(encoding="utf-8").split():
                with suppress(Exception):  # one that only looks like a module
                    import_module(module)
        return int((folder / "calls").read_text(encoding="utf-8")), ""


def try_command(name: str, number: int, count: int, rng: random.Random) -> tuple[int, list[str]]:
    """Return how many trials of a command were made, and what was wrong in them."""
    trial = COMMANDS[name]
    wrong: list[str] = []
    calls, failure = count_calls(name)
    if failure:
        return 0, [failure]
    made = 0
    with tempfile.TemporaryDirectory() as base:
        while made < count:
            folder, at = Path(base, str(made)), rng.randint(1, calls)
            _prepare(folder, trial)
            code = fork(folder, trial.arguments, at, number)
            if (folder / _SENT).exists():  # else it had ended by then, and another moment is drawn
                found, made = judge(folder, trial, code, number), made + 1
                wrong += [f"{name}, {signal.Signals(number).name} at call {at}: {what}" for what in found]
            shutil.rmtree(folder, ignore_errors=True)
    return made, wrong


def _prepare(folder: Path, trial: Trial) -> None:
    (folder / "temporary").mkdir(parents=True)
    write_models(folder)
    if trial.needs_search:
        shutil.copytree(_search_of_this_run(), folder / FOLDER)
    for output in trial.outputs:
        (folder / output).write_text(OLD, encoding="utf-8")


def shares(count: int, pairs: Sequence[tuple[str, signal.Signals]]) -> Iterator[int]:
    """Yield how many trials each command and signal gets, by weight; together they are ``count``."""
    total = sum(COMMANDS[name].weight for name, _ in pairs)
    before = 0
    for name, _ in pairs:
        after = before + COMMANDS[name].weight
        yield count * after // total - count * before // total
        before = after


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
    for (name, number), share in zip(pairs, shares(options.count, pairs), strict=True):
        if not share:
            continue
        count, found = try_command(name, number, share, rng)
        made[f"{name} {number.name}"] += count
        print(f"{name} {number.name}: {count} trials, {len(found)} wrong", file=sys.stderr, flush=True)
        wrong += found
    print(json.dumps({"trials": sum(made.values()), "by_command": made, "wrong": wrong}, indent=1))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
