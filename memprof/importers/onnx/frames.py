"""Whether a node is one that its operation allows: counts of inputs and outputs, attributes, their types and values.

A node that is not is *malformed*: no rule is asked about it, here or in a runtime model, since each takes these
things for granted. It stays in the graph under its name, what the file records of its outputs stays true, and it is
listed as unknown. Ranks are no part of a frame: a rule that needs one asks for it.

Source: the schemas of the onnx package, in the version that the model imports.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from memprof.importers.onnx.library import AttributeProto, NodeProto, OpSchema

_KINDS: Mapping[int, str] = MappingProxyType(
    {number: name.lower() for name, number in AttributeProto.AttributeType.items()}
)
_SINGLE = OpSchema.FormalParameterOption.Single
_GRAPHS = (AttributeProto.GRAPH, AttributeProto.GRAPHS)

_ABOVE_ZERO: Mapping[str, frozenset[str]] = MappingProxyType(
    dict.fromkeys(
        ("Conv", "FusedConv", "ConvInteger", "QLinearConv", "ConvTranspose", "DeformConv"),
        frozenset({"group", "offset_group", "strides", "dilations", "kernel_shape"}),
    )
    | dict.fromkeys(
        ("AveragePool", "MaxPool", "LpPool", "MaxUnpool", "QLinearAveragePool"),
        frozenset({"strides", "dilations", "kernel_shape"}),
    )
    | dict.fromkeys(("DepthToSpace", "SpaceToDepth"), frozenset({"blocksize"}))
)
"""Attributes that are above zero, by operation in any domain: its layouts and fusions keep them. No schema says so,
and onnxruntime may find out as late as in a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """What one operation allows.

    Attributes:
        inputs: Least and greatest number of inputs.
        outputs: The same of outputs.
        needed_inputs: Positions that may not be left out.
        needed_outputs: The same of outputs.
        kinds: Type of each attribute.
        needed: Attributes that have no default.
    """

    inputs: tuple[int, int]
    outputs: tuple[int, int]
    needed_inputs: tuple[int, ...]
    needed_outputs: tuple[int, ...]
    kinds: Mapping[str, int]
    needed: frozenset[str]


class Frames:
    """The frames of one model's operations, each read once."""

    def __init__(self) -> None:
        self._frames: dict[int, _Frame] = {}

    def misfit(self, node: NodeProto, schema: OpSchema) -> str:
        """Return what is wrong with ``node`` in a few words, empty if nothing is."""
        frame = self._frames.get(id(schema))
        if frame is None:
            frame = self._frames[id(schema)] = _read(schema)
        return (
            _wrong_values("input", node.input, frame.inputs, frame.needed_inputs)
            or _wrong_values("output", node.output, frame.outputs, frame.needed_outputs)
            or (_wrong_attributes(node, frame) if node.attribute or frame.needed else "")
        )


def misfit_of_values(node: NodeProto) -> str:
    """Return which attribute of ``node`` has a value that its operation never allows, empty if none has."""
    wanted = _ABOVE_ZERO.get(node.op_type)
    if wanted is None:
        return ""
    for attribute in node.attribute:
        if attribute.name in wanted:
            found = attribute.ints if attribute.type == AttributeProto.INTS else (attribute.i,)
            if not attribute.ref_attr_name and any(value < 1 for value in found):
                return f"its attribute {attribute.name!r} has a {min(found)}, and must be above zero"
    return ""


def _read(schema: OpSchema) -> _Frame:
    attributes = dict(schema.attributes)
    return _Frame(
        inputs=(schema.min_input, schema.max_input),
        outputs=(schema.min_output, schema.max_output),
        needed_inputs=tuple(i for i, formal in enumerate(schema.inputs) if formal.option == _SINGLE),
        needed_outputs=tuple(i for i, formal in enumerate(schema.outputs) if formal.option == _SINGLE),
        kinds={
            name: int(getattr(attribute.type, "value"))  # noqa: B009 - the stub does not know it
            for name, attribute in attributes.items()
        },
        needed=frozenset(name for name, attribute in attributes.items() if attribute.required),
    )


def _wrong_values(side: str, names: object, count: tuple[int, int], needed: tuple[int, ...]) -> str:
    found: list[str] = names  # type: ignore[assignment] # protobuf's containers have no type that says so
    if not count[0] <= len(found) <= count[1]:
        return f"it has {len(found)} {side}s"
    for i in needed:
        if i < len(found) and not found[i]:
            return f"its {side} {i} is left out"
    return ""


def _wrong_attributes(node: NodeProto, frame: _Frame) -> str:
    names = set()
    for attribute in node.attribute:
        name, kind = attribute.name, attribute.type
        names.add(name)
        wanted = frame.kinds.get(name)
        if wanted is None and kind in _GRAPHS:
            return f"it has a body {name!r}"
        if wanted is not None and kind != wanted:
            return f"its attribute {name!r} is of type {_KINDS.get(kind, str(kind))}, not {_KINDS[wanted]}"
    missing = frame.needed - names
    return f"its attribute {min(missing)!r} is missing" if missing else ""
