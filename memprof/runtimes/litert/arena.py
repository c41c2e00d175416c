"""LiteRT's arena (TensorFlow Lite on a phone or a PC) without a delegate: what shares, what lives when, what goes
where.

rule                                                                            source
inputs, outputs and variables are held for ever, and placed first               arena_planner.cc
any other tensor from the operator that writes it to its last reader            arena_planner.cc
some operators write over an input that dies there, or share one they only      kernels/register.cc, measured
    reshape
a convolution that is not pointwise unfolds its input; reductions count along   kernels/conv.cc, reduce.cc
the largest first; of equal sizes the one that is written first                 arena_planner.cc
each in the tightest gap that fits, at a multiple of 64                         simple_memory_arena.cc
weights that are unpacked (DEQUANTIZE, DENSIFY of a constant) and handles of    dequantize.cc, measured
    resources lie in another arena

Subgraphs that control flow runs have arenas of their own and are not counted. Multi-threaded kernels may take more:
one thread. Proven against ai-edge-litert 2.3.0 by the addresses of its tensors; see docs/boards.md.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

from memprof.ir.program import Content, Program, ProgramOperator, Subgraph

ALIGNMENT = 64
FOR_EVER = 2**40

_OVERWRITES: Mapping[str, tuple[int, ...]] = {
    "ADD": (0, 1),
    "DIV": (0, 1),
    "LOGISTIC": (0,),
    "MUL": (0, 1),
    "SOFTMAX": (0,),
    "SUB": (0, 1),
}
"""Operators that may write over one of these inputs."""

_SHARES = frozenset({"EXPAND_DIMS", "RESHAPE", "SQUEEZE"})
_UNPACKS = frozenset({"DENSIFY", "DEQUANTIZE"})
_DENSE = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})
_PLAIN_TYPES = frozenset({("FLOAT32", "FLOAT32"), ("FLOAT32", "FLOAT16"), ("INT8", "INT8"), ("UINT8", "UINT8")})

_PROVEN = """
    ABS ADD ADD_N ASSIGN_VARIABLE AVERAGE_POOL_2D CALL_ONCE CONCATENATION CONV_2D DENSIFY DEPTHWISE_CONV_2D
    DEPTH_TO_SPACE DEQUANTIZE ELU EXPAND_DIMS FULLY_CONNECTED GREATER HARD_SWISH LESS LOGISTIC MAXIMUM MAX_POOL_2D
    MEAN MIRROR_PAD MUL PAD PRELU QUANTIZE READ_VARIABLE REDUCE_MAX REDUCE_MIN RELU RELU6 RESHAPE RESIZE_BILINEAR
    RESIZE_NEAREST_NEIGHBOR SELECT_V2 SIN SOFTMAX SPLIT SPLIT_V STRIDED_SLICE SUB SUM TANH TRANSPOSE VAR_HANDLE
"""

PROVEN: frozenset[str] = frozenset(_PROVEN.split())
"""Operators of which it is known what they take besides their tensors."""


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
        unproven=tuple(dict.fromkeys([op for operator in main.operators if (op := _doubt(main, operator))])),
        unsized=tuple(unsized),
    )


class _Walk:
    """One subgraph: what is in the arena, what shares, who still reads what.

    Args:
        subgraph: The subgraph.
    """

    def __init__(self, subgraph: Subgraph) -> None:
        self._subgraph = subgraph
        self._elsewhere = {i for i, tensor in enumerate(subgraph.tensors) if tensor.content is not Content.NONE}
        for operator in subgraph.operators:
            is_unpacked = operator.op in _UNPACKS and set(operator.inputs[:1]) <= self._elsewhere
            if operator.op == "VAR_HANDLE" or is_unpacked:
                self._elsewhere.update(operator.outputs)
        self._held = {*subgraph.inputs, *subgraph.outputs}
        self._held |= {i for i, tensor in enumerate(subgraph.tensors) if tensor.is_variable}
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
                is_held = i in self._held or not self._readers[i]
                last[home] = FOR_EVER if is_held else max(last.get(home, number), number)
            for i in operator.inputs:
                home = self._find(i) if i >= 0 else -1
                if home in first:
                    last[home] = max(last[home], number)
            taken = _taken(subgraph, operator)
            scratch += [Block(tensors=(), size_bytes=size, first=number, last=number) for size in taken]
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
        tensors, output = self._subgraph.tensors, operator.outputs[0]
        for position in _OVERWRITES.get(operator.op, (0,)):
            i = operator.inputs[position] if position < len(operator.inputs) else -1
            if i < 0 or i in self._elsewhere or self._held & {i, output}:
                continue
            if is_changed and tensors[i].type.size_bytes != tensors[output].type.size_bytes:
                continue
            if not is_changed or self._readers[self._find(i)] <= 1:
                self._home[output] = self._find(i)
            return


def _place(blocks: list[Block]) -> list[Block]:
    """Place what stays for ever first, then the largest; each in the tightest gap."""
    order = sorted(
        range(len(blocks)),
        key=lambda i: (0, i, 0) if _is_permanent(blocks[i]) else (1, -blocks[i].size_bytes, blocks[i].first),
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


def _taken(subgraph: Subgraph, operator: ProgramOperator) -> tuple[int, ...]:
    """Return the bytes of each block that a kernel takes while it runs."""
    rule = _TAKES.get(operator.op)
    known = all(
        subgraph.tensors[i].type.size_bytes is not None for i in (*operator.inputs, *operator.outputs) if i >= 0
    )
    return rule(subgraph, operator) if rule is not None and known else ()


def _shape(subgraph: Subgraph, i: int) -> tuple[int, ...]:
    return tuple([size for size in subgraph.tensors[i].type.shape or () if isinstance(size, int)])


def _unfolded(subgraph: Subgraph, operator: ProgramOperator) -> tuple[int, ...]:
    """A convolution that is not pointwise copies a patch per output element."""
    if len(operator.inputs) < 2 or not operator.outputs:
        return ()
    filters, output = _shape(subgraph, operator.inputs[1]), _shape(subgraph, operator.outputs[0])
    steps = [operator.options[name] for name in ("stride_w", "stride_h", "dilation_w", "dilation_h")]
    if len(filters) != 4 or len(output) != 4 or (steps == [1, 1, 1, 1] and filters[1:3] == (1, 1)):
        return ()
    data = subgraph.tensors[operator.inputs[0]].type
    width = (data.size_bytes or 0) // max(1, data.element_count or 1)
    return (prod(output[:3]) * prod(filters[1:]) * width,)


def _summed(subgraph: Subgraph, operator: ProgramOperator) -> tuple[int, ...]:
    return (*_counted(subgraph, operator), prod(_shape(subgraph, operator.outputs[0])) * 4)


def _counted(subgraph: Subgraph, operator: ProgramOperator) -> tuple[int, ...]:
    """A counter per axis of the input, and the axes that are reduced."""
    data, axes = operator.inputs[0], operator.inputs[1]
    return len(_shape(subgraph, data)) * 4, prod(_shape(subgraph, axes)) * 4


def _added(subgraph: Subgraph, operator: ProgramOperator) -> tuple[int, ...]:
    return (subgraph.tensors[operator.outputs[0]].type.size_bytes or 0,)


_TAKES: Mapping[str, Callable[[Subgraph, ProgramOperator], tuple[int, ...]]] = {
    "ADD_N": _added,
    "CONV_2D": _unfolded,
    "MEAN": _summed,
    "REDUCE_MAX": _counted,
    "REDUCE_MIN": _counted,
    "SUM": _summed,
}


def _doubt(subgraph: Subgraph, operator: ProgramOperator) -> str:
    """Return why an operator may take more than is counted, empty if it does not."""
    if operator.op not in PROVEN:
        return f"{operator.op}: what its kernel takes is not known"
    if operator.op not in _DENSE or len(operator.inputs) < 2:
        return ""
    data, filters = (subgraph.tensors[i] for i in operator.inputs[:2])
    if (data.dtype, filters.dtype) not in _PLAIN_TYPES:
        return f"{operator.op}: {data.dtype} data with {filters.dtype} weights"
    channels, wanted = _shape(subgraph, operator.inputs[0])[-1:], _shape(subgraph, operator.inputs[1])[-1:]
    return f"{operator.op}: in groups" if operator.op == "CONV_2D" and channels != wanted else ""
