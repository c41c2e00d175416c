"""What a list of runs means: a graph in which an operation that runs again is a node of its own.

    graph      a -> b -> c -> d(c, a)         runs (a, b, c, a, d): a is not held while b and c run
    unrolled   a, b(a), c(b), a', d(c, a')

A run reads the latest copy of each value, and so does whoever gets a graph output.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from memprof.ir import Graph, Node, Value
from memprof.ir.model import Model, Once


def unroll(graph: Graph, runs: Sequence[int]) -> Graph:
    """Return ``graph`` as it runs in ``runs``: one node per run, in that order.

    Args:
        graph: Any graph.
        runs: Ids of its nodes, each at least once, after those that write what it reads.

    Returns:
        A graph in which a node's first run keeps the names of node and values; later runs have new ones.
    """
    values = [value for value in graph.values if value.producer is None]
    latest = [-1] * len(graph.values)
    for new_id, value_id in enumerate(i for i, value in enumerate(graph.values) if value.producer is None):
        latest[value_id] = new_id
    names = {value.name for value in graph.values}
    node_names = {node.name for node in graph.nodes}
    nodes: list[Node] = []
    has_run = set[int]()
    for node_id in runs:
        node = graph.nodes[node_id]
        is_again = node_id in has_run
        has_run.add(node_id)
        inputs = tuple(None if i is None else latest[i] for i in node.inputs)
        captures = tuple(latest[i] for i in node.captures)
        for value_id in node.writes:
            value = graph.values[value_id]
            base = None if value.view_of is None else latest[value.view_of]
            name = free_name(value.name, names) if is_again else value.name
            values.append(_copy_value(value, name, len(nodes), base))
            latest[value_id] = len(values) - 1
        outputs = tuple(None if i is None else latest[i] for i in node.outputs)
        name = free_name(node.name, node_names) if is_again else node.name
        nodes.append(_copy_node(node, name, inputs, outputs, captures))
    return Graph(
        name=graph.name,
        values=tuple(values),
        nodes=tuple(nodes),
        inputs=tuple(latest[i] for i in graph.inputs),
        outputs=tuple(latest[i] for i in graph.outputs),
        unknown=graph.unknown,
        assumed=graph.assumed,
        opset=graph.opset,
    )


def unroll_model(model: Model, runs: Sequence[int]) -> Model:
    """Return ``model`` as its graph runs in ``runs``: what runtime models read."""
    known = model.ahead
    ahead = None if known is None else Once(lambda: unroll(known(), runs))
    return replace(model, graph=unroll(model.graph, runs), ahead=ahead, folded=ahead, trace=None, session=None)


def second_runs(runs: Sequence[int]) -> list[int]:
    """Return the nodes that have run before, in the order in which they run again.

    >>> second_runs([0, 1, 2, 0, 3, 1])
    [0, 1]
    """
    seen = set[int]()
    again = []
    for node in runs:
        if node in seen:
            again.append(node)
        seen.add(node)
    return again


def free_name(name: str, taken: set[str]) -> str:
    """Return a name that is not taken for another copy of what is called ``name``, and take it."""
    found = next(wish for wish in _wishes(name) if wish not in taken)
    taken.add(found)
    return found


def _wishes(name: str) -> Iterator[str]:
    copy = 2
    while True:
        yield f"{name}#{copy}"
        copy += 1


def _copy_value(value: Value, name: str, producer: int, base: int | None) -> Value:
    return Value(name=name, type=value.type, role=value.role, producer=producer, view_of=base, module=value.module)


def _copy_node(
    node: Node,
    name: str,
    inputs: tuple[int | None, ...],
    outputs: tuple[int | None, ...],
    captures: tuple[int, ...],
) -> Node:
    return Node(
        name=name,
        op=node.op,
        inputs=inputs,
        outputs=outputs,
        captures=captures,
        bodies=node.bodies,
        is_elementwise=node.is_elementwise,
        attributes=node.attributes,
        module=node.module,
        version=node.version,
        definition=node.definition,
        is_malformed=node.is_malformed,
    )
