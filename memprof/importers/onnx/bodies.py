"""If, Loop and Scan: their bodies are built as scopes, and their outputs typed from what the bodies write.

Where an If's condition is constant only the branch that runs is a body. What the other one reads of the graph around
has to be there all the same: a runtime that learns late which branch it takes keeps it until then.

A loop's carried value has the type it starts with if one pass over the body, given that type, returns it: then every
pass does, by induction. Where the pass returns another shape, the dimensions that differ are open and the body is
built again with what is left; each pass opens at least one more, and after a few all are opened at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from memprof.importers.onnx.constants import Constant
from memprof.importers.onnx.control_flow import (
    agree,
    fits_bodies,
    loop_body_inputs,
    loop_collected,
    scan_body_inputs,
    scan_outputs,
)
from memprof.importers.onnx.facts import UNKNOWN_FACT, Fact, FactTable
from memprof.importers.onnx.intervals import Intervals
from memprof.importers.onnx.library import GraphProto, NodeProto
from memprof.importers.onnx.limits import bodies
from memprof.importers.onnx.trips import Trips, count_trips
from memprof.importers.onnx.types import UNKNOWN_TYPE, TypeTable
from memprof.importers.onnx.unknowns import Causes
from memprof.ir import Graph, TensorType
from memprof.ir.types import MAX_DIM

if TYPE_CHECKING:
    import numpy as np

_MAX_LOOP_PASSES = 4
_MOST_TRIPS = 2**16  # a larger limit is there to be never reached
_BATCHLESS_SCAN = 9  # before this opset Scan had a batch dimension of its own and one more input


class Scope(Protocol):
    """A graph while it is being built, as its bodies see it; ``build`` has the real one."""

    @property
    def types(self) -> TypeTable:
        """The model's types."""

    @property
    def facts(self) -> FactTable:
        """The model's facts."""

    @property
    def opset(self) -> int:
        """Version of ONNX's own operations that the model imports, 0 if none."""

    @property
    def takes_largest(self) -> bool:
        """Whether what the data decide is taken at its largest."""

    @property
    def causes(self) -> Causes:
        """Why sizes in it are unknown."""

    @property
    def captured(self) -> Mapping[str, int]:
        """What it reads of the scope around: name to its id there."""

    @property
    def output_facts(self) -> list[Fact]:
        """What is known of the graph's outputs, once built."""

    @property
    def tainted_outputs(self) -> list[bool]:
        """Which of the graph's outputs suffer from something unknown, once built."""

    def fact(self, value_id: int) -> Fact:
        """Return what is known of a value."""

    def elements(self, value_id: int | None) -> np.ndarray[Any, Any] | None:
        """Return the elements of a small constant, ``None`` for anything else."""

    def is_tainted(self, value_id: int | None) -> bool:
        """Whether a value suffers from something unknown before it."""

    @property
    def intervals(self) -> Intervals:
        """Between which numbers elements lie that are not known."""

    def lookup(self, name: str) -> int | None:
        """Return the id of a name here, captured from the scopes around if it is theirs, else ``None``."""

    def body(self, graph: GraphProto, given: Sequence[TensorType] = (), tainted: Collection[int] = ()) -> Body:
        """Return a body of a node of this scope, built."""


@dataclass(frozen=True, slots=True)
class Body:
    """A body that was built.

    Attributes:
        scope: Where it was built: its captures, and what is known of its outputs.
        graph: The result.
    """

    scope: Scope
    graph: Graph

    @property
    def types(self) -> list[TensorType]:
        """Types of its outputs."""
        return [fact.type for fact in self.scope.output_facts]


@dataclass(frozen=True, slots=True)
class Bodies:
    """All bodies of a node and what follows for its outputs.

    Attributes:
        built: The bodies.
        facts: What is known of the node's outputs.
        trip_count: How often a Loop runs, ``None`` unless a constant alone decides.
        is_to_blame: Whether the node itself leaves outputs open: a loop whose values change their shape.
        at_most: Outputs that were taken at their largest: what a Loop collects that a condition may end early.
        read_elsewhere: Ids, in the scope around, of what bodies read there that do not run.
    """

    built: tuple[Body, ...] = ()
    facts: tuple[Fact, ...] = ()
    trip_count: int | None = None
    is_to_blame: bool = False
    at_most: range = range(0)
    read_elsewhere: frozenset[int] = frozenset()

    def decided(self, facts: Sequence[Fact]) -> dict[str, int]:
        """Return what the importer worked out, as an attribute of the node.

        Args:
            facts: What is known of the node's outputs; those at their largest are as long as the caller says.
        """
        lengths = [shape[0] for i in self.at_most if (shape := facts[i].type.shape)]
        trips = max((length for length in lengths if isinstance(length, int)), default=self.trip_count)
        return {} if trips is None else {"trip_count": trips}

    @property
    def graphs(self) -> tuple[Graph, ...]:
        """The built graphs."""
        return tuple(body.graph for body in self.built)

    @property
    def captures(self) -> tuple[int, ...]:
        """Ids, in the scope around, of what the bodies read there."""
        if not self.built:
            return ()
        read = {outer for body in self.built for outer in body.scope.captured.values()}
        return tuple(sorted(read | self.read_elsewhere))

    @property
    def has_tainted_output(self) -> bool:
        """Whether a body writes something that suffers from an unknown size in it."""
        return any(any(body.scope.tainted_outputs) for body in self.built)


def misfit_of_bodies(node: NodeProto, op: str, opset: int) -> str:
    """Return what is wrong between a node of control flow and its bodies, empty if nothing is."""
    if op not in _OWNERS or (op == "Scan" and opset < _BATCHLESS_SCAN) or fits_bodies(node, op, list(bodies(node))):
        return ""
    return "it and its body have other counts of inputs or outputs"


def build_bodies(scope: Scope, node: NodeProto, op: str, inputs: Sequence[int | None]) -> Bodies:
    """Return the bodies of ``node``, built, and the types they give to its outputs."""
    found = list(bodies(node))
    owner = _OWNERS.get(op)
    if not found and owner is None:
        return Bodies()
    if owner is None or (op == "Scan" and scope.opset < _BATCHLESS_SCAN):
        owner = _plain
    ran = owner(scope, node, found, inputs)
    facts = list(ran.facts[: len(node.output)]) or [scope.facts.of(of) for of in ran.types[: len(node.output)]]
    facts += [UNKNOWN_FACT] * (len(node.output) - len(facts))
    return Bodies(tuple(ran.bodies), tuple(facts), ran.trip_count, ran.is_to_blame, ran.at_most, ran.read_elsewhere)


@dataclass(frozen=True, slots=True)
class _Ran:
    """What one of the owners below found: bodies, types of the node's outputs, and as in ``Bodies``.

    Of the one branch that runs, all that is known of its outputs.
    """

    bodies: list[Body]
    types: list[TensorType]
    trip_count: int | None = None
    is_to_blame: bool = False
    facts: Sequence[Fact] = ()
    at_most: range = range(0)
    read_elsewhere: frozenset[int] = frozenset()


def _plain(scope: Scope, node: NodeProto, found: list[GraphProto], inputs: Sequence[int | None]) -> _Ran:
    return _Ran([scope.body(graph) for graph in found], [])


def _if(scope: Scope, node: NodeProto, found: list[GraphProto], inputs: Sequence[int | None]) -> _Ran:
    branches = {attribute.name: attribute.g for attribute in node.attribute if attribute.HasField("g")}
    condition = scope.elements(inputs[0]) if inputs else None
    if condition is not None and condition.size == 1:
        wanted = "then_branch" if bool(condition.reshape(-1)[0]) else "else_branch"
        left_out = [graph for name, graph in branches.items() if name != wanted]
        branches = {name: graph for name, graph in branches.items() if name == wanted}
    else:
        left_out = []
    read = {scope.lookup(name) for graph in left_out for name in _read_outside(graph)}
    built = [scope.body(graph) for graph in branches.values()]
    first, *others = [body.types for body in built] or [[]]
    for other in others:
        first = [agree(a, b, scope.types) for a, b in zip(first, other, strict=False)]
    return _Ran(
        built,
        first,
        facts=[_outside(fact) for fact in built[0].scope.output_facts] if len(built) == 1 else (),
        read_elsewhere=frozenset(value_id for value_id in read if value_id is not None),
    )


def _read_outside(graph: GraphProto) -> set[str]:
    """Return the names that a body, and the bodies in it, read of the scopes around; each node once."""
    written = {tensor.name for tensor in graph.initializer} | {info.name for info in graph.input}
    read = {info.name for info in graph.output}
    for node in graph.node:
        read.update(node.input)
        written.update(node.output)
        for body in bodies(node):
            read |= _read_outside(body)
    return read - written - {""}


def _outside(fact: Fact) -> Fact:
    """Return what is known of an output of the branch that runs, to those around it: more than onnxruntime knows."""
    constant = fact.constant
    if constant is None or constant.array is None:
        return replace(fact, constant=None)
    return replace(fact, constant=Constant(constant.array, is_computed=True, is_beyond=True))


def _loop(scope: Scope, node: NodeProto, found: list[GraphProto], inputs: Sequence[int | None]) -> _Ran:
    types, graph = scope.types, found[0]
    carried = start = [UNKNOWN_TYPE if i is None else scope.fact(i).type for i in inputs[2:]]
    if not scope.takes_largest:  # nor does onnxruntime: a carried value could change its shape
        carried = [types.of(of.dtype, None) for of in start]
    late = [i + 2 for i, value_id in enumerate(inputs[2:]) if scope.is_tainted(value_id)]
    for attempt in range(_MAX_LOOP_PASSES + 1):
        body = scope.body(graph, loop_body_inputs(carried, types), late)
        written = body.types[1 : 1 + len(carried)]
        agreed = [agree(a, b, types) for a, b in zip(carried, written, strict=False)]
        if agreed == carried[: len(agreed)]:
            break
        if attempt == _MAX_LOOP_PASSES - 1:
            agreed = [types.of(of.dtype, None) for of in agreed]
        carried = agreed
    trips, at_most = _trip_count(scope, inputs, body), range(0)
    if trips is None and scope.takes_largest:
        counted, limit = _counted_trips(scope, graph, inputs, body), _most_trips(scope, node)
        trips = None if counted is None else counted.count
        if counted is None or not counted.is_exact:
            most = [count for count in (trips, limit) if count is not None]
            at_most = range(len(carried), len(node.output) if most and any(node.output[len(carried) :]) else 0)
            trips = min(most) if at_most else None
    length = trips if scope.takes_largest else None  # onnxruntime knows it once the loop has run
    collected = [loop_collected(of, length, types) for of in body.types[1 + len(carried) :]]
    changes = any(a.size_bytes is not None and b.size_bytes is None for a, b in zip(start, carried, strict=False))
    return _Ran([body], carried + collected, trips, changes, at_most=at_most)


def _most_trips(scope: Scope, node: NodeProto) -> int | None:
    """Return how often a loop runs at most, ``None`` if nothing says so or it stands for "for ever"."""
    if not node.input or not node.input[0]:
        return None
    trips = scope.intervals.of(node.input[0]).high.max(initial=0)
    return int(trips) if trips <= _MOST_TRIPS else None


def _counted_trips(scope: Scope, graph: GraphProto, inputs: Sequence[int | None], body: Body) -> Trips | None:
    """Return how often a loop runs by the counting in its body, ``None`` if that does not say so."""
    inside = body.scope
    found = count_trips(
        graph, lambda name: inside.elements(inside.lookup(name)), [scope.elements(i) for i in inputs[2:]]
    )
    limit = scope.elements(inputs[0]) if inputs else None
    if found is None or found.count > _MOST_TRIPS:
        return None
    is_open = (bool(inputs) and inputs[0] is not None and limit is None) or (
        len(inputs) > 1 and inputs[1] is not None and scope.elements(inputs[1]) is None
    )
    most = found.count if limit is None or limit.size != 1 else min(found.count, max(0, int(limit.reshape(-1)[0])))
    return Trips(most, is_exact=found.is_exact and not is_open)


def _trip_count(scope: Scope, inputs: Sequence[int | None], body: Body) -> int | None:
    """Return how often a loop runs, ``None`` unless constants alone decide."""
    limit = scope.elements(inputs[0]) if inputs else None
    start = inputs[1] if len(inputs) > 1 else None
    first = scope.elements(start)
    if first is not None and not first.all():
        return 0
    if limit is None or limit.size != 1 or (start is not None and first is None):
        return None
    if limit.dtype.kind not in "iu":  # the model is at fault
        return None
    trips = max(0, int(limit.reshape(-1)[0]))
    return trips if trips <= MAX_DIM and _keeps_running(body) else None  # the largest integer stands for "for ever"


def _keeps_running(body: Body) -> bool:
    """Whether a Loop's body always goes on: it writes true, or hands the condition it got through."""
    if not body.graph.outputs:
        return False
    written = body.graph.outputs[0]
    condition = body.scope.elements(written)
    if condition is not None:
        return bool(condition.all())
    return len(body.graph.inputs) > 1 and body.graph.storage[written] == body.graph.inputs[1]


def _scan(scope: Scope, node: NodeProto, found: list[GraphProto], inputs: Sequence[int | None]) -> _Ran:
    facts = [None if i is None else scope.fact(i) for i in inputs]
    late = [i for i, value_id in enumerate(inputs) if scope.is_tainted(value_id)]
    body = scope.body(found[0], scan_body_inputs(node, facts, scope.types), late)
    return _Ran([body], scan_outputs(node, facts, body.types, scope.types))


_OWNERS: Mapping[str, Callable[[Scope, NodeProto, list[GraphProto], Sequence[int | None]], _Ran]] = MappingProxyType(
    {"If": _if, "Loop": _loop, "Scan": _scan}
)
"""How each operation of control flow hands types in and gets them back; any other states them in its bodies."""
