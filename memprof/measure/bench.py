"""Benchmarks models one after the other in onnxruntime: latency, and what it allocated, measured and predicted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from memprof.importers.model import Model
from memprof.measure.child import Limits
from memprof.measure.feeds import input_specs
from memprof.measure.latency import Latency, read_latency
from memprof.measure.onnxruntime import FULLY_OPTIMIZED, measure_allocations, time_runs

BENCH_SCHEMA = "memprof/bench/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchSettings:
    """How a benchmark is run.

    Attributes:
        threads: Threads inside an operation.
        warmup: Runs that are not timed, first.
        runs: Timed runs.
        values: What to fill single inputs with instead of random numbers.
    """

    threads: int = 1
    warmup: int = 5
    runs: int = 50
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchedModel:
    """One model's result.

    Attributes:
        path: The file.
        latency: How long a run takes, all optimisations on.
        measured_peak_bytes: What the first run took of the traced allocator, on one thread: tensors and scratch.
    """

    path: str
    latency: Latency
    measured_peak_bytes: int

    def to_json(self, settings: BenchSettings) -> dict[str, Any]:
        """Return the result as JSON-ready values."""
        latency = self.latency
        return {
            "path": self.path,
            "version": latency.version,
            "latency_ms": {
                "median": latency.median_ms,
                "p90": latency.p90_ms,
                "min": latency.min_ms,
                "spread": latency.spread,
            },
            "threads": latency.threads,
            "warmup": settings.warmup,
            "runs": len(latency.runs_ms),
            "measured_peak_bytes": self.measured_peak_bytes,
            "operators": [
                {"node": operator.node, "op": operator.op, "median_ms": operator.median_ms}
                for operator in latency.operators
            ],
        }


def bench_model(model: Model, settings: BenchSettings, limits: Limits) -> BenchedModel:
    """Time one model and measure what it allocates, each in a child process of its own.

    Raises:
        UsageError: An input's shape is open.
        RuntimeFailure: onnxruntime refused the model, crashed, hung or ran out of memory.
        MissingExtraError: onnxruntime is not installed.
    """
    inputs = input_specs(model.graph, settings.values)
    found = time_runs(
        model.path, inputs, limits, threads=settings.threads, warmup=settings.warmup, runs=settings.runs
    )
    allocations = measure_allocations(model.path, inputs, limits, level=FULLY_OPTIMIZED)
    return BenchedModel(
        path=model.path, latency=read_latency(found), measured_peak_bytes=allocations.measurement.peak_bytes
    )
