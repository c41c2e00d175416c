"""Pages of plans, comparisons and verifications: two sides, addresses, a measured curve; and pages without names."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from memprof import analyze, compare, plan
from memprof.ir.model import Model
from memprof.planning.offsets.problem import AllocationBuffer, AllocationProblem
from memprof.planning.plan import PlanOptions, plan_allocation
from memprof.render.page import Page, comparison_page, redact_page, report_page, verification_page, write_page
from memprof.render.page.plans import plan_page
from memprof.results.verification import StepPair, Verification
from tests.render.browser import open_page, start_browser
from tests.render.graphs import HOSTILE_NAMES, chain, figure_1b, wide


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with start_browser() as found:
        yield found


def html(page: Page) -> str:
    stream = io.StringIO()
    write_page(page, stream)
    return stream.getvalue()


def saved(page: Page, folder: Path) -> Path:
    path = folder / "page.html"
    path.write_text(html(page), encoding="utf-8")
    return path


def planned() -> Page:
    graph = figure_1b()
    return plan_page(plan(graph, options=PlanOptions(alignment=1)), "fig1b", Model.of(graph))


def verified(measured: int | None = 3) -> Page:
    steps = ((1, 1), (2, measured), (5, 5))
    return verification_page(
        Verification(
            path="net.onnx",
            runtime="onnxruntime",
            version="1.2",
            optimization="off",
            predicted_bytes=5,
            measured_bytes=5,
            counts="tensors",
            method="a tracer",
            steps=tuple(
                StepPair(step=i, node=f"op{i}", op="Conv", predicted_bytes=p, measured_bytes=m)
                for i, (p, m) in enumerate(steps)
            ),
        )
    )


def test_a_plan_shows_both_orders_and_every_address(browser: Any, tmp_path: Path) -> None:
    with open_page(browser, saved(planned(), tmp_path)) as shown:
        assert shown.text("#headline").startswith("Peak 4 B, ")
        assert shown.texts("#view option") == ["planned: reference, 4 B", "given order: reference, 4 B"]
        assert shown.page.is_visible("#map")
        shown.page.click("#tensor-table tbody tr >> nth=0")
        assert "address" in shown.text("#tensor dl")
        shown.page.select_option("#view", index=1)
        shown.settle()
        assert not shown.page.is_visible("#map")


def test_buffers_without_a_graph_are_drawn_however_time_is_counted(browser: Any, tmp_path: Path) -> None:
    buffers = tuple(
        AllocationBuffer(name=f"b{i}", start=i * 10**7, stop=(i + 2) * 10**7, size_bytes=5) for i in range(9)
    )
    found = plan_allocation(AllocationProblem(buffers=buffers, alignment=1), PlanOptions(seconds=1))
    with open_page(browser, saved(plan_page(found, "problem.csv"), tmp_path)) as shown:
        assert shown.text("#headline") == "Arena 10 B, optimal"
        shown.page.select_option("#only", "all")
        assert len(shown.texts("#tensor-table tbody td.name")) == 9
        assert shown.page.is_visible("#map")


def test_a_comparison_draws_the_other_side_as_a_line(browser: Any, tmp_path: Path) -> None:
    before, after = analyze(chain([1, 2, 3])), analyze(chain([1, 2, 30, 4]))
    with open_page(browser, saved(comparison_page(compare(before, after), before, after), tmp_path)) as shown:
        assert shown.text("#headline") == "Peak 5 B to 34 B, 29 B more (reference)"
        assert shown.texts("#changes tbody tr")[0].split("\t") == ["peak, reference", "5 B", "34 B", "+29 B"]
        assert shown.page.input_value("#view") == "3"
        assert len(shown.texts("#view option")) == 6
        shown.page.select_option("#view", index=0)
        assert shown.text("#at").endswith("5 B in 2 tensors · the peak")


def test_a_verification_lists_the_steps_that_differ(browser: Any, tmp_path: Path) -> None:
    with open_page(browser, saved(verified(), tmp_path)) as shown:
        assert shown.text("#headline") == "Measured 5 B, exact; the first step that differs is 1, op1"
        assert shown.texts("#differences tbody tr") == ["1\top1\t2 B\t3 B"]
        shown.page.keyboard.press("ArrowLeft")
        assert shown.text("#at") == "Step 1 op1 (Conv): 2 B predicted, 3 B measured"
        assert not shown.page.is_visible("#search")
        assert not shown.page.is_visible("#lifetimes")


def test_a_step_that_was_not_measured_is_unknown(browser: Any, tmp_path: Path) -> None:
    with open_page(browser, saved(verified(None), tmp_path)) as shown:
        assert shown.texts("#differences tbody tr") == ["1\top1\t2 B\tunknown"]


def report_of_names() -> Page:
    return report_page(analyze(wide((*HOSTILE_NAMES[:-3], "secret.layer"))))


@pytest.mark.parametrize(
    ("page", "names"),
    [
        (report_of_names, ("secret", "evil", "wide")),
        (planned, ("fig1b", "dw_r2", "r10")),
        (verified, ("op1", "net.onnx")),
    ],
)
def test_a_redacted_page_holds_no_name(browser: Any, tmp_path: Path, page: Any, names: tuple[str, ...]) -> None:
    def data(found: Page) -> str:
        block = re.search(r'id="data">(.*?)</script>', html(found), re.S)
        assert block is not None
        document = json.loads(block[1])
        for graph in document["graphs"]:  # kinds of operations stay
            graph["nodes"]["op"]["table"] = []
        return json.dumps(document)

    plain, redacted = data(page()), data(redact_page(page()))
    assert all(name in plain for name in names)
    assert not any(name in redacted for name in names)
    with open_page(browser, saved(redact_page(page()), tmp_path)) as shown:
        assert "model" in shown.text("#models")
