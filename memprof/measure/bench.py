"""Benchmarks models one after the other in onnxruntime: latency, and what it allocated, measured and predicted."""

from __future__ import annotations

from collections.abc import Mapping

from memprof.importers.request import Elements
from memprof.ir.model import Model
from memprof.measure.child import Limits
from memprof.measure.feeds import input_specs
from memprof.measure.latency import read_latency
from memprof.measure.onnxruntime import FULLY_OPTIMIZED, measure_allocations, time_runs
from memprof.results.bench import BenchedModel, BenchSettings


def bench_model(
    model: Model, values: Mapping[str, Elements], settings: BenchSettings, limits: Limits
) -> BenchedModel:
    """Time one model and measure what it allocates, each in a child process of its own.

    Raises:
        UsageError: An input's shape is open.
        RuntimeFailure: onnxruntime refused the model, crashed, hung or ran out of memory.
        MissingExtraError: onnxruntime is not installed.
    """
    inputs = input_specs(model.graph, values)
    found = time_runs(
        model.path, inputs, limits, threads=settings.threads, warmup=settings.warmup, runs=settings.runs
    )
    allocations = measure_allocations(model.path, inputs, limits, level=FULLY_OPTIMIZED)
    return BenchedModel(
        path=model.path, latency=read_latency(found), measured_peak_bytes=allocations.measurement.peak_bytes
    )
