"""Types across the border of a body: what If, Loop and Scan hand in, and what they get back.

    If     outputs       what both branches agree on; the branch that runs, where the condition is constant
    Loop   inputs        the iteration number, the condition, the carried values
           carried       the initial type, if one pass over the body returns it unchanged (then so do all), else what
                         they agree on
           collected     one more dimension in front: the number of iterations, if nothing but a constant ends it
    Scan   inputs        the states, and each sequence without its scanned axis
           collected     the body's type with that axis put in

Source: the ONNX operator specification of If, Loop (11 on) and Scan (9 on).
"""

from __future__ import annotations

from collections.abc import Sequence

from memprof.importers.onnx.attributes import integer, integers
from memprof.importers.onnx.facts import UNKNOWN_FACT, Fact
from memprof.importers.onnx.library import GraphProto, NodeProto
from memprof.importers.onnx.types import UNKNOWN_TYPE, TypeTable
from memprof.ir import Dim, TensorType

CONTROL_FLOW = frozenset({"If", "Loop", "Scan"})


def fits_bodies(node: NodeProto, op: str, found: Sequence[GraphProto]) -> bool:
    """Return whether a node of control flow and its bodies hand each other as many values as they should."""
    reads, writes, bodies = len(node.input), len(node.output), len(found)
    given, returned = (len(found[0].input), len(found[0].output)) if found else (0, 0)
    if op == "If":
        fits = bodies == 2 and reads == 1 and all(writes <= len(body.output) for body in found)
    elif op == "Loop":
        fits = bodies == 1 and given == max(2, reads) and given - 1 <= returned and writes <= returned - 1
        fits = fits and all(node.input[2:])
    else:
        scanned = integer(node, "num_scan_inputs") or 0
        states = reads - scanned
        fits = bodies == 1 and 0 < scanned <= reads == given and max(states, writes) <= returned
        fits = fits and all(node.input)
        for name, count in (("scan_input_axes", scanned), ("scan_output_axes", returned - states)):
            fits = fits and len(integers(node, name)) in (0, count)
    return fits


def agree(a: TensorType, b: TensorType, types: TypeTable) -> TensorType:
    """Return what both types say: dimensions that differ stay open."""
    if a is b:
        return a
    dtype = a.dtype if a.dtype == b.dtype else None
    if a.shape is None or b.shape is None or len(a.shape) != len(b.shape):
        return types.of(dtype, None)
    return types.of(dtype, tuple(x if x == y else None for x, y in zip(a.shape, b.shape, strict=True)))


def loop_body_inputs(carried: Sequence[TensorType], types: TypeTable) -> list[TensorType]:
    """Return the types of a Loop body's inputs."""
    return [types.of("int64", ()), types.of("bool", ()), *carried]


def loop_collected(element: TensorType, trip_count: int | None, types: TypeTable) -> TensorType:
    """Return the type of what a Loop collects from its iterations."""
    return element if element.shape is None else types.of(element.dtype, (trip_count, *element.shape))


def scan_body_inputs(node: NodeProto, inputs: Sequence[Fact | None], types: TypeTable) -> list[TensorType]:
    """Return the types of a Scan body's inputs."""
    states, sequences = _scan_parts(node, inputs)
    axes = integers(node, "scan_input_axes") or [0] * len(sequences)
    return states + [_without(of, axis, types) for of, axis in zip(sequences, axes, strict=False)]


def scan_outputs(
    node: NodeProto, inputs: Sequence[Fact | None], body_outputs: Sequence[TensorType], types: TypeTable
) -> list[TensorType]:
    """Return the types of a Scan's outputs."""
    states, sequences = _scan_parts(node, inputs)
    in_axes = integers(node, "scan_input_axes") or [0] * len(sequences)
    lengths = [_dim(of, axis) for of, axis in zip(sequences, in_axes, strict=False)]
    length = next((dim for dim in lengths if isinstance(dim, int)), lengths[0] if lengths else None)
    collected = body_outputs[len(states) :]
    out_axes = integers(node, "scan_output_axes") or [0] * len(collected)
    return list(body_outputs[: len(states)]) + [
        _with(of, axis, length, types) for of, axis in zip(collected, out_axes, strict=False)
    ]


def _scan_parts(node: NodeProto, inputs: Sequence[Fact | None]) -> tuple[list[TensorType], list[TensorType]]:
    found = [(fact or UNKNOWN_FACT).type for fact in inputs]
    states = max(0, len(found) - max(0, integer(node, "num_scan_inputs") or 0))
    return found[:states], found[states:]


def _dim(of: TensorType, axis: int) -> Dim:
    return of.shape[axis] if of.shape is not None and -len(of.shape) <= axis < len(of.shape) else None


def _without(of: TensorType, axis: int, types: TypeTable) -> TensorType:
    if of.shape is None or not -len(of.shape) <= axis < len(of.shape):
        return UNKNOWN_TYPE
    at = axis % len(of.shape)
    return types.of(of.dtype, of.shape[:at] + of.shape[at + 1 :])


def _with(of: TensorType, axis: int, length: Dim, types: TypeTable) -> TensorType:
    if of.shape is None or not -len(of.shape) - 1 <= axis <= len(of.shape):
        return types.of(of.dtype, None)
    at = axis % (len(of.shape) + 1)
    return types.of(of.dtype, (*of.shape[:at], length, *of.shape[at:]))
