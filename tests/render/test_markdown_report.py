"""Markdown, judged by a Markdown parser: names stay text, tables stay tables."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser

from markdown_it import MarkdownIt

from memprof import Graph, analyze
from memprof.render.markdown import code, prose, render_markdown
from tests.render.graphs import HOSTILE_NAMES, chain, figure_1b, wide


def markdown(graph: Graph, top: int = 100) -> str:
    stream = io.StringIO()
    render_markdown(analyze(graph), stream, top)
    return stream.getvalue()


class Page(HTMLParser):
    """The tags of a page with their text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.codes: list[str] = []
        self.cells_per_row: list[int] = []
        self._in_code = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "code":
            self._in_code = True
            self.codes.append("")
        if tag == "tr":
            self.cells_per_row.append(0)
        if tag == "td":
            self.cells_per_row[-1] += 1

    def handle_endtag(self, tag: str) -> None:
        self._in_code = self._in_code and tag != "code"

    def handle_data(self, data: str) -> None:
        if self._in_code:
            self.codes[-1] += data


def parsed(text: str) -> Page:
    return Page(MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(text))


def test_the_comment_starts_with_the_peak_and_has_a_row_per_runtime_model() -> None:
    shown = markdown(figure_1b())
    assert shown.startswith("**Peak 4 B** of intermediates at step 2 of 10, `dw_r5 (dw)`\n")
    assert re.search(r"^\| reference \| 4 B \| 4 B \| upper bound \| one operation at a time", shown, re.M)
    assert "| `r5` | 1 B | 25% | `dw_r5` | `concat_r7` | 4 |" in shown


def test_unknowns_are_listed_with_their_flag() -> None:
    shown = markdown(chain([1, None]))
    assert shown.startswith("**Peak at least 1 B** of intermediates; 1 thing is unknown\n")
    assert "- dimension `n`: The file gives no number for it. `--dim n=N`" in shown


def test_names_are_text_and_nothing_else() -> None:
    page = parsed(markdown(wide(HOSTILE_NAMES)))
    assert set(page.tags) <= {
        *("p", "strong", "code", "table", "thead", "tbody", "tr", "th", "td", "details", "summary", "pre", "ul", "li")
    }
    for name in ("[/]", "=cmd()", "<script>alert(1)</script>", "a|b`c*d_e~f", r"\u202eevil\u202c", "@SUM(1)"):
        assert name in page.codes
    assert {count for count in page.cells_per_row if count} == {3, 5, 6}


def test_the_source_itself_holds_no_tag_from_a_name() -> None:
    shown = markdown(wide(HOSTILE_NAMES))
    assert not re.search(r"<(?!/?(?:code|details|summary)>)", shown)
    assert len(shown) < 200_000


def test_code_and_prose_say_what_they_are_given() -> None:
    for text in ("conv1", "a`b", "``", "x|y", "*x*", "<b>", "&amp;", "漢字", "_a_", "[x](y)", "~~x~~", "\\|"):
        assert parsed(f"| a |\n| --- |\n| {code(text)} |").codes == [text]
    assert prose("waits 2 more steps") == "waits 2 more steps"
    for text in ("see http://evil.example", "ask @everyone", "www.evil.example", "a *b*"):
        assert parsed(prose(text)).codes == [text]
