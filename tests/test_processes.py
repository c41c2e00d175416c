"""Processes: one place starts them, they die with their parent, and the system holds them to their bounds."""

from __future__ import annotations

import ast
import contextlib
import gc
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from memprof.base import processes
from memprof.base.folders import scratch_folder
from memprof.base.processes import Bounds, start_python

ROOT = Path(__file__).parents[1]
HERE = "tests.test_processes"
STARTERS: Mapping[str, str] = {
    "base/processes.py": "the one place",
    "measure/litert_runs.py": "forks inside a child, whose whole group ends with it",
    "measure/others.py": "forks inside a child, which end with it",
    "nas/searching/submitting.py": "a folder of the search, which other machines see, removed when the engine closes",
    "measure/tflm_runs.py": "an unnamed temporary file inside a child",
}
"""Files of memprof that may start a process or make a temporary file, each with its reason."""

MODULES = ("subprocess", "multiprocessing", "concurrent.futures.process", "pty", "popen2", "_posixsubprocess")
CALLS = ("system", "popen", "fork", "forkpty", "posix_spawn", "posix_spawnp", "startfile", "ProcessPoolExecutor")
PREFIXES = ("exec", "spawn")  # os.execv ..., os.spawnv ...
FOLDERS = ("mkdtemp", "TemporaryDirectory", "mkstemp", "NamedTemporaryFile", "TemporaryFile", "SpooledTemporaryFile")

posix = pytest.mark.skipif(os.name != "posix", reason="signals and inherited files")


def offences(source: str) -> list[str]:
    """Return what in a file may start a process or make a temporary folder of its own."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            found += [a.name for a in node.names if a.name in CALLS or a.name.startswith(PREFIXES)]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            found += [node.attr] if node.attr in CALLS or node.attr.startswith(PREFIXES) else []
        found += [n for n in names if n.startswith(MODULES) and not n.startswith("multiprocessing.connection")]
        found += [n for n in names if n.rpartition(".")[2] in (*CALLS[-1:], *FOLDERS)]
        if isinstance(node, ast.Attribute) and node.attr in FOLDERS:
            found.append(node.attr)
    return found


def test_nothing_but_the_one_place_starts_processes_or_makes_temporary_folders() -> None:
    allowed = {*STARTERS, "base/folders.py"}
    files = sorted((ROOT / "memprof").rglob("*.py"))
    found = {path.relative_to(ROOT / "memprof").as_posix(): offences(path.read_text()) for path in files}
    assert {name: what for name, what in found.items() if what and name not in allowed} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import subprocess",
        "from subprocess import run",
        "import multiprocessing as m",
        "from multiprocessing import get_context",
        "from concurrent.futures import ProcessPoolExecutor",
        "import os\nos.execv('a', [])",
        "from os import spawnv",
        "import os\nos.system('x')",
        "import tempfile\ntempfile.mkdtemp()",
        "from tempfile import TemporaryDirectory",
    ],
)
def test_the_checker_sees_a_start(source: str) -> None:
    assert offences(source)


# What runs in children


def hang(pipe: str) -> None:
    os.write(int(pipe), b"r")
    time.sleep(600)


def hang_holding_the_interpreter(pipe: str) -> None:
    import ctypes

    os.write(int(pipe), b"r")
    ctypes.PyDLL(None).sleep(600)


def start_another_that_hangs(pipe: str) -> None:
    subprocess.Popen(
        [sys.executable, "-c", f"import os, time; os.write({pipe}, b'r'); time.sleep(600)"], close_fds=False
    )
    time.sleep(600)


def be_a_parent(task: str, pipe: str) -> None:
    """Start a child that hangs, and hang: the process to be killed."""
    with (
        scratch_folder() as folder,
        start_python(f"{HERE}:{task}", [pipe], folder=folder, bounds=Bounds(), pass_fds=[int(pipe)]),
    ):
        time.sleep(600)


def flood(_: str) -> None:
    block = b"x" * 65536
    for _i in range(1600):  # 100 MB
        os.write(2, block)
    os.write(2, b"\nlast line\n")


def note_frame(target: str) -> None:
    import json
    import tempfile

    found = {
        "path": sys.path,
        "safe": sys.flags.safe_path,
        "environment": dict(os.environ),
        "temporary": tempfile.gettempdir(),
    }
    Path(target).write_text(json.dumps(found))


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Both ends of a pipe; whoever holds the second keeps the first from ending."""
    ends = os.pipe()
    yield ends
    for end in ends:
        with contextlib.suppress(OSError):
            os.close(end)


@pytest.fixture(autouse=True)
def _tests_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def read_within(end: int, seconds: float = 600.0) -> bytes:
    """Return what comes next; nothing if all that could write are gone. Fails instead of hanging."""
    ready, _, _ = select.select([end], [], [], seconds)
    assert ready, "a process that should be gone still holds the pipe"
    return os.read(end, 1)


@posix
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize(
    "task",
    [
        "hang",
        pytest.param(
            "hang_holding_the_interpreter",
            marks=pytest.mark.skipif(not sys.platform.startswith("linux"), reason="prctl is Linux's"),
        ),
    ],
)
def test_a_child_dies_with_its_parent(pipe: tuple[int, int], task: str, how: int, tmp_path: Path) -> None:
    script = f"from {HERE} import be_a_parent; be_a_parent({task!r}, '{pipe[1]}')"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, "-c", script], pass_fds=[pipe[1]], env=environment, cwd=ROOT)
    os.close(pipe[1])
    assert read_within(pipe[0]) == b"r"
    parent.send_signal(how)
    parent.wait()
    assert read_within(pipe[0]) == b""  # the child, the last that held it, is gone


@posix
def test_what_a_child_started_ends_with_it(pipe: tuple[int, int], tmp_path: Path) -> None:
    name = f"{HERE}:start_another_that_hangs"
    with start_python(name, [str(pipe[1])], folder=tmp_path, bounds=Bounds(), pass_fds=[pipe[1]]):
        os.close(pipe[1])
        assert read_within(pipe[0]) == b"r"
    assert read_within(pipe[0]) == b""


@posix
def test_a_child_ends_at_its_time_though_nobody_stops_it(
    pipe: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0)
    task, bounds = f"{HERE}:hang_holding_the_interpreter", Bounds(seconds=0.2)
    with start_python(task, [str(pipe[1])], folder=tmp_path, bounds=bounds, pass_fds=[pipe[1]]) as child:
        assert child.wait(600) == -signal.SIGALRM


@posix
def test_a_child_is_stopped_though_a_signal_has_left_the_lock_of_its_handle_taken(
    pipe: tuple[int, int], tmp_path: Path
) -> None:
    """As Ctrl-C does that comes within ``Popen.wait``; in a thread, so that a failure ends."""
    child = start_python(f"{HERE}:hang", [str(pipe[1])], folder=tmp_path, bounds=Bounds(), pass_fds=[pipe[1]])
    assert read_within(pipe[0]) == b"r"
    child._process._waitpid_lock.acquire()  # type: ignore[attr-defined]
    stopping = threading.Thread(target=child.stop, daemon=True)
    stopping.start()
    stopping.join(60)
    assert not stopping.is_alive()
    assert child._process.returncode == -signal.SIGKILL


@posix
def test_a_child_that_was_waited_for_before_that_was_noted_has_ended(tmp_path: Path) -> None:
    """As Ctrl-C does that comes within ``Popen.wait``, after the system has told: the number may be another's."""
    child = start_python(f"{HERE}:flood", [""], folder=tmp_path, bounds=Bounds())
    os.waitpid(child.pid, 0)
    child._process._waitpid_lock.acquire()  # type: ignore[attr-defined]
    child.stop()
    assert child.exit_code is not None
    assert child.wait(0) is not None


def test_a_flood_on_stderr_costs_nothing_and_its_end_is_kept(tmp_path: Path) -> None:
    with start_python(f"{HERE}:flood", [""], folder=tmp_path, bounds=Bounds()) as child:
        assert child.wait(600) == 0
    assert child.last_line() == "last line"
    assert list(tmp_path.iterdir()) == []


def test_a_child_knows_no_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import json

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", ".", str(ROOT), "sub"]))
    with start_python(f"{HERE}:note_frame", [str(tmp_path / "frame")], folder=tmp_path, bounds=Bounds()) as child:
        assert child.wait(600) == 0
    found = json.loads((tmp_path / "frame").read_text())
    assert found["safe"]
    assert found["environment"]["PYTHONSAFEPATH"] == "1"
    assert found["environment"]["PYTHONPATH"] == str(ROOT)
    assert found["temporary"] == str(tmp_path)
    folders = [entry for entry in found["path"] if not entry.startswith("__editable__.")]  # a hook's name, no folder
    assert all(Path(entry).is_absolute() and Path(entry) != tmp_path for entry in folders)


@posix
def test_the_folder_of_a_killed_process_goes_with_the_next(
    pipe: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = f"from {HERE} import be_a_parent; be_a_parent('hang', '{pipe[1]}')"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, "-c", script], pass_fds=[pipe[1]], env=environment, cwd=ROOT)
    os.close(pipe[1])
    assert read_within(pipe[0]) == b"r"
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with scratch_folder():  # another process at work: its folder stays
        assert len(list(tmp_path.glob("memprof-*"))) == 2
    parent.kill()
    parent.wait()
    assert read_within(pipe[0]) == b""
    with scratch_folder():
        assert len(list(tmp_path.glob("memprof-*"))) == 1
    assert list(tmp_path.iterdir()) == []


@posix
def test_what_is_no_folder_of_memprof_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "lock").touch()
    (tmp_path / "memprof-0123456789abcdef").symlink_to(precious)
    (tmp_path / "memprof-fedcba9876543210").mkdir()
    mine = tmp_path / "memprof-of-mine"
    mine.mkdir()
    (mine / "lock").touch()
    with scratch_folder():
        pass
    assert (precious / "lock").exists()
    assert (tmp_path / "memprof-fedcba9876543210").exists()
    assert (mine / "lock").exists()


@posix
def test_a_signal_at_any_call_of_a_scratch_folder_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    interrupted = at = 0
    while interrupted == at:  # until a run has fewer calls
        at += 1
        interrupted += _is_interrupted(at)
        if any(tmp_path.iterdir()):
            gc.collect()  # what an exception held is let go with it
        assert [path.name for path in tmp_path.iterdir()] == [], f"at call {at}"
    assert at > 50


def _is_interrupted(at: int) -> bool:
    calls, is_over = 0, False

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")
        if calls == at and event in ("call", "c_call") and not is_over:
            os.kill(os.getpid(), signal.SIGINT)

    try:
        sys.setprofile(count)
        with scratch_folder() as folder:
            (folder / "file").write_text("x", encoding="utf-8")
        is_over = True
        return False
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(None)


def test_cores_are_counted_where_the_system_does_not_say_which_are_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = processes.usable_cores()
    monkeypatch.delattr("os.sched_getaffinity", raising=False)

    assert 1 <= allowed <= processes.usable_cores()
