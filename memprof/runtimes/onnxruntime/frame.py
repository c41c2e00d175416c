"""One graph or body as onnxruntime runs it: its order, its plan, and what is alive at each step.

The same for the main graph and for bodies; what a node's bodies take counts as scratch of the step that runs them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import accumulate
from operator import add

from memprof.analysis import Buffer, Schedule
from memprof.base.text import safe_text
from memprof.ir import Graph, Node, Role, TensorType, Unknown
from memprof.runtimes.onnxruntime.arranging import NOBODY, Arrangement, Owner, never_run, own_order
from memprof.runtimes.onnxruntime.control_flow import BodiesUse, bodies_use
from memprof.runtimes.onnxruntime.pattern import pattern_bytes
from memprof.runtimes.onnxruntime.plan import NEVER_SHARED, Planning, ReusePlan, plan_buffers
from memprof.runtimes.onnxruntime.scratch import early_by_step, scratch_by_step
from memprof.runtimes.onnxruntime.tables import PREPACKED, UNTYPED

_MAX_UNKNOWN = 1000


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A graph as it runs.

    Attributes:
        source: The graph.
        graph: What runs, see ``lowering``.
        plan: Who lives where.
        scratch: By step the bytes that a kernel takes while it runs; ``None`` where they are not known.
        early: By step the bytes that a kernel takes before its output, where that may exist already.
        bodies: By step the bodies of the node that runs, for nodes that have some.
        open_outputs: Ids of graph outputs whose size onnxruntime does not know before it runs.
        has_pattern: Whether later passes take all buffers as one block.
        planning: From an order of its nodes to a plan of which nothing is decided yet.
        is_alone: Whether its plan follows from the graph alone, so that other frames of it share that.
    """

    source: Graph
    graph: Graph
    plan: ReusePlan
    scratch: tuple[int | None, ...]
    early: Mapping[int, int]
    bodies: Mapping[int, tuple[Frame, ...]]
    open_outputs: frozenset[int]
    has_pattern: bool
    planning: Callable[[Sequence[int]], Planning]
    is_alone: bool = False

    @cached_property
    def without_scratch(self) -> Frame:
        """The same if kernels took no scratch."""
        bare = {step: tuple(body.without_scratch for body in bodies) for step, bodies in self.bodies.items()}
        return replace(self, scratch=(0,) * len(self.scratch), early={}, bodies=bare)

    @cached_property
    def uses(self) -> tuple[BodiesUse | None, ...]:
        """By step what runs there takes beyond what it writes, ``None`` where it is not known."""
        known = {size: None if size is None else BodiesUse(size) for size in {*self.scratch}}
        found = [known[size] for size in self.scratch]
        for step, bodies in self.bodies.items():
            found[step] = bodies_use(self.graph, self.graph.nodes[self.plan.order[step]], bodies)
        return tuple(found)

    @cached_property
    def later_uses(self) -> tuple[BodiesUse | None, ...]:
        """The same from the second pass on: the branches of an If take their buffers as one block too."""
        found = list(self.uses)
        for step, size in self.early.items():
            if (use := found[step]) is not None:
                found[step] = BodiesUse(max(use.beside_bytes, size))
        for step, bodies in self.bodies.items():
            node = self.graph.nodes[self.plan.order[step]]
            if node.op == "If" and found[step] is not None:
                found[step] = BodiesUse(max(body.later_branch_bytes for body in bodies))
            elif found[step] is not None:
                found[step] = bodies_use(self.graph, node, bodies, has_run=True)
        return tuple(found)

    @property
    def later_branch_bytes(self) -> int:
        """What this body takes as a branch that has run before, beyond what it writes."""
        most = max(self.later_pass(self.open_outputs), default=0)
        return max(0, most - self.output_bytes(self.open_outputs))

    @cached_property
    def is_complete(self) -> bool:
        """Whether all sizes are known."""
        sizes = self.graph.value_bytes
        is_known = None not in (self.uses if self.bodies else self.scratch)
        return is_known and None not in [sizes[i] for i in self.plan.owned]

    @cached_property
    def unknown(self) -> tuple[Unknown, ...]:
        """Nodes of which one cannot say what they take, although all that they read and write is known."""
        if self.is_complete:
            return ()
        found = [unknown for frames in self.bodies.values() for frame in frames for unknown in frame.unknown]
        sizes, nodes = self.graph.value_bytes, self.graph.nodes
        for step, use in enumerate(self.uses):
            node = nodes[self.plan.order[step]]
            if use is not None or node.is_malformed or len(found) >= _MAX_UNKNOWN:
                continue
            is_known = all(sizes[i] is not None for i in (*node.reads, *node.writes))
            if is_known and all(frame.is_complete for frame in self.bodies.get(step, ())):
                reason = f"what onnxruntime takes while it runs this {node.op} does not follow from what it reads"
                hint = "see whether onnxruntime runs it: memprof verify"
                found.append(
                    Unknown(kind="node", name=safe_text(node.name), reason=safe_text(reason, 500), hint=hint)
                )
        return tuple(found + self._open_inside())

    def _open_inside(self) -> list[Unknown]:
        """Return the nodes that run as others, which write what is not in the file and has no known size."""
        names = {value.name for value in self.source.values}
        values = [self.graph.values[i] for i in self.plan.owned if self.graph.value_bytes[i] is None]
        return [
            Unknown(
                kind="shape",
                name=safe_text(value.name),
                reason="onnxruntime writes it on the way to what the file names, and its size does not follow",
                hint="see whether onnxruntime runs it: memprof verify",
            )
            for value in values[:_MAX_UNKNOWN]
            if value.name not in names
        ]

    @cached_property
    def buffers(self) -> tuple[Buffer, ...]:
        """Every buffer of its own with all that lives in it."""
        return self.graph.derived(_own_buffers) if self.is_alone else plan_buffers(self.graph, self.plan)

    @cached_property
    def schedule(self) -> Schedule:
        """The order in which it runs."""
        return self.graph.derived(_own_schedule) if self.is_alone else Schedule.sequential(self.plan.order)

    @cached_property
    def outputs(self) -> frozenset[int]:
        """Ids of the graph outputs that have a buffer of their own."""
        return frozenset(self.graph.outputs).intersection(self.plan.owned)

    @cached_property
    def apart(self) -> frozenset[int]:
        """Ids of values with buffers of their own that are no part of the block of later passes."""
        if not any(of in NEVER_SHARED for of in {of.dtype for of in self.graph.types}):
            return self.outputs
        types = self.graph.types
        return self.outputs.union([i for i in self.plan.owned if types[i].dtype in NEVER_SHARED])

    @cached_property
    def reserved(self) -> tuple[int, ...]:
        """By step the bytes beyond all buffers, those that the step writes included."""
        if not self.bodies:
            return tuple([size or 0 for size in self.scratch])
        return tuple(self._beyond(self.uses, frozenset(self.plan.owned)))

    @cached_property
    def pattern_bytes(self) -> int:
        """Bytes of the block that later passes take at once."""
        return pattern_bytes(self.plan, self.graph.value_bytes, self.apart)

    def first_pass(self, written: Collection[int]) -> list[int]:
        """Return by step the bytes of a first pass; of the graph outputs only ``written`` count."""
        counted = frozenset(self.plan.owned) - self.outputs.difference(written)
        beyond = self._beyond(self.uses, counted) if self.bodies else self.reserved
        return list(map(add, self._alive(counted), beyond))

    def later_pass(self, written: Collection[int]) -> list[int]:
        """Return by step the bytes of any further pass; of the graph outputs only ``written`` count."""
        block = self.pattern_bytes if self.has_pattern else 0
        apart = self.apart if self.has_pattern else frozenset(self.plan.owned)
        counted = apart - self.outputs.difference(written)
        return [
            block + a + b for a, b in zip(self._alive(counted), self._beyond(self.later_uses, counted), strict=True)
        ]

    def output_bytes(self, value_ids: Collection[int]) -> int:
        """Return the bytes that graph outputs take; one that shares what others own takes none."""
        return sum(self.graph.value_bytes[i] or 0 for i in self.outputs.intersection(value_ids))

    def _alive(self, value_ids: Collection[int]) -> list[int]:
        change = [0] * (max(1, len(self.uses)) + 1)
        for value_id in value_ids:
            size = self.graph.value_bytes[value_id] or 0
            change[self.plan.start[value_id]] += size
            change[self.plan.stop[value_id]] -= size
        return list(accumulate(change))[: len(self.uses)]

    def _beyond(self, uses: Sequence[BodiesUse | None], counted: frozenset[int]) -> list[int]:
        """Return by step the bytes that what runs there takes beyond the values that are ``counted``."""
        found = most_bytes(uses)
        for step, use in enumerate(uses) if self.bodies else ():
            if use is not None and use.before_bytes:
                late_bytes = sum(self.graph.value_bytes[i] or 0 for i in counted & use.late)
                found[step] = max(use.beside_bytes, use.before_bytes - late_bytes)
        return found


def most_bytes(uses: Sequence[BodiesUse | None]) -> list[int]:
    """Return by step the most that what runs there takes beyond what it writes, 0 where that is not known."""
    known = dict(zip(map(id, uses), uses, strict=True))  # few: steps that take the same share one
    found = {key: 0 if use is None else use.most_bytes for key, use in known.items()}
    return list(map(found.__getitem__, map(id, uses)))


def run_frame(
    graph: Graph, ahead: Graph | None, arrange: Arrangement, owner: Owner = NOBODY, threads: int = 1
) -> Frame:
    """Return ``graph`` as onnxruntime runs it.

    Args:
        graph: The graph or body.
        ahead: The same with no more known than onnxruntime plans with, ``None`` if nothing differs.
        arrange: What runs of a graph, and in which order.
        owner: Whose body it is.
        threads: Threads that kernels may use.
    """
    arranged = arrange(graph, ahead, owner)
    ran, planned, order = arranged.graph, arranged.planned, arranged.order
    if len(planned.values) != len(ran.values):  # a condition that is constant only with the bindings
        planned = ran
    types = _types_ahead(planned)
    constants = owner.constants | _own_constants(ran)
    dropped = _dropped_constants(ran)
    bodies: dict[int, tuple[Frame, ...]] = {}
    for step, node_id in enumerate(order) if ran.bodies else ():
        node = ran.nodes[node_id]
        if node.bodies:
            inner = Owner(op=node.op, constants=constants, dropped=dropped)
            known = _matching_bodies(node.bodies, planned.nodes[node_id].bodies)
            pairs = zip(node.bodies, known, strict=True)
            bodies[step] = tuple(run_frame(body, other, arrange, inner, threads) for body, other in pairs)
    shared = _shared_outputs(ran) if owner.op == "Loop" else frozenset[int]()
    foreign = _foreign(ran)
    copied = () if owner.op else _constant_outputs(ran, foreign)
    planning = partial(Planning, ran, types=types, foreign=foreign, shared=shared, copied=copied)
    is_alone = arranged.is_own and planned is ran and owner is NOBODY
    return Frame(
        source=graph,
        graph=ran,
        plan=ran.derived(_own_plan) if is_alone else planning(order).whole(order),
        scratch=ran.derived(_own_scratch) if is_alone and threads == 1 else scratch_by_step(ran, order, threads),
        early=early_by_step(ran, order),
        bodies=bodies,
        open_outputs=frozenset([i for i in ran.outputs if types[i].size_bytes is None]),
        has_pattern=owner.dropped.isdisjoint(_captured(ran)),
        planning=planning,
        is_alone=is_alone,
    )


def _matching_bodies(bodies: Sequence[Graph], known: Sequence[Graph]) -> list[Graph | None]:
    """Return, for each body, the one of ``known`` that writes the same values: fewer of them may be left to run."""
    by_outputs = {_output_names(body): body for body in known}
    return [by_outputs.get(_output_names(body)) for body in bodies]


def _output_names(body: Graph) -> tuple[str, ...]:
    return tuple(body.values[i].name for i in body.outputs)


def _own_plan(graph: Graph) -> ReusePlan:
    """Return the plan of a graph that is nobody's body, of which all is known before it runs, in its own order."""
    order = graph.derived(own_order)
    foreign = _foreign(graph)
    copied = _constant_outputs(graph, foreign)
    return Planning(graph, order, types=_types_ahead(graph), foreign=foreign, copied=copied).whole(order)


def _own_scratch(graph: Graph) -> tuple[int | None, ...]:
    return scratch_by_step(graph, graph.derived(own_order))


def _constant_outputs(graph: Graph, foreign: frozenset[int]) -> tuple[int, ...]:
    """Return the ids of the graph outputs that are initialisers, each once."""
    outputs = dict.fromkeys(graph.outputs)
    return tuple([i for i in outputs if i in foreign or graph.values[i].role is Role.PARAMETER])


def _own_buffers(graph: Graph) -> tuple[Buffer, ...]:
    return plan_buffers(graph, graph.derived(_own_plan))


def _own_schedule(graph: Graph) -> Schedule:
    return Schedule.sequential(graph.derived(_own_plan).order)


def _foreign(graph: Graph) -> frozenset[int]:
    """Return the ids of the values that are written by nodes that do not run."""
    return frozenset([value_id for i in never_run(graph) for value_id in graph.nodes[i].writes])


def _own_constants(graph: Graph) -> frozenset[str]:
    """Return the names of initialisers that bodies may read, none if there are no bodies."""
    if not graph.bodies:
        return frozenset()
    foreign = _foreign(graph)
    return frozenset(
        value.name for i, value in enumerate(graph.values) if value.role is Role.PARAMETER or i in foreign
    )


def _types_ahead(graph: Graph) -> list[TensorType]:
    """Return what onnxruntime knows of each value when it plans."""
    types = list(graph.types)
    for node in graph.nodes if not graph.ops.isdisjoint(UNTYPED) else ():
        if node.op in UNTYPED and graph.opset is not None:
            position, version = UNTYPED[node.op]
            value_id = node.outputs[position] if position < len(node.outputs) else None
            if graph.opset < version and value_id is not None:
                types[value_id] = _UNKNOWN
    return types


_UNKNOWN = TensorType(None, None)


def _captured(graph: Graph) -> list[str]:
    return [value.name for value in graph.values if value.role is Role.CAPTURE]


def _dropped_constants(graph: Graph) -> frozenset[str]:
    """Return the names of initialisers that bodies read and that are dropped once kernels have packed them.

    All that read them must be kernels that do, in the graph or right in a body: what a body of a body reads stays.
    """
    constants = _own_constants(graph)
    packed, kept = set[str](), set[str]()
    for node in graph.nodes if constants else ():
        _sort_reads(graph, node, packed, kept)
        for body in node.bodies:
            for inner in body.nodes:
                _sort_reads(body, inner, packed, kept)
                kept.update(body.values[i].name for i in inner.captures)
            kept.update(body.values[i].name for i in body.outputs)
    return constants & (packed - kept)


def _sort_reads(graph: Graph, node: Node, packed: set[str], kept: set[str]) -> None:
    positions = PREPACKED.get(node.op, ())
    for position, value_id in enumerate(node.inputs):
        if value_id is not None:
            (packed if position in positions else kept).add(graph.values[value_id].name)


def _shared_outputs(graph: Graph) -> frozenset[int]:
    """Return the outputs of a Loop's body that an Identity hands on from outside, the iteration number excepted."""
    outputs = set(graph.outputs)
    found = set()
    for node in graph.nodes:
        if node.op == "Identity" and not node.is_malformed and (output := node.outputs[0]) in outputs:
            source = node.inputs[0]
            is_outside = source is not None and graph.values[source].role in (Role.INPUT, Role.CAPTURE)
            if is_outside and source != graph.inputs[0]:
                found.add(output)
    return frozenset(found)
