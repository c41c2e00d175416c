"""A torch.export program, or a GraphModule, with its calls in another order: the same nodes, weights and answers.

    wish     where each call shall stand: the step at which the planned order has run all it stands for
    rules    what must stay before what, whatever is wished
    result   the order that keeps the rules and always takes the call with the lowest wish next

    rule                                                            because
    what a call reads comes before it                               data
    a call that changes a tensor in place stays behind all that     a Graph shows in-place operations as functional
      touched its storage before, and before all that touch it        ones; the program really overwrites
      after
    random calls, and those that are run for an effect, keep        the generator's state and the effects are shared
      their order among themselves

Two tensors may share a storage if export gave them one, if the schema of the call says so, or if the call is one that
may return what it reads (reshape, contiguous, to, dropout). Control flow whose bodies change something is taken to
change all it is given, and so are calls without a schema. Weights are shared with the original, not copied.
O(nodes + storages touched).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import Any

import torch
from torch.fx import GraphModule, Node

from memprof.errors import UsageError
from memprof.importers.torch.export import operations_by_call
from memprof.importers.torch.ops import MAYBE_VIEWS, VIEWS
from memprof.ir import Graph

_PLACED = frozenset({"placeholder", "get_attr", "output"})
"""Kinds of node that are no calls: they keep their places."""


_WINDOWS = VIEWS | MAYBE_VIEWS
_RANDOM = torch.Tag.nondeterministic_seeded


def reorder_program(
    program: torch.export.ExportedProgram, graph: Graph, order: Sequence[int]
) -> tuple[torch.export.ExportedProgram, list[int]]:
    """Return ``program`` with its calls as close to ``order`` as is right, and the order of ``graph`` that this is.

    Args:
        program: An exported program; it is not changed.
        graph: The Graph made from it.
        order: Ids of the graph's nodes in running order.

    Raises:
        UsageError: ``graph`` was not made from ``program``, or ``order`` is none of its orders.
    """
    counts = operations_by_call(program)
    if sum(counts.values()) != len(graph.nodes) or sorted(order) != list(range(len(graph.nodes))):
        raise UsageError("The order was not made for this program.", "Load the program and plan it again.")
    groups: dict[str, list[int]] = {}
    start = 0
    for name, count in counts.items():
        groups[name] = list(range(start, start + count))
        start += count
    step_of = {node_id: step for step, node_id in enumerate(order)}
    wishes = {name: max(step_of[i] for i in group) for name, group in groups.items() if group}
    module = reorder_module(program.graph_module, wishes)
    reordered = torch.export.ExportedProgram(
        root=module,
        graph=module.graph,
        graph_signature=program.graph_signature,
        state_dict=program.state_dict,
        range_constraints=program.range_constraints,
        module_call_graph=program.module_call_graph,
        example_inputs=program.example_inputs,
        constants=program.constants,
        verifiers=program.verifiers,
    )
    return reordered, [i for node in module.graph.nodes for i in groups.get(node.name, ())]


def reorder_module(module: GraphModule, wishes: Mapping[str, int]) -> GraphModule:
    """Return ``module`` with the calls of its graph sorted by wish, as far as is right.

    Args:
        module: Any GraphModule; it is not changed, and shares its submodules and weights with the result.
        wishes: Node name -> where it shall stand, lowest first. A call without a wish follows what it reads.
    """
    graph = copy.deepcopy(module.graph)
    calls = [node for node in graph.nodes if node.op not in _PLACED]
    output = next(node for node in graph.nodes if node.op == "output")
    for node in _closest_order(calls, wishes, module):
        output.prepend(node)
    graph.lint()
    result = GraphModule(module, graph, class_name=type(module).__name__)
    result.meta.update(module.meta)
    return result


def _closest_order(calls: Sequence[Node], wishes: Mapping[str, int], module: GraphModule) -> list[Node]:
    """Return ``calls`` in the order that keeps the rules and takes the lowest wish first."""
    index = {node: i for i, node in enumerate(calls)}
    waits_for = [{index[other] for other in node.all_input_nodes if other in index} for node in calls]
    for earlier, later in _hazards(calls, module):
        waits_for[index[later]].add(index[earlier])
    wanted: list[int] = []
    for node, found in zip(calls, waits_for, strict=True):
        wanted.append(wishes.get(node.name, max((wanted[i] for i in found), default=-1)))
    readers: list[list[int]] = [[] for _ in calls]
    for i, found in enumerate(waits_for):
        for other in found:
            readers[other].append(i)
    left = [len(found) for found in waits_for]
    heap = [(wanted[i], i) for i, count in enumerate(left) if not count]
    heapify(heap)
    order = []
    while heap:
        _, i = heappop(heap)
        order.append(calls[i])
        for other in readers[i]:
            left[other] -= 1
            if not left[other]:
                heappush(heap, (wanted[other], other))
    return order


def _hazards(calls: Sequence[Node], module: GraphModule) -> Iterator[tuple[Node, Node]]:
    """Yield pairs of calls whose order must stay although no data flows between them."""
    changed_by = {node: _changed_arguments(node, module) for node in calls}
    storages = _Storages(calls, changed_by)
    last_change: dict[int, Node] = {}
    touched_since: dict[int, list[Node]] = {}
    last_effect: Node | None = None
    for node in calls:
        if _has_effect(node, changed_by[node], module):
            if last_effect is not None:
                yield last_effect, node
            last_effect = node
        changed = storages.changed_by(node)
        for storage in storages.touched_by(node):
            if storage in last_change and last_change[storage] is not node:
                yield last_change[storage], node
            if storage in changed:
                for earlier in touched_since.pop(storage, ()):
                    yield earlier, node
                last_change[storage] = node
            touched_since.setdefault(storage, []).append(node)


class _Storages:
    """Which tensors may share memory, as classes of nodes; only classes that some call changes matter."""

    def __init__(self, calls: Sequence[Node], changed_by: Mapping[Node, Sequence[Node]]) -> None:
        self._parent: dict[int, int] = {}
        self._number: dict[Node, int] = {}
        self._by_address: dict[int, int] = {}
        for node in calls:
            for other in (*node.all_input_nodes, node):
                self._enter(other)
            if _may_alias(node):
                for other in node.all_input_nodes:
                    self._join(self._number[node], self._number[other])
        self._changed_by = changed_by
        self._changed = {storage for node in calls for storage in self.changed_by(node)}

    def touched_by(self, node: Node) -> set[int]:
        """Return the changed storages that ``node`` reads or writes."""
        found = {self._root(self._number[other]) for other in (*node.all_input_nodes, node)}
        return found & self._changed

    def changed_by(self, node: Node) -> set[int]:
        """Return the storages that ``node`` changes in place."""
        return {self._root(self._number[other]) for other in self._changed_by[node]}

    def _enter(self, node: Node) -> None:
        if node in self._number:
            return
        number = self._number[node] = self._parent.setdefault(len(self._parent), len(self._parent))
        for tensor in torch.utils._pytree.tree_leaves(node.meta.get("val")):
            if isinstance(tensor, torch.Tensor):
                address = tensor.untyped_storage()._cdata
                self._join(number, self._by_address.setdefault(address, number))

    def _root(self, number: int) -> int:
        while self._parent[number] != number:
            self._parent[number] = self._parent[self._parent[number]]
            number = self._parent[number]
        return number

    def _join(self, a: int, b: int) -> None:
        self._parent[self._root(a)] = self._root(b)


def _schema(node: Node) -> Any:
    return getattr(node.target, "_schema", None)


def _may_alias(node: Node) -> bool:
    """Whether the result of a call may share memory with what it reads, should its tensors not tell."""
    schema = _schema(node)
    if schema is None:
        return True  # getitem, control flow, modules and functions that say nothing of themselves
    name = str(schema.name).replace("::", ".")
    return name in _WINDOWS or any(found.alias_info is not None for found in schema.returns)


def _changed_arguments(node: Node, module: GraphModule) -> list[Node]:
    """Return the nodes whose tensors a call changes in place."""
    schema = _schema(node)
    if schema is None:
        bodies = _bodies(node, module)
        is_harmless = _is_arithmetic(node) or (bodies and all(map(_changes_nothing, bodies)))
        return [] if is_harmless else list(node.all_input_nodes)
    given: dict[str, Any] = dict(zip([a.name for a in schema.arguments], node.args, strict=False)) | dict(node.kwargs)
    written = [a.name for a in schema.arguments if a.alias_info is not None and a.alias_info.is_write]
    values = torch.utils._pytree.tree_leaves([given.get(name) for name in written])
    return [value for value in values if isinstance(value, Node)]


def _bodies(node: Node, module: GraphModule) -> list[GraphModule]:
    held = [getattr(module, str(other.target), None) for other in node.all_input_nodes if other.op == "get_attr"]
    return [body for body in held if isinstance(body, GraphModule)]


def _calls_inside(body: GraphModule) -> list[Node]:
    graphs = [module.graph for module in body.modules() if isinstance(module, GraphModule)]
    return [node for graph in graphs for node in graph.nodes if node.op not in _PLACED]


def _is_arithmetic(node: Node) -> bool:
    """Whether a call is ``getitem`` or one on plain numbers."""
    return node.op == "call_function" and getattr(node.target, "__module__", "") in ("_operator", "math")


def _changes_nothing(body: GraphModule) -> bool:
    """Whether no call in a body, or in the bodies in it, changes a tensor in place."""
    for node in _calls_inside(body):
        schema = _schema(node)
        is_nested = isinstance(node.target, torch._ops.HigherOrderOperator)  # its bodies are among the modules
        if schema is None and not is_nested and not _is_arithmetic(node):
            return False
        if schema is not None and any(a.alias_info is not None and a.alias_info.is_write for a in schema.arguments):
            return False
    return True


def _has_effect(node: Node, changed: Sequence[Node], module: GraphModule) -> bool:
    """Whether a call does more than compute: draws random numbers, checks, prints."""
    inside = [other for body in _bodies(node, module) for other in _calls_inside(body)]
    is_random = any(_RANDOM in getattr(other.target, "tags", ()) for other in (node, *inside))
    return is_random or not (node.users or changed)
