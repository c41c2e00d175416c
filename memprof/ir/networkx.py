"""networkx both ways: a ``Graph`` for people's own algorithms and drawings by ``Graph.to_networkx``; any DiGraph that
carries bytes back in, here.

One networkx node per operation and per graph input. Parameters, constants and the operations that compute constants
are left out, since they take part in no lifetime; so are the bodies of control flow. Keys are names.

Node attributes (what ``from_networkx`` reads back is marked; only ``bytes`` is needed there):

    bytes     int | None      read   bytes that the node writes, views not counted; None if not known
    op        str             read   kind of operation, ``Input`` for a graph input
    tensors   dict[str, int]  read   name and bytes of each tensor it writes; default: one, named as the node
    reads     tuple[str, ...] read   tensors it reads, in the operation's order; default: as the edges come
    view_of   dict[str, str]  read   tensor -> tensor whose storage it shares; default: none
    elementwise bool          read   the first tensor may take the place of a same-sized input
    outputs   tuple[str, ...] read   tensors that leave the graph; default: those of nodes without successors
    step      int                    position in the execution order; -1 for inputs
    module    str             read   module path

Edge attributes:

    tensors   tuple[str, ...] read   tensors that flow along the edge; default: all that the source writes
    bytes     int | None             their bytes together
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import networkx as nx

from memprof.base.errors import InputError
from memprof.ir.builder import GraphBuilder, NewValue
from memprof.ir.graph import Graph
from memprof.ir.types import TensorType

_INPUT = "Input"


def from_networkx(source: nx.DiGraph[Any]) -> Graph:
    """Return a Graph for any DiGraph whose nodes carry ``bytes``, to be analysed like a model.

    A node is an operation that reads what its predecessors write; one with ``op="Input"`` is a graph input. The
    insertion order is the execution order where it is topological, else the lexicographical topological sort that
    keeps closest to it.

    Raises:
        InputError: The graph has a cycle, a graph input has predecessors, a node has no ``bytes`` or not a whole
            number of them, or an attribute names a tensor that does not exist.

    >>> source = nx.DiGraph()
    >>> source.add_node("x", bytes=4, op="Input")
    >>> source.add_node("relu", bytes=4)
    >>> source.add_edge("x", "relu")
    >>> from_networkx(source).to_networkx().nodes["relu"]["bytes"]
    4
    """
    if not source.is_directed() or source.is_multigraph():
        raise InputError("The graph is not a networkx DiGraph.", "Pass a networkx.DiGraph.")
    position = {key: i for i, key in enumerate(source)}
    order = list(source)
    if any(position[a] >= position[b] for a, b in source.edges):
        try:
            order = list(nx.lexicographical_topological_sort(source, key=position.__getitem__))
        except nx.NetworkXUnfeasible as error:
            raise InputError("The graph has a cycle, so no order can run it.", "Remove the cycle.") from error
    builder = GraphBuilder(str(source.name or ""))
    value_ids: dict[str, int] = {}
    outputs: list[int] = []
    for key in order:
        data = source.nodes[key]
        tensors = _tensors(key, data)
        if data.get("op") == _INPUT:
            if source.in_degree(key):
                raise InputError(f"Graph input {key!r} has predecessors.", "Remove its in-edges, or its op='Input'.")
            for name, type_ in tensors.items():
                value_ids[name] = builder.add_input(name, type_)
        else:
            views = data.get("view_of", {})
            written = builder.add_node(
                str(data.get("op", "Node")),
                [_find(value_ids, name, key) for name in _reads(source, key)],
                [
                    NewValue(name, type_, view_of=_find(value_ids, views[name], key) if name in views else None)
                    for name, type_ in tensors.items()
                ],
                name=str(key),
                is_elementwise=bool(data.get("elementwise", False)),
                is_foldable=False,
                module=str(data.get("module", "")),
            )
            value_ids.update(zip(tensors, (i for i in written if i is not None), strict=True))
        default = tuple(tensors) if source.out_degree(key) == 0 else ()
        outputs += [_find(value_ids, name, key) for name in data.get("outputs", default)]
    return builder.build(outputs)


def _reads(source: nx.DiGraph[Any], key: Hashable) -> list[str]:
    """Return the tensors that flow into a node: the edges say which, its ``reads`` in which order."""
    flowing = [
        name
        for parent in source.predecessors(key)
        for name in source.edges[parent, key].get("tensors", _tensors(parent, source.nodes[parent]))
    ]
    rank = {name: i for i, name in enumerate(source.nodes[key].get("reads", ()))}
    return sorted(flowing, key=lambda name: rank.get(name, len(rank)))


def _find(value_ids: dict[str, int], name: str, key: Hashable) -> int:
    if name not in value_ids:
        raise InputError(
            f"Node {key!r} names the tensor {name!r}, which no node before it writes.",
            "Correct its tensors, view_of or outputs attribute, or that of an edge into it.",
        )
    return value_ids[name]


def _tensors(key: Hashable, data: dict[str, Any]) -> dict[str, TensorType]:
    given = data.get("tensors")
    if given is None:
        if "bytes" not in data:
            raise InputError(f"Node {key!r} has no 'bytes' attribute.", "Give each node the bytes it writes.")
        given = {str(key): data["bytes"]}
    result: dict[str, TensorType] = {}
    for name, size in given.items():
        if size is None:
            result[name] = TensorType(None, None)
        elif isinstance(size, bool) or not hasattr(size, "__index__") or size.__index__() < 0:
            raise InputError(f"Node {key!r} has bytes={size!r}.", "Bytes are whole numbers from 0 up, or None.")
        else:
            result[name] = TensorType.of_bytes(size.__index__())
    return result
