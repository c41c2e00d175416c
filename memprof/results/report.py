"""The Report: everything memprof found out about a model, frozen. Renderers and plots are functions of it.

Its parts are in ``records``. How they are made is in ``building`` and ``peak``, their JSON in ``saving``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from memprof.analysis.modules import ModuleRow, module_rows
from memprof.base.fields import Fields
from memprof.base.rows import as_lists
from memprof.base.text import safe_text
from memprof.ir import Assumption, Unknown
from memprof.results.helped import Helped
from memprof.results.records import ModelSummary, RuntimeReport, amount_text
from memprof.results.saving import read_report, report_json
from memprof.results.sections import MODULE_DEPTH
from memprof.results.sweep import Sweep
from memprof.runtimes import Process
from memprof.runtimes.late import find

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything memprof found out about a model.

    Attributes:
        model: The model, before any runtime.
        runtimes: One answer per runtime model, the headline first.
        unknown: What could not be learnt, with the flag that settles it.
        assumed: What was taken otherwise than the source says, or for what it leaves open, with what changes it.
        process: What the process of the headline takes, ``None`` if that is not modelled.
        helped: What would lower a peak, ``None`` if nobody asked.
        sweep: The headline's peak over other sizes, ``None`` if nobody asked.
    """

    model: ModelSummary
    runtimes: Mapping[str, RuntimeReport]
    unknown: tuple[Unknown, ...]
    assumed: tuple[Assumption, ...] = ()
    process: Process | None = None
    sweep: Sweep | None = None
    helped: Helped | None = None

    def __repr__(self) -> str:
        path = safe_text(self.model.path or "in memory", limit=80)
        return f"<Report of {path}: peak {amount_text(self.headline)} ({safe_text(self.headline.runtime.name)})>"

    @property
    def headline(self) -> RuntimeReport:
        """The answer of the first runtime model."""
        return next(iter(self.runtimes.values()))

    @property
    def peak_intermediate_bytes(self) -> int | None:
        """The headline's peak."""
        return self.headline.peak_intermediate_bytes

    @property
    def parameter_bytes(self) -> int:
        """Bytes of the parameters."""
        return self.model.parameter_bytes

    def module_rows(self, depth: int) -> tuple[ModuleRow, ...]:
        """Return the headline's bytes by module path, folded to ``depth`` parts."""
        return module_rows(self.headline.lifetimes, depth)

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON-ready values, schema ``memprof/analysis/2``: all that is needed to show it."""
        found: dict[str, Any] = as_lists(self.document())
        return found

    def document(self) -> dict[str, Any]:
        """Return the same to be written, see ``base.rows``; some columns are in it more than once."""
        modules = self.module_rows(MODULE_DEPTH)
        document = report_json(self.model, self.runtimes, modules, (self.unknown, self.assumed, self.process))
        document |= {} if self.sweep is None else self.sweep.to_json()
        return document if self.helped is None else document | self.helped.to_json()

    @classmethod
    def from_json(cls, document: object, source: str = "the document") -> Report:
        """Return the report that was saved as ``document``.

        Args:
            document: What ``json.load`` gave. None of it is trusted.
            source: Where it came from, for the error.

        Raises:
            InputError: It is no report that can be read, or a field is missing or wrong.
        """
        model, runtimes, (unknown, assumed, process) = read_report(document, source)
        found = Fields(document, source)
        sweep = Sweep.from_json(found, model.path) if "sweep" in found else None
        helped = Helped.from_json(found) if "help" in found else None
        return cls(
            model=model,
            runtimes=runtimes,
            unknown=unknown,
            assumed=assumed,
            process=process,
            sweep=sweep,
            helped=helped,
        )

    def plot(self, path: str | Path | None = None, runtime: str | None = None) -> Any:
        """Draw the lifetime plot of one runtime model, the headline's by default.

        Args:
            path: A .png, .svg or .pdf file to write; nothing is written if left out.
            runtime: Name of the runtime model.

        Returns:
            The ``matplotlib.figure.Figure``.
        """
        return find("memprof.plots:plot_lifetimes")(self, path, runtime)  # a method that people expect here

    def _repr_html_(self) -> str:
        return str(find("memprof.render.html:render_html")(self))
