"""The same run of a named PyTorch module with less kept: checkpointing, another optimiser, another precision."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType

from memprof.api.helping.asked import Asked, Attempt
from memprof.api.helping.sizes import request_flags
from memprof.api.sizing.numbers import evaluate
from memprof.importers.request import Request
from memprof.ir.trace import Category
from memprof.results.helped import Change

_SMALLER: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"adam": ("momentum", "sgd"), "adamw": ("momentum", "sgd"), "momentum": ("sgd",)}
)
"""Optimisers that keep less for each parameter, by the one that is asked about."""


_WORTH_A_RUN = 0.05
"""Of less no checkpointing saves much."""


def lighter_runs(asked: Asked) -> Iterator[Attempt]:
    """Yield the changes that are tried."""
    request = asked.request
    training = request.training
    if training is not None and not training.checkpointing and _keeps_activations(asked):
        changed = replace(request, training=replace(training, checkpointing=True))
        yield _attempt(asked, "activations of blocks computed again (checkpointing)", changed)
    if training is not None and isinstance(training.optimizer, str):
        for name in _SMALLER.get(training.optimizer, ()):
            changed = replace(request, training=replace(training, optimizer=name))
            yield _attempt(asked, f"the optimiser {name}", changed)
    if request.precision is None:
        yield _attempt(asked, "weights and activations in bfloat16", replace(request, precision="bfloat16"))


def _keeps_activations(asked: Asked) -> bool:
    """Tell whether what is kept for the backward pass is a part of the peak that is worth a second computation."""
    kept = asked.report.headline.categories.get(Category.ACTIVATION.value, 0)
    return kept > asked.peak_bytes * _WORTH_A_RUN


def _attempt(asked: Asked, what: str, changed: Request) -> Attempt:
    command = shlex.join(["memprof", "analyze", changed.name, *request_flags(changed)])
    return Attempt(
        what=what, steps=asked.steps, command=command, effects=partial(_changed, asked, what, command, changed)
    )


def _changed(asked: Asked, what: str, command: str, changed: Request) -> list[Change]:
    found = evaluate(changed, asked.runtime)
    weights = None if changed.precision == asked.request.precision else found.weight_bytes
    return asked.effect(what, command, found.peak_bytes, weights)
