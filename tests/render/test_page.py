"""The interactive page: one file that loads nothing, and does what it says in a real browser."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from memprof import Graph, GraphBuilder, Report, TensorType, analyze
from memprof.ir import Assumption, NewValue
from memprof.render.page import PageNote, redact_page, report_page, write_page
from memprof.results.helped import Change, Helped
from tests.exporters.test_tflite_plan import fragmented
from tests.render.browser import Shown, open_page, start_browser
from tests.render.graphs import HOSTILE_NAMES, chain, figure_1b, wide

MOST_SCRIPT = 100_000
NO_NOTE = PageNote()


def page_of(report: Report, note: PageNote = NO_NOTE) -> str:
    stream = io.StringIO()
    write_page(report_page(report), stream, note)
    return stream.getvalue()


def modules(count: int) -> Graph:
    """Return operations in modules, each of which reads the one before and the very first."""
    builder = GraphBuilder("modules")
    first = last = builder.add_input("x", TensorType("float32", (256,)))
    for i in range(count):
        type_ = TensorType("float32", (64 + i % 7, 4))
        module = f"block{i // 40}.layer{i % 3}"
        (made,) = builder.add_node("Conv", [first, last], [NewValue(f"t{i}", type_)], name=f"op{i}", module=module)
        assert made is not None
        last = made
    return builder.build([last])


def hostile(count: int) -> Graph:
    """Return as many tensors, a chain, with names of operations and modules that a page must not run."""
    builder = GraphBuilder("<script>alert('graph')</script>")
    last, kept = None, []
    for i in range(count):
        name = f"<img src=x onerror=alert({i})>"
        if last is None:
            last = builder.add_input(name, TensorType("float32", (64,)))
        else:
            type_ = TensorType("float32", (64 + i % 7, 4))
            wrote = NewValue(name, type_)
            (last,) = builder.add_node(
                f"</script>{i % 5}", [last], [wrote], name=f"{name}()", module=f"<marquee>{i // 40}.<iframe>{i % 3}"
            )
        kept = [last]
    return builder.build([value for value in kept if value is not None])


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with start_browser() as found:
        yield found


Show = Callable[..., Any]


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Show:
    def write(report: Report, **options: Any) -> Any:
        path = tmp_path / "page.html"
        path.write_text(page_of(report), encoding="utf-8")
        return open_page(browser, path, **options)

    return write


def rows(shown: Shown) -> list[str]:
    return shown.texts("#tensor-table tbody td.name")


def press(shown: Shown, *keys: str) -> None:
    for key in keys:
        shown.page.keyboard.press(key)
    shown.settle()


# Without a browser.


@pytest.mark.parametrize("graph", [figure_1b(), wide(HOSTILE_NAMES), chain([1, None])])
def test_the_policy_allows_the_one_script_and_the_one_style_that_are_there(graph: Graph) -> None:
    html = page_of(analyze(graph))
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.S)
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.S)
    for name, text in (("script", script), ("style", style)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy[1]
    assert policy[1].startswith("default-src 'none';")
    assert "unsafe" not in policy[1]
    assert len(script) < MOST_SCRIPT
    assert not re.search(r"innerHTML|insertAdjacent|document\.write|\beval\b|Function\(|https?://", script)


def test_names_are_in_the_data_and_nowhere_else() -> None:
    html = page_of(analyze(wide(HOSTILE_NAMES)))
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)
    assert data is not None
    assert "<" not in data[1]
    names = json.loads(data[1])["graphs"][0]["values"]["name"]
    assert "<script>alert(1)</script>" in names
    assert all(name.isprintable() and len(name) <= 200 for name in names)
    rest = html.replace(data[1], "")
    assert "alert" not in rest


def test_the_last_line_says_how_the_page_came_to_be() -> None:
    html = page_of(analyze(figure_1b()), PageNote(command="memprof analyze a<b>", versions=(("memprof", "1.2"),)))
    assert '["memprof","1.2"],["made by","memprof analyze a\\u003cb>"]' in html


# In the browser.


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1024, 2560])
def test_it_opens_at_any_width_in_both_themes(show: Show, width: int, scheme: str) -> None:
    with show(analyze(modules(100)), width=width, scheme=scheme) as shown:
        assert shown.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        background = shown.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(20, 24, 29)")


@pytest.mark.parametrize("graph", [GraphBuilder("empty").build([]), chain([5])])
def test_nothing_and_one_tensor_are_drawn(show: Show, graph: Graph) -> None:
    with show(analyze(graph)) as shown:
        assert "nothing is computed" in shown.text("#headline")
        assert len(rows(shown)) == len(graph.values)


def test_hostile_names_are_text(show: Show) -> None:
    with show(analyze(wide(HOSTILE_NAMES))) as shown:
        shown.page.select_option("#only", "all")
        assert "<script>alert(1)</script>" in rows(shown)
        assert '"><img src=x onerror=alert(1)>' in rows(shown)
        assert shown.page.locator("img, iframe, a, object").count() == 0
        shown.page.hover("#lifetimes")
        shown.page.click("#tensor-table tbody tr >> nth=0")


def test_the_words_are_those_of_the_report(show: Show) -> None:
    report = analyze(modules(30), runtimes=("reference", "paper"))
    with show(report) as shown:
        for place, found in enumerate(report.runtimes.values()):
            shown.page.select_option("#view", index=place)
            shown.page.select_option("#only", "peak")
            causes = dict(zip(rows(shown), shown.texts("#tensor-table td.why"), strict=True))
            assert causes == {tensor.name: tensor.cause for tensor in found.peak.live}


def test_a_hole_of_an_arena_is_called_a_gap(show: Show, tmp_path: Path) -> None:
    path = tmp_path / "hole.tflite"
    path.write_bytes(fragmented())
    with show(analyze(path)) as shown:
        assert "in gaps between them and scratch" in shown.text("#at")


def test_search_sort_and_filter(show: Show) -> None:
    with show(analyze(modules(500))) as shown:
        shown.page.fill("#search", "op49 conv")
        assert sorted(rows(shown)) == ["t49", *(f"t{i}" for i in range(490, 500))]
        assert shown.text("#tensors-note") == "showing 11 of 11 tensors, 501 in all"
        shown.page.click("#tensor-table th button:text('tensor')")
        assert rows(shown)[0] == "t49"
        shown.page.click("#tensor-table th button:text('tensor')")
        assert rows(shown)[0] == "t499"
        shown.page.fill("#search", "nothing like it")
        assert rows(shown) == []
        shown.page.fill("#search", "")
        assert shown.text("#tensors-note") == "showing 100 of 501 tensors"
        shown.page.click("#more")
        assert len(rows(shown)) == 501


def test_it_opens_zoomed_at_the_peak_and_keys_move_and_zoom(show: Show) -> None:
    report = analyze(modules(500))
    peak = report.headline.peak.step
    with show(report) as shown:
        assert "of 500" in shown.text("#curve-note")
        assert shown.text("#at").startswith(f"Step {peak} op{peak} (Conv): ")
        assert shown.text("#at").endswith("the peak")
        press(shown, "ArrowRight")
        assert shown.text("#at").startswith(f"Step {peak + 1} ")
        press(shown, "0")
        assert shown.text("#curve-note") == "500 steps"
        press(shown, "+")
        assert shown.text("#curve-note") != "500 steps"
        press(shown, "p")
        assert shown.text("#at").startswith(f"Step {peak} ")
        press(shown, "/")
        shown.page.keyboard.type("t77")
        assert rows(shown) == ["t77"]
        press(shown, "Escape", "r")
        assert shown.page.input_value("#view") == "1"


def test_a_click_on_the_curve_chooses_a_step_and_lists_what_lives_there(show: Show) -> None:
    report = analyze(figure_1b())
    with show(report) as shown:
        box = shown.page.locator("#curve").bounding_box()
        left, right = 62, 10  # the margins that the script draws with
        x = left + (box["width"] - left - right) * 5.5 / 10
        shown.page.mouse.move(box["x"] + x, box["y"] + 100)
        assert shown.text("#tip").startswith("step 5: 4 B")
        shown.page.mouse.click(box["x"] + x, box["y"] + 100)
        assert shown.text("#at") == "Step 5 max_r8 (max): 4 B in 4 tensors"
        shown.page.select_option("#only", "step")
        assert sorted(rows(shown)) == ["r4", "r5", "r6", "r8"]


def test_a_drag_over_the_curve_zooms_in(show: Show) -> None:
    with show(analyze(modules(100))) as shown:
        box = shown.page.locator("#curve").bounding_box()
        middle = box["y"] + 100
        shown.page.mouse.move(box["x"] + 300, middle)
        shown.page.mouse.down()
        shown.page.mouse.move(box["x"] + 400, middle, steps=3)
        shown.page.mouse.up()
        shown.settle()
        assert re.fullmatch(r"steps \d+ to \d+ of 100", shown.text("#curve-note"))


def test_modules_unfold(show: Show) -> None:
    with show(analyze(modules(100))) as shown:
        shut = shown.page.locator("#module-table tbody tr").count()
        shown.page.click("#module-table button.fold >> nth=0")
        assert shown.page.locator("#module-table tbody tr").count() == shut + 3
        assert shown.page.get_attribute("#module-table button.fold >> nth=0", "aria-expanded") == "true"


def test_colours_follow_what_is_chosen(show: Show) -> None:
    with show(analyze(modules(100))) as shown:
        legends = {}
        for by in ("kind", "module", "operator", "none"):
            shown.page.select_option("#stack", by)
            shown.settle()
            legends[by] = shown.texts("#legend span")
        shown.page.check("#weights")
        shown.settle()
        assert shown.texts("#legend span") == ["tensors"]  # there are no weights to add
    assert legends == {
        "kind": ["activations", "inputs", "outputs"],
        "module": ["block0", "no module", "block1", "block2"],
        "operator": ["Conv", "given by the caller"],
        "none": ["tensors"],
    }


def test_a_theme_can_be_chosen_and_paper_is_white(show: Show) -> None:
    with show(analyze(modules(20)), scheme="dark") as shown:
        shown.page.emulate_media(media="print", color_scheme="dark")  # a system's dark is not for paper
        assert shown.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        shown.page.emulate_media(media="screen", color_scheme="dark")
        shown.page.click("#theme")
        assert shown.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        shown.page.click("#theme")
        shown.page.emulate_media(media="print")
        assert shown.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert not shown.page.is_visible(".bar")


def check_search(shown: Shown, count: int) -> None:
    shown.page.select_option("#only", "all")
    noun = "tensor" if count == 1 else "tensors"
    assert shown.text("#tensors-note") == f"showing {min(count, 100):,} of {count:,} {noun}"
    shown.page.fill("#search", f"alert({count - 1})")
    assert rows(shown) == [f"<img src=x onerror=alert({count - 1})>"]
    shown.page.fill("#search", "no tensor is called that")
    assert rows(shown) == []
    shown.page.fill("#search", "")
    shown.page.click("#tensor-table th button:text('why')")
    assert len(rows(shown)) == min(count, 100)


def check_zoom_and_keys(shown: Shown, steps: int) -> None:
    press(shown, "0")
    whole = shown.text("#curve-note")
    assert whole == ("1 step" if steps == 1 else f"{steps:,} steps")
    press(shown, "+", "+")
    assert (shown.text("#curve-note") != whole) is (steps > 1)
    press(shown, "0", "p")
    at = shown.text("#at")
    assert at.endswith("the peak")
    press(shown, "ArrowRight")
    assert (shown.text("#at") != at) is (steps > 1)
    press(shown, "p")
    assert shown.text("#at") == at


@pytest.mark.parametrize("count", [0, 1, 5_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_any_number_of_tensors_is_searched_pointed_at_zoomed_and_walked_through(show: Show, count: int) -> None:
    report = analyze(hostile(count), runtimes=("reference",))
    with show(report) as shown:
        assert shown.page.is_visible("#search") is (count > 0)  # there is nothing to search in nothing
        if count:
            check_search(shown, count)
            shown.page.select_option("#stack", "module")
            shown.page.hover("#lifetimes", position={"x": 500, "y": 10})
            shown.page.hover("#tensor-table tbody tr >> nth=0")
        shown.page.hover("#curve", position={"x": 500, "y": 100})
        shown.settle()
        assert re.match(r"step [\d,]+: ", shown.text("#tip"))
        check_zoom_and_keys(shown, max(1, count - 1))
        press(shown, "/")
        assert shown.page.evaluate("document.activeElement.id") == ("search" if count else "")
        assert shown.page.locator("img, iframe, a, object, marquee").count() == 0


def test_a_page_says_what_was_assumed_and_a_redacted_one_no_name() -> None:
    note = Assumption(kind="dimension", name="secret=1", reason="the graph input secret leaves it open", hint="--dim")
    report = replace(analyze(wide(HOSTILE_NAMES)), assumed=(note,))
    page = report_page(report)
    assert page.sides[0]["assumed"] == [["dimension", "secret=1", note.reason, note.hint]]
    assert "secret" not in json.dumps(redact_page(page).to_json())


def test_what_would_help_is_shown_and_a_redacted_page_has_no_command(show: Show) -> None:
    change = Change(
        what="batch 1",
        runtime="reference",
        saved_bytes=500,
        peak_bytes=500,
        command="memprof analyze my.onnx --dim b=1",
    )
    report = replace(analyze(chain([1, 2])), helped=Helped((change,), ("another order",)))
    (side,) = report_page(report).sides
    assert side["help"] == [["batch 1", "500 B less", "500 B", "", "reference", change.command]]
    assert side["help_notes"] == ["Tried in vain: another order"]
    (side,) = redact_page(report_page(report)).sides
    assert side["help"] == [["batch 1", "500 B less", "500 B", "", "reference", ""]]
    with show(report) as shown:
        assert shown.texts("#help td") == ["batch 1", "500 B less", "500 B", "", "reference", change.command]
        assert shown.text("#help p") == "Tried in vain: another order"


def test_lines_of_code_are_shown_and_a_redacted_page_has_none(show: Show) -> None:
    builder = GraphBuilder("net")
    x = builder.add_input("x", TensorType.of_bytes(4))
    (y,) = builder.add_node("Op", [x], [NewValue("y", TensorType.of_bytes(8))], line="net.py:12")
    assert y is not None
    report = analyze(builder.build([y]))
    assert "net.py" not in json.dumps(redact_page(report_page(report)).to_json())
    with show(report) as shown:
        assert "net.py:12" in shown.texts("#tensor-table td")
    with show(analyze(chain([1, 2]))) as shown:
        assert "line of code" not in shown.texts("#tensor-table th")
