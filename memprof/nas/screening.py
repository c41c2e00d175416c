"""Hard budgets: what a candidate needs, and whether that is allowed, before anything is trained."""

from __future__ import annotations

from memprof import analyze
from memprof.nas.footprint import Footprint, deployed, screen
from memprof.nas.settings import Budget
from memprof.nas.space import Architecture


def measure(architecture: Architecture, budget: Budget) -> Footprint:
    """Return the deployed footprint of a network under the budget's runtime model."""
    if budget.runtime == "reference":
        return screen(architecture, budget.dtype)
    graph = deployed(architecture, budget.dtype)
    report = analyze(graph, runtimes=[budget.runtime])
    peak_bytes = report.peak_intermediate_bytes
    assert peak_bytes is not None, "every size of a generated network is known"
    return Footprint(parameter_bytes=graph.parameter_bytes, peak_intermediate_bytes=peak_bytes)


def is_within(footprint: Footprint, budget: Budget) -> bool:
    """Return whether a footprint keeps to the budget."""
    peak_fits = budget.peak_bytes is None or footprint.peak_intermediate_bytes <= budget.peak_bytes
    return peak_fits and (budget.parameter_bytes is None or footprint.parameter_bytes <= budget.parameter_bytes)
