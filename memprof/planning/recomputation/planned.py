"""From a planned order to one in which operations may run twice, and the record of what that takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from memprof.analysis import Lifetimes
from memprof.ir.model import Model
from memprof.planning.lifetimes import ArenaContent
from memprof.planning.meter import Meter
from memprof.planning.recomputation.find import Scoring, Wish, find_runs
from memprof.planning.recomputation.problem import floor_bytes, in_place_floor_bytes, pose_rerun
from memprof.planning.recomputation.repeatable import known_macs, parse_allowance
from memprof.planning.recomputation.schedule import second_runs, unroll_model
from memprof.planning.record import PlannedOrder, Recomputation
from memprof.runtimes import RuntimeModel, as_read

_EXACT_FOR = "reference"


@dataclass(frozen=True, slots=True)
class Allowed:
    """What second runs may take, and what for.

    Attributes:
        work: See ``parse_allowance``.
        budget_bytes: Size of an arena that is small enough; ``None`` if the smallest peak is wanted.
        content: What the arena holds.
    """

    work: int | str
    budget_bytes: int | None
    content: ArenaContent


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """What was found.

    Attributes:
        order: The best list of runs.
        recomputation: What it takes.
        lifetimes: Those of its runs.
        floor_bytes: What every list's arena needs at least.
    """

    order: PlannedOrder
    recomputation: Recomputation
    lifetimes: Lifetimes
    floor_bytes: int


def repeat_operations(
    model: Model, rules: RuntimeModel, order: PlannedOrder, allowed: Allowed, meter: Meter
) -> Repeated:
    """Return the best list of runs, and what it takes.

    Args:
        model: A model whose sizes are known.
        rules: What a peak counts.
        order: The best order in which everything runs once.
        allowed: What second runs may take.
        meter: What the search may spend.
    """
    begun = meter.seconds
    graph = model.graph
    model_macs = known_macs(graph)
    wish = Wish(
        extra_macs=parse_allowance(allowed.work, model_macs),
        target_bytes=allowed.budget_bytes or 0,
        alignment=1 if allowed.budget_bytes is None else allowed.content.alignment,
    )
    given = tuple(range(len(graph.nodes)))
    orders = [order.node_ids, *([given] if order.is_changed else [])]
    is_exact = rules.name == _EXACT_FOR
    found = find_runs(graph, orders, wish, None if is_exact else _scoring(model, rules), meter)
    lifetimes = run_lifetimes(model, rules, found.runs)
    peak_bytes = lifetimes.timeline.peak_bytes
    bound_bytes, proof = found.lower_bound_bytes, found.proof
    if wish.alignment > 1 and is_exact:  # what was found counts rounded sizes, the peak does not
        bound_bytes, proof = floor_bytes(pose_rerun(graph)), "bytes of one step"
    again = second_runs(found.runs)
    holds_all = allowed.content.has_inputs and allowed.content.has_outputs
    planned = replace(
        order,
        node_ids=found.runs,
        nodes=tuple(graph.nodes[i].name for i in found.runs),
        peak_bytes=peak_bytes,
        lower_bound_bytes=min(bound_bytes, peak_bytes),
        proof=proof,
        seconds=order.seconds + meter.seconds - begun,
        was_interrupted=found.was_interrupted,
    )
    recomputation = Recomputation(
        allowed_macs=wish.extra_macs,
        extra_macs=found.extra_macs,
        model_macs=model_macs,
        extra_bytes=sum(
            graph.value_bytes[i] or 0 for node in again for i in graph.writes[node] if graph.storage[i] == i
        ),
        operations=tuple(graph.nodes[i].name for i in again),
        single_bytes=order.peak_bytes,
        is_least_work=found.is_least_work,
    )
    return Repeated(
        order=planned,
        recomputation=recomputation,
        lifetimes=lifetimes,
        floor_bytes=found.lower_bound_bytes if holds_all else 0,
    )


def run_lifetimes(model: Model, rules: RuntimeModel, runs: Sequence[int]) -> Lifetimes:
    """Return what a row of ``RULES``, as it reads ``model``, says of it as it runs in ``runs``."""
    if len(runs) == len(model.graph.nodes):
        return rules.lifetimes(model.graph, runs)
    unrolled = unroll_model(model, runs)
    return as_read(rules, unrolled).lifetimes(unrolled.graph)


def _scoring(model: Model, rules: RuntimeModel) -> Scoring:
    graph = model.graph

    def rule(runs: Sequence[int]) -> Lifetimes:
        return run_lifetimes(model, rules, runs)

    if rules.counts_inputs:
        return Scoring(rule, in_place_floor_bytes(pose_rerun(graph)), "bytes that one step reads or writes")
    kept = {graph.storage[i] for i in graph.outputs}
    written = [root for root, _, _ in graph.activations if root in kept and graph.values[root].producer is not None]
    return Scoring(rule, sum(graph.value_bytes[i] or 0 for i in written), "bytes of the graph outputs")
