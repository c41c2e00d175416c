"""The search of ``benchmarks/gpu.py``: minutes within a budget, a final training, random search in the same minutes.

The final network is the tournament's best, scaled to the widest that the budget holds, trained from fresh weights on
all images in one cycle of the learning rate that fills its seconds. Its one look at the test images gives the
headline; the mean with the mirrored images, as public speed records score, stands beside it.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from gpu_images import keep_archive
from nas_searches import area, run_random

from memprof.nas.rank.metric import Metric
from memprof.nas.record.settings import Limits, Settings
from memprof.nas.record.state import SearchState
from memprof.nas.record.tournament import best_standing, standings
from memprof.nas.searching.final import CHECKPOINT, FinalPlan, scale, train_final, training_name
from memprof.nas.searching.presets import facts_of, fed, quick
from memprof.nas.searching.run import DATA, TrainerRecipe, search
from memprof.nas.space.architecture import Architecture
from memprof.nas.space.budget import Budget
from memprof.nas.space.screening import screen
from memprof.nas.train.augmentation import Pictures
from memprof.nas.train.data import load_test, load_training
from memprof.nas.train.evaluation import load_checkpoint
from memprof.nas.train.modules import build_module
from memprof.nas.train.own import NAME
from memprof.nas.train.steps import autocast

_ASIDE_SECONDS = 12.0
"""Of a final training for what is not its epochs: capturing, scoring, files."""

Part = Callable[[dict[str, Any], str], AbstractContextManager[None]]
Say = Callable[[str], None]


def run_search(options: argparse.Namespace, results: dict[str, Any], say: Say, part: Part) -> None:
    """Search, train the best to the end, and search at random."""
    place = options.output or Path(tempfile.mkdtemp())
    began = time.perf_counter()
    keep_archive(options.data, place / "memnas" / DATA, options.images)
    facts = facts_of(NAME, root=place / "memnas" / DATA)
    say(f"decoded {facts.images:,} training images in {time.perf_counter() - began:.1f} s")
    settings = settings_of(facts, options)
    limits = Limits(seconds=60 * (options.minutes or 1), workers=options.workers, device=options.device)
    if options.minutes:
        with part(results, "search and final training"):
            began = time.perf_counter()
            state = search(place / "memnas", settings, limits, watch_outcomes(began, say))
            results["search"] = describe(state, facts.images, time.perf_counter() - began, "search", say)
            results["final"] = final_training(place / "memnas", state, settings, options, say)
    if options.random_minutes:
        with part(results, "random"):
            folder = place / "random"
            shutil.copytree(place / "memnas" / DATA, folder / DATA)
            began = time.perf_counter()
            state = run_random(folder, settings, replace(limits, seconds=60 * options.random_minutes), most=150)
            results["random"] = describe(state, facts.images, time.perf_counter() - began, "random", say)


def settings_of(facts: Any, options: argparse.Namespace) -> Settings:
    """Return a quick search within the budget, in blocks whose width grows with their depth."""
    settings = fed(
        quick(facts, Metric(accuracy_weight=0.9), Budget(total_bytes=options.within), options.seed), "cuda"
    )
    recipe = replace(settings.recipe, epochs=options.epochs)
    template = replace(
        settings.template, strides=options.strides, widths=options.widths, stem_width=options.widths[0]
    )
    return replace(
        settings,
        template=template,
        recipe=recipe,
        rungs=recipe.cycle_ends,
        final_seeds=1,
        finalists=3,
        final_epochs=2 * options.epochs,
    )


def watch_outcomes(began: float, say: Say) -> Callable[[Any, Any], None]:
    """Return what prints a line when a round opens."""
    said: set[int] = set()

    def watch(search_: Any, outcome: Any) -> None:
        state = search_.state
        if len(state.rounds) not in said:
            said.add(len(state.rounds))
            seconds = time.perf_counter() - began
            say(f"{seconds:6.1f} s: round {len(state.rounds)} opens, {len(state.outcomes)} trained")
        if outcome is not None and outcome.status != "ok":
            say(f"candidate {outcome.candidate}: {outcome.status}, {outcome.message}")

    return watch


def describe(state: SearchState, images: int, seconds: float, name: str, say: Say) -> dict[str, Any]:
    """Return and print what a search did."""
    epochs = sum(max((o.epochs for o in visits), default=0) for visits in state.outcomes.values())
    found: dict[str, Any] = {
        "seconds": seconds,
        "rounds": len(state.rounds),
        "trained": len(state.outcomes),
        "epochs": epochs,
        "images_per_second": epochs * images / seconds,
        "reason": state.finished,
        "area": area(standings(state)),
        "tournament": [
            {
                "candidate": s.candidate,
                "accuracy": s.accuracy,
                "epochs": s.epochs,
                "parameter_bytes": s.parameter_bytes,
                "peak_intermediate_bytes": s.peak_intermediate_bytes,
                "blocks": state.chosen[s.candidate].architecture.to_json()["blocks"],
            }
            for s in standings(state)
        ],
    }
    say(
        f"{name}: {found['rounds']} rounds, {found['trained']} trained, {epochs} epochs, "
        f"{found['images_per_second']:,.0f} images/s, area {found['area']:.4f}, ended as {state.finished}"
    )
    for each in found["tournament"]:
        total = each["parameter_bytes"] + each["peak_intermediate_bytes"]
        say(f"  candidate {each['candidate']}: {each['accuracy']:.2%} with {total:,} B")
    return found


def widest(architecture: Architecture, within: int) -> Architecture:
    """Return a network with as many filters as the budget holds, in steps of 8 of its widest block."""
    found, width = architecture, max(block.width for block in architecture.blocks)
    while True:
        width += 8
        wider = scale(architecture, width=width)
        footprint = screen(wider)
        if footprint.parameter_bytes + footprint.peak_intermediate_bytes > within:
            return found
        found = wider


def final_training(
    folder: Path, state: SearchState, settings: Settings, options: argparse.Namespace, say: Say
) -> dict[str, Any]:
    """Return what the search's best reaches on the test images after a training from fresh weights."""
    best = best_standing(state)
    if best is None:
        raise ValueError("the search judged no tournament")
    began = time.perf_counter()
    found = state.chosen[best.candidate].architecture
    architecture = widest(found, options.within)
    epoch = seconds_of_epoch(folder, settings, architecture, options.device)
    left = options.final_seconds - (time.perf_counter() - began) - _ASIDE_SECONDS
    epochs = max(4, int(left / epoch))
    say(f"final: {epoch:.2f} s an epoch, {epochs} epochs, widths {[b.width for b in architecture.blocks]}")
    width = max(block.width for block in architecture.blocks)
    plan = FinalPlan(
        folder=folder,
        candidate=best.candidate,
        architecture=architecture,
        name=training_name(best.candidate, found, width=width),
        recipe=settings.recipe.in_one_cycle(epochs),
        device=options.device,
        part="all",
    )
    result = train_final(plan, lambda e, loss: say(f"  epoch {e}: loss {loss:.4f}") if e % 20 == 0 else None)
    total = result.parameter_bytes + result.peak_intermediate_bytes
    facts = {
        "candidate": best.candidate,
        "epochs": epochs,
        "seconds": time.perf_counter() - began,
        "test_accuracy": result.test_accuracy,
        "test_accuracy_with_mirrored": mirrored_accuracy(plan, folder),
        "parameter_bytes": result.parameter_bytes,
        "peak_intermediate_bytes": result.peak_intermediate_bytes,
        "total_bytes": total,
        "is_within": total <= options.within,
        "blocks": architecture.to_json()["blocks"],
    }
    say(f"final: {[facts[k] for k in ('test_accuracy', 'test_accuracy_with_mirrored', 'total_bytes', 'seconds')]}")
    return facts


def seconds_of_epoch(folder: Path, settings: Settings, architecture: Architecture, device: str) -> float:
    """Return what an epoch on all images takes alone on the card: the third of three."""
    trainer = TrainerRecipe(settings, str(folder / DATA), device, "all")()
    moments: list[float] = []
    trainer.train(
        build_module(architecture),
        seed=0,
        until=3,
        on_epoch=lambda epoch, loss: moments.append(time.perf_counter()),
    )
    return moments[-1] - moments[-2]


def mirrored_accuracy(plan: FinalPlan, folder: Path) -> float:
    """Return the accuracy on the test images by the mean of what an image and its mirror image give."""
    device = torch.device(plan.device)
    module = build_module(plan.architecture).to(device).eval()
    module.load_state_dict(load_checkpoint(plan.place / CHECKPOINT).weights)
    test = load_test(NAME, root=folder / DATA).to(device)
    data = load_training(NAME, root=folder / DATA)
    pictures = Pictures(data.training, data.augmentation, device, torch.channels_last)
    right = 0
    with torch.inference_mode(), autocast(device):
        for start in range(0, len(test), plan.recipe.batch):
            images = pictures.normalized(test.pixels[start : start + plan.recipe.batch])
            logits = module(images).float() + module(images.flip(3)).float()
            right += int((logits.argmax(1) == test.labels[start : start + plan.recipe.batch]).sum())
    return right / len(test)
