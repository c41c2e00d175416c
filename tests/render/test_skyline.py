"""The skyline: pooling keeps the peak, stretching keeps proportions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from memprof.render.skyline import Skyline, pool_timeline

timelines = st.lists(st.integers(0, 10**12), min_size=1, max_size=300)


def test_a_short_timeline_is_stretched_by_a_whole_factor() -> None:
    assert pool_timeline((1, 3), 1, 5) == Skyline((1, 1, 3, 3), 3)


def test_a_long_timeline_keeps_the_highest_step_of_each_column() -> None:
    assert pool_timeline((1, 5, 2, 2, 9, 1), 4, 3) == Skyline((5, 2, 9), 2)


def test_an_empty_timeline_has_no_columns() -> None:
    assert pool_timeline((), 0, 10).columns == ()


@given(timelines, st.integers(1, 120))
def test_the_peak_is_never_lost_and_its_column_is_marked(timeline: list[int], width: int) -> None:
    step = timeline.index(max(timeline))
    skyline = pool_timeline(timeline, step, width)
    assert len(skyline.columns) <= width
    assert skyline.columns[skyline.peak_column] == max(timeline)
    assert max(skyline.columns) == max(timeline)


@given(timelines, st.integers(1, 12))
def test_rows_are_as_high_as_asked_and_grow_from_the_bottom(timeline: list[int], height: int) -> None:
    levels = " .:#"
    rows = pool_timeline(timeline, 0, 80).rows(height, levels)
    assert len(rows) == height
    for column in zip(*rows, strict=True):
        heights = [levels.index(cell) for cell in reversed(column)]
        assert heights == sorted(heights, reverse=True)


def test_what_is_not_zero_is_never_invisible() -> None:
    assert Skyline((0, 1, 1_000_000), 2).rows(2, " .#") == ["  #", " .#"]
