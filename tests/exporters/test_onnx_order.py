"""A reordered ONNX file: the nodes in their new order, every other byte in its place, the same answers."""

from __future__ import annotations

import io
import os
import resource
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from memprof import load
from memprof.base.errors import InputError, UsageError
from memprof.exporters import onnx_order
from memprof.exporters.onnx_order import file_order, write_reordered_onnx
from memprof.exporters.onnx_wire import FileLayout, read_layout
from memprof.importers.onnx.fields import FieldReader
from memprof.planning.ordering.find import find_order
from memprof.planning.ordering.kinds import reference_problem
from tests.real_data import require_shared_data


def layout_of(content: bytes) -> FileLayout:
    return read_layout(FieldReader(lambda start, length: content[start : start + length]), len(content))


def node(op: str, reads: str, writes: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(op, reads.split(), writes.split(), name=f"node of {writes}", **attributes)


def info(name: str, *shape: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def weight(name: str, *shape: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.random.default_rng(len(name)).normal(size=shape).astype(np.float32), name)


def two_branches() -> onnx.ModelProto:
    """Return x -> a -> b, x -> c -> d, b + d -> y, with everything a model can hold beside nodes."""
    body = helper.make_graph(
        [node("Add", "b d", "sum"), node("Relu", "sum", "inner")], "then", [], [info("inner", 4, 4)]
    )
    other = helper.make_graph([node("Sub", "b d", "other")], "else", [], [info("other", 4, 4)])
    graph = helper.make_graph(
        [
            node("MatMul", "x w", "a"),
            node("Relu", "a", "b"),
            node("MatMul", "x long_weight_name", "c"),
            node("Tanh", "c", "d"),
            node("If", "flag", "y", then_branch=body, else_branch=other),
        ],
        "main",
        [info("x", 4, 8)],
        [info("y", 4, 4)],
        [weight("w", 8, 4), weight("long_weight_name", 8, 4), numpy_helper.from_array(np.array(True), "flag")],
        value_info=[info("a", 4, 4), info("c", 4, 4)],
        doc_string="what it is for",
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {"author": "somebody"})
    model.graph.metadata_props.add(key="k", value="v")
    return model


@pytest.fixture
def model_path(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    onnx.save(two_branches(), path)
    return path


def answers(path: Path, seed: int = 0) -> list[np.ndarray]:
    """Return what onnxruntime answers to random inputs, without optimisation."""
    ort = pytest.importorskip("onnxruntime")
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(seed)
    feeds = {}
    for given in session.get_inputs():
        shape = [dim if isinstance(dim, int) else 1 for dim in given.shape]
        feeds[given.name] = rng.random(shape).astype(np.float32 if given.type == "tensor(float)" else np.int64)
    return session.run(None, feeds)


def test_only_the_nodes_change_places(model_path: Path, tmp_path: Path) -> None:
    target = tmp_path / "better.onnx"
    write_reordered_onnx(model_path, [2, 3, 0, 1, 4], target)
    before, after = onnx.load(model_path), onnx.load(target)
    assert [n.name for n in after.graph.node] == [before.graph.node[i].name for i in (2, 3, 0, 1, 4)]
    nodes = list(before.graph.node)
    del before.graph.node[:]
    before.graph.node.extend(nodes[i] for i in (2, 3, 0, 1, 4))
    assert after == before
    assert target.stat().st_size == model_path.stat().st_size
    onnx.checker.check_model(after)


def test_the_given_order_gives_the_same_bytes(model_path: Path, tmp_path: Path) -> None:
    target = tmp_path / "same.onnx"
    write_reordered_onnx(model_path, range(5), target)
    assert target.read_bytes() == model_path.read_bytes()


def test_records_that_lie_between_other_fields_change_places_too(tmp_path: Path) -> None:
    tail = helper.make_graph([node("Relu", "a", "y")], "", [], [info("y", 4, 4)])
    head = helper.make_graph([node("Relu", "x", "a"), node("Neg", "x", "unread")], "g", [info("x", 4, 4)], [])
    graph = head.SerializeToString() + tail.SerializeToString()
    model = helper.make_model(helper.make_graph([], "", [], []), opset_imports=[helper.make_opsetid("", 18)])
    model.ClearField("graph")
    path = tmp_path / "scattered.onnx"
    path.write_bytes(model.SerializeToString() + b"\x3a" + varint(len(graph)) + graph)
    write_reordered_onnx(path, [1, 0, 2], tmp_path / "better.onnx")
    assert [n.op_type for n in onnx.load(tmp_path / "better.onnx").graph.node] == ["Neg", "Relu", "Relu"]


@pytest.mark.parametrize("order", [[1, 0, 2, 3, 4], [0, 1, 2, 4, 3], [0, 1, 4, 2, 3]])
def test_an_order_that_runs_a_reader_first_is_refused(model_path: Path, tmp_path: Path, order: list[int]) -> None:
    with pytest.raises(UsageError, match="before node"):
        write_reordered_onnx(model_path, order, tmp_path / "better.onnx")
    assert not (tmp_path / "better.onnx").exists()


@pytest.mark.parametrize("order", [[], [0, 1, 2, 3], [0, 1, 2, 3, 3], [0, 1, 2, 3, 5], [0, 1, 2, 3, 4, 5]])
def test_an_order_that_is_no_permutation_is_refused(model_path: Path, tmp_path: Path, order: list[int]) -> None:
    with pytest.raises(UsageError, match="each of the 5 nodes"):
        write_reordered_onnx(model_path, order, tmp_path / "better.onnx")


def test_the_model_itself_is_replaced_only_when_asked(model_path: Path) -> None:
    original = model_path.read_bytes()
    link = model_path.with_name("link.onnx")
    link.symlink_to(model_path)
    for target in (model_path, link, model_path.parent / "." / model_path.name):
        with pytest.raises(UsageError, match="the model itself"):
            write_reordered_onnx(model_path, [2, 3, 0, 1, 4], target)
    assert model_path.read_bytes() == original
    write_reordered_onnx(model_path, [2, 3, 0, 1, 4], model_path, may_replace_source=True)
    assert onnx.load(model_path).graph.node[0].name == "node of c"


def test_a_write_that_fails_leaves_nothing_behind(
    model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "better.onnx"
    target.write_bytes(b"what was there")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(onnx_order.os, "fsync", full)
    with pytest.raises(UsageError, match="No space left"):
        write_reordered_onnx(model_path, [2, 3, 0, 1, 4], target)
    assert target.read_bytes() == b"what was there"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["better.onnx", "model.onnx"]


def test_a_folder_that_does_not_exist_is_one_message(model_path: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Cannot write"):
        write_reordered_onnx(model_path, range(5), tmp_path / "nowhere" / "better.onnx")


def test_what_is_no_model_is_one_message(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    for content in (
        b"",
        b"\xff" * 40,
        b"no model at all, just text",
        onnx.ModelProto(ir_version=9).SerializeToString(),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError):
            write_reordered_onnx(path, [], tmp_path / "better.onnx")
    with pytest.raises(InputError, match="Cannot read"):
        write_reordered_onnx(tmp_path / "missing.onnx", [], tmp_path / "better.onnx")


def test_a_model_cut_off_anywhere_is_refused_or_read_as_it_is(model_path: Path, tmp_path: Path) -> None:
    content = model_path.read_bytes()
    for stop in range(0, len(content) - 1, 7):
        try:
            layout_of(content[:stop])
        except InputError:
            continue
    with pytest.raises(InputError):
        layout_of(content[: len(content) // 2])


def with_external_data(folder: Path) -> Path:
    path = folder / "model.onnx"
    onnx.save(two_branches(), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    return path


def test_external_data_is_still_found_beside_the_model(tmp_path: Path) -> None:
    path = with_external_data(tmp_path)
    assert layout_of(path.read_bytes()).external_data == ("weights.bin",)
    target = tmp_path / "better.onnx"
    write_reordered_onnx(path, [2, 3, 0, 1, 4], target)
    for before, after in zip(answers(path), answers(target), strict=True):
        np.testing.assert_array_equal(before, after)


def test_a_target_that_would_lose_its_external_data_is_refused(tmp_path: Path) -> None:
    path = with_external_data(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with pytest.raises(UsageError, match=r"weights\.bin"):
        write_reordered_onnx(path, range(5), elsewhere / "better.onnx")
    (tmp_path / "same").symlink_to(tmp_path)
    write_reordered_onnx(path, range(5), tmp_path / "same" / "better.onnx")


def test_external_data_of_tensors_in_bodies_and_attributes_is_seen() -> None:
    model = two_branches()
    external = weight("inside", 2)
    external.ClearField("raw_data")
    external.data_location = TensorProto.EXTERNAL
    external.external_data.add(key="location", value="deep.bin")
    model.graph.node[4].attribute[0].g.node[0].attribute.append(helper.make_attribute("value", external))
    assert layout_of(model.SerializeToString()).external_data == ("deep.bin",)


def test_a_file_over_two_gib_is_copied_without_being_loaded(tmp_path: Path) -> None:
    size = 2**31 + 2**20
    header = two_branches()
    header.graph.ClearField("node")
    tensor = TensorProto(name="huge", data_type=TensorProto.UINT8, dims=[size]).SerializeToString()
    raw = b"\x4a" + varint(size)  # raw_data
    tensor_field = b"\x2a" + varint(len(tensor) + len(raw) + size) + tensor + raw  # initializer
    nodes = b"".join(
        b"\x0a" + varint(len(record)) + record
        for record in (n.SerializeToString() for n in two_branches().graph.node)
    )
    rest = header.graph.SerializeToString()
    graph_bytes = len(nodes) + len(tensor_field) + size + len(rest)
    header.ClearField("graph")
    path = tmp_path / "huge.onnx"
    with path.open("wb") as file:
        file.write(header.SerializeToString() + b"\x3a" + varint(graph_bytes) + nodes + tensor_field)
        file.seek(size - 1, os.SEEK_CUR)  # a hole: the weights take no disk
        file.write(b"\x07" + rest)
    written: list[int] = []

    class Counter(io.BytesIO):
        """Keeps lengths instead of bytes, so that the test costs no disk."""

        def write(self, chunk: object) -> int:
            assert isinstance(chunk, bytes)
            written.append(len(chunk))
            return len(chunk)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with onnx_order.opened_layout(path) as (file, layout):
        onnx_order.copy_reordered(file, layout, [2, 3, 0, 1, 4], Counter())
    assert sum(written) == path.stat().st_size > 2**31
    assert max(written) <= 2**24
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**17  # KiB


def varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def with_functions() -> onnx.ModelProto:
    """Return a model that calls one function twice and another once, which calls the first."""
    opset = [helper.make_opsetid("", 18), helper.make_opsetid("my", 1)]
    block = helper.make_function(
        "my",
        "Block",
        ["a"],
        ["early", "late"],
        [node("Relu", "a", "early"), node("Exp", "a", "t"), node("Tanh", "t", "late"), node("Neg", "t", "unread")],
        [helper.make_opsetid("", 18)],
    )
    outer = helper.make_function(
        "my",
        "Outer",
        ["a"],
        ["o"],
        [helper.make_node("Block", ["a"], ["p", "q"], domain="my"), node("Add", "p q", "o")],
        opset,
    )
    graph = helper.make_graph(
        [
            helper.make_node("Block", ["x"], ["e1", "l1"], domain="my", name="first"),
            node("Sigmoid", "x", "s"),
            helper.make_node("Outer", ["s"], ["e2"], domain="my", name="second"),
            node("Add", "e1 e2", "sum"),
            node("Add", "sum l1", "y"),
        ],
        "main",
        [info("x", 4, 4)],
        [info("y", 4, 4)],
    )
    return helper.make_model(graph, functions=[block, outer], opset_imports=opset, ir_version=9)


def test_a_call_of_a_function_stays_in_one_piece(tmp_path: Path) -> None:
    path = tmp_path / "functions.onnx"
    onnx.save(with_functions(), path)
    graph = load(path).graph
    problem = reference_problem(graph)
    assert len(graph.nodes) > 5
    seen = set()
    for seed in range(50):
        order = shuffled(problem.predecessors, Random(seed))
        nodes, running = file_order(path, graph, order)
        assert sorted(nodes) == [0, 1, 2, 3, 4]
        assert problem.is_order(running)
        seen.add(tuple(nodes))
        target = tmp_path / "better.onnx"
        write_reordered_onnx(path, nodes, target)
        again = load(target).graph
        assert [n.op for n in again.nodes] == [graph.nodes[i].op for i in running]
    assert len(seen) > 2
    for before, after in zip(answers(path), answers(target), strict=True):
        np.testing.assert_array_equal(before, after)


def test_a_file_that_lists_readers_first_is_written_in_the_order_that_was_planned(tmp_path: Path) -> None:
    for seed, make in ((seed, make) for make in (two_branches, with_functions) for seed in range(8)):
        model = make()
        nodes = [onnx.NodeProto.FromString(n.SerializeToString()) for n in model.graph.node]
        Random(seed).shuffle(nodes)
        del model.graph.node[:]
        model.graph.node.extend(nodes)
        source = tmp_path / "unsorted.onnx"
        source.write_bytes(model.SerializeToString())
        graph = load(source).graph
        problem = reference_problem(graph)
        order, running = file_order(source, graph, shuffled(problem.predecessors, Random(seed)))
        write_reordered_onnx(source, order, tmp_path / "better.onnx")
        better = load(tmp_path / "better.onnx").graph
        assert [n.op for n in better.nodes] == [graph.nodes[i].op for i in running]
        assert reference_problem(better).peak_bytes(range(len(running))) == problem.peak_bytes(running)
        if make is two_branches:
            wished = find_order(problem, 2).order
            assert file_order(source, graph, wished)[1] == list(wished)


def shuffled(predecessors: tuple[tuple[int, ...], ...], rng: Random) -> list[int]:
    order: list[int] = []
    while len(order) < len(predecessors):
        order.append(rng.choice([i for i, p in enumerate(predecessors) if i not in order and set(p) <= set(order)]))
    return order


def test_the_order_of_another_model_is_refused(tmp_path: Path, model_path: Path) -> None:
    path = tmp_path / "functions.onnx"
    onnx.save(with_functions(), path)
    graph = load(path).graph
    with pytest.raises(InputError, match="not the model"):
        file_order(model_path, graph, range(len(graph.nodes)))


NOT_RUN = {
    "silero_vad_16k_op15": "random inputs do not fit together",
    "mlperf_resnet8_cifar10": "operations of its own that onnxruntime does not know",
}


@pytest.mark.parametrize(
    "name",
    [
        "yunet_n_320",
        "ultraface_slim_320",
        "mlperf_resnet8_cifar10",
        "cct_1_16_16_32",
        "fastestdet",
        "silero_vad_16k_op15",
    ],
)
def test_real_models_answer_bit_for_bit_the_same_in_any_order(name: str, tmp_path: Path) -> None:
    source = require_shared_data() / "models" / f"{name}.onnx"
    graph = load(source).graph
    problem = reference_problem(graph)
    orders: list[Callable[[], list[int]]] = [
        lambda: list(find_order(problem, 2).order),
        lambda: shuffled(problem.predecessors, Random(1)),
    ]
    for i, make in enumerate(orders):
        target = tmp_path / f"{i}.onnx"
        nodes, running = file_order(source, graph, make())
        write_reordered_onnx(source, nodes, target)
        assert problem.peak_bytes(running) == reference_problem(load(target).graph).peak_bytes(range(len(running)))
        if name not in NOT_RUN:
            for before, after in zip(answers(source), answers(target), strict=True):
                np.testing.assert_array_equal(before, after)


def test_what_only_a_ruled_out_branch_reads_still_runs_before_its_if(tmp_path: Path) -> None:
    then = helper.make_graph([node("Relu", "x", "t")], "then", [], [info("t", 1, 4)])
    other = helper.make_graph([node("Relu", "late", "e")], "else", [], [info("e", 1, 4)])
    yes = numpy_helper.from_array(np.array(True), "yes")
    graph = helper.make_graph(
        [
            node("Neg", "x", "late"),
            node("If", "yes", "y", then_branch=then, else_branch=other),
            node("Neg", "late", "z"),
        ],
        "ruled out",
        [info("x", 1, 4)],
        [info("y", 1, 4), info("z", 1, 4)],
        [yes],
    )
    source = tmp_path / "ruled_out.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(source))
    order, run = file_order(source, load(source).graph, [1, 0, 2])
    assert order == run == [0, 1, 2]
    write_reordered_onnx(source, order, tmp_path / "reordered.onnx")
