"""What no real model exceeds, checked before anything is expanded and before native code sees a single node.

    limit                         why
    nodes, bodies included        time and memory grow with them
    depth of bodies               everything that walks bodies recurses, within this bound
    attributes, in-file messages  a hostile file packs a 190-byte object into two bytes
    names are UTF-8               protobuf hands others over as bytes, which nothing downstream expects

Dimensions, ranks and bytes are checked where types are made (``types.py``), function expansion where it is counted
(``functions.py``), the file's bytes where they are walked (``wire.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto

from memprof.errors import InputError, LimitError

MAX_NODES = 250_000
MAX_BODY_DEPTH = 24
MAX_MESSAGES = 2_500_000
MAX_NAMES = 4_000_000
MAX_READS = 65_536
MAX_FUNCTIONS = 100_000

_STRINGS = frozenset({str})
_COSTLY_TAGS = (b"\x2a", b"\x52", b"\x5a", b"\x7a")  # attribute; its tensors, graphs and type protos


def check_structure(structure: bytes) -> None:
    """Refuse bytes that would unfold into far more objects than a model has.

    Each costly message starts with one of four tag bytes, so counting those bytes bounds the messages from above, in
    a millisecond per megabyte. Text and numbers hold the same bytes, hence the generous limit.

    Raises:
        LimitError: More than ``MAX_MESSAGES``.
    """
    if sum(structure.count(tag) for tag in _COSTLY_TAGS) > MAX_MESSAGES:
        raise LimitError(f"The model may hold more than {MAX_MESSAGES} attributes.")


def check_model(model: ModelProto) -> None:
    """Check counts, depth and names of a whole model.

    Raises:
        InputError: There is no graph, or a name is not UTF-8.
        LimitError: A limit of this file is exceeded.
    """
    if not model.HasField("graph"):
        raise InputError("This file holds no ONNX graph.", "Check that it is an ONNX model.")
    if len(model.functions) > MAX_FUNCTIONS:
        raise LimitError(f"The model has more than {MAX_FUNCTIONS} functions.")
    check = _Check()
    check.graph(model.graph, 0)
    check.names([entry.domain for entry in model.opset_import])
    for function in model.functions:
        check.names((function.name, function.domain, function.overload, *function.input, *function.output))
        check.names([entry.domain for entry in function.opset_import])
        check.names([attribute.name for attribute in function.attribute_proto])
        check.nodes(function.node, 0)


def bodies(node: NodeProto) -> Iterator[GraphProto]:
    """Yield the graphs that ``node`` runs inside itself."""
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == AttributeProto.GRAPHS:
            yield from attribute.graphs


class _Check:
    def __init__(self) -> None:
        self._nodes = 0
        self._names = 0

    def graph(self, graph: GraphProto, depth: int) -> None:
        if depth > MAX_BODY_DEPTH:
            raise LimitError(f"The model nests bodies of control flow more than {MAX_BODY_DEPTH} deep.")
        self.names((graph.name,))
        for infos in (graph.input, graph.output, graph.value_info):
            self.names([info.name for info in infos])
        self.names([tensor.name for tensor in graph.initializer])
        self.names([sparse.values.name for sparse in graph.sparse_initializer])
        self.nodes(graph.node, depth)

    def nodes(self, nodes: Iterable[NodeProto], depth: int) -> None:
        for node in nodes:
            self._nodes += 1
            if self._nodes > MAX_NODES:
                raise LimitError(f"The model has more than {MAX_NODES} nodes.")
            if not node.op_type:
                raise InputError(f"The node {node.name!r} names no operation.", "Export the model again.")
            if len(node.input) > MAX_READS or len(node.output) > MAX_READS:
                raise LimitError(f"The node {node.name!r} reads or writes more than {MAX_READS} tensors.")
            self.names((node.name, node.op_type, node.domain, node.overload, *node.input, *node.output))
            if node.attribute:
                self.names([attribute.name for attribute in node.attribute])
                self.names([attribute.ref_attr_name for attribute in node.attribute])
                for body in bodies(node):
                    self.graph(body, depth + 1)

    def names(self, names: Sequence[str]) -> None:
        if not _STRINGS.issuperset(map(type, names)):  # protobuf hands over bytes where a name is not UTF-8
            odd = next(name for name in names if type(name) is not str)
            raise InputError(f"The model holds a name that is not UTF-8: {odd!r}.", "Export the model again.")
        self._names += len(names)
        if self._names > MAX_NAMES:
            raise LimitError(f"The model holds more than {MAX_NAMES} names.")
