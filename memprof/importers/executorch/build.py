"""From a ``Program`` of ExecuTorch to a Graph: one node per instruction of its first method, and one per view.

a tensor                                          becomes
with bytes in the file                            a parameter
given by the caller                               an input
among the last arguments of an instruction,       what it writes; a view of what the instruction reads where the plan
and not named before                                 puts both in one place
named first as an argument, and the plan puts it  a view of that tensor: the exporter leaves views out
where one lies that was written before
named first as an argument, and nothing lies      a parameter: state that the program keeps
there
named again as an output                          read: storage that is written twice must live between

A loop is a jump backwards. What it names and was there before lives to its end: the jump reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from memprof.base.errors import LimitError
from memprof.importers.executorch.schema import DELEGATE, JUMP, MOVE
from memprof.ir import Graph, GraphBuilder, NewValue, Unknown
from memprof.ir.program import Content, Program, ProgramOperator, ProgramTensor
from memprof.ir.types import DTYPE_BITS

MAX_LOOP_READS = 1_000_000
VIEW = "aten.view"

Place = tuple[int, int]
"""Arena and address."""


def build_graph(program: Program, name: str) -> Graph:
    """Return the first method of a program as a Graph.

    Args:
        program: What was read.
        name: Name of the graph.

    Raises:
        LimitError: Loops name more tensors than a program has.
    """
    return _Build(program, GraphBuilder(name)).graph()


class _Build:
    def __init__(self, program: Program, builder: GraphBuilder) -> None:
        self.method = program.subgraphs[0]
        self.builder = builder
        self.tensors = self.method.tensors
        self.places: list[Place | None] = [
            None if home < 0 else (home, offset) for home, offset in zip(program.homes, program.offsets, strict=True)
        ][: len(self.tensors)]
        self.ids: dict[int, int] = {}
        self.living: dict[Place, int] = {}

    def graph(self) -> Graph:
        for number, tensor in enumerate(self.tensors):
            if tensor.content is not Content.NONE:
                self._learn(number, self.builder.add_parameter(tensor.name, tensor.type))
        for number in self.method.inputs:
            if number not in self.ids:
                self._learn(number, self.builder.add_input(self.tensors[number].name, self.tensors[number].type))
        carried = _carried(self.method.operators)
        for position, operator in enumerate(self.method.operators):
            self._add(position, operator, carried.get(position, ()))
        outputs = [self._find(number) for number in self.method.outputs]
        self._report()
        return self.builder.build(outputs)

    def _add(self, position: int, operator: ProgramOperator, carried: Iterable[int]) -> None:
        written = self._written(operator)
        numbers = [number for number in operator.inputs if number not in written]
        reads = [self._find(number) for number in numbers]
        reads += [self.ids[number] for number in carried if number in self.ids]
        reads = list(dict.fromkeys(reads)) if carried else reads
        by_place = {self.places[number]: self.ids[number] for number in numbers if self.places[number] is not None}
        is_view = operator.op.startswith("executorch_prim.et_view")
        outputs = []
        for number in written:
            tensor = self.tensors[number]
            same = reads[0] if is_view and reads else by_place.get(self.places[number])
            outputs.append(NewValue(tensor.name, tensor.type, same))
        made = self.builder.add_node(
            operator.op,
            reads,
            outputs,
            name=f"{operator.op.split('.')[1] if '.' in operator.op else operator.op}_{position}",
            is_foldable=operator.op not in (JUMP, MOVE) and not operator.op.startswith(DELEGATE),
            attributes=operator.options,
        )
        for number, value in zip(written, made, strict=True):
            assert value is not None, "every output is written"
            self._learn(number, value)

    def _written(self, operator: ProgramOperator) -> tuple[int, ...]:
        """Return the tensors that an instruction names first, and writes."""
        if not operator.op.startswith(DELEGATE):
            return tuple([i for i in dict.fromkeys(operator.outputs) if i not in self.ids])
        tail: list[int] = []
        for number in reversed(operator.inputs):
            if number in self.ids:
                break
            tail.append(number)
        # of a delegate's arguments only the last is surely written; one in a place where something lies is its name
        return tuple([i for i in dict.fromkeys(reversed(tail)) if i == tail[0] or self._lying(i) is None])

    def _find(self, number: int) -> int:
        if number not in self.ids:
            lying = self._lying(number)
            tensor = self.tensors[number]
            if lying is None:
                self._learn(number, self.builder.add_parameter(tensor.name, tensor.type))
            else:
                view = NewValue(tensor.name, tensor.type, lying)
                (value,) = self.builder.add_node(VIEW, [lying], [view], name=f"view_{number}")
                assert value is not None, "every output is written"
                self._learn(number, value)
        return self.ids[number]

    def _lying(self, number: int) -> int | None:
        place = self.places[number]
        return None if place is None else self.living.get(place)

    def _learn(self, number: int, value: int) -> None:
        self.ids[number] = value
        place = self.places[number]
        if place is not None and self.tensors[number].type.size_bytes != 0:
            self.living[place] = value

    def _report(self) -> None:
        for tensor in self.tensors:
            for unknown in _unknown(tensor):
                self.builder.add_unknown(unknown)


def _carried(operators: Sequence[ProgramOperator]) -> Mapping[int, tuple[int, ...]]:
    """Return, for each jump backwards, the tensors of its loop that were named before the loop."""
    first: dict[int, int] = {}
    for position, operator in enumerate(operators):
        for number in operator.inputs:
            first.setdefault(number, position)
    found: dict[int, tuple[int, ...]] = {}
    total = 0
    for position, operator in enumerate(operators):
        start = operator.options.get("target", position + 1)
        if start > position:
            continue
        total += sum(len(operators[i].inputs) for i in range(start, position + 1))
        if total > MAX_LOOP_READS:
            raise LimitError("The loops of this program name more tensors than a program has.")
        named = [number for i in range(start, position + 1) for number in operators[i].inputs]
        found[position] = tuple([number for number in dict.fromkeys(named) if first[number] < start])
    return found


def _unknown(tensor: ProgramTensor) -> Iterable[Unknown]:
    if tensor.type.dtype not in DTYPE_BITS:
        reason = f"{tensor.name} holds elements of type {tensor.dtype}, whose size is not known"
        yield Unknown(kind="dtype", name=tensor.name, reason=reason)
    for dim in tensor.type.shape or ():
        if isinstance(dim, str):
            reason = f"the program gives {dim} no bound: the runtime allocates it"
            yield Unknown(kind="dimension", name=dim, reason=reason, hint="Export it with an upper bound.")
