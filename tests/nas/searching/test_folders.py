"""The folder of a search: who may write to it, what of it is read back, and what its status says."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")


from memprof.base.errors import InputError, UsageError
from memprof.nas.record.journal import Event, Journal, read_journal
from memprof.nas.record.settings import Limits
from memprof.nas.record.state import SearchState
from memprof.nas.record.summarizing import summarize
from memprof.nas.record.summary import SearchSummary
from memprof.nas.searching.run import resume, search
from tests.nas.searching.searches import SETTINGS, drive


def test_another_search_is_refused_on_resume_with_both_values(tmp_path: Path) -> None:
    drive(tmp_path, stop_after=1)
    with pytest.raises(UsageError, match="seed is 3 here, 5 was asked for"):
        resume(tmp_path, Limits(), replace(SETTINGS, seed=5))


def test_a_folder_that_holds_a_search_is_not_started_again(tmp_path: Path) -> None:
    drive(tmp_path, stop_after=1)
    with pytest.raises(UsageError, match="already holds this search"):
        search(tmp_path, SETTINGS, Limits())


def test_two_processes_do_not_write_to_one_search(tmp_path: Path) -> None:
    with Journal(tmp_path), pytest.raises(UsageError, match="Another process"):
        Journal(tmp_path)


def test_a_folder_without_a_search_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no search"):
        read_journal(tmp_path)


def test_a_file_that_is_no_journal_says_so(tmp_path: Path) -> None:
    (tmp_path / "search.db").write_bytes(b"not a database, and long enough to be looked at" * 100)
    with pytest.raises(InputError, match="not a search journal"):
        read_journal(tmp_path)


def test_a_transaction_that_was_torn_off_leaves_whole_events_only(tmp_path: Path) -> None:
    drive(tmp_path, stop_after=3)
    before = read_journal(tmp_path)[0]
    database = sqlite3.connect(tmp_path / "search.db")
    database.execute("BEGIN")
    database.execute("INSERT INTO events (kind, at, spent, data) VALUES ('outcome', 0, 0, '{')")
    database.close()  # never committed
    assert read_journal(tmp_path)[0] == before


def test_status_tells_running_from_interrupted_by_the_heartbeat(tmp_path: Path) -> None:
    drive(tmp_path, stop_after=2)
    events, beat = read_journal(tmp_path)
    soon, late = summarize(events, beat, beat + 1), summarize(events, beat, beat + 1000)
    stopped = summarize((*events, Event("stopped", beat, {})), beat, beat + 1000)
    assert [found.status for found in (soon, late, stopped) if found] == ["running", "interrupted", "stopped"]


def test_a_clock_that_is_set_neither_ends_a_search_nor_keeps_one_alive(tmp_path: Path) -> None:
    drive(tmp_path, stop_after=2)
    events, _ = read_journal(tmp_path)
    at, day = events[-1].at, 86_400.0
    beats_and_nows = [(at - day, at - day + 1), (at + day, at + day + 1), (at, at - day), (at, at + day)]
    found = [summarize(events, beat, now) for beat, now in beats_and_nows]
    assert [each and each.status for each in found] == ["running", "running", "interrupted", "interrupted"]


def test_the_status_document_has_its_fields(whole: SearchState, tmp_path: Path) -> None:
    state = drive(tmp_path)
    events, beat = read_journal(tmp_path)
    found = summarize(events, beat, beat)
    assert found is not None
    data = found.to_json()
    assert data["schema"] == "memprof/nas-status/3"
    assert data["state"] == "finished"
    assert data["rounds"] == len(state.rounds)
    assert {"generated", "rejected", "trained", "failed"} <= set(data["candidates"])
    fields = {"architecture", "validation_accuracy", "parameter_bytes", "peak_intermediate_bytes", "score"}
    assert fields <= set(data["best"])
    assert all(fields - {"score"} <= set(one) for one in data["front"])
    assert data["candidates"]["failed"] > 0


def test_the_status_of_a_search_at_any_moment_comes_back_from_json(tmp_path: Path) -> None:
    drive(tmp_path)
    events, beat = read_journal(tmp_path)
    for end in range(1, len(events) + 1):
        found = summarize(events[:end], beat, beat)
        assert found is not None
        assert SearchSummary.from_json(json.loads(json.dumps(found.to_json()))) == found
