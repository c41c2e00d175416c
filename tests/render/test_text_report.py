"""The terminal report: its first and last line, its width, its fallbacks, and names that mean harm."""

from __future__ import annotations

import io
import re
from itertools import accumulate

import pytest
from rich.cells import cell_len

from memprof import Graph, GraphBuilder, analyze
from memprof.render.helped import show_helped
from memprof.render.terminal import open_screen
from memprof.render.text import TextView, render_text
from memprof.results.helped import Change, Helped
from tests.render.graphs import HOSTILE_NAMES, chain, figure_1b, wide

SHORT = TextView()


def lines(graph: Graph, view: TextView = SHORT, encoding: str = "utf-8") -> list[str]:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="backslashreplace")
    render_text(analyze(graph), stream, view)
    stream.flush()
    raw = stream.buffer.getvalue()  # type: ignore[attr-defined]
    return raw.decode(encoding).splitlines()


def test_a_whole_report_of_the_papers_figure() -> None:
    expected = """\
Peak 4 B of intermediates at step 2 of 10, dw_r5 (dw)

RAM      4 B  4 bytes  intermediates
Weights  0 B  0 bytes  parameters
Total    4 B  4 bytes

model      peak  no I/O  grade        in short
reference   4 B     4 B  upper bound  one by one, in file order
ideal       4 B     4 B  estimate     elementwise in place
paper       3 B     3 B  estimate     levels of MemNAS, Figure 3

                          ▼ peak, step 2
      4 B ┤            ████████████      ████████████      ██████
          │      ▄▄▄▄▄▄████████████▄▄▄▄▄▄████████████▄▄▄▄▄▄██████▄▄▄▄▄▄
          │      ██████████████████████████████████████████████████████
      2 B ┤████████████████████████████████████████████████████████████
          │████████████████████████████████████████████████████████████
          │████████████████████████████████████████████████████████████
        0 └────────────────────────────────────────────────────────────
           step 0                                                     9

Alive at the peak  4 tensors
  tensor  bytes  share        from   held by    steps
  r1        1 B  █▌      25%  input  dw_r5          0
  r2        1 B  █▌      25%  dw     add_r4         1
  r3        1 B  █▌      25%  fac    add_r4         1
  r5        1 B  █▌      25%  dw     concat_r7      4

10 operations, MACs unknown; parameters: none
MACs: no formula for dw, fac, add and 3 more (--why tells more)

Next: memprof plan cell.onnx"""
    assert expected.splitlines() == lines(figure_1b(), TextView(next_command="memprof plan cell.onnx"))


def test_an_unknown_size_makes_line_one_a_lower_bound_and_is_listed_with_its_flag() -> None:
    shown = lines(chain([1, None, 4]))
    assert shown[0] == "Peak at least 4 B of intermediates; 1 thing is unknown"
    assert "RAM        ≥ 4 B  intermediates" in shown
    assert "Total    unknown" in shown
    assert shown[2:4] == [
        "Unknown, and what settles it (1: your size)",
        "  dimension n: The file gives no number for it.  --dim n=N",
    ]
    narrow = lines(chain([1, None, 4]), TextView(width=50))
    assert narrow[4:6] == ["  dimension n: The file gives no number for it.", "    --dim n=N"]


def test_an_operation_with_a_long_name_gets_a_line_of_its_own_on_a_narrow_screen() -> None:
    graph = wide([f"features/block/{i}/conv" for i in range(4)])
    assert lines(graph, TextView(width=52))[:2] == [
        "Peak 5 B of intermediates at step 3 of 5,",
        "features/block/3/conv (features/block/3/conv)",
    ]


def test_a_graph_without_operations_says_so() -> None:
    assert lines(GraphBuilder("empty").build([]))[0] == "Peak 0 B of intermediates; nothing is computed"


def test_the_peak_survives_pooling_and_is_the_only_column_of_full_height() -> None:
    shown = lines(chain([10] * 5_000 + [30] + [10] * 5_000))
    top = next(line for line in shown if "┤" in line)
    assert top.count("█") == 1
    marker = next(line for line in shown if "▼" in line)
    assert marker.index("▼") == top.index("█")
    assert "peak, step 4999" in marker


def test_a_marker_near_the_right_edge_has_its_label_on_the_left() -> None:
    shown = lines(chain([10] * 500 + [30]))
    marker = next(line for line in shown if "▼" in line)
    assert marker.strip() == "peak, step 499 ▼"
    assert all(cell_len(line) <= 80 for line in shown)


@pytest.mark.parametrize("width", [40, 52, 60, 80, 100])
@pytest.mark.parametrize("view", ["short", "long"])
def test_no_line_is_wider_than_the_screen_whatever_the_names(width: int, view: str) -> None:
    long = view == "long"
    for graph in (figure_1b(), wide(HOSTILE_NAMES), wide(HOSTILE_NAMES, 10**12), chain([None, 10**9, None] * 40)):
        for line in lines(graph, TextView(width=width, why=long, top=100 if long else 8)):
            assert cell_len(line) <= width, line


def test_a_wider_screen_than_110_columns_is_not_filled() -> None:
    assert max(map(cell_len, lines(chain([1] * 1000), TextView(width=400)))) <= 110


def test_names_cannot_control_the_terminal_or_be_markup() -> None:
    shown = "\n".join(lines(wide(HOSTILE_NAMES), TextView(top=100, why=True, width=110)))
    for literal in (
        "[/]",
        "[red]x",
        "=cmd()",
        "<script>alert(1)</script>",
        r"\u202eevil\u202c",
        r"\x1b[31mred\x1b[0m",
    ):
        assert literal in shown
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]", shown)
    assert len(shown) < 100_000  # the name of ten megabytes is shortened


def test_an_ascii_stream_gets_an_ascii_drawing_that_fits() -> None:
    shown = lines(wide(HOSTILE_NAMES), TextView(top=100, why=True), encoding="ascii")
    assert any(re.search(r"v peak, step \d+", line) for line in shown)
    assert any(line.startswith("     18 B +") for line in shown)
    assert all(line.isascii() and len(line) <= 80 for line in shown)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize(
    "name", ["features.2.conv.0.0 (com.microsoft.nchwc.Conv)", "a (b) (a.very.long.operation)", "x" * 60]
)
def test_a_shortened_name_keeps_its_brackets_whole(name: str, encoding: str) -> None:
    screen = open_screen(io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    for width in range(1, len(name) + 2):
        shown = screen.fit(name, width)
        assert cell_len(shown) <= width
        depths = list(accumulate((c == "(") - (c == ")") for c in shown))
        assert (depths[-1], min(depths) >= 0) == (0, True), shown
        assert (shown == name) == (width >= len(name))


def test_a_pipe_gets_no_colours_and_no_blanks_at_line_ends() -> None:
    shown = lines(wide(HOSTILE_NAMES), TextView(why=True, next_command="memprof plan m.onnx"))
    assert not any("\x1b" in line or line != line.rstrip() for line in shown)


class Terminal(io.StringIO):
    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_colours_unless_no_color_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "70")
    coloured = Terminal()
    render_text(analyze(figure_1b()), coloured)
    assert "\x1b[" in coloured.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    plain = Terminal()
    render_text(analyze(figure_1b()), plain)
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", plain.getvalue())
    assert all(cell_len(re.sub(r"\x1b\[[0-9;]*m", "", line)) <= 70 for line in plain.getvalue().splitlines())


def test_long_lists_are_cut_and_say_how_to_see_the_rest() -> None:
    shown = lines(wide([f"t{i}" for i in range(20)], size_bytes=1000), TextView(top=3))
    assert "  18 more, 18.0 kB together (--top 21 shows them)" in shown
    assert "  17 more (--top 20 shows them)" in shown


def test_why_adds_a_sentence_per_tensor_and_the_definitions() -> None:
    shown = lines(figure_1b(), TextView(why=True))
    assert "r5: being written by dw_r5; waits 4 more steps for concat_r7." in shown
    assert any(line.startswith("ideal: as reference, and") for line in shown)
    assert "No formula for MACs" in shown


def test_the_last_line_is_the_next_command_unbroken() -> None:
    command = f"memprof analyze {'long/' * 30}model.onnx -o model.png"
    assert lines(figure_1b(), TextView(next_command=command))[-1] == f"Next: {command}"


def test_a_graph_output_is_held_by_the_caller() -> None:
    shown = lines(chain([1, 1]))
    assert "  t1        1 B  ███     50%  Op     output       0" in shown


def test_one_command_that_changes_two_peaks_is_named_once_that_of_the_headline_first() -> None:
    def change(runtime: str, saved: int, peak: int) -> Change:
        return Change(what="fewer inputs", runtime=runtime, saved_bytes=saved, peak_bytes=peak, command="mend it")

    stream = io.StringIO()
    helped = Helped((change("ideal", 3_000, 7_000), change("reference", 1_000, 9_000)))
    show_helped(open_screen(stream), helped, "reference", top=1)
    assert stream.getvalue().splitlines() == [
        "What would help",
        "  fewer inputs: 1.00 kB less, 9.00 kB; 3.00 kB less under ideal, 7.00 kB",
        "    mend it",
    ]
