"""A plan, frozen, with JSON both ways: the order, the addresses, and what is proven of both.

Nothing of a saved plan is trusted: it is read field by field, and its places are judged by the validator as all are.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from memprof.base.errors import InputError, UsageError
from memprof.base.fields import Fields, check_schema
from memprof.base.units import format_bytes
from memprof.planning.arenas import Arena, ArenasPlan, Place
from memprof.planning.lifetimes import ArenaContent
from memprof.planning.offsets.problem import AllocationBuffer, AllocationProblem, MemoryPlan
from memprof.planning.rules import RULES
from memprof.planning.splitting.estimate import Split
from memprof.planning.validator import find_violation
from memprof.runtimes.late import find

PLAN_SCHEMA = "memprof/plan/2"


@dataclass(frozen=True, kw_only=True)
class PlannedOrder:
    """In which order the operations run.

    Attributes:
        node_ids: Ids of the graph's nodes, in running order; one that runs twice is there twice.
        nodes: Their names.
        before_bytes: Peak of the given order.
        peak_bytes: Peak of this one; never more.
        lower_bound_bytes: No order needs less.
        proof: What the bound rests on.
        seconds: Wall time it took.
        was_interrupted: Whether Ctrl-C ended the search.
    """

    node_ids: tuple[int, ...]
    nodes: tuple[str, ...]
    before_bytes: int
    peak_bytes: int
    lower_bound_bytes: int
    proof: str
    seconds: float
    was_interrupted: bool = False

    @property
    def is_optimal(self) -> bool:
        """Whether no order has a lower peak, proven."""
        return self.peak_bytes == self.lower_bound_bytes

    @property
    def is_changed(self) -> bool:
        """Whether it differs from the given order."""
        return self.node_ids != tuple(range(len(self.node_ids)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Recomputation:
    """Operations that run twice, so that what they write need not be held in between.

    Attributes:
        allowed_macs: MACs that second runs might take.
        extra_macs: MACs that they take.
        model_macs: MACs of one run of every operation that they are known of.
        extra_bytes: Bytes that second runs write.
        operations: Names of what runs twice, in the order of the second runs.
        single_bytes: Peak of the best order found in which everything runs once.
        is_least_work: Whether it is proven that nothing of this peak, or within the budget, takes less work.
    """

    allowed_macs: int
    extra_macs: int
    model_macs: int
    extra_bytes: int
    operations: tuple[str, ...]
    single_bytes: int
    is_least_work: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready values."""
        return {
            "allowed_macs": self.allowed_macs,
            "extra_macs": self.extra_macs,
            "model_macs": self.model_macs,
            "extra_bytes": self.extra_bytes,
            "operations": list(self.operations),
            "peak_once_bytes": self.single_bytes,
            "least_work": self.is_least_work,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetAnswer:
    """Whether an arena of a given size is enough.

    Attributes:
        budget_bytes: The size.
        answer: Yes (the plan fits), no (proven), or ``None``: unknown.
        lower_bound_bytes: What every order and every arena needs at least.
    """

    budget_bytes: int
    answer: bool | None
    lower_bound_bytes: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """An order, an arena, and what is proven.

    Attributes:
        rules: Key in ``RULES``; empty for a problem that came without a graph.
        order: The order, ``None`` for a problem that came without a graph.
        arena: The arena.
        content: What the arena holds.
        budget: The answer to a budget, ``None`` if none was given.
        arenas: Places in several arenas, ``None`` if none were given.
        recomputation: What runs twice, ``None`` if nothing might.
        split: What the first layers would take patch by patch, an estimate beside the plan; ``None`` if nobody asked,
            or if it would be no less.
        was_interrupted: Whether Ctrl-C ended a search on the way, so that this is the best until then.
    """

    rules: str
    order: PlannedOrder | None
    arena: MemoryPlan
    content: ArenaContent
    budget: BudgetAnswer | None = None
    arenas: ArenasPlan | None = None
    recomputation: Recomputation | None = None
    split: Split | None = None
    was_interrupted: bool = False

    @property
    def runtime(self) -> str:
        """Name of the runtime model that people know the rules by; empty without a graph."""
        return RULES[self.rules].in_place_of or self.rules if self.rules else ""

    @property
    def is_in_place(self) -> bool:
        """Whether the rules are those of its variant with operations in place."""
        return bool(self.rules and RULES[self.rules].in_place_of)

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON-ready values, schema ``memprof/plan/2``."""
        document: dict[str, Any] = {"schema": PLAN_SCHEMA}
        order = self.order
        if order is not None:
            document["runtime"] = self.runtime
            document["in_place"] = self.is_in_place
            document["rules"] = self.rules
            document["order"] = {
                "nodes": list(order.nodes),
                "node_ids": list(order.node_ids),
                "peak_before_bytes": order.before_bytes,
                "peak_bytes": order.peak_bytes,
                "lower_bound_bytes": order.lower_bound_bytes,
                "optimal": order.is_optimal,
                "proof": order.proof,
                "seconds": order.seconds,
                "was_interrupted": order.was_interrupted,
            }
            document["holds_inputs"] = self.content.has_inputs
            document["holds_outputs"] = self.content.has_outputs
        if self.recomputation is not None:
            document["recomputation"] = self.recomputation.to_json()
        if self.split is not None:
            document["split"] = _split_json(self.split)
        document["arena"] = arena_json(self.arena)
        if self.budget is not None:
            document["budget"] = {
                "budget_bytes": self.budget.budget_bytes,
                "fits": self.budget.answer,
                "lower_bound_bytes": self.budget.lower_bound_bytes,
            }
        if self.arenas is not None:
            document["arenas"] = self.arenas.to_json()
        return document

    @classmethod
    def from_json(cls, document: object, source: str = "the document") -> Plan:
        """Return the plan that was saved as ``document``; its places are judged anew.

        Args:
            document: What ``json.load`` gave. None of it is trusted.
            source: Where it came from, for the error.

        Raises:
            InputError: It is no plan of this version, a field is missing or wrong, or two buffers share an address.
        """
        return _read_plan(document, source)

    def __repr__(self) -> str:
        order = "" if self.order is None else f"peak {format_bytes(self.order.peak_bytes)}, "
        runtime = f" ({self.runtime})" if self.runtime else ""
        return f"<Plan{runtime}: {order}arena {format_bytes(self.arena.arena_bytes)}>"

    def _repr_html_(self) -> str:
        return str(find("memprof.render.notebook:plan_html")(self))


def arena_json(arena: MemoryPlan) -> dict[str, Any]:
    """Return one arena as JSON-ready values; sizes of buffers are not rounded."""
    return {
        "arena_bytes": arena.arena_bytes,
        "lower_bound_bytes": arena.lower_bound_bytes,
        "optimal": arena.is_optimal,
        "load_bytes": arena.load_bytes,
        "fragmentation": round(arena.fragmentation, 6),
        "alignment": arena.problem.alignment,
        "proof": arena.proof,
        "strategy": arena.strategy,
        "seconds": arena.seconds,
        "buffers": [
            {
                "name": buffer.name,
                "offset": offset,
                "size_bytes": buffer.size_bytes,
                "traffic_bytes": buffer.traffic_bytes,
                "start": buffer.start,
                "stop": buffer.stop,
            }
            for buffer, offset in zip(arena.problem.buffers, arena.offsets, strict=True)
        ],
    }


def _read_plan(document: object, source: str) -> Plan:
    """Return the plan that was saved as ``document``.

    Raises:
        InputError: It is no plan of this version, a field is missing or wrong, or its places break a rule.
    """
    check_schema(document, source, (PLAN_SCHEMA,))
    found = Fields(document, source)
    arena = _read_arena(found.fields("arena"))
    rules = found.text("rules") if "rules" in found else ""
    if rules and rules not in RULES:
        raise found.error("rules", "names no rules of this version")
    holds = (found.flag("holds_inputs"), found.flag("holds_outputs")) if rules else (True, True)
    return Plan(
        rules=rules,
        order=_read_order(found.fields("order"), 1 + ("recomputation" in found)) if rules else None,
        arena=arena,
        content=ArenaContent(arena.problem.alignment, *holds),
        budget=_read_budget(found.fields("budget")) if "budget" in found else None,
        arenas=_read_arenas(found.fields("arenas"), arena.problem.alignment) if "arenas" in found else None,
        recomputation=_read_recomputation(found.fields("recomputation")) if "recomputation" in found else None,
        split=_read_split(found.fields("split")) if "split" in found else None,
    )


def _read_order(found: Fields, most_runs: int) -> PlannedOrder:
    names = found.texts("nodes")
    node_ids = found.counts("node_ids", len(names))
    runs = Counter(node_ids)
    if sorted(runs) != list(range(len(runs))) or max(runs.values(), default=0) > most_runs:
        raise found.error("node_ids", "is no order of the nodes")
    return PlannedOrder(
        node_ids=node_ids,
        nodes=names,
        before_bytes=found.count("peak_before_bytes"),
        peak_bytes=found.count("peak_bytes"),
        lower_bound_bytes=found.count("lower_bound_bytes"),
        proof=found.text("proof"),
        seconds=found.number("seconds"),
        was_interrupted=found.flag("was_interrupted"),
    )


def _read_arena(found: Fields) -> MemoryPlan:
    problem = _read_problem(found, found.count("alignment"))
    plan = MemoryPlan(
        problem=problem,
        offsets=tuple(buffer.count("offset") for buffer in found.each("buffers")),
        lower_bound_bytes=found.count("lower_bound_bytes"),
        proof=found.text("proof"),
        strategy=found.text("strategy"),
        seconds=found.number("seconds"),
    )
    if violation := find_violation(problem, plan.offsets):
        raise found.error("buffers", f"is no plan: {violation.message}")
    if found.count("arena_bytes") != plan.arena_bytes:
        raise found.error("arena_bytes", f"is not the {plan.arena_bytes} that the offsets give")
    if not problem.load_bytes <= plan.lower_bound_bytes <= plan.arena_bytes:
        raise found.error("lower_bound_bytes", "is not between the bytes alive at a step and the arena")
    return plan


def _read_problem(found: Fields, alignment: int) -> AllocationProblem:
    try:
        return AllocationProblem(
            buffers=tuple(
                AllocationBuffer(
                    name=buffer.text("name"),
                    start=buffer.count("start"),
                    stop=buffer.count("stop"),
                    size_bytes=buffer.count("size_bytes"),
                    traffic_bytes=buffer.count("traffic_bytes"),
                )
                for buffer in found.each("buffers")
            ),
            alignment=alignment,
        )
    except UsageError as error:  # a number of the file, not of the call
        raise InputError(error.message, error.hint) from error


def _read_recomputation(found: Fields) -> Recomputation:
    return Recomputation(
        allowed_macs=found.count("allowed_macs"),
        extra_macs=found.count("extra_macs"),
        model_macs=found.count("model_macs"),
        extra_bytes=found.count("extra_bytes"),
        operations=found.texts("operations"),
        single_bytes=found.count("peak_once_bytes"),
        is_least_work=found.flag("least_work"),
    )


def _split_json(split: Split) -> dict[str, Any]:
    return {
        "grade": "estimate",
        "operations": list(split.operations),
        "rows": split.rows,
        "columns": split.columns,
        "peak_bytes": split.peak_bytes,
        "stage_bytes": split.stage_bytes,
        "rest_bytes": split.rest_bytes,
        "extra_macs": split.extra_macs,
        "model_macs": split.model_macs,
        "extra_bytes": split.extra_bytes,
        "is_complete": split.is_complete,
    }


def _read_split(found: Fields) -> Split:
    return Split(
        operations=found.texts("operations"),
        rows=found.count("rows"),
        columns=found.count("columns"),
        peak_bytes=found.count("peak_bytes"),
        stage_bytes=found.count("stage_bytes"),
        rest_bytes=found.count("rest_bytes"),
        extra_macs=found.count("extra_macs"),
        model_macs=found.count("model_macs"),
        extra_bytes=found.count("extra_bytes"),
        is_complete="is_complete" not in found or found.flag("is_complete"),
    )


def _read_budget(found: Fields) -> BudgetAnswer:
    return BudgetAnswer(
        budget_bytes=found.count("budget_bytes"),
        answer=found.flag_or_none("fits"),
        lower_bound_bytes=found.count("lower_bound_bytes"),
    )


def _read_arenas(found: Fields, alignment: int) -> ArenasPlan:
    arenas = tuple(
        Arena(arena.text("name"), arena.count("size_bytes"), _read_fraction(arena, "exact_cost_per_byte"))
        for arena in found.each("arenas")
    )
    names = [arena.name for arena in arenas]
    places = []
    for buffer in found.each("buffers"):
        name = buffer.text("arena")
        if name not in names:
            raise buffer.error("arena", "names none of the arenas")
        places.append(Place(names.index(name), buffer.count("offset")))
    return ArenasPlan(
        problem=_read_problem(found, alignment),
        arenas=arenas,
        places=tuple(places),
        lower_bound=_read_fraction(found, "exact_lower_bound"),
        seconds=found.number("seconds"),
    )


def _read_fraction(found: Fields, name: str) -> Fraction:
    text = found.text(name)
    try:
        value = Fraction(text) if len(text) <= 400 else Fraction(-1)
    except (ValueError, ZeroDivisionError):
        value = Fraction(-1)
    if value < 0:
        raise found.error(name)
    return value
