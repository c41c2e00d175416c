"""An ONNX file with its nodes in another order, byte for byte the same elsewhere.

    source   | ... | graph: node 0 | node 1 | initialiser | node 2 | ... |
    target   | ... | graph: node 2 | node 0 | initialiser | node 1 | ... |      order (2, 0, 1)

The records of the main graph's nodes change places, so no length changes, and all else is copied in long runs:
names, metadata, bodies, functions, weights of any size, fields that nobody here knows. Nothing is decoded but names.

* The order must be one: every node once, none before one that writes what it (or one of its bodies) reads.
* The target is written beside its final place and renamed, so it is whole or not there. It may replace the source
  only if that is asked for.
* Weights in other files are found relative to the model's folder, and a path out of it is refused by runtimes. So
  such a model can be written to its own folder only.
* A call of one of the model's functions is one node of the file, however many operations it stands for: these run
  without a break, and ``file_order`` says in which order the whole then runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from heapq import heapify, heappop, heappush
from pathlib import Path
from typing import Any, BinaryIO

from memprof.base.errors import InputError, UsageError
from memprof.base.files import write_whole
from memprof.exporters.onnx_wire import FileLayout, read_layout
from memprof.importers.onnx.fields import FieldReader
from memprof.importers.onnx.wire import read_structure
from memprof.ir import Graph

_CHUNK_BYTES = 16 * 2**20


def write_reordered_onnx(
    source: Path, order: Sequence[int], target: Path, *, may_replace_source: bool = False
) -> None:
    """Write the model in ``source`` to ``target`` with the nodes of its main graph in ``order``.

    Args:
        source: An .onnx file of any size.
        order: Indices of the file's nodes, in the order they shall have.
        target: Where to write; replaced if it exists.
        may_replace_source: Whether ``target`` may be ``source``.

    Raises:
        InputError: The source is unreadable or no ONNX model.
        UsageError: The order is none of this model, the target is the source, or its weights would not be found.
    """
    check_not_the_source(source, target, may_replace_source=may_replace_source)
    with opened_layout(source) as (file, layout):
        _check_order(layout, order, source)
        check_external_data(layout, source, target)

        def write(draft: Path) -> None:
            with draft.open("xb") as copy:
                copy_reordered(file, layout, order, copy)

        write_whole(target, write)


def file_order(source: Path, graph: Graph, order: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return the order of the file's nodes that comes closest to an order of the graph's, and what that one then is.

    Both are ``order`` itself unless the file asks for more than the graph does: operations of one function call run
    together, and a branch that a constant condition rules out still reads names from outside. Of a file that lists an
    operation before what it reads, the graph has the nodes in the order that the importer gave them.

    Args:
        source: The file that ``graph`` was read from.
        graph: The graph, its functions expanded.
        order: Ids of the graph's nodes in running order.

    Returns:
        Indices of the file's nodes, for ``write_reordered_onnx``; and ids of the graph's nodes in the order in which
        they then run.

    Raises:
        InputError: The source is unreadable, no ONNX model, or not the one the graph was read from.
    """
    with opened_layout(source) as (_, layout):
        pass
    waits_for = _waits_for(layout)
    was_sorted = any(found.kind == "order" for found in graph.assumed)
    listed = _closest_order(waits_for, range(len(layout.nodes))) if was_sorted else range(len(layout.nodes))
    is_expanded = len(layout.nodes) != len(graph.nodes)
    counts = _node_counts(source) if is_expanded else [1] * len(layout.nodes)
    if sum(counts) != len(graph.nodes) or len(listed) != len(counts):
        raise InputError(f"{source} is not the model that the order was made for.")
    groups = _node_groups(listed, counts)
    position = {node: step for step, node in enumerate(order)}
    last = [max((position[node] for node in group), default=-1) for group in groups]
    found = _closest_order(waits_for, last)
    return found, [node for index in found for node in groups[index]]


def _node_groups(listed: Sequence[int], counts: Sequence[int]) -> list[range]:
    """Return for each node of the file the nodes of the graph that it stands for.

    Args:
        listed: The file's nodes in the order in which the graph has them: not the file's own where that is unsorted.
        counts: How many nodes of the graph each node of the file stands for.
    """
    groups = [range(0)] * len(counts)
    start = 0
    for index in listed:
        groups[index] = range(start, start + counts[index])
        start += counts[index]
    return groups


def _node_counts(source: Path) -> list[int]:
    """Return how many nodes of the graph each node of the file stands for: calls expand in place."""
    from onnx import ModelProto

    model = ModelProto.FromString(read_structure(source))
    functions = {(_domain(f.domain), f.name, f.overload): f for f in model.functions}
    counts: dict[tuple[str, str, str], int] = {}
    for key in _callees_first(functions):
        counts[key] = sum(_count(node, functions, counts) for node in functions[key].node)
    return [_count(node, functions, counts) for node in model.graph.node]


def _domain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


def _key(node: Any) -> tuple[str, str, str]:
    return _domain(node.domain), node.op_type, node.overload


def _callees_first(functions: Mapping[tuple[str, str, str], Any]) -> list[tuple[str, str, str]]:
    """Return the functions, each after those it calls; the importer has refused those that call themselves."""
    waits_for = [{_key(node) for node in function.node} for function in functions.values()]
    index = {key: i for i, key in enumerate(functions)}
    order = _closest_order([{index[key] for key in found if key in index} for found in waits_for], [0] * len(index))
    keys = list(functions)
    return [keys[i] for i in order]


def _count(
    node: Any, functions: Mapping[tuple[str, str, str], Any], counts: Mapping[tuple[str, str, str], int]
) -> int:
    """Return how many nodes one node expands to: an output that is handed straight through costs an ``Identity``."""
    function = functions.get(_key(node))
    if function is None:
        return 1
    given = dict(zip(function.input, node.input, strict=False))
    written = set(function.input)
    copies = 0
    for formal, name in zip(function.output, node.output, strict=False):
        if formal in written:
            copies += bool(name and given.get(formal, name))
        elif name:
            written.add(formal)
    return counts[_key(node)] + copies


def _waits_for(layout: FileLayout) -> list[set[int]]:
    """Return for each node of the file those that write what it reads."""
    owner = {name: i for i, record in enumerate(layout.nodes) for name in record.writes}
    return [{owner[name] for name in record.reads if name in owner} - {i} for i, record in enumerate(layout.nodes)]


def _closest_order(waits_for: Sequence[set[int]], wish: Sequence[int]) -> list[int]:
    """Return the topological order that always runs the ready node with the lowest wish."""
    left = [len(found) for found in waits_for]
    readers: list[list[int]] = [[] for _ in waits_for]
    for index, found in enumerate(waits_for):
        for other in found:
            readers[other].append(index)
    heap = [(wish[index], index) for index, count in enumerate(left) if not count]
    heapify(heap)
    order = []
    while heap:
        _, index = heappop(heap)
        order.append(index)
        for other in readers[index]:
            left[other] -= 1
            if not left[other]:
                heappush(heap, (wish[other], other))
    return order


def _check_order(layout: FileLayout, order: Sequence[int], source: Path) -> None:
    if sorted(order) != list(range(len(layout.nodes))):
        raise UsageError(f"The order does not name each of the {len(layout.nodes)} nodes of {source} once.")
    position = [0] * len(order)
    for step, index in enumerate(order):
        position[index] = step
    for index, found in enumerate(_waits_for(layout)):
        for other in found:
            if position[other] > position[index]:
                written = layout.nodes[other].writes[0].decode(errors="replace")
                raise UsageError(
                    f"The order runs node {index} of {source} before node {other}, which writes {written!r}."
                )


def check_external_data(layout: FileLayout, source: Path, target: Path) -> None:
    """Refuse a folder in which a model would not find weights that lie in other files.

    Raises:
        UsageError: The target lies elsewhere than its weights.
    """
    if layout.external_data and not _is_same_file(source.parent, target.parent):
        raise UsageError(
            f"{source.name} keeps weights in {layout.external_data[0]!r} beside it; {target} would not find them.",
            f"Write to {source.parent / target.name}, then move both files.",
        )


def check_not_the_source(source: Path, target: Path, *, may_replace_source: bool) -> None:
    """Refuse to write over the model that is read, unless that is asked for.

    Raises:
        UsageError: The target is the source.
    """
    if not may_replace_source and _is_same_file(source, target):
        raise UsageError(f"{target} is the model itself.", "Name another file for the reordered model.")


def _is_same_file(a: Path, b: Path) -> bool:
    try:
        return a.resolve() == b.resolve() or (a.exists() and b.exists() and a.samefile(b))
    except OSError:
        return False


@contextmanager
def opened_layout(path: Path) -> Iterator[tuple[BinaryIO, FileLayout]]:
    """Open ``path``; give it and its layout."""
    try:
        with path.open("rb") as file:
            yield file, read_layout(FieldReader(partial(_read, file)), file.seek(0, os.SEEK_END))
    except (OSError, ValueError) as error:  # a name with a zero byte cannot be opened
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"Cannot read {path}: {reason}.", "Check the path and its permissions.") from error


def _read(file: BinaryIO, start: int, length: int) -> bytes:
    file.seek(start)
    return file.read(length)


def copy_reordered(source: BinaryIO, layout: FileLayout, order: Sequence[int], target: BinaryIO) -> None:
    """Copy ``source`` to ``target`` with its nodes in ``order``, a few megabytes at a time."""
    position = 0
    for slot, index in zip(layout.nodes, order, strict=True):
        copy_bytes(source, position, slot.start, target)
        copy_bytes(source, layout.nodes[index].start, layout.nodes[index].stop, target)
        position = slot.stop
    copy_bytes(source, position, source.seek(0, os.SEEK_END), target)


def copy_bytes(source: BinaryIO, start: int, stop: int, target: BinaryIO) -> None:
    """Copy ``[start, stop)`` of ``source``, a few megabytes at a time."""
    source.seek(start)
    for begin in range(start, stop, _CHUNK_BYTES):
        target.write(source.read(min(stop - begin, _CHUNK_BYTES)))
