"""The address map: a rectangle per buffer where the plan puts it, whatever their number and names."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from random import Random

import matplotlib.pyplot as plt
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from memprof.base.errors import UsageError
from memprof.planning.offsets.problem import AllocationBuffer, AllocationProblem, MemoryPlan
from memprof.planning.offsets.solver import plan_offsets
from memprof.plots import style
from memprof.plots.address_map import plot_addresses
from tests.planning.offsets.problems import GAP, cut_rectangle, problem_of

Rectangle = tuple[float, float, float, float]
"""Left, bottom, right, top."""


def rectangles(figure: Figure) -> list[tuple[Rectangle, str]]:
    """Return every rectangle of the map in steps and bytes, with its colour."""
    found = []
    for axes in figure.axes:
        for collection in axes.collections:
            if isinstance(collection, PolyCollection):
                colour = "accent" if style.ACCENT_SHADE in map(to_hex, collection.get_facecolor()) else "plain"
                for path in collection.get_paths():
                    (left, bottom), (right, top) = path.vertices.min(axis=0), path.vertices.max(axis=0)
                    found.append(((float(left), float(bottom), float(right), float(top)), colour))
    return found


def texts(figure: Figure) -> list[str]:
    """Return every text of the figure."""
    return [t.get_text() for t in figure.texts] + [t.get_text() for axes in figure.axes for t in axes.texts]


def test_every_buffer_is_a_rectangle_at_its_steps_and_addresses() -> None:
    plan = plan_offsets(problem_of([(0, 4, 10), (4, 8, 6), (2, 8, 7)]))
    expected = {
        (float(b.start), float(offset), float(b.stop), float(offset + b.size_bytes))
        for b, offset in zip(plan.problem.buffers, plan.offsets, strict=True)
    }
    assert {rectangle for rectangle, _ in rectangles(plot_addresses(plan))} == expected


def test_colour_tells_what_is_alive_at_the_busiest_step() -> None:
    plan = plan_offsets(problem_of([(0, 4, 10), (4, 8, 6), (2, 8, 7)]))
    accented = {rectangle[0] for rectangle, colour in rectangles(plot_addresses(plan)) if colour == "accent"}
    assert accented == {0.0, 2.0}  # at step 2: the first and the third


def test_the_header_says_what_is_proven() -> None:
    proven = texts(plot_addresses(plan_offsets(problem_of(GAP)), title="gap"))
    assert {"gap", "10 B", "9 B", "optimal", "9"} <= set(proven)
    open_plan = texts(plot_addresses(plan_offsets(problem_of(GAP), seconds=0)))
    assert "optimal" not in open_plan
    assert any(text.endswith("%") for text in open_plan)
    assert "lower bound 9 B" in open_plan


def test_a_buffer_is_as_high_as_its_rounded_size() -> None:
    plan = plan_offsets(problem_of([(0, 2, 1), (0, 2, 65)], alignment=64))
    heights = sorted(top - bottom for (_, bottom, _, top), _ in rectangles(plot_addresses(plan)))
    assert heights == [64.0, 128.0]


@pytest.mark.parametrize("count", [1, 10, 1000])
@pytest.mark.parametrize("picture", ["slide", "poster"])
def test_any_number_of_buffers_fits_on_the_page(count: int, picture: str) -> None:
    problem = cut_rectangle(Random(0), count, steps=2048, size=2048)
    figure = plot_addresses(plan_offsets(problem, seconds=0), picture=picture)
    assert len(rectangles(figure)) == count or picture == "slide"
    width, height = figure.get_size_inches() * figure.dpi
    renderer = FigureCanvasAgg(figure).get_renderer()
    for text in figure.texts:
        box = text.get_window_extent(renderer)
        assert box.x0 >= 0
        assert box.x1 <= width
        assert box.y0 >= 0
        assert box.y1 <= height


def test_many_steps_are_shown_around_the_busiest_one_and_all_of_them_on_a_poster() -> None:
    few, many = ([(i, i + 1, 10) for i in range(count)] for count in (199, 300))
    for buffers, picture, start, stop in (
        (few, "slide", 0, 199),
        ([*many, (220, 222, 50)], "slide", 180, 260),
        ([*many, (0, 2, 50)], "slide", 0, 80),
        ([*many, (299, 300, 50)], "slide", 220, 300),
        ([*many, (220, 222, 50)], "poster", 0, 300),
    ):
        plan = plan_offsets(problem_of(buffers))
        figure = plot_addresses(plan, before=(60,) * 300, picture=picture)
        width, height = figure.get_size_inches()
        assert bool(abs(width / height - 16 / 9) < 1e-9) is (picture == "slide")
        drawn = [rectangle for rectangle, _ in rectangles(figure)]
        assert len(drawn) == sum(first < stop and last > start for first, last, _ in buffers)
        assert (min(left for left, *_ in drawn), max(right for _, _, right, _ in drawn)) == (start, stop)
        is_part = stop - start < len(buffers) - 1
        assert any(f"Steps {start} to {stop - 1} of 300." in text for text in texts(figure)) is is_part


def test_what_reaches_over_the_steps_on_show_ends_at_their_edge_and_has_its_name_inside() -> None:
    thin = [(i, i + 1, 10) for i in range(300)]
    plan = plan_offsets(problem_of([*thin, (0, 300, 100), (150, 151, 50)]))
    figure = plot_addresses(plan)
    assert (110.0, 190.0, 100.0) in {
        (left, right, top - bottom) for (left, bottom, right, top), _ in rectangles(figure)
    }
    (centre,) = {text.get_position()[0] for axes in figure.axes for text in axes.texts if "100 B" in text.get_text()}
    assert centre == 150


def test_nothing_to_place_is_an_empty_map(tmp_path: Path) -> None:
    plot_addresses(plan_offsets(AllocationProblem(buffers=())), tmp_path / "empty.png")
    plot_addresses(plan_offsets(problem_of([(3, 3, 5), (0, 2, 0)])), tmp_path / "empty.svg")
    assert (tmp_path / "empty.png").stat().st_size > 1000


def test_names_are_drawn_as_they_are_and_never_as_mathematics() -> None:
    names = ["$x_1$", "\x1b[31m", "\\frac", "日本", "<b>"]
    buffers = tuple(AllocationBuffer(name=n, start=0, stop=2, size_bytes=100) for n in names)
    plan = plan_offsets(AllocationProblem(buffers=buffers))
    shown = {text.split("\n")[0] for text in texts(plot_addresses(plan, title="$a$"))}
    assert {"$x_1$", "\\x1b[31m", "\\frac", "<b>", "$a$"} <= shown


def test_the_same_plan_gives_the_same_bytes_and_leaves_no_figure_open(tmp_path: Path) -> None:
    plan = plan_offsets(problem_of(GAP))
    for name in ("a.svg", "b.svg"):
        plot_addresses(plan, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert plt.get_fignums() == []


def test_the_order_that_was_given_stands_beside_the_one_that_was_planned(tmp_path: Path) -> None:
    plan = plan_offsets(problem_of(GAP))
    assert not any("given order" in text for text in texts(plot_addresses(plan)))
    figure = plot_addresses(plan, tmp_path / "map.svg", title="gap", before=(1_000, 3_000, 2_000))
    assert "given order  3.00 kB" in texts(figure)
    assert max(axes.get_ylim()[1] for axes in figure.axes) >= 3_000
    picture = (tmp_path / "map.svg").read_text(encoding="utf-8")
    assert "<title>gap: " in picture
    assert len(picture) < 200_000


def test_a_plot_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    plan: MemoryPlan = plan_offsets(problem_of(GAP))
    with pytest.raises(UsageError, match="cannot be written"):
        plot_addresses(plan, tmp_path / "map.bmp")


def test_what_makes_the_busiest_step_is_named_beside_the_map_where_it_has_no_room_inside() -> None:
    thin = [(i, i + 1, 40) for i in range(200)]  # rectangles too narrow for a name
    busiest = [(100, 101, 500), (100, 101, 300), (100, 101, 200)]
    figure = plot_addresses(plan_offsets(problem_of([*thin, *busiest])))
    beside = [text.get_text() for text in figure.texts if text.get_text().endswith(" B")]
    assert {text.rpartition("  ")[2] for text in beside} == {"500 B", "300 B", "200 B", "40 B"}
    largest = max(plan_offsets(problem_of([*thin, *busiest])).problem.buffers, key=lambda buffer: buffer.size_bytes)
    told = plot_addresses(plan_offsets(problem_of([*thin, *busiest])), about={largest.name: "Conv 1x500"})
    assert "Conv 1x500" in texts(told)
    heights = sorted(text.get_position()[1] for text in figure.texts if text.get_text() in beside)
    inches = figure.get_figheight()
    assert all((high - low) * inches > 0.16 for low, high in pairwise(heights))
