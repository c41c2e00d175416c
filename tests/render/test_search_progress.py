"""A search on a terminal: a bar that counts what the open round trains, a summary that keeps to 80 columns."""

from __future__ import annotations

import shlex
from dataclasses import replace
from io import StringIO

import pytest

pytest.importorskip("torch")

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from memprof.nas.jobs import Outcome
from memprof.nas.record.forecast import Progress, Scope
from memprof.nas.record.summary import SearchSummary
from memprof.render.search import render_search
from memprof.render.search_progress import SearchProgress, describe_time_left
from tests.plots.test_search_plots import made_up_search

HALF = Progress(
    index=2,
    generated=462,
    chosen=8,
    epochs_done=12,
    epochs_left=20,
    leading=0.912,
    is_final=False,
    seconds_left=125.0,
    scope="round",
)
CRASH = Outcome(
    candidate=7, rung=0, status="crashed", accuracy=0.0, epochs=0, loss=None, seconds=1.0, message="[bold]why\x1b[2J"
)


def shown(*steps: tuple[Progress, Outcome | None], is_terminal: bool = True, width: int = 80) -> list[str]:
    """Return the lines that are left on a terminal or in a file at the end."""
    stream = StringIO()
    console = Console(file=stream, force_terminal=is_terminal, width=width, height=20)
    with SearchProgress(console) as progress:
        for found, outcome in steps:
            progress.watch(found, outcome)
    lines = Text.from_ansi(stream.getvalue().replace("\r", "\n")).plain.splitlines()
    return [line.rstrip() for line in lines if line.strip()]


def test_a_resumed_search_opens_with_the_epochs_and_the_accuracy_it_has() -> None:
    lines = shown((HALF, None))
    assert "preparing" in lines[0]  # the bar before the first decision
    assert lines[1] == "round 3: 8 of 462 candidates, about 2 min left in this round"
    assert lines[-1][2:].startswith("round 3 ")  # a spinner before it
    assert lines[-1].endswith("12/32 epochs about 2 min left in this round leads 91.2%")


def test_the_bar_is_full_when_no_epoch_is_left_even_if_candidates_failed() -> None:
    lines = shown((HALF, None), (replace(HALF, epochs_done=19, epochs_left=0, seconds_left=0.0), CRASH))
    assert "19/19 epochs" in lines[-1]
    assert "╸" not in lines[-1]
    assert "╺" not in lines[-1]


def test_each_round_leaves_its_line() -> None:
    lines = shown((HALF, None), (replace(HALF, index=3), None))
    assert [line.split(",")[0] for line in lines if "candidates" in line] == [
        "round 3: 8 of 462 candidates",
        "round 4: 8 of 462 candidates",
    ]


def test_a_failure_is_told_in_a_line_that_can_do_no_harm() -> None:
    assert r"candidate 7: crashed ([bold]why\x1b[2J)" in shown((HALF, CRASH))


def test_a_file_gets_lines_and_no_bar() -> None:
    assert shown((HALF, None), (HALF, CRASH), is_terminal=False) == [
        "round 3: 8 of 462 candidates, about 2 min left in this round",
        r"candidate 7: crashed ([bold]why\x1b[2J)",
    ]


@pytest.mark.parametrize("scope", ["round", "search", "at most"])
def test_a_long_search_keeps_to_eighty_columns_and_cuts_nothing(scope: Scope) -> None:
    large = replace(HALF, index=11, epochs_done=12_345, epochs_left=12_345, seconds_left=500_000.0, scope=scope)
    bar = shown((large, None))[-1]
    assert cell_len(bar) <= 80
    assert "…" not in bar
    assert bar.endswith(f"12345/24690 epochs {describe_time_left(large)} leads 91.2%")


@pytest.mark.parametrize(
    ("scope", "seconds", "words"),
    [
        ("round", 125.0, "about 2 min left in this round"),
        ("search", 7200.0, "about 2.0 h left"),
        ("at most", 40.0, "at most about 40 s left"),
        ("search", -3.0, "a few seconds left"),
        ("search", None, ""),
    ],
)
def test_the_time_left_says_what_it_is_of(scope: Scope, seconds: float | None, words: str) -> None:
    assert describe_time_left(replace(HALF, scope=scope, seconds_left=seconds)) == words


def summary_of(found: SearchSummary, folder: str = "run") -> list[str]:
    stream = StringIO()
    render_search(found, folder, stream)
    return stream.getvalue().splitlines()


def test_a_summary_says_what_was_found_and_what_it_took() -> None:
    assert summary_of(made_up_search(2))[:7] == [
        "Search finished: 2 rounds on digits (2 rounds are done)",
        "2,112 candidates considered, 14 over budget, 6 trained, 0 failed",
        "4 left out that could not win without an error, 2 trims that save nothing",
        "1 min 40 s in all, 1 min 24 s of training over all workers, 28 epochs",
        "Best: candidate 0, 90.00% +- 0.00% (3 trainings of 18 epochs),",
        "      20.0 kB of parameters, peak 10.0 kB",
        "Metric against the first round's winner, trained alike: +0.1000",
    ]


def test_a_summary_of_long_numbers_and_names_keeps_to_eighty_columns() -> None:
    found = made_up_search(13)
    large = {"generated": 9999, "rejected": 9999, "chosen": 100, "trained": 100, "failed": 100, "score": -10.12345}
    found = replace(
        found,
        settings=replace(found.settings, dataset="/data/of/somebody/" * 9),
        reason="no candidate of the last round could be trained",
        seconds=9_999_999.0,
        rounds=tuple(replace(r, **large) for r in found.rounds),
        candidates=tuple(replace(c, seconds=999_999.0) for c in found.candidates),
    )
    lines = summary_of(found)
    assert max(map(cell_len, lines)) <= 80
    assert lines[0].startswith("Search finished: 13 rounds on /data/of/")
    assert lines[1:3] == [
        "(no candidate of the last round could be trained)",
        "129,987 candidates considered, 129,987 over budget, 1,300 trained, 1,300 failed",
    ]
    assert "13          9,999        9,999  100/100     100      36    90.00%  -10.1235" in lines


@pytest.mark.parametrize("folder", ["run", "my run", "it's", "a/" * 200 + "end"])
def test_the_next_command_can_be_pasted_into_a_shell(folder: str) -> None:
    command = summary_of(made_up_search(), folder)[-1].removeprefix("Next: ")
    assert shlex.split(command) == ["memprof", "nas", "export", folder]
