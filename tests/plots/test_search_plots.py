"""Pictures of a search and its block: ticks that can be read, lines that nobody can take for another's."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from memprof.nas.space import CIFAR10, MEMNAS_CELLS
from memprof.plots.architecture import plot_architecture
from memprof.plots.search import _round_bytes, _short
from tests.nas.networks import random_architecture


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


def test_the_drawing_says_what_its_signs_mean() -> None:
    texts = " ".join(text.get_text() for text in plot_architecture(CIFAR10.build(MEMNAS_CELLS)).texts)
    assert "+ sum" in texts
    assert "c concatenation" in texts
