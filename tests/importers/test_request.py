"""A request: one value says which network, of which sizes, for which kind of run, to every verb and command."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import Any, get_type_hints

import pytest

import memprof
from memprof import Request, Training
from memprof.base.errors import UsageError
from memprof.cli.sweep import read_sweep
from memprof.importers.request import RequestArguments, make_request, names_report
from tests.cli.conftest import write_chain


@pytest.fixture(scope="module")
def open_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model whose batch is open."""
    return write_chain(tmp_path_factory.mktemp("models") / "net.onnx", ["Relu", "Sigmoid"], ["batch", 250])


def test_the_keywords_of_a_verb_are_the_fields_of_a_request() -> None:
    own = {"source", "example_inputs", "ends_process"}  # the last one is for the program alone
    fields = {field.name for field in dataclasses.fields(Request)} - own
    assert fields == get_type_hints(RequestArguments).keys()


@pytest.mark.parametrize("name", ["load", "analyze", "plan", "snapshot", "compare", "check", "verify", "bench"])
def test_no_verb_declares_a_field_of_a_request_again(name: str) -> None:
    parameters = inspect.signature(getattr(memprof, name)).parameters
    assert not parameters.keys() & get_type_hints(RequestArguments).keys()
    assert parameters["arguments"].kind is inspect.Parameter.VAR_KEYWORD


def test_keywords_and_a_request_say_the_same(open_model: Path) -> None:
    request = Request(source=open_model, dims={"batch": 2})
    assert make_request(open_model, dims={"batch": 2}) == request
    assert make_request(request) is not None
    assert memprof.analyze(request).to_json() == memprof.analyze(open_model, dims={"batch": 2}).to_json()
    assert memprof.plan(request).arena.arena_bytes == memprof.plan(open_model, dims={"batch": 2}).arena.arena_bytes


def test_keywords_replace_fields_of_a_request(open_model: Path) -> None:
    request = Request(source=open_model, dims={"batch": 2})
    assert make_request(request, dims={"batch": 4}).dims == {"batch": 4}
    assert request.dims == {"batch": 2}


def test_two_requests_compare_one_file_at_two_sizes(open_model: Path) -> None:
    found = memprof.compare(*(Request(source=open_model, dims={"batch": size}) for size in (1, 3)))
    assert (found.peak.before, found.peak.after) == (2000, 6000)


def test_a_request_does_not_change_with_what_it_was_made_from() -> None:
    dims = {"batch": 1}
    request = Request(source="net.onnx", dims=dims)
    dims["batch"] = 2
    assert request.dims == {"batch": 1}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"source": "package.module:factory", "dims": {"n": 1}}, "have no names"),
        ({"source": "net.onnx", "training": Training()}, "only PyTorch modules can be trained"),
        ({"source": "torchvision:resnet18", "optimized": True}, "is no ONNX file"),
        ({"source": "net.onnx", "device": "tpu"}, "no device 'tpu'"),
    ],
)
def test_what_does_not_fit_the_source_is_refused_when_the_request_is_made(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Request(**fields)


def test_a_keyword_that_is_no_field_is_named() -> None:
    with pytest.raises(UsageError, match="A request has no 'batch'"):
        memprof.analyze("net.onnx", batch=1)  # type: ignore[call-arg]


def test_a_table_of_buffers_is_planned_from_python(tmp_path: Path) -> None:
    table = tmp_path / "buffers.csv"
    table.write_text("id,lower,upper,size\na,0,2,100\nb,1,3,100\nc,3,4,200\n")
    buffers = (
        memprof.AllocationBuffer(name="a", start=0, stop=2, size_bytes=100),
        memprof.AllocationBuffer(name="b", start=1, stop=3, size_bytes=100),
        memprof.AllocationBuffer(name="c", start=3, stop=4, size_bytes=200),
    )
    for source in (table, memprof.AllocationProblem(buffers=buffers)):
        assert memprof.plan(source).arena.arena_bytes == 200
    with pytest.raises(UsageError, match="--keep-order means nothing"):
        memprof.plan(table, keep_order=True)


def test_a_training_step_is_planned_and_checked() -> None:
    pytest.importorskip("torch")
    step = Request(source="tests.importers.torch.networks:attention", training=Training("sgd"))
    peak = memprof.analyze(step, runtimes=["reference"]).peak_intermediate_bytes
    assert peak is not None
    assert memprof.check(step, memprof.Budgets(peak=peak), runtime="reference").is_met
    assert not memprof.check(step, memprof.Budgets(peak=peak - 1), runtime="reference").is_met
    assert memprof.plan(step, keep_order=True, seconds=1).order is not None


def test_a_module_is_exported_before_it_is_timed() -> None:
    with pytest.raises(UsageError, match="runs ONNX files") as caught:
        memprof.bench("torchvision:resnet18")
    assert "torch.onnx.export" in caught.value.hint


@pytest.mark.parametrize(
    ("source", "is_saved"),
    [("report.json", True), ("a/REPORT.JSON", True), ("transformers:a/config.json", False), ("net.onnx", False)],
)
def test_a_configuration_is_no_saved_report(source: str, is_saved: bool) -> None:
    assert names_report(source) is is_saved


def test_a_sweep_of_a_configuration_is_read() -> None:
    name = "transformers:a/config.json"
    assert read_sweep(["length=1,2"], name, None, None) == {"length": (1, 2)}
