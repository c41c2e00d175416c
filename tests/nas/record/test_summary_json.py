"""A search's summary goes to JSON and comes back as it was; one that is damaged or at odds with itself is refused."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("torch")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memprof.base.errors import InputError
from memprof.base.text import safe_text
from memprof.nas.rank.metric import Metric
from memprof.nas.record.summary import CandidateSummary, RoundSummary, SearchSummary
from memprof.nas.record.tournament import Standing
from memprof.nas.searching.presets import DataFacts, paper, quick
from memprof.nas.space.budget import Budget
from tests.nas.networks import random_network
from tests.schemas import check_document

FACTS = DataFacts(name="digits", input_shape=(1, 8, 8), classes=10, images=500, limit=None)
FEW = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])

texts = st.text(max_size=8).map(safe_text)
counts = st.integers(0, 2**60)
numbers = st.floats(allow_nan=False, allow_infinity=False)
maybe_number = st.none() | numbers
networks = st.sampled_from([random_network(seed) for seed in range(8)])
metrics = st.builds(Metric, accuracy_weight=st.floats(0, 1), peak_weight=st.floats(0, 1e300))
budgets = st.builds(Budget, peak_bytes=st.none() | counts, total_bytes=st.none() | counts)
searched = st.builds(
    lambda preset, metric, budget, seed: preset(FACTS, metric, budget, seed=seed),
    st.sampled_from([quick, paper]),
    metrics,
    budgets,
    counts,
)


def candidates_of(number: int, rounds: int) -> st.SearchStrategy[CandidateSummary]:
    return st.builds(
        CandidateSummary,
        candidate=st.just(number),
        round=st.integers(0, rounds - 1),
        architecture=networks,
        status=texts,
        message=texts,
        validation_accuracy=maybe_number,
        epochs=counts,
        parameter_bytes=counts,
        peak_intermediate_bytes=counts,
        epochs_in_all=counts,
        is_base=st.booleans(),
        worth=maybe_number,
        round_score=maybe_number,
        predicted=maybe_number,
        seconds=numbers,
    )


def rounds_of(index: int, members: st.SearchStrategy[int | None]) -> st.SearchStrategy[RoundSummary]:
    names = ("generated", "rejected", "idle", "pruned", "chosen", "trained", "failed")
    return st.builds(
        RoundSummary,
        index=st.just(index),
        base=members,
        winner=members,
        score=maybe_number,
        **{name: st.integers(0, 2**50) for name in names},  # type: ignore[arg-type] # their names are known
    )


def standings_of(number: int) -> st.SearchStrategy[Standing]:
    return st.builds(
        Standing,
        candidate=st.just(number),
        accuracies=st.lists(st.floats(0, 1), min_size=1, max_size=3).map(tuple),
        epochs=counts,
        score=numbers,
        parameter_bytes=counts,
        peak_intermediate_bytes=counts,
    )


@st.composite
def searches(draw: st.DrawFn) -> SearchSummary:
    """Draw a search with whatever a search may have: no round yet, no network, no tournament."""
    count = draw(st.integers(0, 3))
    known = draw(st.sets(st.integers(0, 2**60), max_size=3)) if count else set()
    found = tuple(draw(candidates_of(number, count)) for number in sorted(known))
    members = st.sampled_from([None, *known])
    entrants = tuple(draw(standings_of(number)) for number in sorted(known) if draw(st.booleans()))
    return SearchSummary(
        settings=draw(searched),
        status=draw(st.sampled_from(["running", "stopped", "interrupted", "finished"])),
        reason=draw(texts),
        seconds=draw(numbers),
        rounds=tuple(draw(rounds_of(index, members)) for index in range(count)),
        candidates=found,
        standings=entrants,
        best=draw(st.sampled_from([None, *entrants])),
        leader=draw(st.sampled_from([None, *found])),
        front=tuple(one for one in found if draw(st.booleans())),
    )


PARTS: dict[Any, st.SearchStrategy[Any]] = {
    SearchSummary: searches(),
    CandidateSummary: candidates_of(3, 5),
    RoundSummary: rounds_of(2, st.none() | counts),
}


@pytest.mark.parametrize("kind", PARTS)
def test_json_and_back(kind: Any) -> None:
    @FEW
    @given(PARTS[kind])
    def comes_back(found: Any) -> None:
        document = json.loads(json.dumps(found.to_json(), allow_nan=False))
        if "schema" in document:
            check_document(document)
        assert kind.from_json(document) == found
        assert kind.from_json(document).to_json() == found.to_json()
        assert pickle.loads(pickle.dumps(found)) == copy.deepcopy(found) == found

    comes_back()


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(leaf for key, item in items for leaf in leaves(item, (*path, key)))]


@pytest.mark.parametrize("kind", PARTS)
def test_a_damaged_field_is_an_input_error_or_leaves_a_summary_that_is_written_again(kind: Any) -> None:
    @FEW
    @given(PARTS[kind], st.data())
    def is_judged(found: Any, data: st.DataObject) -> None:
        document = json.loads(json.dumps(found.to_json()))
        *parents, last = data.draw(st.sampled_from([path for path in leaves(document) if path]))
        record = document
        for parent in parents:
            record = record[parent]
        damage = [None, True, -1, 1e300, float("nan"), 2**70, "", "\x1b[2J", [], {}, [[]], {"": None}]
        if data.draw(st.booleans()):
            record[last] = data.draw(st.sampled_from(damage))
        else:
            del record[last]
        try:
            again = kind.from_json(document, "saved.json")
        except InputError as error:
            assert "saved.json" in error.message
        else:
            text = json.dumps(again.to_json(), allow_nan=False)
            assert kind.from_json(json.loads(text)) == again
            assert "\\u001b" not in text

    is_judged()


def whole() -> SearchSummary:
    """Return a search of one round, whose only network won the tournament."""
    made = CandidateSummary(
        candidate=4,
        round=0,
        architecture=random_network(1),
        status="ok",
        message="",
        validation_accuracy=0.5,
        epochs=2,
        parameter_bytes=10,
        peak_intermediate_bytes=20,
        epochs_in_all=2,
        is_base=False,
        worth=0.5,
        round_score=None,
        predicted=None,
        seconds=1.0,
    )
    standing = Standing(
        candidate=4, accuracies=(0.5,), epochs=2, score=0.0, parameter_bytes=10, peak_intermediate_bytes=20
    )
    opened = RoundSummary(
        index=0,
        base=None,
        generated=3,
        rejected=1,
        idle=0,
        pruned=0,
        chosen=1,
        trained=1,
        failed=0,
        winner=4,
        score=None,
    )
    return SearchSummary(
        settings=quick(FACTS, Metric(accuracy_weight=0.9), Budget(), seed=0),
        status="finished",
        reason="done",
        seconds=1.0,
        rounds=(opened,),
        candidates=(made,),
        standings=(standing,),
        best=standing,
        leader=made,
        front=(made,),
    )


SPOILT: dict[str, Callable[[dict[str, Any]], object]] = {
    "'networks' has two": lambda found: found["networks"].append(found["networks"][0]),
    "'networks' has a network of a round": lambda found: found["networks"][0].update(round=1),
    "'history' numbers": lambda found: found["history"][0].update(index=1),
    "'history' names": lambda found: found["history"][0].update(winner=5),
    "'standings' names": lambda found: found["standings"].append({**found["standings"][0], "candidate": 5}),
    "'best' is": lambda found: found["best"].update(epochs=3),
    "'leader' is": lambda found: found["leader"].update(epochs=3),
    "'front' holds": lambda found: found["front"][0].update(epochs=3),
    "'rounds' is": lambda found: found.update(rounds=2),
    "'candidates' is": lambda found: found["candidates"].update(generated=4),
}


@pytest.mark.parametrize("said", SPOILT)
def test_what_is_said_twice_must_agree(said: str) -> None:
    document = json.loads(json.dumps(whole().to_json()))
    assert SearchSummary.from_json(document) == whole()
    SPOILT[said](document)
    with pytest.raises(InputError, match=f"saved.json is a damaged report: {said}"):
        SearchSummary.from_json(document, "saved.json")


def test_another_document_is_refused_with_what_to_do() -> None:
    with pytest.raises(InputError, match="it is no document of memprof/nas-status") as caught:
        SearchSummary.from_json({"schema": "memprof/bench/2"}, "saved.json")
    assert "nas status" in caught.value.hint


def test_a_search_that_ended_does_not_promise_a_tournament() -> None:
    empty = SearchSummary(
        settings=quick(FACTS, Metric(accuracy_weight=0.9), Budget(), seed=0),
        status="running",
        reason="",
        seconds=1.0,
        rounds=(),
        candidates=(),
        standings=(),
        best=None,
        leader=None,
        front=(),
    )
    assert empty.undecided == "which network is the best, a tournament will tell"
    assert replace(empty, status="finished", reason="the time is up").undecided.startswith("the search ended before")
