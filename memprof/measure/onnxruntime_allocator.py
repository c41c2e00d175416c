"""What onnxruntime takes and gives back, byte by byte: an allocator of ours, handed in through the C interface.

Every buffer of the run goes through it: tensors, kernel scratch, the block of the second run. onnxruntime's profiler
asks an allocator for its statistics before each kernel, which marks in the trace where a node begins. So the bytes of
each step are exact: the most that was alive while the node ran, its own release of inputs afterwards excepted.

    trace    a 401408   a 65536   f 65536  |  a 401408  f 401408  |      a = taken, f = given back, | = next node
    node     Conv_0                           Relu_1

Graph inputs are the caller's and outputs are the allocator's: inputs out, outputs in. Runs in a child process.
"""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from memprof.base.folders import scratch_folder
from memprof.measure.feeds import InputSpec, random_feeds
from memprof.measure.measurement import MeasuredStep
from memprof.measure.onnxruntime_events import KernelEvent, kernel_events
from memprof.measure.onnxruntime_native import (
    API_VERSION,
    AllocatorTable,
    AllocFunction,
    FreeFunction,
    InfoFunction,
    Pointer,
    Runtime,
    Session,
    SessionSettings,
    StatsFunction,
)
from memprof.measure.onnxruntime_optimizer import weights_path

_ALIGNMENT = 64
_MARK = 0


@dataclass(frozen=True, slots=True)
class _Segment:
    """What one kernel did.

    Attributes:
        most_bytes: Most bytes alive while it ran.
        live_bytes: Bytes alive once its scratch was given back, before its inputs were.
        end_bytes: Bytes alive when the next kernel starts.
    """

    most_bytes: int
    live_bytes: int
    end_bytes: int


class TracedAllocator:
    """An allocator that notes what is taken (above zero), given back (below), and asked for (zero)."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._sizes: dict[int, int] = {}
        self.trace: list[tuple[int, int]] = []
        library = ctypes.CDLL(None)
        self._take = library.aligned_alloc
        self._take.restype, self._take.argtypes = Pointer, [ctypes.c_size_t, ctypes.c_size_t]
        self._give = library.free
        self._give.restype, self._give.argtypes = None, [Pointer]
        take = AllocFunction(self._alloc)
        self._table = AllocatorTable(
            API_VERSION,
            take,
            FreeFunction(self._free),
            InfoFunction(lambda _: runtime.memory_info.value),
            take,
            StatsFunction(self._stats),
            None,
            None,
        )
        pointer = ctypes.POINTER(AllocatorTable)
        runtime.call("RegisterAllocator", (Pointer, runtime.environment), (pointer, ctypes.byref(self._table)))

    def _alloc(self, _: int, size: int) -> int | None:
        padded = max(_ALIGNMENT, -(-size // _ALIGNMENT) * _ALIGNMENT)
        address: int | None = self._take(_ALIGNMENT, padded)
        if address is None:  # onnxruntime may crash on that, and then nobody else tells why
            os.write(2, f"out of memory: there are no {size} bytes\n".encode())
        else:
            self._sizes[address] = size
            self.trace.append((address, size))
        return address

    def _free(self, _: int, address: int | None) -> None:
        if address is not None:
            self.trace.append((address, -self._sizes.pop(address)))
            self._give(address)

    def _stats(self, _: int, out: Any) -> None:
        self.trace.append((_MARK, 0))
        out[0] = self._runtime.create_plain("CreateKeyValuePairs")


def trace_runs(model: str, inputs: Sequence[InputSpec], level: int, target: str, threads: int) -> dict[str, Any]:
    """Run a model twice and return what was allocated: the task of the child process.

    Args:
        model: Path of the .onnx file.
        inputs: Its inputs.
        level: 0 for no optimisation, 99 for all.
        target: Where this session writes the graph that it runs, before it runs it; empty for nowhere.
        threads: Threads inside an operation.

    Returns:
        ``version``; ``peak_bytes`` and ``steps`` of the first run; ``second_run_bytes`` and ``second_steps``, the
        same of the second; ``block_bytes``, what that took before its first kernel; ``session_bytes``, held before
        the first run.
    """
    runtime = Runtime()
    allocator = TracedAllocator(runtime)
    feeds = random_feeds(inputs)
    with scratch_folder() as folder:
        prefix = str(folder / "profile")
        settings = SessionSettings(level=level, profile_prefix=prefix, target=target, threads=threads)
        session = Session(runtime, str(Path(model).resolve()), settings)
        if target:
            Path(weights_path(target)).unlink(missing_ok=True)
        runs: list[list[tuple[int, int]]] = []
        held_bytes = sum(size for _, size in allocator.trace)
        for _ in range(2):
            start = len(allocator.trace)
            outputs = session.run(feeds)
            runs.append(allocator.trace[start:])
            for output in outputs:
                runtime.release("ReleaseValue", output)
        events = kernel_events(json.loads(session.end_profiling().read_text(encoding="utf-8")))
    first, second = runs
    return {
        "version": runtime.version,
        "peak_bytes": _peak(first),
        "steps": [asdict(step) for step in _steps(first, events[: len(events) // 2])],
        "second_run_bytes": _peak(second),
        "second_steps": [asdict(step) for step in _steps(second, events[len(events) // 2 :])],
        "block_bytes": sum(size for _, size in second[: _first_mark(second)]),
        "session_bytes": held_bytes,
    }


def run_peaks(
    runtime: Runtime, allocator: TracedAllocator, model: str, feeds: Mapping[str, Any], types: Mapping[str, int]
) -> tuple[int, int | None]:
    """Run a model once, optimisation off; return its peak with kernel scratch, and without if the trace shows it.

    Args:
        runtime: The runtime; many models may be run in one.
        allocator: Its allocator.
        model: Path of the .onnx file.
        feeds: An array for each input.
        types: ONNX's number of each input's element type.
    """
    with scratch_folder() as folder:
        settings = SessionSettings(level=0, profile_prefix=str(folder / "profile"))
        session = Session(runtime, model, settings)
        start = len(allocator.trace)
        outputs = session.run(feeds, types)
        trace = allocator.trace[start:]
        for output in outputs:
            runtime.release("ReleaseValue", output)
        events = kernel_events(json.loads(session.end_profiling().read_text(encoding="utf-8")))
        session.close()
    steps = _steps(trace, events)
    return _peak(trace), max((step.live_bytes for step in steps), default=None)


def _peak(trace: Sequence[tuple[int, int]]) -> int:
    live = most = 0
    for _, size in trace:
        live += size
        most = max(most, live)
    return most


def _first_mark(trace: Sequence[tuple[int, int]]) -> int:
    return next((i for i, (address, _) in enumerate(trace) if address == _MARK), len(trace))


def _steps(trace: Sequence[tuple[int, int]], events: Sequence[KernelEvent]) -> list[MeasuredStep]:
    """Return one step for each node of the main graph; nodes of bodies belong to the node that runs them."""
    marks = [i for i, (address, _) in enumerate(trace) if address == _MARK]
    if len(marks) != len(events):
        return []
    segments: list[_Segment] = []
    live = sum(size for _, size in trace[: marks[0]]) if marks else 0
    for i, mark in enumerate(marks):
        end = marks[i + 1] if i + 1 < len(marks) else len(trace)
        segment = _segment(trace[mark + 1 : end], live)
        if _leaves_a_body(events, i):  # what is given back by then are results of the body, not scratch alone
            segment = replace(segment, live_bytes=segment.most_bytes)
        segments.append(segment)
        live = segment.end_bytes
    steps: list[MeasuredStep] = []
    for event, segment in zip(events, segments, strict=True):
        if event.depth == 0:
            steps.append(MeasuredStep(event.node, event.op, segment.live_bytes, segment.most_bytes))
        elif steps:
            last = steps[-1]
            most = max(last.most_bytes or 0, segment.most_bytes)
            steps[-1] = MeasuredStep(last.node, last.op, max(last.live_bytes, segment.live_bytes), most)
    return steps


def _leaves_a_body(events: Sequence[KernelEvent], i: int) -> bool:
    return events[i].depth > (events[i + 1].depth if i + 1 < len(events) else 0)


def _segment(trace: Sequence[tuple[int, int]], before: int) -> _Segment:
    live = most = before
    taken: set[int] = set()
    scratch: list[int] = []
    for address, size in trace:
        live += size
        most = max(most, live)
        if size > 0:
            taken.add(address)
        elif address in taken:
            taken.discard(address)
            scratch.append(-size)
    written = before + sum(size for _, size in trace if size > 0) - sum(scratch)
    return _Segment(most_bytes=most, live_bytes=min(written, most), end_bytes=live)
