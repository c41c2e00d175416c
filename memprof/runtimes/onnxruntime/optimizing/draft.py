"""A graph on its way through optimisation: operations that can be removed, joined and replaced, then built anew.

Ids of values are those of the graph that was read; what a rule adds gets ids behind them. Operations carry
onnxruntime's number, which decides the order in which it looks at them and runs them: what a rule adds gets the next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from memprof.ir import Attribute, Graph, Node, Role, TensorType
from memprof.runtimes.onnxruntime.optimizing.folding import KEPT

Dims = tuple[int | str | None, ...]


@dataclass(slots=True, eq=False, kw_only=True)
class Step:
    """One operation of the draft.

    Attributes:
        node: The operation of the file that it stems from: its last, of several that were joined.
        op: What it is now.
        inputs: Ids of what it reads.
        outputs: Ids of what it writes.
        attributes: Its attributes.
        index: onnxruntime's number of it.
        is_gone: Whether it was removed.
    """

    node: Node
    op: str
    inputs: list[int | None]
    outputs: list[int | None]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    index: int = 0
    is_gone: bool = False

    @property
    def output(self) -> int:
        """Id of the first thing it writes, -1 if it writes nothing."""
        first = self.outputs[0] if self.outputs else None
        return -1 if first is None else first

    def read(self, position: int) -> int:
        """Return the id of what it reads at a position, -1 if it reads nothing there."""
        found = self.inputs[position] if position < len(self.inputs) else None
        return -1 if found is None else found

    @property
    def given(self) -> list[int]:
        """Ids of what it reads, those left out excepted."""
        return [i for i in self.inputs if i is not None]


class Draft:
    """The operations of a graph that do not follow from weights alone.

    Attributes:
        types: Type of each value.
        fixed: Ids of values that are weights or follow from such alone.
        graph: What was read.
        done: Operations that read nothing but weights, each with its number.
    """

    def __init__(
        self, graph: Graph, index: Sequence[int], ahead: Graph | None = None, constants: frozenset[str] = frozenset()
    ) -> None:
        """Read a graph.

        Args:
            graph: The graph.
            index: onnxruntime's number of each node.
            ahead: The same with no more known than onnxruntime knows before it runs, ``None`` if nothing differs.
            constants: Names of values around a body that are weights.
        """
        self.graph = graph
        self.types = [value.type for value in graph.values]
        self._ahead = self.types if ahead is None else [value.type for value in ahead.values]
        self._elements = dict((ahead or graph).elements)
        self.fixed = {
            i
            for i, value in enumerate(graph.values)
            if value.role is Role.PARAMETER or (value.role is Role.CAPTURE and value.name in constants)
        }
        self.done: list[tuple[Node, int]] = []
        self._steps: dict[int, Step] = {}  # by number
        self._writers: dict[int, Step] = {}
        self._readers: dict[int, dict[tuple[Step, int], None]] = {}  # who reads a value, and at which positions
        self._ops: Counter[str] = Counter()
        self._order: list[Step] | None = None
        self._outputs = set(graph.outputs)
        self._captured = Counter(i for node in graph.nodes for i in node.captures)
        self._next = max(index, default=-1) + 1
        same: dict[int | None, int | None] = {}  # a weight under another name -> the weight
        for node, number in zip(graph.nodes, index, strict=True):
            if self._is_known(node):
                self.fixed.update(node.writes)
                self.done.append((node, number))
                if node.op == "Identity" and not self._outputs.intersection(node.writes):
                    same[node.outputs[0]] = same.get(node.inputs[0], node.inputs[0])
                elif node.op == "Cast" and node.inputs[0] in self._elements:
                    self._elements.setdefault(node.writes[0], self._elements[node.inputs[0]])
            else:
                inputs = [same.get(i, i) for i in node.inputs] if same else list(node.inputs)
                step = Step(node=node, op=node.op, inputs=inputs, outputs=list(node.outputs), index=number)
                step.attributes = node.attributes
                self._link(step)

    def _is_known(self, node: Node) -> bool:
        """Whether what a node writes follows from weights and from shapes that are known."""
        if node.op == "Shape":
            return bool(node.inputs) and self.shape(node.inputs[0]) is not None
        if node.op == "Constant":
            return True
        reads = node.reads
        is_kept = node.op in KEPT and node.op != "QuantizeLinear"  # a weight is quantised ahead
        return bool(reads) and not node.bodies and not is_kept and all(i in self.fixed for i in reads)

    # what is there

    def small_constants(self) -> Iterator[tuple[int, tuple[float, ...]]]:
        """Yield the ids of small constants with what they hold."""
        return ((i, found) for i, found in self._elements.items() if i in self.fixed)

    def has(self, *ops: str) -> bool:
        """Return whether there is any such operation."""
        return any(self._ops[op] for op in ops)

    @property
    def version(self) -> tuple[int, int]:
        """Changes whenever an operation is added or removed."""
        return self._next, len(self._steps)

    def ordered(self) -> list[Step]:
        """Return the operations in the order in which onnxruntime would run them now: see ``order``."""
        if self._order is None:
            self._order = self._search()
        return list(self._order)

    def of(self, *ops: str) -> list[Step]:
        """Return the operations of some kinds, in order."""
        return [step for step in self.ordered() if step.op in ops] if self.has(*ops) else []

    def writer(self, value_id: int | None) -> Step | None:
        """Return what writes a value."""
        return None if value_id is None else self._writers.get(value_id)

    def writer_of(self, value_id: int | None, *ops: str) -> Step | None:
        """Return what writes a value, if it is of some kinds."""
        found = self.writer(value_id)
        return found if found is not None and found.op in ops else None

    def readers(self, value_id: int) -> list[Step]:
        """Return what reads a value, one entry for each time."""
        return [step for step, _ in self._readers.get(value_id, ())]

    def reads_of(self, value_id: int) -> list[tuple[Step, int]]:
        """Return what reads a value, and at which positions."""
        return list(self._readers.get(value_id, ()))

    def only_reader(self, value_id: int, *ops: str) -> Step | None:
        """Return what alone reads a value, if it is of some kinds (any, if none are given)."""
        found = self._readers.get(value_id, ())
        if len(found) != 1 or self.is_seen(value_id):
            return None
        ((reader, _),) = found
        return reader if not ops or reader.op in ops else None

    def uses(self, value_id: int) -> int:
        """Return how often a value is read, by the caller too."""
        return len(self._readers.get(value_id, ())) + self.is_seen(value_id)

    def is_seen(self, value_id: int) -> bool:
        """Return whether the caller or a body reads a value, so that it has to stay."""
        return value_id in self._outputs or self._captured[value_id] > 0

    def is_fixed(self, value_id: int | None) -> bool:
        """Return whether a value is a weight or follows from such alone."""
        return value_id in self.fixed

    def is_own_weight(self, value_id: int) -> bool:
        """Return whether a value is a weight, and none of the graph around a body."""
        values = self.graph.values
        is_captured = value_id < len(values) and values[value_id].role is Role.CAPTURE
        return value_id in self.fixed and not is_captured

    def elements(self, value_id: int | None) -> tuple[float, ...] | None:
        """Return what a small constant holds, ``None`` if that is not known."""
        return self._elements.get(value_id) if value_id is not None and value_id in self.fixed else None

    def canonical(self, value_id: int | None) -> object:
        """Return what stands for a value when two are compared: of small constants their elements."""
        found = self.elements(value_id)
        return value_id if found is None else (self.dtype(value_id), self.dims(value_id), found)

    def is_number(self, value_id: int | None, wanted: float | None = None) -> bool:
        """Return whether a value is one constant number, and if it is known, the wanted one."""
        shape = self.shape(value_id)
        if not self.is_fixed(value_id) or shape is None or any(dim != 1 for dim in shape):
            return False
        found = self.elements(value_id)
        near = _NEAR_HALF if self.dtype(value_id) == "float16" else _NEAR
        return wanted is None or found is None or abs(found[0] - wanted) <= near * abs(wanted)

    def dims(self, value_id: int | None) -> Dims | None:
        """Return the dimensions of a value as onnxruntime knows them, symbols among them."""
        return None if value_id is None or value_id < 0 else self._ahead[value_id].shape

    def shape(self, value_id: int | None) -> tuple[int, ...] | None:
        """Return the shape of a value, ``None`` if onnxruntime does not know all of it."""
        dims = self.dims(value_id)
        known = tuple([dim for dim in dims or () if isinstance(dim, int)])
        return None if dims is None or len(known) != len(dims) else known

    def rank(self, value_id: int | None) -> int:
        """Return the rank of a value, -1 if it is not known."""
        dims = self.dims(value_id)
        return -1 if dims is None else len(dims)

    def dtype(self, value_id: int | None) -> str | None:
        """Return the element type of a value."""
        return None if value_id is None or value_id < 0 else self.types[value_id].dtype

    # what changes

    def add_value(self, of: TensorType, ahead: TensorType | None = None) -> int:
        """Return the id of a new value.

        Args:
            of: Its type.
            ahead: Its type as onnxruntime knows it, the same if left out.
        """
        if self._ahead is not self.types:
            self._ahead.append(ahead or of)
        self.types.append(of)
        return len(self.types) - 1

    def retype(self, value_id: int, dtype: str) -> None:
        """Let a value have another element type."""
        for types in (self.types, self._ahead):
            types[value_id] = TensorType(dtype, types[value_id].shape)

    def fix(self, value_id: int, elements: tuple[float, ...] | None) -> None:
        """Let a new value be a weight."""
        self.fixed.add(value_id)
        if elements is not None:
            self._elements[value_id] = elements

    def release(self, value_ids: Iterable[int]) -> None:
        """Let bodies no longer read some values: a node that had some is gone."""
        self._captured.subtract(value_ids)

    def ahead_type(self, value_id: int) -> TensorType:
        """Return a type as onnxruntime knows it."""
        return self._ahead[value_id]

    def add(
        self,
        like: Step,
        op: str,
        inputs: Iterable[int | None],
        outputs: Iterable[int | None],
        attributes: Mapping[str, Attribute] | None = None,
        node: Node | None = None,
    ) -> Step:
        """Add an operation, named after another one; what wrote its outputs before has to be gone."""
        step = Step(node=node or like.node, op=op, inputs=list(inputs), outputs=list(outputs), index=self._next)
        step.attributes = attributes or {}
        self._next += 1
        self._link(step)
        return step

    def restore(self, node: Node, number: int, source: int) -> None:
        """Put back an operation on a weight, under its number, so that what it writes is no weight."""
        self.fixed.difference_update(node.writes)
        step = Step(node=node, op=node.op, inputs=[source], outputs=list(node.outputs), index=number)
        step.attributes = node.attributes
        self._link(step)

    def replace(self, gone: Sequence[Step], op: str, inputs: Iterable[int | None], like: Step | None = None) -> Step:
        """Put one operation in the place of several, of which the last writes what it writes.

        Args:
            gone: What is replaced.
            op: What does it instead.
            inputs: What it reads.
            like: Whose attributes it has, none if left out.
        """
        inputs, last = list(inputs), gone[-1]
        for step in gone:
            self.remove(step)
        return self.add(last, op, inputs, last.outputs[:1], None if like is None else like.attributes)

    def remove(self, step: Step) -> None:
        """Remove an operation."""
        if step.is_gone:
            return
        step.is_gone = True
        self._ops[step.op] -= 1
        del self._steps[step.index]
        self._order = None
        for position, i in enumerate(step.inputs):
            if i is not None:
                del self._readers[i][step, position]
        for output in step.outputs:
            if output is not None and self._writers.get(output) is step:
                del self._writers[output]

    def take_over(self, first: Step, second: Step) -> None:
        """Let ``first`` write what ``second``, its only reader, wrote, and remove ``second``."""
        output = second.output
        self.remove(second)
        del self._writers[first.output]
        first.outputs[0] = output
        self._writers[output] = first
        first.node = second.node
        self._order = None

    def bypass(self, step: Step, source: int) -> None:
        """Remove a step, and let all readers of what it wrote read ``source`` instead."""
        self.remove(step)
        for reader, position in list(self._readers.get(step.output, ())):
            self.rewire(reader, position, source)

    def rewire(self, step: Step, position: int, value_id: int | None) -> None:
        """Let a step read something else at a position."""
        while len(step.inputs) <= position:
            step.inputs.append(None)
        old = step.inputs[position]
        if old is not None:
            del self._readers[old][step, position]
        step.inputs[position] = value_id
        if value_id is not None:
            self._readers.setdefault(value_id, {})[step, position] = None
        self._order = None

    def redirect(self, step: Step, value_id: int, position: int = 0) -> None:
        """Let a step write another value at a position; what it wrote there is left for another one to write."""
        old = step.outputs[position]
        if old is not None:
            del self._writers[old]
        step.outputs[position] = value_id
        self._writers[value_id] = step
        self._order = None

    def rename(self, step: Step, op: str) -> None:
        """Let a step be another operation."""
        self._ops[step.op] -= 1
        self._ops[op] += 1
        step.op = op

    def _link(self, step: Step) -> None:
        self._steps[step.index] = step
        self._ops[step.op] += 1
        self._order = None
        for position, i in enumerate(step.inputs):
            if i is not None:
                self._readers.setdefault(i, {})[step, position] = None
        for output in step.outputs:
            if output is not None:
                self._writers[output] = step

    def _search(self) -> list[Step]:
        before: dict[int, list[Step]] = {}
        is_read: set[int] = set()
        find = self._writers.get
        for number, step in self._steps.items():
            reads = (*step.inputs, *step.node.captures) if step.node.captures else step.inputs
            found = [writer for i in reads if i is not None and (writer := find(i)) is not None]
            for writer in found:
                is_read.add(writer.index)
            if len(found) > 1:
                found.sort(key=_number)
            before[number] = found
        stack = sorted((step for number, step in self._steps.items() if number not in is_read), key=_number)
        seen: set[int] = set()
        order: list[Step] = []
        leaving: set[int] = set()
        while stack:
            step = stack[-1]
            if step.index in seen:
                stack.pop()
                if step.index in leaving:
                    leaving.discard(step.index)
                    order.append(step)
                continue
            seen.add(step.index)
            leaving.add(step.index)
            stack += [other for other in before[step.index] if other.index not in seen]
        return order

    def steps_and_types(self) -> tuple[list[Step], Sequence[TensorType], Sequence[TensorType]]:
        """Return the operations in order, the types of all values, and these as onnxruntime knows them."""
        return self.ordered(), self.types, self._ahead

    def is_written(self, value_id: int) -> bool:
        """Return whether an operation writes a value."""
        return value_id in self._writers


_NEAR, _NEAR_HALF = 1e-5, 1e-3  # of a number of 32 bits and of 16


def _number(step: Step) -> int:
    return step.index
