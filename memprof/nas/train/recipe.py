"""How a network is trained, as numbers: the paper's recipe by default (MemNAS, CVPR 2020, section 4.1).

The paper does not give the restart periods: here 4, 8, 16 and 32 epochs, which make up the 60. Whatever the number of
epochs, the last cycle ends with them: a network that is scored in the middle of one is scored at a high rate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import cos, inf, pi

RISING_SHARE = 0.15
"""Part of a single cycle in which the rate rises."""


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
        warm_up: Epochs in which the rate rises from 0 before the first cycle falls; less than that cycle.

    Raises:
        ValueError: There is no epoch, image or rate, a share is none, or the rate rises for too long.
    """

    epochs: int = 60
    batch: int = 128
    learning_rate: float = 0.01
    momentum: float = 0.9
    first_cycle: int = 4
    label_smoothing: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False
    warm_up: float = 0.0

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch, self.first_cycle) < 1 or not self.learning_rate > 0:
            raise ValueError("a recipe has at least an epoch, an image a step, a cycle, and a learning rate above 0")
        if not 0 <= self.label_smoothing < 1 or not 0 <= self.weight_decay < 1 or not 0 <= self.momentum < 1:
            raise ValueError("label smoothing, weight decay and momentum are 0 or more and less than 1")
        if not 0 <= self.warm_up < min(self.first_cycle, self.epochs):
            raise ValueError("the rate rises for 0 epochs or more, and for fewer than the first cycle has")

    def with_batch(self, batch: int) -> Recipe:
        """Return the recipe with another batch and a learning rate in proportion (Goyal et al., arXiv 1706.02677).

        >>> Recipe().with_batch(512).learning_rate
        0.04
        """
        return replace(self, batch=batch, learning_rate=self.learning_rate * batch / self.batch)

    def in_one_cycle(self, epochs: int) -> Recipe:
        """Return the recipe with a single rise and fall of the rate (Smith and Topin, arXiv 1708.07120).

        >>> recipe = Recipe().in_one_cycle(20)
        >>> recipe.cycle_ends, recipe.rate_at(0), recipe.rate_at(3), recipe.rate_at(20 - 8.5)
        ((20,), 0.0, 0.01, 0.005)
        """
        return replace(self, epochs=epochs, first_cycle=epochs, warm_up=RISING_SHARE * epochs)

    def leads_like(self, other: Recipe, epochs: int) -> bool:
        """Return whether training by ``other`` is the same for some epochs.

        >>> Recipe(epochs=4).leads_like(Recipe(epochs=12), 4), Recipe(epochs=4).leads_like(Recipe(epochs=5), 4)
        (True, False)
        """
        moments = (quarter / 4 for quarter in range(4 * epochs))
        alike = replace(other, epochs=self.epochs, first_cycle=self.first_cycle, warm_up=self.warm_up)
        return alike == self and all(self.rate_at(m) == other.rate_at(m) for m in moments)

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
        if epoch < self.warm_up:
            return self.learning_rate * epoch / self.warm_up
        start = max((end for end in self.cycle_ends if end <= epoch), default=self.warm_up)
        length = next(end for end in (*self.cycle_ends, inf) if end > epoch) - start
        return self.learning_rate * 0.5 * (1 + cos(pi * (epoch - start) / length))
