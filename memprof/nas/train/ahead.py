"""Images decoded by threads before they are asked for, bounded in memory: a saving of time, never another image."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from torch import Tensor

from memprof.base.processes import usable_cores

_MOST_THREADS = 8
_BYTES_AHEAD = 128 * 1024**2
"""Of pixels that wait to be asked for."""


class Ahead:
    """Decodes what is foreseen.

    Args:
        decode: Returns the pixels of an image by its place; may run in several threads.
        image_bytes: Bytes of one image's pixels.
    """

    def __init__(self, decode: Callable[[int], Tensor], image_bytes: int) -> None:
        self._decode = decode
        self._most = max(1, _BYTES_AHEAD // max(1, image_bytes))
        self._threads: ThreadPoolExecutor | None = None
        self._coming: deque[int] = deque()
        self._begun: dict[int, Future[Tensor]] = {}

    def foresee(self, order: Sequence[int]) -> None:
        """Begin with the images that will be asked for, in this order; those foreseen before are forgotten."""
        for future in self._begun.values():
            future.cancel()
        self._begun.clear()
        self._coming = deque(order)
        self._fill()

    def take(self, places: Sequence[int]) -> list[Tensor]:
        """Return the pixels of some images, foreseen or not; waits for those that are not decoded yet.

        Raises:
            InputError: One cannot be read.
        """
        found = {
            place: self._begun.pop(place) if place in self._begun else self._begin(place)
            for place in dict.fromkeys(places)
        }
        self._fill()
        return [found[place].result() for place in places]

    def _fill(self) -> None:
        while self._coming and len(self._begun) < self._most:
            place = self._coming.popleft()
            if place not in self._begun:
                self._begun[place] = self._begin(place)

    def _begin(self, place: int) -> Future[Tensor]:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(min(_MOST_THREADS, usable_cores()))
        return self._threads.submit(self._decode, place)
