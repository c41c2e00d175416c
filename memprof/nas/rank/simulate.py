"""Whole strategies at equal numbers of trained networks, on tables where everything is known already.

    regret   front:   the share that is missing of the area under accuracy against the logarithm of bytes, from the
                      accuracy of the front's smallest network on
             metric:  the best score of the table less the best found

Curves are means over seeds; a band holds 95 % of such means, by drawing the seeds anew. Strategies share no draws, so
what sets two apart is taken seed by seed, as is its band.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from memprof.base.errors import UsageError
from memprof.nas.jobs import derive_seed
from memprof.nas.rank.choosing import front_area
from memprof.nas.rank.fronts import pareto_front
from memprof.nas.rank.metric import Measures, Metric
from memprof.nas.rank.rankers import Candidate
from memprof.nas.rank.strategies import LEAST_ACCURACY, STRATEGIES, World

SIMULATION_SCHEMA = "memprof/nas-simulation/1"
LEAST_NETWORKS = 8
_POINTS = 16
_RESAMPLES = 1000


Watch = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationPlan:
    """What is simulated.

    Attributes:
        table: Name of the table.
        trained: Networks that each strategy may train.
        seeds: Repetitions.
        seed: Of all of them.
        metric: What is to be maximised; ``None`` for the front.
        ranker: Who ranks for memprof's strategy.
    """

    table: str
    trained: int = 96
    seeds: int = 10
    seed: int = 0
    metric: Metric | None = None
    ranker: str = "blend"


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A strategy's regret.

    Attributes:
        means: At each count of trained networks, over the seeds.
        lows: Lower ends of the bands.
        highs: Upper ends.
        last: Of each seed, with all networks trained.
        lead: How much more regret it has at the end than memprof's own strategy: mean, lower and upper end.
    """

    means: tuple[float, ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]
    last: tuple[float, ...]
    lead: tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """What each strategy reached on a table.

    Attributes:
        table: Name of the table.
        networks: How many it has.
        accuracy_weight: Lambda; ``None`` where the front is the goal.
        ranker: Who ranks for memprof's strategy.
        seeds: Repetitions.
        counts: Trained networks at which regret is told.
        curves: Strategy -> its curve, memprof's first.
    """

    table: str
    networks: int
    accuracy_weight: float | None
    ranker: str
    seeds: int
    counts: tuple[int, ...]
    curves: Mapping[str, Curve]

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON-ready values, schema ``memprof/nas-simulation/1``."""
        return {
            "schema": SIMULATION_SCHEMA,
            "table": self.table,
            "networks": self.networks,
            "goal": "front" if self.accuracy_weight is None else "metric",
            "lambda": self.accuracy_weight,
            "ranker": self.ranker,
            "seeds": self.seeds,
            "trained": list(self.counts),
            "strategies": {
                name: {
                    "regret": list(curve.means),
                    "low": list(curve.lows),
                    "high": list(curve.highs),
                    "last_by_seed": list(curve.last),
                    "behind_memnas": {"mean": curve.lead[0], "low": curve.lead[1], "high": curve.lead[2]},
                }
                for name, curve in self.curves.items()
            },
        }


def simulate(
    cells: Sequence[tuple[Candidate, float]], plan: SimulationPlan, watch: Watch = lambda done, of: None
) -> Simulation:
    """Return what each strategy of ``STRATEGIES`` reaches.

    Args:
        cells: Networks with their accuracy, as ``read_table`` gives them.
        plan: What is simulated.
        watch: Called with runs done and runs in all.

    Raises:
        UsageError: The table has too few networks for so many to be trained, or all of its networks are alike.
    """
    trained, seeds, names = plan.trained, plan.seeds, tuple(STRATEGIES)
    if not LEAST_NETWORKS <= trained < len(cells):
        raise UsageError(
            f"The table has {len(cells):,} networks, and {trained:,} are to be trained.",
            f"Train at least {LEAST_NETWORKS}, and fewer than it has.",
        )
    world = World(cells, plan.metric)
    judge = _judge(world)
    counts = tuple(sorted({max(1, round(trained * i / _POINTS)) for i in range(1, _POINTS + 1)}))
    regrets: dict[str, list[list[float]]] = {name: [] for name in names}
    for repeat in range(seeds):
        for place, name in enumerate(names):
            rng = random.Random(derive_seed(plan.seed, name, repeat))
            order = _run(world, name, rng, plan.ranker, trained)
            regrets[name].append([judge(order[:count]) for count in counts])
            watch(repeat * len(names) + place + 1, seeds * len(names))
    own = [values[-1] for values in regrets["memnas"]]
    return Simulation(
        table=plan.table,
        networks=len(cells),
        accuracy_weight=None if plan.metric is None else plan.metric.accuracy_weight,
        ranker=plan.ranker,
        seeds=seeds,
        counts=counts,
        curves={name: _curve(values, own, plan.seed) for name, values in regrets.items()},
    )


def _run(world: World, name: str, rng: random.Random, ranker: str, trained: int) -> list[int]:
    """Return the networks that a strategy trains, in order."""
    known: dict[int, Measures] = {}
    for batch in STRATEGIES[name](world, known, rng, ranker):
        for i in batch:
            if len(known) < trained:
                known.setdefault(i, world.measures[i])
        if len(known) >= trained:
            break
    return list(known)


def _judge(world: World) -> Callable[[Sequence[int]], float]:
    """Return a function from networks to their regret.

    Raises:
        UsageError: All networks are as good as each other.
    """
    if world.metric is not None:
        if world.yardstick.accuracy <= LEAST_ACCURACY:
            raise UsageError(
                "Half of the table's networks have an accuracy of 0.",
                "Equation 4 divides by the median accuracy: leave --lambda out.",
            )
        best = max(map(world.score, world.measures))
        if best <= min(map(world.score, world.measures)):
            raise UsageError("All networks of the table have the same score.", "There is nothing to search for.")
        return lambda found: best - max(world.score(world.measures[i]) for i in found)
    front = [world.measures[i] for i in pareto_front(dict(enumerate(world.measures)))]
    floor = min(m.accuracy for m in front)
    whole = front_area(front, world.measures, floor)
    if whole <= 0:
        raise UsageError("No larger network of the table is more accurate.", "There is no front to search for.")
    ends = (
        min(world.measures, key=lambda m: m.parameter_bytes),
        max(world.measures, key=lambda m: m.parameter_bytes),
    )
    return lambda found: 1 - front_area([world.measures[i] for i in found], ends, floor) / whole


def _curve(values: list[list[float]], own: list[float], seed: int) -> Curve:
    columns = list(zip(*values, strict=True))
    bands = [mean_interval(column, seed) for column in columns]
    last = columns[-1]
    behind = [mine - other for mine, other in zip(last, own, strict=True)]
    return Curve(
        means=tuple(map(mean, columns)),
        lows=tuple(low for low, _ in bands),
        highs=tuple(high for _, high in bands),
        last=tuple(last),
        lead=(mean(behind), *mean_interval(behind, seed)),
    )


def mean_interval(values: Sequence[float], seed: int) -> tuple[float, float]:
    """Return where 95 % of the means lie that come of drawing as many of ``values`` anew (Efron's bootstrap)."""
    rng = random.Random(seed)
    means = sorted(mean(rng.choices(values, k=len(values))) for _ in range(_RESAMPLES))
    return means[24], means[974]
