"""An ONNX file with nodes that are there twice: it computes what the model computes, bit for bit."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from memprof import load
from memprof.base.errors import UsageError
from memprof.exporters.onnx_runs import write_repeated_onnx
from memprof.planning.recomputation.repeatable import repeatable
from memprof.planning.recomputation.schedule import unroll
from memprof.runtimes.reference import reference_lifetimes
from tests.onnx_models import body, model, node, tensor, weight


def random_model(rng: Random) -> onnx.ModelProto:
    """Return a model of a few operations on 4 x 4 matrices; any value may be a graph output."""
    known = ["x"]
    nodes = []
    for step in range(8):
        op = rng.choice(["Relu", "Tanh", "Add", "MatMul", "Split", "Reshape"])
        reads = [rng.choice(known) for _ in range(2 if op == "Add" else 1)]
        writes = [f"t{step}"] if op != "Split" else [f"t{step}.a", f"t{step}.b"]
        if op == "Split":
            nodes.append(node("Split", [*reads, "halves"], [f"{w}.half" for w in writes], axis=1))
            nodes += [node("Concat", [f"{w}.half", f"{w}.half"], [w], axis=1) for w in writes]
        else:
            operands = {"MatMul": [*reads, "w"], "Reshape": [*reads, "shape"]}.get(op, reads)
            nodes.append(node(op, operands, writes))
        known += writes
    values = [
        numpy_helper.from_array(np.array([2, 2]), "halves"),
        numpy_helper.from_array(np.array([4, 4]), "shape"),
        numpy_helper.from_array(np.random.default_rng(1).normal(size=(4, 4)).astype(np.float32), "w"),
    ]
    outputs = rng.sample(known[1:], k=2)
    return model(nodes, inputs=[tensor("x", [4, 4])], outputs=outputs, initializers=values)


def answers(path: Path | onnx.ModelProto) -> list[np.ndarray]:
    x = np.random.default_rng(2).normal(size=(4, 4)).astype(np.float32)
    found = path if isinstance(path, onnx.ModelProto) else onnx.load(path)
    return [np.asarray(value) for value in ReferenceEvaluator(found).run(None, {"x": x})]


@pytest.mark.parametrize("seed", range(25))
def test_a_model_with_second_runs_gives_the_same_bits(seed: int, tmp_path: Path) -> None:
    rng = Random(f"twice {seed}")
    source, target = tmp_path / "model.onnx", tmp_path / "twice.onnx"
    proto = random_model(rng)
    onnx.save(proto, source)
    graph = load(source, from_file=True).graph
    runs = list(range(len(graph.nodes)))
    may = [i for i, macs in enumerate(repeatable(graph).macs) if macs is not None]
    for again in rng.sample(may, k=min(len(may), 4)):
        runs.insert(rng.randint(runs.index(again) + 1, len(runs)), again)
    write_repeated_onnx(source, graph, runs, target)
    for before, after in zip(answers(proto), answers(target), strict=True):
        assert before.tobytes() == after.tobytes()
    written, unrolled = load(target, from_file=True).graph, unroll(graph, runs)
    assert [found.op for found in written.nodes] == [found.op for found in unrolled.nodes]
    assert reference_lifetimes(written).timeline == reference_lifetimes(unrolled).timeline


def test_bytes_outside_of_the_nodes_are_kept(tmp_path: Path) -> None:
    proto = model(
        [node("Relu", ["x"], ["a"]), node("Add", ["a", "w"], ["y"])],
        inputs=[tensor("x", [4, 4])],
        outputs=["y"],
        initializers=[weight("w", 4, 4)],
    )
    proto.metadata_props.add(key="made", value="by hand")
    source, target = tmp_path / "model.onnx", tmp_path / "twice.onnx"
    onnx.save(proto, source)
    write_repeated_onnx(source, load(source, from_file=True).graph, [0, 0, 1], target)
    written = onnx.load(target)
    assert [list(found.output) for found in written.graph.node] == [["a"], ["a#2"], ["y"]]
    assert list(written.graph.node[2].input) == ["a#2", "w"]
    written.graph.node.remove(written.graph.node[1])
    written.graph.node[1].input[0] = "a"
    assert written == proto


def test_what_a_body_reads_cannot_be_renamed(tmp_path: Path) -> None:
    branches = {
        name: body([node("Relu", ["a"], [f"{name}.out"])], outputs=[f"{name}.out"])
        for name in ("then_branch", "else_branch")
    }
    proto = model(
        [node("Relu", ["x"], ["a"]), node("If", ["flag"], ["y"], **branches)],
        inputs=[tensor("x", [4, 4]), tensor("flag", [], onnx.TensorProto.BOOL)],
        outputs=["y"],
    )
    source = tmp_path / "model.onnx"
    onnx.save(proto, source)
    graph = load(source, from_file=True).graph
    assert repeatable(graph).macs[0] is None  # so no plan asks for it
    with pytest.raises(UsageError, match="body"):
        write_repeated_onnx(source, graph, [0, 0, 1], tmp_path / "twice.onnx")
    assert not (tmp_path / "twice.onnx").exists()


def test_a_model_that_calls_functions_is_refused(tmp_path: Path) -> None:
    double = helper.make_function(
        "my",
        "Double",
        ["f"],
        ["g"],
        [node("Relu", ["f"], ["h"]), node("Add", ["h", "h"], ["g"])],
        [helper.make_opsetid("", 17)],
    )
    call = helper.make_node("Double", ["x"], ["y"], domain="my")
    proto = model([call], inputs=[tensor("x", [4])], outputs=["y"], functions=[double])
    source = tmp_path / "model.onnx"
    onnx.save(proto, source)
    with pytest.raises(UsageError, match="functions"):
        write_repeated_onnx(source, load(source, from_file=True).graph, [0, 0, 1], tmp_path / "twice.onnx")
