"""The verbs: what they take, and what they leave as they found it."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

import memprof
from memprof import Graph, GraphBuilder, TensorType, analyze, load
from memprof.base.errors import InputError
from memprof.ir import NewValue
from memprof.ir.model import Model
from tests import tflite_models


def tiny() -> Graph:
    f4 = TensorType("float32", (1,))
    builder = GraphBuilder("tiny")
    x = builder.add_input("x", f4)
    (y,) = builder.add_node("Relu", [x], [NewValue("y", f4)])
    assert y is not None
    return builder.build([y])


def test_a_tflite_file_is_planned_for_the_runtime_that_the_command_plans_for(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(tflite_models.chain(64, 32, 16))

    found = memprof.plan(path, seconds=1)
    assert isinstance(found, memprof.TflmPlan)
    assert found.head_bytes == memprof.analyze(path).peak_intermediate_bytes
    assert isinstance(memprof.plan(path, runtime="reference", seconds=1), memprof.Plan)
    with pytest.raises(memprof.UsageError, match="in_place means nothing"):
        memprof.plan(path, in_place=True)


def test_a_graph_and_a_model_are_taken_as_they_are() -> None:
    graph = tiny()
    model = load(graph)
    assert model == Model(path="tiny", format="graph", structure_sha256="", graph=graph)
    assert load(model) is model
    assert analyze(graph).to_json() == analyze(model).to_json()


def test_a_missing_file_is_an_input_error() -> None:
    with pytest.raises(InputError):
        analyze("nowhere.onnx")


@pytest.mark.parametrize("enabled", [True, False])
def test_the_cycle_collector_is_left_as_it_was(enabled: bool) -> None:
    was_enabled = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        analyze(tiny())
        assert gc.isenabled() is enabled
        with pytest.raises(InputError):
            analyze("nowhere.onnx")
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if was_enabled else gc.disable)()


def test_analysing_makes_no_cycles_for_the_collector_to_find() -> None:
    graph = tiny()
    analyze(graph)
    gc.collect()
    for _ in range(20):
        analyze(graph)
    assert gc.collect() == 0


def test_every_public_name_resolves_and_no_other_does() -> None:
    for name in memprof.__all__:
        assert getattr(memprof, name) is not None
    assert set(memprof.__all__) <= set(dir(memprof))
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = memprof.no_such_name
