"""From a graph to the ordering problems it poses. They differ in what may share storage:

    reference      views only: the peak of every order equals that of the runtime model ``reference``
    contracted     and an elementwise operation writes over an input of equal bytes if *in every order* it is the last
                   to touch that input's storage: the two storages are one from the start
    ideal_floor    no order's peak is above its peak under the runtime model ``ideal``: an elementwise operation takes
                   the place of an input of equal bytes without asking whether it is dead by then
    runtime_floor  no order's peak is above what a runtime needs that shares storage between views, and between an
                   operation's outputs and inputs of equal bytes, and leaves the caller's inputs out (onnxruntime)

The two floors are relaxations for runtime models whose reuse depends on the order: their optimum is a lower bound.
Why: what is alive between two steps is the same with and without in-place reuse, which only makes an operation's own
step cheaper, by the bytes of the input it writes over; a floor grants it in every order, as negative scratch.

Parameters and constants are free here, as in the runtime models. Bytes that are not known count nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from memprof.analysis.dependencies import (
    find_predecessors,
    find_touchers,
    operand_storages,
    own_output,
    storage_sizes,
)
from memprof.ir import Graph, Role
from memprof.planning.ordering.problem import FROM_START, OrderProblem
from memprof.runtimes.contracted import contracted_storage
from memprof.runtimes.ideal import ideal_lifetimes
from memprof.runtimes.onnxruntime.lowering import lower
from memprof.runtimes.reference import reference_lifetimes

_WITH_INPUTS = frozenset({Role.INPUT, Role.INTERMEDIATE})
_WITHOUT_INPUTS = frozenset({Role.INTERMEDIATE})


def reference_problem(graph: Graph) -> OrderProblem:
    """Return the problem whose cost is the peak of ``memprof.runtimes.reference.reference_lifetimes``."""
    scratch = _body_bytes(graph, lambda body: reference_lifetimes(body).timeline.peak_bytes)
    return _problem(graph, storage_sizes(graph, _WITH_INPUTS), graph.storage, scratch)


def contracted_problem(graph: Graph) -> OrderProblem:
    """Return the problem in which elementwise operations are in place wherever that is safe in every order.

    No order's peak is below its peak under ``ideal``, which also sees the reuse that depends on the order.
    """
    roots = contracted_storage(graph)
    sizes = storage_sizes(graph, _WITH_INPUTS)
    own = {root: size for root, size in sizes.items() if roots[root] == root}
    return _problem(graph, own, roots, _body_bytes(graph, _contracted_peak))


def ideal_floor_problem(graph: Graph) -> OrderProblem:
    """Return the relaxation of the runtime model ``ideal``; see the table of this module."""
    scratch = _body_bytes(graph, lambda body: ideal_lifetimes(body).timeline.peak_bytes)
    sizes = storage_sizes(graph, _WITH_INPUTS)
    kept = {graph.storage[i] for i in graph.outputs}
    for op in range(len(graph.nodes)):
        output = own_output(graph, op)
        if output is None:
            continue
        operands = set(operand_storages(graph, op)) - kept
        if any(graph.values[i].role is Role.INTERMEDIATE and sizes[i] == sizes[output] for i in operands):
            scratch[op] -= sizes[output]
    return _problem(graph, sizes, graph.storage, scratch)


def runtime_floor_problem(graph: Graph) -> OrderProblem:
    """Return a relaxation that holds for any runtime that the table of this module describes."""
    sizes = storage_sizes(graph, _WITHOUT_INPUTS)
    alike = Counter(sizes.values())
    kept = {graph.storage[i] for i in graph.outputs}
    scratch = [0] * len(graph.nodes)
    for op, node in enumerate(graph.nodes):
        operands = {sizes[root] for i in node.reads if (root := graph.storage[i]) in sizes}
        written = {graph.storage[i] for i in node.writes if graph.storage[i] == i and i in sizes}
        # What nobody reads may take a buffer that is held for it and counted no longer.
        unread = {i for i in written if not graph.consumers[i] and i not in kept and alike[sizes[i]] > 1}
        scratch[op] = -sum(sizes[i] for i in written if sizes[i] in operands or i in unread)
    return _problem(graph, sizes, graph.storage, scratch)


def onnxruntime_floor_problem(graph: Graph) -> OrderProblem:
    """Return the relaxation of the runtime model ``onnxruntime``: the floor of the graph that it makes of ``graph``.

    Where an operation runs as its definition, what it reads may be gone before what it writes is there, and other
    operations may run between its parts; so the bound is one over all orders of all parts. How the operations are
    listed decides the order of the parts, and nothing else about them.
    """
    return runtime_floor_problem(lower(graph).graph)


def _problem(graph: Graph, sizes: Mapping[int, int], roots: Sequence[int], scratch: Sequence[int]) -> OrderProblem:
    """Return the problem in which value i lives in storage ``roots[i]`` and the keys of ``sizes`` count."""
    touchers = find_touchers(graph, sizes, roots)
    kept = {roots[i] for i in graph.outputs}
    # A storage that nothing touches and nobody keeps is an input that nobody reads.
    counted = [root for root in sizes if touchers[root] or root in kept]
    touches: list[list[int]] = [[] for _ in graph.nodes]
    for storage, root in enumerate(counted):
        for op in touchers[root]:
            touches[op].append(storage)
    producers = [graph.values[root].producer for root in counted]
    return OrderProblem(
        predecessors=tuple(map(tuple, find_predecessors(graph))),
        touches=tuple(map(tuple, touches)),
        storage_bytes=tuple(sizes[root] for root in counted),
        births=tuple(FROM_START if producer is None else producer for producer in producers),
        is_kept=tuple(root in kept for root in counted),
        scratch_bytes=tuple(scratch),
        first_step_bytes=sum(size for root, size in sizes.items() if not (touchers[root] or root in kept)),
    )


def _body_bytes(graph: Graph, peak_bytes: Callable[[Graph], int]) -> list[int]:
    """Return what the bodies of each operation need: one runs at a time, so the highest of their peaks."""
    return [max(map(peak_bytes, node.bodies), default=0) for node in graph.nodes]


def _contracted_peak(body: Graph) -> int:
    return contracted_problem(body).peak_bytes(range(len(body.nodes)))
