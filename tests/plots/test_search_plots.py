"""Pictures of a search and its block, and their page: ticks that can be read, nothing that is taken for another."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path

import pytest

pytest.importorskip("torch")

from click.testing import CliRunner
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from memprof.cli import main
from memprof.nas.record.changes import changes_of_rounds
from memprof.nas.record.journal import Journal
from memprof.nas.record.settings import Limits
from memprof.nas.record.summary import SearchSummary
from memprof.nas.space.architecture import CIFAR10, MEMNAS_CELLS, Combine
from memprof.plots.architecture import plot_architecture
from memprof.plots.search import _round_bytes, _short, plot_front, plot_lambda, plot_rounds
from memprof.render.search_page import Pictures, render_page
from tests.nas.networks import random_architecture
from tests.searches import SETTINGS, made_up_search


def discs(figure: Figure, *, is_hollow: bool) -> set[float]:
    """Return the heights of all discs in the first axes under the key."""
    found = [c for c in figure.axes[1].collections if isinstance(c, PathCollection)]
    return {
        round(float(y), 6) for c in found if (len(c.get_facecolor()) == 0) is is_hollow for _, y in c.get_offsets()
    }


def overlapping_texts(figure: Figure) -> list[tuple[str, str]]:
    """Return each pair of texts of which one covers the other, and each text that leaves the page."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    texts = [*figure.texts]
    for axes in figure.axes:
        texts += [*axes.texts, axes._left_title]  # type: ignore[attr-defined]
        for axis in (axes.xaxis, axes.yaxis):
            low, high = axis.get_view_interval()
            texts += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    boxes = [(text.get_text(), text.get_window_extent(canvas.get_renderer())) for text in texts if text.get_text()]
    wide = [(text, "the page") for text, box in boxes if box.x0 < 0 or box.x1 > figure.bbox.width or box.y0 < 0]
    return wide + [(a, b) for (a, one), (b, other) in combinations(boxes, 2) if one.overlaps(other)]


@pytest.mark.parametrize("draw", [plot_rounds, plot_front])
def test_what_was_not_trained_to_the_end_is_hollow_and_the_key_says_so(
    draw: Callable[[SearchSummary], Figure],
) -> None:
    figure = draw(made_up_search())
    assert discs(figure, is_hollow=True) - {0.9} == {0.5, 0.51, 0.52}  # 0.9: the ring round the best
    assert discs(figure, is_hollow=False) == {0.9, 0.8}
    assert any(text.get_text().startswith("hollow: dropped") for text in figure.axes[0].texts)


def test_the_key_of_a_front_of_hollow_signs_alone_is_complete() -> None:
    found = made_up_search()
    epochs = found.settings.recipe.epochs - 1
    hollow = replace(found, candidates=tuple(replace(c, epochs=min(c.epochs, epochs)) for c in found.candidates))
    words = [text.get_text() for text in plot_front(hollow).axes[0].texts]
    assert words[:3] == ["on the front", "beaten", "hollow: dropped early, its accuracy then"]


def test_each_round_says_whether_its_winner_was_grown_or_trimmed() -> None:
    figure = plot_rounds(made_up_search())
    assert [label.get_text() for label in figure.axes[-1].get_xticklabels()] == [
        "1\ngrown",
        "2\ntrimmed",
        "3\ntrimmed",
    ]
    assert [text.get_text() for text in figure.axes[0].texts[:2]] == ["winner, grown", "winner, trimmed"]


@pytest.mark.parametrize("rounds", [0, 1, 4, 12, 13, 30, 31])
def test_no_text_covers_another_however_long_the_search(rounds: int) -> None:
    found = made_up_search(rounds)
    found = replace(found, settings=replace(found.settings, dataset="/data/of/somebody/" * 9, seed=2**31))
    for figure in (plot_rounds(found), plot_front(found), plot_lambda([found, made_up_search(accuracy_weight=0.1)])):
        assert overlapping_texts(figure) == []


def test_searches_of_one_lambda_are_points_and_a_line_joins_the_medians() -> None:
    searches = [(0.5, 0.6), (0.9, 0.7), (0.9, 0.9), (0.9, 0.95)]
    figure = plot_lambda([made_up_search(accuracy_weight=weight, accuracy=a) for weight, a in searches])
    line = figure.axes[1].lines[0]
    assert (list(line.get_xdata()), list(line.get_ydata())) == ([0.5, 0.9], [0.6, 0.9])
    assert discs(figure, is_hollow=False) == {accuracy for _, accuracy in searches}


def page_of(*summaries: SearchSummary) -> str:
    stream = io.StringIO()
    weights = "lambda.png" if len(summaries) > 1 else None
    pictures = Pictures(rounds="rounds.png", front="front.png", weights=weights, architecture="best.png")
    render_page(summaries, changes_of_rounds(summaries[0]), [], pictures, stream)
    return stream.getvalue()


def test_the_page_says_what_each_round_changed_and_what_it_cost() -> None:
    page = page_of(made_up_search(2))
    assert "| 1 | 0 | + conv 3x3 & conv 3x3 (sum) | 90.00% | 20.0 kB | 10.0 kB | +0.2500 |" in page
    assert "| 2 | 3 | block 1: cell 1, conv 3x3 to identity | 90.00% |" in page
    assert "1 min 40 s in all, 1 min 24 s of training over all workers, 28 epochs." in page
    assert "| 2 | 1,056 | 7 | 3 | 3 | 2 | 0 | 14 | 42 s |" in page
    assert "| 1 | 1 | 80.00% | 80.00% | 21.0 kB | 11.0 kB | 6 |" in page
    assert "| 0 | 90.00% | 0.00% | 20.0 kB | 10.0 kB | +0.1000 | 3 of 18 epochs |" in page


def test_the_page_names_each_failure_even_one_that_left_no_words() -> None:
    found = made_up_search(30)
    failed = tuple(replace(c, status="crashed", validation_accuracy=None) for c in found.candidates[3:])
    page = page_of(replace(found, rounds=found.rounds[:1], candidates=(*found.candidates[:3], *failed)))
    assert "| 3 | crashed |  |" in page
    assert page.count("| crashed |") == 20
    assert "And 67 more." in page


def test_a_table_of_the_page_stands_apart_from_what_is_around_it() -> None:
    lines = page_of(made_up_search(), made_up_search()).splitlines()
    pairs = list(pairwise(lines))
    assert ("", "") not in pairs
    assert all("" in pair or {line[:1] for line in pair} in ({"|"}, {"-"}) for pair in pairs)


def test_lambda_is_on_the_page_when_there_is_something_to_compare() -> None:
    assert "lambda.png" not in page_of(made_up_search())
    page = page_of(made_up_search(), made_up_search(accuracy_weight=0.1))
    assert page.index("| 0.1 | 0 | 3 | 90.00% |") < page.index("| 0.9 | 0 | 3 | 90.00% |")


def test_searches_on_different_data_are_not_compared(tmp_path: Path) -> None:
    for name in ("digits", "cifar10"):
        (tmp_path / name).mkdir()
        with Journal(tmp_path / name) as journal:
            settings = replace(SETTINGS, dataset=name)
            journal.append("started", {"settings": settings.to_json(), "limits": Limits().to_json()})
    result = CliRunner().invoke(main, ["nas", "report", str(tmp_path / "digits"), str(tmp_path / "cifar10")])
    assert result.exit_code == 2
    assert "different data: cifar10, digits" in result.stderr
    assert not (tmp_path / "digits" / "report").exists()


@pytest.mark.parametrize("low", [1, 17, 900, 23_000, 4.4e6])
@pytest.mark.parametrize("factor", [1.2, 1.5, 2, 5, 30, 1000])
def test_a_logarithmic_axis_of_bytes_has_three_to_seven_different_round_ticks(low: float, factor: float) -> None:
    ticks = _round_bytes(low, low * factor)
    assert 3 <= len(ticks) <= 7
    assert all(low * 0.999 <= tick <= low * factor * 1.001 for tick in ticks)
    assert len({_short(tick) for tick in ticks}) == len(ticks)


def segments(figure: object) -> list[tuple[tuple[float, float, float], ...]]:
    """Return (height, start, stop) of the horizontal parts of each grey line of the first row."""
    lines = []
    for line in figure.axes[0].lines:  # type: ignore[attr-defined]
        xs, ys = line.get_xdata(), line.get_ydata()
        flat = [
            (round(float(y0), 6), min(x0, x1), max(x0, x1))
            for x0, x1, y0, y1 in zip(xs, xs[1:], ys, ys[1:], strict=False)
            if y0 == y1
        ]
        lines.append(tuple(flat))
    return lines


def test_no_two_sources_share_a_rail() -> None:
    rng = random.Random(0)
    for architecture in (CIFAR10.build(MEMNAS_CELLS), *(random_architecture(rng, 4, CIFAR10) for _ in range(10))):
        figure = plot_architecture(architecture)
        middle = next(t.get_position()[1] for t in figure.axes[0].texts if t.get_text() == "in")
        rails = [
            part for line in segments(figure) for part in line if abs(part[0] - middle) > 0.5 and part[2] > part[1]
        ]
        heights = [height for height, _, _ in rails]
        assert len(set(heights)) == len(heights)


def test_equal_neighbours_are_drawn_once_and_others_each(tmp_path: Path) -> None:
    assert len(plot_architecture(CIFAR10.build(MEMNAS_CELLS)).axes) == 1
    trimmed = random_architecture(random.Random(3), 3)
    figure = plot_architecture(trimmed, tmp_path / "found.svg", title="<b> & $x$")
    runs = 1 + sum(a.cells != b.cells for a, b in zip(trimmed.blocks, trimmed.blocks[1:], strict=False))
    assert len(figure.axes) == runs
    assert (tmp_path / "found.svg").read_bytes().startswith(b"<?xml")


def test_the_drawing_says_what_its_signs_mean_that_occur() -> None:
    texts = " ".join(text.get_text() for text in plot_architecture(CIFAR10.build(MEMNAS_CELLS)).texts)
    assert "+ sum; in colour" in texts
    both = [replace(MEMNAS_CELLS[0], combine=combine, feeds_output=True) for combine in Combine]
    texts = " ".join(text.get_text() for text in plot_architecture(CIFAR10.build(both)).texts)
    assert "+ sum; c concatenation; in colour" in texts
