"""Open dimensions: what binds them, and what is said when a flag does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import ModelProto

from memprof.base.errors import UsageError
from memprof.importers.onnx.symbols import evaluate
from tests.onnx_models import load, model, node, shapes, tensor, weight


def _dynamic() -> ModelProto:
    """x [batch, 3, h, None] -> Relu -> y, whose recorded shape uses the same symbols."""
    found = model([node("Relu", ["x"], ["y"]), node("Neg", ["y"], ["z"])], outputs=["z"])
    found.graph.input.append(tensor("x", ["batch", 3, "h", None]))
    found.graph.value_info.append(tensor("y", ["batch", 3, "h", None]))
    return found


def test_a_symbol_is_bound_everywhere_at_once(tmp_path: Path) -> None:
    found = load(tmp_path, _dynamic(), dims={"batch": 2, "h": 8})

    assert shapes(found) == dict.fromkeys("xyz", (2, 3, 8, 320))


def test_a_shape_binds_the_symbols_in_it_and_what_has_no_name(tmp_path: Path) -> None:
    found = load(tmp_path, _dynamic(), inputs={"x": (2, 3, 8, 9)})

    assert shapes(found) == dict.fromkeys("xyz", (2, 3, 8, 9))
    assert not found.graph.unknown


def test_an_empty_name_means_the_only_input(tmp_path: Path) -> None:
    assert shapes(load(tmp_path, _dynamic(), inputs={"": (2, 3, 8, 9)}))["z"] == (2, 3, 8, 9)


def test_an_expression_is_computed_once_its_symbols_are_bound(tmp_path: Path) -> None:
    found = model([node("My", ["x"], ["y"], domain="my")], inputs=[tensor("x", ["n"])], outputs=["y"])
    found.graph.output[0].CopyFrom(tensor("y", ["2*n + 1", "n//2"]))

    assert shapes(load(tmp_path, found, dims={"n": 9}))["y"] == (19, 4)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("n", 7),
        ("(n - 1)//2 + 1", 4),
        ("floor(n/2)", 3),
        ("ceil(n/2)", 4),
        ("Max(1, n - 10)", 1),
        ("Mod(n, 4)", 3),
        ("n/2", None),
        ("n*m", None),
        ("-n", None),
        ("n**n", None),
        ("n.real", None),
        ("print(n)", None),
        ("(" * 200, None),
        ("1+" * 200 + "1", None),
        ("n//0", None),
    ],
)
def test_expressions(expression: str, value: int | None) -> None:
    assert evaluate(expression, {"n": 7}) == value


def test_a_single_dimension_that_the_data_decide_can_be_fixed(tmp_path: Path) -> None:
    nodes = [node("NonZero", ["x"], ["where"]), node("Transpose", ["where"], ["y"])]
    found = model(nodes, inputs=[tensor("x", [4, 4])], outputs=["y"])

    open_graph = load(tmp_path, found).graph
    assert [note.hint for note in open_graph.assumed] == ["--dim 'where[1]=N'"]

    fixed = load(tmp_path, found, dims={"where[1]": 5})
    assert shapes(fixed)["y"] == (5, 2)
    assert not fixed.graph.unknown
    assert not fixed.graph.assumed


@pytest.mark.parametrize(
    ("dims", "inputs", "sentence"),
    [
        ({"width": 1}, {}, "no dimension 'width'"),
        ({"batch": -1}, {}, "dimension of -1 is not possible"),
        ({"nowhere[0]": 1}, {}, r"no dimension 'nowhere\[0\]'"),
        ({}, {"image": (1, 3, 8, 8)}, "no input 'image'"),
        ({}, {"w": (1, 3, 8, 8)}, "no input 'w'"),
        ({}, {"x": (1, 3, 8)}, "has 4 dimensions, not 3"),
        ({}, {"x": (1, 4, 8, 8)}, "is fixed to batchx3xhx\\?, not 1x4x8x8"),
        ({"batch": 2}, {"x": (1, 3, 8, 8)}, "'batch' is given both as 2 and as 1"),
        ({}, {"": (1, 3, 8, 8), "x": (2, 3, 8, 8)}, "Two shapes are given for the input 'x'"),
    ],
)
def test_a_flag_that_does_not_fit_is_the_callers_error(
    tmp_path: Path, dims: dict[str, int], inputs: dict[str, tuple[int, ...]], sentence: str
) -> None:
    found = _dynamic()
    found.graph.initializer.append(weight("w", 1))

    with pytest.raises(UsageError, match=sentence):
        load(tmp_path, found, dims=dims, inputs=inputs)


def test_the_error_lists_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load(tmp_path, _dynamic(), dims={"width": 1})
    assert caught.value.hint == "It has: batch, h."

    two = model([node("Add", ["a", "b"], ["y"])], inputs=[tensor("a", ["n"]), tensor("b", ["n"])], outputs=["y"])
    with pytest.raises(UsageError) as caught:
        load(tmp_path, two, inputs={"": (1,)})
    assert "'a', 'b'" in caught.value.hint


@pytest.mark.parametrize("open_dims", [[0, 3, 8, 8], [None, 3, "h", None], ["batch", 3, None, 8]])
def test_one_dimension_of_an_input_is_given_by_its_place(tmp_path: Path, open_dims: list[int | str | None]) -> None:
    found = model([node("Relu", ["x"], ["y"])], inputs=[tensor("x", open_dims)], outputs=["y"])
    places = [axis for axis, dim in enumerate(open_dims) if not isinstance(dim, int) or dim == 0]
    graph = load(tmp_path, found, dims={f"x[{axis}]": 5 for axis in places}).graph
    assert graph.values[0].type.shape == tuple(5 if axis in places else dim for axis, dim in enumerate(open_dims))
    assert not graph.assumed
    with pytest.raises(UsageError, match=r"The file fixes x\[1\] to 3, not 2"):
        load(tmp_path, found, dims={"x[1]": 2})
    with pytest.raises(UsageError, match="'x' has 4 dimensions"):
        load(tmp_path, found, dims={"x[4]": 2})
