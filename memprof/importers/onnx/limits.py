"""What no real model exceeds, checked before anything is expanded and before native code sees a node.

    limit                         why                                            where it is checked
    nodes, bodies included        time and memory grow with them                 here, and while bodies are built
    depth of bodies               what walks bodies recurses, within this bound  while bodies are built
    graph inputs and outputs      each is alive, and named, at every peak        while graphs are built
    initialisers, recorded types  each is a record here                          while graphs are built
    values read and written       each is looked at by every runtime model       while graphs are built
    nodes unlike all others       what holds of a node is worked out once        while graphs are built
    attributes in the file        a 190-byte object hides in two bytes           here
    names are UTF-8               protobuf hands others over as bytes            where a name is used

A model with local functions is walked here in full, since expanding them copies nodes before they are built.
Dimensions, ranks and bytes are checked where types are made (``types.py``), function expansion where it is counted
(``functions.py``), the file's bytes where they are walked (``wire.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from memprof.base.errors import InputError, LimitError
from memprof.importers.onnx.library import AttributeProto, GraphProto, ModelProto, NodeProto

MAX_NODES = 100_000
MAX_FRAME = 16_384
MAX_BODY_DEPTH = 24
MAX_READS = 16_384
MAX_FUNCTIONS = 100_000
MAX_DISTINCT = 40_000
"""Operations that differ from all others: each is worked out; a large model repeats itself."""


@dataclass(frozen=True, slots=True)
class Room:
    """How large a model may be: what grows with its nodes may be as many times as large as they are allowed to be.

    Attributes:
        nodes: Nodes, bodies and called functions included.
    """

    nodes: int = MAX_NODES

    @property
    def edges(self) -> int:
        """Values read and written."""
        return 6 * self.nodes

    @property
    def tensors(self) -> int:
        """Initialisers, and as many recorded types."""
        return 5 * self.nodes

    @property
    def attributes(self) -> int:
        """Attributes in the file."""
        return 25 * self.nodes

    @property
    def fields(self) -> int:
        """Fields of messages that are looked at one by one."""
        return 40 * self.nodes

    @property
    def structure_bytes(self) -> int:
        """Bytes of the file without weights and without long lists."""
        return 672 * self.nodes

    @property
    def list_bytes(self) -> int:
        """Bytes of long lists in attributes, and of the numbers in them once read: forests have no other weights.

        A number of one byte takes eight then, and all of them are held five times until the graph is built.
        """
        return 2000 * self.nodes


USUAL = Room()
"""What a model may take unless the caller allows more."""

_ALWAYS_FINE = 4 * 2**20
_STRINGS = frozenset({str})
MORE = "Allow more with --max-nodes, or max_nodes in Python, if you know where it comes from."
_COSTLY_TAGS = (b"\x2a", b"\x52", b"\x5a", b"\x7a")  # attribute; its tensors, graphs and type protos


def costly_tags(content: bytes) -> int:
    """Return how many bytes may begin a message that unfolds into far more than it takes: an upper bound.

    Each starts with one of four tag bytes, so counting those takes a millisecond per megabyte.
    """
    return sum(content.count(tag) for tag in _COSTLY_TAGS)


def check_structure(structure: bytes, in_lists: int, room: Room = USUAL) -> None:
    """Refuse bytes that would unfold into far more objects than a model has.

    Text and numbers hold the same bytes as tags, hence the generous limit.

    Args:
        structure: A serialized ModelProto.
        in_lists: How many of its bytes look like a costly message's first and are elements of lists.
        room: How large it may be.

    Raises:
        LimitError: More than there is room for.
    """
    if len(structure) > _ALWAYS_FINE and costly_tags(structure) - in_lists > room.attributes:
        raise LimitError(f"The model may hold more than {room.attributes} attributes.", MORE)


def check_model(model: ModelProto, room: Room = USUAL) -> None:
    """Check what has to hold before a model is expanded and built.

    Raises:
        InputError: There is no graph, or a name is not UTF-8.
        LimitError: There are too many nodes or functions.
    """
    if not model.HasField("graph"):
        raise InputError("This file holds no ONNX graph.", "Check that it is an ONNX model.")
    if len(model.functions) > MAX_FUNCTIONS:
        raise LimitError(f"The model has more than {MAX_FUNCTIONS} functions.")
    if len(model.graph.node) > room.nodes:
        raise _too_many(room)
    check_names([entry.domain for entry in model.opset_import])
    if model.functions:
        check = _Check(room)
        check.graph(model.graph, 0)
        for function in model.functions:
            check_names((function.name, function.domain, function.overload, *function.input, *function.output))
            check_names([entry.domain for entry in function.opset_import])
            check_names([attribute.name for attribute in function.attribute_proto])
            check.nodes(function.node, 0)


def _too_many(room: Room) -> LimitError:
    return LimitError(f"The model has more than {room.nodes} nodes.", MORE)


def check_names(names: Sequence[str]) -> None:
    """Check that names are text; protobuf hands over bytes where a name is not UTF-8.

    Raises:
        InputError: One is not.
    """
    if not _STRINGS.issuperset(map(type, names)):
        odd = next(name for name in names if type(name) is not str)
        raise InputError(f"The model holds a name that is not UTF-8: {odd!r}.", "Export the model again.")


def check_frame(graph: GraphProto, room: Room = USUAL) -> None:
    """Check how much a graph or body lists besides its nodes.

    Raises:
        LimitError: More than ``MAX_FRAME`` inputs or outputs, or than there is room for initialisers or types.
    """
    for what, count, most in (
        ("inputs", len(graph.input), MAX_FRAME + len(graph.initializer)),  # older files list the initialisers too
        ("outputs", len(graph.output), MAX_FRAME),
        ("initialisers", len(graph.initializer) + len(graph.sparse_initializer), room.tensors),
        ("recorded types", len(graph.value_info), room.tensors),
    ):
        if count > most:
            raise LimitError(f"A graph of the model has {count} {what}; {most} are possible.")


def check_depth(depth: int) -> None:
    """Check how deep a body is nested.

    Raises:
        LimitError: Deeper than ``MAX_BODY_DEPTH``.
    """
    if depth > MAX_BODY_DEPTH:
        raise LimitError(f"The model nests bodies of control flow more than {MAX_BODY_DEPTH} deep.")


def check_node(node: NodeProto) -> None:
    """Check the frame of one node: its operation, its names but for values', how much it reads and writes.

    Raises:
        InputError: It names no operation, or a name is not UTF-8.
        LimitError: It reads or writes more than ``MAX_READS`` tensors.
    """
    name, op_type = node.name, node.op_type
    if type(name) is not str or type(op_type) is not str:
        check_names((name, op_type))
    if not op_type:
        raise InputError(f"The node {name!r} names no operation.", "Export the model again.")
    if len(node.input) > MAX_READS or len(node.output) > MAX_READS:
        raise LimitError(f"The node {name!r} reads or writes more than {MAX_READS} tensors.")


def bodies(node: NodeProto) -> Iterator[GraphProto]:
    """Yield the graphs that ``node`` runs inside itself."""
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == AttributeProto.GRAPHS:
            yield from attribute.graphs


class _Check:
    """The walk over all nodes of a model with functions."""

    def __init__(self, room: Room) -> None:
        self._nodes = 0
        self._room = room

    def graph(self, graph: GraphProto, depth: int) -> None:
        check_depth(depth)
        for infos in (graph.input, graph.output, graph.value_info):
            check_names([info.name for info in infos])
        check_names([tensor.name for tensor in graph.initializer])
        check_names([sparse.values.name for sparse in graph.sparse_initializer])
        self.nodes(graph.node, depth)

    def nodes(self, nodes: Iterable[NodeProto], depth: int) -> None:
        for node in nodes:
            self._nodes += 1
            if self._nodes > self._room.nodes:
                raise _too_many(self._room)
            check_node(node)
            check_names((node.domain, node.overload, *node.input, *node.output))
            check_names([name for each in node.attribute for name in (each.name, each.ref_attr_name)])
            for body in bodies(node):
                self.graph(body, depth + 1)
