"""The whole plan of a graph: an order with a low peak, an address for every buffer in it, and what is proven of both.

    graph --> order (memprof.planning.ordering) --> lifetimes --> offsets (memprof.planning.offsets) --> Plan

    rules       peak of the order counts            its lower bound holds for
    reference   views share storage                 every order; found exactly
    contracted  and what is in place in any order   every order; found exactly
    ideal       reuse that depends on the order     every order, by a relaxation; candidates are scored
    onnxruntime what onnxruntime does               every order, by a relaxation; candidates are scored

Peaks are those that ``analyze`` reports. The arena counts sizes rounded up to the alignment, and only what it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from memprof.analysis import Lifetimes
from memprof.base.collector import paused_collector
from memprof.base.errors import IncompleteError, UsageError
from memprof.ir import Graph
from memprof.ir.model import Model
from memprof.planning.arenas import Arena, plan_arenas
from memprof.planning.lifetimes import ArenaContent, pose_allocation
from memprof.planning.meter import Meter
from memprof.planning.offsets.problem import AllocationProblem, MemoryPlan
from memprof.planning.offsets.solver import decide_capacity, plan_offsets
from memprof.planning.ordering.find import decide_order, find_order
from memprof.planning.ordering.problem import FROM_START, OrderProblem
from memprof.planning.ordering.result import OrderResult
from memprof.planning.ordering.scored import POSED_ANYWAY_OPS, find_scored_order
from memprof.planning.recomputation.planned import Allowed, repeat_operations
from memprof.planning.recomputation.repeatable import known_macs, parse_allowance
from memprof.planning.record import BudgetAnswer, Plan, PlannedOrder
from memprof.planning.rules import RULES, find_rules
from memprof.planning.splitting.estimate import Split, find_split
from memprof.runtimes import Ordering, RuntimeModel, as_read
from memprof.runtimes.contracted import contracted_storage
from memprof.runtimes.late import find

_OFFSET_SHARE = 0.3  # of the time, kept for the offsets
_SPLIT_SHARE = 0.2  # of what is left then, kept for patches
_SPLIT_STEPS, _SPLIT_SECONDS = 1_000_000, 0.15  # that patches get in any case, beyond the deadline


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanProgress:
    """How far a plan is.

    Attributes:
        stage: ``order`` or ``offsets``.
        size_bytes: The peak or the arena of the best so far.
        lower_bound_bytes: What is proven so far.
        seconds: Wall time of this stage.
    """

    stage: str
    size_bytes: int
    lower_bound_bytes: int
    seconds: float


Report = Callable[[PlanProgress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """What to plan, and for how long.

    Attributes:
        runtime: What a peak counts: name of a row of ``RUNTIMES`` that orders can be searched for.
        in_place: Whether elementwise operations are in place where every order allows it; for ``reference``.
        keep_order: Whether the given order stays, so that only addresses are planned.
        seconds: Time to search at most, for all parts of the plan together; proofs usually come long before.
        effort: Steps of work to spend at most, ``None`` for any number. The same plan on every machine with the same
            extras, however busy, if ``seconds`` is endless.
        alignment: Every offset is a multiple of it, and sizes count as rounded up to one; ``None`` for 64, and for 1
            where buffers come without a graph.
        with_inputs: Whether graph inputs are in the arena, or the caller's.
        with_outputs: Whether graph outputs are.
        budget_bytes: Size of an arena to decide about; without it, the arena is made as small as possible.
        arenas: Memories to spread the buffers over, besides the plan of a single one; none if empty.
        recompute: Operations may run twice: the multiply-accumulates (MACs) that this may take, as a number or as a
            share of the model's (``"5%"``); ``None`` if none may. 0 allows what takes none: activations, casts,
            resizing.
        split: Work out what the first layers would take patch by patch: the MACs that the overlap may take, as for
            ``recompute``; for ``reference``, in place or not. ``None`` if nobody asks.

    Raises:
        UsageError: There is no plan for the runtime, ``in_place`` is asked of one that has its own rules for it, or
            ``recompute`` or ``split`` is no amount or does not go with the rest.
    """

    runtime: str = "reference"
    in_place: bool = False
    keep_order: bool = False
    seconds: float = 10.0
    effort: int | None = None
    alignment: int | None = None
    with_inputs: bool = True
    with_outputs: bool = True
    budget_bytes: int | None = None
    arenas: tuple[Arena, ...] = ()
    recompute: int | str | None = None
    split: int | str | None = None

    def __post_init__(self) -> None:
        if self.recompute is not None:
            parse_allowance(self.recompute, 0)
            if self.keep_order:
                raise UsageError("An order that is kept has no room for second runs.", "Leave one of the two out.")
        if self.seconds < 0 or (self.effort is not None and self.effort < 0):
            raise UsageError("Neither seconds nor effort can be negative.", "Give 0 to keep to what costs nothing.")
        if self.split is not None:
            parse_allowance(self.split, 0)
            if self.recompute is not None or self.runtime != "reference":
                raise UsageError(
                    "Patches are worked out for reference, with everything else run once.",
                    "Leave the other runtime, or recompute, out.",
                )
        find_rules(self.runtime, in_place=self.in_place)

    @property
    def rules(self) -> str:
        """Key in ``RULES``."""
        return find_rules(self.runtime, in_place=self.in_place).name

    @property
    def content(self) -> ArenaContent:
        """What of a graph's buffers the arena holds."""
        alignment = 64 if self.alignment is None else self.alignment
        return ArenaContent(alignment, self.with_inputs, self.with_outputs)


@paused_collector()
def plan_graph(model: Model, options: PlanOptions, report: Report | None = None) -> Plan:
    """Return a plan of ``model``'s graph.

    Raises:
        IncompleteError: The size of a tensor is not known.
    """
    graph, rules = model.graph, as_read(RULES[options.rules], model)
    find_rules(rules.name)  # a graph that onnxruntime has optimised is read by another row, one without orders
    lifetimes = rules.lifetimes(graph)
    if not lifetimes.is_complete:
        names = ", ".join(f"{unknown.kind} {unknown.name[:80]}" for unknown in graph.unknown[:5])
        hint = " ".join(dict.fromkeys(u.hint for u in graph.unknown[:5] if u.hint)) or "Give the sizes that are open."
        raise IncompleteError(f"A plan needs every size, and some are not known: {names or 'of some tensor'}.", hint)
    meter = Meter(options.seconds, options.effort)
    search = _Order(graph, lifetimes, rules, options, report, meter)
    order = search.plan()
    floor_bytes = 0
    if options.budget_bytes is not None and not options.keep_order:
        order, floor_bytes = search.aim_at_budget(order, options.budget_bytes)
    recomputation = None
    if options.recompute is None or order.was_interrupted:
        lifetimes = search.lifetimes(order.node_ids)
    else:
        allowed = Allowed(options.recompute, options.budget_bytes, options.content)
        repeated = repeat_operations(model, rules, order, allowed, meter.part(1 - _OFFSET_SHARE))
        order, recomputation = repeated.order, repeated.recomputation
        lifetimes, floor_bytes = repeated.lifetimes, repeated.floor_bytes
    problem = pose_allocation(lifetimes, options.content)
    share = 0.0 if order.was_interrupted else _arena_share(options)
    arena = _plan_arena(problem, options.budget_bytes, meter.part(share), report)
    budget = None
    if options.budget_bytes is not None:
        lower_bytes = arena.lower_bound_bytes if options.keep_order else floor_bytes
        budget = answer_budget(arena, options.budget_bytes, lower_bytes)
    arenas = plan_arenas(problem, options.arenas, meter.part(_without_patches(options))) if options.arenas else None
    return Plan(
        rules=options.rules,
        order=order,
        arena=arena,
        content=options.content,
        budget=budget,
        arenas=arenas,
        recomputation=recomputation,
        split=None if options.split is None else _split(lifetimes, options, options.split, meter),
        was_interrupted=meter.was_ended,
    )


def _split(lifetimes: Lifetimes, options: PlanOptions, allowance: int | str, meter: Meter) -> Split | None:
    graph = lifetimes.graph
    roots = contracted_storage(graph) if options.in_place else graph.storage
    patient = meter.patient(_SPLIT_STEPS, _SPLIT_SECONDS)
    return find_split(lifetimes, roots, parse_allowance(allowance, known_macs(graph)), patient)


@paused_collector()
def plan_allocation(problem: AllocationProblem, options: PlanOptions, report: Report | None = None) -> Plan:
    """Return a plan of buffers that came without a graph; what ``options`` say of an order is moot."""
    meter = Meter(options.seconds, options.effort)
    arena = _plan_arena(problem, options.budget_bytes, meter.part(_arena_share(options)), report)
    budget = None
    if options.budget_bytes is not None:
        budget = answer_budget(arena, options.budget_bytes, arena.lower_bound_bytes)
    arenas = plan_arenas(problem, options.arenas, meter.part(1)) if options.arenas else None
    return Plan(
        rules="",
        order=None,
        arena=arena,
        content=ArenaContent(problem.alignment),
        budget=budget,
        arenas=arenas,
        was_interrupted=meter.was_ended,
    )


def _arena_share(options: PlanOptions) -> float:
    """Return what of the time that is left goes to the single arena; the rest is for several ones and for patches."""
    return (0.5 if options.arenas else 1.0) * _without_patches(options)


def _without_patches(options: PlanOptions) -> float:
    """Return what of the time that is left is not kept for patches."""
    return 1.0 if options.split is None else 1 - _SPLIT_SHARE


def answer_budget(arena: MemoryPlan, budget_bytes: int, lower_bytes: int) -> BudgetAnswer:
    """Return whether ``budget_bytes`` are enough, given a plan and a bound that holds for every plan."""
    answer = True if arena.arena_bytes <= budget_bytes else False if lower_bytes > budget_bytes else None
    return BudgetAnswer(budget_bytes=budget_bytes, answer=answer, lower_bound_bytes=lower_bytes)


def arena_order_problem(problem: OrderProblem, content: ArenaContent) -> OrderProblem:
    """Return ``problem`` with the bytes that an arena holds: rounded up, and what the caller holds left out.

    Never more than the arena of an order really holds. Only for problems without negative scratch: rounding would
    take too much off there.
    """

    def held(size: int, birth: int, is_kept: bool) -> int:
        is_out = (birth == FROM_START and not content.has_inputs) or (is_kept and not content.has_outputs)
        return 0 if is_out else _round_up(size, content.alignment)

    storages = zip(problem.storage_bytes, problem.births, problem.is_kept, strict=True)
    return replace(
        problem,
        storage_bytes=tuple(held(*storage) for storage in storages),
        scratch_bytes=tuple(_round_up(size, content.alignment) for size in problem.scratch_bytes),
        first_step_bytes=_round_up(problem.first_step_bytes, content.alignment) if content.has_inputs else 0,
    )


def _round_up(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment


def _plan_arena(
    problem: AllocationProblem, capacity_bytes: int | None, meter: Meter, report: Report | None
) -> MemoryPlan:
    def tell(progress: Any) -> None:
        if report is not None:
            report(
                PlanProgress(
                    stage="offsets",
                    size_bytes=progress.arena_bytes,
                    lower_bound_bytes=progress.lower_bound_bytes,
                    seconds=progress.seconds,
                )
            )

    if capacity_bytes is None:
        return plan_offsets(problem, meter, tell)
    return decide_capacity(problem, capacity_bytes, meter, tell).plan


class _Order:
    """The search for an order: what is tried, and what is kept."""

    def __init__(
        self,
        graph: Graph,
        given_lifetimes: Lifetimes,
        rules: RuntimeModel,
        options: PlanOptions,
        report: Report | None,
        meter: Meter,
    ) -> None:
        self._graph = graph
        self._given_lifetimes = given_lifetimes
        self._lowest: tuple[Sequence[int], Lifetimes] = ((), given_lifetimes)  # of the orders that were scored
        self._meter = meter
        assert rules.ordering is not None, "find_rules has seen to it"
        self._rules = rules
        self._ordering: Ordering = rules.ordering
        self._options = options
        self._report = report
        self._given = tuple(range(len(graph.nodes)))

    def plan(self) -> PlannedOrder:
        """Return the best order found."""
        begun = self._meter.seconds
        order, before_bytes = self._given, self._peak_bytes(self._given)
        peak_bytes = before_bytes
        if self._meter.has_ended and len(order) > POSED_ANYWAY_OPS:
            bound = self._unsearched(before_bytes)
        elif self._options.keep_order:
            bound = find_order(self._pose(self._ordering.bound), self._meter.part(0.0))
            if not self._ordering.is_exact:
                bound = replace(bound, proof=f"{bound.proof}, relaxed")
        elif self._ordering.is_exact:
            bound = self._search(self._ordering.bound)
            order, peak_bytes = bound.order, bound.peak_bytes
        else:
            bound = self._search_scored()
            order, peak_bytes = bound.order, bound.peak_bytes
        return PlannedOrder(
            node_ids=tuple(order),
            nodes=tuple(self._graph.nodes[i].name for i in order),
            before_bytes=before_bytes,
            peak_bytes=peak_bytes,
            lower_bound_bytes=min(bound.lower_bound_bytes, peak_bytes),
            proof=bound.proof,
            seconds=self._meter.seconds - begun,
            was_interrupted=bound.ending == "interrupted",
        )

    def _unsearched(self, before_bytes: int) -> OrderResult:
        """Return the given order where there is no time even to pose a problem: its bound is nothing."""
        return OrderResult(
            order=self._given,
            peak_bytes=before_bytes,
            before_bytes=before_bytes,
            lower_bound_bytes=0,
            proof="bytes of one step",
            ending="time" if self._meter.has_steps_left else "effort",
            seconds=0.0,
        )

    def _pose(self, name: str) -> OrderProblem:
        problem: OrderProblem = find(name)(self._graph)
        return problem

    def _search(self, name: str) -> OrderResult:
        report = self._tell if self._report is not None else None
        return find_order(self._pose(name), self._meter.part(1 - _OFFSET_SHARE), report)

    def _search_scored(self) -> OrderResult:
        return find_scored_order(
            self._graph,
            lambda graph, order: self._peak_bytes(order),
            floor=partial(self._pose, self._ordering.bound),
            related=[partial(self._pose, name) for name in self._ordering.related],
            seconds=self._meter.part(1 - _OFFSET_SHARE),
        )

    def aim_at_budget(self, order: PlannedOrder, budget_bytes: int) -> tuple[PlannedOrder, int]:
        """Return an order for an arena of ``budget_bytes``, and what every order's arena needs at least.

        The order of the lowest peak may not be that of the smallest arena, which rounds sizes and may leave some out.
        """
        content = self._options.content
        if not self._ordering.is_exact:
            holds_all = content.has_inputs and content.has_outputs
            return order, order.lower_bound_bytes if holds_all else 0
        if self._load_bytes(order.node_ids) <= budget_bytes:
            return order, 0
        problem = arena_order_problem(self._pose(self._ordering.bound), content)
        found = decide_order(problem, budget_bytes, self._meter.part(1 - _OFFSET_SHARE)).result
        if self._load_bytes(found.order) < self._load_bytes(order.node_ids):
            order = replace(
                order,
                node_ids=found.order,
                nodes=tuple(self._graph.nodes[i].name for i in found.order),
                peak_bytes=self._peak_bytes(found.order),
            )
        return order, found.lower_bound_bytes

    def _load_bytes(self, order: Sequence[int]) -> int:
        return pose_allocation(self.lifetimes(order), self._options.content).load_bytes

    def _peak_bytes(self, order: Sequence[int]) -> int:
        found = self.lifetimes(order)
        if found.timeline.peak_bytes < self._lowest[1].timeline.peak_bytes:
            self._lowest = order, found
        return found.timeline.peak_bytes

    def lifetimes(self, order: Sequence[int]) -> Lifetimes:
        """Return the lifetimes in ``order``; those in the given one and in the lowest are known."""
        for known, found in ((self._given, self._given_lifetimes), self._lowest):
            if order == known:
                return found
        return self._rules.lifetimes(self._graph, order)

    def _tell(self, progress: Any) -> None:
        assert self._report is not None
        self._report(
            PlanProgress(
                stage="order",
                size_bytes=progress.peak_bytes,
                lower_bound_bytes=progress.lower_bound_bytes,
                seconds=progress.seconds,
            )
        )
