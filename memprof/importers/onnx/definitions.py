"""What ONNX defines an operation as, in simpler ones: its function, as a graph whose inputs are the node's.

A runtime that has no kernel for an operation runs its definition instead. Which runtimes lack which kernels is theirs
to say; here stands for which nodes one may be asked for, since making it costs as much as reading its nodes.

    kind of function                where it comes from
    the same for every node         the schema, unless an operation in it has changed since it was written
    depends on types, attributes    the schema makes it for this very node

Names inside are the function's own. An attribute that refers to the call's takes its value, else the default, else it
is left out. An input that the call leaves out is left out inside too; last inputs that the function does not use may
be missing in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from memprof.importers.onnx.library import (
    AttributeProto,
    FunctionProto,
    GraphProto,
    NodeProto,
    TypeProto,
    defaults,
    get_schema,
)
from memprof.importers.onnx.ops import names

_RARELY_A_KERNEL = names(
    "Bernoulli CastLike CausalConvWithState CenterCropPad GroupNormalization HardSwish LinearAttention Mish "
    "NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss SwiGLU Swish"
)
_NEWEST = 24  # operations that changed later than this are often ahead of the runtimes
_USUAL_TYPE = "float32"


def may_need_definition(schema: Any, dtype: str | None) -> bool:
    """Whether some runtime may lack a kernel for an operation whose first input has this element type.

    ``schema`` is an ``onnx.defs.OpSchema``, whose type information leaves out functions.
    """
    if not schema.has_function and not schema.has_context_dependent_function:
        return False
    if schema.name in _RARELY_A_KERNEL or schema.since_version > _NEWEST:
        return True
    return dtype not in (_USUAL_TYPE, None)


def definition_of(schema: Any, node: NodeProto, types: Sequence[TypeProto], opset: int) -> GraphProto | None:
    """Return what ``node`` is defined as, ``None`` if ONNX does not say.

    Args:
        schema: The operation's.
        node: A node without bodies.
        types: Types of its inputs, empty ones where it leaves one out.
        opset: Version of ONNX's operations that the model imports.
    """

    if not schema.min_input <= len(node.input) <= schema.max_input:
        return None
    function = FunctionProto()
    try:
        if schema.has_context_dependent_function:
            serialized = [of.SerializeToString() for of in types]
            version = max(v for v in schema.context_dependent_function_opset_versions if v <= opset)
            function.ParseFromString(
                schema.get_context_dependent_function_with_opset_version(
                    version, node.SerializeToString(), serialized
                )
            )
        else:
            version = max(v for v in schema.function_opset_versions if v <= opset)
            function.ParseFromString(schema.get_function_with_opset_version(version))
            if version < opset and _has_changed(function, version, opset):
                return None
    except Exception:  # no body in this version, or native code raised what it likes
        return None
    return _called(function, node, defaults(schema))


def _has_changed(function: FunctionProto, before: int, after: int) -> bool:
    """Whether an operation in a function has changed between two versions: then it defines nothing any more."""
    operations = {node.op_type for node in function.node if node.domain in ("", "ai.onnx")}
    return any(
        get_schema(op, before, "").since_version != get_schema(op, after, "").since_version for op in operations
    )


def _called(function: FunctionProto, call: NodeProto, left: Mapping[str, AttributeProto]) -> GraphProto | None:
    if len(call.output) > len(function.output):
        return None
    left_out = {name for i, name in enumerate(function.input) if i >= len(call.input) or not call.input[i]}
    given = {**left, **{attribute.name: attribute for attribute in function.attribute_proto}}
    given |= {attribute.name: attribute for attribute in call.attribute}
    graph = GraphProto(name=call.op_type)
    for name in function.input:
        if name not in left_out:
            graph.input.add(name=name)
    for name, wanted in zip(function.output, call.output, strict=False):
        if wanted:
            graph.output.add(name=name)
    graph.node.extend(_resolved(node, given, left_out) for node in function.node)
    return graph


def _resolved(node: NodeProto, given: Mapping[str, AttributeProto], left_out: set[str]) -> NodeProto:
    found = NodeProto()
    found.CopyFrom(node)
    found.input[:] = ["" if name in left_out else name for name in node.input]
    del found.attribute[:]
    for attribute in node.attribute:
        value = AttributeProto()
        if attribute.ref_attr_name:
            if attribute.ref_attr_name not in given:
                continue
            value.CopyFrom(given[attribute.ref_attr_name])
            value.name = attribute.name
        else:
            value.CopyFrom(attribute)
        for body in (*((value.g,) if value.HasField("g") else ()), *value.graphs):
            inner = [_resolved(each, given, left_out) for each in body.node]
            del body.node[:]
            body.node.extend(inner)
        found.attribute.append(value)
    return found
