"""What a run's bytes are for: parameters, gradients, saved activations, optimiser state. Pure, O(storages)."""

from __future__ import annotations

from memprof.analysis.lifetimes import Lifetimes
from memprof.ir.trace import Category, Trace

KINDS = (
    "parameters",
    "optimizer state",
    "gradients",
    "key-value cache",
    "saved activations",
    "activations",
    "inputs",
    "outputs",
    "other",
)
"""What a buffer can be for, in the order in which pictures stack it."""


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


def buffer_kinds(lifetimes: Lifetimes) -> tuple[str, ...]:
    """Return what each buffer is for, as far as the graph alone tells: ``inputs``, ``outputs`` or ``activations``."""
    inputs, outputs = set(lifetimes.graph.inputs), set(lifetimes.graph.outputs)
    return tuple(
        [
            "activations"
            if inputs.isdisjoint(buffer.values) and outputs.isdisjoint(buffer.values)
            else "outputs"
            if inputs.isdisjoint(buffer.values)
            else "inputs"
            for buffer in lifetimes.buffers
        ]
    )
