"""The graph that every part of memprof reads: flat, frozen records in execution order.

Values and nodes are tuples; a value or node *id* is its index there. Names serve people only. Everything
that depends on a whole graph (who reads what) is derived once and cached. Importers come in through
``GraphBuilder`` alone, which checks what this file takes for granted: node order is topological, and every id exists.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from memprof.base.text import safe_text
from memprof.ir.program import Program
from memprof.ir.types import TensorType

if TYPE_CHECKING:
    import networkx as nx

_T = TypeVar("_T")

Attribute = int | float | str | tuple[int, ...] | tuple[float, ...] | tuple[str, ...]
"""What a node's attribute can be. Tensors and bodies are not attributes: they are values and ``Node.bodies``."""


class Role(Enum):
    """What a value is to the network."""

    INPUT = "input"  # given by the caller
    PARAMETER = "parameter"  # an initialiser, or a module's parameter or buffer
    CONSTANT = "constant"  # computed from parameters and constants alone: the same in every run
    INTERMEDIATE = "intermediate"  # computed anew in every run
    CAPTURE = "capture"  # inside a body: a value of the graph around it, counted there


class Value(NamedTuple):
    """One tensor of the graph. A named tuple: there are as many as tensors, and it is quick to make.

    Attributes:
        name: Unique in its graph.
        type: Element type and shape.
        role: What it is to the network.
        producer: Id of the node that writes it, ``None`` for inputs, parameters and captures.
        view_of: Id of an earlier value whose storage this one shares by the meaning of its operation
            (a reshape, say), ``None`` if it has its own.
        module: Path of the module it belongs to (``features.3.conv``), empty if unknown.
    """

    name: str
    type: TensorType
    role: Role
    producer: int | None = None
    view_of: int | None = None
    module: str = ""


class Node(NamedTuple):
    """One occurrence of an operation. A named tuple, as ``Value`` is.

    Attributes:
        name: Unique in its graph.
        op: Kind of operation as its format names it: ``Conv``, ``com.microsoft.FusedConv``, ``aten.conv2d``.
        inputs: Ids of the values it reads, in the operation's order; ``None`` where an optional one is left out.
        outputs: Ids of the values it writes; ``None`` where an optional one is left out.
        captures: Ids of the values of this graph that its bodies read; of an operation without any, weights that its
            attributes hold.
        bodies: Graphs it runs inside itself (the branches of an If, the body of a Loop).
        is_elementwise: Element i of the first output depends on no element of a same-sized input but i, so that
            the output may take that input's place. Tables of the importers decide; never true for a node that
            reads one storage through views that order its elements differently.
        attributes: Small attributes: numbers, strings and lists of them.
        module: Path of the module it belongs to, empty if unknown.
        line: Line of the model's own code that asked for it (``net.py:12``), empty if unknown.
        version: Version of the format's operations in which this one last changed, 0 if the format has none.
        definition: What the format defines the operation as, in simpler ones, where a runtime may have to use that:
            its inputs are the node's own, those left out excepted, its outputs those that are wanted.
        is_malformed: Whether it is one that its operation does not allow, so that no rule of the operation holds. The
            importer lists it as unknown.
    """

    name: str
    op: str
    inputs: tuple[int | None, ...]
    outputs: tuple[int | None, ...]
    captures: tuple[int, ...] = ()
    bodies: tuple[Graph, ...] = ()
    is_elementwise: bool = False
    attributes: Mapping[str, Attribute] = {}
    module: str = ""
    line: str = ""
    version: int = 0
    definition: Graph | None = None
    is_malformed: bool = False

    def __hash__(self) -> int:
        return hash((self.name, self.op, self.inputs, self.outputs))  # attributes have no hash

    @property
    def reads(self) -> tuple[int, ...]:
        """Ids of all values that must exist while the node runs, captures included; may repeat."""
        given = tuple(i for i in self.inputs if i is not None) if None in self.inputs else self.inputs
        return given + self.captures if self.captures else given  # type: ignore[return-value] # no None is left

    @property
    def writes(self) -> tuple[int, ...]:
        """Ids of all values the node writes."""
        outputs = self.outputs
        return tuple(i for i in outputs if i is not None) if None in outputs else outputs  # type: ignore[return-value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Something the importer could not learn, never guessed.

    Attributes:
        kind: ``dimension``, ``shape``, ``dtype``, ``operator``, ``node`` or ``macs``.
        name: The symbol, tensor or operation it is about.
        reason: Why it is not known, in one sentence.
        hint: The flag or act that would settle it.
    """

    kind: str
    name: str
    reason: str
    hint: str = ""


BOUND = "bound"
"""Kind of an assumption: a tensor was taken at the largest size that its operation can write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumption:
    """Something that the importer took otherwise than the source says it, or that the source leaves open.

    Attributes:
        kind: ``shape`` or ``dtype`` (what the source records contradicts its operations), ``order`` (it lists an
            operation before what it reads), ``dimension`` (it leaves a size open, and a usual one was taken).
        name: The tensor, symbol or operation it is about.
        reason: What the source says, and what counts instead, in one sentence.
        hint: The flag or act that settles it otherwise.
    """

    kind: str
    name: str
    reason: str
    hint: str = ""


class Activation(NamedTuple):
    """Storage of a graph input or an intermediate, views included. A named tuple: quick to make and to unpack.

    Attributes:
        root: Id of the value that owns the storage.
        values: Ids of all values in it, the root first.
        size_bytes: Bytes of the root, else of the largest view whose size is known, ``None`` if none is.
    """

    root: int
    values: tuple[int, ...]
    size_bytes: int | None


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A network as a list of operations in execution order. Build one with ``GraphBuilder``.

    Attributes:
        name: The graph's own name.
        values: All tensors; a value's id is its index.
        nodes: All operations in execution order; a node's id is its index.
        inputs: Ids of the values the caller gives (role ``INPUT``).
        outputs: Ids of the values the caller gets, in order.
        unknown: What the importer could not learn.
        assumed: What the importer took otherwise than the source says.
        opset: Version of ONNX's operations that the nodes follow, ``None`` for a graph that is not ONNX's.
        elements: By id what small parameters and constants hold, as far as the source says it.
        program: The tensors and operators by number that it was made from, for a format that numbers them.
        places: Where its source lists each node, if in another order: a runtime may number them by that.
    """

    name: str
    values: tuple[Value, ...]
    nodes: tuple[Node, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    unknown: tuple[Unknown, ...] = ()
    assumed: tuple[Assumption, ...] = ()
    opset: int | None = None
    elements: Mapping[int, tuple[float, ...]] = field(default_factory=dict, hash=False)
    program: Program | None = None
    places: tuple[int, ...] = ()

    def __repr__(self) -> str:
        return f"<Graph {safe_text(self.name, limit=80)}: {len(self.nodes):,} nodes, {len(self.values):,} values>"

    @cached_property
    def value_bytes(self) -> tuple[int | None, ...]:
        """Bytes of each value by id, ``None`` where unknown."""
        return tuple([of.size_bytes for of in self.types])

    @cached_property
    def types(self) -> tuple[TensorType, ...]:
        """Type of each value by id: a column, since rules about types walk all of them."""
        return tuple(map(_TYPE, self.values))

    @cached_property
    def roles(self) -> tuple[Role, ...]:
        """Role of each value by id."""
        return tuple(map(_ROLE, self.values))

    @cached_property
    def dtypes(self) -> frozenset[str | None]:
        """The element types that occur, those of bodies not."""
        distinct = {id(of): of for of in self.types}  # nearly all are shared
        return frozenset([of.dtype for of in distinct.values()])

    @cached_property
    def reads(self) -> tuple[tuple[int, ...], ...]:
        """For each node the ids of all values that must exist while it runs; see ``Node.reads``."""
        inputs = tuple(map(_INPUTS, self.nodes))
        if any(map(_CAPTURES, self.nodes)) or None in chain.from_iterable(inputs):
            return tuple([node.reads for node in self.nodes])
        return inputs

    @cached_property
    def writes(self) -> tuple[tuple[int, ...], ...]:
        """For each node the ids of all values it writes."""
        outputs = tuple(map(_OUTPUTS, self.nodes))
        return tuple([node.writes for node in self.nodes]) if None in chain.from_iterable(outputs) else outputs

    @cached_property
    def bodies(self) -> tuple[Graph, ...]:
        """The graphs that nodes run inside themselves, in execution order; not those inside these."""
        return tuple(chain.from_iterable(map(_BODIES, self.nodes)))

    @cached_property
    def ops(self) -> frozenset[str]:
        """The kinds of operations that occur, those of bodies not: most rules are about a few of them."""
        return frozenset(map(_OP, self.nodes))

    @cached_property
    def has_malformed(self) -> bool:
        """Whether a node is malformed, those of bodies not looked at."""
        return True in map(_IS_MALFORMED, self.nodes)

    @cached_property
    def has_definitions(self) -> bool:
        """Whether a node has a definition, those of bodies not looked at."""
        return any(map(_DEFINITION, self.nodes))

    def derived(self, rule: Callable[[Graph], _T]) -> _T:
        """Return what follows from the graph by a rule, worked out once whoever asks.

        Args:
            rule: A pure function at the top of a module. What it returns does not hold the graph.
        """
        found = self._derived
        if rule not in found:
            found[rule] = rule(self)
        return cast("_T", found[rule])

    @cached_property
    def _derived(self) -> dict[Callable[[Graph], Any], Any]:
        return {}

    @cached_property
    def consumers(self) -> tuple[tuple[int, ...], ...]:
        """For each value the ids of the nodes that read it, in execution order, each once."""
        readers: list[list[int]] = [[] for _ in self.values]
        for node_id, reads in enumerate(self.reads):
            for value_id in reads:
                found = readers[value_id]
                if not found or found[-1] != node_id:
                    found.append(node_id)
        return tuple(map(tuple, readers))

    @cached_property
    def has_views(self) -> bool:
        """Whether a value shares the storage of another."""
        return {*map(_VIEW_OF, self.values)} != {None}

    @cached_property
    def storage(self) -> tuple[int, ...]:
        """For each value the id of the value whose storage it uses: itself, or the root of its chain of views."""
        if not self.has_views:
            return tuple(range(len(self.values)))
        roots: list[int] = []
        for value_id, value in enumerate(self.values):
            roots.append(value_id if value.view_of is None else roots[value.view_of])
        return tuple(roots)

    @cached_property
    def storage_members(self) -> Mapping[int, tuple[int, ...]]:
        """For each value with storage of its own the ids of all values in that storage, itself first."""
        if not self.has_views:
            return dict(enumerate(zip(range(len(self.values)), strict=True)))
        shared: dict[int, list[int]] = {}
        for value_id, root in enumerate(self.storage):
            if root != value_id:
                shared.setdefault(root, [root]).append(value_id)
        members: dict[int, tuple[int, ...]] = {i: (i,) for i, root in enumerate(self.storage) if i == root}
        members.update((root, tuple(group)) for root, group in shared.items())
        return members

    @cached_property
    def activations(self) -> tuple[Activation, ...]:
        """Every storage that holds a graph input or an intermediate: what runtime models count."""
        sizes, roles = self.value_bytes, self.roles
        return tuple(
            [
                _record(Activation, (root, group, sizes[root] if len(group) == 1 else _storage_bytes(group, sizes)))
                for root, group in self.storage_members.items()
                if roles[root] in _ACTIVE  # a tuple, since hashing an Enum is slow
            ]
        )

    @cached_property
    def parameter_bytes(self) -> int:
        """Bytes of all parameters, those of bodies included. Open sizes count nothing and are in ``unknown``."""
        own = sum(size or 0 for value, size in self.weights if value.role is Role.PARAMETER)
        return own + sum(body.parameter_bytes for body in self.bodies)

    @cached_property
    def foldable_constant_bytes(self) -> int:
        """Bytes of all values computed from parameters and constants alone, views of either not counted again."""
        own = sum(size or 0 for value, size in self.weights if value.role is Role.CONSTANT and value.view_of is None)
        return own + sum(body.foldable_constant_bytes for body in self.bodies)

    @cached_property
    def stored_constant_bytes(self) -> int:
        """Bytes of the foldable constants that the source itself holds: tensors in Constant operations."""
        own = sum(self.value_bytes[i] or 0 for node in self.nodes if node.op == "Constant" for i in node.writes)
        return own + sum(body.stored_constant_bytes for body in self.bodies)

    @cached_property
    def has_known_weights(self) -> bool:
        """Whether the bytes of all parameters and constants are known, those of bodies included."""
        is_known = all(size is not None for _, size in self.weights)
        return is_known and all(body.has_known_weights for body in self.bodies)

    @cached_property
    def parameter_bytes_by_dtype(self) -> Mapping[str, int]:
        """Bytes of all parameters by element type in alphabetical order, those of bodies included."""
        found: Counter[str] = Counter()
        for value, size in self.weights:
            if value.role is Role.PARAMETER and size:
                found[value.type.dtype or "unknown"] += size
        for body in self.bodies:
            found.update(body.parameter_bytes_by_dtype)
        return dict(sorted(found.items()))

    @cached_property
    def weights(self) -> tuple[tuple[Value, int | None], ...]:
        """Parameters and constants with their bytes."""
        return tuple([(self.values[i], self.value_bytes[i]) for i, role in enumerate(self.roles) if role in _WEIGHTS])

    def to_networkx(self) -> nx.DiGraph[str]:
        """Return the graph as a ``networkx.DiGraph``, built on the first call; treat it as read-only.

        See ``memprof.ir.networkx`` for the attributes of nodes and edges.
        """
        return self._networkx

    @cached_property
    def _networkx(self) -> nx.DiGraph[str]:
        return _to_networkx(self)


_record = tuple.__new__  # with all fields in order: half of the time


def field_of(record: type[Value | Node], name: str) -> Callable[[tuple[Any, ...]], Any]:
    """Return what takes one field of such a record: mapped over many it makes a column natively, twice as fast."""
    return itemgetter(record._fields.index(name))


_TYPE, _ROLE, _VIEW_OF = (field_of(Value, name) for name in ("type", "role", "view_of"))
_OP, _INPUTS, _OUTPUTS, _CAPTURES, _BODIES, _DEFINITION, _IS_MALFORMED = (
    field_of(Node, name) for name in ("op", "inputs", "outputs", "captures", "bodies", "definition", "is_malformed")
)
_ACTIVE = (Role.INTERMEDIATE, Role.INPUT)
_WEIGHTS = (Role.PARAMETER, Role.CONSTANT)


def _storage_bytes(group: Sequence[int], sizes: Sequence[int | None]) -> int | None:
    if (root_bytes := sizes[group[0]]) is not None:
        return root_bytes
    return max((size for i in group if (size := sizes[i]) is not None), default=None)


def _to_networkx(graph: Graph) -> nx.DiGraph[str]:
    """Return ``graph`` as a DiGraph in execution order; the table in ``memprof.ir.networkx`` has its attributes."""
    import networkx as nx  # takes longer than most analyses

    result: nx.DiGraph[str] = nx.DiGraph(name=graph.name)
    leaving = set(graph.outputs)
    key_of_value: dict[int, str] = {}

    def describe(value_ids: tuple[int, ...]) -> dict[str, Any]:
        values = [graph.values[i] for i in value_ids]
        own = [v.type.size_bytes for v in values if v.view_of is None]
        bases = {v.name: graph.values[v.view_of] for v in values if v.view_of is not None}
        hidden = {name for name, base in bases.items() if base.role in _WEIGHTS}  # weights hold their bytes
        return {
            "bytes": None if None in own else sum(size or 0 for size in own),
            "tensors": {v.name: 0 if v.name in hidden else v.type.size_bytes for v in values},
            "view_of": {name: base.name for name, base in bases.items() if name not in hidden},
            "outputs": tuple(graph.values[i].name for i in value_ids if i in leaving),
        }

    for value_id, value in enumerate(graph.values):
        if value.role in (Role.INPUT, Role.CAPTURE):
            key = _free_key(result, value.name)
            key_of_value[value_id] = key
            result.add_node(
                key, op="Input", step=-1, module=value.module, elementwise=False, reads=(), **describe((value_id,))
            )
    for step, node in enumerate(graph.nodes):
        written = tuple(i for i in node.writes if graph.values[i].role not in _WEIGHTS)
        if not written and node.writes:
            continue
        key = _free_key(result, node.name)
        reads = [i for i in dict.fromkeys(node.reads) if i in key_of_value]
        result.add_node(
            key,
            op=node.op,
            step=step,
            module=node.module,
            elementwise=node.is_elementwise and node.outputs[:1] != (None,),
            reads=tuple(graph.values[i].name for i in reads),
            **describe(written),
        )
        flows: dict[str, list[int]] = {}
        for value_id in reads:
            flows.setdefault(key_of_value[value_id], []).append(value_id)
        for source, value_ids in flows.items():
            sizes = [graph.value_bytes[i] for i in value_ids]
            result.add_edge(
                source,
                key,
                tensors=tuple(graph.values[i].name for i in value_ids),
                bytes=None if None in sizes else sum(size or 0 for size in sizes),
            )
        key_of_value.update(dict.fromkeys(written, key))
    return result


def _free_key(graph: nx.DiGraph[str], wish: str) -> str:
    while wish in graph:
        wish += "'"
    return wish
