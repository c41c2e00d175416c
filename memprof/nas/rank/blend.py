"""A blend of three simple rankers, weighed by cross-validation on the history that it learns from.

    ridge            on the codes, their sums over the blocks and the logarithm of the bytes
    Gaussian process on the same, its length and noise by leave-one-out error in closed form
    trees            200 extremely randomised ones (Geurts, Ernst and Wehenkel, 2006)

Each is trained on all but a fifth, five times; the weights are those of least squares, none negative, of what they
say of the fifths left out. With fewer than ten networks to learn from all weigh the same. (Caruana et al., 2004,
choose ensembles so; Rasmussen and Williams, Gaussian Processes for Machine Learning, 5.4.2, has the closed form.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from memprof.nas.rank.rankers import PENALTIES, Candidate, History, Predictor, code_bits, standardize

Array = NDArray[np.float64]
_Model = Callable[[Array], Array]
_LEAST_FOR_WEIGHTS = 10
_FOLDS = 5
_LENGTHS = (0.5, 1.0, 2.0, 4.0, 8.0)
_NOISES = (0.05, 0.15, 0.4, 1.0)


def fit_blend(history: History, seed: int) -> Predictor:
    """Return the blend; the same history and seed give the same scores."""
    inputs = np.concatenate([_features(found.candidates) for found in history])
    targets = np.concatenate([standardize(found.scores) for found in history])
    mean, deviation = inputs.mean(axis=0), inputs.std(axis=0)
    is_telling = deviation > 0
    scale = np.where(is_telling, deviation, 1.0)

    def scaled(values: Array) -> Array:
        found: Array = ((values - mean) / scale)[:, is_telling]
        return found

    known = scaled(inputs)
    weights = _weights(known, targets, seed)
    models = [fit(known, targets, seed) for fit in _FITS]

    def predict(candidates: Sequence[Candidate]) -> list[float]:
        asked = scaled(_features(candidates))
        total: Array = sum(
            (weight * model(asked) for weight, model in zip(weights, models, strict=True)), np.zeros(len(asked))
        )
        return [float(score) for score in total]

    return predict


def _features(candidates: Sequence[Candidate]) -> Array:
    """Return codes, their sums over the blocks and the logarithm of the bytes, a row for each candidate."""
    bits = code_bits(candidates).astype(np.float64)
    size = np.log([max(1, candidate.parameter_bytes) for candidate in candidates])
    return np.concatenate([bits.reshape(len(bits), -1), bits.sum(axis=1), size[:, None]], axis=1)


def _weights(inputs: Array, targets: Array, seed: int) -> Array:
    equal = np.full(len(_FITS), 1 / len(_FITS))
    if len(targets) < _LEAST_FOR_WEIGHTS:
        return equal
    fold = np.random.default_rng(seed).permutation(len(targets)) % _FOLDS
    said = np.zeros((len(targets), len(_FITS)))
    for i in range(_FOLDS):
        kept, left = fold != i, fold == i
        for j, fit in enumerate(_FITS):
            said[left, j] = fit(inputs[kept], targets[kept], seed)(inputs[left])
    # A tenth of the weight is spread evenly: few networks tell the three apart by chance alone.
    found = _least_squares(said, targets)
    return 0.9 * found / found.sum() + 0.1 * equal if found.sum() > 0 else equal


def _least_squares(inputs: Array, targets: Array) -> Array:
    """Return the weights of least squares of which none is negative: the best of all subsets, of so few columns."""
    count = inputs.shape[1]
    best_error, best = float(np.mean(targets**2)), np.zeros(count)
    for size in range(1, count + 1):
        for columns in combinations(range(count), size):
            part = inputs[:, columns]
            weights = np.linalg.lstsq(part, targets, rcond=None)[0]
            error = float(np.mean((part @ weights - targets) ** 2))
            if weights.min() >= 0 and error < best_error:
                best_error, best = error, np.zeros(count)
                best[list(columns)] = weights
    return best


def _fit_ridge(inputs: Array, targets: Array, seed: int) -> _Model:
    centre, mean = inputs.mean(axis=0), targets.mean()
    left, singular, right = np.linalg.svd(inputs - centre, full_matrices=False)
    along = left.T @ (targets - mean)
    best_error, best = np.inf, np.zeros(inputs.shape[1])
    for penalty in PENALTIES:
        shrink = singular**2 / (singular**2 + penalty)
        leverage = (left**2) @ shrink + 1 / len(targets)
        residual = (targets - mean - left @ (shrink * along)) / np.maximum(1 - leverage, 1e-6)
        if (error := float(np.mean(residual**2))) < best_error:
            best_error, best = error, right.T @ (singular / (singular**2 + penalty) * along)
    weights, offset = best, mean
    return lambda asked: (asked - centre) @ weights + offset


def _fit_process(inputs: Array, targets: Array, seed: int) -> _Model:
    mean = targets.mean()
    gaps = _distances(inputs, inputs)
    best_error, best = np.inf, (_LENGTHS[0], np.zeros(len(targets)))
    for length in _LENGTHS:
        kernel = np.exp(-gaps / length)
        for noise in _NOISES:
            inverse = np.linalg.inv(kernel + noise * np.eye(len(targets)))
            coefficients = inverse @ (targets - mean)
            error = float(np.mean((coefficients / np.diag(inverse)) ** 2))
            if error < best_error:
                best_error, best = error, (length, coefficients)
    length, coefficients = best
    return lambda asked: np.exp(-_distances(asked, inputs) / length) @ coefficients + mean


def _distances(one: Array, other: Array) -> Array:
    """Return the distance of each pair, as a share of what features of unit variance are apart."""
    squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None] - 2 * one @ other.T
    found: Array = np.sqrt(np.maximum(squares, 0.0) / max(1, one.shape[1]))
    return found


def _fit_trees(inputs: Array, targets: Array, seed: int) -> _Model:
    from sklearn.ensemble import ExtraTreesRegressor

    model = ExtraTreesRegressor(n_estimators=200, max_features=0.5, random_state=seed, n_jobs=1)
    model.fit(inputs, targets)
    return lambda asked: np.asarray(model.predict(asked), dtype=np.float64)


_FITS = (_fit_ridge, _fit_process, _fit_trees)
