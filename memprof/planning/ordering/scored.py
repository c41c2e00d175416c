"""Orders for runtime models whose reuse depends on the order: candidates are scored under the model, the bound is one
of a relaxation.

The proofs of this package rest on bytes that depend on the set of operations that have run. Where a dying buffer may
be taken over, or kept back for later, they depend on the order itself. So nothing is searched under such a model.
Instead its score decides between orders that are the best, or good, by related rules:

    the given order, and the given order with constants computed right before their first reader
    the best order of the relaxation, and of each related problem
    every cheap rule

The lower bound is that of the relaxation, and valid if no order costs more there than it scores: for ``ideal``,
``ideal_floor``; for onnxruntime, ``runtime_floor`` (see ``memprof.planning.ordering.kinds`` for why). On the networks
tried, ``ideal`` always meets its bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from memprof.ir import Graph
from memprof.planning.meter import Meter, OutOfBudget, meter_of
from memprof.planning.ordering.candidates import BACKWARD_CANDIDATES, CANDIDATES
from memprof.planning.ordering.find import find_order
from memprof.planning.ordering.problem import OrderProblem
from memprof.planning.ordering.reduction import reduce_problem
from memprof.planning.ordering.result import Ending, OrderResult

Score = Callable[[Graph, Sequence[int]], int]
"""The peak in bytes of a graph run in an order, under some runtime model."""


Posed = Callable[[], OrderProblem]
"""A problem that takes time to pose, and is posed only where there is some."""

POSED_ANYWAY_OPS = 10_000
"""So many operations are worth the tenth of a second that a bound takes, whatever the time."""


def find_scored_order(
    graph: Graph, score: Score, *, floor: Posed, related: Sequence[Posed], seconds: float | Meter = 10.0
) -> OrderResult:
    """Return the order with the lowest score of those tried, and a lower bound on the score of every order.

    Never worse than the given order. Ctrl-C ends the search early and keeps the best so far.

    Args:
        graph: The graph.
        score: What a peak is.
        floor: A problem in which no order of the graph costs more than it scores. It may have other operations (what
            the runtime makes of the graph's): then its bound alone is used. Without time, the bound of a large graph
            is nothing.
        related: Problems whose best orders are worth trying, the most promising first.
        seconds: Time to spend, or a meter that runs already; less if the bound is met earlier.
    """
    meter = meter_of(seconds)
    best = tuple(range(len(graph.nodes)))
    before_bytes = peak_bytes = score(graph, best)
    lower_bytes, proof = 0, "bytes of one step"
    ending: Ending = "interrupted"
    try:
        if len(graph.nodes) > POSED_ANYWAY_OPS:
            meter.spend(len(graph.nodes))
        relaxation = floor()
        relaxed = find_order(relaxation, meter.part(1 / (len(related) + 2)))
        lower_bytes, proof = relaxed.lower_bound_bytes, f"{relaxed.proof}, relaxed"
        seen = {best}
        for order in _candidates(relaxed, relaxation, related, len(graph.nodes), meter):
            if peak_bytes <= lower_bytes:
                break
            if order not in seen:
                seen.add(order)
                meter.spend(len(order))
                candidate_bytes = score(graph, order)
                if candidate_bytes < peak_bytes:
                    best, peak_bytes = order, candidate_bytes
        ending = "settled" if peak_bytes <= lower_bytes else "limits"
    except OutOfBudget:
        ending = "time" if meter.has_steps_left else "effort"
    except KeyboardInterrupt:
        meter.end()
    meter.settle()
    assert lower_bytes <= peak_bytes, "an order scores below the bound: the floor is none"
    return OrderResult(
        order=best,
        peak_bytes=peak_bytes,
        before_bytes=before_bytes,
        lower_bound_bytes=lower_bytes,
        proof=proof,
        ending=ending,
        seconds=meter.seconds,
    )


def _candidates(
    relaxed: OrderResult, floor: OrderProblem, related: Sequence[Posed], op_count: int, meter: Meter
) -> Iterator[tuple[int, ...]]:
    same = [floor] if floor.op_count == op_count else []
    if same:
        yield relaxed.order
    posed = []
    for i, pose in enumerate(related):
        meter.spend(op_count)
        posed.append(pose())
        yield find_order(posed[-1], meter.part(1 / (len(related) - i + 1))).order
    for problem in (*posed, *same):
        reduction = reduce_problem(problem, meter)
        piece = reduction.piece
        yield tuple(reduction.expand(range(len(piece.ops))))
        for rule in CANDIDATES.values():
            yield tuple(reduction.expand(rule(piece, meter)))
        last = len(piece.ops) - 1
        for rule in BACKWARD_CANDIDATES:
            yield tuple(reduction.expand([last - op for op in reversed(rule(piece.mirrored, meter))]))
