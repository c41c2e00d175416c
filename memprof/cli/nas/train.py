"""``memprof nas train``: train a found network from scratch and score it once on test data."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from memprof.base.errors import UsageError
from memprof.base.text import safe_text
from memprof.cli.nas.candidates import pick_candidate
from memprof.cli.nas.options import later_code_file, space_options
from memprof.cli.options import json_option
from memprof.cli.output import drawing, note, open_stdout
from memprof.render.json import write_document

if TYPE_CHECKING:
    from memprof.nas.record.trainings import FinalTraining
    from memprof.nas.searching.run import Part


@click.command(short_help="Train a network of a search from fresh weights.")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--candidate", type=click.IntRange(min=0), help="Which network; the best of the search if left out.")
@click.option("--blocks", type=click.IntRange(min=1), help="Stack this many blocks: 16 for ImageNet.")
@click.option("--width", type=click.IntRange(min=1), help="Filters of the widest block.")
@click.option("--epochs", type=click.IntRange(min=1), default=60, show_default=True)
@click.option(
    "--schedule",
    type=click.Choice(["one-cycle", "restarts"]),
    help="Of the learning rate: one rise and fall, or the warm restarts of the paper (those for --preset paper).",
)
@click.option(
    "--train-on",
    type=click.Choice(["training", "all"]),
    default="training",
    show_default=True,
    help="all: the validation images too, now that every choice is made.",
)
@click.option(
    "--device",
    default="auto",
    show_default=True,
    help="cpu, cuda, cuda:N, or several GPUs that share each batch: cuda:0,cuda:1, or all.",
)
@click.option("--processes", type=click.IntRange(1, 64), help="CPU processes that share each batch (1).")
@space_options
@json_option
def train(  # noqa: PLR0913, PLR0917 - one argument per flag
    folder: Path,
    candidate: int | None,
    blocks: int | None,
    width: int | None,
    epochs: int,
    schedule: str | None,
    train_on: Part,
    device: str,
    processes: int | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """Train a network that the search in DIR found, from fresh weights, and look at the test images once.

    \b
    memprof nas train runs/first
    memprof nas train runs/first --candidate 12 --blocks 16 --width 256 --device all
    """
    from dataclasses import replace

    from memprof.nas.train.devices import pick_device

    devices = _devices(pick_device(device), processes)
    from memprof.nas.searching.final import FinalPlan, scale, train_final, training_name
    from memprof.nas.searching.run import saved_search
    from memprof.nas.train.recipe import Recipe
    from memprof.render.search_progress import TrainingProgress

    found = pick_candidate(folder, candidate)
    recipe = saved_search(folder)[0].recipe
    if schedule is None:
        schedule = "restarts" if recipe == Recipe() else "one-cycle"
    recipe = recipe.in_one_cycle(epochs) if schedule == "one-cycle" else replace(recipe, epochs=epochs)
    plan = FinalPlan(
        folder=folder,
        candidate=found.candidate,
        architecture=scale(found.architecture, blocks=blocks, width=width),
        name=training_name(found.candidate, found.architecture, blocks=blocks, width=width),
        recipe=recipe,
        device=devices[0],
        part=train_on,
        space_file=later_code_file(flags),
    )
    with drawing(TrainingProgress(epochs)) as progress:
        if len(devices) > 1:
            from memprof.nas.searching.together import train_together

            result = train_together(plan, devices, progress.watch)
        else:
            result = train_final(plan, progress.watch)
    note(f"wrote {safe_text(str(plan.place))}")
    with open_stdout() as stream:
        if as_json:
            write_document(result.to_json(), stream)
        else:
            stream.writelines(f"{line}\n" for line in _lines(result, folder))


def _lines(result: FinalTraining, folder: Path) -> Iterator[str]:
    """Yield what a training came to, for people."""
    from memprof.nas.searching.final import count_epochs

    known = result.validation_accuracy
    beside = "" if known is None else f" (validation {known:.2%})"
    yield f"Test accuracy {result.test_accuracy:.2%}{beside} after {count_epochs(result.epochs)} from scratch"
    export = shlex.join(["memprof", "nas", "export", str(folder), "--trained", result.name])
    yield f"Next: {safe_text(export, limit=2000)}"


def _devices(picked: str, processes: int | None) -> tuple[str, ...]:
    """Return the device of each process.

    Raises:
        UsageError: Processes are asked for beside GPUs, of which each has its own.
    """
    if picked == "cpu":
        return ("cpu",) * (processes or 1)
    if processes is not None:
        raise UsageError("Each GPU has a process of its own.", "Leave --processes out, and name the GPUs: --device")
    return tuple(picked.split(","))
