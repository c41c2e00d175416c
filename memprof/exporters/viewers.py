"""Lifetimes for the viewers that people already have open: Perfetto, netron, Model Explorer.

    .trace.json           Chrome's trace format, for ui.perfetto.dev: a microsecond stands for a step; bytes alive as
                          a counter, what runs as slices, each tensor as a slice from birth to death, in as many
                          lanes as tensors are alive at once
    .netron.json          netron's attachment, dropped onto the open model: bytes and steps of each tensor, bytes
                          alive while each operation runs; its labels are short, since netron cuts them
    .model-explorer.json  Model Explorer's node data: bytes alive while each operation runs

The last two are laid over the operations of the file itself, so they take lifetimes of these, not of what a session
makes of them. Pure: each returns a JSON-ready document. Names are data in all three and are kept whole: the viewers
match them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from heapq import heappop, heappush
from types import MappingProxyType
from typing import Any

from memprof.analysis import Holders, Lifetimes
from memprof.base.palette import ACCENT_SHADE, LIGHT
from memprof.base.units import format_bytes

_PROCESS = 1
_OPERATIONS = 2  # a thread with the number of its process would be called its main thread
_GRADIENT = ({"stop": 0, "bgColor": LIGHT.paper}, {"stop": 1, "bgColor": ACCENT_SHADE})
_GRAPHS: Mapping[str, str] = MappingProxyType({"tflite": "main", "torch.export": "graph"})
"""What Model Explorer calls the only graph of a format; that of an ONNX file by the graph's own name."""


def trace_document(lifetimes: Lifetimes) -> dict[str, Any]:
    """Return ``lifetimes`` in Chrome's trace format; one microsecond is one step."""
    tensors, lanes = _tensors(lifetimes)
    return {
        "displayTimeUnit": "ns",
        "otherData": {"made by": "memprof", "one microsecond": "one step"},
        "traceEvents": [*_names(lanes), *_counters(lifetimes), *_slices(lifetimes), *tensors],
    }


def netron_document(lifetimes: Lifetimes, runtime: str) -> dict[str, Any]:
    """Return ``lifetimes`` as an attachment of netron; only what has a name in the model can be shown there.

    Args:
        lifetimes: When each buffer lives, of the graph that netron shows: the file's own operations.
        runtime: Name of the runtime model.
    """
    graph, total = lifetimes.graph, lifetimes.timeline.step_bytes
    holders = Holders(lifetimes)
    rows = [_row("model", "", "memory by", runtime), _row("model", "", "peak", _amount(max(total, default=0)))]
    peak_step = lifetimes.peak_step
    for step, node_ids in enumerate(lifetimes.schedule.steps):
        for i in node_ids:
            rows.append(_row("node", graph.nodes[i].name, "bytes alive", _amount(total[step])))
            rows.append(_row("node", graph.nodes[i].name, "step", step))
            # operations of a .tflite have no names there: what they write has
            rows.extend(
                _row("value", graph.values[j].name, "bytes alive", _amount(total[step])) for j in graph.writes[i]
            )
    for buffer in lifetimes.buffers:
        reader = holders.find(buffer).last_reader
        for i in buffer.values:
            name = graph.values[i].name
            if buffer.size_bytes is not None:
                rows.append(_row("value", name, "bytes", _amount(buffer.size_bytes)))
            rows.append(_row("value", name, "first step", buffer.start))
            rows.append(_row("value", name, "last step", max(buffer.start, buffer.stop - 1)))
            rows.append(
                _row("value", name, "at the peak", "yes" if buffer.start <= peak_step < buffer.stop else "no")
            )
            if reader is not None:
                rows.append(_row("value", name, "last reader", graph.nodes[reader].name))
    return {"signature": "netron:attachment", "metadata": [], "metrics": rows}


def node_data_document(lifetimes: Lifetimes, runtime: str, format_: str) -> dict[str, Any]:
    """Return the bytes alive while each operation runs as node data of Model Explorer.

    Args:
        lifetimes: When each buffer lives, of the graph that Model Explorer shows: the file's own operations.
        runtime: Name of the runtime model.
        format_: Format of the source: Model Explorer finds its graphs and operations by another name in each.
    """
    graph, total = lifetimes.graph, lifetimes.timeline.step_bytes
    results = {
        name: {"value": total[step]}
        for step, node_ids in enumerate(lifetimes.schedule.steps)
        for i in node_ids
        for name in (
            [graph.values[j].name for j in graph.writes[i]] if format_ == "tflite" else [graph.nodes[i].name]
        )
    }
    data = {"name": f"bytes alive ({runtime})", "results": results, "gradient": list(_GRADIENT)}
    return {_GRAPHS.get(format_, graph.name): data}


def _amount(size_bytes: int) -> str:
    return f"{size_bytes:,} ({format_bytes(size_bytes)})"


def _row(kind: str, target: str, name: str, value: object) -> dict[str, Any]:
    return {"kind": kind, "target": target, "name": name, "value": value}


def _names(lanes: int) -> Iterator[dict[str, Any]]:
    yield {"ph": "M", "name": "process_name", "pid": _PROCESS, "args": {"name": "memprof: 1 us is a step"}}
    names = ["operations", *("tensors" for _ in range(lanes))]
    for thread, name in enumerate(names, _OPERATIONS):
        yield {"ph": "M", "name": "thread_name", "pid": _PROCESS, "tid": thread, "args": {"name": name}}
        yield {"ph": "M", "name": "thread_sort_index", "pid": _PROCESS, "tid": thread, "args": {"sort_index": thread}}


def _counters(lifetimes: Lifetimes) -> Iterator[dict[str, Any]]:
    for step, size in enumerate([*lifetimes.timeline.step_bytes, 0]):
        yield {"ph": "C", "name": "alive", "pid": _PROCESS, "ts": step, "args": {"bytes": size}}


def _slices(lifetimes: Lifetimes) -> Iterator[dict[str, Any]]:
    nodes = lifetimes.graph.nodes
    for step, node_ids in enumerate(lifetimes.schedule.steps):
        if not node_ids:
            continue
        first = nodes[node_ids[0]]
        name = first.name if len(node_ids) == 1 else f"{len(node_ids)} operations"
        args = {"operation": first.op, "module": first.module, "bytes alive": lifetimes.timeline.step_bytes[step]}
        place = {"pid": _PROCESS, "tid": _OPERATIONS, "ts": step, "dur": 1}
        yield {"ph": "X", "cat": "operation", "name": name, **place, "args": args}


def _tensors(lifetimes: Lifetimes) -> tuple[list[dict[str, Any]], int]:
    """Return a slice per buffer, and in how many lanes they lie: each in the highest that is free at its birth."""
    values = lifetimes.graph.values
    buffers = [buffer for buffer in lifetimes.buffers if buffer.start < buffer.stop]
    buffers.sort(key=lambda buffer: (buffer.start, -(buffer.size_bytes or 0)))
    busy: list[tuple[int, int]] = []  # (step at which it is free again, lane)
    free: list[int] = []
    lanes = 0
    found = []
    for buffer in buffers:
        while busy and busy[0][0] <= buffer.start:
            heappush(free, heappop(busy)[1])
        lane = heappop(free) if free else lanes
        lanes = max(lanes, lane + 1)
        heappush(busy, (buffer.stop, lane))
        first = values[buffer.values[0]]
        place = {
            "pid": _PROCESS,
            "tid": _OPERATIONS + 1 + lane,
            "ts": buffer.start,
            "dur": buffer.stop - buffer.start,
        }
        args = {"bytes": buffer.size_bytes, "module": first.module}
        found.append({"ph": "X", "cat": "tensor", "name": first.name, **place, "args": args})
    return found, lanes
