"""The largest size that fits: found from the formula, proven by the model at that size and at the next.

    bytes                        x  does not fit: the next size
     limit ----------------------------
                              o      fits: the answer
                    .  .  .          the polynomial through the three nearest sizes that were evaluated
           o  o  o
           +-------------------- size

The first three sizes, from the least at which the model runs, give a polynomial, it gives a guess, and the model is
asked at the guess and beside it. A guess that is too large gives the slope there, and with it the next guess, as
Newton's method does; after eight guesses the bracket is halved. What a size takes is taken to grow with the size:
below the answer nothing is asked again.
Complexity: about 5 evaluations for one polynomial, else at most twice the logarithm of the answer and 16 more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor

from memprof.analysis.pieces import Piece, polynomial
from memprof.results.fit import Taken

MAX_SIZE = 2**24
"""No larger size is asked about."""

_GUESSES = 8
_LARGEST_LEAST = 1024
_FARTHEST = 4096  # times the largest size that is known to fit: a flat beginning says little of what comes


@dataclass(frozen=True, slots=True)
class Bracket:
    """The largest size that is known to fit, the next one if it is known not to, and every size that was asked."""

    largest: Taken | None
    following: Taken | None
    taken: Mapping[int, Taken]


def find_least(is_possible: Callable[[int], bool], step: int) -> int | None:
    """Return the least multiple of ``step`` that is possible, if all above one are; ``None`` if none is found.

    Args:
        is_possible: Whether the model has such a size.
        step: From one size to the next.
    """
    high = 1
    while not is_possible(high * step):
        high *= 2
        if high * step > _LARGEST_LEAST:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_possible(middle * step) else (middle, high)
    return high * step


def find_largest(ask: Callable[[int], Taken], step: int, limit_bytes: int, least: int = 1) -> Bracket:
    """Return the largest multiple of ``step`` that fits.

    Args:
        ask: What a size takes.
        step: From one size to the next.
        limit_bytes: What the formula is held against.
        least: No smaller size is asked about.
    """
    first = -(-least // step)
    found = _Search(ask, step, limit_bytes, first)
    for count in (first, first + 1, first + 2):  # they make the first polynomial
        if not found.narrow(count) or found.is_done:
            return found.bracket()
    while not found.is_done and found.narrow(found.next_guess()):
        # a guess is often the answer or the one behind it: its neighbour decides
        if not found.is_done and not found.narrow(found.neighbour()):
            break
    return found.bracket()


class _Search:
    """The bracket while it is narrowed; sizes are counted in steps."""

    def __init__(self, ask: Callable[[int], Taken], step: int, limit_bytes: int, first: int) -> None:
        self._ask = ask
        self._step = step
        self._limit_bytes = limit_bytes
        self._taken: dict[int, Taken] = {}
        self._low = first - 1
        self._high: int | None = None
        self._most = max(first + 2, MAX_SIZE // step)
        self._guesses = 0
        self._last = 0

    @property
    def is_done(self) -> bool:
        """Whether the answer and the one behind it are known."""
        return self._low >= self._most if self._high is None else self._high - self._low <= 1

    def narrow(self, count: int) -> bool:
        """Ask about one more size; return whether it is known if that fits."""
        found = self._taken.get(count)
        if found is None:
            found = self._taken[count] = self._ask(count * self._step)
        self._last = count
        if found.fits:
            self._low = max(self._low, count)
        else:
            self._high = count if self._high is None else min(self._high, count)
        return found.fits is not None

    def next_guess(self) -> int:
        """Return the size to ask about: where a polynomial meets the limit, else the middle, or twice as much."""
        self._guesses += 1
        points = sorted((n, found.size_bytes) for n, found in self._taken.items() if found.size_bytes is not None)
        above = [point for point in points if point[0] > self._low][:2]
        if self._guesses > _GUESSES:
            guess = self._low * 2 if self._high is None else (self._low + self._high) // 2
        elif len(above) == 2:  # the last one was too large: the slope there, as Newton would
            guess = _line_meets(above, self._limit_bytes)
        else:
            near = [point for point in points if point[0] <= self._low][-3:]
            guess = min(_meets(near, self._limit_bytes, self._low), self._low * _FARTHEST)
        return self._inside(guess)

    def neighbour(self) -> int:
        """Return the size beside the last one, on the side where the answer lies."""
        return self._inside(self._last + (1 if self._last == self._low else -1))

    def bracket(self) -> Bracket:
        """Return what is known."""
        return Bracket(
            self._taken.get(self._low),
            None if self._high is None else self._taken[self._high],
            {found.size: found for found in self._taken.values()},
        )

    def _inside(self, count: int) -> int:
        return max(self._low + 1, min(count, self._most if self._high is None else self._high - 1))


def _line_meets(points: Sequence[tuple[int, int]], limit_bytes: int) -> int:
    """Return the largest size for which the line through two points stays within the limit."""
    (size, size_bytes), (after, after_bytes) = points
    slope = Fraction(after_bytes - size_bytes, after - size)
    return size if slope <= 0 else size + floor((limit_bytes - size_bytes) / slope)


def _meets(points: Sequence[tuple[int, int]], limit_bytes: int, low: int) -> int:
    """Return how far the polynomial through three points stays within the limit, from ``low`` on."""
    constant, slope, bend = polynomial(points)
    first, last = low, MAX_SIZE
    while last - first > 1:
        middle = (first + last) // 2
        if constant + middle * (slope + middle * bend) <= limit_bytes:
            first = middle
        else:
            last = middle
    return first


def formula_around(found: Bracket) -> Piece | None:
    """Return the polynomial through the last sizes that fit if the answer and the next size lie on it too."""
    if found.largest is None or found.following is None or found.following.size_bytes is None:
        return None
    ends = (found.largest, found.following)
    sizes = sorted(size for size, taken in found.taken.items() if taken.size_bytes is not None)
    before = [size for size in sizes if size < found.largest.size][-3:]
    if len(before) < 3:
        return None
    coefficients = polynomial([(size, found.taken[size].size_bytes or 0) for size in before])
    piece = Piece(first=before[0], last=ends[1].size, coefficients=coefficients, checks=len(ends))
    is_true = all(piece.exactly_at(taken.size) == taken.size_bytes for taken in ends)
    return piece if is_true else None
