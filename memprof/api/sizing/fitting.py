"""How much a model takes in a memory, part by part, and the largest size of a dimension that fits there.

what is asked about                              the sum of these parts
a file or a module under its headline            those of its process, on device cuda too
any other runtime model                          weights, graph inputs, the peak of intermediates
    device cuda                                  the context and cuBLAS's workspace too, as assumptions
a board                                          the arena, and a margin for the rest of the program
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Unpack

from memprof.api import load
from memprof.api.sizing.axes import Axes, find_axes
from memprof.api.sizing.numbers import Numbers, at_size, evaluate, leading_runtime, load_same
from memprof.api.sizing.search import MAX_SIZE, Bracket, find_largest, find_least, formula_around
from memprof.base.collector import paused_collector
from memprof.base.errors import ChangedError, IncompleteError, InputError, LimitError, MemprofError, UsageError
from memprof.boards import Board, arena_on, find_board
from memprof.importers.request import Request, RequestArguments, Source, make_request
from memprof.ir import Unknown
from memprof.ir.model import Model
from memprof.results.fit import Fit, Part, Taken
from memprof.runtimes import find_runtime
from memprof.runtimes.pytorch.cuda import CUBLAS_HOPPER_BYTES
from memprof.runtimes.pytorch_process.process import CONTEXT_BYTES

CUDA_PARTS = (
    Part(
        "context",
        CONTEXT_BYTES,
        "assumed: as measured on an H100 (PyTorch 2.11, CUDA 13) with the kernels that it loaded; others differ",
    ),
    Part(
        "cublas_workspace",
        CUBLAS_HOPPER_BYTES,
        "assumed: PyTorch's default on a Hopper GPU; 8.1 MiB on older ones (CUBLAS_WORKSPACE_CONFIG)",
    ),
)
"""What a process holds on a GPU besides tensors. Not counted: libraries' kernels, what the allocator cannot use."""

_SOURCES = {
    **{part.name: part.source for part in CUDA_PARTS},
    "libraries": "assumed: code that oneDNN compiles and rests of the heap, as fitted to six networks of torchvision",
}
"""Where a figure comes from that no rule gives, by the name of the part."""

_STEPS = (2, 4, 8, 16, 32, 64)

BOARD_MARGIN_BYTES = 16 * 1024
"""RAM that the rest of a board's program takes, unless somebody says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The memory that a model is to fit.

    Attributes:
        size_bytes: How large it is.
        margin_bytes: Of these, what is kept for others.
        board: The board that it is part of, ``None`` if it is none.
    """

    size_bytes: int
    margin_bytes: int = 0
    board: Board | None = None

    @classmethod
    def on_board(cls, name: str, margin_bytes: int = BOARD_MARGIN_BYTES) -> Memory:
        """Return the largest RAM on the chip of a board.

        Raises:
            UsageError: There is no such board.
        """
        board = find_board(name)
        return cls(size_bytes=board.largest_ram[1], margin_bytes=margin_bytes, board=board)


def fit(
    source: Source | Request,
    ram: int | Memory,
    example_inputs: Any = None,
    *,
    dim: str | None = None,
    step: int | None = None,
    runtime: str | None = None,
    **arguments: Unpack[RequestArguments],
) -> Fit:
    """Return the largest size of a dimension for which a model fits a memory.

    Args:
        source: See ``Source``, or a request.
        ram: The memory: an amount in bytes, or more of it.
        example_inputs: The inputs to run a module on: a tensor or a tuple; only their shapes and types are used.
        dim: The dimension: a name of the file, ``INPUT[AXIS]``, ``batch``, ``height``, ``width``, ``resolution`` or
            ``length``; the batch, or the only open one, if left out.
        step: From one size to the next, of which all are multiples; left out, the least of 1, 2, 4, ... 64 at which
            the answer is known: a network whose branches meet every so many pixels has no size between. Sizes too
            small for the network to run are passed over.
        runtime: Name of the runtime model; what leads a report if left out.
        arguments: Fields of ``Request``.

    Raises:
        InputError: The source is missing, unreadable or invalid, or runs at none of the sizes that were tried.
        UsageError: A name does not exist, or the dimension is fixed.
        MissingExtraError: The source needs PyTorch, which is not installed.
    """
    request = make_request(source, example_inputs, **arguments)
    memory = Memory(size_bytes=ram) if isinstance(ram, int) else ram
    if step is not None and not 1 <= step <= MAX_SIZE:
        raise UsageError(f"A step of {step} is not possible.", f"Give 1 to {MAX_SIZE}.")
    with paused_collector():
        model = load(request)
        name = dim or _default_dim(request, model)
        asked = _Asked(find_axes(request, model, [name]), name, memory, runtime or leading_runtime(model))
        step, found = _search(asked, step, memory.size_bytes)
    shown = found.largest or found.following
    numbers = None if shown is None else asked.numbers.get(shown.size)
    return Fit(
        path=request.name,
        dim=name,
        limit_bytes=memory.size_bytes,
        board="" if memory.board is None else memory.board.name,
        runtime="" if memory.board else asked.runtime,
        grade=None if numbers is None else numbers.grade,
        step=step,
        largest=found.largest,
        following=found.following,
        evaluated=tuple(sorted(asked.sizes)),
        formula=formula_around(found),
        error="" if numbers is None or numbers.process is None else numbers.process.error,
        assumed=tuple(note for note in model.graph.assumed if note.name.partition("=")[0] not in asked.names),
        hint=next((unknown.hint for unknown in asked.unknown), ""),
    )


def _search(asked: _Asked, step: int | None, limit_bytes: int) -> tuple[int, Bracket]:
    """Return a step and the largest of its multiples that fits; a coarser one if the answer is not known between."""
    least = find_least(asked.has, step or 1) or 1
    found = find_largest(asked.take, step or 1, limit_bytes, least)
    coarser = None if step is not None or _is_decided(found) else _coarser(asked, limit_bytes, least)
    if coarser is None and not _is_decided(found) and found.largest is None and asked.failed:
        raise next(iter(asked.failed.values()))
    return coarser or (step or 1, found)


def _is_decided(found: Bracket) -> bool:
    """Tell whether the sizes that decide are known."""
    return found.following.fits is not None if found.following is not None else found.largest is not None


def _coarser(asked: _Asked, limit_bytes: int, least: int) -> tuple[int, Bracket] | None:
    """Return a coarser step at which a size fits and the answer is known, and that; ``None`` if none of a few is."""
    for step in _STEPS:
        with suppress(MemprofError):  # one that does not run at these sizes is no answer
            found = find_largest(asked.take, step, limit_bytes, least)
            if found.largest is not None and _is_decided(found):
                return step, found
    return None


def _default_dim(request: Request, model: Model) -> str:
    """Return the batch if that can change, else the only dimension that is open."""
    try:
        find_axes(request, model, ["batch"])
    except UsageError as error:
        names = [note.name.partition("=")[0] for note in model.graph.assumed if note.hint.startswith("--dim ")]
        if len(names) != 1:
            shown = f"Name one: --dim {names[0]}" if names else error.hint
            raise UsageError(f"Which dimension is to be found? {error.message}", shown) from error
        return names[0]
    return "batch"


class _Asked:
    """Asks the model what it takes at a size."""

    def __init__(self, axes: Axes, name: str, memory: Memory, runtime: str) -> None:
        self._axes = axes
        self._name = name
        self._memory = memory
        self.runtime = runtime
        self.sizes: set[int] = set()
        self.numbers: dict[int, Numbers] = {}
        self.unknown: list[Unknown] = []
        self.failed: dict[int, InputError] = {}
        self._taken: dict[int, Taken] = {}

    @property
    def names(self) -> frozenset[str]:
        """What the dimension is called, by the caller and in the file."""
        return frozenset({self._name, *(place.symbol for place in self._axes.places[self._name])})

    def has(self, size: int) -> bool:
        """Tell whether the model runs at a size, as far as can be known."""
        self.take(size)
        return size not in self.failed

    def take(self, size: int) -> Taken:
        """Return what the model takes at a size."""
        if size not in self._taken:
            self._taken[size] = self._take(size)
        return self._taken[size]

    def _take(self, size: int) -> Taken:
        self.sizes.add(size)
        request = self._axes.resized({self._name: size})
        where = f"{self._name}={size}"
        board = self._memory.board
        if board is not None:
            parts = at_size(where, lambda: self._on_board(request, board))
        else:
            try:
                numbers = at_size(where, lambda: evaluate(request, self.runtime, self._axes.digest))
            except LimitError:  # a tensor would be larger than any memory
                return Taken(size=size, parts=(), fits=False, size_bytes=None)
            except ChangedError:
                raise
            except InputError as error:  # the network has no such size; another step may have an answer
                self.failed[size] = error
                return Taken(size=size, parts=(), fits=None, size_bytes=None)
            self.numbers[size] = numbers
            parts = _parts(numbers, request, self.runtime)
            if not parts:
                self.unknown += numbers.unknown
        if not parts:
            return Taken(size=size, parts=(), fits=None, size_bytes=None)
        if self._memory.margin_bytes:
            parts = (*parts, Part("margin", self._memory.margin_bytes, "kept for others, as asked"))
        total = sum(part.size_bytes for part in parts)
        return Taken(size=size, parts=parts, fits=total <= self._memory.size_bytes, size_bytes=total)

    def _on_board(self, request: Request, board: Board) -> tuple[Part, ...]:
        graph = load_same(request, self._axes.digest).graph
        try:
            arena = arena_on(graph, board)
        except IncompleteError:
            arena = None
        if arena is None:
            self.unknown += graph.unknown
            return ()
        return (Part("arena", arena),)


_WEIGHTS = {"tflm": "in this memory; a board reads them from flash, and --board NAME counts its arena alone"}
"""What is said of weights that lie elsewhere than asked, by runtime model."""


def _weights_words(numbers: Numbers) -> str:
    stored = "" if numbers.weight_bytes is None else f"; stored they take {numbers.weight_bytes:,} bytes"
    return f"as the session keeps them, packed or in blocks{stored}"


def _parts(numbers: Numbers, request: Request, runtime: str) -> tuple[Part, ...]:
    """Return what is counted, nothing if a size is not known."""
    if numbers.process is not None:
        if numbers.process.size_bytes is None:
            return ()
        sources = {**_SOURCES, "weights": _weights_words(numbers)} if request.is_file else _SOURCES
        return tuple(Part(name, size, sources.get(name, "")) for name, size in numbers.process.parts.items())
    device = CUDA_PARTS if request.device == "cuda" else ()
    if numbers.peak_bytes is None or numbers.weight_bytes is None or numbers.input_bytes is None:
        return ()
    inputs = () if find_runtime(runtime).counts_inputs else (Part("inputs", numbers.input_bytes),)
    weights = Part("weights", numbers.weight_bytes, _WEIGHTS.get(runtime, ""))
    return (weights, *inputs, Part("peak", numbers.peak_bytes), *device)
