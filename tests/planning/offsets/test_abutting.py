"""The first buffers of an order lie where their lives end near others'; the rest is laid around them by first fit."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from memprof.planning.meter import Meter
from memprof.planning.offsets import abutting, first_fits
from memprof.planning.offsets.abutting import Abutting
from memprof.planning.offsets.columns import columns_of
from memprof.planning.offsets.engine import PLAIN, Engine, compiled_engine, has_compiler
from memprof.planning.offsets.first_fits import FirstFits
from memprof.planning.validator import find_violation
from tests.planning.offsets.problems import Triple, problem_of


def abut(
    rows: list[Triple], reach: int, scale: int, engine: Engine = PLAIN, most_looked_at: int = 10**9
) -> list[int]:
    """Return the offsets of rows that are placed in their order."""
    start, stop, size = (engine.make_column(np.array(column, dtype=np.int64)) for column in zip(*rows, strict=True))
    empty = [engine.make_column(np.zeros(len(rows), dtype=np.int64)) for _ in range(7)]
    control = engine.make_column(np.array([0, len(rows), reach, scale, 0], dtype=np.int64))
    order = engine.make_column(np.arange(len(rows)))
    a = Abutting(start, stop, size, *empty[:6], order, empty[6], control)
    while control[abutting.NEXT] < len(rows):
        engine.abut(a, most_looked_at)
    return [int(offset) for offset in a.offset]


def closest_gaps(rows: list[Triple], reach: int, scale: int) -> list[int]:
    """Return the same offsets by looking at every pair of buffers and every gap anew."""
    offsets: list[int] = []
    for start, stop, size in rows:
        placed = list(zip(rows, offsets, strict=False))
        taken = sorted((o, o + row[2]) for row, o in placed if row[0] < stop and row[1] > start)
        gaps, floor = [], 0
        for bottom, top in taken:
            if bottom - floor >= size:
                gaps += [floor, bottom - size]
            floor = max(floor, top)
        worths = [worth((start, stop, size), at, placed, reach) - 0.5 * at / scale for at in gaps]
        offsets.append(gaps[worths.index(max(worths))] if gaps else floor)
    return offsets


def worth(row: Triple, at: int, placed: list[tuple[Triple, int]], reach: int) -> float:
    """Return how close a row is to those that are placed, at some offset."""
    start, stop, size = row
    closeness = 0
    for (s, e, own), o in placed:
        away = start - e if e <= start else s - stop if s >= stop else reach
        closeness += max(0, reach - away) * max(0, min(o + own, at + size) - max(o, at))
    return closeness / (size * reach)


def random_rows(seed: int, count: int = 60) -> list[Triple]:
    """Return buffers of which a third of all are alive at once."""
    rng = Random(seed)
    starts = [rng.randrange(40) for _ in range(count)]
    return [(start, start + rng.randint(1, 30), rng.randint(1, 40)) for start in starts]


def test_a_buffer_lies_where_another_has_just_ended_not_where_it_has_been_free_for_long() -> None:
    stack = [(0, 10, 4), (0, 30, 4), (0, 60, 4)]
    assert abut([*stack, (30, 60, 4)], reach=20, scale=1000) == [0, 4, 8, 4]
    assert abut([*stack, (30, 60, 4)], reach=20, scale=2) == [0, 4, 8, 0]  # being lower may count more
    assert abut([*stack, (30, 60, 9)], reach=20, scale=1000)[-1] == 12  # no gap has room


@pytest.mark.parametrize("name", ["plain", "compiled"])
def test_buffers_lie_where_they_are_closest(name: str) -> None:
    if name == "compiled" and not has_compiler():
        pytest.skip("numba is not installed")
    engine = compiled_engine() if name == "compiled" else PLAIN
    for seed in range(20):
        rows = random_rows(seed)
        expected = closest_gaps(rows, reach=7, scale=300)
        assert find_violation(problem_of(rows), expected) is None
        assert abut(rows, 7, 300, engine) == expected
        assert abut(rows, 7, 300, engine, most_looked_at=1) == expected  # cut short after each


def test_what_comes_later_is_laid_around_those_by_first_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_fits, "_CROWDED", 10)
    for seed in range(5):
        problem = problem_of(random_rows(seed, 200))
        fits = FirstFits(columns_of(problem), problem.load_bytes, lambda *_: None, Meter(), PLAIN)
        fits.turn(Meter())
        v = fits._shelving
        assert v is not None
        first = v.order[: int(first_fits._ABUTTING * 200)]
        rows = [(v.start[b], v.stop[b], v.size[b]) for b in first]
        reach = max(1, int(first_fits._REACH * float(np.mean(np.array(v.stop) - np.array(v.start)))))
        assert [v.offset[b] for b in first] == closest_gaps(rows, reach, problem.load_bytes // fits._granule)
        rest = [(v.start[b], v.stop[b], v.size[b], v.offset[b]) for b in v.order]
        for turn in range(len(first), len(rest)):
            s, e, size, at = rest[turn]
            taken = [(o, o + z) for a, x, z, o in rest[:turn] if a < e and x > s]
            ends = sorted({0, *(top for _, top in taken)})
            assert at == next(end for end in ends if all(end >= top or end + size <= o for o, top in taken))


def test_short_holes_are_fewer_than_by_first_fit_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = Random(1)
    starts = [rng.randrange(6000) for _ in range(6000)]
    problem = problem_of(
        [(start, start + rng.randint(1, 900), 64 * int(2 ** rng.uniform(0, 12))) for start in starts]
    )
    over = []
    for most in (2000, 0):
        monkeypatch.setitem(first_fits._MOST_ABUTTING, "plain", most)
        fits = FirstFits(columns_of(problem), problem.load_bytes, lambda *_: None, Meter(), PLAIN)
        fits.turn(Meter())
        over.append(fits.best_bytes / problem.load_bytes - 1)
    assert over[0] < 0.8 * over[1]
