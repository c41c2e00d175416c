"""What a real run needed: one frozen record, whatever the runtime. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MeasuredStep:
    """One operation that ran.

    Attributes:
        node: Its name as the runtime reports it.
        op: Kind of operation.
        live_bytes: Bytes alive once it has written its outputs and before its inputs are released.
        most_bytes: Most bytes alive while it ran, what it took and gave back in between included; ``None`` if the
            method does not see that.
    """

    node: str
    op: str
    live_bytes: int
    most_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What a real run needed.

    Attributes:
        runtime: ``onnxruntime`` or ``pytorch``.
        version: The runtime's version.
        method: How it was measured, in a few words.
        counts: What is in the bytes and what is not, in one sentence.
        peak_bytes: The highest sum of live bytes.
        steps: The operations in the order they ran; empty if the method does not show them.
    """

    runtime: str
    version: str
    method: str
    counts: str
    peak_bytes: int
    steps: tuple[MeasuredStep, ...] = ()
