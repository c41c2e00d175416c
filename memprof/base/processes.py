"""The one place that starts processes. What runs there is bounded, knows no working folder, and dies with its parent.

    parent   start_python("package.module:function", ...)         child
       |        python -P -c BOOT             ------------------->  memprof, loaded from the parent's own files
       |        stdin, the lifeline: held open while the parent lives; its end kills the child's whole group
       |        prctl: the kernel kills the child when the thread that started it is gone (Linux)
       |        limits of memory (resource) and of time (alarm), set before anything else is imported
       `-- stop()  kills the group and waits for it

A model often lies in a folder that came from somebody else. Python would look there for every module that it imports
(``json.py`` beside the model would run), so ``-P`` and ``PYTHONSAFEPATH`` keep that folder off the path here and in
what a child starts in turn, and relative entries of ``PYTHONPATH`` are left out. ``tests/test_processes.py`` holds
that nothing else in memprof starts a process.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import IO, Any

GRACE_SECONDS = 5
"""How much later than its parent would the child ends itself: the parent, which can say why, comes first."""

_PACKAGE = Path(__file__).parents[1]
_TAIL_BYTES = 1 << 14
_SAFE_PATH = "PYTHONSAFEPATH"
_PR_SET_PDEATHSIG = 1

# The parent's own memprof, whatever the path holds: nothing is put on the path for it.
_BOOT = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("memprof", sys.argv[1], submodule_search_locations=[sys.argv[2]])
sys.modules["memprof"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["memprof"])
from memprof.base.processes import main
main()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What the system itself holds a process to.

    Attributes:
        seconds: Wall-clock time until it is killed, ``None`` for no limit.
        memory_bytes: Memory that it may allocate, ``None`` for no limit.
        processor_seconds: Time of the processor, however long it waits for one; ``None`` for no limit.
    """

    seconds: float | None = None
    memory_bytes: int | None = None
    processor_seconds: int | None = None


class ChildProcess:
    """A running child; use it as a context manager, whose end is the child's.

    Args:
        process: What was started, its stdin the lifeline and its stderr a pipe.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._tail: deque[bytes] = deque(maxlen=_TAIL_BYTES // 1024)
        assert process.stderr is not None
        self._reader = threading.Thread(target=_drain, args=(process.stderr, self._tail), daemon=True)
        self._reader.start()

    def __enter__(self) -> ChildProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Its process id, and its group's."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """``None`` while it runs; below zero for the signal that ended it."""
        return self._process.poll()

    def wait(self, seconds: float | None = None) -> int | None:
        """Return its exit code once it has ended, ``None`` if it still runs after ``seconds``."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds)
        return None

    def stop(self) -> None:
        """Kill what still runs of it and of what it started, and wait for it."""
        _kill_group(self._process)
        _reap(self._process)
        self._reader.join(timeout=1.0)  # a grandchild that left the group may hold the other end
        assert self._process.stdin is not None
        self._process.stdin.close()

    def says(self, words: Sequence[str]) -> bool:
        """Return whether one of ``words``, in lower case, is in the end of what it wrote to stderr."""
        said = b"".join(self._tail).decode("utf-8", errors="replace").lower()
        return any(word in said for word in words)

    def last_line(self, limit: int = 400) -> str:
        """Return the last line that it wrote to stderr, at most ``limit`` characters; empty if there is none."""
        lines = b"".join(self._tail).decode("utf-8", errors="replace").strip().splitlines()
        return lines[-1][:limit] if lines else ""


def start_python(
    entry: str,
    arguments: Sequence[str],
    *,
    folder: Path,
    bounds: Bounds,
    pass_fds: Sequence[int] = (),
) -> ChildProcess:
    """Start ``entry`` with ``arguments`` in a fresh interpreter.

    Its stdout goes nowhere and its stderr is kept, the end of it. It leads a session of its own, so Ctrl-C in the
    terminal reaches the parent alone.

    Args:
        entry: ``package.module:function``, called with the arguments as strings.
        arguments: What it is called with.
        folder: Where its temporary files go: the parent removes it.
        bounds: What the system holds it to.
        pass_fds: Open files that it inherits under the same numbers (not on Windows).
    """
    frame = {
        "parent": os.getpid(),
        "is_main_thread": threading.current_thread() is threading.main_thread(),
        "seconds": None if bounds.seconds is None else bounds.seconds + GRACE_SECONDS,
        "memory_bytes": bounds.memory_bytes,
        "processor_seconds": bounds.processor_seconds,
        "entry": entry,
        "arguments": list(arguments),
    }
    command = [sys.executable, "-P", "-c", _BOOT, str(_PACKAGE / "__init__.py"), str(_PACKAGE), json.dumps(frame)]
    return ChildProcess(
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
            pass_fds=tuple(pass_fds),
            env=_environment(os.environ, folder),
        )
    )


def _environment(given: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return ``given`` with temporary files in ``folder`` and without what leads into the working folder."""
    paths = [entry for entry in given.get("PYTHONPATH", "").split(os.pathsep) if Path(entry).is_absolute()]
    found = {key: value for key, value in given.items() if key != "PYTHONPATH"}
    found |= {"PYTHONPATH": os.pathsep.join(paths)} if paths else {}
    return found | {_SAFE_PATH: "1"} | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder))


def _drain(stream: IO[bytes], tail: deque[bytes]) -> None:
    """Read to the end and keep the last pieces: a child that floods its stderr costs neither disk nor memory."""
    with contextlib.suppress(OSError, ValueError):
        while piece := stream.read(1024):
            tail.append(piece)
    stream.close()


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        # the group is there until its leader is waited for; afterwards its number may be somebody else's
        if hasattr(os, "killpg") and process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
        elif process.poll() is None:
            process.kill()


def _reap(process: subprocess.Popen[bytes]) -> None:
    """Wait for a process that was killed.

    A signal that is raised between two steps of ``Popen.wait`` leaves its lock taken, and every later one would wait
    for ever: the system is asked, past the lock.
    """
    if sys.platform == "win32":
        process.wait()
    elif process.returncode is None:
        try:
            process.returncode = os.waitstatus_to_exitcode(os.waitpid(process.pid, 0)[1])
        except ChildProcessError:  # it was waited for, and the signal came before that was noted
            process.returncode = -signal.SIGKILL  # how it ended nobody knows any more; its number is another's now


def main() -> None:
    """Bind this process to its parent and its bounds, and call the entry; the child's side."""
    frame: dict[str, Any] = json.loads(sys.argv[3])
    _die_with_parent(frame["parent"], frame["is_main_thread"])
    _limit(Bounds(**{name: frame[name] for name in ("seconds", "memory_bytes", "processor_seconds")}))
    module, _, function = frame["entry"].partition(":")
    getattr(import_module(module), function)(*frame["arguments"])


def _die_with_parent(parent: int, is_main_thread: bool) -> None:
    lifeline = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    # the kernel's signal comes with the end of the *thread* that started us, so only the main one is taken for the
    # process; it also reaches a child whose threads are all held up in native code
    if is_main_thread and sys.platform.startswith("linux"):
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # gone before the kernel knew
            os._exit(1)


def _end_with(lifeline: int) -> None:
    while os.read(lifeline, 64):
        pass
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _limit(bounds: Bounds) -> None:
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return
    if bounds.seconds is not None:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # it ends the process, native code or not
        signal.setitimer(signal.ITIMER_REAL, bounds.seconds)
    if bounds.processor_seconds is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (_at_most(bounds.processor_seconds, hard), hard))
    if bounds.memory_bytes is not None:
        kind = resource.RLIMIT_DATA if sys.platform.startswith("linux") else resource.RLIMIT_AS
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (_at_most(bounds.memory_bytes, hard), hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _at_most(wanted: int, hard: int) -> int:
    return wanted if hard < 0 else min(wanted, hard)  # below zero: no limit


def usable_cores() -> int:
    """Return how many cores this process may use, which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
