"""Who must run before whom, and who touches which storage: what orders and in-place rules ask of a graph. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from memprof.ir import Graph, Role


def storage_sizes(graph: Graph, counted: Collection[Role]) -> dict[int, int]:
    """Return the bytes of each storage whose role is one of ``counted``, by its root value; 0 where not known."""
    return {root: size or 0 for root, _, size in graph.activations if graph.values[root].role in counted}


def find_touchers(graph: Graph, sizes: Mapping[int, int], roots: Sequence[int] | None = None) -> dict[int, list[int]]:
    """Return which operations touch each storage that counts, in the given order, each once."""
    roots = graph.storage if roots is None else roots
    touchers: dict[int, list[int]] = {root: [] for root in sizes}
    for op, node in enumerate(graph.nodes):
        for value_id in (*node.reads, *node.writes):
            found = touchers.get(roots[value_id])
            if found is not None and (not found or found[-1] != op):
                found.append(op)
    return touchers


def find_predecessors(graph: Graph) -> list[list[int]]:
    """Return the operations that must run before each one: those that write what it reads or views."""
    producers = [value.producer for value in graph.values]
    found = []
    for op, node in enumerate(graph.nodes):
        before = {producers[i] for i in node.reads}
        before.update(producers[graph.storage[i]] for i in node.writes)
        found.append(sorted(p for p in before if p is not None and p != op))
    return found


def find_successors(predecessors: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return, for each operation, those that have it among their ``predecessors``."""
    successors: list[list[int]] = [[] for _ in predecessors]
    for op, found in enumerate(predecessors):
        for before in found:
            successors[before].append(op)
    return successors


def own_output(graph: Graph, op: int) -> int | None:
    """Return the first output of an elementwise operation if it has storage of its own that counts."""
    node = graph.nodes[op]
    output = node.outputs[0] if node.is_elementwise and node.outputs else None
    if output is None or graph.storage[output] != output or graph.values[output].role is not Role.INTERMEDIATE:
        return None
    return output


def operand_storages(graph: Graph, op: int) -> list[int]:
    """Return the storages of an operation's inputs, in their order; what only its bodies read is not among them."""
    return [graph.storage[i] for i in graph.nodes[op].inputs if i is not None]
