"""What is known of a node's outputs: what the file states, then ONNX's rules, then the elements if they are few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from onnx import NodeProto

from memprof.importers.onnx.attributes import attribute
from memprof.importers.onnx.constants import (
    ANY_SIZE,
    EVALUATORS,
    FLOATS,
    MAX_ELEMENTS,
    MAX_FLOATS,
    Constant,
    evaluate,
    evaluate_shape,
)
from memprof.importers.onnx.inference import Fact, Inference
from memprof.importers.onnx.symbols import Bindings
from memprof.importers.onnx.types import TypeTable
from memprof.ir import TensorType

_OF_TYPES = frozenset({"Shape", "Size"})
_LISTS = (
    ("value_int", np.int64),
    ("value_ints", np.int64),
    ("value_float", np.float32),
    ("value_floats", np.float32),
)


@dataclass(slots=True)
class Context:
    """What all scopes of one model share.

    Attributes:
        types: Its types.
        inference: ONNX's rules in the versions it imports.
        bindings: What the caller fixed.
        nodes_left: How many nodes may still be built, repeated passes over bodies included.
    """

    types: TypeTable
    inference: Inference
    bindings: Bindings
    nodes_left: int


def output_facts(
    node: NodeProto, op: str, inputs: Sequence[Fact | None], stated: Sequence[TensorType], context: Context
) -> list[Fact]:
    """Return what is known of each output of a node without bodies.

    Args:
        node: The node.
        op: Its operation, with the domain unless it is ONNX's own.
        inputs: What is known of its inputs, ``None`` where one is left out.
        stated: What the file says of its outputs.
        context: The model.
    """
    if op == "Constant":
        return [_constant_fact(node, stated, context)]
    if all(of.size_bytes is not None for of in stated):
        facts = [Fact(of) for of in stated]
    else:
        facts = complete(node, stated, context.inference.infer(node, inputs), context)
    if op in _OF_TYPES and inputs and inputs[0] is not None:
        array = evaluate_shape(node, inputs[0].type)
        return facts if array is None else [_known(array, facts[0], context), *facts[1:]]
    if op in EVALUATORS and inputs:
        return _evaluated(node, op, inputs, facts, context)
    return facts


def complete(node: NodeProto, stated: Sequence[TensorType], found: Sequence[Fact], context: Context) -> list[Fact]:
    """Return what the file states of each output, filled in with what was found and with what the caller bound."""
    types, facts = context.types, []
    for name, of, fact in zip(node.output, stated, found, strict=True):
        merged = types.merge(of, fact.type)
        if merged.size_bytes is None:
            merged = bind_axes(name, merged, context)
        facts.append(Fact(merged, fact.constant, fact.proto))
    return facts


def bind_axes(name: str, of: TensorType, context: Context) -> TensorType:
    """Return ``of`` with the dimensions that the caller fixed for this very tensor."""
    fixed = context.bindings.axes.get(name)
    if not fixed or of.shape is None:
        return of
    shape = tuple(dim if isinstance(dim, int) else fixed.get(axis, dim) for axis, dim in enumerate(of.shape))
    return context.types.of(of.dtype, shape)


def _constant_fact(node: NodeProto, stated: Sequence[TensorType], context: Context) -> Fact:
    tensor = attribute(node, "value")
    if tensor is not None:
        of = context.types.of_tensor(tensor)
        count = of.element_count
        return Fact(of, Constant(tensor) if count is not None and count <= MAX_ELEMENTS else None)
    (fact,) = complete(node, stated, context.inference.infer(node, ()), context)
    for name, dtype in _LISTS:
        value = attribute(node, name)
        if value is not None and np.size(value) <= MAX_ELEMENTS:
            return Fact(fact.type, Constant(np.array(value, dtype=dtype)))
    return fact


def _evaluated(
    node: NodeProto, op: str, inputs: Sequence[Fact | None], facts: list[Fact], context: Context
) -> list[Fact]:
    if not all(fact is None or fact.constant is not None for fact in inputs):
        return facts
    if op not in ANY_SIZE and not all(_is_worth_computing(fact.type) for fact in facts):
        return facts
    arrays = [None if fact is None or fact.constant is None else fact.constant.array for fact in inputs]
    if any(array is None and fact is not None for array, fact in zip(arrays, inputs, strict=True)):
        return facts
    found = evaluate(node, arrays)
    if found is None or len(found) != len(facts):
        return facts
    return [_known(array, fact, context) for array, fact in zip(found, facts, strict=True)]


def _is_worth_computing(of: TensorType) -> bool:
    """Whether a tensor is known to be small, and its elements could still decide a shape."""
    count = of.element_count
    return count is not None and count <= (MAX_FLOATS if of.dtype in FLOATS else MAX_ELEMENTS)


def _known(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]], fact: Fact, context: Context) -> Fact:
    """Return ``fact`` with its elements, unless they contradict its type."""
    of = context.types.merge(fact.type, context.types.of(array.dtype.name, array.shape))
    if array.size > MAX_ELEMENTS or of.shape != array.shape or of.dtype != array.dtype.name:
        return fact
    return Fact(of, Constant(array))
