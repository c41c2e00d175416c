"""How a network is trained, as numbers: the paper's recipe by default (MemNAS, CVPR 2020, section 4.1).

The paper does not give the restart periods: here 4, 8, 16 and 32 epochs, which make up the 60.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a network is trained.

    Attributes:
        epochs: Passes over the training images.
        batch: Images per step.
        learning_rate: At the start of each cycle.
        momentum: Of SGD.
        first_cycle: Epochs of the first cosine cycle; each next one is twice as long.
    """

    epochs: int = 60
    batch: int = 128
    learning_rate: float = 0.01
    momentum: float = 0.9
    first_cycle: int = 4

    def rate_at(self, epoch: float) -> float:
        """Return the learning rate at a point of training, in epochs.

        >>> recipe = Recipe()
        >>> recipe.rate_at(0), round(recipe.rate_at(2), 6), recipe.rate_at(4)
        (0.01, 0.005, 0.01)
        """
        start, length = 0, self.first_cycle
        while epoch >= start + length:
            start, length = start + length, 2 * length
        return self.learning_rate * 0.5 * (1 + cos(pi * (epoch - start) / length))
