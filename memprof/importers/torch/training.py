"""How a training step is made: a record that needs no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

OPTIMIZER_NAMES = ("sgd", "momentum", "adam", "adamw")
"""Optimisers by name, with PyTorch's defaults; ``momentum`` is SGD with momentum 0.9."""


@dataclass(frozen=True, slots=True)
class Training:
    """How a training step is made.

    Attributes:
        optimizer: One of ``OPTIMIZER_NAMES``, or a function from a list of parameters to an optimiser; ``None`` for
            the forward and the backward pass alone.
        loss: From the module's output to a scalar tensor; ``None`` for the mean square of all floating outputs.
    """

    optimizer: str | Callable[[list[Any]], Any] | None = None
    loss: Callable[[Any], Any] | None = None
