"""A saved plan, back as values: read field by field, and its places judged by the validator as any other's are."""

from __future__ import annotations

from fractions import Fraction

from memprof.errors import InputError, UsageError
from memprof.fields import Fields, check_schema
from memprof.planning.arenas import Arena, ArenasPlan, Place
from memprof.planning.lifetimes import ArenaContent
from memprof.planning.offsets.problem import AllocationBuffer, AllocationProblem, MemoryPlan
from memprof.planning.plan import PLAN_SCHEMA, BudgetAnswer, Plan, PlannedOrder
from memprof.planning.rules import RULES
from memprof.planning.validator import find_violation


def read_plan(document: object, source: str) -> Plan:
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
        order=_read_order(found.fields("order")) if rules else None,
        arena=arena,
        content=ArenaContent(arena.problem.alignment, *holds),
        budget=_read_budget(found.fields("budget")) if "budget" in found else None,
        arenas=_read_arenas(found.fields("arenas"), arena.problem.alignment) if "arenas" in found else None,
    )


def _read_order(found: Fields) -> PlannedOrder:
    names = found.texts("nodes")
    node_ids = found.counts("node_ids", len(names))
    if sorted(node_ids) != list(range(len(names))):
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
