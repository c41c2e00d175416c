"""Types of one node's outputs, from the types of its inputs: ONNX's own rules, asked one node at a time.

Why not ``infer_shapes`` on the whole model: it propagates data without bounds (twenty Concat nodes that each double
their input cost 4 s and 800 MB, thirty the machine), cannot be stopped, and has to be asked again whenever a
constant becomes known. One node has bounded inputs and outputs, checked in between, and networks repeat themselves:
answers are kept by operation, attributes, input types and small constants, so that a stack of equal layers costs one
question. Complexity: O(nodes) look-ups, one question per distinct node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from memprof.importers.onnx.attributes import attribute
from memprof.importers.onnx.constants import FLOATS, Constant, empty_constant
from memprof.importers.onnx.contributed import contributed_types, is_contributed
from memprof.importers.onnx.definitions import definition_of, may_need_definition
from memprof.importers.onnx.facts import UNKNOWN_FACT, Fact, FactTable
from memprof.importers.onnx.frames import Frames, misfit_of_values
from memprof.importers.onnx.library import (
    GraphProto,
    NodeProto,
    OperatorSetIdProto,
    OpSchema,
    SchemaError,
    TypeProto,
    get_schema,
    infer_node_outputs,
)
from memprof.importers.onnx.overruled import as_run, overruled_types
from memprof.importers.onnx.rules import simple_type
from memprof.importers.onnx.sequences import sequence_facts
from memprof.importers.onnx.types import TypeTable
from memprof.ir import Attribute

_TYPED_LIKE: Mapping[str, Mapping[int, int]] = MappingProxyType(
    {
        "BatchNormalization": {1: 3, 2: 3, 3: 3, 4: 3},  # statistics, before opset 14
        "Dropout": {1: 0},  # the mask, before opset 10
        "GroupNormalization": {0: 0},
        "Imputer": {0: 0},
        "MeanVarianceNormalization": {0: 0},
        "StringNormalizer": {0: 0},  # unless it leaves words out
    }
)
"""Outputs that the specification types like an input and ONNX's rules leave out: output index to input index."""


_LEAVES_OUT = "stopwords"
_DECIDED_BY_FLOATS = frozenset({"MelWeightMatrix", "Range", "Resize", "Upsample"})


class Inference:
    """Infers the outputs of nodes of one model.

    Args:
        opsets: Version of each domain that the model imports.
        ir_version: The model's.
        types: The model's types.
        facts: The model's facts.
    """

    def __init__(self, opsets: Mapping[str, int], ir_version: int, types: TypeTable, facts: FactTable) -> None:
        self._opsets = {"" if domain == "ai.onnx" else domain: version for domain, version in opsets.items()}
        self._imports = [OperatorSetIdProto(domain=domain, version=v) for domain, v in self._opsets.items()]
        self.goes_beyond = False  # whether elements were used that onnxruntime does not know before it runs
        self._ir_version = ir_version
        self._types = types
        self._facts = facts
        self._schemas: dict[tuple[str, str], OpSchema | None] = {}
        self._frames = Frames()
        self._answers: dict[tuple[object, ...], tuple[Fact, ...]] = {}
        self._refused: dict[tuple[object, ...], str] = {}
        self.refusals: dict[str, str] = {}  # by the first output of a node, why its inputs do not fit it

    @property
    def opset(self) -> int | None:
        """Version of ONNX's own operations that the model imports."""
        return self._opsets.get("")

    def has_schema(self, node: NodeProto) -> bool:
        """Whether ONNX defines the operation in the version that the model imports, or onnxruntime does."""
        return self._schema(node) is not None or is_contributed(node)

    def version(self, node: NodeProto) -> int:
        """Return the version in which the operation last changed, 0 if ONNX does not define it."""
        schema = self._schema(node)
        return 0 if schema is None else schema.since_version

    def definition(self, node: NodeProto, inputs: Sequence[Fact | None]) -> tuple[object, GraphProto] | None:
        """Return what ``node`` is defined as, with a key that equal questions share, ``None`` if nobody will ask."""
        schema = self._schema(node)
        first = next((fact.type.dtype for fact in inputs if fact is not None), None)
        if schema is None or not may_need_definition(schema, first):
            return None
        types = [TypeProto() if fact is None else fact.proto or self._types.to_proto(fact.type) for fact in inputs]
        found = definition_of(schema, node, types, self._opsets.get(schema.domain, 0))
        if found is None:
            return None
        key: list[object] = [found.SerializeToString()]
        for fact in inputs:
            if fact is not None:
                constant = fact.constant
                key += [_identity(fact), constant.key if constant is not None and constant.is_held else None]
        return tuple(key), found

    def misfit(self, node: NodeProto) -> str:
        """Return why ``node`` is malformed in a few words, empty if it is not."""
        schema = self._schema(node)
        return ("" if schema is None else self._frames.misfit(node, schema)) or misfit_of_values(node)

    def infer(
        self, node: NodeProto, inputs: Sequence[Fact | None], attributes: Mapping[str, Attribute]
    ) -> tuple[Fact, ...]:
        """Return what ONNX says of each output of ``node``; ``UNKNOWN_FACT`` where it says nothing.

        Args:
            node: A node without bodies.
            inputs: What is known of its inputs, ``None`` where one is left out.
            attributes: Its attributes, but for those that are no numbers, texts or short lists.

        Raises:
            LimitError: An output is larger than a tensor can be.
        """
        first = inputs[0] if inputs else None
        if first is not None and first.parts is not None and node.op_type == "Identity" and len(inputs) == 1:
            return (first,)
        if node.domain in ("", "ai.onnx") and self._schema(node) is not None:
            simple = simple_type(node, inputs, attributes, self._opsets[""], self._types)
            if simple is not None:
                return (self._facts.of(simple),)
            ours = overruled_types(node, inputs, attributes, self._types)
            if ours is not None:
                return tuple(self._facts.of(of) for of in ours)
        key: list[object] = [node.op_type, node.domain, *map(bool, node.output)]
        if len(attributes) == len(node.attribute):
            key += attributes.items()
        else:
            key += [attribute.SerializeToString() for attribute in node.attribute]
        data: list[Constant | None] = []
        for fact in inputs:
            constant = None if fact is None else _deciding_constant(node.op_type, fact)
            data.append(constant)
            key.append(None if fact is None else _identity(fact))
            if constant is not None:
                key.append(constant.key)
                self.goes_beyond |= constant.is_beyond
        question = tuple(key)
        found = self._answers.get(question)
        if found is None:
            found = self._answers[question] = self._ask(node, inputs, data, question)
        if question in self._refused and node.output:
            self.refusals[node.output[0]] = self._refused[question]
        return found

    def _schema(self, node: NodeProto) -> OpSchema | None:
        key = ("" if node.domain == "ai.onnx" else node.domain, node.op_type)
        if key not in self._schemas:
            version = self._opsets.get(key[0])
            try:
                found = None if version is None else get_schema(node.op_type, version, key[0])
            except (SchemaError, TypeError):  # not defined; a version over 2^31
                found = None
            self._schemas[key] = found
        return self._schemas[key]

    def _ask(
        self,
        node: NodeProto,
        inputs: Sequence[Fact | None],
        data: Sequence[Constant | None],
        question: tuple[object, ...],
    ) -> tuple[Fact, ...]:
        schema = self._schema(node)
        if schema is None:
            read = [None if fact is None else fact.type for fact in inputs]
            return tuple(self._facts.of(of) for of in contributed_types(node, read, self._types, data))
        named = [(name, fact) for name, fact in zip(node.input, inputs, strict=True) if fact is not None]
        try:
            answers = infer_node_outputs(
                schema,
                as_run(node),
                {name: fact.proto or self._types.to_proto(fact.type) for name, fact in named},
                {name: found.tensor for name, found in zip(node.input, data, strict=True) if found is not None},
                self._imports,
                self._ir_version,
            )
        except (
            Exception
        ) as error:  # native code raises a dozen kinds; whatever it is, this node's shape stays unknown
            answers = {}
            if all(fact is None or fact.is_fixed for fact in inputs):
                self._refused[question] = str(error).strip().rpartition("] ")[2].partition("\n")[0].rstrip(".")
        found = [self._fact(answers[name]) if name in answers else UNKNOWN_FACT for name in node.output]
        if is_contributed(node):  # of other domains, where ONNX's rules leave open what kernels do
            read = [None if fact is None else fact.type for fact in inputs]
            pairs = zip(found, contributed_types(node, read, self._types, data), strict=True)
            found = [self._facts.of(self._types.merge(a.type, b)) if a.is_open else a for a, b in pairs]
        alike = {} if attribute(node, _LEAVES_OUT) else _TYPED_LIKE.get(node.op_type, {})
        for output, source in alike.items():
            like = inputs[source] if source < len(inputs) else None
            if like is not None and output < len(found) and found[output].is_open:
                found[output] = self._facts.of(like.type)
        if not node.domain and len(found) == 1:
            found = sequence_facts(node, inputs, found, self._types, self._facts)
        return tuple(found)

    def _fact(self, proto: TypeProto) -> Fact:
        kind = proto.WhichOneof("value")
        is_tensor = kind in ("tensor_type", "sparse_tensor_type", None)
        return self._facts.described(self._types.read(proto), None if is_tensor else proto)


def _identity(fact: Fact) -> object:
    of = id(fact.type)  # types are interned
    if fact.proto is None:
        return of
    return fact.proto.SerializeToString(), of, None if fact.parts is None else tuple(map(id, fact.parts))


def _deciding_constant(op: str, fact: Fact) -> Constant | None:
    """Return the elements of an input if they may decide a shape."""
    if fact.type.shape == (0,):  # no elements: the same in every run, whoever gives it
        return empty_constant(fact.type.dtype)
    constant = fact.constant
    if constant is None or (fact.type.dtype in FLOATS and op not in _DECIDED_BY_FLOATS):
        return None
    return constant if constant.is_held else None
