"""What a benchmark found: how long a model takes, and what it allocated. Frozen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median
from typing import Any

from memprof.base.fields import Fields, check_schema

BENCH_SCHEMA = "memprof/bench/2"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorTime:
    """One operation's time.

    Attributes:
        node: Its name, in the graph as onnxruntime optimised it.
        op: Kind of operation.
        median_ms: Median over the profiled runs.
    """

    node: str
    op: str
    median_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """How long one run takes.

    Attributes:
        version: onnxruntime's version.
        threads: Threads inside an operation.
        runs_ms: Each timed run, in the order they ran.
        operators: Slowest first; from runs of their own, which a profiler slows down.
    """

    version: str
    threads: int
    runs_ms: tuple[float, ...]
    operators: tuple[OperatorTime, ...]

    @property
    def median_ms(self) -> float:
        """Half of the runs took no longer."""
        return median(self.runs_ms)

    @property
    def p90_ms(self) -> float:
        """Nine of ten runs took no longer."""
        return percentile(self.runs_ms, 90)

    @property
    def min_ms(self) -> float:
        """The fastest run."""
        return min(self.runs_ms)

    @property
    def spread(self) -> float:
        """Distance from the 10th to the 90th percentile, as a part of the median: how noisy the machine was."""
        return (self.p90_ms - percentile(self.runs_ms, 10)) / self.median_ms if self.median_ms else 0.0


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the smallest of ``values`` that is not below ``percent`` of a hundred of them.

    >>> percentile([4, 1, 3, 2], 50), percentile([1, 2, 3], 90)
    (2, 3)
    """
    return sorted(values)[max(0, ceil(len(values) * percent / 100) - 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchSettings:
    """How a benchmark is run.

    Attributes:
        threads: Threads inside an operation.
        warmup: Runs that are not timed, first.
        runs: Timed runs.
    """

    threads: int = 1
    warmup: int = 5
    runs: int = 50


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

    def to_json(self) -> dict[str, Any]:
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
                "runs": list(latency.runs_ms),
            },
            "threads": latency.threads,
            "runs": len(latency.runs_ms),
            "measured_peak_bytes": self.measured_peak_bytes,
            "operators": [
                {"node": operator.node, "op": operator.op, "median_ms": operator.median_ms}
                for operator in latency.operators
            ],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Models benchmarked one after the other.

    Attributes:
        settings: How each was run.
        models: What was found, in the order asked for; the first is the yardstick.
    """

    settings: BenchSettings
    models: tuple[BenchedModel, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the benchmark as JSON-ready values, schema ``memprof/bench/2``."""
        return {
            "schema": BENCH_SCHEMA,
            "settings": {
                "threads": self.settings.threads,
                "warmup": self.settings.warmup,
                "runs": self.settings.runs,
            },
            "models": [model.to_json() for model in self.models],
        }

    @classmethod
    def from_json(cls, document: object, source: str = "the document") -> Bench:
        """Return the benchmark that was saved as ``document``.

        Raises:
            InputError: It is no benchmark of this version, or a field is missing or wrong.
        """
        check_schema(document, source, (BENCH_SCHEMA,))
        found = Fields(document, source)
        settings = found.fields("settings")
        return cls(
            settings=BenchSettings(
                threads=settings.count("threads"),
                warmup=settings.count("warmup"),
                runs=settings.count("runs"),
            ),
            models=tuple(map(_read_model, found.each("models"))),
        )


def _read_model(found: Fields) -> BenchedModel:
    runs_ms = found.fields("latency_ms").numbers("runs")
    if not runs_ms:
        raise found.error("latency_ms", "holds no run")
    return BenchedModel(
        path=found.text("path"),
        latency=Latency(
            version=found.text("version"),
            threads=found.count("threads"),
            runs_ms=runs_ms,
            operators=tuple(
                OperatorTime(node=each.text("node"), op=each.text("op"), median_ms=each.number("median_ms"))
                for each in found.each("operators")
            ),
        ),
        measured_peak_bytes=found.count("measured_peak_bytes"),
    )
