"""The generator in examples/ against torchvision's own MobileNetV2, exported by torch: node by node, byte by byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import helper

from examples.mobilenet_v2 import build_mobilenet_v2
from memprof import Report, analyze

Type = tuple[int, tuple[int, ...]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mobilenet_v2")


@pytest.fixture(scope="module")
def ours(folder: Path) -> Path:
    path = folder / "ours.onnx"
    onnx.save(build_mobilenet_v2(), path)
    return path


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Path:
    torch = pytest.importorskip("torch")
    from torchvision.models import mobilenet_v2

    path = folder / "theirs.onnx"
    torch.onnx.export(
        mobilenet_v2(weights=None).eval(), (torch.zeros(1, 3, 224, 224),), path, dynamo=True, verbose=False
    )
    return path


def describe(path: Path) -> list[dict[str, Any]]:
    """Return each node with names replaced by where values come from, so that wiring compares between files."""
    graph = onnx.load(path, load_external_data=False).graph
    types: dict[str, Type] = {t.name: (t.data_type, tuple(t.dims)) for t in graph.initializer}
    for info in (*graph.input, *graph.output, *graph.value_info):
        tensor = info.type.tensor_type
        types[info.name] = (tensor.elem_type, tuple(d.dim_value for d in tensor.shape.dim))
    origin: dict[str, tuple[str, int]] = {info.name: ("input", i) for i, info in enumerate(graph.input)}
    weights = {t.name for t in graph.initializer}
    nodes = []
    for step, node in enumerate(graph.node):
        nodes.append(
            {
                "op": (node.domain, node.op_type),
                "attributes": {
                    a.name: helper.get_attribute_value(a)
                    for a in node.attribute
                    if a.name != "kernel_shape"  # that of the weights: one exporter writes it, another does not
                },
                "reads": [
                    (origin.get(name, "weight" if name in weights else "?"), types[name]) for name in node.input
                ],
                "writes": [types[name] for name in node.output],
            }
        )
        origin.update((name, (f"output {k} of node", step)) for k, name in enumerate(node.output))
    assert [origin[info.name] for info in graph.output] == [("output 0 of node", len(graph.node) - 1)]
    return nodes


def small_constants(path: Path) -> list[tuple[int, bytes]]:
    graph = onnx.load(path, load_external_data=False).graph
    return sorted((t.data_type, t.raw_data) for t in graph.initializer if len(t.raw_data) in range(1, 64))


def weights(path: Path) -> list[tuple[int, tuple[int, ...]]]:
    """Return type and shape of every initialiser in the order in which nodes first read them."""
    graph = onnx.load(path, load_external_data=False).graph
    types = {t.name: (t.data_type, tuple(t.dims)) for t in graph.initializer}
    used = dict.fromkeys(name for node in graph.node for name in node.input if name in types)
    assert set(used) == set(types)
    return [types[name] for name in used]


def test_the_same_operations_in_the_same_order_with_the_same_wiring_and_shapes(ours: Path, theirs: Path) -> None:
    mine, reference = describe(ours), describe(theirs)
    for step, (found, expected) in enumerate(zip(mine, reference, strict=True)):
        assert found == expected, f"node {step}"
    assert len(mine) == 100


def test_the_same_weights_byte_for_byte_in_size(ours: Path, theirs: Path) -> None:
    assert weights(ours) == weights(theirs)
    assert small_constants(ours) == small_constants(theirs)


def test_the_same_analysis_whatever_the_names(ours: Path, theirs: Path) -> None:
    def numbers(report: Report) -> dict[str, Any]:
        found = {
            name: (r.timeline, r.peak_intermediate_bytes, r.peak_without_io_bytes, r.total_bytes, r.peak.step)
            for name, r in report.runtimes.items()
        }
        model = report.model
        return found | {
            "parameters": model.parameter_bytes,
            "foldable": model.foldable_constant_bytes,
            "macs": model.macs,
            "dtypes": model.bytes_by_dtype,
            "unknown": report.unknown,
            "buffers": [(b.size_bytes, b.start, b.stop) for b in report.headline.lifetimes.buffers],
        }

    assert numbers(analyze(ours)) == numbers(analyze(theirs))


@pytest.mark.parametrize("which", ["ours", "theirs"])
def test_mobilenet_v2_needs_what_is_known_of_it(which: str, request: pytest.FixtureRequest) -> None:
    """96x112x112 and 96x56x56 floats together; 3,469,760 weights; 300,774,272 multiply-accumulates."""
    report = analyze(request.getfixturevalue(which))
    assert report.unknown == ()
    assert report.runtimes["ideal"].peak_intermediate_bytes == 4 * (96 * 112 * 112 + 96 * 56 * 56) == 6_021_120
    assert report.parameter_bytes == 4 * 3_469_760 + 40  # and the bounds of ReLU6, two axes and a shape
    assert report.runtimes["reference"].peak_intermediate_bytes == 2 * 4 * 96 * 112 * 112
    assert report.model.macs == 300_774_272


def test_the_generator_writes_a_valid_model_with_the_same_weights_every_time(ours: Path) -> None:
    onnx.checker.check_model(ours, full_check=True)
    assert build_mobilenet_v2().SerializeToString(deterministic=True) == build_mobilenet_v2().SerializeToString(
        deterministic=True
    )
