"""Gradient descent with momentum whose rate is a tensor on the device: a captured step reads it anew each time.

    g = gradient + decay * weight;  v = momentum * v + g;  weight -= rate * (g + momentum * v  if Nesterov, else v)

The same rule as ``torch.optim.SGD`` (Sutskever et al., ICML 2013), which takes its rate from Python.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from memprof.base.errors import InputError
from memprof.nas.train.recipe import Recipe


class Descent:
    """Momentum of each parameter, and the step that uses it.

    Args:
        parameters: What is learnt.
        recipe: Its momentum and weight decay.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], recipe: Recipe) -> None:
        self._parameters = list(parameters)
        self._recipe = recipe
        self._momenta: list[Tensor] = [torch.zeros_like(parameter) for parameter in self._parameters]

    @torch.no_grad()
    def step(self, rate: Tensor) -> None:
        """Move every parameter that has a gradient; the gradients go.

        Args:
            rate: Learning rate, a tensor without dimensions on the parameters' device.
        """
        moved = [
            (parameter, parameter.grad, momentum)
            for parameter, momentum in zip(self._parameters, self._momenta, strict=True)
            if parameter.grad is not None
        ]
        if not moved:
            return
        parameters, gradients, momenta = (list(part) for part in zip(*moved, strict=True))
        if self._recipe.weight_decay:
            torch._foreach_add_(gradients, parameters, alpha=self._recipe.weight_decay)
        torch._foreach_mul_(momenta, self._recipe.momentum)
        torch._foreach_add_(momenta, gradients)
        steps = momenta
        if self._recipe.nesterov:
            torch._foreach_add_(gradients, momenta, alpha=self._recipe.momentum)
            steps = gradients
        torch._foreach_sub_(parameters, torch._foreach_mul(steps, rate))
        for parameter in self._parameters:
            parameter.grad = None

    def state(self) -> dict[str, Any]:
        """Return the momentum of each parameter by its number."""
        return {"state": {i: {"momentum_buffer": momentum} for i, momentum in enumerate(self._momenta)}}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take what ``state`` returned, and nothing else of it.

        Raises:
            InputError: It is another network's.
        """
        try:
            found = [saved["state"][i]["momentum_buffer"] for i in range(len(self._parameters))]
            if [buffer.shape for buffer in found] != [parameter.shape for parameter in self._parameters]:
                raise TypeError("other shapes")
            for momentum, buffer in zip(self._momenta, found, strict=True):
                momentum.copy_(buffer)
        except (KeyError, TypeError, AttributeError, RuntimeError) as error:
            raise InputError("The saved momentum is not of this network.", "Search again in a new folder.") from error
