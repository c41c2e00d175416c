"""MemNAS: search for a network that needs less memory. Public names; they resolve on first use, torch with them.

What a network needs, without torch:

    from memprof import nas

    print(nas.screen(nas.ARCHITECTURES["memnas-cifar10"]))

A search, as a script:

    from pathlib import Path

    from memprof import nas

    facts = nas.facts_of("digits", root=Path("data"))
    settings = nas.quick(facts, nas.Metric(accuracy_weight=0.9), nas.Budget(), seed=0)
    nas.search(Path("run"), settings, nas.Limits(rounds=2))
    print(nas.status(Path("run")).best)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from memprof.base.distribution import extra_of
from memprof.base.errors import MissingExtraError

if TYPE_CHECKING:
    from memprof.nas.jobs import Job, Outcome
    from memprof.nas.rank.metric import Measures, Metric
    from memprof.nas.record.journal import Journal
    from memprof.nas.record.settings import Limits, Settings
    from memprof.nas.record.space_file import Space, read_space, with_space
    from memprof.nas.record.summarizing import status
    from memprof.nas.searching.engines import Engine
    from memprof.nas.searching.export import export_onnx
    from memprof.nas.searching.presets import facts_of, paper, quick
    from memprof.nas.searching.rounds import Search
    from memprof.nas.searching.run import TrainerRecipe, resume, search
    from memprof.nas.space.architecture import (
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
    from memprof.nas.space.budget import Budget
    from memprof.nas.space.encoding import decode_cells, encode_block
    from memprof.nas.space.footprint import as_trained, deployed
    from memprof.nas.space.generator import generate, grow, trim
    from memprof.nas.space.isomorphism import canonical
    from memprof.nas.space.own_layers import OwnLayer
    from memprof.nas.space.screening import Footprint, screen
    from memprof.nas.train.evaluation import evaluate
    from memprof.nas.train.modules import build_module
    from memprof.nas.train.own import keep_images
    from memprof.nas.train.recipe import Recipe

_HOMES = {
    "canonical": "memprof.nas.space.isomorphism",
    "TrainerRecipe": "memprof.nas.searching.run",
    "evaluate": "memprof.nas.train.evaluation",
    "Journal": "memprof.nas.record.journal",
    "Search": "memprof.nas.searching.rounds",
    "Outcome": "memprof.nas.jobs",
    "Job": "memprof.nas.jobs",
    "decode_cells": "memprof.nas.space.encoding",
    "encode_block": "memprof.nas.space.encoding",
    "export_onnx": "memprof.nas.searching.export",
    "Footprint": "memprof.nas.space.screening",
    "as_trained": "memprof.nas.space.footprint",
    "deployed": "memprof.nas.space.footprint",
    "screen": "memprof.nas.space.screening",
    "generate": "memprof.nas.space.generator",
    "grow": "memprof.nas.space.generator",
    "trim": "memprof.nas.space.generator",
    "Measures": "memprof.nas.rank.metric",
    "Metric": "memprof.nas.rank.metric",
    "build_module": "memprof.nas.train.modules",
    "facts_of": "memprof.nas.searching.presets",
    "keep_images": "memprof.nas.train.own",
    "Engine": "memprof.nas.searching.engines",
    "paper": "memprof.nas.searching.presets",
    "quick": "memprof.nas.searching.presets",
    "resume": "memprof.nas.searching.run",
    "search": "memprof.nas.searching.run",
    "status": "memprof.nas.record.summarizing",
    "Budget": "memprof.nas.space.budget",
    "Limits": "memprof.nas.record.settings",
    "Settings": "memprof.nas.record.settings",
    "ARCHITECTURES": "memprof.nas.space.architecture",
    "CIFAR10": "memprof.nas.space.architecture",
    "IMAGENET": "memprof.nas.space.architecture",
    "Architecture": "memprof.nas.space.architecture",
    "Block": "memprof.nas.space.architecture",
    "Cell": "memprof.nas.space.architecture",
    "Combine": "memprof.nas.space.architecture",
    "Layer": "memprof.nas.space.architecture",
    "Template": "memprof.nas.space.architecture",
    "Recipe": "memprof.nas.train.recipe",
    "OwnLayer": "memprof.nas.space.own_layers",
    "Space": "memprof.nas.record.space_file",
    "read_space": "memprof.nas.record.space_file",
    "with_space": "memprof.nas.record.space_file",
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
    "Engine",
    "Footprint",
    "Job",
    "Journal",
    "Layer",
    "Limits",
    "Measures",
    "Metric",
    "Outcome",
    "OwnLayer",
    "Recipe",
    "Search",
    "Settings",
    "Space",
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
    "keep_images",
    "paper",
    "quick",
    "read_space",
    "resume",
    "screen",
    "search",
    "status",
    "trim",
    "with_space",
]


def __getattr__(name: str) -> Any:
    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module 'memprof.nas' has no attribute {name!r}") from None
    try:
        return getattr(import_module(home), name)
    except ModuleNotFoundError as error:
        if extra_of(error) is None:
            raise
        raise MissingExtraError(f"memprof.nas.{name}", "nas") from error


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
