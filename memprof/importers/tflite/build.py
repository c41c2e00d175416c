"""From a ``Program`` to a Graph: values in the order they come to exist, subgraphs as the bodies of control flow.

tensor                                          becomes
with bytes in the file, or kept between runs    a parameter; those that share a buffer are one
given by the caller                             an input
written by an operator                          what the operator writes, a view where it only changes the shape
none of these, and read                         a parameter: storage that nobody fills
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from memprof.base.errors import InputError, LimitError
from memprof.importers.tflite.operators import ELEMENTWISE, UNFOLDABLE, VIEWS
from memprof.ir import Graph, GraphBuilder, NewValue, Unknown
from memprof.ir.program import Content, Program, ProgramOperator, ProgramTensor, Subgraph
from memprof.ir.types import DTYPE_BITS

MAX_NODES = 150_000
MAX_CALL_DEPTH = 24


def build_graph(program: Program, shared: Sequence[Sequence[int]], name: str) -> Graph:
    """Return the first subgraph of a program as a Graph; those that operators run are bodies of their nodes.

    Args:
        program: What was read.
        shared: For each subgraph and tensor the number of its buffer, 0 where it has none.
        name: Name of the graph where the file gives none.

    Raises:
        InputError: A subgraph runs itself.
        LimitError: There are more operators than a model has, subgraphs counted each time they are run from
            elsewhere.
    """
    order = _called_first(program.subgraphs)
    built: dict[int, Graph] = {}
    counts: dict[int, int] = {}
    for number in order:
        subgraph = program.subgraphs[number]
        counts[number] = len(subgraph.operators) + sum(counts[i] for op in subgraph.operators for i in op.calls)
        if counts[number] > MAX_NODES:
            raise LimitError(f"The model runs more than {MAX_NODES} operators.")
        build = _Build(subgraph, shared[number], built, subgraph.name or name)
        built[number] = build.graph()
    return built[0]


def _called_first(subgraphs: Sequence[Subgraph]) -> list[int]:
    """Return the subgraphs that the first one runs, itself last: each after all that it runs."""
    done: dict[int, int] = {}  # to how deep it calls
    calls = [sorted({i for op in subgraph.operators for i in op.calls}) for subgraph in subgraphs]
    open_path, path = {0}, [0]
    while path:
        number = path[-1]
        missing = next((i for i in calls[number] if i not in done), None)
        if missing is None:
            path.pop()
            open_path.discard(number)
            done[number] = 1 + max((done[i] for i in calls[number]), default=0)
            if done[number] > MAX_CALL_DEPTH:
                raise LimitError(f"The model nests subgraphs more than {MAX_CALL_DEPTH} deep.")
        elif missing in open_path:
            raise InputError(f"Subgraph {missing} of this model runs itself.", "Convert the model again.")
        else:
            path.append(missing)
            open_path.add(missing)
    return list(done)


@dataclass(slots=True)
class _Build:
    """One subgraph on its way to a Graph."""

    subgraph: Subgraph
    buffers: Sequence[int]
    built: dict[int, Graph]
    name: str

    def graph(self) -> Graph:
        builder, tensors = GraphBuilder(self.name), self.subgraph.tensors
        ids: dict[int, int] = {}
        by_buffer: dict[int, int] = {}
        for number, tensor in enumerate(tensors):
            if tensor.content is not Content.NONE or tensor.is_variable:
                buffer = self.buffers[number]
                same = by_buffer.get(buffer) if buffer else None
                ids[number] = builder.add_parameter(tensor.name, tensor.type) if same is None else same
                if buffer:
                    by_buffer.setdefault(buffer, ids[number])
        for number in self.subgraph.inputs:
            if number not in ids:
                ids[number] = builder.add_input(tensors[number].name, tensors[number].type)

        def find(number: int) -> int:
            if number not in ids:
                ids[number] = builder.add_parameter(tensors[number].name, tensors[number].type)
            return ids[number]

        self._check_order(set(ids))
        for number, operator in enumerate(self.subgraph.operators):
            self._add(builder, number, operator, find, ids)
        for unknown in dict.fromkeys(self._unknown()):
            builder.add_unknown(unknown)
        return builder.build([find(number) for number in self.subgraph.outputs])

    def _check_order(self, known: set[int]) -> None:
        """Refuse a list in which an operator reads what only a later one writes: no runtime could run it."""
        late = {number for operator in self.subgraph.operators for number in operator.outputs} - known
        for position, operator in enumerate(self.subgraph.operators):
            early = next((number for number in operator.inputs if number in late), None)
            if early is not None:
                raise InputError(
                    f"Operator {position} reads {self.subgraph.tensors[early].name!r} before it is written.",
                    "Convert the model again.",
                )
            late.difference_update(operator.outputs)

    def _add(
        self,
        builder: GraphBuilder,
        number: int,
        operator: ProgramOperator,
        find: Callable[[int], int],
        ids: dict[int, int],
    ) -> None:
        inputs = [None if i < 0 else find(i) for i in operator.inputs]
        is_view = operator.op in VIEWS and inputs[:1] != [None] and len(operator.outputs) == 1
        outputs = []
        for place, i in enumerate(operator.outputs):
            tensor = self.subgraph.tensors[i]
            name = (
                tensor.name
                if i not in ids and i not in operator.outputs[:place]
                else f"{tensor.name}@{number}.{place}"
            )
            outputs.append(NewValue(name, tensor.type, inputs[0] if is_view and inputs else None))
        kind = operator.op.split(".")[0].upper()
        written = builder.add_node(
            operator.op if operator.op.startswith("custom.") else f"tfl.{operator.op}",
            inputs,
            outputs,
            name=f"{operator.op.rsplit('.', 1)[-1] or 'CUSTOM'}_{number}",
            bodies=[self.built[i] for i in operator.calls],
            is_elementwise=operator.op in ELEMENTWISE,
            is_foldable=kind not in UNFOLDABLE,
            attributes=dict(operator.options),
        )
        for i, value in zip(operator.outputs, written, strict=True):
            assert value is not None, "every output is written"
            ids[i] = value

    def _unknown(self) -> Iterator[Unknown]:
        """Yield what is not known of the subgraph's tensors, and of those that it runs: a peak counts them too."""
        for tensor in self.subgraph.tensors:
            if tensor.type.dtype not in DTYPE_BITS:
                yield _unknown_type(tensor)
            for dim in tensor.type.shape or ():
                if isinstance(dim, str):
                    yield _open_dimension(tensor, dim)
        for number in dict.fromkeys(number for operator in self.subgraph.operators for number in operator.calls):
            yield from self.built[number].unknown


def _unknown_type(tensor: ProgramTensor) -> Unknown:
    reason = f"{tensor.name} holds elements of type {tensor.dtype}, which have no fixed size"
    return Unknown(kind="dtype", name=tensor.name, reason=reason)


def _open_dimension(tensor: ProgramTensor, dim: str) -> Unknown:
    reason = f"the file leaves {dim} open"
    return Unknown(kind="dimension", name=dim, reason=reason, hint="Convert the model with fixed input shapes.")
