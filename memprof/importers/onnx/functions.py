"""Local functions: every call is replaced by the function's nodes, so that the rest sees plain nodes alone.

    call  y = my.Block(x)        nodes   Block_3/t = Conv(x, Block_3/w)
    my.Block(a) { t = Conv(a, w);  ==>           y = Relu(Block_3/t)
                  out = Relu(t) }

Formal inputs and outputs take the names at the call, everything else inside takes the call's name as a prefix, in
bodies too. An attribute that refers to the function's own takes its value at the call, else the default, else it is
left out.

A function with the name of an operator that the model imports (``com.microsoft.Gelu``) is none: the operator runs.

Counting comes first: n(f) = sum over its nodes of 1, or n(callee). Functions are few even where their expansion is
astronomical (24 that each call the next twice: 8 million nodes in 1.5 KB), so the count costs O(nodes in the file)
and nothing is expanded that goes over the limit. Source: the ONNX IR specification, "Functions".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from memprof.base.errors import InputError, LimitError
from memprof.importers.onnx.contributed import is_contributed
from memprof.importers.onnx.library import (
    AttributeProto,
    FunctionProto,
    GraphProto,
    ModelProto,
    NodeProto,
    SchemaError,
    ValueInfoProto,
    get_schema,
)
from memprof.importers.onnx.limits import USUAL, Room, bodies

MAX_CALL_DEPTH = 64

_Key = tuple[str, str, str]


def expand_functions(model: ModelProto, room: Room = USUAL) -> None:
    """Replace, in place, every call of a local function by the function's nodes, and drop the functions.

    Raises:
        InputError: Two functions share a name, or one calls itself.
        LimitError: The expansion has more nodes or calls more deeply than a limit allows.
    """
    if not model.functions:
        return
    imports = {entry.domain: entry.version for entry in model.opset_import}
    functions = _Functions([of for of in model.functions if not _is_operator(of, imports)])
    total = functions.count(model.graph.node)
    if total > room.nodes:
        raise LimitError(
            f"The model's functions expand to {total if total < 10**15 else 'over 10**15'} nodes; "
            f"{room.nodes} are possible."
        )
    for function in model.functions:
        for entry in function.opset_import:
            if imports.setdefault(entry.domain, entry.version) is entry.version:
                model.opset_import.add(domain=entry.domain, version=entry.version)
    _Expansion(functions).graph(model.graph, _Names())
    del model.functions[:]


def _is_operator(function: FunctionProto, imports: Mapping[str, int]) -> bool:
    """Whether a function has the name of an operator that onnxruntime knows, and which it runs then."""
    if function.overload:
        return False
    if is_contributed(NodeProto(op_type=function.name, domain=function.domain)):
        return True
    domain = _plain(function.domain)
    version = imports.get(domain, imports.get("ai.onnx", 0) if not domain else 0)
    try:
        get_schema(function.name, version, domain)
    except (SchemaError, TypeError):  # not defined; a version over 2^31
        return False
    return True


def _key(node: NodeProto) -> _Key:
    return _plain(node.domain), node.op_type, node.overload


def _plain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


def _all_nodes(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    stack = [nodes]
    while stack:
        for node in stack.pop():
            yield node
            stack += [body.node for body in bodies(node)]


class _Functions:
    """The functions by name, and how many nodes each expands to."""

    def __init__(self, functions: Iterable[FunctionProto]) -> None:
        self._by_key: dict[_Key, FunctionProto] = {}
        for function in functions:
            key = (_plain(function.domain), function.name, function.overload)
            if key in self._by_key:
                raise InputError(f"Two functions are named {function.domain}.{function.name}.")
            self._by_key[key] = function
        self._counts: dict[_Key, int] = {}

    def get(self, node: NodeProto) -> FunctionProto | None:
        """Return the function that ``node`` calls, ``None`` if it is an operator."""
        return self._by_key.get(_key(node))

    def count(self, nodes: Iterable[NodeProto]) -> int:
        """Return how many nodes ``nodes`` expand to, bodies included. Iterative: call chains may be long."""
        for key in self._calls(nodes):
            self._count_function(key)
        return sum(self._counts.get(_key(node), 1) for node in _all_nodes(nodes))

    def _calls(self, nodes: Iterable[NodeProto]) -> list[_Key]:
        return [key for node in _all_nodes(nodes) if (key := _key(node)) in self._by_key]

    def _count_function(self, root: _Key) -> None:
        if root in self._counts:
            return
        stack = [(root, iter(self._calls(self._by_key[root].node)))]
        active = {root}
        while stack:
            key, callees = stack[-1]
            callee = next((k for k in callees if k not in self._counts), None)
            if callee is None:
                nodes = self._by_key[key].node
                self._counts[key] = sum(self._counts.get(_key(node), 1) for node in _all_nodes(nodes))
                active.remove(key)
                stack.pop()
            elif callee in active:
                raise InputError(f"The function {callee[0]}.{callee[1]} calls itself.", "ONNX allows no recursion.")
            elif len(stack) >= MAX_CALL_DEPTH:
                raise LimitError(f"Functions call each other more than {MAX_CALL_DEPTH} deep.")
            else:
                active.add(callee)
                stack.append((callee, iter(self._calls(self._by_key[callee].node))))


@dataclass(frozen=True, slots=True)
class _Names:
    """How names and attributes of one function body turn into those of its call; empty for the model's own nodes."""

    prefix: str = ""
    actual: dict[str, str] = field(default_factory=dict)
    attributes: Mapping[str, AttributeProto] = field(default_factory=dict)

    def rename(self, name: str) -> str:
        if not name or not self.prefix:
            return name
        return self.actual.get(name, self.prefix + name)


@dataclass(frozen=True, slots=True)
class _Written:
    """What one graph turns into."""

    nodes: list[NodeProto] = field(default_factory=list)
    infos: list[ValueInfoProto] = field(default_factory=list)


class _Expansion:
    """Writes expanded nodes; recursion is bounded by the call depth and body depth checked before."""

    def __init__(self, functions: _Functions) -> None:
        self._functions = functions
        self._prefixes: set[str] = set()
        self._suffixes: dict[str, int] = {}  # the last one that was tried for each wish

    def graph(self, graph: GraphProto, names: _Names) -> None:
        """Expand the nodes of ``graph`` in place and rename what is in it."""
        written = _Written()
        for node in graph.node:
            self._node(node, names, written)
        del graph.node[:]
        graph.node.extend(written.nodes)
        if names.prefix:
            for infos in (graph.input, graph.output, graph.value_info):
                for info in infos:
                    info.name = names.rename(info.name)
            for tensor in graph.initializer:
                tensor.name = names.rename(tensor.name)
            for sparse in graph.sparse_initializer:
                sparse.values.name = names.rename(sparse.values.name)
        graph.value_info.extend(written.infos)

    def _node(self, original: NodeProto, names: _Names, into: _Written) -> None:
        node = NodeProto()
        node.CopyFrom(original)
        node.input[:] = [names.rename(name) for name in original.input]
        node.output[:] = [names.rename(name) for name in original.output]
        node.name = names.prefix + original.name if original.name else ""
        resolved = [found for attribute in node.attribute if (found := self._attribute(attribute, names)) is not None]
        del node.attribute[:]
        node.attribute.extend(resolved)
        function = self._functions.get(node)
        if function is None:
            into.nodes.append(node)
        else:
            self._call(function, node, names.prefix, into)

    def _call(self, function: FunctionProto, call: NodeProto, outer: str, into: _Written) -> None:
        actual = dict.fromkeys(function.input, "") | dict(zip(function.input, call.input, strict=False))
        copies: list[tuple[str, str]] = []
        for formal, name in zip(function.output, call.output, strict=False):
            if formal in actual:  # an input handed straight through, or one output listed twice
                copies.append((actual[formal], name))
            elif name:
                actual[formal] = name
        given = {attribute.name: attribute for attribute in call.attribute}
        inside = _Names(self._unique(f"{call.name or outer + call.op_type}/"), actual, given)
        for default in function.attribute_proto:
            if default.name not in given:
                given[default.name] = self._own_attribute(default, inside)
        for node in function.node:
            self._node(node, inside, into)
        into.nodes.extend(NodeProto(op_type="Identity", input=[a], output=[b]) for a, b in copies if a and b)
        for info in function.value_info:
            renamed = ValueInfoProto()
            renamed.CopyFrom(info)
            renamed.name = inside.rename(info.name)
            into.infos.append(renamed)

    def _attribute(self, attribute: AttributeProto, names: _Names) -> AttributeProto | None:
        if not attribute.ref_attr_name:
            return self._own_attribute(attribute, names)
        found = names.attributes.get(attribute.ref_attr_name)
        if found is None:
            return None
        value = AttributeProto()
        value.CopyFrom(found)  # its bodies are in the caller's names, and renamed there
        value.name = attribute.name
        return value

    def _own_attribute(self, attribute: AttributeProto, names: _Names) -> AttributeProto:
        value = AttributeProto()
        value.CopyFrom(attribute)
        if value.HasField("g"):
            self.graph(value.g, names)
        for body in value.graphs:
            self.graph(body, names)
        return value

    def _unique(self, wish: str) -> str:
        prefix, suffix = wish, self._suffixes.get(wish, 1)
        while prefix in self._prefixes:
            suffix += 1
            prefix = f"{wish[:-1]}#{suffix}/"
        self._prefixes.add(prefix)
        self._suffixes[wish] = suffix
        return prefix
