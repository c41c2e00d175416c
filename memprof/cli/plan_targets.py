"""What ``memprof plan -o FILE`` writes: the suffix decides, one row each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from memprof.base.errors import UsageError
from memprof.base.files import check_writable, strange_suffix, write_whole
from memprof.base.text import safe_text
from memprof.cli.output import note, telling
from memprof.cli.pages import UNSAID, Origin, print_page
from memprof.render.json import write_document

if TYPE_CHECKING:
    from memprof.ir.model import Model
    from memprof.planning.record import Plan

PICTURES = ("slide", "poster")
"""Formats of an address map: keys in ``memprof.plots.address_map.LAYOUTS``, which takes matplotlib to read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan and what it was made of.

    Attributes:
        plan: The plan.
        source: The file it was made from.
        model: It, as it was read, ``None`` for a table of buffers.
        may_replace_source: Whether a target may be the source.
        origin: How a page comes to be.
        picture: Format of an address map.
    """

    plan: Plan
    source: str
    model: Model | None
    may_replace_source: bool
    origin: Origin = UNSAID
    picture: str = PICTURES[0]

    @property
    def title(self) -> str:
        """What people call it."""
        return Path(self.source).stem or "model"


def check_plan_targets(targets: Iterable[str], source: str) -> None:
    """Fail before the work if a file cannot be written.

    Raises:
        UsageError: A suffix means nothing, or a place cannot be written.
    """
    for target in targets:
        _find_writer(target)
        check_writable(target)
        if _is_onnx(target) and not _is_onnx(source):
            raise UsageError(
                f"-o {target}: {source} is no ONNX file.", "Only an ONNX model can be written reordered."
            )


def write_plan_targets(planned: Planned, targets: Iterable[str]) -> None:
    """Write the plan to each of ``targets``, whole or not at all, and say so on stderr."""
    for target in targets:
        with telling(f"writing {safe_text(target)}"):
            if _is_onnx(target):
                _write_model(planned, target)
            else:
                write_whole(target, partial(_find_writer(target), planned))
        note(f"wrote {safe_text(target)}")


def _is_onnx(path: str) -> bool:
    return Path(path).suffix.lower() == _MODEL


def _write_model(planned: Planned, target: str) -> None:
    from memprof.exporters.onnx_order import file_order, write_reordered_onnx
    from memprof.planning.rules import RULES
    from memprof.runtimes import as_read

    plan, model, source = planned.plan, planned.model, Path(planned.source)
    assert plan.order is not None, "a model has an order"
    assert model is not None, "a table of buffers is not written so"
    if plan.recomputation is not None and plan.recomputation.operations:
        from memprof.exporters.onnx_runs import write_repeated_onnx

        runs, may_replace = plan.order.node_ids, planned.may_replace_source
        write_repeated_onnx(source, model.graph, runs, Path(target), may_replace_source=may_replace)
        return
    order, run_order = file_order(source, model.graph, plan.order.node_ids)
    write_reordered_onnx(source, order, Path(target), may_replace_source=planned.may_replace_source)
    if tuple(run_order) != plan.order.node_ids:  # a file can ask for more than the graph: see file_order
        lifetimes = as_read(RULES[plan.rules], model).lifetimes(model.graph, run_order)
        peak_bytes = lifetimes.timeline.peak_bytes
        if peak_bytes > plan.order.peak_bytes:
            note(f"the file does not allow that order as it is: in the nearest one its peak is {peak_bytes:,} bytes")


def _find_writer(target: str) -> Callable[[Planned, Path], None]:
    suffix = Path(target).suffix.lower()
    if suffix in PLOTS:
        return _write_map
    if suffix in TEXTS:
        return partial(_write_text, TEXTS[suffix])
    if suffix == _MODEL:
        return _write_nothing
    raise strange_suffix(target, (_MODEL, *TEXTS, *PLOTS))


def _write_nothing(planned: Planned, path: Path) -> None:
    raise AssertionError("a model is written by its exporter, which needs to know the final place")


def _write_map(planned: Planned, path: Path) -> None:
    from memprof.analysis.describing import describe_value
    from memprof.plots.address_map import plot_addresses

    graph = None if planned.model is None else planned.model.graph
    about = {} if graph is None else {value.name: describe_value(value, graph) for value in graph.values}
    plot_addresses(
        planned.plan.arena,
        path,
        title=planned.title,
        before=_given_curve(planned),
        about=about,
        picture=planned.picture,
    )


def _given_curve(planned: Planned) -> tuple[int, ...]:
    """Return the bytes alive at each step of the order that was given; nothing where it was kept."""
    from memprof.planning.rules import RULES
    from memprof.runtimes import as_read

    plan, model = planned.plan, planned.model
    if model is None or plan.order is None or not plan.order.is_changed:
        return ()
    return as_read(RULES[plan.rules], model).lifetimes(model.graph).timeline.step_bytes


def _write_text(write: Callable[[Planned, TextIO], None], planned: Planned, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        write(planned, stream)


def _write_json(planned: Planned, stream: TextIO) -> None:
    write_document(planned.plan.to_json(), stream)


def _write_csv(planned: Planned, stream: TextIO) -> None:
    from memprof.planning.minimalloc import write_csv

    write_csv(planned.plan.arena, stream)


def _write_header(planned: Planned, stream: TextIO) -> None:
    from memprof.exporters.plan_header import write_header

    write_header(planned.plan.arena, stream, planned.title)


def _write_page(planned: Planned, stream: TextIO) -> None:
    from memprof.render.page.plans import plan_page

    print_page(plan_page(planned.plan, planned.source, planned.model), stream, planned.origin)


_MODEL = ".onnx"

PLOTS = (".png", ".svg", ".pdf")
"""Suffixes of the address map."""

TEXTS: Mapping[str, Callable[[Planned, TextIO], None]] = {
    ".json": _write_json,
    ".csv": _write_csv,
    ".h": _write_header,
    ".html": _write_page,
}
"""From a suffix to what writes such a text."""
