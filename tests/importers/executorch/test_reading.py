"""What a .pte file becomes: a graph whose every value lies where the file's plan puts it."""

from __future__ import annotations

from pathlib import Path

import pytest

import memprof
from memprof.base.errors import InputError, UsageError
from memprof.ir import Graph, Role
from tests import pte_models as make
from tests.pte_models import LONG, Call, Delegate, Jump, Method, Move, Tensor


def read(tmp_path: Path, content: bytes) -> Graph:
    path = tmp_path / "model.pte"
    path.write_bytes(content)
    return memprof.load(path).graph


def storages(graph: Graph) -> list[set[str]]:
    return [{graph.values[i].name for i in values} for values in graph.storage_members.values()]


def test_a_tensor_that_is_only_viewed_is_no_tensor_of_its_own(tmp_path: Path) -> None:
    values = [
        Tensor((2, 8), (1, 0)),
        Tensor((2, 8), (1, 64)),
        Tensor((16,), (1, 64)),  # what the exporter left of a view of value 1
        Tensor((16,), (1, 0)),  # in the place of the input, which is dead: written, not viewed
    ]
    calls = [Call("aten::relu", [0, 1, 1]), Call("aten::abs", [2, 3, 3])]
    graph = read(tmp_path, make.program(Method(values, calls, [0], [3], [0, 128])))

    assert storages(graph) == [{"value_0"}, {"value_1", "value_2"}, {"value_3"}]
    assert [node.op for node in graph.nodes] == ["aten.relu.out", "aten.view", "aten.abs.out"]


def test_an_operator_with_several_outputs_lists_them_last(tmp_path: Path) -> None:
    values = [Tensor((4,), (1, 0)), Tensor((4,), (1, 16)), Tensor((4,), (1, 32), dtype=LONG), [1, 2], 7]
    graph = read(
        tmp_path, make.program(Method(values, [Call("aten::sort", [0, 4, 1, 2, 3], "values")], [0], [1, 2], [0, 64]))
    )

    assert [graph.values[i].name for i in graph.nodes[0].outputs if i is not None] == ["value_1", "value_2"]
    assert [graph.values[i].name for i in graph.reads[0]] == ["value_0"]


def test_writing_in_the_place_of_an_input_is_writing_over_it(tmp_path: Path) -> None:
    values = [Tensor((4,), (1, 0)), Tensor((4,), (1, 0))]
    graph = read(tmp_path, make.program(Method(values, [Call("aten::relu", [0, 1, 1])], [0], [1], [0, 16])))

    assert storages(graph) == [{"value_0", "value_1"}]


def test_bytes_in_the_file_are_parameters_and_an_address_makes_them_state(tmp_path: Path) -> None:
    values = [
        Tensor((4,), (1, 0)),
        Tensor((8,), has_bytes=True),
        Tensor((4,), (1, 16), has_bytes=True, name="cache"),
        Tensor((4,), (1, 32)),
    ]
    content = make.program(Method(values, [Call("x::f", [0, 1, 2, 3, 3])], [0], [3], [0, 48]))
    graph = read(tmp_path, content)
    report = memprof.analyze(tmp_path / "model.pte").headline

    assert {value.name for value in graph.values if value.role is Role.PARAMETER} == {"value_1", "cache"}
    assert report.peak_intermediate_bytes == 48  # the state counts, and has no line of its own


def test_what_a_loop_carries_lives_to_its_end(tmp_path: Path) -> None:
    values = [Tensor((4,), (1, 0)), Tensor((4,), (1, 16)), Tensor((4,), (1, 32)), 0, Tensor((1,), (1, 48))]
    calls = [
        Call("aten::relu", [0, 1, 1]),
        Call("aten::abs", [1, 2, 2]),  # the loop begins: value 1 is read in every turn
        Call("aten::any", [2, 4, 4]),
        Jump(4, 1),
        Call("aten::neg", [2, 0, 0]),
    ]
    graph = read(tmp_path, make.program(Method(values, calls, [0], [2], [0, 64])))

    assert [graph.values[i].name for i in graph.reads[3]] == ["value_4", "value_1"]


def test_a_delegate_writes_what_no_one_wrote_before(tmp_path: Path) -> None:
    values = [Tensor((4,), (1, 0)), Tensor((2, 2), (1, 0)), Tensor((4,), (1, 16)), Tensor((4,), (1, 32))]
    content = make.program(Method(values, [Delegate("XnnpackBackend", [1, 2, 3])], [0], [2, 3], [0, 112]))
    graph = read(tmp_path, content)
    report = memprof.analyze(tmp_path / "model.pte")

    assert graph.nodes[-1].op == "delegate.XnnpackBackend"
    assert [graph.values[i].name for i in graph.writes[-1]] == ["value_2", "value_3"]
    assert report.headline.figures[0].size_bytes == 112  # with the padding behind the last tensor


def test_a_branch_writes_what_both_sides_move_into_it(tmp_path: Path) -> None:
    values = [Tensor((4,), (1, 0)), Tensor((4,), (1, 16)), Tensor((4,), (1, 32)), Tensor((1,), (1, 48))]
    calls = [
        Call("aten::any", [0, 3, 3]),
        Jump(3, 4),
        Call("aten::sin", [0, 1, 1]),
        Move(1, 2),
        Call("aten::cos", [0, 2, 2]),
    ]
    graph = read(tmp_path, make.program(Method(values, calls, [0], [2], [0, 64])))

    assert [graph.values[i].name for i in graph.outputs] == ["value_2"]
    assert [graph.values[i].name for i in graph.writes[3]] == ["value_2"]


def test_the_method_forward_leads_and_others_have_their_figures(tmp_path: Path) -> None:
    other = Method([Tensor((8,), (1, 0))], [], [0], [0], [0, 32], name="warm up")
    main = Method([Tensor((4,), (1, 0))], [], [0], [0], [0, 16])
    path = tmp_path / "model.pte"
    path.write_bytes(make.program(other, main))

    figures = memprof.analyze(path).headline.figures
    assert [(each.name, each.size_bytes) for each in figures] == [
        ("planned_bytes", 16),
        ("planned_bytes_warm_up", 32),
    ]


def test_a_size_without_a_bound_is_unknown(tmp_path: Path) -> None:
    values = [Tensor((4,), (1, 0)), Tensor((4,), dynamism=2)]
    graph = read(tmp_path, make.program(Method(values, [Call("aten::relu", [0, 1, 1])], [0], [1], [0, 16])))

    assert [unknown.name for unknown in graph.unknown] == ["value_1[0]"]
    assert memprof.analyze(tmp_path / "model.pte").headline.peak_intermediate_bytes is None


def test_a_plan_that_leads_out_of_its_arena_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="behind the end of arena 1"):
        read(tmp_path, make.program(Method([Tensor((4,), (1, 1))], [], [0], [0], [0, 16])))


def test_sizes_are_fixed(tmp_path: Path) -> None:
    path = tmp_path / "model.pte"
    path.write_bytes(make.chain(4, 4))

    with pytest.raises(UsageError, match="planned for the sizes it has"):
        memprof.load(path, inputs={"": (2, 4)})


def test_a_program_under_another_name_is_told(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(make.chain(4, 4))

    with pytest.raises(InputError, match="an ExecuTorch program") as caught:
        memprof.load(path)
    assert ".pte" in caught.value.hint
