"""Which operations are alike: equal in all that a rule about one of them may look at, names and places excepted."""

from __future__ import annotations

from operator import itemgetter

from memprof.ir import Graph, Node, Role

_DECIDE = itemgetter(*map(Node._fields.index, ("op", "inputs", "outputs", "attributes", "is_malformed")))
_PARAMETER = Role.PARAMETER  # an attribute of an Enum is slow to read


def alike(graph: Graph) -> tuple[int, ...]:
    """Return a number for each node, equal for nodes that are alike; ask for it with ``Graph.derived``.

    Alike are nodes of one operation with the same attributes, malformed or not, whose inputs and outputs are of the
    same types, are weights or not, and have the same elements, where those are few and known. What bodies, modules
    and roles beyond that say is not compared.
    """
    is_stored = [role is _PARAMETER for role in graph.roles]
    for node in graph.nodes if "Constant" in graph.ops else ():
        if node.op == "Constant":
            for i in node.writes:
                is_stored[i] = True
    elements = map(graph.elements.get, range(len(is_stored)))
    marks: dict[tuple[object, ...], int] = {}
    mark_of: dict[int | None, int] = {None: -1}
    for value_id, mark in enumerate(zip(map(id, graph.types), is_stored, elements, strict=True)):
        mark_of[value_id] = marks.setdefault(mark, len(marks))
    look_up = mark_of.__getitem__
    kinds: dict[tuple[object, ...], int] = {}
    found: list[int] = []
    for op, inputs, outputs, attributes, is_malformed in map(_DECIDE, graph.nodes):
        key = (op, id(attributes), is_malformed, len(inputs), *map(look_up, inputs), *map(look_up, outputs))
        found.append(kinds.setdefault(key, len(kinds)))
    return tuple(found)
