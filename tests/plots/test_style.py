"""The style that all plots share: names that fit, one unit per axis."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from memprof.plots import style


@pytest.mark.parametrize("width", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("bold", [False, True])
def test_a_name_is_cut_in_its_middle_until_it_fits_and_no_further(width: float, bold: bool) -> None:
    name = "/features/features.3/conv/conv.1/conv.1.0/Conv_output_0"
    fitted = style.fit(name, width, bold=bold)
    head, tail = fitted.split("…")
    assert style.text_width(fitted, bold=bold) <= width
    assert name.startswith(head)
    assert name.endswith(tail)
    assert abs(len(head) - len(tail)) <= 1
    kept = len(head) + len(tail) + 1
    longer = name[: kept - (kept + 1) // 2] + "…" + name[len(name) - (kept + 1) // 2 :]
    assert style.text_width(longer, bold=bold) > width


def test_a_name_that_fits_is_left_alone() -> None:
    assert style.fit("conv", 2.0) == "conv"


def test_no_room_at_all_leaves_an_ellipsis() -> None:
    assert style.fit("convolution", 0.0) == "…"


def test_characters_without_a_glyph_are_shown_by_their_code() -> None:
    assert style.fit("你\U00020000é", 5.0) == "\\u4f60\\U00020000é"


@pytest.mark.parametrize(
    ("highest", "labels"),
    [
        (0, {"0"}),
        (3, {"0", "1 B", "2 B", "3 B"}),
        (999, {"0", "0.5 kB", "1 kB"}),
        (900, {"0", "250 B", "500 B", "750 B"}),
        (6_021_120, {"0", "2 MB", "4 MB", "6 MB"}),
        (2_400_000, {"0", "1 MB", "2 MB"}),
        (1_500_000_000_000, {"0", "0.5 TB", "1 TB", "1.5 TB"}),
    ],
)
def test_the_byte_axis_has_round_numbers_in_one_unit(highest: int, labels: set[str]) -> None:
    axes = Figure().add_axes((0, 0, 1, 1))
    style.byte_axis(axes, highest)
    axes.figure.draw_without_rendering()  # type: ignore[union-attr]
    inside = [t for t in axes.yaxis.get_major_ticks() if t.get_loc() <= axes.get_ylim()[1]]
    assert {tick.label1.get_text() for tick in inside} == labels
