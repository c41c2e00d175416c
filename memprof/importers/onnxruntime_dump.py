"""Reads a graph that onnxruntime has optimised and written: in the order in which it runs, blocks of channels sized.

    rule                                                               why
    nodes are listed in the order in which onnxruntime runs them       it writes them as it has sorted them ...
    unless they are the nodes of the original file in its order        ... but an unchanged graph is written as it was
        or of one of its bodies                                            or body
    a block holds 16 channels if every convolution's weights in the    weights are padded to whole blocks; which block
        blocked layout are a multiple of 16 in both channel axes,      the processor has is not written
        else 8

Nothing here has run the model: shapes and order are worked out from the graph alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from memprof.importers.onnx.attributes import attribute
from memprof.importers.onnx.contributed import BLOCK
from memprof.importers.onnx.library import AttributeProto, GraphProto, ModelProto, NodeProto
from memprof.importers.onnx.limits import bodies
from memprof.importers.onnx.order import sort_as_run
from memprof.importers.onnx.read import named_again, parse, to_model
from memprof.importers.request import Request
from memprof.ir.model import OPTIMIZED_FORMAT, Model

_BLOCKED = "com.microsoft.nchwc"
_WIDE_BLOCK, _NARROW_BLOCK = 16, 8


def read_optimized(dump: Path, request: Request) -> Model:
    """Read what onnxruntime made of a file.

    Args:
        dump: The file that onnxruntime wrote.
        request: The file that it was made from, and its open sizes.

    Returns:
        A model of the format ``onnx.optimized``, or ``onnx`` if nothing was changed.

    Raises:
        InputError: One of the files is missing or invalid.
        LimitError: One asks for more than a safety limit allows.
        UsageError: A name in ``dims`` or ``inputs`` does not exist, or a shape does not fit.
    """
    proto, digest = parse(dump)
    source, _ = parse(request.path)
    is_changed = _outline(proto.graph) != _outline(source.graph)
    _state_blocks(proto)
    if is_changed:
        _sort_unchanged_bodies(proto.graph, source.graph)
    model = to_model(proto, digest, request, source=partial(_made_from, source, request))
    return replace(model, format=OPTIMIZED_FORMAT) if is_changed else model


def _made_from(source: ModelProto, request: Request, names: frozenset[str]) -> Model:
    """Return the file that a dump was made from, what writes ``names`` there twice, see ``named_again``."""
    for node in [node for node in source.graph.node if not names.isdisjoint(node.output)]:
        copy = source.graph.node.add()
        copy.CopyFrom(node)
        copy.output[:] = [named_again(name) if name else name for name in node.output]
    return to_model(source, "", request)


def _sort_unchanged_bodies(made: GraphProto, source: GraphProto) -> None:
    """List what onnxruntime wrote as it was in the order in which it runs."""
    listed = {tuple(_outline(body)) for body in _inside(source)}
    unchanged = [body for body in _inside(made) if tuple(_outline(body)) in listed] if listed else []
    for body in unchanged:  # inner ones first: outer ones are copied
        sort_as_run(body)


def _inside(graph: GraphProto) -> list[GraphProto]:
    """Return the bodies in a graph, those inside of others first."""
    found: list[GraphProto] = []
    stack = [graph]
    while stack:
        inner = [body for node in stack.pop().node for body in bodies(node)]
        found += inner
        stack += inner
    return found[::-1]


def _outline(graph: GraphProto) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return the nodes of a graph and of its bodies, in their order."""
    found: list[tuple[str, str, tuple[str, ...]]] = []
    stack = [graph]
    while stack:
        for node in stack.pop().node:
            found.append((node.domain, node.op_type, tuple(node.output)))
            stack += bodies(node)
    return found


def _state_blocks(proto: ModelProto) -> None:
    """Write the size of a block on every node that brings a tensor into the blocked layout."""
    graphs = [proto.graph, *_inside(proto.graph)]
    block = _block_channels(graphs)
    for node in (node for graph in graphs for node in graph.node):
        if node.domain == _BLOCKED and node.op_type == "ReorderInput":
            node.attribute.append(AttributeProto(name=BLOCK, type=AttributeProto.INT, i=block))


def _block_channels(graphs: Sequence[GraphProto]) -> int:
    shapes = {tensor.name: tuple(tensor.dims) for graph in graphs for tensor in graph.initializer}
    nodes = [node for graph in graphs for node in graph.node if node.domain == _BLOCKED]
    blocked = {node.output[0] for node in nodes if node.op_type != "ReorderOutput" and node.output}
    sizes: list[int] = []
    for node in nodes:
        if node.op_type == "Conv" and len(node.input) > 1:
            shape = shapes.get(node.input[1], ())
            sizes += shape[:1]
            if node.input[0] in blocked and not _is_grouped(node):
                sizes += shape[1:2]
    return _WIDE_BLOCK if all(size % _WIDE_BLOCK == 0 for size in sizes) else _NARROW_BLOCK


def _is_grouped(node: NodeProto) -> bool:
    group = attribute(node, "group", 1)
    return isinstance(group, int) and group > 1
