"""Predicted against measured: the peak, step by step, and where the two first part. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from memprof.base.fields import Fields, check_schema
from memprof.base.text import safe_text
from memprof.base.units import format_bytes

VERIFICATION_SCHEMA = "memprof/verify/2"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPair:
    """One step, as it was predicted and as it was measured.

    Attributes:
        step: Its index.
        node: Name of the operation that was predicted to run, else of the one that ran.
        op: Its kind.
        predicted_bytes: Most bytes alive while it runs, ``None`` if no such step was predicted.
        measured_bytes: The same, measured; ``None`` if no such step ran.
    """

    step: int
    node: str
    op: str
    predicted_bytes: int | None
    measured_bytes: int | None

    @property
    def is_equal(self) -> bool:
        """Whether both are there and the same."""
        return self.predicted_bytes is not None and self.predicted_bytes == self.measured_bytes


@dataclass(frozen=True, slots=True)
class NamedPair:
    """One more number, predicted and measured.

    Attributes:
        name: What it is.
        predicted_bytes: As predicted, ``None`` if not known.
        measured_bytes: As measured, ``None`` if the measurement does not show it.
        definition: One sentence: what is counted and how it was measured.
        grade: What the prediction promises of this model, empty if that was not asked.
    """

    name: str
    predicted_bytes: int | None
    measured_bytes: int | None
    definition: str
    grade: str = ""

    @property
    def is_equal(self) -> bool:
        """Whether both are there and the same."""
        return self.predicted_bytes is not None and self.predicted_bytes == self.measured_bytes


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What was predicted of one model, and what a real run of it needed.

    Attributes:
        path: The model as the caller named it.
        runtime: ``onnxruntime`` or ``pytorch``.
        version: The runtime's version.
        optimization: ``off``, ``all`` or ``none``, for a runtime that has none.
        predicted_bytes: The predicted peak, ``None`` if some size is unknown.
        measured_bytes: The measured peak.
        counts: What is in the bytes and what is not, in one sentence.
        method: How it was measured, in a few words.
        steps: Step by step, predicted and measured; empty if the measurement shows no steps.
        others: More numbers, predicted and measured.
        runtime_model: The row of ``RUNTIMES`` that predicted, empty if a document does not say.
        grade: What the predicted peak promises of this model, empty if that was not asked.
    """

    path: str
    runtime: str
    version: str
    optimization: str
    predicted_bytes: int | None
    measured_bytes: int
    counts: str
    method: str
    steps: tuple[StepPair, ...]
    others: tuple[NamedPair, ...] = ()
    runtime_model: str = ""
    grade: str = ""

    def __repr__(self) -> str:
        predicted = "unknown" if self.predicted_bytes is None else format_bytes(self.predicted_bytes)
        what = f"{safe_text(self.path, limit=80)} in {safe_text(self.runtime)}"
        return f"<Verification of {what}: predicted {predicted}, measured {format_bytes(self.measured_bytes)}>"

    @property
    def is_exact(self) -> bool:
        """Whether the predicted peak is the measured one, byte for byte."""
        return self.predicted_bytes == self.measured_bytes

    @property
    def broken_promises(self) -> tuple[str, ...]:
        """Names of the numbers that were graded exact and were measured to be others; ``peak`` is the first."""
        pairs = (NamedPair("peak", self.predicted_bytes, self.measured_bytes, self.counts, self.grade), *self.others)
        measured = [pair for pair in pairs if pair.measured_bytes is not None]
        return tuple(pair.name for pair in measured if pair.grade == "exact" and not pair.is_equal)

    @property
    def first_difference(self) -> StepPair | None:
        """The first step where the two part, ``None`` if they never do."""
        return next((pair for pair in self.steps if not pair.is_equal), None)

    @property
    def equal_steps(self) -> int:
        """How many steps are equal."""
        return sum(pair.is_equal for pair in self.steps)

    @property
    def relative_error(self) -> float | None:
        """Predicted over measured, less one; ``None`` where that says nothing."""
        if self.predicted_bytes is None or not self.measured_bytes:
            return None
        return self.predicted_bytes / self.measured_bytes - 1

    def to_json(self) -> dict[str, Any]:
        """Return the verification as JSON-ready values, schema ``memprof/verify/2``."""
        first = self.first_difference
        return {
            "schema": VERIFICATION_SCHEMA,
            "model": self.path,
            "runtime": self.runtime,
            "runtime_model": self.runtime_model,
            "version": self.version,
            "optimization": self.optimization,
            "predicted_bytes": self.predicted_bytes,
            "measured_bytes": self.measured_bytes,
            "exact": self.is_exact,
            "grade": self.grade,
            "first_difference": None
            if first is None
            else {
                "step": first.step,
                "node": first.node,
                "predicted": first.predicted_bytes,
                "measured": first.measured_bytes,
            },
            "steps": {
                "predicted_and_measured": len(self.steps),
                "equal": self.equal_steps,
                "node": [pair.node for pair in self.steps],
                "op": [pair.op for pair in self.steps],
                "predicted": [pair.predicted_bytes for pair in self.steps],
                "measured": [pair.measured_bytes for pair in self.steps],
            },
            "counts": self.counts,
            "method": self.method,
            "others": {
                pair.name: {
                    "predicted": pair.predicted_bytes,
                    "measured": pair.measured_bytes,
                    "definition": pair.definition,
                    "grade": pair.grade,
                }
                for pair in self.others
            },
        }

    @classmethod
    def from_json(cls, document: object, source: str = "the document") -> Verification:
        """Return the verification that was saved as ``document``.

        Raises:
            InputError: It is no verification of this version, or a field is missing or wrong.
        """
        check_schema(document, source, (VERIFICATION_SCHEMA,))
        found = Fields(document, source)
        return cls(
            path=found.text("model"),
            runtime=found.text("runtime"),
            version=found.text("version"),
            optimization=found.text("optimization"),
            predicted_bytes=found.count_or_none("predicted_bytes"),
            measured_bytes=found.count("measured_bytes"),
            counts=found.text("counts"),
            method=found.text("method"),
            steps=_read_steps(found.fields("steps")),
            others=tuple(
                NamedPair(
                    name,
                    pair.count_or_none("predicted"),
                    pair.count_or_none("measured"),
                    pair.text("definition"),
                    _text_if_there(pair, "grade"),
                )
                for name, pair in found.named("others")
            ),
            runtime_model=_text_if_there(found, "runtime_model"),
            grade=_text_if_there(found, "grade"),
        )


def _text_if_there(found: Fields, name: str) -> str:
    """Return a text that documents of older versions do not have, empty if it is not there."""
    return found.text(name) if name in found else ""


def _read_steps(found: Fields) -> tuple[StepPair, ...]:
    columns = (found.texts("op"), found.counts_or_none("predicted"), found.counts_or_none("measured"))
    nodes = found.texts("node")
    if any(len(column) != len(nodes) for column in columns):
        raise found.error("node", "and the columns beside it differ in length")
    return tuple(
        StepPair(step=step, node=node, op=op, predicted_bytes=predicted, measured_bytes=measured)
        for step, (node, op, predicted, measured) in enumerate(zip(nodes, *columns, strict=True))
    )


def pair_steps(
    predicted: Sequence[tuple[str, str, int]], measured: Sequence[tuple[str, str, int]]
) -> tuple[StepPair, ...]:
    """Return both curves side by side.

    Args:
        predicted: (node, kind of operation, bytes) of each step.
        measured: The same of each operation that ran; empty if the measurement shows none.
    """
    if not measured:
        return ()
    pairs: list[StepPair] = []
    for i in range(max(len(predicted), len(measured))):
        ours = predicted[i] if i < len(predicted) else None
        theirs = measured[i] if i < len(measured) else None
        node, op, _ = ours or theirs or ("", "", 0)
        pairs.append(
            StepPair(
                step=i,
                node=node,
                op=op,
                predicted_bytes=None if ours is None else ours[2],
                measured_bytes=None if theirs is None else theirs[2],
            )
        )
    return tuple(pairs)
