"""One interface for everything that ranks candidates before they are trained, and the simple rivals.

    fit(history, seed) -> predictor;  predictor(candidates) -> one score each, more is better

A history is a list of rounds; a round holds the candidates that were trained and what is predicted: in a search their
accuracy, to which the bytes are added, for those are exact. Scores are in standard deviations of a round. ``guard``
gives all rankers the same corners: an empty history is an error, no candidates have no scores. The neural ones live
in ``memprof.nas.rank.controller``; here are the ones every neural one must beat: ridge regression on the paper's
codes, the parameter count alone, and chance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Predictor = Callable[[Sequence["Candidate"]], list[float]]
"""Scores of candidates that are not trained yet, in their order; more is better."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a ranker may know of a network that is not trained yet.

    Attributes:
        codes: The 0/1 code of each block (``memprof.nas.space.encoding``), all of one length.
        parameter_bytes: Its parameters.
    """

    codes: tuple[str, ...]
    parameter_bytes: int


@dataclass(frozen=True, slots=True)
class RankedRound:
    """Candidates of one round that were trained, and the metric of each.

    Raises:
        ValueError: Not one score per candidate, or none.
    """

    candidates: tuple[Candidate, ...]
    scores: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.candidates) != len(self.scores) or not self.scores:
            raise ValueError("a round has one score for each of its candidates, and at least one")


History = Sequence[RankedRound]
Fit = Callable[[History, int], Predictor]

PENALTIES = tuple(float(penalty) for penalty in np.logspace(-2, 3, 16))
"""What ridge regression chooses from: next to none on 0/1 codes, up to nearly all of the signal."""


def guard(fit: Fit) -> Fit:
    """Return ``fit`` with the corners that every ranker shares.

    Raises:
        ValueError: From the returned function: the history is empty.
    """

    def guarded(history: History, seed: int) -> Predictor:
        if not history:
            raise ValueError("a ranker learns from trained rounds; the history is empty")
        predictor = fit(history, seed)
        return lambda candidates: predictor(candidates) if candidates else []

    return guarded


def fit_random(history: History, seed: int) -> Predictor:
    """Return a predictor that knows nothing. Seed, rounds so far and number of candidates decide the scores."""
    # A generator per call: a prediction may not depend on those before it.
    return lambda candidates: np.random.default_rng((seed, len(history))).standard_normal(len(candidates)).tolist()


def fit_parameters(history: History, seed: int) -> Predictor:
    """Return a predictor by parameter count alone, in the direction in which it went with the metric so far."""
    pairs = [
        (
            candidate.parameter_bytes - _mean([c.parameter_bytes for c in found.candidates]),
            score - _mean(found.scores),
        )
        for found in history
        for candidate, score in zip(found.candidates, found.scores, strict=True)
    ]
    sign = -1.0 if sum(a * b for a, b in pairs) < 0 else 1.0
    known = [candidate.parameter_bytes for found in history for candidate in found.candidates]
    middle, deviation = _mean(known), float(np.std(known)) or 1.0
    return lambda candidates: [sign * (candidate.parameter_bytes - middle) / deviation for candidate in candidates]


def fit_ridge(history: History, seed: int) -> Predictor:
    """Return ridge regression on the codes, scores standardised by round, penalty by leave-one-out error.

    The mean of the scores is not penalised. The error is exact without refitting: residual / (1 - leverage), from one
    singular value decomposition (Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, 7.10.1).
    """
    inputs = np.concatenate([features(found.candidates) for found in history])
    targets = np.concatenate([standardize(found.scores) for found in history])
    mean = inputs.mean(axis=0)
    centred = inputs - mean
    left, singular, right = np.linalg.svd(centred, full_matrices=False)
    best_error, weights = np.inf, np.zeros(inputs.shape[1])
    for penalty in PENALTIES:
        shrink = singular**2 / (singular**2 + penalty)
        leverage = (left**2) @ shrink + 1 / len(targets)
        residual = (targets - left @ (shrink * (left.T @ targets))) / np.maximum(1 - leverage, 1e-6)
        error = float(np.mean(residual**2))
        if error < best_error:
            best_error = error
            weights = right.T @ (singular / (singular**2 + penalty) * (left.T @ targets))
    return lambda candidates: ((features(candidates) - mean) @ weights).tolist()


def code_bits(candidates: Sequence[Candidate]) -> NDArray[np.uint8]:
    """Return the codes of at least one candidate as 0 and 1, shape (candidates, blocks, bits).

    Raises:
        ValueError: The candidates differ in their number of blocks, or the codes in their length.
    """
    shapes = {(len(candidate.codes), len(code)) for candidate in candidates for code in candidate.codes}
    if len(shapes) != 1:
        raise ValueError(f"codes compare only in one shape (blocks, bits), not in {sorted(shapes)}")
    # One buffer, not one number at a time: a search ranks ten thousand candidates of a thousand bits.
    text = "".join(code for candidate in candidates for code in candidate.codes).encode("ascii")
    bits: NDArray[np.uint8] = np.frombuffer(text, dtype=np.uint8) - np.uint8(ord("0"))
    return bits.reshape(len(candidates), *shapes.pop())


def features(candidates: Sequence[Candidate]) -> NDArray[np.float64]:
    """Return the codes as numbers, shape (candidates, blocks * bits)."""
    return code_bits(candidates).reshape(len(candidates), -1).astype(np.float64)


def standardize(scores: Sequence[float]) -> NDArray[np.float64]:
    """Return ``scores`` with mean 0 and deviation 1; all 0 where they do not differ."""
    values = np.asarray(scores, dtype=np.float64)
    deviation = values.std()
    standardized: NDArray[np.float64] = (values - values.mean()) / (deviation if deviation > 0 else 1.0)
    return standardized


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
