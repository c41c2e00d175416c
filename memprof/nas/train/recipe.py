"""How a network is trained, as numbers: the paper's recipe by default (MemNAS, CVPR 2020, section 4.1).

The paper does not give the restart periods: here 4, 8, 16 and 32 epochs, which make up the 60. Whatever the number of
epochs, the last cycle ends with them: a network that is scored in the middle of one is scored at a high rate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import cos, inf, pi


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is trained.

    Attributes:
        epochs: Passes over the training images.
        batch: Images per step.
        learning_rate: At the start of each cycle.
        momentum: Of SGD.
        first_cycle: Epochs of the first cosine cycle; each next one is twice as long, the last ends with the epochs.
        label_smoothing: Share of a label that all classes get.
        weight_decay: Share of each weight that its gradient pulls back.
        nesterov: Whether a step looks ahead along the momentum.

    Raises:
        ValueError: There is no epoch, image or rate, or a share is none.
    """

    epochs: int = 60
    batch: int = 128
    learning_rate: float = 0.01
    momentum: float = 0.9
    first_cycle: int = 4
    label_smoothing: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch, self.first_cycle) < 1 or not self.learning_rate > 0:
            raise ValueError("a recipe has at least an epoch, an image a step, a cycle, and a learning rate above 0")
        if not 0 <= self.label_smoothing < 1 or not 0 <= self.weight_decay < 1 or not 0 <= self.momentum < 1:
            raise ValueError("label smoothing, weight decay and momentum are 0 or more and less than 1")

    def with_batch(self, batch: int) -> Recipe:
        """Return the recipe with another batch and a learning rate in proportion (Goyal et al., arXiv 1706.02677).

        >>> Recipe().with_batch(512).learning_rate
        0.04
        """
        return replace(self, batch=batch, learning_rate=self.learning_rate * batch / self.batch)

    @cached_property
    def cycle_ends(self) -> tuple[int, ...]:
        """Epochs at which a cycle ends, where the rate is 0: the moments at which networks can be compared fairly.

        A rest of epochs too short for a cycle of its own lengthens the last one.

        >>> Recipe().cycle_ends, Recipe(epochs=6, first_cycle=2).cycle_ends, Recipe(epochs=13).cycle_ends
        ((4, 12, 28, 60), (2, 6), (4, 13))
        """
        ends, length = [0], self.first_cycle
        while self.epochs - ends[-1] >= length:
            ends.append(ends[-1] + length)
            length = min(2 * length, max(length, self.epochs - ends[-1]))
        return (*ends[1:-1], self.epochs)

    def rate_at(self, epoch: float) -> float:
        """Return the learning rate at a point of training, in epochs.

        >>> recipe = Recipe()
        >>> recipe.rate_at(0), round(recipe.rate_at(2), 6), recipe.rate_at(4)
        (0.01, 0.005, 0.01)
        """
        start = max((end for end in self.cycle_ends if end <= epoch), default=0)
        length = next(end for end in (*self.cycle_ends, inf) if end > epoch) - start
        return self.learning_rate * 0.5 * (1 + cos(pi * (epoch - start) / length))
