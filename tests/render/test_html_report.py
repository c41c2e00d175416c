"""HTML for a notebook: runs nothing, and a name is never markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from memprof import Graph, analyze
from memprof.render.html import render_html
from tests.render.graphs import HOSTILE_NAMES, chain, figure_1b, wide

_VOID = {"meta"}


class Strict(HTMLParser):
    """Collects tags, attributes and text, and insists that every tag is closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def page(graph: Graph) -> str:
    return render_html(analyze(graph), top=200)


@pytest.mark.parametrize("graph", [figure_1b(), wide(HOSTILE_NAMES), chain([1, None] * 300), chain([1] * 5000)])
def test_the_markup_is_well_formed_and_holds_no_script_and_no_link(graph: Graph) -> None:
    html = page(graph)
    found = Strict(html)
    assert not found.tags & {"script", "link", "img", "iframe", "a", "object", "form", "base"}
    assert not {name for name in found.attributes if name.startswith("on")}
    assert not re.search(r"url\(|@import|src=|href=", re.sub(r"<code>.*?</code>|<td.*?</td>", "", html))


def test_names_are_shown_as_they_are() -> None:
    found = Strict(page(wide(HOSTILE_NAMES)))
    for name in ("[/]", "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', r"\u202eevil\u202c"):
        assert name in found.text
    assert len("".join(found.text)) < 200_000


def test_the_headline_is_the_peak_and_the_curve_marks_it() -> None:
    html = page(figure_1b())
    assert "<h1><b>Peak 4 B</b> of intermediates at step 2 of 10, <code>dw_r5 (dw)</code></h1>" in html
    assert 'aria-label="4 B at step 2"' in html
    assert "<title>step 2: 4 B</title>" in html


def test_unknowns_are_listed() -> None:
    assert "<td><code>--dim n=N</code></td>" in page(chain([1, None]))


def test_a_notebook_gets_a_fragment_with_its_own_style() -> None:
    html = analyze(figure_1b())._repr_html_()
    assert html == render_html(analyze(figure_1b()))
    assert html.startswith('<div class="memprof"><style>')
    assert "prefers-color-scheme: dark" in html
    assert "<html" not in html
    # a rule that is not below .memprof would restyle the notebook around it
    rules = re.findall(r"(?:^|\})\s*([^{}@]+)\{", re.search(r"<style>(.*)</style>", html, re.S)[1])  # type: ignore[index]
    assert all(".memprof" in selector for rule in rules for selector in rule.split(","))
