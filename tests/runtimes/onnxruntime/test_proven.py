"""What a grade says of another onnxruntime than the one that all was proven with, and how the table is made."""

from __future__ import annotations

import pytest

from benchmarks.proven import proven, written
from memprof.analysis import Lifetimes, Schedule
from memprof.ir import GraphBuilder, NewValue, TensorType
from memprof.runtimes.onnxruntime.proven import kernels, lowered_by, of_version
from memprof.runtimes.onnxruntime.proven_table import VERSION

F4 = TensorType("float32", (4,))


def lifetimes(op: str, **attributes: int) -> Lifetimes:
    """Return the lifetimes of a graph of one operation."""
    builder = GraphBuilder()
    x = builder.add_input("x", F4)
    (y,) = builder.add_node(op, [x], [NewValue("y", F4)], attributes=attributes)
    assert y is not None, "it was asked for"
    graph = builder.build([y])
    return Lifetimes(graph=graph, schedule=Schedule.sequential([0]), buffers=(), is_complete=True)


@pytest.mark.parametrize(
    ("version", "is_lowered"), [("", False), (f"{VERSION}.7", False), ("1.31.1", True), ("2.0", True)]
)
def test_another_version_of_onnxruntime_lowers_the_grade(version: str, is_lowered: bool) -> None:
    found = of_version(lowered_by, version)(lifetimes("Relu"))
    assert bool(found) is is_lowered
    assert not is_lowered or version in found[0]


def test_a_resize_that_smooths_has_scratch_that_is_not_known() -> None:
    assert lowered_by(lifetimes("Resize", antialias=0)) == ()
    assert lowered_by(lifetimes("Resize", antialias=1)) == ("Resize",)


@pytest.mark.parametrize(("is_given", "size", "blamed"), [(True, 6, ()), (False, 6, ("Pad",)), (False, 4, ())])
def test_what_shapes_pad_by_is_not_known(*, is_given: bool, size: int, blamed: tuple[str, ...]) -> None:
    """Behind it onnxruntime was seen to put a Softmax elsewhere than in place; where nothing is added it did not."""
    builder = GraphBuilder()
    x, counts = builder.add_input("x", F4), TensorType("int64", (2,))
    pads: int | None = builder.add_parameter("pads", counts) if is_given else builder.add_input("n", counts)
    if not is_given:
        (pads,) = builder.add_node("Neg", [pads], [NewValue("pads", counts)])
    (y,) = builder.add_node("Pad", [x, pads], [NewValue("y", TensorType("float32", (size,)))])
    assert y is not None
    graph = builder.build([y])
    ran = Lifetimes(graph=graph, schedule=Schedule.sequential(range(len(graph.nodes))), buffers=(), is_complete=True)
    assert [op for op in lowered_by(ran) if op == "Pad"] == list(blamed)


def test_an_operation_is_known_by_the_type_of_its_first_input() -> None:
    assert kernels(lifetimes("Relu").graph) == {("Relu", "f")}


def test_what_an_unequal_run_alone_holds_is_to_blame() -> None:
    relu, gru = ("Relu", "f"), ("GRU", "f")
    runs = [
        ("plain", frozenset({relu}), True),
        ("recurrent", frozenset({relu, gru}), True),
        ("another", frozenset({relu}), True),
        ("odd", frozenset({relu, gru}), False),
    ]
    assert proven(runs) == ({relu}, {"odd": [gru]})


def test_what_runs_in_an_unequal_run_alone_is_not_proven() -> None:
    assert proven([("odd", frozenset({("Det", "f")}), False)]) == (set(), {})


def test_the_table_has_a_line_for_each_set_of_types() -> None:
    assert written([("Add", "f"), ("Add", "4"), ("Relu", "f"), ("Elu", "f")]) == "f Elu Relu\nf4 Add"
