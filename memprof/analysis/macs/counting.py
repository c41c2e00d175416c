"""Multiply-accumulate operations (MACs) per node, where the formula is standard; the rest is reported as unknown.

    an operation in ...                            costs
    ``formulas``, ``backward``, ``tflite`` what its formula says of the shapes
    ``free``, ``backward``, ``tflite``     nothing, by convention: no sum of products over an axis
    neither of them                                unknown, reported once per kind of operation
    any, if all that it writes is constant         nothing: it is computed once, not in every run

One MAC is one multiplication and the addition that follows it. Bias, activation, scaling and normalisation cost
nothing, as in the papers that publish MACs; zero padding is multiplied like data, a recurrent layer runs over its
whole sequence, and an attention mask saves nothing. An open dimension makes the count ``None`` and is no unknown of
its own: its cause is reported with the shape.

Operations of ONNX are known by name (``Conv``, ``com.microsoft.FusedConv``), those of PyTorch as ``aten.conv2d``,
with or without overload and the underscore of the in-place form, attributes named as in the operation's schema; those
of TensorFlow Lite as ``tfl.CONV_2D``.

Complexity: O(nodes).
"""

from __future__ import annotations

from collections.abc import Iterable

from memprof.analysis.alike import alike
from memprof.analysis.macs.backward import BACKWARD, BACKWARD_FREE
from memprof.analysis.macs.formulas import FORMULAS, Formula
from memprof.analysis.macs.free import MAC_FREE
from memprof.analysis.macs.operation import NoFormulaError, Operation, ReportedElsewhereError
from memprof.analysis.macs.tflite import TFLITE_FORMULAS, TFLITE_FREE
from memprof.ir import Graph, Role, Unknown

_FORMULAS = {**FORMULAS, **BACKWARD, **TFLITE_FORMULAS}
_FREE = MAC_FREE | BACKWARD_FREE | TFLITE_FREE
_HINT = "Bytes are not affected. Count this operation by hand, or compare by bytes alone."


def count_macs(graph: Graph) -> tuple[int | None, tuple[Unknown, ...]]:
    """Return the MACs of one run, and what could not be counted.

    Args:
        graph: Any graph; the bodies of its control flow are counted with the nodes that own them.

    Returns:
        The total, ``None`` if the count of any node is unknown; and one ``Unknown`` of kind ``macs`` per kind of
        operation that has no formula. Open dimensions make the total ``None`` without an entry here.

    >>> from memprof.ir import GraphBuilder, NewValue, TensorType
    >>> builder = GraphBuilder()
    >>> x = builder.add_input("x", TensorType("float32", (2, 3)))
    >>> w = builder.add_parameter("w", TensorType("float32", (3, 4)))
    >>> (y,) = builder.add_node("MatMul", [x, w], [NewValue("y", TensorType("float32", (2, 4)))])
    >>> count_macs(builder.build([y]))
    (24, ())
    """
    unknown: dict[str, Unknown] = {}
    total = _total(_node_macs(graph, unknown))
    return total, tuple(unknown.values())


def node_macs(graph: Graph) -> list[int | None]:
    """Return the MACs of each node, bodies with the nodes that own them; ``None`` where they cannot be counted."""
    return _node_macs(graph, {})


def operation_kind(op: str) -> str:
    """Return the name under which the tables know ``op``.

    >>> operation_kind("aten.conv2d.default"), operation_kind("aten.relu_"), operation_kind("Conv")
    ('aten.conv2d', 'aten.relu', 'Conv')
    """
    if not op.startswith("aten."):
        return op
    name = op.split(".", 2)[1]
    return f"aten.{name if name.endswith('__') else name.removesuffix('_')}"


def _node_macs(graph: Graph, unknown: dict[str, Unknown]) -> list[int | None]:
    """Return the MACs of each node, and add to ``unknown`` what has no formula, by kind of operation.

    Recursion goes as deep as bodies nest, which importers limit.
    """
    counts: list[int | None] = [0] * len(graph.nodes)
    values, writes = graph.values, graph.writes
    free = {op: operation_kind(op) in _FREE for op in graph.ops}
    if all(free.values()) and not graph.has_malformed:
        return counts
    kinds = graph.derived(alike)
    known: dict[int, int | None] = {}
    for node_id, node in enumerate(graph.nodes):
        op = node.op
        written = writes[node_id]
        if (free[op] and not node.is_malformed) or (
            written and values[written[0]].role is Role.CONSTANT
        ):  # then all it writes is
            continue
        if node.bodies:
            bodies = tuple([_total(_node_macs(body, unknown)) for body in node.bodies])
            counts[node_id] = _macs(Operation(graph, node, bodies), unknown)
            continue
        kind = kinds[node_id]
        if kind not in known:
            known[kind] = _macs(Operation(graph, node, ()), unknown)
        counts[node_id] = known[kind]
    return counts


def _macs(operation: Operation, unknown: dict[str, Unknown]) -> int | None:
    kind = operation_kind(operation.node.op)
    try:
        if operation.node.is_malformed:
            raise NoFormulaError("is malformed here")
        formula = _FORMULAS.get(kind)
        if formula is None:
            raise NoFormulaError("has no standard formula")
        return _checked(formula, operation)
    except ReportedElsewhereError:
        return None
    except NoFormulaError as error:
        reason = f"{kind} {error} (first met at node {operation.node.name!r})"
        unknown.setdefault(kind, Unknown(kind="macs", name=kind, reason=reason, hint=_HINT))
        return None


def _checked(formula: Formula, operation: Operation) -> int:
    """Return what ``formula`` says; ranks, counts and values that it does not expect are none that it covers."""
    try:
        found = formula(operation)
        if not isinstance(found, int):  # a text that an attribute holds, as many times
            raise TypeError
        return found
    except (IndexError, TypeError, ValueError, ZeroDivisionError) as error:
        raise NoFormulaError("has shapes or attributes that do not fit each other") from error


def _total(counts: Iterable[int | None]) -> int | None:
    total = 0
    for count in counts:
        if count is None:
            return None
        total += count
    return total
