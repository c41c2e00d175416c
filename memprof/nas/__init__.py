"""MemNAS: search for a network that needs less memory. Public names; they resolve on first use, torch with them.

What a network needs, without torch:

    from memprof import nas

    print(nas.screen(nas.ARCHITECTURES["memnas-cifar10"]))

A search, as a script:

    from pathlib import Path

    from memprof import nas

    if __name__ == "__main__":  # worker processes import the script anew
        facts = nas.facts_of("digits", root=Path("data"))
        settings = nas.quick(facts, nas.Metric(accuracy_weight=0.9), nas.Budget(), seed=0)
        nas.search(Path("run"), settings, nas.Limits(rounds=2))
        print(nas.status(Path("run")).best)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memprof.nas.encoding import decode_cells, encode_block
    from memprof.nas.evaluation import evaluate
    from memprof.nas.export import export_onnx
    from memprof.nas.footprint import as_trained, deployed
    from memprof.nas.generator import generate, grow, trim
    from memprof.nas.isomorphism import canonical
    from memprof.nas.jobs import Job, Outcome
    from memprof.nas.journal import Journal
    from memprof.nas.metric import Measures, Metric
    from memprof.nas.modules import build_module
    from memprof.nas.presets import facts_of, paper, quick
    from memprof.nas.recipe import Recipe
    from memprof.nas.rounds import Search
    from memprof.nas.run import TrainerRecipe, resume, search
    from memprof.nas.screening import Footprint, screen
    from memprof.nas.settings import Budget, Limits, Settings
    from memprof.nas.space import (
        ARCHITECTURES,
        CIFAR10,
        IMAGENET,
        Architecture,
        Block,
        Cell,
        Combine,
        Layer,
        Template,
    )
    from memprof.nas.summary import status

_HOMES = {
    "canonical": "memprof.nas.isomorphism",
    "TrainerRecipe": "memprof.nas.run",
    "evaluate": "memprof.nas.evaluation",
    "Journal": "memprof.nas.journal",
    "Search": "memprof.nas.rounds",
    "Outcome": "memprof.nas.jobs",
    "Job": "memprof.nas.jobs",
    "decode_cells": "memprof.nas.encoding",
    "encode_block": "memprof.nas.encoding",
    "export_onnx": "memprof.nas.export",
    "Footprint": "memprof.nas.screening",
    "as_trained": "memprof.nas.footprint",
    "deployed": "memprof.nas.footprint",
    "screen": "memprof.nas.screening",
    "generate": "memprof.nas.generator",
    "grow": "memprof.nas.generator",
    "trim": "memprof.nas.generator",
    "Measures": "memprof.nas.metric",
    "Metric": "memprof.nas.metric",
    "build_module": "memprof.nas.modules",
    "facts_of": "memprof.nas.presets",
    "paper": "memprof.nas.presets",
    "quick": "memprof.nas.presets",
    "resume": "memprof.nas.run",
    "search": "memprof.nas.run",
    "status": "memprof.nas.summary",
    "Budget": "memprof.nas.settings",
    "Limits": "memprof.nas.settings",
    "Settings": "memprof.nas.settings",
    "ARCHITECTURES": "memprof.nas.space",
    "CIFAR10": "memprof.nas.space",
    "IMAGENET": "memprof.nas.space",
    "Architecture": "memprof.nas.space",
    "Block": "memprof.nas.space",
    "Cell": "memprof.nas.space",
    "Combine": "memprof.nas.space",
    "Layer": "memprof.nas.space",
    "Template": "memprof.nas.space",
    "Recipe": "memprof.nas.recipe",
}

__all__ = [
    "ARCHITECTURES",
    "CIFAR10",
    "IMAGENET",
    "Architecture",
    "Block",
    "Budget",
    "Cell",
    "Combine",
    "Footprint",
    "Job",
    "Journal",
    "Layer",
    "Limits",
    "Measures",
    "Metric",
    "Outcome",
    "Recipe",
    "Search",
    "Settings",
    "Template",
    "TrainerRecipe",
    "as_trained",
    "build_module",
    "canonical",
    "decode_cells",
    "deployed",
    "encode_block",
    "evaluate",
    "export_onnx",
    "facts_of",
    "generate",
    "grow",
    "paper",
    "quick",
    "resume",
    "screen",
    "search",
    "status",
    "trim",
]


def __getattr__(name: str) -> Any:
    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module 'memprof.nas' has no attribute {name!r}") from None
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
