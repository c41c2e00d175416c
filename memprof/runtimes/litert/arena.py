"""LiteRT's arena (TensorFlow Lite on a phone or a PC) without a delegate: what shares, what lives when, what goes
where.

rule                                                                            source
inputs and outputs are held for ever; inputs are placed first                   arena_planner.cc
any other tensor from the operator that writes it to its last reader            arena_planner.cc
some operators write over an input that dies there, or share one they only      kernels/register.cc, measured
    reshape
a convolution that is not pointwise unfolds its input, a product of batches     kernels/conv.cc, reduce.cc,
    transposes both factors, reductions count along their axes                      batch_matmul.cc
the largest first; of equal sizes the one that is written first                 arena_planner.cc
each in the tightest gap that fits, at a multiple of 64                         simple_memory_arena.cc
not in this arena: variables, weights that are unpacked (DEQUANTIZE, DENSIFY    dequantize.cc, measured
    of a constant), handles of resources, shapes that are known beforehand, what a
    transposed convolution unfolds

Subgraphs that control flow runs have arenas of their own and are not counted. Multi-threaded kernels may take more:
one thread. Proven against ai-edge-litert 2.3.0 by the addresses of its tensors; see docs/boards.md.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass

from memprof.ir.program import Content, Program, ProgramOperator, Subgraph
from memprof.runtimes.litert.kernels import doubt, taken

ALIGNMENT = 64
FOR_EVER = 2**40

_OVERWRITES: Mapping[str, tuple[int, ...]] = {
    "ADD": (0, 1),
    "DIV": (0, 1),
    "MUL": (0, 1),
    "SOFTMAX": (0,),
    "SUB": (0, 1),
}
"""Operators that may write over one of these inputs."""

_POINTER_BYTES = 8
"""What is no larger is not worth sharing to the planner."""

_SHARES = frozenset({"EXPAND_DIMS", "RESHAPE", "SQUEEZE"})
_UNPACKS = frozenset({"DENSIFY", "DEQUANTIZE"})
_KNOWN_BEFORE = frozenset({"RANK", "SHAPE", "VAR_HANDLE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One block of the arena.

    Attributes:
        tensors: Numbers of the tensors in it, the one that gives it its size first; empty for a kernel's own.
        size_bytes: Its bytes.
        first: Operator that it is placed for.
        last: Last operator that needs it, ``FOR_EVER`` if it is never freed.
        offset: Its address.
    """

    tensors: tuple[int, ...]
    size_bytes: int
    first: int
    last: int
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LitertArena:
    """The arena of a program's first subgraph.

    Attributes:
        blocks: All blocks, placed.
        arena_bytes: Where the highest ends.
        unproven: Operators that may take more than is counted.
        unsized: Names of tensors whose bytes are not known.
    """

    blocks: tuple[Block, ...]
    arena_bytes: int
    unproven: tuple[str, ...]
    unsized: tuple[str, ...]


def lay_out(program: Program) -> LitertArena:
    """Return LiteRT's arena for the first subgraph of ``program``.

    Complexity: O(n²) for n tensors that are no constants.
    """
    main = program.subgraphs[0]
    walk = _Walk(main)
    blocks = walk.blocks()
    placed = _place(blocks)
    unsized = [main.tensors[i].name for i in sorted(walk.touched) if main.tensors[i].type.size_bytes is None]
    return LitertArena(
        blocks=tuple(placed),
        arena_bytes=max((block.offset + block.size_bytes for block in placed), default=0),
        unproven=tuple(dict.fromkeys([op for operator in main.operators if (op := doubt(main, operator))])),
        unsized=tuple(unsized),
    )


class _Walk:
    """One subgraph: what is in the arena, what shares, who still reads what.

    Args:
        subgraph: The subgraph.
    """

    def __init__(self, subgraph: Subgraph) -> None:
        self._subgraph = subgraph
        self._elsewhere = {
            i for i, tensor in enumerate(subgraph.tensors) if tensor.content is not Content.NONE or tensor.is_variable
        }
        for operator in subgraph.operators:
            is_unpacked = operator.op in _UNPACKS and set(operator.inputs[:1]) <= self._elsewhere
            if operator.op in _KNOWN_BEFORE or is_unpacked:
                self._elsewhere.update(operator.outputs)
        self._inputs, self._outputs = set(subgraph.inputs), set(subgraph.outputs)
        self._held = self._inputs | self._outputs
        self._readers = [0] * len(subgraph.tensors)
        for i in (
            *subgraph.inputs,
            *subgraph.outputs,
            *[i for op in subgraph.operators for i in op.inputs if i >= 0],
        ):
            self._readers[i] += 1
        self._home: dict[int, int] = {}
        for operator in subgraph.operators:
            self._share(operator)
        self.touched: set[int] = set()

    def blocks(self) -> list[Block]:
        """Return the blocks in the order in which they come to exist."""
        subgraph, elsewhere = self._subgraph, self._elsewhere
        first: dict[int, int] = {i: 0 for i in sorted(self._held - set(subgraph.outputs)) if i not in elsewhere}
        last = dict.fromkeys(first, FOR_EVER)
        members: dict[int, list[int]] = {i: [i] for i in first}
        scratch: list[Block] = []
        for number, operator in enumerate(subgraph.operators):
            for i in operator.outputs:
                if i in elsewhere:
                    continue
                home = self._find(i)
                first.setdefault(home, number)
                members.setdefault(home, [home])
                if i not in members[home]:
                    members[home].append(i)
                is_held = i in self._held or (home == i and not self._readers[i])
                last[home] = FOR_EVER if is_held else max(last.get(home, number), number)
            for i in operator.inputs:
                home = self._find(i) if i >= 0 else -1
                if home in first:
                    last[home] = max(last[home], number)
            scratch += [
                Block(tensors=(), size_bytes=size, first=number, last=number) for size in taken(subgraph, operator)
            ]
        self.touched = {i for group in members.values() for i in group}
        sizes = {i: subgraph.tensors[i].type.size_bytes or 0 for i in first}
        tensors = [
            Block(tensors=tuple(members[i]), size_bytes=sizes[i], first=first[i], last=last[i])
            for i in first
            if sizes[i]
        ]
        return [
            *sorted(tensors, key=lambda block: block.tensors[0]),
            *[block for block in scratch if block.size_bytes],
        ]

    def _find(self, i: int) -> int:
        while i in self._home:
            i = self._home[i]
        return i

    def _share(self, operator: ProgramOperator) -> None:
        """Note whether the operator's first output takes the place of an input."""
        is_changed = operator.op in _OVERWRITES
        if not operator.outputs or not (is_changed or operator.op in _SHARES):
            return
        output = operator.outputs[0]
        i = next((i for i in operator.inputs[:2] if self._may_share(operator, i)), -1)
        if i >= 0 and (not is_changed or self._readers[self._find(i)] <= 1):
            self._home[output] = self._find(i)

    def _may_share(self, operator: ProgramOperator, i: int) -> bool:
        """Tell whether the output may take the place of an input: the first that may is chosen, or none is."""
        positions, output = _OVERWRITES.get(operator.op), operator.outputs[0]
        if i < 0 or i in self._elsewhere | self._inputs or output in self._held:
            return False
        if positions is None:
            return i == operator.inputs[0]
        if operator.inputs.index(i) not in positions or self._readers[i] > 1:
            return False
        sizes = [self._subgraph.tensors[tensor].type.size_bytes or 0 for tensor in (i, output)]
        return sizes[0] == sizes[1] > _POINTER_BYTES


def _place(blocks: list[Block]) -> list[Block]:
    """Place what stays for ever first, then the largest; each in the tightest gap."""
    order = sorted(
        range(len(blocks)),
        key=lambda i: (0, i, 0) if _is_permanent(blocks[i]) else (1, -blocks[i].size_bytes, blocks[i].first, -i),
    )
    offsets = [0] * len(blocks)
    placed: list[tuple[int, int, int, int]] = []  # start, end, first, last
    for i in order:
        block = blocks[i]
        offsets[i] = _find_gap(block, placed)
        insort(placed, (offsets[i], offsets[i] + block.size_bytes, block.first, block.last))
    return [
        Block(tensors=b.tensors, size_bytes=b.size_bytes, first=b.first, last=b.last, offset=offset)
        for b, offset in zip(blocks, offsets, strict=True)
    ]


def _is_permanent(block: Block) -> bool:
    return block.first == 0 and block.last == FOR_EVER


def _find_gap(block: Block, placed: list[tuple[int, int, int, int]]) -> int:
    best, tightest, current = -1, 2**62, 0
    for start, end, first, last in placed:
        if last < block.first or first > block.last:
            continue
        aligned = current + -current % ALIGNMENT
        if aligned + block.size_bytes <= start and start - aligned < tightest:
            best, tightest = aligned, start - current
        current = max(current, end)
        if not tightest:
            break
    return best if best >= 0 else current + -current % ALIGNMENT
