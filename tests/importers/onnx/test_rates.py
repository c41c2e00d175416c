"""A rate of sampling that decides what runs is taken as 16,000, said so, and fed to runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import ModelProto, TensorProto

from memprof.measure.feeds import input_specs
from tests.onnx_models import body, integers, load, model, node, shapes, tensor

INT64 = TensorProto.INT64


def by_rate(name: str) -> ModelProto:
    """Return an If whose branches differ in size; the rate picks one."""
    nodes = [
        node("Equal", [name, "usual"], ["is_usual"]),
        node(
            "If",
            ["is_usual"],
            ["y"],
            then_branch=body([node("Neg", ["x"], ["a"])], outputs=["a"]),
            else_branch=body([node("Concat", ["x", "x", "x"], ["b"], axis=0)], outputs=["b"]),
        ),
    ]
    inputs = [tensor("x", [5]), tensor(name, [], INT64)]
    return model(nodes, inputs=inputs, outputs=["y"], initializers=[integers("usual", 16_000)])


@pytest.mark.parametrize("name", ["sr", "sample_rate", "samplingRate"])
def test_a_rate_that_decides_is_assumed_and_fed(tmp_path: Path, name: str) -> None:
    found = load(tmp_path, by_rate(name))
    assert shapes(found)["y"] == (5,)
    assert not found.graph.unknown
    assert [(note.kind, note.name, note.hint) for note in found.graph.assumed] == [
        ("dimension", f"{name}=16000", f"--value {name}=16000")
    ]
    assert [spec["value"] for spec in input_specs(found.graph)] == [None, 16_000]


def test_another_rate_is_taken_where_it_is_given(tmp_path: Path) -> None:
    from memprof import load as read

    path = tmp_path / "model.onnx"
    path.write_bytes(by_rate("sr").SerializeToString())
    found = read(path, values={"sr": 8_000})
    assert shapes(found)["y"] == (15,)
    assert not found.graph.assumed


@pytest.mark.parametrize("name", ["mode", "srgb", "first"])
def test_what_is_no_rate_is_asked_for(tmp_path: Path, name: str) -> None:
    found = load(tmp_path, by_rate(name))
    assert [unknown.hint for unknown in found.graph.unknown] == [f"--value {name}=N"]
    assert not found.graph.assumed


def test_a_rate_that_decides_nothing_is_no_assumption(tmp_path: Path) -> None:
    nodes = [node("Neg", ["x"], ["y"]), node("Cast", ["sr"], ["z"], to=INT64)]
    found = load(tmp_path, model(nodes, inputs=[tensor("x", [5]), tensor("sr", [], INT64)], outputs=["y", "z"]))
    assert not found.graph.assumed
