"""Operations whose rule was proven: equal bytes in a traced run, per element type of the first input that is there.

From ONNX's node tests and whole networks, by ``benchmarks/proven.py``, and from single operations measured by hand,
for one version of onnxruntime on x86-64. Any
other operation or element type is modelled as it is, its scratch taken as its rule says or as none, and lowers the
grade; so does another version of onnxruntime that is installed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from types import MappingProxyType

from memprof.analysis import Lifetimes
from memprof.ir import Graph, Node, Role
from memprof.runtimes.onnxruntime.kernels import type_letter
from memprof.runtimes.onnxruntime.proven_table import BY_HAND, TABLE, VERSION

_MOVES_TEXT = """\
Cast Compress Concat Constant ConstantOfShape DepthToSpace Expand Flatten Gather GatherElements GatherND
Identity If Loop NonZero Pad Reshape Scan ScatterElements ScatterND Shape Size Slice SpaceToDepth Split
Squeeze Tile Transpose Trilu Unsqueeze
"""
MOVES = frozenset(_MOVES_TEXT.split())
"""Operations that move elements, whatever they are."""


_UNPROVEN: Mapping[str, tuple[tuple[str, int], ...]] = MappingProxyType({"Resize": (("antialias", 1),)})
"""Attributes with which an operation's scratch is not known: another operation, as far as grades go."""

_APART = "!"


def lowered_by(lifetimes: Lifetimes) -> tuple[str, ...]:
    """Return the names of the operations in what runs that are not proven, each once, in the order they run."""
    return lifetimes.graph.derived(_unproven)


def of_version(rule: Callable[[Lifetimes], tuple[str, ...]], version: str) -> Callable[[Lifetimes], tuple[str, ...]]:
    """Return a rule of what lowers a grade for an installed onnxruntime.

    Args:
        rule: What lowers it for the version that all was proven with.
        version: The installed version, empty if none is.
    """
    if not version or version.split(".")[:2] == VERSION.split("."):
        return rule
    return lambda lifetimes: (f"onnxruntime {version}, since all was proven for {VERSION}", *rule(lifetimes))


def kernels(graph: Graph) -> frozenset[tuple[str, str]]:
    """Return what a graph and its bodies run: operations, each with the letter that decides whether it is proven."""
    inside = (found for node in graph.nodes for body in node.bodies for found in kernels(body))
    own = ((node.op, _letter(graph, node)) for node in graph.nodes if node.op not in MOVES)
    return frozenset({*own, *inside})


def _unproven(graph: Graph) -> tuple[str, ...]:
    found: dict[str, None] = {}
    seen: set[tuple[str, str | None, int]] = set()
    types = graph.types
    for node in graph.nodes if graph.bodies or not graph.ops <= MOVES else ():
        ids = node.inputs
        if not ids or (first := ids[0]) is None:  # rare
            first = next((i for i in (*ids, *node.outputs) if i is not None), None)
        kind = (node.op, None if first is None else types[first].dtype, id(node.attributes))
        if kind in seen and not node.bodies and node.op != "Pad":
            continue
        seen.add(kind)
        if not _is_proven(graph, node) or (node.op == "Pad" and _is_padded_by_the_run(graph, node)):
            found[node.op] = None
        for body in node.bodies:
            found |= dict.fromkeys(body.derived(_unproven))
            if _has_constant_output(body):
                found["a constant output"] = None
    return tuple(found)


def _has_constant_output(graph: Graph) -> bool:
    outputs = [graph.values[i] for i in graph.outputs]
    stored = {value.producer for value in outputs if value.producer is not None}
    return any(graph.nodes[i].op == "Constant" for i in stored) or any(v.role is Role.PARAMETER for v in outputs)


def _is_proven(graph: Graph, node: Node) -> bool:
    if node.bodies and _depends_on_the_run(graph, node):
        return False
    if node.op in MOVES:
        return True
    return _letter(graph, node) in _letters().get(node.op, "")


def _is_padded_by_the_run(graph: Graph, node: Node) -> bool:
    """Whether shapes decide by how much: what onnxruntime then makes of the sizes behind it is not known."""
    amounts = node.inputs[1] if len(node.inputs) > 1 else None
    if amounts is None or graph.values[amounts].role is not Role.INTERMEDIATE:
        return False
    before, after = (graph.values[i].type.shape if i is not None else None for i in (node.inputs[0], node.outputs[0]))
    return before != after


def _letter(graph: Graph, node: Node) -> str:
    """Return the letter of the element type of the first input that is there, of the first output if none is."""
    first: Iterable[int] = (i for i in (*node.inputs, *node.outputs) if i is not None)
    mark = "".join(_APART for name, value in _UNPROVEN.get(node.op, ()) if node.attributes.get(name) == value)
    return type_letter(next((graph.values[i].type.dtype for i in first), None)) + mark


def _depends_on_the_run(graph: Graph, node: Node) -> bool:
    """Whether how often bodies run, or which, is open; a Scan that runs once has a rule of its own, not known yet."""
    if node.op == "If":
        return len(node.bodies) > 1
    if node.op == "Loop":
        return "trip_count" not in node.attributes
    inputs = [i for i in node.inputs if i is not None]
    shape = graph.values[inputs[-1]].type.shape if inputs else None
    axes = node.attributes.get("scan_input_axes", (0,))
    axis = axes[-1] if isinstance(axes, tuple) and isinstance(axes[-1], int) else 0
    return not shape or shape[axis] == 1


@cache
def _letters() -> Mapping[str, str]:
    found: dict[str, str] = {}
    for line in (*TABLE.replace("\n  ", " ").splitlines(), *BY_HAND.replace("\n  ", " ").splitlines()):
        letters, *operations = line.split()
        found.update({op: found.get(op, "") + letters for op in operations})
    return MappingProxyType(found)
