"""The exact search and the beam in both directions, against every downset."""

from __future__ import annotations

from random import Random

import pytest

from memprof.planning.meter import Meter, OutOfBudget
from memprof.planning.ordering.beam import beam_order
from memprof.planning.ordering.bounds import trivial_bound
from memprof.planning.ordering.kinds import reference_problem
from memprof.planning.ordering.masks import Masks
from memprof.planning.ordering.piece import Cell, Piece
from memprof.planning.ordering.reduction import reduce_problem
from memprof.planning.ordering.search import Search
from tests.planning.ordering.exhaustive import random_problem, smallest_peak, wired_graph

ALL = 10**6


def cases(count: int, ops: int = 9) -> list[tuple[Piece, int]]:
    """Return pieces with at least one operation, and the smallest peak of each."""
    found = []
    for seed in range(count):
        rng = Random(seed)
        size = rng.randint(1, ops)
        problem = random_problem(rng, size) if seed % 2 else reference_problem(wired_graph(rng, size))
        piece = reduce_problem(problem).piece
        if piece.ops and not problem.first_step_bytes:
            found.append((piece, smallest_peak(problem)))
    return found


def test_both_directions_find_the_smallest_peak() -> None:
    for piece, smallest in cases(500):
        for form in (piece, piece.mirrored):
            search = Search(Masks(form), trivial_bound(piece), 10**9)
            assert search.advance(ALL) == "solved"
            assert search.level == smallest == form.peak_bytes(search.order)


def test_both_directions_prove_that_nothing_is_below_the_smallest_peak() -> None:
    for piece, smallest in cases(500):
        level = trivial_bound(piece)
        if level < smallest:
            for form in (piece, piece.mirrored):
                assert Search(Masks(form), level, smallest).advance(ALL) == "exhausted"


def test_asked_for_a_level_the_search_finds_an_order_or_shows_that_there_is_none() -> None:
    for piece, smallest in cases(300):
        for form in (piece, piece.mirrored):
            for level in (smallest, smallest + 1):
                search = Search(Masks(form), level, level + 1)
                assert search.advance(ALL) == "solved"
                assert form.peak_bytes(search.order) <= level
            if trivial_bound(piece) < smallest:
                assert Search(Masks(form), smallest - 1, smallest).advance(ALL) == "exhausted"


def test_a_paused_search_goes_on_where_it_was_and_its_level_is_a_lower_bound() -> None:
    has_paused = False
    for piece, smallest in cases(300):
        for form in (piece, piece.mirrored):
            search = Search(Masks(form), trivial_bound(piece), 10**9)
            while (outcome := search.advance(1)) == "paused":
                has_paused = True
                assert search.level <= smallest
            assert outcome == "solved"
            assert search.level == smallest
    assert has_paused


def test_wherever_a_search_runs_out_of_its_budget_its_level_is_a_lower_bound() -> None:
    has_ended = False
    for piece, smallest in cases(60):
        meter = Meter()
        Search(Masks(piece, meter), trivial_bound(piece), 10**9).advance(ALL)
        for effort in range(meter.spent):
            with pytest.raises(OutOfBudget):
                search = None
                search = Search(Masks(piece, Meter(effort=effort)), trivial_bound(piece), 10**9)
                search.advance(ALL)
            assert search is None or search.level <= smallest
            has_ended = True
    assert has_ended


def test_a_beam_that_drops_nothing_finds_the_smallest_peak() -> None:
    for piece, smallest in cases(400):
        for form in (piece, piece.mirrored):
            order = beam_order(Masks(form), 10**6, 0, 10**9)
            assert order is not None
            assert form.peak_bytes(order) == smallest


def test_a_narrow_beam_finds_an_order_or_nothing_below_its_ceiling() -> None:
    has_failed = False
    for piece, smallest in cases(400):
        for form in (piece, piece.mirrored):
            order = beam_order(Masks(form), 1, 0, smallest + 1)
            assert order is None or form.peak_bytes(order) == smallest
            assert beam_order(Masks(form), 1, 0, smallest) is None
            has_failed |= order is None
    assert has_failed


def test_free_moves_are_told_to_the_meter() -> None:
    """A state of many ready operations is looked at as often as there are of them."""
    count = 2000
    cells = tuple(Cell((0,), (op,), count - op) for op in range(1, count))
    piece = Piece(
        ops=tuple(range(count)),
        predecessors=((), *((0,),) * (count - 1)),
        cells=cells,
        scratch_bytes=(0, *(count - op for op in range(1, count))),
        start_bytes=0,
    )
    meter = Meter()
    masks = Masks(piece, meter)
    before = meter.spent
    level = piece.cell_bytes
    masks.close(level, 1, masks.readied(1, 0), level, suspects=masks.readied(1, 0), lightest=level)
    assert meter.spent - before >= count - 1
