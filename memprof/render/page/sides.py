"""Results -> what the page shows: one side or two, and every row that can be chosen, as JSON-ready values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from memprof.analysis import Lifetimes, Schedule
from memprof.analysis.categories import buffer_kinds
from memprof.base.text import safe_text
from memprof.base.units import format_bytes
from memprof.ir import Graph, Node
from memprof.render.helped import less, untried_lines
from memprof.render.sweep import formula_lines, sweep_rows
from memprof.render.wording import (
    category_title,
    exact_amount,
    figure_rows,
    figure_title,
    grade_words,
    known_amount,
    known_pair,
    model_facts,
    peak_amount,
    split_headline,
    verified_peak,
)
from memprof.results.columns import graph_json, lifetimes_json, repeated
from memprof.results.comparison import Change, Comparison
from memprof.results.records import RuntimeReport
from memprof.results.report import Report
from memprof.results.sweep import Sweep
from memprof.results.verification import Verification


@dataclass(frozen=True, kw_only=True)
class Page:
    """What a page shows.

    Attributes:
        title: What it is about.
        headline: Its first sentence in three parts: the number, the rest, an operation.
        sides: The models: one, or before and after.
        views: Every row that can be chosen, in the order of the menu.
        graphs: What the views are about, each once.
        first: The view that is shown first.
        changes: Numbers of both sides: name, before, after.
        change_titles: What the two sides of ``changes`` are called.
        differences: Steps whose two numbers differ: step, operation, predicted, measured.
        digests: Name and digest of each model.
    """

    title: str
    headline: tuple[str, str, str]
    sides: Sequence[dict[str, Any]]
    views: Sequence[dict[str, Any]]
    graphs: Sequence[dict[str, Any]]
    first: int = 0
    changes: Sequence[tuple[str, int | None, int | None]] = ()
    change_titles: tuple[str, str] = ("before", "after")
    differences: Sequence[tuple[int, str, int | None, int | None]] = ()
    digests: Sequence[tuple[str, str]] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the page as JSON-ready values."""
        return {
            "title": safe_text(self.title),
            "headline": [*self.headline],
            "sides": [*self.sides],
            "views": [*self.views],
            "graphs": [*self.graphs],
            "first": self.first,
            "changes": [*self.changes],
            "change_titles": [*self.change_titles],
            "differences": [*self.differences],
        }


@dataclass(slots=True)
class Graphs:
    """The graphs of a page: each is written once, however many views are about it."""

    _places: dict[int, int] = field(default_factory=dict)
    _graphs: list[Graph] = field(default_factory=list)

    def place(self, graph: Graph) -> int:
        """Return the index of ``graph``, which is added if it is new."""
        if id(graph) not in self._places:
            self._places[id(graph)] = len(self._graphs)
            self._graphs.append(graph)
        return self._places[id(graph)]

    def to_json(self) -> list[dict[str, Any]]:
        """Return all graphs, every name as ``safe_text`` has it."""
        return [_safe_graph(graph) for graph in self._graphs]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What the menu says of a view.

    Attributes:
        name: The runtime model.
        side: Which side of the page it is on.
        side_label: What people call that side; empty if there is one.
        peak: Its peak.
        grade: What the peak promises.
        definition: What is alive when.
    """

    name: str
    side: int = 0
    side_label: str = ""
    peak: str
    grade: str
    definition: str


def report_page(report: Report) -> Page:
    """Return the page of a report."""
    graphs = Graphs()
    what, where, operation = split_headline(report)
    views = report_views(report, graphs)
    return Page(
        title=report.model.path or "model",
        headline=(what, f"{where}, " if operation else where, operation),
        sides=[report_side(report, "")],
        views=views,
        graphs=graphs.to_json(),
        digests=_digests([report], [""]),
    )


def comparison_page(found: Comparison, before: Report, after: Report) -> Page:
    """Return the page of two reports side by side."""
    graphs = Graphs()
    old, new = (report_views(r, graphs, side, label) for side, (r, label) in enumerate(_sides(before, after)))
    names = {view["name"]: place for place, view in enumerate(old)}
    for place, view in enumerate(new, start=len(old)):
        if (pair := names.get(view["name"])) is not None:
            view["pair"], old[pair]["pair"] = pair, place
    constants = found.foldable_constants
    peak, name = found.peak, safe_text(found.headline, limit=40)
    gap = "" if peak.delta is None else f", {describe_gap(peak.delta)}"
    first = next(place for place, view in enumerate(new, start=len(old)) if view["name"] == name)
    amounts = known_pair(peak.before, peak.after)
    return Page(
        title=f"{before.model.path} and {after.model.path}",
        headline=(f"Peak {amounts[0]} to {amounts[1]}", f"{gap} ({name})", ""),
        sides=[report_side(report, label) for report, label in _sides(before, after)],
        views=[*old, *new],
        graphs=graphs.to_json(),
        first=first,
        changes=[
            *(_change(f"peak, {safe_text(runtime, limit=40)}", change) for runtime, change in found.peaks.items()),
            _change("parameters", found.parameters),
            *([_change("constants", constants)] if constants.before or constants.after else []),
            _change("total", found.total),
        ],
        digests=_digests([before, after], ["before", "after"]),
    )


def verification_page(found: Verification) -> Page:
    """Return the page of a verification: the predicted curve, the measured one over it."""
    lifetimes = _predicted(found)
    graphs = Graphs()
    amount = known_amount(found.predicted_bytes)
    row = Row(name=found.runtime, peak=amount, grade="predicted", definition=safe_text(found.counts, limit=600))
    view = view_json(lifetimes, graphs, row) | {"measured": [pair.measured_bytes for pair in found.steps]}
    first = found.first_difference
    where = "" if first is None else f"; the first step that differs is {first.step:,}, "
    peak = verified_peak(found.runtime_model or found.runtime)
    verdict = "exact" if found.is_exact else f"predicted {amount}"
    others = [(figure.replace("_", " "), p, m) for figure, p, m in _others(found)]
    return Page(
        title=found.path,
        headline=(
            f"Measured {format_bytes(found.measured_bytes)}",
            f", {verdict}{where}",
            "" if first is None else safe_text(first.node),
        ),
        sides=[
            {
                "label": "",
                "path": safe_text(found.path),
                "facts": f"{safe_text(found.runtime)} {safe_text(found.version)}, optimisation "
                f"{safe_text(found.optimization)}; measured by {safe_text(found.method, limit=400)}",
                "tiles": [],
                "weight_bytes": 0,
                "unknown": [],
                "figures": [],
                "assumed": [],
                "help": [],
                "help_notes": [],
                "sweep": [],
                "categories": [],
            }
        ],
        views=[view],
        graphs=graphs.to_json(),
        changes=[(peak, found.predicted_bytes, found.measured_bytes), *others],
        change_titles=("predicted", "measured"),
        differences=[
            (pair.step, safe_text(pair.node), pair.predicted_bytes, pair.measured_bytes)
            for pair in found.steps
            if not pair.is_equal
        ],
    )


def report_views(report: Report, graphs: Graphs, side: int = 0, label: str = "") -> list[dict[str, Any]]:
    """Return a view for each runtime model of ``report``."""
    return [_report_view(found, graphs, side, label) for found in report.runtimes.values()]


def report_side(report: Report, label: str) -> dict[str, Any]:
    """Return what is said of a model whatever the view."""
    found, model = report.headline, report.model
    weights = model.parameter_bytes + model.foldable_constant_bytes
    return {
        "label": label,
        "path": safe_text(model.path or "in memory"),
        "facts": model_facts(report),
        "tiles": [
            ["RAM (intermediates)", peak_amount(found), _exact(found.peak_intermediate_bytes)],
            ["Weights", format_bytes(weights), _exact(weights)],
            ["Total", known_amount(found.total_bytes), _exact(found.total_bytes)],
        ],
        "weight_bytes": weights,
        "unknown": [
            [safe_text(u.kind), safe_text(u.name), safe_text(u.reason, limit=400), safe_text(u.hint, limit=400)]
            for u in report.unknown
        ],
        "figures": [
            [
                figure_title(figure),
                known_amount(figure.size_bytes),
                grade_words(figure.grade),
                safe_text(f"{name}: {figure.definition}"),
            ]
            for name, figure in figure_rows(report)
        ]
        + [*_process(report)],
        "assumed": [
            [safe_text(a.kind), safe_text(a.name), safe_text(a.reason, limit=400), safe_text(a.hint, limit=400)]
            for a in report.assumed
        ],
        "help": [*_help(report)],
        "help_notes": [] if report.helped is None else untried_lines(report.helped),
        "sweep": [] if report.sweep is None else [*_sweep(report.sweep)],
        "categories": [row for runtime in report.runtimes.values() for row in _categories(runtime)],
    }


def view_json(lifetimes: Lifetimes, graphs: Graphs, row: Row, kinds: Sequence[str] = ()) -> dict[str, Any]:
    """Return one row that can be chosen; ``kinds`` say what each buffer is for, empty to read it off the graph."""
    found = lifetimes_json(lifetimes)
    return {
        "name": safe_text(row.name, limit=40),
        "side": row.side_label,
        "side_index": row.side,
        "peak": row.peak,
        "grade": row.grade,
        "definition": safe_text(row.definition, limit=600),
        "graph": graphs.place(lifetimes.graph),
        "steps": found["steps"],
        "buffers": found["buffers"],
        "reserved": found["reserved"],
        "held": found["held"],
        "kinds": repeated(kinds or buffer_kinds(lifetimes)),
        "measured": None,
        "plan": None,
        "pair": None,
    }


def describe_gap(gap: int) -> str:
    """Return a difference in words.

    >>> describe_gap(-2000), describe_gap(0)
    ('2.00 kB less', 'no change')
    """
    return "no change" if not gap else f"{format_bytes(abs(gap))} {'more' if gap > 0 else 'less'}"


def _report_view(found: RuntimeReport, graphs: Graphs, side: int, label: str) -> dict[str, Any]:
    row = Row(
        name=found.runtime.name,
        side=side,
        side_label=label,
        peak=peak_amount(found),
        grade=grade_words(found.grade),
        definition=found.runtime.definition,
    )
    return view_json(found.lifetimes, graphs, row, found.buffer_kinds)


def _process(report: Report) -> Iterable[list[str]]:
    """Yield what the process takes and its parts, as rows of what there is besides the peak."""
    process = report.process
    if process is None or process.size_bytes is None:
        return
    yield ["process", format_bytes(process.size_bytes), "estimate", safe_text(process.error, limit=400)]
    if process.range_bytes is not None:
        low, high = map(format_bytes, process.range_bytes)
        yield ["process, other heaps", f"{low} to {high}", "estimate", "of processes with other free pieces before"]
    for part, size in process.parts.items():
        name = safe_text(part.replace("_", " "), limit=60)
        yield [f"of which {name}", format_bytes(size), "", ""]


def _help(report: Report) -> Iterable[list[str]]:
    for change in report.helped.changes if report.helped is not None else ():
        yield [
            safe_text(change.what, limit=80),
            less(change.saved_bytes),
            format_bytes(change.peak_bytes),
            less(change.saved_weight_bytes) if change.saved_weight_bytes else "",
            safe_text(change.runtime, limit=40),
            safe_text(change.command, limit=2000),
        ]


def _sweep(sweep: Sweep) -> Iterable[list[str]]:
    yield from map(list, sweep_rows(sweep))
    yield from ([where, text, ""] for text, where in formula_lines(sweep))


def _categories(found: RuntimeReport) -> Iterable[list[str]]:
    total = sum(found.categories.values())
    for name, size in found.categories.items():
        if size:
            yield [safe_text(name, limit=60), format_bytes(size), f"{size / total:.0%}", category_title(found)]


def _exact(size_bytes: int | None) -> str:
    return "" if size_bytes is None else exact_amount(size_bytes)


def _sides(before: Report, after: Report) -> tuple[tuple[Report, str], tuple[Report, str]]:
    return (before, "before"), (after, "after")


def _change(name: str, change: Change) -> tuple[str, int | None, int | None]:
    return name, change.before, change.after


def _digests(reports: Sequence[Report], labels: Sequence[str]) -> list[tuple[str, str]]:
    return [
        (f"{label} sha256 of the structure".strip(), safe_text(report.model.structure_sha256))
        for report, label in zip(reports, labels, strict=True)
        if report.model.structure_sha256
    ]


def _others(found: Verification) -> list[tuple[str, int | None, int | None]]:
    return [(safe_text(pair.name), pair.predicted_bytes, pair.measured_bytes) for pair in found.others]


def _predicted(found: Verification) -> Lifetimes:
    """Return the steps of a verification as lifetimes without tensors: their bytes are one sum by step."""
    nodes = tuple(Node(name=pair.node, op=pair.op, inputs=(), outputs=()) for pair in found.steps)
    graph = Graph(name=found.path, values=(), nodes=nodes, inputs=(), outputs=())
    return Lifetimes(
        graph=graph,
        schedule=Schedule.sequential(range(len(nodes))),
        buffers=(),
        reserved=tuple(pair.predicted_bytes or 0 for pair in found.steps),
    )


def _safe_graph(graph: Graph) -> dict[str, Any]:
    found = graph_json(graph)
    for part in ("values", "nodes"):
        columns: dict[str, Any] = found[part]
        columns["name"] = list(map(safe_text, columns["name"]))
        for name in ("module", "op"):
            if name in columns:
                columns[name]["table"] = list(map(safe_text, columns[name]["table"]))
    types: Mapping[str, Any] = found["values"]["type"]
    for entry in types["table"]:
        entry[0] = None if entry[0] is None else safe_text(entry[0], limit=40)
        entry[1] = (
            None if entry[1] is None else [safe_text(d, limit=60) if isinstance(d, str) else d for d in entry[1]]
        )
    found["name"] = safe_text(found["name"])
    return found
