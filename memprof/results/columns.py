"""Graphs and lifetimes as columns of JSON, and back: what a saved report needs to be drawn again.

A saved graph is a skeleton: names, types, who writes and who reads, views, modules. Attributes, bodies and what a
runtime knew ahead are not kept: nothing that is shown reads them. Columns, not objects: 100,000 tensors stay a few
megabytes. A column whose values repeat is a table and indices into it. Columns of ids are the graph's own tuples:
they are written as lists are, and nothing is copied for it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from operator import itemgetter
from typing import Any

from memprof.analysis import Buffer, Lifetimes, Schedule
from memprof.base.errors import LimitError
from memprof.base.fields import Fields
from memprof.ir import Dim, Graph, Node, Role, TensorType, Value
from memprof.ir.graph import field_of
from memprof.ir.types import MAX_TENSOR_BYTES

Made = dict[tuple[int, ...], Any]
"""Columns of one document by what they are made of, by identity."""

_OF_VALUES = ("name", "producer", "view_of", "module")
_OF_NODES = ("name", "op", "module", "line")
_VALUES, *_NUMBERS = map(itemgetter, range(len(Buffer._fields)))


def graph_json(graph: Graph) -> dict[str, Any]:
    """Return the skeleton of ``graph``."""
    values, nodes = graph.values, graph.nodes
    names, producers, views, modules = (list(map(field_of(Value, name), values)) for name in _OF_VALUES)
    node_names, ops, node_modules, lines = (list(map(field_of(Node, name), nodes)) for name in _OF_NODES)
    kinds = repeated(_by_identity(graph.types, lambda of: (of.dtype, of.shape, of.elements)))
    kinds["table"] = [_type_json(*entry) for entry in kinds["table"]]
    return {
        "name": graph.name,
        "inputs": list(graph.inputs),
        "outputs": list(graph.outputs),
        "values": {
            "name": names,
            "type": kinds,
            "role": repeated(_by_identity(graph.roles, lambda role: role.value)),
            "producer": producers,
            "view_of": views,
            "module": repeated(modules),
        },
        "nodes": {
            "name": node_names,
            "op": repeated(ops),
            "reads": graph.reads,
            "writes": graph.writes,
            "module": repeated(node_modules),
            **({"line": repeated(lines)} if any(lines) else {}),
        },
    }


def _by_identity(objects: Sequence[Any], find: Callable[[Any], Hashable]) -> list[Hashable]:
    """Return what ``find`` says of each object, asked once of each, of which there are few."""
    known = dict(zip(map(id, objects), objects, strict=True))
    found = {key: find(each) for key, each in known.items()}
    return list(map(found.__getitem__, map(id, objects)))


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


def lifetimes_json(lifetimes: Lifetimes, made: Made | None = None) -> dict[str, Any]:
    """Return everything of ``lifetimes`` but the graph.

    Args:
        lifetimes: What a runtime model says.
        made: What others of the same document had made: shared where it is the same.
    """
    made = {} if made is None else made
    buffers = lifetimes.buffers
    origin = (id(buffers),)
    if origin not in made:
        made[origin] = [tuple(map(_VALUES, buffers)), *(list(map(take, buffers)) for take in _NUMBERS)]
    scratch = lifetimes.scratch
    reserved = list(lifetimes.reserved)
    return {
        "steps": lifetimes.schedule.steps,
        "buffers": dict(zip(("values", "bytes", "start", "stop"), made[origin], strict=True)),
        "reserved": reserved,
        "scratch": None if scratch is None else reserved if scratch is lifetimes.reserved else list(scratch),
        "held": list(lifetimes.held),
        "is_complete": lifetimes.is_complete,
    }


def repeated(values: Iterable[Hashable]) -> dict[str, Any]:
    """Return a column whose values repeat: a table of them, and an index into it for each."""
    column = list(values)
    places = {value: place for place, value in enumerate(dict.fromkeys(column))}
    return {"table": list(places), "index": list(map(places.__getitem__, column))}


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
