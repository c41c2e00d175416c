"""From .tflite files, written field by field, to graphs."""

from __future__ import annotations

from pathlib import Path

import pytest

import memprof
from memprof.base.errors import InputError, UsageError
from memprof.importers.tflite import read_tflite
from memprof.ir import Graph as ReadGraph
from memprof.ir import Role
from memprof.ir.program import Content
from tests import tflite_models as make
from tests.tflite_models import Graph, Number, Operator, Tensor, weight


def read(content: bytes, folder: Path, **bound: object) -> ReadGraph:
    path = folder / "model.tflite"
    path.write_bytes(content)
    arguments = {"dims": {}, "inputs": {}} | bound
    return read_tflite(path, **arguments).graph  # type: ignore[arg-type] # as the tests give them


def small_network() -> Graph:
    tensors = [
        Tensor("x", (1, 8, 8, 3)),
        weight("w", 4, 3, 3, 3, scales=4),
        weight("b", 4, dtype=make.INT32),
        Tensor("a", (1, 8, 8, 4)),
        Tensor("flat", (1, 256)),
        weight("v", 10, 256),
        Tensor("y", (1, 10)),
    ]
    operators = [
        Operator("CONV_2D", ["x", "w", "b"], ["a"], {1: Number("i", 1), 2: Number("i", 1)}),
        Operator("RESHAPE", ["a"], ["flat"]),
        Operator("FULLY_CONNECTED", ["flat", "v", ""], ["y"]),
    ]
    return Graph(tensors, operators, ["x"], ["y"])


def test_operators_tensors_and_roles_are_read(tmp_path: Path) -> None:
    graph = read(make.model(small_network()), tmp_path)

    assert [node.op for node in graph.nodes] == ["tfl.CONV_2D", "tfl.RESHAPE", "tfl.FULLY_CONNECTED"]
    roles = {value.name: value.role for value in graph.values}
    assert roles["x"] is Role.INPUT and roles["w"] is Role.PARAMETER and roles["a"] is Role.INTERMEDIATE
    assert graph.parameter_bytes == 4 * 27 + 16 + 2560
    assert graph.values[graph.outputs[0]].type.shape == (1, 10)
    assert graph.nodes[2].inputs[2] is None
    assert graph.program is not None and graph.program.subgraphs[0].tensors[1].scales == 4


def test_multiply_accumulates_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(make.model(small_network()))

    assert memprof.analyze(path).model.macs == 8 * 8 * 4 * 27 + 2560


def test_a_reshape_shares_storage(tmp_path: Path) -> None:
    graph = read(make.model(small_network()), tmp_path)
    names = {value.name: i for i, value in enumerate(graph.values)}

    assert graph.values[names["flat"]].view_of == names["a"]


def test_sub_byte_types_round_up_once(tmp_path: Path) -> None:
    graph = Graph(
        [Tensor("x", (1, 3), make.INT4), Tensor("y", (1, 3), 19)], [Operator("RELU", ["x"], ["y"])], ["x"], ["y"]
    )
    found = read(make.model(graph), tmp_path)

    assert [(v.type.dtype, v.type.size_bytes) for v in found.values] == [("int4", 2), ("int2", 1)]


def test_weights_behind_the_flatbuffer_are_constants(tmp_path: Path) -> None:
    graph = Graph(
        [Tensor("x", (1, 4)), Tensor("w", (2, 4), more={2: Number("I", 1)}), Tensor("y", (1, 2))],
        [Operator("FULLY_CONNECTED", ["x", "w", ""], ["y"])],
        ["x"],
        ["y"],
    )
    content = make.model(graph, buffers=[{1: Number("Q", 4096), 2: Number("Q", 8)}])
    found = read(content + bytes(4096), tmp_path)

    assert found.parameter_bytes == 8
    assert found.program is not None and found.program.subgraphs[0].tensors[1].content is Content.BEHIND


def test_tensors_of_one_buffer_count_once(tmp_path: Path) -> None:
    graph = Graph(
        [
            Tensor("x", (1, 4)),
            weight("w", 4, 4),
            Tensor("u", (4, 4), more={2: Number("I", 1)}),
            Tensor("a", (1, 4)),
            Tensor("y", (1, 4)),
        ],
        [Operator("FULLY_CONNECTED", ["x", "w", ""], ["a"]), Operator("FULLY_CONNECTED", ["a", "u", ""], ["y"])],
        ["x"],
        ["y"],
    )

    assert read(make.model(graph), tmp_path).parameter_bytes == 16


def test_state_is_kept_apart_from_what_a_run_writes(tmp_path: Path) -> None:
    graph = Graph(
        [Tensor("x", (1, 4)), Tensor("state", (1, 4), is_variable=True), Tensor("y", (1, 4))],
        [Operator("ADD", ["x", "state"], ["y"])],
        ["x"],
        ["y"],
    )
    found = read(make.model(graph), tmp_path)

    assert {v.name: v.role for v in found.values}["state"] is Role.PARAMETER


def branches() -> bytes:
    main = Graph(
        [Tensor("c", (1,), 6, scales=0), Tensor("x", (1, 4)), Tensor("y", (1, 4))],
        [Operator("IF", ["c", "x"], ["y"], {0: Number("i", 1), 1: Number("i", 2)}, union=92)],
        ["c", "x"],
        ["y"],
    )
    inner = [
        Graph([Tensor("p", (1, 4)), Tensor("q", (1, 4))], [Operator(op, ["p"], ["q"])], ["p"], ["q"])
        for op in ("RELU", "ABS")
    ]
    return make.model(main, *inner)


def test_subgraphs_are_bodies(tmp_path: Path) -> None:
    graph = read(branches(), tmp_path)

    assert [[node.op for node in body.nodes] for body in graph.nodes[0].bodies] == [["tfl.RELU"], ["tfl.ABS"]]


def test_a_subgraph_that_runs_itself_is_refused(tmp_path: Path) -> None:
    main = Graph(
        [Tensor("c", (1,), 6, scales=0), Tensor("x", (1, 4)), Tensor("y", (1, 4))],
        [Operator("IF", ["c", "x"], ["y"], {0: Number("i", 0), 1: Number("i", 0)}, union=92)],
        ["c", "x"],
        ["y"],
    )
    with pytest.raises(InputError, match="runs itself"):
        read(make.model(main), tmp_path)


def test_many_ways_through_few_subgraphs_end_at_a_limit(tmp_path: Path) -> None:
    def caller(i: int) -> Graph:
        return Graph(
            [Tensor("c", (1,), 6, scales=0), Tensor("x", (1, 4)), Tensor("y", (1, 4))],
            [Operator("IF", ["c", "x"], ["y"], {0: Number("i", i + 1), 1: Number("i", i + 1)}, union=92)],
            ["c", "x"],
            ["y"],
        )

    last = Graph([Tensor("c", (1,)), Tensor("x", (1, 4))], [], ["c", "x"], ["x"])
    with pytest.raises(InputError, match="more than"):
        read(make.model(*[caller(i) for i in range(20)], last), tmp_path)


def test_custom_operators_go_by_their_name(tmp_path: Path) -> None:
    graph = Graph([Tensor("x", (1, 4)), Tensor("y", (1, 4))], [Operator("custom.MyOp", ["x"], ["y"])], ["x"], ["y"])
    found = read(make.model(graph), tmp_path)

    assert found.nodes[0].op == "custom.MyOp"


def test_the_batch_that_a_file_leaves_open_can_be_given(tmp_path: Path) -> None:
    graph = Graph(
        [Tensor("x", (1, 4), signature=(-1, 4)), Tensor("y", (1, 4), signature=(-1, 4))],
        [Operator("RELU", ["x"], ["y"])],
        ["x"],
        ["y"],
    )
    content = make.model(graph)

    assert [v.type.shape for v in read(content, tmp_path).values] == [(1, 4), (1, 4)]
    assert [v.type.shape for v in read(content, tmp_path, dims={"batch": 3}).values] == [(3, 4), (3, 4)]
    assert [v.type.shape for v in read(content, tmp_path, inputs={"": (2, 4)}).values] == [(2, 4), (2, 4)]
    with pytest.raises(UsageError, match="fixes the shape"):
        read(content, tmp_path, inputs={"x": (1, 5)})


def test_a_size_that_the_file_fixes_is_not_changed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no open dimension"):
        read(make.chain(4, 4), tmp_path, dims={"batch": 2})


def test_an_operator_that_reads_too_early_is_refused(tmp_path: Path) -> None:
    graph = Graph(
        [Tensor("x", (1, 4)), Tensor("a", (1, 4)), Tensor("y", (1, 4))],
        [Operator("RELU", ["a"], ["y"]), Operator("RELU", ["x"], ["a"])],
        ["x"],
        ["y"],
    )
    with pytest.raises(InputError, match="before it is written"):
        read(make.model(graph), tmp_path)


def test_an_unknown_type_is_unknown_and_not_zero(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(make.chain(4, 4, dtype=99))
    report = memprof.analyze(path, runtimes=["reference"])

    assert report.peak_intermediate_bytes is None
    assert {u.kind for u in report.unknown} >= {"dtype"}


def test_what_is_unknown_in_a_subgraph_is_the_files(tmp_path: Path) -> None:
    tensors = [Tensor("p", (1, 4)), Tensor("odd", (1, 4), 99), Tensor("q", (1, 4))]
    inner = Graph(tensors, [Operator("RELU", ["p"], ["odd"]), Operator("RELU", ["odd"], ["q"])], ["p"], ["q"])
    call = Operator("IF", ["c", "x"], ["y"], {0: Number("i", 1), 1: Number("i", 1)}, union=92)
    main = Graph([Tensor("c", (1,), 6), Tensor("x", (1, 4)), Tensor("y", (1, 4))], [call], ["c", "x"], ["y"])
    path = tmp_path / "m.tflite"
    path.write_bytes(make.model(main, inner))

    report = memprof.analyze(path, runtimes=["reference"])

    assert report.peak_intermediate_bytes is None
    assert [(u.kind, u.name) for u in report.unknown] == [("dtype", "odd")]


def test_the_files_own_plan_is_read(tmp_path: Path) -> None:
    plan = b"".join(i.to_bytes(4, "little", signed=True) for i in (1, 0, 2, 64, -1))
    graph = Graph([Tensor("x", (1, 4)), Tensor("y", (1, 4))], [Operator("RELU", ["x"], ["y"])], ["x"], ["y"])
    metadata = [{0: "OfflineMemoryAllocation", 1: Number("I", 1)}]
    found = read(make.model(graph, more={6: metadata}, buffers=[{0: plan}]), tmp_path)

    assert found.program is not None and found.program.offsets == (64, -1)


def test_signatures_are_read(tmp_path: Path) -> None:
    graph = Graph([Tensor("x", (1, 4))], [], ["x"], ["x"])
    found = read(make.model(graph, more={7: [{2: "serve", 4: Number("I", 0)}]}), tmp_path)

    assert found.program is not None and found.program.signatures == {"serve": 0}
