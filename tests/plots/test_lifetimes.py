"""The lifetime plot: what it says, that nothing overlaps or leaves the page, and that it disturbs nobody."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import matplotlib
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from memprof import analyze
from memprof.base.errors import UsageError
from memprof.ir import Graph, GraphBuilder, NewValue, TensorType
from memprof.plots import plot_lifetimes, style
from memprof.plots.rows import arrange_rows
from memprof.results.report import Report
from tests.random_graphs import random_graph

UNKNOWN = TensorType("float32", ("batch", 3))


def of_bytes(size: int) -> TensorType:
    return TensorType.of_bytes(size)


def diamond() -> Graph:
    """Return a graph of four operations whose peak, 900 of ``left``, ``right`` and ``sum``, is at step 2."""
    builder = GraphBuilder("diamond.onnx")
    x = builder.add_input("x", of_bytes(50))
    builder.add_parameter("w", of_bytes(4000))
    (left,) = builder.add_node("Conv", [x], [NewValue("left", of_bytes(300))], name="conv_left")
    (right,) = builder.add_node("Conv", [x], [NewValue("right", of_bytes(300))], name="conv_right")
    (total,) = builder.add_node("Add", [left, right], [NewValue("sum", of_bytes(300))], name="add_both")
    (y,) = builder.add_node("Pool", [total], [NewValue("y", of_bytes(20))], name="pool")
    assert y is not None
    return builder.build([y])


def chain(types: list[TensorType], names: Callable[[int], str] = "t{}".format) -> Graph:
    builder = GraphBuilder("chain")
    previous = builder.add_input("x", of_bytes(1))
    for i, type_ in enumerate(types):
        (written,) = builder.add_node("Op", [previous], [NewValue(names(i), type_)], name=f"/node/{names(i)}")
        assert written is not None
        previous = written
    return builder.build([previous])


def only_an_input() -> Graph:
    builder = GraphBuilder("input")
    return builder.build([builder.add_input("x", of_bytes(5))])


def hostile_names() -> Graph:
    builder = GraphBuilder("m/" * 300 + "model\x1b[31m $x$.onnx")
    previous = builder.add_input("$\\frac{a}{$ 你好 \u202e\x00 😀", UNKNOWN)
    for i in range(30):
        (written,) = builder.add_node(
            "$Op_{x}$" + "long" * i,
            [previous],
            [NewValue(f"/layer{i}" * (i + 1) + "$_^{\n", UNKNOWN if i % 3 else of_bytes(1000 * i))],
            name="节点/" * 10 + str(i),
        )
        assert written is not None
        previous = written
    return builder.build([previous])


def with_bodies() -> Graph:
    graphs = (random_graph(Random(seed), 200) for seed in range(100))
    return next(graph for graph in graphs if any(node.bodies for node in graph.nodes))


GRAPHS: dict[str, Callable[[], Graph]] = {
    "no node, no value": lambda: GraphBuilder("").build([]),
    "only an input": only_an_input,
    "one step": lambda: chain([of_bytes(1)]),
    "two steps": lambda: chain([of_bytes(1), of_bytes(2)]),
    "zero bytes": lambda: chain([of_bytes(0)] * 3),
    "all sizes unknown": lambda: chain([UNKNOWN] * 5),
    "tensors at the limit": lambda: chain([of_bytes(2**48)] * 3),
    "diamond": diamond,
    "hostile names": hostile_names,
    "a page": lambda: chain([of_bytes(100 * i) for i in range(50)], lambda i: f"/features/block.{i}/conv/out"),
    "control flow": with_bodies,
    "300": lambda: random_graph(Random(3), 300),
    "2,000": lambda: chain([of_bytes(Random(i).randint(1, 10**6)) for i in range(2000)], lambda i: f"/{i}" * 12),
}


@pytest.fixture(autouse=True)
def _warnings_are_errors() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def drawn_texts(figure: Figure) -> list[Text]:
    """Return all text but the labels of ticks that lie beyond the ends of their axis, which are not drawn."""
    hidden: set[Text] = set()
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = axis.get_view_interval()
        hidden.update(tick.label1 for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high)
    return [text for text in figure.findobj(Text) if text.get_text() and text.get_visible() and text not in hidden]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def bars_in(figure: Figure, colour: str) -> set[tuple[float, float]]:
    """Return from where to where, in steps, the filled bars of one colour go; the legend's are left out."""
    rows = figure.axes[1]
    bars = [patch for patch in rows.patches if isinstance(patch, Rectangle)]
    return {(b.get_x(), b.get_x() + b.get_width()) for b in bars if to_hex(b.get_facecolor()) == colour}


@pytest.mark.parametrize("runtime", ["reference", "paper"])
@pytest.mark.parametrize("name", GRAPHS)
def test_no_text_overlaps_another_or_leaves_the_page_and_no_warning_is_given(name: str, runtime: str) -> None:
    figure = plot_lifetimes(analyze(GRAPHS[name]()), runtime=runtime)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    page = figure.bbox
    boxes = [(text.get_text(), text.get_window_extent(canvas.get_renderer())) for text in drawn_texts(figure)]
    for i, (words, box) in enumerate(boxes):
        assert page.x0 <= box.x0, words
        assert box.x1 <= page.x1, words
        assert page.y0 <= box.y0, words
        assert box.y1 <= page.y1, words
        for other, other_box in boxes[i + 1 :]:
            width = min(box.x1, other_box.x1) - max(box.x0, other_box.x0)
            height = min(box.y1, other_box.y1) - max(box.y0, other_box.y0)
            assert width <= 1 or height <= 1, (words, other)


def test_it_names_the_model_its_weights_the_runtime_model_and_the_peak() -> None:
    shown = texts(plot_lifetimes(analyze(diamond())))
    for expected in ("diamond.onnx", "900 B", "4.00 kB", "4.90 kB", "reference"):
        assert expected in shown
    assert "   step 2   add_both" in shown


def test_each_of_few_tensors_is_named_on_its_row_with_its_bytes_and_those_at_the_peak_with_their_share() -> None:
    figure = plot_lifetimes(analyze(diamond()))
    rows = {text.get_text(): text for text in figure.findobj(Text) if text.get_text() in {"x", "left", "sum", "y"}}
    bytes_of = {"x": "50 B", "left": "300 B", "sum": "300 B", "y": "20 B"}
    amounts = {(round(t.get_position()[1], 6), t.get_text()) for t in figure.texts}
    for name, text in rows.items():
        height = round(text.get_position()[1], 6)
        assert (height, bytes_of[name]) in amounts
        assert ((height, "33 %") in amounts) == (name in {"left", "sum"})


def test_bars_run_from_birth_to_death_and_have_the_accent_colour_if_alive_at_the_peak() -> None:
    figure = plot_lifetimes(analyze(diamond()))
    assert bars_in(figure, style.ACCENT) == {(0, 3), (1, 3), (2, 4)}
    assert bars_in(figure, style.BAR) == {(3, 4)}
    assert bars_in(figure, style.PAPER) == {(0, 2)}  # the input is hollow


def test_an_unknown_size_is_hatched_and_called_so_and_the_peak_is_at_least_what_is_known() -> None:
    figure = plot_lifetimes(analyze(chain([of_bytes(10), UNKNOWN])))
    shown = texts(figure)
    assert shown.count("size unknown") == 2  # in its row and in the legend
    assert shown.count("≥ 11 B") == 3  # peak, peak and weights, on the curve
    assert any("not known" in text for text in shown)
    assert [patch for patch in figure.axes[1].patches if patch.get_hatch()] != []


@pytest.mark.parametrize(
    ("sizes", "peak_step", "side"),
    [([1], 0, "across"), ([1, 1], 0, "right"), ([90, 90, *[1] * 20], 1, "right"), ([*[1] * 20, 90, 90], 21, "left")],
)
def test_the_label_of_the_peak_stands_beside_its_step_between_curve_and_rows(
    sizes: list[int], peak_step: int, side: str
) -> None:
    report = analyze(chain([of_bytes(size) for size in sizes]))
    assert report.headline.peak.step == peak_step
    figure = plot_lifetimes(report)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    (where,) = [text for text in figure.texts if text.get_text() == f"   step {peak_step}   /node/t{peak_step}"]
    amount = figure.texts[figure.texts.index(where) - 1]
    _, rows, _, curve = (axes.get_window_extent() for axes in figure.axes)
    left, right = (amount.get_window_extent().x0, where.get_window_extent().x1)
    assert curve.y1 < where.get_window_extent().y0
    assert where.get_window_extent().y1 < rows.y0
    cell, inch = curve.width / len(sizes), figure.dpi
    if side == "right":
        assert 0 < left - (curve.x0 + (peak_step + 1) * cell) < 0.2 * inch
    elif side == "left":
        assert 0 < curve.x0 + peak_step * cell - right < 0.2 * inch
    else:
        assert curve.x0 < left < right < curve.x1


def test_a_large_graph_says_how_many_tensors_it_groups_and_what_they_hold_at_the_peak() -> None:
    report = analyze(GRAPHS["2,000"]())
    rows = arrange_rows(report.headline.lifetimes)
    shown = texts(plot_lifetimes(report))
    assert f"{rows.folded:,} more tensors, by when they are born; none of them alive at the peak" in shown
    assert sum("born in steps" in text for text in shown) == len(rows.groups)


def test_a_dollar_sign_stays_one_and_a_missing_glyph_shows_its_code() -> None:
    figure = plot_lifetimes(analyze(hostile_names()))
    (name,) = [text for text in figure.findobj(Text) if "frac" in text.get_text()]
    assert name.get_text().startswith("$\\frac{a}{$ \\u4f60\\u597d ")
    assert not any(text.get_parse_math() for text in figure.findobj(Text) if text.get_text())


def test_another_runtime_model_can_be_drawn_and_an_unknown_one_is_refused() -> None:
    report = analyze(diamond())
    assert "paper" in texts(plot_lifetimes(report, runtime="paper"))
    with pytest.raises(UsageError, match="no runtime model 'quick'") as raised:
        plot_lifetimes(report, runtime="quick")
    assert "reference, ideal, paper" in raised.value.hint


@pytest.mark.parametrize(("suffix", "magic"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".PDF", b"%PDF")])
def test_the_suffix_says_what_is_written(tmp_path: Path, suffix: str, magic: bytes) -> None:
    path = tmp_path / f"plot{suffix}"
    analyze(diamond()).plot(path)
    assert path.read_bytes().startswith(magic)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["plot.gif", "plot", "plot.svg.bak", ".png"])
def test_any_other_suffix_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"suffix|written as") as raised:
        plot_lifetimes(analyze(diamond()), tmp_path / name)
    assert ".png, .svg, .pdf" in raised.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_a_usage_error_and_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "plot.png"
    folder.mkdir()
    for path in (folder, tmp_path / "missing" / "plot.png"):
        with pytest.raises(UsageError, match="Cannot write"):
            plot_lifetimes(analyze(diamond()), path)
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("suffix", [".svg", ".pdf", ".png"])
def test_the_same_report_gives_the_same_bytes_whatever_the_callers_settings(tmp_path: Path, suffix: str) -> None:
    report = analyze(hostile_names())
    first, second = tmp_path / f"first{suffix}", tmp_path / f"second{suffix}"
    plot_lifetimes(report, first)
    with matplotlib.rc_context(
        {"font.size": 31, "axes.facecolor": "red", "savefig.transparent": True, "axes.grid": True}
    ):
        plot_lifetimes(report, second)
    assert first.read_bytes() == second.read_bytes()


def test_the_callers_settings_are_left_as_they_were() -> None:
    with matplotlib.rc_context({"font.size": 31}):
        before = dict(matplotlib.rcParams)
        plot_lifetimes(analyze(diamond()))
        assert dict(matplotlib.rcParams) == before


def test_pyplot_is_never_imported_and_importing_the_package_does_not_import_matplotlib() -> None:
    program = (
        "import sys, memprof, memprof.plots; assert 'matplotlib' not in sys.modules;"
        "memprof.analyze(memprof.GraphBuilder().build([])).plot();"
        "assert 'matplotlib' in sys.modules; assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_report_knows_its_plot() -> None:
    report: Report = analyze(diamond())
    assert isinstance(report.plot(), Figure)
