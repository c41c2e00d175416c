"""Runs one function in a child process, with limits, and brings back its result or one clear line.

    parent   request.json ->  child: limits, then task(**arguments)  -> result.json   parent
             a crash, a hang or a lack of memory ends the child alone, and becomes a ``RuntimeFailure``

A native runtime that is given a stranger's model may do any of these. Arguments and results are JSON; the task is
named as ``package.module:function``. ``processes`` starts the child and binds it to its parent. Memory is limited
where the system can limit what a process allocates (Linux, other Unixes partly); address space that is only reserved
is not counted.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from memprof.base.errors import (
    InputError,
    LimitError,
    MemprofError,
    MissingExtraError,
    RuntimeFailure,
    UsageError,
)
from memprof.base.files import write_text_whole
from memprof.base.folders import scratch_folder
from memprof.base.processes import Bounds, ChildProcess, start_python
from memprof.base.text import first_line
from memprof.base.units import format_bytes

_MEMORY_WORDS = (
    "bad_alloc",
    "bad allocation",
    "failed to allocate",
    "memoryerror",
    "out of memory",
    "can't allocate",
)
_KINDS = {kind.__name__: kind for kind in (InputError, LimitError, RuntimeFailure, UsageError)}
_TAIL_CHARACTERS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a child process may use.

    Attributes:
        seconds: Wall-clock time.
        memory_bytes: Memory that it may allocate; ``None`` for nine tenths of the machine's.
        processor_seconds: Time of the processor; ``None`` for no limit but that of the clock.
    """

    seconds: float = 600.0
    memory_bytes: int | None = None
    processor_seconds: int | None = None

    def __post_init__(self) -> None:
        if self.seconds <= 0 or (self.memory_bytes is not None and self.memory_bytes <= 0):
            raise UsageError("A limit of time or memory must be above zero.")

    @property
    def allowed_bytes(self) -> int | None:
        """The memory limit in bytes, ``None`` if the machine does not tell its size."""
        return self.memory_bytes if self.memory_bytes is not None else _machine_bytes()


class ProcessorTimeError(RuntimeFailure):
    """A child took more time of the processor than it may: it would again, however busy the machine is."""


def run_in_child(task: str, arguments: Mapping[str, Any], limits: Limits, *, runtime: str, model: str) -> Any:
    """Return what ``task`` returns for ``arguments``.

    Args:
        task: ``package.module:function``.
        arguments: JSON-ready keyword arguments.
        limits: What the child may use.
        runtime: What runs there, for messages: ``onnxruntime``.
        model: What it runs, for messages.

    Raises:
        RuntimeFailure: The child crashed, hung, ran out of memory, or the runtime refused the model.
        MemprofError: What the task itself raised.
    """
    what = f"{runtime} on {model}"
    with scratch_folder() as folder:
        request, result = folder / "request.json", folder / "result.json"
        request.write_text(json.dumps({"task": task, "arguments": dict(arguments)}), encoding="utf-8")
        child = _run(request, result, limits, what)
        if not result.exists():
            raise _end_of(child, limits, what)
        try:
            answer = json.loads(result.read_text(encoding="utf-8"))
            if "error" not in answer:
                return answer["result"]
            raise _error_of(answer["error"], limits, what)
        except (ValueError, KeyError, TypeError) as error:
            raise RuntimeFailure(f"{what} left no readable result.", "The model itself may be broken.") from error


def _run(request: Path, result: Path, limits: Limits, what: str) -> ChildProcess:
    """Return the child, which has ended."""
    bounds = Bounds(
        seconds=limits.seconds, memory_bytes=limits.allowed_bytes, processor_seconds=limits.processor_seconds
    )
    arguments = (str(request), str(result))
    with start_python("memprof.measure.child:main", arguments, folder=request.parent, bounds=bounds) as child:
        code = child.wait(limits.seconds)
    if code in (None, -getattr(signal, "SIGALRM", 14)):
        raise RuntimeFailure(
            f"{what} did not finish within {limits.seconds:g} s.", "Allow it more: --timeout SECONDS."
        )
    if code == -getattr(signal, "SIGXCPU", 24):
        raise ProcessorTimeError(f"{what} did not finish within {limits.processor_seconds} s of processor time.")
    return child


def _error_of(error: Mapping[str, Any], limits: Limits, what: str) -> MemprofError:
    if error["kind"] == MissingExtraError.__name__:
        return MissingExtraError(error["feature"], error["extra"])
    if error["kind"] in _KINDS:
        return _KINDS[error["kind"]](error["message"], error["hint"])
    if error["kind"] == MemoryError.__name__ or any(word in error["message"].lower() for word in _MEMORY_WORDS):
        return _out_of_memory(limits, what)
    hint = "See whether the runtime itself can run the model; --value NAME=X gives an input what it takes."
    return RuntimeFailure(f"{what} failed: {error['message']}", hint)


def _end_of(child: ChildProcess, limits: Limits, what: str) -> RuntimeFailure:
    code, tail = child.exit_code or 0, child.last_line()
    if child.says(_MEMORY_WORDS) or code == -getattr(signal, "SIGKILL", 9):
        return _out_of_memory(limits, what)
    how, hint = f"exit code {code}", "The model itself may be broken."
    if code < 0:
        with contextlib.suppress(ValueError):
            how = signal.Signals(-code).name
        if limits.allowed_bytes is not None:  # native code may follow the null pointer that it got
            limit = format_bytes(limits.allowed_bytes)
            hint = f"The model may be broken, or need more than {limit}: --memory-limit BYTES allows it more."
    return RuntimeFailure(f"{what} crashed ({how}){': ' + tail if tail else '.'}", hint)


def _out_of_memory(limits: Limits, what: str) -> RuntimeFailure:
    allowed = limits.allowed_bytes
    limit = "" if allowed is None else f" within {format_bytes(allowed)}"
    return RuntimeFailure(f"{what} ran out of memory{limit}.", "Allow it more: --memory-limit BYTES.")


def _machine_bytes() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 10 * 9
    except (AttributeError, OSError, ValueError):
        return None


def main(request: str, result: str) -> None:
    """Run the task that the file ``request`` names and write the file ``result``; the child's side."""
    document = json.loads(Path(request).read_text(encoding="utf-8"))
    try:
        module, _, function = document["task"].partition(":")
        answer: dict[str, Any] = {"result": getattr(import_module(module), function)(**document["arguments"])}
    except MissingExtraError as error:
        answer = {"error": {"kind": type(error).__name__, "feature": error.feature, "extra": error.extra}}
    except MemprofError as error:
        answer = {"error": {"kind": type(error).__name__, "message": error.message, "hint": error.hint}}
    except Exception as error:  # whatever the runtime raises becomes one line on the other side
        answer = {"error": {"kind": type(error).__name__, "message": first_line(error, _TAIL_CHARACTERS), "hint": ""}}
    write_text_whole(result, json.dumps(answer))
    os._exit(0)  # a runtime that crashes while it unloads has answered all the same
