"""Graphs and lifetimes as columns of JSON, and back: what a saved report needs to be drawn again.

A saved graph is a skeleton: names, types, who writes and who reads, views, modules. Attributes, bodies and what a
runtime knew ahead are not kept: nothing that is shown reads them. Columns, not objects: 100,000 tensors stay a few
megabytes. A column whose values repeat is a table and indices into it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

from memprof.analysis import Buffer, Lifetimes, Schedule
from memprof.base.errors import LimitError
from memprof.base.fields import Fields
from memprof.ir import Dim, Graph, Node, Role, TensorType, Value
from memprof.ir.types import MAX_TENSOR_BYTES


def graph_json(graph: Graph) -> dict[str, Any]:
    """Return the skeleton of ``graph``."""
    values, nodes = graph.values, graph.nodes
    types = repeated((value.type.dtype, value.type.shape, value.type.elements) for value in values)
    types["table"] = [_type_json(*entry) for entry in types["table"]]
    return {
        "name": graph.name,
        "inputs": list(graph.inputs),
        "outputs": list(graph.outputs),
        "values": {
            "name": [value.name for value in values],
            "type": types,
            "role": repeated(value.role.value for value in values),
            "producer": [value.producer for value in values],
            "view_of": [value.view_of for value in values],
            "module": repeated(value.module for value in values),
        },
        "nodes": {
            "name": [node.name for node in nodes],
            "op": repeated(node.op for node in nodes),
            "reads": [list(reads) for reads in graph.reads],
            "writes": [list(writes) for writes in graph.writes],
            "module": repeated(node.module for node in nodes),
            **({"line": repeated(node.line for node in nodes)} if any(node.line for node in nodes) else {}),
        },
    }


def read_graph(found: Fields) -> Graph:
    """Return the graph of a skeleton.

    Raises:
        InputError: A field is missing or wrong.
    """
    values, nodes = found.fields("values"), found.fields("nodes")
    names, node_names = values.texts("name"), nodes.texts("name")
    n, steps = len(names), len(node_names)
    producers = values.counts_or_none("producer", steps)
    views = values.counts_or_none("view_of", n)
    if any(view is not None and view >= i for i, view in enumerate(views)):
        raise values.error("view_of", "names a later tensor")
    columns = (producers, views, types := values.repeated("type", _read_type), roles := values.repeated("role", Role))
    modules = values.repeated("module", read_text)
    _same_length(values, n, (*columns, modules))
    ops, node_modules = nodes.repeated("op", read_text), nodes.repeated("module", read_text)
    reads, writes = nodes.groups("reads", n), nodes.groups("writes", n)
    lines = nodes.repeated("line", read_text) if "line" in nodes else ("",) * steps
    _same_length(nodes, steps, (ops, node_modules, reads, writes, lines))
    return Graph(
        name=found.text("name"),
        values=tuple(
            [
                Value(name=name, type=type_, role=role, producer=producer, view_of=view, module=module)
                for name, type_, role, producer, view, module in zip(
                    names, types, roles, producers, views, modules, strict=True
                )
            ]
        ),
        nodes=tuple(
            [
                Node(name=name, op=op, inputs=read, outputs=written, module=module, line=line)
                for name, op, read, written, module, line in zip(
                    node_names, ops, reads, writes, node_modules, lines, strict=True
                )
            ]
        ),
        inputs=found.counts("inputs", n),
        outputs=found.counts("outputs", n),
    )


def lifetimes_json(lifetimes: Lifetimes) -> dict[str, Any]:
    """Return everything of ``lifetimes`` but the graph."""
    buffers = lifetimes.buffers
    return {
        "steps": [list(nodes) for nodes in lifetimes.schedule.steps],
        "buffers": {
            "values": [list(buffer.values) for buffer in buffers],
            "bytes": [buffer.size_bytes for buffer in buffers],
            "start": [buffer.start for buffer in buffers],
            "stop": [buffer.stop for buffer in buffers],
        },
        "reserved": list(lifetimes.reserved),
        "scratch": None if lifetimes.scratch is None else list(lifetimes.scratch),
        "held": list(lifetimes.held),
        "is_complete": lifetimes.is_complete,
    }


def repeated(values: Iterable[Hashable]) -> dict[str, Any]:
    """Return a column whose values repeat: a table of them, and an index into it for each."""
    places: dict[Hashable, int] = {}
    index = [places.setdefault(value, len(places)) for value in values]
    return {"table": list(places), "index": index}


def read_lifetimes(found: Fields, graph: Graph) -> Lifetimes:
    """Return the lifetimes on ``graph``.

    Raises:
        InputError: A field is missing or wrong.
    """
    schedule = Schedule(found.groups("steps", len(graph.nodes)))
    if sum(map(len, schedule.steps)) > len(graph.nodes):
        raise found.error("steps", "runs an operation twice")
    step_count = schedule.step_count
    columns = found.fields("buffers")
    values = columns.groups("values", len(graph.values))
    sizes = columns.counts_or_none("bytes", MAX_TENSOR_BYTES + 1)
    starts, stops = columns.counts("start", step_count + 1), columns.counts("stop", step_count + 1)
    _same_length(columns, len(values), (sizes, starts, stops))
    if not all(values) or any(start > stop for start, stop in zip(starts, stops, strict=True)):
        raise columns.error("stop")
    reserved = found.counts("reserved")
    scratch = None if found.is_null("scratch") else found.counts("scratch")
    held = found.counts("held") if "held" in found else ()  # reports of before know none
    for name, column in (("reserved", reserved), ("scratch", scratch or ()), ("held", held)):
        if column and len(column) != step_count:
            raise found.error(name, "has not one entry for each step")
    return Lifetimes(
        graph=graph,
        schedule=schedule,
        buffers=tuple(map(Buffer, values, sizes, starts, stops)),
        reserved=reserved,
        scratch=scratch,
        held=held,
        is_complete=found.flag("is_complete"),
    )


def _type_json(dtype: str | None, shape: Sequence[Dim] | None, elements: int | None) -> list[Any]:
    """Return a type: element type, shape, and the number of elements where dimensions are open and it is known."""
    found: list[Any] = [dtype, None if shape is None else list(shape)]
    return found if elements is None else [*found, elements]


def _read_type(entry: Any) -> TensorType:
    dtype, shape, elements = entry if len(entry) == 3 else (*entry, None)
    if elements is not None and (not isinstance(elements, int) or isinstance(elements, bool) or elements < 0):
        raise ValueError(entry)
    is_shape = shape is None or all(
        dim is None or isinstance(dim, str) or (isinstance(dim, int) and not isinstance(dim, bool)) for dim in shape
    )
    if not is_shape or not (dtype is None or isinstance(dtype, str)):
        raise ValueError(entry)
    try:
        return TensorType(dtype, None if shape is None else tuple(shape), elements)
    except LimitError as error:
        raise ValueError(entry) from error


def read_text(entry: Any) -> str:
    """Return ``entry``, which must be a text.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(entry, str):
        raise TypeError(entry)
    return entry


def _same_length(found: Fields, length: int, columns: Iterable[Sequence[Any]]) -> None:
    if any(len(column) != length for column in columns):
        raise found.error("name", "and the columns beside it differ in length")
