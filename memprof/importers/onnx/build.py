"""One walk over the nodes, in file order, that types every value and hands it to the ``GraphBuilder``.

For each node: what it reads must exist; its bodies are built first, as scopes of their own; the types of what it
writes are what the file states, completed by inference where they are open; small integer results are computed, since
later shapes may need them; what stays open is given to ``Causes``, unless something before it is to blame.

A name that a body does not define comes from the scope around it and becomes a capture on both sides, level by level.
Recursion follows bodies alone, whose depth is checked before. Complexity: O(nodes), times the passes over the bodies
of loops whose carried shapes change (few, and counted against the node limit).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from memprof.base.errors import InputError, LimitError
from memprof.importers.onnx.attributes import kept_attributes
from memprof.importers.onnx.bodies import Bodies, Body, build_bodies, misfit_of_bodies
from memprof.importers.onnx.constants import Constant
from memprof.importers.onnx.control_flow import CONTROL_FLOW
from memprof.importers.onnx.facts import UNKNOWN_FACT, Fact, FactTable, are_aligned, known_elements
from memprof.importers.onnx.given import given_fact
from memprof.importers.onnx.intervals import Intervals
from memprof.importers.onnx.library import GraphProto, NodeProto, TypeProto
from memprof.importers.onnx.limits import MAX_DISTINCT, check_depth, check_frame, check_names, check_node
from memprof.importers.onnx.modules import module_path
from memprof.importers.onnx.node_facts import (
    Call,
    Context,
    bind_axes,
    complete,
    note_largest,
    output_facts,
    settle_largest,
)
from memprof.importers.onnx.ops import ELEMENTWISE, KNOWN_DOMAINS, RANDOM, VIEWS, op_name
from memprof.importers.onnx.order import explain_missing
from memprof.importers.onnx.origins import Origin, Origins
from memprof.importers.onnx.tables import FreeNames, tables
from memprof.importers.onnx.twins import Answer, Known, ask, repeated
from memprof.importers.onnx.types import TypeTable
from memprof.importers.onnx.unknowns import DATA_DEPENDENT, Causes
from memprof.ir import DTYPE_BITS, Graph, GraphBuilder, NewValue, TensorType
from memprof.ir.builder import Kind

if TYPE_CHECKING:
    import numpy as np

_NO_BODIES = Bodies()


def _fact_of(ids: Mapping[str, int], facts: Sequence[Fact], name: str) -> Fact:
    return facts[ids[name]] if name in ids else UNKNOWN_FACT


def build_graph(graph: GraphProto, context: Context, causes: Causes) -> Graph:
    """Return ``graph`` as memprof's, with the ``causes`` of unknown sizes in it.

    Raises:
        InputError: A node reads what nothing before it writes, or two tensors share a name.
        LimitError: A type is larger than a tensor can be, or loops need too many passes.
    """
    return Scope(graph, context, causes, None).build()


class Scope:
    """One graph or body while it is being built."""

    def __init__(self, graph: GraphProto, context: Context, causes: Causes, parent: Scope | None) -> None:
        self.depth: int = 0 if parent is None else parent.depth + 1
        check_depth(self.depth)
        check_frame(graph, context.room)
        check_names((graph.name,))
        self._graph = graph
        self._context = context
        self.types: TypeTable = context.types
        self.facts: FactTable = context.facts
        self.causes = causes
        self._parent = parent
        self._builder = GraphBuilder(graph.name, context.inference.opset)
        self._ids: dict[str, int] = {}
        self._facts: list[Fact] = []  # by value id
        self._settled: list[int] = []  # by value id what decides about its readers, see ``twins``
        self._constants: set[int] = set()  # ids of those that are marked for their elements
        self._tainted: set[int] = set()
        self._stated: dict[str, Fact] = {}
        self._outputs: list[int] = []
        self._origins = Origins()
        self._table_names: FreeNames | None = None  # most graphs need none
        self.captured: dict[str, int] = {}  # name to its id in the scope around
        fact = partial(_fact_of, self._ids, self._facts)  # not bound to the scope: a cycle would keep the whole file
        self.intervals: Intervals = Intervals(graph, fact, None if parent is None else parent.intervals)

    def build(
        self, given: Sequence[TensorType] = (), tainted: Collection[int] = (), facts: Sequence[Fact] | None = None
    ) -> Graph:
        """Return the finished graph.

        Args:
            given: Types of a body's inputs as its owner hands them in.
            tainted: Indices of body inputs that suffer from an unknown size outside.
            facts: All that is known of the inputs, for a definition: nothing is bound by name then.
        """
        graph = self._graph
        for named in (graph.input, graph.initializer, graph.value_info, graph.output):
            check_names([each.name for each in named])
        check_names([sparse.values.name for sparse in graph.sparse_initializer])
        self._stated = {info.name: self._read_type(info.type) for info in chain(graph.value_info, graph.output)}
        self._add_parameters()
        if facts is None:
            self._add_inputs(given, tainted)
        else:
            for info, fact in zip(graph.input, facts, strict=False):
                value_id = self._builder.add_input(info.name, fact.type)
                self._define(info.name, value_id, fact, is_tainted=fact.is_open)
        self._add_nodes()
        self._outputs = [self._output(info.name) for info in graph.output]
        if self._parent is None:
            self._blame_the_first()
            for unknown in self.causes.found:
                self._builder.add_unknown(unknown)
            for assumption in self._context.assumed.values():
                self._builder.add_assumption(assumption)
        return self._builder.build(self._outputs, known_elements(self._facts))

    @property
    def opset(self) -> int:
        """Version of ONNX's own operations that the model imports, 0 if none."""
        return self._context.inference.opset or 0

    @property
    def takes_largest(self) -> bool:
        """Whether what the data decide is taken at its largest."""
        return self._context.takes_largest

    @property
    def output_facts(self) -> list[Fact]:
        """What is known of the graph's outputs, once built."""
        return [self._facts[i] for i in self._outputs]

    @property
    def tainted_outputs(self) -> list[bool]:
        """Which of the graph's outputs suffer from something unknown, once built."""
        return [i in self._tainted for i in self._outputs]

    def fact(self, value_id: int) -> Fact:
        """Return what is known of a value."""
        return self._facts[value_id]

    def elements(self, value_id: int | None) -> np.ndarray[Any, Any] | None:
        """Return the elements of a small constant, ``None`` for anything else."""
        constant = None if value_id is None else self._facts[value_id].constant
        if constant is None:
            return None
        self._context.goes_beyond |= constant.is_beyond
        return constant.array

    def is_tainted(self, value_id: int | None) -> bool:
        """Whether a value suffers from something unknown before it."""
        return value_id in self._tainted

    def body(self, graph: GraphProto, given: Sequence[TensorType] = (), tainted: Collection[int] = ()) -> Body:
        """Return a body of a node of this scope, built; see ``build``."""
        scope = Scope(graph, self._context, self.causes.child(), self)
        return Body(scope, scope.build(given, tainted))

    def define(self, graph: GraphProto, facts: Sequence[Fact]) -> Graph:
        """Return what a node of this scope is defined as, built."""
        scope = Scope(graph, self._context, self.causes.child(), None)
        scope.depth = self.depth + 1
        check_depth(scope.depth)
        return scope.build(facts=facts)

    def lookup(self, name: str) -> int | None:
        """Return the id of ``name`` here, captured from the scopes around if it is theirs, else ``None``."""
        found = self._ids.get(name)
        parent = self._parent
        if found is not None or parent is None:
            return found
        outer = parent.lookup(name)
        if outer is None:
            return None
        self.captured[name] = outer
        fact = parent.fact(outer)
        value_id = self._builder.add_capture(name, fact.type)
        return self._define(name, value_id, fact, is_tainted=parent.is_tainted(outer))

    def _define(self, name: str, value_id: int, fact: Fact, *, is_tainted: bool) -> int:
        self._ids[name] = value_id
        return self._record(value_id, fact, is_tainted=is_tainted)

    def _record(self, value_id: int, fact: Fact, *, is_tainted: bool) -> int:
        assert value_id == len(self._facts), "facts are kept in the builder's order"
        self._facts.append(fact)
        mark = 0 if is_tainted else fact.settled
        if fact.constant is not None and not is_tainted and (mark := self._context.marks.of(fact)):
            self._constants.add(value_id)
        self._settled.append(mark)
        if is_tainted:
            self._tainted.add(value_id)
        return value_id

    def _add_parameters(self) -> None:
        types = self._context.types
        for tensor in self._graph.initializer:
            name = tensor.name
            fact = self.facts.of(types.of_tensor(tensor))
            if fact.is_small and name not in self._context.replaceable:
                fact = self.facts.constant(fact.type, Constant(tensor))
            self._add_parameter(name, fact)
        for sparse in self._graph.sparse_initializer:
            self._add_parameter(sparse.values.name, self.facts.of(types.of_sparse(sparse.values, sparse.dims)))

    def _add_parameter(self, name: str, fact: Fact) -> None:
        if not name:
            raise InputError("The model has an initialiser without a name.", "Export the model again.")
        if fact.is_open:
            self.causes.parameter(name, fact.type)
        value_id = self._builder.add_parameter(name, fact.type)
        self._define(name, value_id, fact, is_tainted=fact.is_open)

    def _add_inputs(self, given: Sequence[TensorType], tainted: Collection[int]) -> None:
        context, is_main, parameters = self._context, self._parent is None, set(self._ids)
        for i, info in enumerate(self._graph.input):
            name = info.name
            if name in parameters:
                continue  # an initialiser that the caller could replace: a parameter
            if not name:
                raise InputError("The model has a graph input without a name.", "Export the model again.")
            stated = self._read_type(info.type)
            of = stated.type if i >= len(given) else context.types.merge(stated.type, given[i])
            if is_main and name in context.bindings.shapes:
                of = context.types.of(of.dtype, context.bindings.shapes[name])
            of = bind_axes(name, of, context)
            fact = self.facts.described(of, stated.proto)
            if is_main and name in context.values:
                fact = given_fact(name, fact, context)
                of = fact.type
            if fact.is_open and is_main:
                self.causes.graph_input(name, of)
            elif of.dtype is not None and of.dtype not in DTYPE_BITS and i not in tainted:
                self.causes.parameter(name, of)  # a body that takes what nobody outside gives
            value_id = self._builder.add_input(name, of)
            self._define(name, value_id, fact, is_tainted=fact.is_open or i in tainted)
            if is_main and self._origins.add_input(value_id, name, fact):
                self._settled[value_id] = 0

    def _output(self, name: str) -> int:
        found = self.lookup(name) if name else None
        if found is None:
            raise InputError(f"The graph output {name!r} is written by no node.", "Export the model again.")
        return found

    def _read_type(self, proto: TypeProto) -> Fact:
        of = self._context.types.read(proto)
        is_tensor = proto.WhichOneof("value") in ("tensor_type", "sparse_tensor_type", None)
        return self.facts.of(of) if is_tensor else self.facts.described(of, proto)

    def _add_nodes(self) -> None:
        nodes, context = self._graph.node, self._context
        context.nodes_left -= len(nodes)
        if context.nodes_left < 0:
            raise LimitError("The bodies of the model's loops need too many passes.")
        known = Known(
            ids=self._ids,
            facts=self._facts,
            settled=self._settled,
            stated=self._stated,
            bound=context.bindings.axes,
            answers=context.answers,
            add=self._add_node,
            spend=context.spend,
        )
        self._builder.add_alike(repeated(nodes, known))

    def _add_node(self, node: NodeProto) -> None:
        context, ids, settled = self._context, self._ids, self._settled
        names, written = node.input[:], node.output[:]  # slices: a third faster than list()
        context.spend(len(names) + len(written))
        marks: list[int | None]
        try:
            inputs: tuple[int | None, ...] = tuple(map(ids.__getitem__, names))
            marks = list(map(settled.__getitem__, inputs))  # type: ignore[arg-type] # none is None
        except KeyError:  # one is left out, or from a scope around
            inputs = tuple([self._read(node, name) if name else None for name in names])
            marks = [None if i is None else settled[i] for i in inputs]
        constants = not self._constants.isdisjoint(inputs)
        question = ask(node, marks, written, has_constants=constants)
        answer = None if question is None else context.answers.get(question)
        if answer is not None and self._repeat(node, (inputs, written), answer):
            return
        context.distinct_left -= 1
        if context.distinct_left < 0:
            raise LimitError(
                f"More than {MAX_DISTINCT} operations of the model differ from all others in sizes or elements."
            )
        notes = len(context.assumed)
        answer = self._add_new_node(node, inputs)
        is_alone = len(context.assumed) > notes  # what was taken for it is said of each by its name
        if question is None or answer is None or is_alone or (constants and answer.kind.definition):
            return
        context.answers[question] = answer

    def _repeat(self, node: NodeProto, frame: tuple[tuple[int | None, ...], Sequence[str]], answer: Answer) -> bool:
        """Add a node of which a twin was met before, unless the file or the caller says more of its outputs."""
        inputs, names = frame
        kind, facts = answer
        stated, bound, called = self._stated, self._context.bindings.axes, node.name
        if type(called) is not str:
            check_names((called,))
        for name, fact in zip(names, facts, strict=True):
            if type(name) is not str:
                check_names(names)
            if name in bound or (name in stated and stated[name].type is not fact.type):
                return False
        new = [NewValue(name, fact.type) if name else None for name, fact in zip(names, facts, strict=True)]
        if kind.is_view and (first := new[0]) is not None:
            new[0] = first._replace(view_of=inputs[0])
        ids = self._add(node, kind, inputs, new)
        for name, written, fact in zip(names, ids, facts, strict=True):
            if written is not None:
                self._define(name, written, fact, is_tainted=False)
        return True

    def _add_new_node(self, node: NodeProto, inputs: Sequence[int | None]) -> Answer | None:
        """Add a node, and return what holds of its twins, ``None`` if there can be none."""
        check_node(node)
        op = op_name(node)
        attributes = kept_attributes(node)
        misfit = self._context.inference.misfit(node) or misfit_of_bodies(node, op, self.opset)
        if misfit:
            self._add_malformed(node, op, inputs, misfit)
            return None
        owned = _NO_BODIES
        if op in CONTROL_FLOW or len(attributes) < len(node.attribute):  # what is not kept may be a body
            owned = build_bodies(self, node, op, inputs)
        call = Call(node, op, attributes)
        facts = self._output_facts(call, inputs, owned)
        view_of = inputs[0] if op in VIEWS and inputs else None
        new: list[NewValue | None] = []
        for name, fact in zip(node.output, facts, strict=True):
            if type(name) is not str:
                check_names((name,))
            new.append(NewValue(name, fact.type, view_of) if name else None)
            view_of = None  # the first output alone
        read = [self._facts[i] for i in inputs if i is not None]
        held = self._add_tables(node)
        kind = Kind(
            op=op,
            type=facts[0].type if facts else UNKNOWN_FACT.type,
            attributes={**attributes, **owned.decided(facts)} if owned.built else dict(attributes),
            is_view=op in VIEWS and bool(inputs),
            is_elementwise=op in ELEMENTWISE and bool(facts) and are_aligned(read, facts[0].type),
            is_foldable=op not in RANDOM and node.domain in KNOWN_DOMAINS,
            version=self._context.inference.version(node),
            definition=None if owned.built else self._definition(node, inputs),
        )
        ids = self._add(node, kind, inputs, new, (*owned.captures, *held), owned.graphs)
        self._define_outputs(node, (op, inputs), ids, facts, is_late=self._is_late(inputs, owned))
        is_open = op == "If" and len({bool(body.scope.causes.found) for body in owned.built}) > 1
        if is_open and (origin := self._origins.of(op, inputs)) is not None:  # the other branch is known
            self.causes.elements(node.name or node.output[0], op, *origin)
        for body in owned.built:
            self.causes.adopt(body.scope.causes)
        if owned.built and node.domain not in ("", "ai.onnx"):
            self.causes.bodies(node.name or next(filter(None, node.output), op), op)
        is_plain = owned is _NO_BODIES and not held and self._is_plain(call, inputs, facts)
        return Answer(kind, tuple(facts)) if is_plain else None

    def _add(
        self,
        node: NodeProto,
        kind: Kind,
        inputs: Sequence[int | None],
        new: Sequence[NewValue | None],
        captures: Sequence[int] = (),
        bodies: Sequence[Graph] = (),
    ) -> tuple[int | None, ...]:
        return self._builder.add_node(
            kind.op,
            inputs,
            new,
            name=node.name,
            captures=captures,
            bodies=bodies,
            is_elementwise=kind.is_elementwise,
            is_foldable=kind.is_foldable,
            attributes=kind.attributes,
            module=module_path(node),
            version=kind.version,
            definition=kind.definition,
        )

    def _add_tables(self, node: NodeProto) -> list[int]:
        """Add what attributes of ``node`` hold of its weights, which no other node can name, and return the ids."""
        owner = node.name or next(filter(None, node.output), node.op_type)
        found = []
        for name, of in tables(node, self.types):
            self._context.spend(1)
            self._table_names = self._table_names or FreeNames(self._graph)
            value_id = self._builder.add_parameter(self._table_names.take(f"{owner}.{name}"), of)
            found.append(self._record(value_id, self.facts.of(of), is_tainted=False))
        return found

    def _is_plain(self, call: Call, inputs: Sequence[int | None], facts: Sequence[Fact]) -> bool:
        """Tell whether what was found of the outputs follows from the inputs alone, without what the file states."""
        if not all(fact.settled for fact in facts):
            return False
        if not any(name in self._stated for name in call.node.output):
            return True
        known = [None if i is None else self._facts[i] for i in inputs]
        inferred = self._context.inference.infer(call.node, known, call.attributes)
        return [fact.type for fact in inferred] == [fact.type for fact in facts]

    def _add_malformed(self, node: NodeProto, op: str, inputs: Sequence[int | None], misfit: str) -> None:
        """Add a node of which nothing holds but its place in the graph and what the file records of its outputs."""
        facts = [self._stated.get(name, UNKNOWN_FACT) for name in node.output]
        check_names(node.output)
        ids = self._builder.add_node(
            op,
            inputs,
            [NewValue(name, fact.type) if name else None for name, fact in zip(node.output, facts, strict=True)],
            name=node.name,
            is_foldable=False,
            is_malformed=True,
            module=module_path(node),
        )
        self.causes.malformed(node.name or next(filter(None, node.output), op), op, misfit)
        for name, value_id, fact in zip(node.output, ids, facts, strict=True):
            if value_id is not None:
                self._define(name, value_id, fact, is_tainted=True)

    def _read(self, node: NodeProto, name: str) -> int:
        found = self._ids.get(name)
        if found is None:
            found = self.lookup(name)
        if found is None:
            raise explain_missing(self._graph, node, name)
        return found

    def _output_facts(self, call: Call, inputs: Sequence[int | None], owned: Bodies) -> Sequence[Fact]:
        stated = [self._stated.get(name, UNKNOWN_FACT) for name in call.node.output]
        if owned.built and call.op in CONTROL_FLOW:  # others' types follow from inputs and attributes
            found, left = settle_largest(call.node, owned.facts, owned.at_most, self._context)
            facts = complete(call.node, stated, found, self._context)
            note_largest(call.node, facts, left, self._context)
            return facts
        known = [None if i is None else self._facts[i] for i in inputs]
        return output_facts(call, known, stated, self._context, self.intervals.of)

    def _definition(self, node: NodeProto, inputs: Sequence[int | None]) -> Graph | None:
        """Return what a node is defined as, if a runtime may have to run that instead."""
        context = self._context
        known = [None if i is None else self._facts[i] for i in inputs]
        found = context.inference.definition(node, known)
        if found is None:
            return None
        key, graph = found
        built = context.definitions.get(key)
        if built is None:
            given = [fact for fact in known if fact is not None]
            try:
                built = self.define(graph, given)
            except InputError:  # it reads what this call leaves out, say
                return None
            context.definitions[key] = built
        return built

    def _is_late(self, inputs: Sequence[int | None], owned: Bodies) -> bool:
        """Whether something before this node, or in its bodies, is to blame for what it leaves open."""
        if owned.built and not owned.is_to_blame:
            return owned.has_tainted_output or not self._tainted.isdisjoint((*inputs, *owned.captures))
        return bool(self._tainted) and not self._tainted.isdisjoint(inputs)

    def _define_outputs(
        self,
        node: NodeProto,
        read: tuple[str, Sequence[int | None]],
        ids: Sequence[int | None],
        facts: Sequence[Fact],
        *,
        is_late: bool,
    ) -> None:
        op, inputs = read
        origin = self._origins.of(op, inputs)
        for name, value_id, fact in zip(node.output, ids, facts, strict=True):
            if value_id is None:
                continue
            if fact.is_open:
                self._blame(node, (name, origin), fact, is_late=is_late)
            suffers = fact.is_open or (is_late and fact.is_small and fact.constant is None)
            self._define(name, value_id, fact, is_tainted=suffers)
            if self._origins.inherit(value_id, fact, origin):
                self._settled[value_id] = 0

    def _blame(self, node: NodeProto, output: tuple[str, Origin | None], fact: Fact, *, is_late: bool) -> None:
        """Give to the causes what this node leaves open, unless something before it is to blame."""
        op, (name, origin) = op_name(node), output
        if not self._context.inference.has_schema(node):
            self.causes.operator(op, name)
        elif not is_late or op in DATA_DEPENDENT:
            if (refusal := self._context.inference.refusals.get(node.output[0])) is not None:
                self.causes.refused(node.name or name, op, refusal)
            elif origin is not None and fact.type.dtype in DTYPE_BITS:
                self.causes.elements(name, op, *origin)
            else:
                self.causes.output(name, op, fact.type)

    def _blame_the_first(self) -> None:
        """See that an open size has a cause: where each value blames one before it, the first is named."""
        if self.causes.found:
            return
        for name, value_id in self._ids.items():
            if self._facts[value_id].is_open:
                self.causes.output(name, "the model", self._facts[value_id].type)
                return
