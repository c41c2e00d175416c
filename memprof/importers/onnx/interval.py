"""The least and the largest that the elements of a tensor are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    _Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Interval:
    """The least and the largest that elements are, in the tensor's shape if it is small, else one pair for all.

    Infinite where nothing bounds them.
    """

    low: _Array
    high: _Array

    def highest(self) -> list[int]:
        """Return the largest of each element.

        Raises:
            ValueError: Nothing bounds one.
        """
        return _whole(self.high)

    def lowest(self) -> list[int]:
        """Return the least of each element.

        Raises:
            ValueError: Nothing bounds one.
        """
        return _whole(self.low)


def _whole(numbers: _Array) -> list[int]:
    try:
        return [int(number) for number in numbers.reshape(-1).tolist()]
    except OverflowError as error:  # infinite
        raise ValueError("nothing bounds it") from error


Between = Callable[[str], Interval]
"""The interval of a tensor by its name."""
