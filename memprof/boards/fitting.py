"""Does a model fit a board? Yes by a concrete plan, no by a bound, else nobody knows yet.

    flash   the file, and the runtime's code with it (a stated margin)
    RAM     the arena in one bank, and the rest of the program beside it (a stated margin)
              as it is     the arena that the runtime lays out by itself
              planned      the arena that ``memprof plan -o`` writes, where the other does not fit
              external     the same in RAM beside the chip, which is slower
              no           what no order and no addresses do with less than is more than the bank holds

A .tflite file is measured by TensorFlow Lite Micro's arena, with the kernels of the board's core; any other model by
the arena that a plan finds for it, without a tail, and its parameters as flash.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from memprof.base.errors import IncompleteError, UsageError
from memprof.boards.board import Board
from memprof.ir import Graph
from memprof.ir.model import Model
from memprof.ir.program import Program
from memprof.planning.ordering.find import find_order
from memprof.planning.plan import PlanOptions, plan_graph
from memprof.planning.tflm import TflmPlan, order_problem, plan_program
from memprof.runtimes.tflm import find_arena
from memprof.runtimes.tflm.lifetimes import find_needs
from memprof.runtimes.tflm.planner import load_bound
from memprof.runtimes.tflm.scratch import CMSIS_NN, CMSIS_NN_MVE, REFERENCE, Rule
from memprof.runtimes.tflm.tail import least_tail_bytes

RAM_MARGIN_BYTES = 16 * 1024
FLASH_MARGIN_BYTES = 64 * 1024

How = Literal["as it is", "planned", "external", "no", "open"]

_ANSWERS: Mapping[str, bool | None] = {"as it is": True, "planned": True, "external": True, "no": False, "open": None}

_RULES: Mapping[str, Mapping[str, Rule]] = {
    "portable": REFERENCE,
    "cmsis-nn": CMSIS_NN,
    "cmsis-nn-mve": CMSIS_NN_MVE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """What a model asks of any board.

    Attributes:
        flash_bytes: Of the file, or of its parameters.
        arena_bytes: By set of kernels: the arena without a plan, ``None`` if it is not known, as where there is no
            kernel for an operator.
        planned_bytes: By set of kernels: the arena with a plan, ``None`` if none was made.
        bound_bytes: By set of kernels: what no order and no addresses do with less than.
        counts: What is in the arena, in one sentence.
        unproven: What keeps an arena from being known.
    """

    flash_bytes: int
    arena_bytes: Mapping[str, int | None]
    planned_bytes: Mapping[str, int | None]
    bound_bytes: Mapping[str, int]
    counts: str
    unproven: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardFit:
    """A model on one board.

    Attributes:
        board: The board.
        how: ``as it is``, ``planned`` (fits once ``memprof plan -o`` wrote it), ``external`` (in RAM beside the
            chip), ``no`` or ``open``.
        ram_bytes: Bytes of RAM that it takes, margin included, ``None`` if not known.
        ram_limit_bytes: Bytes of the largest bank.
        bank: Name of that bank.
        flash_bytes: Bytes of flash that it takes, margin included.
        flash_limit_bytes: Bytes of the largest flash.
        flash: Name of that flash.
        reason: One sentence: why.
    """

    board: Board
    how: How
    ram_bytes: int | None
    ram_limit_bytes: int
    bank: str
    flash_bytes: int
    flash_limit_bytes: int
    flash: str
    reason: str

    @property
    def fits(self) -> bool | None:
        """Whether it fits, ``None`` if that is open."""
        return _ANSWERS[self.how]

    def to_json(self) -> dict[str, Any]:
        """Return the fit as JSON-ready values."""
        return {
            "board": self.board.name,
            "title": self.board.title,
            "core": self.board.core,
            "kernels": self.board.kernels,
            "fits": self.fits,
            "how": self.how,
            "ram": {
                "bank": self.bank,
                "limit_bytes": self.ram_limit_bytes,
                "used_bytes": self.ram_bytes,
                "banks": dict(self.board.ram),
                "external": dict(self.board.external_ram),
            },
            "flash": {
                "name": self.flash,
                "limit_bytes": self.flash_limit_bytes,
                "used_bytes": self.flash_bytes,
            },
            "reason": self.reason,
            "source": self.board.source,
            "checked": self.board.checked,
        }


_NO_SCRATCH: Mapping[str, Rule] = {name: lambda call: () for name in REFERENCE}


def model_footprint(graph: Graph, kernels: Iterable[str], seconds: float = 2.0) -> Footprint:
    """Return what a model asks of any board.

    Args:
        graph: The model.
        kernels: The sets of kernels to lay the arena out for.
        seconds: Time to plan at most, for each.

    Raises:
        IncompleteError: The size of a tensor is not known.
    """
    if graph.program is None:
        return _planned_footprint(graph, tuple(kernels), seconds)
    program = graph.program
    plan = _try_plan(graph, seconds)
    arenas = {name: find_arena(program, _RULES[name]) for name in kernels}
    planned: dict[str, int | None] = dict.fromkeys(arenas)
    if plan is not None:
        planned = {
            name: None if arena.unproven else find_arena(plan.program, _RULES[name]).arena_bytes
            for name, arena in arenas.items()
        }
    return Footprint(
        flash_bytes=program.file_bytes,
        arena_bytes={name: None if arena.unproven else arena.arena_bytes for name, arena in arenas.items()},
        planned_bytes=planned,
        bound_bytes=_bounds(program, plan, tuple(arenas), seconds),
        counts="the arena of TensorFlow Lite Micro: head, and tail as an estimate",
        unproven=tuple(dict.fromkeys([why for arena in arenas.values() for why in arena.unproven])),
    )


def arena_on(graph: Graph, board: Board, seconds: float = 1.0) -> int | None:
    """Return the arena that a model takes on a board without being changed, ``None`` if it is not known.

    Args:
        graph: The model; one that is no .tflite file takes what a plan finds.
        board: The board.
        seconds: Time for a plan at most.

    Raises:
        IncompleteError: The size of a tensor is not known.
    """
    if graph.program is not None:
        return find_arena(graph.program, _RULES[board.kernels]).arena_bytes
    return _planned_footprint(graph, (board.kernels,), seconds).arena_bytes[board.kernels]


def fit_board(
    found: Footprint,
    board: Board,
    ram_margin_bytes: int = RAM_MARGIN_BYTES,
    flash_margin_bytes: int = FLASH_MARGIN_BYTES,
) -> BoardFit:
    """Return whether a model fits a board.

    Args:
        found: What the model asks.
        board: The board.
        ram_margin_bytes: RAM of the largest bank that the rest of the program takes.
        flash_margin_bytes: Flash that the runtime's code takes.
    """
    bank, ram = board.largest_ram
    flash_name, flash = board.largest_flash
    as_is, planned = found.arena_bytes[board.kernels], found.planned_bytes[board.kernels]
    best = min((size for size in (as_is, planned) if size is not None), default=None)
    used = None if best is None else best + ram_margin_bytes
    outer, outer_bytes = board.largest_ram_anywhere
    bound = found.bound_bytes[board.kernels]
    how: How = "open"
    if found.flash_bytes > flash:
        how, reason = "no", f"the model is more than the {flash_name} flash holds"
    elif bound > outer_bytes:
        how, reason = "no", f"no plan does with less than {bound:,} bytes, and {outer} holds {outer_bytes:,}"
    elif found.flash_bytes + flash_margin_bytes > flash:
        reason = "the model fits the flash, with less beside it than the margin"
    elif as_is is not None and as_is + ram_margin_bytes <= ram:
        how, reason, used = "as it is", "as the runtime lays it out by itself", as_is + ram_margin_bytes
    elif used is not None and used <= ram:
        how, reason = "planned", "once memprof plan -o wrote its addresses"
    elif used is not None and used <= outer_bytes:
        how, reason, bank, ram = "external", "in RAM beside the chip, which is slower", outer, outer_bytes
    elif best is None:
        reason = "the size of a tensor or the scratch of a kernel is not known"
    else:
        reason = f"the best plan found takes {best:,} bytes, and with the margin that is more than {outer} holds"
    return BoardFit(
        board=board,
        how=how,
        ram_bytes=used,
        ram_limit_bytes=ram,
        bank=bank,
        flash_bytes=found.flash_bytes + flash_margin_bytes,
        flash_limit_bytes=flash,
        flash=flash_name,
        reason=reason,
    )


def smallest_fit(fits: Iterable[BoardFit]) -> BoardFit | None:
    """Return the board whose RAM that a model fits is least, of equals one on the chip, then the least flash."""
    fitting = [fit for fit in fits if fit.fits]
    return min(
        fitting,
        key=lambda fit: (fit.ram_limit_bytes, fit.how == "external", fit.flash_limit_bytes, fit.board.name),
        default=None,
    )


def _try_plan(graph: Graph, seconds: float) -> TflmPlan | None:
    assert graph.program is not None, "only a program is planned here"
    try:
        plan = plan_program(graph.program, seconds)
    except (IncompleteError, UsageError):  # it cannot be planned safely, or is planned already
        return None
    _end_if(plan.was_interrupted)
    return plan


def _end_if(was_interrupted: bool) -> None:
    """End all if a planner was told to: it keeps Ctrl-C to itself, which was meant for whoever asked for a plan."""
    if was_interrupted:
        raise KeyboardInterrupt


def _bounds(program: Program, plan: TflmPlan | None, kernels: tuple[str, ...], seconds: float) -> Mapping[str, int]:
    """Return what no plan does with less than: of scratch nothing, since other kernels may take less of it."""
    needs = find_needs(program, _NO_SCRATCH)
    problem = order_problem(program, needs)
    bare = load_bound(needs.buffers, needs.scopes)
    if problem is not None:
        order = find_order(problem, seconds / 2)
        _end_if(order.ending == "interrupted")
        bare = min(bare, order.lower_bound_bytes)
    portable = bare if plan is None else max(bare, plan.least_bytes)
    tail = least_tail_bytes(program)
    return {name: tail + (portable if name == "portable" else bare) for name in kernels}


def _planned_footprint(graph: Graph, kernels: tuple[str, ...], seconds: float) -> Footprint:
    plan = plan_graph(Model.of(graph), PlanOptions(seconds=seconds, alignment=16), None)
    _end_if(plan.was_interrupted)
    order = plan.order
    bound = plan.arena.load_bytes if order is None else order.lower_bound_bytes
    return Footprint(
        flash_bytes=graph.parameter_bytes,
        arena_bytes=dict.fromkeys(kernels, plan.arena.arena_bytes),
        planned_bytes=dict.fromkeys(kernels),
        bound_bytes=dict.fromkeys(kernels, bound),
        counts="a planned arena for the intermediates, one operation at a time, without what a runtime adds",
    )
