"""What is known of a node's outputs: what the file states, then ONNX's rules, then the elements if they are few."""

from __future__ import annotations

import math
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from memprof.base.errors import LimitError
from memprof.base.text import safe_text
from memprof.importers.onnx.ahead import Evaluates, reader_evaluates, runtime_evaluates
from memprof.importers.onnx.attributes import attribute, tensor, text
from memprof.importers.onnx.bounded import largest_shapes
from memprof.importers.onnx.constants import MAX_ELEMENTS, Constant, constant_of
from memprof.importers.onnx.contradictions import contradiction, describe
from memprof.importers.onnx.counted import counted_type
from memprof.importers.onnx.decided import decided_shapes
from memprof.importers.onnx.facts import UNKNOWN_FACT, Fact, FactTable
from memprof.importers.onnx.inference import Inference
from memprof.importers.onnx.interval import Between
from memprof.importers.onnx.library import NodeProto, TensorProto
from memprof.importers.onnx.limits import USUAL, Room
from memprof.importers.onnx.ops import names
from memprof.importers.onnx.symbols import Bindings
from memprof.importers.onnx.twins import Answer, Marks, Question
from memprof.importers.onnx.types import TypeTable
from memprof.importers.request import USUAL_TEXT, Elements
from memprof.ir import BOUND, DTYPE_BITS, Assumption, Attribute, Dim, Graph, TensorType

_BLOCKED = "com.microsoft.nchwc"  # what its own tool records is the shape without the blocks
_RECORD_ANEW = "remove the recorded shapes (value_info) from the file and infer them again"
_OF_TYPES = frozenset({"Shape", "Size"})
_ANY_SIZE = frozenset({"NonZero"})
"""Operations whose result may be computed before its type is known: never larger than their input times its rank."""
EVALUATED = names(
    "Abs Add And Cast CastLike Ceil Clip Concat ConstantOfShape CumSum Div Equal Expand Flatten Floor "
    "Gather Greater GreaterOrEqual Identity Less LessOrEqual Max Min Mod Mul Neg NonZero Not Or Pow Range "
    "ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum Relu Reshape Round ScatterND Slice Split Sqrt Squeeze "
    "Sub Sum Tile Transpose Unsqueeze Where Xor"
)
"""Operations that ``evaluators`` computes: asked before it, and numpy with it, is loaded."""
_TOKENIZER = "com.microsoft.Tokenizer"
_LISTS: Mapping[str, tuple[type[Any], str]] = MappingProxyType(
    {
        "value_int": (int, "int64"),
        "value_ints": (list, "int64"),
        "value_float": (float, "float32"),
        "value_floats": (list, "float32"),
    }
)


@dataclass(slots=True)
class Context:
    """What all scopes of one model share.

    Attributes:
        types: Its types.
        facts: Facts by type.
        inference: ONNX's rules in the versions it imports.
        bindings: What the caller fixed.
        nodes_left: How many nodes may still be built, repeated passes over bodies included.
        distinct_left: How many nodes may still be met of which no twin was met before.
        edges_left: How many values they may still read and write.
        evaluates: Which operations on constants are worked out.
        takes_largest: Whether what the data decide is taken at its largest, and what a Loop carries as it begins;
            not where what onnxruntime knows is asked for.
        room: How large the model may be.
        values: Elements of graph inputs that the caller gave.
        replaceable: Names of initialisers whose elements do not count as known.
        goes_beyond: Whether a body, or the type of what was evaluated, was decided by what onnxruntime does not know
            before it runs.
        definitions: What operations are defined as, by the question.
        assumed: What was taken otherwise than the file says, by kind and name.
    """

    types: TypeTable
    facts: FactTable
    inference: Inference
    bindings: Bindings
    nodes_left: int
    edges_left: int
    distinct_left: int
    evaluates: Evaluates = reader_evaluates
    takes_largest: bool = True
    room: Room = USUAL
    values: Mapping[str, Elements] = field(default_factory=dict)
    replaceable: frozenset[str] = frozenset()
    goes_beyond: bool = False
    definitions: dict[object, Graph] = field(default_factory=dict)
    answers: dict[Question, Answer] = field(default_factory=dict)
    marks: Marks = field(default_factory=Marks)
    assumed: dict[tuple[str, str], Assumption] = field(default_factory=dict)

    def spend(self, edges: int) -> None:
        """Take values that nodes read and write off what is left.

        Raises:
            LimitError: There is too little left.
        """
        self.edges_left -= edges
        if self.edges_left < 0:
            raise LimitError(f"The nodes of the model read and write over {self.room.edges} values in all.")


@dataclass(frozen=True, slots=True)
class Call:
    """A node as it is read once.

    Attributes:
        node: The node.
        op: Its operation, with the domain unless it is ONNX's own.
        attributes: Its attributes, but for those that are no numbers, texts or short lists.
    """

    node: NodeProto
    op: str
    attributes: Mapping[str, Attribute]


def output_facts(
    call: Call, inputs: Sequence[Fact | None], stated: Sequence[Fact], context: Context, between: Between
) -> Sequence[Fact]:
    """Return what is known of each output of a node without bodies.

    Args:
        call: The node.
        inputs: What is known of its inputs, ``None`` where one is left out.
        stated: What the file says of its outputs.
        context: The model.
        between: Intervals of tensors by name.
    """
    node, op, facts = call.node, call.op, stated
    if op == "Constant":
        value = tensor(node, "value")
        if value is not None and len(stated) == 1:
            return [_tensor_fact(value, context)]
    facts = complete(node, stated, context.inference.infer(node, inputs, call.attributes), context)
    if any(fact.is_open for fact in facts) and context.evaluates is reader_evaluates:
        facts = _bounded(call, inputs, _decided(node, inputs, facts, context), context, between)
    if op in EVALUATED:
        is_known = all(fact is None or fact.constant is not None for fact in inputs)
        return _evaluated(node, op, inputs, facts, context) if is_known and context.evaluates(op, inputs) else facts
    if op in _OF_TYPES and facts and inputs and inputs[0] is not None and context.evaluates(op, inputs):
        from memprof.importers.onnx.evaluators import evaluate_shape

        array = evaluate_shape(node, inputs[0].type)
        if array is None:
            return facts
        return [_known(Constant(array, is_computed=True), facts[0], context), *facts[1:]]
    return _with_elements(node, facts, context) if op == "Constant" else facts


def _decided(node: NodeProto, inputs: Sequence[Fact | None], facts: Sequence[Fact], context: Context) -> list[Fact]:
    """Return ``facts`` with the shapes of what the data decide, where these are at hand."""
    found = list(facts)
    for i, shape in zip(range(len(found)), decided_shapes(node, inputs) or (), strict=False):
        of = found[i].type
        if found[i].is_open and (of.shape is None or _fits(of.shape, shape)):
            found[i] = context.facts.of(context.types.of(of.dtype, shape))
            context.goes_beyond = True
    return found


def _fits(known: Sequence[Dim], shape: Sequence[int]) -> bool:
    return len(known) == len(shape) and all(
        not isinstance(dim, int) or dim == size for dim, size in zip(known, shape, strict=True)
    )


def _bounded(
    call: Call, inputs: Sequence[Fact | None], facts: Sequence[Fact], context: Context, between: Between
) -> list[Fact]:
    """Return ``facts`` with the largest shapes of what the data decide, and numbers of elements that are kept."""
    node, found = call.node, list(facts)
    largest = largest_shapes(node, inputs, between) or ()
    for i, (name, fact) in enumerate(zip(node.output, facts, strict=True)):
        of = fact.type
        if not fact.is_open or not name or of.dtype not in DTYPE_BITS:
            continue
        if i < len(largest) and (of.shape is None or len(of.shape) == len(largest[i])):
            known = of.shape or (None,) * len(largest[i])
            shape = tuple(dim if isinstance(dim, int) else most for dim, most in zip(known, largest[i], strict=True))
            found[i] = context.facts.of(context.types.of(of.dtype, shape))
            axis = next((axis for axis, dim in enumerate(known) if not isinstance(dim, int)), None)
            if axis is not None:  # a single number has none
                context.assumed.setdefault((BOUND, name), _bound_note(node, name, known[axis] or axis, shape))
        elif call.op == _TOKENIZER and of.shape and None not in of.shape[:-1]:
            tokens = _usual_tokens(node)
            found[i] = context.facts.of(context.types.of(of.dtype, (*of.shape[:-1], tokens)))
            note = _tokens_note(f"{name}[{len(of.shape) - 1}]={tokens}")
            context.assumed.setdefault((note.kind, note.name), note)
        elif i == 0:
            found[i] = context.facts.of(counted_type(call.op, node, inputs, fact, context.types))
        context.goes_beyond |= found[i].type is not of
    return found


def note_largest(node: NodeProto, facts: Sequence[Fact], which: Iterable[int], context: Context) -> None:
    """Note that some outputs of a node were taken at their largest: their first dimension is what the data decide."""
    for i in which:
        name, shape = node.output[i], facts[i].type.shape
        if name and shape is not None and facts[i].is_fixed:
            fixed = tuple(dim for dim in shape if isinstance(dim, int))
            context.assumed.setdefault((BOUND, name), _bound_note(node, name, 0, fixed))
            context.goes_beyond = True


def settle_largest(
    node: NodeProto, facts: Sequence[Fact], which: Collection[int], context: Context
) -> tuple[list[Fact], list[int]]:
    """Return ``facts`` with what the caller says of first dimensions at their largest, and which are left at it."""
    found, left = list(facts), []
    for i in which:
        of, size = facts[i].type, context.bindings.axes.get(node.output[i], {}).get(0)
        if size is None or not of.shape or not isinstance(of.shape[0], int) or size > of.shape[0]:
            left.append(i)
        else:
            found[i] = context.facts.of(context.types.of(of.dtype, (size, *of.shape[1:])))
    return found, left


def _bound_note(node: NodeProto, name: str, which: int | str, shape: tuple[int, ...]) -> Assumption:
    shown = "x".join(map(str, shape))
    reason = f"{node.op_type} writes at most {shown}, which is taken; the data decide how much"
    dim = which if isinstance(which, str) else f"{name}[{which}]"
    hint = f"--dim {shlex.quote(f'{dim}=N')}"
    return Assumption(kind=BOUND, name=safe_text(name), reason=safe_text(reason, 500), hint=safe_text(hint, 500))


def _usual_tokens(node: NodeProto) -> int:
    """Return the tokens of a usual text: its words, or its characters where each is one."""
    is_each = text(node, "tokenexp") == "." or attribute(node, "separators") == [b""]
    return len(USUAL_TEXT) if is_each else len(USUAL_TEXT.split())


def _tokens_note(what: str) -> Assumption:
    hint = f"--dim {shlex.quote(what)}"
    reason = "the texts decide how many tokens Tokenizer writes; taken so"
    return Assumption(kind="dimension", name=safe_text(what), reason=reason, hint=safe_text(hint, 500))


def complete(node: NodeProto, stated: Sequence[Fact], found: Sequence[Fact], context: Context) -> list[Fact]:
    """Return what was found of each output, filled in with what the file states and with what the caller bound."""
    facts = []
    for name, of, fact in zip(node.output, stated, found, strict=True):
        merged = fact
        if of is not UNKNOWN_FACT and of.type is not fact.type:
            merged = _checked(node, name, of, fact, context)
        if merged.is_open and name in context.bindings.axes:
            merged = context.facts.of(bind_axes(name, merged.type, context))
        facts.append(merged)
    return facts


def _checked(node: NodeProto, name: str, stated: Fact, found: Fact, context: Context) -> Fact:
    """Return what both say of a tensor; where they contradict each other, what was found, and note it."""
    if found.parts is not None:
        return found
    merged = context.types.merge(stated.type, found.type)
    if merged.shape == () and found.type.shape:
        merged = context.types.merge(found.type, stated.type)
    if stated.proto is None and found.proto is None and node.domain != _BLOCKED:
        kind = contradiction(stated.type, found.type)
        if kind:
            merged = context.types.merge(found.type, stated.type)
            was, now = describe(stated.type), describe(found.type)
            reason = f"the file records {was}, and {node.op_type} writes {now}, which counts"
            note = Assumption(kind=kind, name=safe_text(name), reason=safe_text(reason, 500), hint=_RECORD_ANEW)
            context.assumed.setdefault((kind, name), note)
    return context.facts.described(merged, stated.proto or found.proto)


def bind_axes(name: str, of: TensorType, context: Context) -> TensorType:
    """Return ``of`` with the dimensions that the caller fixed for this very tensor."""
    fixed = context.bindings.axes.get(name)
    if not fixed or of.shape is None:
        return of
    shape = tuple(dim if isinstance(dim, int) else fixed.get(axis, dim) for axis, dim in enumerate(of.shape))
    return context.types.of(of.dtype, shape)


def _tensor_fact(value: TensorProto, context: Context) -> Fact:
    fact = context.facts.of(context.types.of_tensor(value))
    return context.facts.constant(fact.type, Constant(value)) if fact.is_small else fact


def _with_elements(node: NodeProto, facts: Sequence[Fact], context: Context) -> Sequence[Fact]:
    """Return the facts of a Constant whose elements are a list in an attribute."""
    for name, (kind, dtype) in _LISTS.items():
        value = attribute(node, name)
        values = value if isinstance(value, list) else [value]
        if isinstance(value, kind) and len(facts) == 1 and len(values) <= MAX_ELEMENTS:
            return [_known(constant_of(dtype, values, is_scalar=value is not values), facts[0], context)]
    return facts


def _evaluated(
    node: NodeProto, op: str, inputs: Sequence[Fact | None], facts: Sequence[Fact], context: Context
) -> Sequence[Fact]:
    if op not in _ANY_SIZE and not all(fact.is_small for fact in facts):
        return facts
    from memprof.importers.onnx.evaluators import evaluate

    arrays = [None if fact is None or fact.constant is None else fact.constant.array for fact in inputs]
    if any(array is None and fact is not None for array, fact in zip(arrays, inputs, strict=True)):
        return facts
    found = evaluate(node, arrays)
    if found is None or len(found) != len(facts):
        return facts
    beyond = not runtime_evaluates(op, inputs) or any(fact is not None and is_beyond(fact) for fact in inputs)
    context.goes_beyond |= beyond and any(fact.is_open for fact in facts)
    constants = [Constant(array, is_computed=True, is_beyond=beyond) for array in found]
    return [_known(constant, of, context) for constant, of in zip(constants, facts, strict=True)]


def is_beyond(fact: Fact) -> bool:
    """Whether the elements are known here, but not to onnxruntime before it runs."""
    return fact.constant is not None and fact.constant.is_beyond


def _known(constant: Constant, fact: Fact, context: Context) -> Fact:
    """Return ``fact`` with its elements, unless they contradict its type."""
    dtype, shape = constant.type
    of = context.types.merge(fact.type, context.types.of(dtype, shape))
    if math.prod(shape) > MAX_ELEMENTS or of.shape != shape or of.dtype != dtype:
        return fact
    return context.facts.constant(of, constant)
