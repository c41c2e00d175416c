"""The parts of a Report, frozen: the model, and each runtime model's answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from memprof.analysis import Lifetimes
from memprof.analysis.describing import describe_value
from memprof.base.text import safe_text
from memprof.base.units import format_bytes
from memprof.ir import Graph
from memprof.results.peak import Peak
from memprof.runtimes import Figure, Grade


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSummary:
    """The model, before any runtime.

    Attributes:
        path: The file or name it came from.
        format: ``onnx``, ``torch.export``, ...
        structure_sha256: Digest of what was read; weights are not.
        nodes: Number of operations, bodies not counted.
        parameter_bytes: Initialisers, or a module's parameters and buffers, shared ones once.
        foldable_constant_bytes: Values computed from constants alone.
        stored_constant_bytes: Of these, tensors that the source holds in Constant operations.
        macs: Multiply-accumulate operations of one run, ``None`` if an operation has no standard formula.
        bytes_by_dtype: Parameter bytes by element type.
        has_known_weights: Whether these are all; where not, they are at least so many.
    """

    path: str
    format: str
    structure_sha256: str
    nodes: int
    parameter_bytes: int
    foldable_constant_bytes: int
    macs: int | None
    bytes_by_dtype: Mapping[str, int]
    stored_constant_bytes: int = 0
    has_known_weights: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeFacts:
    """What is said of a runtime model.

    Attributes:
        name: Its name.
        definition: One sentence: what is alive when.
        grade: What its peak promises of this graph, ``None`` where it is not known.
        counts_inputs: Whether graph inputs count.
        summary: The definition at a glance, for narrow tables.
        lowered_by: Names of what in this graph keeps the peak from the model's best grade.
    """

    name: str
    definition: str
    grade: Grade | None
    counts_inputs: bool
    summary: str = ""
    lowered_by: tuple[str, ...] = ()


_ARENAS = ("tflm", "litert")
"""Runtime models that lay an arena out by addresses."""


@dataclass(frozen=True, kw_only=True)
class RuntimeReport:
    """One runtime model's answer.

    Attributes:
        runtime: What is said of the model.
        peak_intermediate_bytes: The peak, ``None`` if some size is unknown.
        peak_without_io_bytes: The peak without graph inputs and outputs, ``None`` if some size is unknown.
        peak_without_scratch_bytes: The peak without what kernels take while they run, ``None`` if some size is
            unknown or the model knows no kernels.
        known_bytes_at_least: The peak with unknown sizes as zero.
        total_bytes: Parameters, foldable constants and the peak together, ``None`` if one of them is not known.
        peak: Where it is and who lives there.
        lifetimes: When each buffer lives.
        categories: Bytes at the peak by what they are for, parameters and inputs included; empty if not known.
        phase: Part of a run that the peak is in: ``forward``, ``backward`` or ``optimizer``; empty if not known.
        buffer_kinds: What each of the lifetimes' buffers is for, in their order; empty if not known.
        source: The graph that was analysed; ``lifetimes.graph`` is what the runtime makes of it. ``None`` for a
            report that was saved.
        find_figures: Finds what else the runtime model knows of the source, ``None`` if nothing.
        saved_figures: The same of a report that was saved.
    """

    runtime: RuntimeFacts
    peak_intermediate_bytes: int | None
    peak_without_io_bytes: int | None
    peak_without_scratch_bytes: int | None
    known_bytes_at_least: int
    total_bytes: int | None
    peak: Peak
    lifetimes: Lifetimes
    categories: Mapping[str, int] = field(default_factory=dict)
    phase: str = ""
    buffer_kinds: tuple[str, ...] = ()
    source: Graph | None = field(default=None, compare=False)
    find_figures: Callable[[Graph], tuple[Figure, ...]] | None = field(default=None, compare=False)
    saved_figures: tuple[Figure, ...] = field(default=(), compare=False)

    def __repr__(self) -> str:
        return f"<RuntimeReport {safe_text(self.runtime.name)}: peak {amount_text(self)}, {self.grade or 'no grade'}>"

    @cached_property
    def figures(self) -> tuple[Figure, ...]:
        """What else the runtime model knows, worked out on first use."""
        if self.find_figures is None or self.source is None:
            return self.saved_figures
        return tuple(map(self._as_promised, self.find_figures(self.source)))

    def _as_promised(self, figure: Figure) -> Figure:
        """Return ``figure`` with the grade that this graph allows: that of the peak where it is lowered."""
        grade = self.grade if self.lowered_by and figure.grade is not None else figure.grade
        return replace(figure, grade=None if figure.size_bytes is None else grade)

    @property
    def grade(self) -> Grade | None:
        """What the peak promises of this graph, ``None`` where it is not known."""
        return self.runtime.grade

    @property
    def has_gaps(self) -> bool:
        """Whether the peak is the highest address in use: what no tensor has of it may lie between them."""
        return self.runtime.name in _ARENAS

    @property
    def lowered_by(self) -> tuple[str, ...]:
        """Names of what in this graph keeps the peak from the model's best grade."""
        return self.runtime.lowered_by

    def describe_made_up(self, name: str) -> str:
        """Return operator and shape of a tensor whose name a session made up; empty if the source has that name.

        Args:
            name: A tensor of the lifetimes.
        """
        if self.source is None or any(value.name == name for value in self.source.values):
            return ""
        graph = self.lifetimes.graph
        return next((describe_value(value, graph) for value in graph.values if value.name == name), "")

    @property
    def timeline(self) -> tuple[int, ...]:
        """Bytes alive at each step."""
        return self.lifetimes.timeline.step_bytes

    @property
    def later(self) -> tuple[int, int] | None:
        """The step that takes most, and how many bytes more than the one of ``peak``; ``None`` if that is the same.

        A block that stays taken is told by the step that fills it; what comes beside it later makes it more.
        """
        found = self.timeline
        if not found or max(found) == found[self.peak.step]:
            return None
        return found.index(max(found)), max(found) - found[self.peak.step]


def amount_text(found: RuntimeReport) -> str:
    """Return the peak as text, for one line."""
    if found.peak_intermediate_bytes is None:
        return f"at least {format_bytes(found.known_bytes_at_least)}"
    return format_bytes(found.peak_intermediate_bytes)
