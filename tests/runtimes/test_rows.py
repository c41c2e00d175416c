"""Rows of RUNTIMES: what they name exists, and what is known of runtimes elsewhere is a view of them."""

from __future__ import annotations

import pytest

from memprof.analysis import Lifetimes
from memprof.errors import UsageError
from memprof.ir import GraphBuilder, NewValue, TensorType
from memprof.nas.space.budget import BUDGET_RUNTIMES
from memprof.planning.rules import RULES, find_rules
from memprof.runs import RUNNABLE
from memprof.runtimes import RUNTIMES, Order, RuntimeModel
from memprof.runtimes.late import find


@pytest.mark.parametrize("row", RUNTIMES.values(), ids=list(RUNTIMES))
def test_every_late_name_of_a_row_is_a_function(row: RuntimeModel) -> None:
    names = [] if row.measuring is None else [row.measuring.by]
    if row.ordering is not None:
        names += [row.ordering.bound, *row.ordering.related]
    for name in names:
        assert callable(find(name))


@pytest.mark.parametrize("row", RUNTIMES.values(), ids=list(RUNTIMES))
def test_a_row_says_what_people_read_of_it(row: RuntimeModel) -> None:
    assert row.name and row.definition
    assert 0 < len(row.summary) <= 34
    assert row.leads <= row.default_for
    assert (row.ordering is None) or row.order is not Order.GIVEN
    assert not row.in_place_of or row.in_place_of in RUNTIMES


def test_what_commands_take_is_what_the_rows_say() -> None:
    assert set(RULES) == {"reference", "contracted", "ideal", "onnxruntime"}
    assert set(RUNNABLE) == {"pytorch", "onnxruntime", "onnxruntime-optimized", "tflm", "litert"}
    assert set(BUDGET_RUNTIMES) == {"reference", "ideal", "paper", "contracted", "onnxruntime"}


def test_a_plan_for_what_has_no_order_to_choose_says_why() -> None:
    with pytest.raises(UsageError, match="the order of its steps is given"):
        find_rules("paper")
    with pytest.raises(UsageError, match="ordered already"):
        find_rules("onnxruntime-optimized")
    with pytest.raises(UsageError, match="In place is part of what 'ideal' counts"):
        find_rules("ideal", in_place=True)
    assert find_rules("reference", in_place=True).name == "contracted"


def open_graph(size: int | str):  # type: ignore[no-untyped-def]  # two lines below
    builder = GraphBuilder()
    x = builder.add_input("x", TensorType("uint8", (size,)))
    (y,) = builder.add_node("Odd", [x], [NewValue("y", TensorType("uint8", (size,)))])
    assert y is not None
    return builder.build([y])


def odd_ones(lifetimes: Lifetimes) -> tuple[str, ...]:
    return tuple(node.op for node in lifetimes.graph.nodes if node.op == "Odd")
