"""Two curves side by side: neither is cut to the other."""

from __future__ import annotations

import pytest

from memprof.results.verification import Verification, pair_steps

SHORT = [("a", "Exp", 16), ("b", "Neg", 48)]
LONG = [*SHORT, ("c", "Abs", 64)]


def verification(predicted: list[tuple[str, str, int]], measured: list[tuple[str, str, int]]) -> Verification:
    return Verification(
        path="m.onnx",
        runtime="onnxruntime",
        version="1",
        optimization="off",
        predicted_bytes=64,
        measured_bytes=64,
        counts="",
        method="",
        steps=pair_steps(predicted, measured),
    )


@pytest.mark.parametrize(
    ("predicted", "measured", "last"), [(SHORT, LONG, (None, 64)), (LONG, SHORT, (64, None)), (LONG, LONG, (64, 64))]
)
def test_steps_of_the_longer_curve_stay(
    predicted: list[tuple[str, str, int]], measured: list[tuple[str, str, int]], last: tuple[int | None, int | None]
) -> None:
    found = verification(predicted, measured)
    assert [(pair.step, pair.node, pair.op) for pair in found.steps] == [
        (0, "a", "Exp"),
        (1, "b", "Neg"),
        (2, "c", "Abs"),
    ]
    assert (found.steps[-1].predicted_bytes, found.steps[-1].measured_bytes) == last
    first = found.first_difference
    assert (None if first is None else first.step) == (None if predicted == measured else 2)
    assert found.equal_steps == (3 if predicted == measured else 2)


def test_a_measurement_without_steps_pairs_none() -> None:
    assert pair_steps(LONG, []) == ()
