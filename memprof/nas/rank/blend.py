"""The ranker of the quick preset: a Gaussian process with a prior on bytes, and trees once there is enough to split.

    few networks    the process alone (``memprof.nas.rank.process``)
    from 20 on      more and more of extremely randomised trees (Geurts, Ernst and Wehenkel, 2006), as far as both say
                    of networks that they did not learn from: leave-one-out for the process, out-of-bag for the trees

Trees learn what the bytes' slope leaves over, so that they, too, start from the prior. The weight is that of least
squares, 0.6 at most. (Caruana et al., 2004, choose ensembles so.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memprof.nas.rank.one_thread import one_thread
from memprof.nas.rank.process import SLOPE, Process
from memprof.nas.rank.rankers import Candidate, History, Predictor, code_bits, standardize

Array = NDArray[np.float64]
_TREES, _TREES_JUDGED = 100, 40
_FROM, _FULL = 20, 80
"""Networks from which trees have a weight, and from which they have all that they earn."""
_MOST = 0.6


@dataclass(frozen=True, slots=True)
class Belief:
    """What a ranker holds of networks that are not trained yet, in standard deviations of a round.

    Attributes:
        means: Of each network.
        deviations: How unsure it is of each; all 0 from a ranker that cannot tell.
    """

    means: tuple[float, ...]
    deviations: tuple[float, ...]


def fit_blend(history: History, seed: int) -> Predictor:
    """Return the blend's means; the same history and seed give the same scores."""
    believe = fit_belief(history, seed)
    return lambda candidates: list(believe(candidates).means)


def fit_belief(history: History, seed: int) -> Callable[[Sequence[Candidate]], Belief]:
    """Return a function from networks to means and deviations."""
    known = [candidate for found in history for candidate in found.candidates]
    targets = np.concatenate([standardize(found.scores) for found in history])
    with one_thread():
        process = Process(known, targets, seed)
        trees, weight = _trees(process, known, targets, seed)

    def believe(candidates: Sequence[Candidate]) -> Belief:
        if not candidates:
            return Belief((), ())
        with one_thread():
            means, deviations = process.believe(candidates)
            if weight:
                means = (1 - weight) * means + weight * trees(candidates)
        return Belief(tuple(means.tolist()), tuple(deviations.tolist()))

    return believe


def _trees(
    process: Process, known: Sequence[Candidate], targets: Array, seed: int
) -> tuple[Callable[[Sequence[Candidate]], Array], float]:
    """Return the trees and their weight in the blend."""
    ramp = min(1.0, (len(targets) - _FROM) / (_FULL - _FROM))
    if ramp <= 0:
        return (lambda asked: np.zeros(len(asked))), 0.0
    from sklearn.ensemble import ExtraTreesRegressor

    inputs, sizes = _features(known), process.scales.sizes(known)
    rest = targets - SLOPE * sizes
    judged = ExtraTreesRegressor(_TREES_JUDGED, max_features=0.5, bootstrap=True, random_state=seed, n_jobs=1)
    judged.fit(inputs, rest)
    unseen = np.ones((len(targets), _TREES_JUDGED), dtype=bool)
    for i, drawn in enumerate(judged.estimators_samples_):
        unseen[drawn, i] = False
    said = np.stack([tree.predict(inputs) for tree in judged.estimators_], axis=1)
    left_out = SLOPE * sizes + (said * unseen).sum(axis=1) / np.maximum(unseen.sum(axis=1), 1)
    # Those that predict learn from all networks: they are better than those that judge, so the weight is low enough.
    model = ExtraTreesRegressor(_TREES, max_features=0.5, random_state=seed, n_jobs=1).fit(inputs, rest)
    told = slice(len(targets) - len(process.left_out()), None)
    weight = ramp * _weight(process.left_out(), left_out[told], targets[told])

    def predict(asked: Sequence[Candidate]) -> Array:
        found: Array = model.predict(_features(asked)) + SLOPE * process.scales.sizes(asked)
        return found

    return predict, weight


def _weight(one: Array, other: Array, targets: Array) -> float:
    """Return the share of ``other`` with which both together come nearest to the targets: 0 to 0.6."""
    apart = other - one
    square = float(apart @ apart)
    return min(_MOST, max(0.0, float(apart @ (targets - one)) / square)) if square > 0 else 0.0


def _features(candidates: Sequence[Candidate]) -> Array:
    """Return codes, their sums over the blocks and the logarithm of the bytes, a row for each candidate."""
    bits = code_bits(candidates).astype(np.float64)
    size = np.log([max(1, candidate.parameter_bytes) for candidate in candidates])
    sums = bits.sum(axis=1) if bits.shape[1] > 1 else bits[:, 0, :0]
    return np.concatenate([bits.reshape(len(bits), -1), sums, size[:, None]], axis=1)
