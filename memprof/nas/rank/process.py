"""A Gaussian process on codes and bytes that leaves nothing to one choice of its constants.

    accuracy = slope * bytes + f(bytes) + g(code) + noise        all in standard deviations, bytes as a logarithm

    slope    larger networks are more accurate, by 0.4 deviations a deviation, give or take 0.3: a prior that data
             overrule, so that twenty networks already rank no worse than their parameters alone
    f        smooth (squared exponential);  g: linear in the bits, and falling with the distance between codes
    mixture  96 sets of shares, lengths and noises, each weighed by how likely it makes the data; the answer is the
             mean of all, and its deviation holds their disagreement

Averaging costs no cross-validation and does not overfit twenty networks as a single best choice does. (Rasmussen and
Williams, Gaussian Processes for Machine Learning, 2.7 for the mean, 5.4.1 for the evidence, 5.4.2 for leaving out.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from memprof.nas.rank.rankers import Candidate, code_bits

Array = NDArray[np.float64]

SLOPE, SLOPE_DEVIATION = 0.4, 0.3
_LEVEL = 0.1
"""Variance of the mean, which the targets have 0 of by themselves."""
_SHARES = (0.05, 0.25, 0.6)
"""Of f in the variance that is no noise."""
_LINEAR = (0.0, 0.5)
"""Of the linear part in g."""
_LENGTHS = (0.25, 0.6, 1.5, 4.0)
"""Of the distance-dependent part, in mean distances between the codes."""
_NOISES = (0.05, 0.15, 0.4, 0.8)
_MOST_WEIGHED, _MOST_LEARNT = 300, 600
"""Networks that weigh the mixture, and networks learnt from, the newest: costs are cubic in both."""
_LEAST_WEIGHT = 2e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    """Constants of one member of the mixture."""

    share: float
    linear: float
    length: float
    noise: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gaps:
    """What all members need of two sets of networks.

    Attributes:
        falls: By length, how the covariance falls with the distance between the codes.
        products: Of the centred codes.
        bytes_products: Of the scaled logarithms of bytes.
        bytes_kernel: f's covariance.
    """

    falls: Mapping[float, Array]
    products: Array
    bytes_products: Array
    bytes_kernel: Array

    def covariance(self, member: _Member) -> Array:
        """Return the covariance without noise."""
        code = member.linear * self.products + (1 - member.linear) * self.falls[member.length]
        mixed = member.share * self.bytes_kernel + (1 - member.share) * code
        found: Array = (1 - member.noise) * mixed + SLOPE_DEVIATION**2 * self.bytes_products + _LEVEL
        return found


class Scales:
    """Turns networks into numbers, by the ones that are learnt from."""

    def __init__(self, known: Sequence[Candidate]) -> None:
        bits, size = _numbers(known)
        self.middle = bits.mean(axis=0)
        self.size_middle, self.size_deviation = float(size.mean()), float(size.std()) or 1.0
        squares = ((bits - self.middle) ** 2).sum(axis=1)
        self.spread = float(squares.mean()) or 1.0

    def codes(self, candidates: Sequence[Candidate]) -> Array:
        """Return centred bits, a row for each network."""
        found: Array = _numbers(candidates)[0] - self.middle
        return found

    def sizes(self, candidates: Sequence[Candidate]) -> Array:
        """Return the logarithms of the bytes, in deviations."""
        found: Array = (_numbers(candidates)[1] - self.size_middle) / self.size_deviation
        return found

    def gaps(self, one: tuple[Array, Array], other: tuple[Array, Array]) -> _Gaps:
        """Return what lies between networks given as codes and sizes."""
        products = one[0] @ other[0].T
        squares = (one[0] ** 2).sum(axis=1)[:, None] + (other[0] ** 2).sum(axis=1)[None] - 2 * products
        apart = one[1][:, None] - other[1][None]
        distances = np.maximum(squares, 0.0) / (2 * self.spread)  # twice the variance is the mean distance
        return _Gaps(
            falls={length: np.exp(-distances / length) for length in _LENGTHS},
            products=products / self.spread,
            bytes_products=one[1][:, None] * other[1][None],
            bytes_kernel=np.exp(-0.5 * apart**2),
        )


class Process:
    """The mixture, once it has learnt.

    Args:
        known: Networks that were trained.
        targets: Their accuracy, in deviations.
        seed: Of which networks weigh the mixture where there are too many.
    """

    def __init__(self, known: Sequence[Candidate], targets: Array, seed: int) -> None:
        known, targets = known[-_MOST_LEARNT:], targets[-_MOST_LEARNT:]
        self.scales = Scales(known)
        self._known = (self.scales.codes(known), self.scales.sizes(known))
        self._rest = targets - SLOPE * self._known[1]
        chosen = np.sort(np.random.default_rng(seed).permutation(len(targets))[:_MOST_WEIGHED])
        part = (self._known[0][chosen], self._known[1][chosen])
        few = self.scales.gaps(part, part)
        evidence = np.array([_evidence(few.covariance(m), m.noise, self._rest[chosen]) for m in _MEMBERS])
        weights = np.exp(evidence - evidence.max())
        weights /= weights.sum()
        kept = np.flatnonzero(weights > _LEAST_WEIGHT)
        self._weights: Array = weights[kept] / weights[kept].sum()
        self._members = [_MEMBERS[i] for i in kept]
        gaps = self.scales.gaps(self._known, self._known)
        self._inverses = [np.linalg.inv(_with_noise(gaps.covariance(m), m.noise)) for m in self._members]

    def believe(self, asked: Sequence[Candidate]) -> tuple[Array, Array]:
        """Return mean and standard deviation for each network, in deviations of the targets, noise left out."""
        places = (self.scales.codes(asked), self.scales.sizes(asked))
        gaps = self.scales.gaps(places, self._known)
        own = _Gaps(  # of each network with itself
            falls=dict.fromkeys(_LENGTHS, np.ones(len(asked))),
            products=(places[0] ** 2).sum(axis=1) / self.scales.spread,
            bytes_products=places[1] ** 2,
            bytes_kernel=np.ones(len(asked)),
        )
        mean, second = np.zeros(len(asked)), np.zeros(len(asked))
        for weight, member, inverse in zip(self._weights, self._members, self._inverses, strict=True):
            across = gaps.covariance(member)
            said = SLOPE * places[1] + across @ (inverse @ self._rest)
            left = own.covariance(member) - ((across @ inverse) * across).sum(axis=1)
            mean += weight * said
            second += weight * (np.maximum(left, 0.0) + said**2)
        return mean, np.sqrt(np.maximum(second - mean**2, 0.0))

    def left_out(self) -> Array:
        """Return what it would say of each known network had it not learnt that one."""
        found = np.zeros(len(self._rest))
        for weight, inverse in zip(self._weights, self._inverses, strict=True):
            found += weight * (self._rest - (inverse @ self._rest) / np.diag(inverse))
        said: Array = found + SLOPE * self._known[1]
        return said


def _numbers(candidates: Sequence[Candidate]) -> tuple[Array, Array]:
    """Return the bits of all blocks in a row for each network, and the logarithms of their bytes."""
    bits = code_bits(candidates).astype(np.float64)
    size = np.log([max(1, candidate.parameter_bytes) for candidate in candidates])
    return bits.reshape(len(bits), -1), size


def _with_noise(covariance: Array, noise: float) -> Array:
    found: Array = covariance + noise * np.eye(len(covariance))
    return found


def _evidence(covariance: Array, noise: float, rest: Array) -> float:
    """Return the logarithm of how likely the data are, but for a constant.

    With the data as one more row and column, that row of the factor is they, solved by the others: numpy alone knows
    no way to solve a triangle. The corner is large enough, for no covariance here has less than the noise.
    """
    count = len(rest)
    bordered = np.empty((count + 1, count + 1))
    bordered[:count, :count] = _with_noise(covariance, noise)
    bordered[count, :count] = bordered[:count, count] = rest
    bordered[count, count] = rest @ rest / noise + 1
    lower = np.linalg.cholesky(bordered)
    solved = lower[count, :count]
    return float(-0.5 * solved @ solved - np.log(np.diag(lower)[:count]).sum())


_MEMBERS = tuple(
    _Member(share=share, linear=linear, length=length, noise=noise)
    for share, linear, length, noise in product(_SHARES, _LINEAR, _LENGTHS, _NOISES)
)
