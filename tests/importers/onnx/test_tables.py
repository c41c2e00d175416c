"""Weights that lie in attributes: forests and the like, which have few initialisers or none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, numpy_helper

import memprof
from memprof.base.errors import InputError, LimitError
from memprof.importers.onnx import read_onnx, wire
from memprof.importers.onnx.fields import list_end, read_field, varint
from memprof.importers.onnx.limits import Room
from memprof.importers.onnx.wire import read_structure, strip
from memprof.importers.request import Request
from memprof.ir import Role
from memprof.measure.child import Limits
from memprof.measure.feeds import input_specs
from memprof.measure.onnxruntime import measure_process
from memprof.measure.verify import process_pairs
from memprof.runtimes.onnxruntime.default import session_frame
from tests.importers.onnx.test_classical import LEAVES, TARGETS, model, node

F = TensorProto.FLOAT


def forest(nodes: int, op: str = "TreeEnsembleRegressor") -> NodeProto:
    """Return an operation of as many trees of one branch and two leaves as have ``nodes`` nodes."""
    trees = nodes // 3
    lists: dict[str, list[Any]] = {
        name: [*value] * trees for name, value in (*LEAVES.items(), *TARGETS.items()) if "treeids" not in name
    }
    lists["nodes_treeids"] = [tree for tree in range(trees) for _ in range(3)]
    lists["target_treeids"] = [tree for tree in range(trees) for _ in range(2)]
    return node(op, ["x"], ["y"], n_targets=2, **lists)


def test_lists_and_tensors_of_attributes_are_weights_that_their_node_reads(tmp_path: Path) -> None:
    path = tmp_path / "forest.onnx"
    path.write_bytes(model([forest(300)], ["y"], x=(F, [1, 4])).SerializeToString())
    graph = memprof.load(path).graph
    weights = {value.name.partition(".")[2]: value for value in graph.values if value.role is Role.PARAMETER}
    assert weights.keys() == LEAVES.keys() | TARGETS.keys()
    assert weights["nodes_values"].type.size_bytes == 300 * 4
    assert weights["nodes_truenodeids"].type.size_bytes == 300 * 8
    assert weights["nodes_modes"].type.size_bytes == 300 * 32
    assert weights["target_weights"].type.size_bytes == 200 * 4
    assert graph.parameter_bytes == 300 * (5 * 8 + 4 + 32) + 200 * (3 * 8 + 4)
    assert len(graph.nodes[0].captures) == len(weights)
    assert [graph.values[i].name for i in graph.nodes[0].inputs if i is not None] == ["x"]


def test_tensors_of_trees_and_words_are_weights_and_numbers_are_none(tmp_path: Path) -> None:
    splits = numpy_helper.from_array(np.zeros(1000, np.float64), "s")
    trees = node("TreeEnsemble", ["x"], ["y"], nodes_splits=splits, n_targets=1, tree_roots=[0])
    lists = {"pool_int64s": [5, 6, 7], "ngram_counts": [0], "ngram_indexes": [0, 1, 2]}
    lengths = {"max_skip_count": 0, "max_gram_length": 1, "min_gram_length": 1}
    words = node("TfIdfVectorizer", ["t"], ["z"], "", mode="TF", **lists, **lengths)
    for name, each, size in (("trees", trees, 8000 + 8), ("words", words, 7 * 8)):
        content = model([each], [each.output[0]], x=(F, [1, 4]), t=(TensorProto.INT64, [9]))
        (tmp_path / f"{name}.onnx").write_bytes(content.SerializeToString())
        assert memprof.load(tmp_path / f"{name}.onnx").graph.parameter_bytes == size


@pytest.mark.parametrize("dims", [[-1], [2**62, 2**62], [1] * 100])
def test_a_tensor_that_cannot_be_is_no_weight_and_ends_no_report(tmp_path: Path, dims: list[int]) -> None:
    odd = TensorProto(dims=dims, data_type=TensorProto.FLOAT)
    path = tmp_path / "odd.onnx"
    path.write_bytes(model([node("Odd", ["x"], ["y"], odd=odd, sure=[1.0])], ["y"], x=(F, [4])).SerializeToString())
    assert memprof.load(path).graph.parameter_bytes == 4


def test_nodes_that_are_alike_each_have_their_own(tmp_path: Path) -> None:
    scaler = {"offset": [0.0] * 4, "scale": [1.0] * 4}
    nodes = [node("Scaler", [f"x{i}"], [f"x{i + 1}"], **scaler) for i in range(5)]
    path = tmp_path / "scalers.onnx"
    path.write_bytes(model(nodes, ["x5"], x0=(F, [1, 4])).SerializeToString())
    assert memprof.load(path).graph.parameter_bytes == 5 * 2 * 16


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("taken", ["s.offset", "s.scale"])
def test_a_table_is_named_unlike_all_values_of_the_file(taken: str, is_first: bool, tmp_path: Path) -> None:
    scaler = node("Scaler", ["x"], ["y"], name="s", offset=[0.0] * 4, scale=[1.0] * 4)
    nodes = [node("Relu", ["x"], [taken], ""), scaler, node("Relu", [taken], ["z"], "")]
    path = tmp_path / "named.onnx"
    path.write_bytes(
        model(nodes if is_first else [nodes[1], nodes[0], nodes[2]], ["y", "z"], x=(F, [1, 4])).SerializeToString()
    )
    graph = memprof.load(path).graph
    assert graph.parameter_bytes == 2 * 16
    assert {value.name for value in graph.values if value.role is Role.PARAMETER} == (
        {"s.offset", "s.scale", f"{taken}.1"} - {taken}
    )
    last = graph.nodes[-1]
    assert [graph.values[i].role for i in last.reads] == [Role.INTERMEDIATE]


def test_nodes_of_one_name_each_have_their_own_tables(tmp_path: Path) -> None:
    nodes = [node("Scaler", ["x"], [f"y{i}"], name="s", offset=[0.0] * 4) for i in range(3)]
    path = tmp_path / "alike.onnx"
    path.write_bytes(model(nodes, ["y0"], x=(F, [1, 4])).SerializeToString())
    graph = memprof.load(path).graph
    assert [v.name for v in graph.values if v.role is Role.PARAMETER] == ["s.offset", "s.offset.1", "s.offset.2"]


def test_a_table_is_nothing_that_a_node_could_read(tmp_path: Path) -> None:
    nodes = [node("Scaler", ["x"], ["y"], name="s", offset=[0.0] * 4), node("Relu", ["s.offset"], ["z"], "")]
    path = tmp_path / "reads.onnx"
    path.write_bytes(model(nodes, ["y", "z"], x=(F, [1, 4])).SerializeToString())
    with pytest.raises(InputError, match="which nothing in the model writes"):
        memprof.load(path)


def test_tables_count_as_values_that_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "many.onnx"
    scaler = node("Scaler", ["x"], ["y"], **{f"a{i}": [0.0] for i in range(20)})
    path.write_bytes(model([scaler], ["y"], x=(F, [1, 4])).SerializeToString())
    monkeypatch.setattr(Room, "edges", 22)
    assert memprof.load(path).graph.parameter_bytes == 20 * 4
    monkeypatch.setattr(Room, "edges", 21)
    with pytest.raises(LimitError, match="read and write over 21 values"):
        memprof.load(path)


def test_a_process_from_the_file_alone_takes_what_a_real_one_takes(tmp_path: Path) -> None:
    path = tmp_path / "forest.onnx"
    path.write_bytes(model([forest(60_000)], ["y"], x=(F, [1, 4])).SerializeToString())
    found = read_onnx(Request(source=path, threads=1))
    measured = measure_process(str(path), input_specs(found.graph), Limits(seconds=60), threads=1)
    pairs = {pair.name: pair for pair in process_pairs(found, session_frame(found), measured)}
    assert pairs["process"].predicted_bytes == pytest.approx(pairs["process"].measured_bytes, rel=0.15)


@pytest.mark.parametrize("kind", ["floats", "ints", "strings"])
def test_a_long_list_is_read_as_quickly_as_it_is_long(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"floats": [0.5] * 200_000, "ints": [-1, 7, 300] * 70_000, "strings": ["LEAF", "BRANCH_LEQ"] * 100_000}
    content = model([node("Scaler", ["x"], ["y"], odd=values[kind])], ["y"]).SerializeToString()
    steps = []
    monkeypatch.setattr(wire, "list_end", lambda content: steps.append(1) or list_end(content))
    assert strip(content) == content
    assert 0 < len(steps) <= 2 + len(content) // wire.LIST_WINDOW_BYTES


def test_lists_have_a_limit_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = model([forest(30_000)], ["y"], x=(F, [1, 4])).SerializeToString()
    monkeypatch.setattr(Room, "structure_bytes", 40_000)
    assert strip(content) == content  # most lists are long, the others fit
    monkeypatch.setattr(Room, "list_bytes", len(content) // 2)
    with pytest.raises(LimitError, match=r"lists take more than .*"):
        strip(content)
    monkeypatch.setattr(Room, "list_bytes", 4 * len(content))
    monkeypatch.setattr(Room, "fields", 29_000)
    with pytest.raises(LimitError, match="more than 29000 fields"):
        strip(content)  # each text counts
    monkeypatch.undo()
    path = tmp_path / "stars.onnx"  # a star begins an attribute: what lists hold of them is none
    path.write_bytes(model([node("Scaler", ["x"], ["y"], odd=["*" * 20] * 200_000)], ["y"]).SerializeToString())
    assert len(read_structure(path)) == path.stat().st_size


@pytest.mark.parametrize(
    ("row", "number_bytes"),
    [
        (b"\x42" + varint(60_000) + b"\x00" * 60_000, 8 * 60_000),  # packed
        ((b"\x42" + varint(600) + b"\x00" * 600) * 100, 8 * 60_000),  # the same in short pieces
        (b"\x40\x00" * 60_000, 8 * 60_000),
        (b"\x40\xff\x7f" * 60_000, 8 * 60_000),
        (b"\x3d\x00\x00\x00\x00" * 60_000, 4 * 60_000),
    ],
)
def test_lists_count_by_what_their_numbers_take_once_they_are_read(
    row: bytes, number_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = AttributeProto(name="odd").SerializeToString() + row
    for number in (5, 1, 7):  # an attribute of a node of a graph of a model
        content = bytes([number << 3 | 2]) + varint(len(content)) + content
    monkeypatch.setattr(Room, "list_bytes", number_bytes + 2 * len(row))
    assert len(ModelProto.FromString(strip(content)).graph.node[0].attribute[0].SerializeToString()) >= len(row)
    monkeypatch.setattr(Room, "list_bytes", number_bytes - 1)
    with pytest.raises(LimitError, match="lists take more than"):
        strip(content)


@given(
    rows=st.lists(
        st.one_of(
            st.lists(st.floats(width=32), max_size=40).map(lambda v: AttributeProto(floats=v)),
            st.lists(st.integers(-(2**63), 2**63 - 1), max_size=40).map(lambda v: AttributeProto(ints=v)),
            st.lists(st.binary(max_size=200), max_size=40).map(lambda v: AttributeProto(strings=v)),
        ),
        min_size=1,
        max_size=4,
    ),
    cut=st.integers(0, 400),
)
def test_the_end_of_a_list_is_where_reading_each_of_its_fields_ends(rows: list[AttributeProto], cut: int) -> None:
    content = b"".join(row.SerializeToString() for row in rows)
    content = content[: max(0, len(content) - cut)]
    if not content:
        return
    position = count = 0
    while position < len(content) and content[position] == content[0]:
        try:
            _, value, end = read_field(content, 0, position, len(content))
        except InputError:
            break
        if content[0] == 0x4A and end - value >= 0x80:
            break  # longer texts are for the walk
        position, count = end, count + 1
    assert list_end(content) == (position, count)


def test_rows_that_change_their_kind_at_each_step_are_looked_at_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = AttributeProto(ints=[1, 1]).SerializeToString() + AttributeProto(floats=[0, 0]).SerializeToString()
    attribute = AttributeProto(name="odd").SerializeToString() + rows * 20_000
    content = ModelProto().SerializeToString()
    for number in (5, 1, 7):  # an attribute of a node of a graph of a model
        attribute = content = bytes([number << 3 | 2]) + varint(len(attribute)) + attribute
    looked = []
    monkeypatch.setattr(wire, "list_end", lambda content: looked.append(1) or list_end(content))
    assert strip(content) == content
    assert 0 < len(looked) <= 2 * wire.MAX_LISTS


def test_a_row_whose_tags_are_longer_than_they_need_be_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Taken for fields of five bytes, each of which begins as the first does, such a row would hold bodies."""
    hidden = b"\x5a\x03\x52\x01\xbd" * 5000  # a graph each, with a text of one byte
    attribute = AttributeProto(name="odd").SerializeToString() + b"\xbd\x00" + b"\x00\x00\x00\xbd" + hidden
    content = attribute
    for number in (5, 1, 7):  # of a node of a graph of a model
        content = bytes([number << 3 | 2]) + varint(len(content)) + content
    assert len(ModelProto.FromString(content).graph.node[0].attribute[0].graphs) == 5000
    assert list_end(attribute[attribute.index(b"\xbd") :]) == (0, 0)
    monkeypatch.setattr(Room, "fields", 4000)
    with pytest.raises(LimitError, match="more than 4000 fields"):
        strip(content)
