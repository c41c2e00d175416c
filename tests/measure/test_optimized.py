"""onnxruntime-optimized goes by name: the file is optimised first, also beside rows that read it as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest

from memprof import analyze
from memprof.base.errors import UsageError
from memprof.importers.onnxruntime_dump import read_optimized
from memprof.importers.request import Request
from memprof.ir import GraphBuilder
from tests.onnx_models import integers, model, node, tensor

pytest.importorskip("onnxruntime")


def save(folder: Path, *ops: str) -> Path:
    """Write a chain of operations on four floats."""
    names = ["x", *(f"t{i}" for i in range(len(ops)))]
    nodes = [node(op, [names[i]], [names[i + 1]]) for i, op in enumerate(ops)]
    path = folder / "chain.onnx"
    onnx.save(model(nodes, inputs=[tensor("x", [4])], outputs=names[-1:]), str(path))
    return path


def test_both_rows_of_one_file_stand_side_by_side(tmp_path: Path) -> None:
    path = save(tmp_path, "Exp", "Identity", "Dropout", "Neg")
    report = analyze(path, runtimes=["onnxruntime-optimized", "onnxruntime"])
    assert list(report.runtimes) == ["onnxruntime-optimized", "onnxruntime"]
    ran = {name: [n.op for n in found.lifetimes.graph.nodes] for name, found in report.runtimes.items()}
    assert ran["onnxruntime"] == ["Exp", "Identity", "Dropout", "Neg"]
    assert ran["onnxruntime-optimized"] == ["Exp", "Neg"]


def test_a_graph_that_optimisation_leaves_alone_keeps_its_name_and_runs_in_onnxruntimes_order(tmp_path: Path) -> None:
    path = save(tmp_path, "Exp", "Neg")
    alone = analyze(path, runtimes=["onnxruntime-optimized"])
    assert (alone.model.format, alone.headline.runtime.name) == ("onnx.unchanged", "onnxruntime-optimized")
    assert alone.headline.timeline == analyze(path, runtimes=["onnxruntime"]).headline.timeline
    assert "onnxruntime-optimized" in analyze(path, optimized=True).runtimes


def test_a_value_that_keeps_its_name_keeps_what_was_known_of_it(tmp_path: Path) -> None:
    """The optimiser forgets ``a``, not the ``b`` that the shapes in the file imply."""
    shape = [
        node("Shape", ["x"], ["n"], start=0, end=1),
        node("Concat", ["n", "sides"], ["s"], axis=0),
    ]
    names: dict[str, Any] = {
        "inputs": [tensor("x", ["N", 6])],
        "outputs": ["y"],
        "initializers": [integers("sides", 2, 3)],
        "opset": 19,
    }
    ends = [node("Neg", ["b"], ["c"]), node("Abs", ["c"], ["y"])]
    original = model([*shape, node("Reshape", ["x", "s"], ["a"]), node("Exp", ["a"], ["b"]), *ends], **names)
    original.graph.value_info.append(tensor("a", ["N", 2, 3]))
    kept = "InsertedPrecisionFreeCast_b"  # in float32, while ``b`` was in float16
    moved = [node("Exp", ["x"], ["first"]), node("Reshape", ["first", "s"], ["b"])]
    moved += [node("Reshape", ["first", "s"], [kept]), node("Abs", [kept], ["unread"])]
    for file, made in (("source.onnx", original), ("dump.onnx", model([*shape, *moved, *ends], **names))):
        onnx.save(made, str(tmp_path / file))
    found = read_optimized(tmp_path / "dump.onnx", Request(source=str(tmp_path / "source.onnx")))
    assert found.ahead is not None
    known = {value.name: value.type.shape for value in found.ahead().values}
    assert known["b"] == known["c"] == known[kept] == known["unread"] == ("N", 2, 3)


@pytest.mark.parametrize(("op", "shape"), [("Cast", ("N", 2, 3)), ("Reshape", (None, None, None))])
def test_what_is_kept_in_32_bits_has_a_recorded_shape_only_where_a_cast_writes_it(
    tmp_path: Path, op: str, shape: tuple[object, ...]
) -> None:
    inputs = [tensor("x", ["N", 6]), tensor("s", [3], onnx.TensorProto.INT64)]
    original = model([node("Reshape", ["x", "s"], ["a"]), node("Abs", ["a"], ["y"])], inputs=inputs, outputs=["y"])
    original.graph.value_info.append(tensor("a", ["N", 2, 3]))
    kept, first = "InsertedPrecisionFreeCast_a", node("Reshape", ["x", "s"], ["first"])
    writer = node("Cast", ["first"], [kept], to=1) if op == "Cast" else node("Reshape", ["first", "s"], [kept])
    made = model([first, writer, node("Abs", [kept], ["y"])], inputs=inputs, outputs=["y"])
    for file, proto in (("source.onnx", original), ("dump.onnx", made)):
        onnx.save(proto, str(tmp_path / file))
    request = Request(source=str(tmp_path / "source.onnx"), values={"s": (1, 2, 3)})
    found = read_optimized(tmp_path / "dump.onnx", request)
    assert found.ahead is not None
    assert {value.name: value.type.shape for value in found.ahead().values}[kept] == shape


def test_what_is_no_file_is_refused() -> None:
    with pytest.raises(UsageError, match="does not apply here: it reads ONNX files that onnxruntime optimises"):
        analyze(GraphBuilder().build([]), runtimes=["onnxruntime-optimized"])
