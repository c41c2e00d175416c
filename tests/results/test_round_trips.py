"""Every result goes to JSON and comes back as it was, as text of JSON in between; it pickles and copies."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memprof.base.errors import InputError
from memprof.gate.baseline import BASELINE_SCHEMA
from memprof.ir import Assumption
from memprof.results.bench import Bench, BenchedModel, BenchSettings, Latency, OperatorTime
from memprof.results.budgets import Check, Verdict
from memprof.results.comparison import Comparison, compare_snapshots
from memprof.results.helped import Change, Helped, Untried
from memprof.results.snapshot import ModuleBytes, PeakSnapshot, Snapshot
from memprof.results.verification import NamedPair, StepPair, Verification
from tests.schemas import check_document

texts = st.text(max_size=8)
counts = st.integers(0, 2**60)
maybe = st.none() | counts
times = st.floats(0, 1e6)

verdicts = st.builds(
    Verdict,
    name=st.sampled_from(["peak", "params", "total"]),
    size_bytes=maybe,
    at_least_bytes=counts,
    limit_bytes=counts,
)
notes = st.lists(st.builds(Assumption, kind=texts, name=texts, reason=texts, hint=texts), max_size=3).map(tuple)
signed = st.integers(-(2**60), 2**60)
changes = st.builds(
    Change,
    what=texts,
    runtime=texts,
    saved_bytes=signed,
    peak_bytes=counts,
    saved_weight_bytes=signed,
    command=texts,
)
names = st.lists(texts, max_size=2).map(tuple)
untried = st.lists(st.builds(Untried, texts, texts), max_size=2).map(tuple)
helps = st.builds(Helped, st.lists(changes, max_size=2).map(tuple), names, untried)
checks = st.builds(
    Check,
    path=texts,
    runtime=texts,
    verdicts=st.lists(verdicts).map(tuple),
    assumed=notes,
    helped=st.none() | helps,
)
peaks = st.builds(
    PeakSnapshot,
    peak_intermediate_bytes=maybe,
    known_bytes_at_least=counts,
    total_bytes=maybe,
    live=st.dictionaries(texts, maybe, max_size=4),
    node=texts,
)
snapshots = st.builds(
    Snapshot,
    path=texts,
    parameter_bytes=counts,
    foldable_constant_bytes=counts,
    macs=maybe,
    runtimes=st.dictionaries(texts, peaks, max_size=3).flatmap(
        lambda others: peaks.map(lambda first: {"reference": first, **others})
    ),
    modules=st.dictionaries(texts, st.builds(ModuleBytes, counts, counts), max_size=3),
    assumed=notes,
)
comparisons = st.builds(compare_snapshots, snapshots, snapshots)
steps = st.lists(st.tuples(texts, texts, maybe, maybe), max_size=5).map(
    lambda rows: tuple(
        StepPair(step=i, node=node, op=op, predicted_bytes=predicted, measured_bytes=measured)
        for i, (node, op, predicted, measured) in enumerate(rows)
    )
)
verifications = st.builds(
    Verification,
    path=texts,
    runtime=texts,
    version=texts,
    optimization=texts,
    predicted_bytes=maybe,
    measured_bytes=counts,
    counts=texts,
    method=texts,
    steps=steps,
    others=st.dictionaries(texts, st.tuples(maybe, maybe, texts), max_size=3).map(
        lambda found: tuple(NamedPair(name, *rest) for name, rest in found.items())
    ),
)
benches = st.builds(
    Bench,
    settings=st.builds(BenchSettings, threads=counts, runs=counts),
    models=st.lists(
        st.builds(
            BenchedModel,
            path=texts,
            latency=st.builds(
                Latency,
                version=texts,
                threads=counts,
                runs_ms=st.lists(times, min_size=1, max_size=4).map(tuple),
                operators=st.lists(st.builds(OperatorTime, node=texts, op=texts, median_ms=times), max_size=2).map(
                    tuple
                ),
            ),
            measured_peak_bytes=counts,
        ),
        max_size=2,
    ).map(tuple),
)
RESULTS: dict[Any, st.SearchStrategy[Any]] = {
    Check: checks,
    Comparison: comparisons,
    Verification: verifications,
    Bench: benches,
    Snapshot: snapshots,
}


def check_shape(document: Any) -> None:
    """Raise unless the document, or the one that it is a part of, keeps to its schema."""
    is_part = "schema" not in document
    check_document({"schema": BASELINE_SCHEMA, "models": {"model": document}} if is_part else document)


@pytest.mark.parametrize("kind", RESULTS)
def test_json_and_back(kind: Any) -> None:
    @given(RESULTS[kind])
    def comes_back(found: Any) -> None:
        document = json.loads(json.dumps(found.to_json(), allow_nan=False))
        check_shape(document)
        assert kind.from_json(document) == found

    comes_back()


@pytest.mark.parametrize("kind", RESULTS)
def test_pickle_copy_and_one_line(kind: Any) -> None:
    @given(RESULTS[kind])
    def survives(found: Any) -> None:
        assert pickle.loads(pickle.dumps(found)) == found
        assert copy.deepcopy(found) == found
        assert "\n" not in repr(found)

    survives()


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(leaf for key, item in items for leaf in leaves(item, (*path, key)))]


@pytest.mark.parametrize("kind", RESULTS)
def test_a_field_that_is_damaged_is_an_input_error_or_changes_nothing_else(kind: Any) -> None:
    @given(RESULTS[kind], st.data())
    def is_judged(found: Any, data: st.DataObject) -> None:
        document = json.loads(json.dumps(found.to_json()))
        *parents, last = data.draw(st.sampled_from([path for path in leaves(document) if path]))
        record = document
        for parent in parents:
            record = record[parent]
        record[last] = data.draw(st.sampled_from([None, True, -1, 1e300, "", [], {}, [[]], {"": None}]))
        again = damaged(lambda: kind.from_json(document, "saved.json"))
        assert again is None or isinstance(again, kind)

    is_judged()


def damaged(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except InputError as error:
        assert "saved.json" in error.message
        return None
