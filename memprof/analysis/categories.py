"""What a run's bytes are for: parameters, gradients, saved activations, optimiser state. Pure, O(storages)."""

from __future__ import annotations

from memprof.ir.trace import Category, Trace


def bytes_by_category(trace: Trace, step: int) -> dict[Category, int]:
    """Return the bytes alive at ``step`` by category, every category in order; parameters and inputs always live."""
    found = dict.fromkeys(Category, 0)
    for life in trace.storages:
        is_given = life.category in (Category.PARAMETER, Category.INPUT)
        if is_given or (life.start <= step < life.stop and life.device in (trace.device, trace.tensors)):
            found[life.category] += life.size_bytes
    return found


def phase_at(trace: Trace, step: int) -> str:
    """Return the part of the run that ``step`` is in: ``forward``, ``backward`` or ``optimizer``; empty if none."""
    return next((phase.name for phase in trace.phases if phase.start <= step < phase.stop), "")
