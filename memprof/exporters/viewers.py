"""Lifetimes for the viewers that people already have open: Perfetto, netron, Model Explorer.

    .trace.json           Chrome's trace format, for ui.perfetto.dev: a microsecond stands for a step; bytes alive as
                          a counter, what runs as slices, each tensor as an asynchronous slice from birth to death
    .netron.json          netron's attachment, dropped onto the open model: bytes and steps of each tensor, bytes
                          alive while each operation runs
    .model-explorer.json  Model Explorer's node data: bytes alive while the operation that writes a tensor runs

Pure: each returns a JSON-ready document. Names are data in all three and are kept whole: the viewers match them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from memprof.analysis import Holders, Lifetimes

_PROCESS = 1
_OPERATIONS = 1
_TENSORS = 2
_GRADIENT = ({"stop": 0, "bgColor": "#ffffff"}, {"stop": 1, "bgColor": "#eba987"})


def trace_document(lifetimes: Lifetimes) -> dict[str, Any]:
    """Return ``lifetimes`` in Chrome's trace format; one microsecond is one step."""
    return {
        "displayTimeUnit": "ns",
        "otherData": {"made by": "memprof", "one microsecond": "one step"},
        "traceEvents": [*_names(), *_counters(lifetimes), *_slices(lifetimes), *_tensors(lifetimes)],
    }


def netron_document(lifetimes: Lifetimes) -> dict[str, Any]:
    """Return ``lifetimes`` as an attachment of netron; only what has a name in the model can be shown there."""
    graph, total = lifetimes.graph, lifetimes.timeline.step_bytes
    holders = Holders(lifetimes)
    rows: list[dict[str, Any]] = [_row("model", "", "peak intermediate bytes", max(total, default=0))]
    peak_step = lifetimes.peak_step
    for step, node_ids in enumerate(lifetimes.schedule.steps):
        for i in node_ids:
            rows.append(_row("node", graph.nodes[i].name, "bytes alive while it runs", total[step]))
            rows.append(_row("node", graph.nodes[i].name, "step", step))
    for buffer in lifetimes.buffers:
        reader = holders.find(buffer).last_reader
        for i in buffer.values:
            name = graph.values[i].name
            if buffer.size_bytes is not None:
                rows.append(_row("value", name, "bytes", buffer.size_bytes))
            rows.append(_row("value", name, "first step", buffer.start))
            rows.append(_row("value", name, "last step", max(buffer.start, buffer.stop - 1)))
            rows.append(_row("value", name, "alive at the peak", buffer.start <= peak_step < buffer.stop))
            if reader is not None:
                rows.append(_row("value", name, "last read by", graph.nodes[reader].name))
    return {"signature": "netron:attachment", "metadata": [], "metrics": rows}


def node_data_document(lifetimes: Lifetimes) -> dict[str, Any]:
    """Return the bytes alive while each operation runs as node data of Model Explorer, by the tensors it writes."""
    graph, total = lifetimes.graph, lifetimes.timeline.step_bytes
    results = {
        graph.values[value_id].name: {"value": total[step]}
        for step, node_ids in enumerate(lifetimes.schedule.steps)
        for node_id in node_ids
        for value_id in graph.writes[node_id]
    }
    return {"main": {"name": "bytes alive", "results": results, "gradient": list(_GRADIENT)}}


def _row(kind: str, target: str, name: str, value: object) -> dict[str, Any]:
    return {"kind": kind, "target": target, "name": name, "value": value}


def _names() -> Iterator[dict[str, Any]]:
    yield {"ph": "M", "name": "process_name", "pid": _PROCESS, "args": {"name": "memprof: steps as microseconds"}}
    for thread, name in ((_OPERATIONS, "operations"), (_TENSORS, "tensors")):
        yield {"ph": "M", "name": "thread_name", "pid": _PROCESS, "tid": thread, "args": {"name": name}}


def _counters(lifetimes: Lifetimes) -> Iterator[dict[str, Any]]:
    for step, size in enumerate([*lifetimes.timeline.step_bytes, 0]):
        yield {"ph": "C", "name": "bytes alive", "pid": _PROCESS, "ts": step, "args": {"bytes": size}}


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


def _tensors(lifetimes: Lifetimes) -> Iterator[dict[str, Any]]:
    values = lifetimes.graph.values
    for i, buffer in enumerate(lifetimes.buffers):
        if buffer.start == buffer.stop:
            continue
        first = values[buffer.values[0]]
        shared = {"cat": "tensor", "id": i, "name": first.name, "pid": _PROCESS, "tid": _TENSORS}
        args = {"bytes": buffer.size_bytes, "module": first.module}
        yield {"ph": "b", "ts": buffer.start, **shared, "args": args}
        yield {"ph": "e", "ts": buffer.stop, **shared}
