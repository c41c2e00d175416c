"""What a caller may say of a run, as records and names that need no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

OPTIMIZER_NAMES = ("sgd", "momentum", "adam", "adamw")
"""Optimisers by name, with PyTorch's defaults; ``momentum`` is SGD with momentum 0.9."""

TORCH_DTYPES = frozenset(
    {"bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64"}
    | {"complex64", "complex128"}
)
"""Element types that an input of a module can be said to have."""


@dataclass(frozen=True, slots=True)
class Training:
    """How a training step is made.

    Attributes:
        optimizer: One of ``OPTIMIZER_NAMES``, or a function from a list of parameters to an optimiser; ``None`` for
            the forward and the backward pass alone.
        loss: From the module's output to a scalar tensor; ``None`` for the mean square of all floating outputs.
        checkpointing: Whether activations of repeated blocks are computed again in the backward pass, not kept.
    """

    optimizer: str | Callable[[list[Any]], Any] | None = None
    loss: Callable[[Any], Any] | None = None
    checkpointing: bool = False
