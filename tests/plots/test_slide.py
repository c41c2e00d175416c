"""The picture for a slide: the curve of the report, the rows of the peak, text that is text, small files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch

from memprof import Graph, GraphBuilder, analyze
from memprof.base.errors import UsageError
from memprof.base.palette import BYTES_FOR
from memprof.cli import main
from memprof.ir.trace import Category
from memprof.plots import plot_slide
from tests.cli.conftest import write_chain
from tests.render.graphs import HOSTILE_NAMES, chain, figure_1b, wide


def outline(figure: Figure) -> list[float]:
    """Return the bytes by step of the line over the curve."""
    steps = [patch for axes in figure.axes for patch in axes.patches if isinstance(patch, StepPatch)]
    return [float(value) for value in steps[-1].get_data().values]


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.texts]


@pytest.mark.parametrize("graph", [figure_1b(), chain([3, 1, 4, 1, 5]), wide(["a", "b", "c"])])
@pytest.mark.parametrize("runtime", ["reference", "ideal", "paper", "onnxruntime"])
def test_the_stack_is_the_curve(graph: Graph, runtime: str) -> None:
    report = analyze(graph, runtimes=[runtime])
    assert outline(plot_slide(report)) == list(report.headline.timeline)


def test_the_peak_is_said_and_its_tensors_are_listed() -> None:
    found = words(plot_slide(analyze(figure_1b())))
    assert found[0] == "Peak 4 B"
    assert "step 2 of 10   dw_r5 (dw)" in found
    assert {"r1", "r2", "r3", "r5"} <= set(found)
    assert "4 tensors are alive at the peak, of 11; the largest are listed, those in bold." in found


def test_a_long_model_is_shown_around_its_peak_and_says_so() -> None:
    report = analyze(chain([1] * 900 + [50] + [1] * 900))
    figure = plot_slide(report)
    assert max(outline(figure)) == report.headline.known_bytes_at_least
    assert len(outline(figure)) == 80
    assert any("Steps 859 to 938 of 1,800, around the peak." in text for text in words(figure))


def test_the_numbers_of_the_steps_come_once_each() -> None:
    for n in (1, 2, 3, 5, 12, 199, 201):
        figure = plot_slide(analyze(chain([1] * (n + 1))))
        (curve,) = [axes for axes in figure.axes if any(isinstance(patch, StepPatch) for patch in axes.patches)]
        labels = [label.get_text() for label in curve.get_xticklabels()]
        assert len(labels) == len(set(labels)) > 0


@pytest.mark.parametrize(
    "graph", [GraphBuilder("empty").build([]), chain([5]), chain([1, None, 4]), wide(HOSTILE_NAMES)]
)
@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_corners_are_drawn(graph: Graph, suffix: str, tmp_path: Path) -> None:
    plot_slide(analyze(graph), tmp_path / f"picture{suffix}")
    assert (tmp_path / f"picture{suffix}").stat().st_size > 1_000


def test_text_of_an_svg_is_text_with_a_title_and_the_file_is_small(tmp_path: Path) -> None:
    report = analyze(chain(list(np.random.default_rng(1).integers(1, 1000, 20_000).tolist())))
    plot_slide(report, tmp_path / "picture.svg")
    content = (tmp_path / "picture.svg").read_text()
    assert len(content) < 200_000
    texts = "".join(ElementTree.fromstring(content).itertext())
    assert f"step {report.headline.peak.step:,} of 19,999" in texts
    assert "chain: " in texts


def test_a_runtime_model_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="no runtime model"):
        plot_slide(analyze(figure_1b()), runtime="onnxruntime")


def test_the_command_draws_slides_and_posters(tmp_path: Path) -> None:
    model = write_chain(tmp_path / "net.onnx", ["Relu", "Sigmoid"], [1, 250])
    for form, word in (("slide", "alive at the peak, of 3"), ("poster", "TENSOR LIFETIMES")):
        target = tmp_path / f"{form}.svg"
        result = CliRunner().invoke(main, ["analyze", str(model), "--format", form, "-o", str(target)])
        assert result.exit_code == 0
        assert word in "".join(ElementTree.fromstring(target.read_text()).itertext())
    assert CliRunner().invoke(main, ["analyze", str(model), "--format", "stamp"]).exit_code == 2


def test_whatever_a_storage_is_to_a_run_has_a_colour() -> None:
    assert {category.value for category in Category} <= {*BYTES_FOR}


@pytest.mark.parametrize(("runtime", "title"), [("tflm", "gaps and scratch"), ("onnxruntime", "scratch")])
def test_what_no_tensor_has_is_called_a_gap_too_where_an_arena_is_laid_out(runtime: str, title: str) -> None:
    report = analyze(figure_1b())
    steps = report.headline.lifetimes.schedule.step_count
    lifetimes = replace(report.headline.lifetimes, reserved=(5,) * steps)
    found = replace(report.headline, lifetimes=lifetimes, runtime=replace(report.headline.runtime, name=runtime))
    drawn = words(plot_slide(replace(report, runtimes={runtime: found})))
    assert [word for word in drawn if "scratch" in word] == [title]
