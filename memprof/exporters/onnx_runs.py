"""An ONNX file in which some nodes are there twice, as a plan with second runs has them.

    source   | ... | graph: a -> A | b: A -> B | c: A, B -> C |          runs (a, b, a, c)
    target   | ... | graph: a -> A | b: A -> B | a -> A#2 | c: A#2, B -> C |

A node that runs again is a copy that writes other names, and who reads after it reads those; of a graph output the
last copy keeps the name. All else is copied byte for byte: weights are there once.

What cannot be written that way is refused: a model whose nodes are not those of the graph (its functions were
expanded), and bodies that read a value by a name that changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from memprof.base.errors import InputError, UsageError
from memprof.base.files import write_whole
from memprof.exporters.onnx_order import (
    check_external_data,
    check_not_the_source,
    copy_bytes,
    opened_layout,
)
from memprof.exporters.onnx_wire import GRAPH, GRAPH_NODE, FileLayout
from memprof.importers.onnx.fields import BYTES, varint
from memprof.ir import Graph
from memprof.planning.recomputation.schedule import free_name


@dataclass(frozen=True, slots=True)
class _Run:
    """One node of the target: a record of the source, and how its names change."""

    record: int
    renamed_reads: dict[str, str]
    renamed_writes: dict[str, str]
    name: str | None


def write_repeated_onnx(
    source: Path, graph: Graph, runs: Sequence[int], target: Path, *, may_replace_source: bool = False
) -> None:
    """Write the model in ``source`` to ``target`` with its nodes as in ``runs``.

    Args:
        source: The .onnx file that ``graph`` was read from.
        graph: The graph.
        runs: Ids of its nodes, in running order; one that is there twice is written twice.
        target: Where to write; replaced if it exists.
        may_replace_source: Whether ``target`` may be ``source``.

    Raises:
        InputError: The source is unreadable or no ONNX model.
        UsageError: The runs cannot be written into this file, the target is the source, or its weights would not be
            found.
    """
    check_not_the_source(source, target, may_replace_source=may_replace_source)
    with opened_layout(source) as (file, layout):
        check_external_data(layout, source, target)
        records = _records_of(source, graph, layout)
        found = _rename(graph, runs, records, layout)

        def write(draft: Path) -> None:
            with draft.open("xb") as copy:
                _copy_repeated(file, layout, found, copy)

        write_whole(target, write)


def _records_of(source: Path, graph: Graph, layout: FileLayout) -> list[int]:
    """Return for each node of the graph its record: the one that writes the same names."""
    by_writes = {record.writes: i for i, record in enumerate(layout.nodes)}
    names = [tuple(graph.values[i].name.encode() for i in node.writes) for node in graph.nodes]
    if len(layout.nodes) != len(graph.nodes) or any(found not in by_writes for found in names):
        raise UsageError(
            f"The nodes of {source} are not those that run: it calls functions, or hides some from a run.",
            "Write the plan as .json, or inline the functions of the model first (onnx.inliner).",
        )
    return [by_writes[found] for found in names]


def _rename(graph: Graph, runs: Sequence[int], records: Sequence[int], layout: FileLayout) -> list[_Run]:
    """Return the nodes of the target."""
    last_run = {node: step for step, node in enumerate(runs)}
    taken = {value.name for value in graph.values}
    taken |= {name.decode(errors="replace") for r in layout.nodes for name in (*r.reads, *r.writes)}
    node_names = {node.name for node in graph.nodes}
    leaving = set(graph.outputs)
    current: dict[str, str] = {}
    seen = set[int]()
    missing = {name.decode(errors="replace") for r in layout.nodes for name in r.writes}
    found = []
    for step, node_id in enumerate(runs):
        node = graph.nodes[node_id]
        record = layout.nodes[records[node_id]]
        reads = {name.decode(errors="replace") for name in record.reads}
        if early := reads & missing:
            raise UsageError(
                f"The file reads {min(early)!r} before it is written, in a branch that no run takes.",
                "Write the plan as .json; the model cannot say it.",
            )
        missing.difference_update(name.decode(errors="replace") for name in record.writes)
        renamed_reads = {name: current[name] for name in reads if current.get(name, name) != name}
        renamed_writes = {}
        for value_id in node.writes:
            name = graph.values[value_id].name
            is_last, is_first = last_run[node_id] == step, node_id not in seen
            keeps = is_last if value_id in leaving else is_first
            current[name] = name if keeps else free_name(name, taken)
            if not keeps:
                renamed_writes[name] = current[name]
        new_name = free_name(node.name, node_names) if node_id in seen else None
        seen.add(node_id)
        found.append(_Run(records[node_id], renamed_reads, renamed_writes, new_name))
    return found


def _copy_repeated(source: BinaryIO, layout: FileLayout, runs: Sequence[_Run], target: BinaryIO) -> None:
    """Copy the file: the nodes of the target where the first node of the source was, all else as it is."""
    graph = layout.graph
    changed = {i: _change(source, layout, run) for i, run in enumerate(runs) if _is_changed(run)}
    kept = sum(record.stop - record.start for record in layout.nodes)
    written = sum(
        len(changed[i]) if i in changed else layout.nodes[run.record].stop - layout.nodes[run.record].start
        for i, run in enumerate(runs)
    )
    copy_bytes(source, 0, graph.start, target)
    target.write(varint(GRAPH << 3 | BYTES) + varint(graph.stop - graph.value - kept + written))
    position = graph.value
    for slot in sorted(layout.nodes, key=lambda record: record.start):
        copy_bytes(source, position, slot.start, target)
        position = slot.stop
        for i, run in enumerate(runs):
            if i in changed:
                target.write(changed[i])
            else:
                record = layout.nodes[run.record]
                copy_bytes(source, record.start, record.stop, target)
        runs = ()
    copy_bytes(source, position, source.seek(0, 2), target)


def _is_changed(run: _Run) -> bool:
    return bool(run.renamed_reads or run.renamed_writes or run.name is not None)


def _change(source: BinaryIO, layout: FileLayout, run: _Run) -> bytes:
    """Return the record of a node with its names changed."""
    from onnx import NodeProto

    record = layout.nodes[run.record]
    source.seek(record.start)
    tagged = source.read(record.stop - record.start)
    node = NodeProto.FromString(tagged[len(tagged) - _payload_bytes(tagged) :])
    if set(run.renamed_reads) - set(node.input):
        raise UsageError(
            f"A body of the node {run.name or node.name!r} reads what is made again.",
            "Write the plan as .json; the model cannot say it.",
        )
    node.input[:] = [run.renamed_reads.get(name, name) for name in node.input]
    node.output[:] = [run.renamed_writes.get(name, name) for name in node.output]
    if run.name is not None and node.name:
        node.name = run.name
    payload: bytes = node.SerializeToString()
    return varint(GRAPH_NODE << 3 | BYTES) + varint(len(payload)) + payload


def _payload_bytes(tagged: bytes) -> int:
    """Return how long the message in a field is: what its length says, behind a tag of one byte."""
    length, shift = 0, 0
    for byte in tagged[1:11]:
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return length
    raise InputError("A node of the model has no length.", "Export the model again.")
