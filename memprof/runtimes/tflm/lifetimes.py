"""When each buffer of a program lives, as TensorFlow Lite Micro counts it.

    scope 0      the caller gives the inputs
    scope k      operator k - 1 reads and writes; a subgraph it runs counts on from there, one scope to enter it, one
    for
                 each of its operators
    last scope   the caller reads the outputs

A tensor lives from the first scope that writes it to the last one that touches it, both included, over all times its
subgraph runs. One that nobody touches has scope -1 alone, and is placed all the same. Constants and variables are
elsewhere, and so is the handle of a resource, which its kernel keeps; a weight whose bytes lie behind the flatbuffer
is no constant to this runtime, which takes it for an empty tensor and finds room for it.

Source: tensorflow/lite/micro/micro_allocation_info.cc (2026-08).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from memprof.ir.program import Content, Program, ProgramTensor
from memprof.runtimes.tflm.scratch import Rule, UnknownScratchError, scratch_of

ALIGNMENT = 16
ONLINE = -1

_ELEMENT_BYTES: Mapping[str, int] = {
    "FLOAT16": 2,
    "BFLOAT16": 2,
    "FLOAT32": 4,
    "FLOAT64": 8,
    "INT16": 2,
    "INT32": 4,
    "UINT32": 4,
    "UINT8": 1,
    "UINT16": 2,
    "INT8": 1,
    "INT64": 8,
    "UINT64": 8,
    "BOOL": 1,
    "RESOURCE": 4,
    "COMPLEX64": 8,
    "COMPLEX128": 16,
    "FLOAT8_E4M3FN": 1,
    "FLOAT8_E5M2": 1,
    "INT4": 1,  # an activation of 4-bit numbers takes a byte for each
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One buffer that the runtime places.

    Attributes:
        subgraph: Number of its subgraph.
        tensor: Number of the tensor, -1 for scratch.
        operator: Number of the operator whose scratch it is, -1 for a tensor.
        size_bytes: Its bytes, rounded up to ``ALIGNMENT``.
        first: First scope in which it lives.
        last: Last one.
        offset: The address that the file plans for it, ``ONLINE`` where it leaves that to the runtime.
    """

    subgraph: int
    tensor: int = -1
    operator: int = -1
    size_bytes: int
    first: int
    last: int
    offset: int = ONLINE


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """All that the runtime places, in the order in which its planner is told of it.

    Attributes:
        buffers: Tensors subgraph by subgraph, then scratch.
        scopes: Number of scopes.
        node_scopes: For each operator of the first subgraph its first and last scope.
        unproven: Operators whose scratch is not known, each with the reason; counted as none.
        unsized: Names of tensors whose bytes are not known; counted as nothing.
    """

    buffers: tuple[Need, ...]
    scopes: int
    node_scopes: tuple[tuple[int, int], ...]
    unproven: tuple[str, ...] = ()
    unsized: tuple[str, ...] = ()


def tensor_bytes(tensor: ProgramTensor) -> int | None:
    """Return the bytes that the runtime counts for a tensor, ``None`` if they are not known."""
    count, width = tensor.type.element_count, _ELEMENT_BYTES.get(tensor.dtype)
    return None if count is None or width is None else count * width


def is_planned(tensor: ProgramTensor) -> bool:
    """Tell whether the runtime places a tensor in the part of the arena that it plans."""
    return tensor.content is not Content.INSIDE and not tensor.is_variable


def find_needs(program: Program, rules: Mapping[str, Rule]) -> Needs:
    """Return what the runtime places for ``program``.

    Args:
        program: All subgraphs; none runs itself.
        rules: What kernels ask for; see ``memprof.runtimes.tflm.scratch``.

    Complexity: O(operators, as often as they run + tensors).
    """
    scratch, unproven = _scratch(program, rules)
    walk = _Walk(program, {key for key, pieces in scratch.items() if pieces})
    walk.mark(0)
    buffers: list[Need] = []
    unsized: list[str] = []
    base = 0
    for number, subgraph in enumerate(program.subgraphs):
        handles = {i for operator in subgraph.operators if operator.op == "VAR_HANDLE" for i in operator.outputs}
        for i, tensor in enumerate(subgraph.tensors):
            offset = program.offsets[base + i] if program.offsets else ONLINE
            if i in handles or not (is_planned(tensor) or (tensor.is_variable and offset != ONLINE)):
                continue
            size = tensor_bytes(tensor)
            if size is None:
                unsized.append(tensor.name)
            elif size:
                first, last = walk.first[number][i], walk.last[number][i]
                buffers.append(
                    Need(subgraph=number, tensor=i, size_bytes=_aligned(size), first=first, last=last, offset=offset)
                )
        base += len(subgraph.tensors)
    for (number, i), pieces in scratch.items():
        span = walk.scratch.get((number, i))
        if span is not None:
            buffers += [
                Need(subgraph=number, operator=i, size_bytes=_aligned(size), first=span[0], last=span[1])
                for size in pieces
            ]
    return Needs(
        buffers=tuple(buffers),
        scopes=walk.scope + 1,
        node_scopes=tuple(walk.node_scopes),
        unproven=tuple(dict.fromkeys(unproven)),
        unsized=tuple(unsized),
    )


def _aligned(size: int) -> int:
    return size + -size % ALIGNMENT


def _scratch(program: Program, rules: Mapping[str, Rule]) -> tuple[dict[tuple[int, int], tuple[int, ...]], list[str]]:
    """Return the pieces of scratch by subgraph and operator, in that order, and what is not known."""
    found: dict[tuple[int, int], tuple[int, ...]] = {}
    unproven: list[str] = []
    for number, subgraph in enumerate(program.subgraphs):
        for i, operator in enumerate(subgraph.operators):
            try:
                found[number, i] = scratch_of(subgraph, operator, rules)
            except UnknownScratchError as error:
                unproven.append(f"{operator.op}: {error}")
    return found, unproven


class _Walk:
    """The walk over all operators in the order they run, one scope after the other.

    Args:
        program: All subgraphs.
        with_scratch: Subgraph and number of each operator with scratch.
    """

    def __init__(self, program: Program, with_scratch: set[tuple[int, int]]) -> None:
        self._program = program
        self._with_scratch = with_scratch
        self.scope = 0
        self.first = [[-1] * len(subgraph.tensors) for subgraph in program.subgraphs]
        self.last = [[-1] * len(subgraph.tensors) for subgraph in program.subgraphs]
        self.scratch: dict[tuple[int, int], tuple[int, int]] = {}
        self.node_scopes: list[tuple[int, int]] = []

    def mark(self, number: int, depth: int = 0) -> None:
        """Walk a subgraph; importers limit how deep they nest."""
        subgraph = self._program.subgraphs[number]
        self._touch(number, subgraph.inputs, writes=True)
        for i, operator in enumerate(subgraph.operators):
            self.scope += 1
            start = self.scope
            self._write(number, operator.outputs)
            if operator.op in ("IF", "WHILE", "CALL_ONCE"):
                for called in operator.calls:
                    self.scope += 1
                    self.mark(called, depth + 1)
            self._touch(number, [tensor for tensor in operator.inputs if tensor >= 0], writes=False)
            self._touch(number, operator.outputs, writes=False)
            if (number, i) in self._with_scratch:
                self.scratch[number, i] = (self.scratch.get((number, i), (start, 0))[0], self.scope)
            if depth == 0:
                self.node_scopes.append((start, self.scope))
        self._touch(number, subgraph.outputs, writes=True)

    def _write(self, number: int, tensors: Sequence[int]) -> None:
        first = self.first[number]
        for i in tensors:
            if first[i] < 0:
                first[i] = self.scope

    def _touch(self, number: int, tensors: Sequence[int], *, writes: bool) -> None:
        if writes:
            self._write(number, tensors)
        last = self.last[number]
        for i in tensors:
            last[i] = self.scope
