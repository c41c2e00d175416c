"""``memprof nas search``: start a search and run it to its end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from memprof.base.errors import UsageError
from memprof.base.units import parse_bytes
from memprof.cli.nas.options import (
    code_file,
    limit_options,
    make_engine,
    make_limits,
    settings_options,
    space_options,
)
from memprof.cli.nas.progress import drive
from memprof.cli.options import json_option
from memprof.cli.output import note

if TYPE_CHECKING:
    from collections.abc import Callable

    from memprof.nas.record.settings import Limits, Settings
    from memprof.nas.space.architecture import Template
    from memprof.nas.space.budget import Budget
    from memprof.nas.space.own_layers import OwnLayer
    from memprof.nas.train.data import VALIDATION_SHARE


LAMBDA = 0.9
_SIZES = ("images", "width", "sample", "top_k", "epochs", "batch", "no_halving", "widths", "strides", "space")
"""Flags by which the user has sized the search already."""

_CHANGED = ("max_cells", "sample", "top_k", "ranker", "finalists", "final_seeds", "final_epochs")


@click.command()
@settings_options
@space_options
@click.option(
    "--data-from", metavar="MODULE:FUNCTION", help="Images that a function of yours returns; they are kept in DIR."
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path("nas"), show_default=True, metavar="DIR"
)
@limit_options
@json_option
def search(output: Path, as_json: bool, **flags: Any) -> int:
    """Search for a network that is accurate and small.

    \b
    memprof nas search --dataset digits --minutes 5 -o runs/first
    memprof nas search --dataset cifar10 --lambda 0.8 --max-peak 256KiB --dtype int8
    memprof nas search --board nucleo-f446re --runtime tflm --dtype int8
    memprof nas search --space space.toml -o runs/own
    """
    limits, engine, code = make_limits(flags), make_engine(flags), code_file(flags)
    from memprof.nas import search as start

    settings = make_settings(output, flags, limits)
    return drive(output, lambda watch: start(output, settings, limits, watch, engine, code), as_json=as_json)


def make_settings(folder: Path, flags: dict[str, Any], limits: Limits) -> Settings:
    """Return the settings that the flags ask for; the data set is loaded to see its images.

    Raises:
        UsageError: A flag's value does not fit.
        InputError: The data cannot be read.
    """
    from memprof.nas.rank.metric import Metric
    from memprof.nas.searching.presets import PRESETS, facts_of, fed, quick
    from memprof.nas.space.budget import Budget

    dataset = flags["dataset"]
    if flags["data_from"] is not None:
        from memprof.nas.record.journal import has_search
        from memprof.nas.train.own import NAME, images_from, keep_images

        dataset = NAME
        if not has_search(folder):  # one that is there keeps what it was started with
            keep_images(folder / "data", *images_from(flags["data_from"]))
    facts = facts_of(dataset, root=folder / "data", limit=flags["images"], side=flags["image_size"])
    metric = Metric(
        accuracy_weight=LAMBDA if flags["accuracy_weight"] is None else flags["accuracy_weight"],
        peak_weight=flags["peak_weight"],
        parameter_weight=flags["parameter_weight"],
    )
    budget = Budget(
        peak_bytes=_bytes(flags["max_peak"]),
        parameter_bytes=_bytes(flags["max_params"]),
        total_bytes=_bytes(flags["max_total"]),
        runtime=flags["runtime"],
        dtype=flags["dtype"],
    )
    if flags["board"] is not None:
        budget = _on_board(budget, flags["board"])
    if flags["preset"] != "quick":
        return _changed(PRESETS[flags["preset"]](facts, metric, budget, flags["seed"], flags["width"]), flags)

    def preset(images: int, width: int | None) -> Settings:
        """Return the settings for so many training images; those to choose by are a share of all."""
        limit = facts.limit if images == facts.images else round(images / (1 - VALIDATION_SHARE))
        fewer = replace(facts, images=images, limit=limit)
        return fed(quick(fewer, metric, budget, flags["seed"], width), limits.device)

    settings = preset(facts.images, flags["width"])
    if limits.seconds is not None and flags["engine"] == "local" and not any(flags[name] for name in _SIZES):
        settings = _sized(lambda *size: _changed(preset(*size), flags), facts.images, folder, limits)
    return _changed(settings, flags)


def _sized(preset: Callable[[int, int | None], Settings], images: int, folder: Path, limits: Limits) -> Settings:
    """Return settings of which six rounds fit the time, by what a step takes here; says what was chosen."""
    from memprof.nas.searching.sizing import measure_image_seconds, size

    def image_seconds(each: Settings) -> float:
        return measure_image_seconds(each, folder / "data", limits.device)

    sized = size(preset, images, max(preset(images, None).template.widths), limits, image_seconds)
    minutes, speed = (limits.seconds or 0.0) / 60, 1 / sized.image_seconds
    note(f"Sized for {minutes:g} minutes, {speed:,.0f} images/s in a cell: {sized.describe(images)}.")
    return sized.settings


def _on_board(budget: Budget, name: str) -> Budget:
    """Return a budget that also keeps a network on a board: its arena in one bank, its file in one flash.

    Raises:
        UsageError: There is no such board, or the budget counts no arena.
    """
    from memprof.boards import find_board
    from memprof.boards.fitting import FLASH_MARGIN_BYTES, RAM_MARGIN_BYTES
    from memprof.nas.space.budget import ARENA_RUNTIME

    if budget.runtime != ARENA_RUNTIME:
        raise UsageError(
            f"--board is about an arena, and {budget.runtime} has none.", f"Add --runtime {ARENA_RUNTIME}."
        )
    board = find_board(name)
    ram = max(0, board.largest_ram[1] - RAM_MARGIN_BYTES)
    flash = max(0, board.largest_flash[1] - FLASH_MARGIN_BYTES)
    note(
        f"On {board.name}: an arena of up to {ram:,} bytes, and a file of up to {flash:,}: weights, and about 0.7 kB "
        "more for each tensor."
    )
    return replace(
        budget,
        peak_bytes=ram if budget.peak_bytes is None else min(ram, budget.peak_bytes),
        file_bytes=flash,
        kernels=board.kernels,
    )


def _changed(settings: Settings, flags: dict[str, Any]) -> Settings:
    """Return the preset with what the flags change of it."""
    from memprof.nas.searching.presets import EPOCHS_OF_FINAL

    settings = _in_space(settings, flags)
    named = {name: flags[name] for name in _CHANGED if flags[name] is not None}
    if flags["accuracy_weight"] is not None:
        named["goal"] = "metric"
    if flags["batch"] is not None:
        settings = replace(settings, recipe=settings.recipe.with_batch(flags["batch"]))
    if flags["epochs"] is not None:
        recipe = replace(settings.recipe, epochs=flags["epochs"])
        if len(settings.rungs) > 1:  # the better half goes on after a third of the epochs, when a cycle ends
            recipe = replace(recipe, first_cycle=max(1, recipe.epochs // 3))
        if flags["final_epochs"] is None:
            named["final_epochs"] = EPOCHS_OF_FINAL * recipe.epochs
        named |= {"recipe": recipe, "rungs": recipe.cycle_ends if len(settings.rungs) > 1 else (recipe.epochs,)}
    if flags["no_halving"]:
        named["rungs"] = (named.get("rungs", settings.rungs)[-1],)
    if flags["halving"] is not None:
        named["halving"] = flags["halving"].replace("-", " ")
    if flags["no_inherit"]:
        named["inherits"] = False
    if flags["mirror_images"]:
        named["mirror_images"] = True
    return replace(settings, **named)


def _in_space(settings: Settings, flags: dict[str, Any]) -> Settings:
    """Return settings with the blocks and layers of a space file, and those that flags ask for."""
    from memprof.nas.record.space_file import pick_layers, read_space, with_space

    own: tuple[OwnLayer, ...] = ()
    if flags["space"] is not None:
        space = read_space(flags["space"])
        settings, own = with_space(settings, space), space.own
    if flags["layers"] is not None:
        settings = replace(settings, layers=pick_layers(flags["layers"].split(","), own))
    if flags["widths"] is not None or flags["strides"] is not None:
        settings = replace(settings, template=_template(settings.template, flags))
    return settings


def _template(template: Template, flags: dict[str, Any]) -> Template:
    """Return a template with other blocks.

    Raises:
        UsageError: They are none, or not as many widths as strides.
    """
    strides = _numbers(flags["strides"]) or template.strides
    widest = max(template.widths)
    widths = _numbers(flags["widths"]) or (template.widths if len(strides) == len(template.widths) else None)
    widths = widths or (widest,) * len(strides)
    if len(widths) != len(strides):
        raise UsageError(
            f"There are {len(widths)} widths for {len(strides)} blocks.", "Give a width for each stride."
        )
    try:
        return replace(template, strides=strides, widths=widths, stem_width=widths[0])
    except ValueError as error:
        raise UsageError(f"There are no such blocks: {error}.") from error


def _numbers(text: str | None) -> tuple[int, ...]:
    if text is None:
        return ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"{text!r} is no list of numbers.", "Write them as 1,2,1.") from error


def _bytes(text: str | None) -> int | None:
    return None if text is None else parse_bytes(text)
