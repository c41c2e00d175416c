"""A plan goes to JSON and comes back as it was; one whose places or proofs cannot be is refused."""

from __future__ import annotations

import copy
import json
import pickle
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memprof import compare, plan
from memprof.base.errors import IncompleteError, InputError
from memprof.planning.arenas import Arena
from memprof.planning.offsets.problem import AllocationBuffer, AllocationProblem
from memprof.planning.plan import PlanOptions, plan_allocation
from memprof.planning.record import Plan
from tests.random_graphs import random_graph
from tests.render.graphs import HOSTILE_NAMES, chain, figure_1b, wide
from tests.schemas import check_document


def through_text(found: Plan) -> Any:
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    check_document(document)
    return document


@settings(max_examples=30, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(["reference", "ideal", "onnxruntime"]), st.booleans())
def test_a_plan_of_any_graph_comes_back(rng: Random, runtime: str, has_budget: bool) -> None:
    options = PlanOptions(runtime=runtime, seconds=0.05, budget_bytes=64 if has_budget else None, with_inputs=False)
    try:
        found = plan(random_graph(rng), options=options)
    except IncompleteError:
        return
    assert Plan.from_json(through_text(found)) == found
    for again in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found)):
        assert again == found
    assert "\n" not in repr(found)


def test_several_memories_come_back_with_their_exact_costs() -> None:
    buffers = tuple(
        AllocationBuffer(name=f"b{i}", start=i, stop=i + 2, size_bytes=8, traffic_bytes=3) for i in range(4)
    )
    options = PlanOptions(
        seconds=0.1, arenas=(Arena("fast", 8, Fraction(1, 3)), Arena("slow", 64, Fraction(7))), alignment=1
    )
    found = plan_allocation(AllocationProblem(buffers=buffers), options)
    again = Plan.from_json(through_text(found))
    assert again == found
    assert again.arenas is not None
    assert again.arenas.arenas[0].cost_per_byte == Fraction(1, 3)


def change(document: Any, path: str, value: object) -> Any:
    *parents, last = (int(part) if part.isdigit() else part for part in path.split("/"))
    record = document
    for parent in parents:
        record = record[parent]
    record[last] = value
    return document


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("arena/buffers/0/offset", 2**40, "offsets give"),
        ("arena/buffers/0/offset", -1, "offset"),
        ("arena/buffers/1/offset", 0, "is no plan"),
        ("arena/buffers/0/start", 9, "range of steps"),
        ("arena/buffers/1/name", "t0", "Two buffers"),
        ("arena/alignment", 0, "alignment"),
        ("arena/lower_bound_bytes", 10**9, "is not between"),
        ("arena/lower_bound_bytes", 0, "is not between"),
        ("rules", "magic", "rules"),
        ("order/node_ids", [0, 0], "node_ids"),
        ("order/node_ids", [0, 9], "node_ids"),
        ("holds_inputs", "yes", "holds_inputs"),
        ("schema", "memprof/plan/1", "can be read"),
    ],
)
def test_a_plan_that_cannot_be_is_an_input_error(path: str, value: object, said: str) -> None:
    document = through_text(plan(chain([5, 6, 7]), options=PlanOptions(alignment=1)))
    offsets = {buffer["name"]: buffer["offset"] for buffer in document["arena"]["buffers"]}
    if path == "arena/buffers/1/offset":
        value = offsets["t0"]  # where a buffer alive at the same step lies
    with pytest.raises(InputError, match=said):
        Plan.from_json(change(document, path, value), "plan.json")


def test_a_notebook_shows_plans_and_comparisons_and_no_name_is_markup() -> None:
    shown = plan(figure_1b())._repr_html_()
    assert "<b>Peak 4 B to 4 B</b>" in shown
    assert "proven: no order needs less" in shown
    hostile = compare(wide(HOSTILE_NAMES), chain([1, 2]))._repr_html_()
    assert "New at the peak" in hostile
    assert "<script" not in hostile
    assert "&lt;script&gt;" in hostile or "&lt;img" in hostile
