"""The interactive page of a search, in a browser: the front with ids, a staircase, networks and their lifetimes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")


import memprof
from memprof import nas
from memprof.nas.record.changes import describe_blocks
from memprof.nas.record.summary import SearchSummary
from memprof.nas.record.sweep import sweep_lambda
from memprof.render.page import PageNote
from memprof.render.page.searches import SearchPage, write_search_page
from tests.render.browser import open_page, start_browser
from tests.render.graphs import HOSTILE_NAMES
from tests.searches import made_up_search


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with start_browser() as found:
        yield found


def saved(summary: SearchSummary, folder: Path, name: str = "") -> Path:
    close = {found.candidate: found.architecture for found in summary.front}
    page = SearchPage(
        summary=summary,
        changes={0: name},
        cells={found.candidate: [*describe_blocks(found.architecture), name] for found in summary.candidates},
        lifetimes={number: memprof.analyze(nas.deployed(network)).headline for number, network in close.items()},
        sweep=sweep_lambda(summary, (0, 0.5, 1)) if summary.leader is not None else None,
    )
    stream = io.StringIO()
    write_search_page(page, stream, PageNote(command="memprof nas report run -o page.html"))
    path = folder / "page.html"
    path.write_text(stream.getvalue(), encoding="utf-8")
    return path


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1024, "dark"), (2560, "light")])
def test_the_front_names_its_networks_and_a_chosen_one_shows_its_lifetimes(
    browser: Any, tmp_path: Path, width: int, scheme: str
) -> None:
    summary = made_up_search()
    with open_page(browser, saved(summary, tmp_path), width=width, scheme=scheme) as shown:
        front = {str(found.candidate) for found in summary.front}
        assert set(shown.page.locator("#front text.id").all_text_contents()) <= front | {
            str(summary.found.candidate if summary.found else "")
        }
        assert shown.page.locator("#front path.stairs").count() == 1
        last = summary.front[-1].candidate
        shown.page.locator("#networks button", has_text=str(last)).first.click()
        shown.settle()
        assert shown.text("#network h2 >> nth=0") == f"Network {last}"
        assert shown.page.locator("#network svg rect").count() > 5
        shown.page.keyboard.press("ArrowLeft")
        shown.settle()
        assert shown.text("#network h2 >> nth=0") != f"Network {last}"
        assert len(shown.texts("#rounds tbody tr")) == len(summary.rounds)
        assert len(shown.texts("#lambda tbody tr")) == 3
        wide = shown.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0


def test_names_from_elsewhere_are_text_alone(browser: Any, tmp_path: Path) -> None:
    name = "".join(HOSTILE_NAMES)
    found = made_up_search()
    hostile = replace(found, settings=replace(found.settings, dataset="<img src=x onerror=alert(1)>"))
    with open_page(browser, saved(hostile, tmp_path, name)) as shown:
        assert shown.page.locator("img, iframe").count() == 0
        assert "<img src=x" in shown.text("#state")


def test_a_search_without_a_round_has_a_page(browser: Any, tmp_path: Path) -> None:
    empty = replace(
        made_up_search(), rounds=(), candidates=(), standings=(), best=None, leader=None, front=(), status="running"
    )
    with open_page(browser, saved(empty, tmp_path)) as shown:
        assert shown.text("#headline") == "No round is done yet"
