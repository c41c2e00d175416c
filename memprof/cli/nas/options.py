"""Flags that ``nas search`` and ``nas resume`` share: what a search does, and how long and where it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from memprof.base.errors import UsageError
from memprof.base.processes import usable_cores
from memprof.base.text import safe_text
from memprof.cli.boards import board_option
from memprof.cli.options import runtime_option
from memprof.cli.output import note

if TYPE_CHECKING:
    from memprof.nas.record.settings import Limits
    from memprof.nas.searching.engines import Engine

_Function = TypeVar("_Function", bound=Callable[..., Any])
_COUNT = click.IntRange(min=1)
_TIME = click.FloatRange(min=0, min_open=True)
_ON_A_GPU = 3
"""Candidates at once: small networks leave an H100 time for more than one (``benchmarks/gpu.py``)."""

_WEIGHT = click.FloatRange(min=0)

_SETTINGS = (
    click.option(
        "--dataset", default="digits", show_default=True, help="digits, cifar10, or a folder with train/CLASS/."
    ),
    click.option("--images", type=click.IntRange(min=100), help="Training images to use; all if left out."),
    click.option("--image-size", type=_COUNT, help="Scale and crop a folder's images to this height and width."),
    click.option(
        "--lambda",
        "accuracy_weight",
        type=click.FloatRange(0, 1),
        help="Let equation 4 lead: 1 is accuracy alone, 0 bytes alone. Without it the Pareto front leads, and the "
        "metric beside it has 0.9.",
    ),
    click.option("--peak-weight", type=_WEIGHT, default=1.0, show_default=True, help="Of the peak, in the metric."),
    click.option("--parameter-weight", type=_WEIGHT, default=1.0, show_default=True, help="Of the parameters."),
    click.option("--max-peak", metavar="BYTES", help="Reject networks with a higher peak: 256KiB."),
    click.option("--max-params", metavar="BYTES", help="Reject networks with more parameter bytes: 1MB."),
    click.option("--max-total", metavar="BYTES", help="Reject networks with more of both together: 64kB."),
    runtime_option(
        takes=lambda row: row.judges_graphs, default="reference", show_default=True, help="Gives the peak."
    ),
    click.option(
        "--dtype",
        type=click.Choice(["float32", "float16", "int8"]),
        default="float32",
        show_default=True,
        help="Element type on the device, which budgets and the metric count; nas export --tflite writes it.",
    ),
    board_option,
    click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True),
    click.option(
        "--preset",
        type=click.Choice(["quick", "paper"]),
        default="quick",
        show_default=True,
        help="quick: minutes; paper: section 4.1 of MemNAS, days.",
    ),
    click.option("--width", type=_COUNT, help="Filters of every layer (16 for images up to 16x16, else 64)."),
    click.option("--widths", metavar="N,N,...", help="Filters of each block instead; one for each of --strides."),
    click.option("--strides", metavar="N,N,...", help="Blocks, and the stride of each: 1,2,1 is three."),
    click.option(
        "--layers",
        metavar="NAME,...",
        help="Layers a new cell may have: conv_3x3, depthwise_3x3, depthwise_5x5, factorized_7, avg_pool_3x3, "
        "max_pool_3x3, dilated_3x3 (all).",
    ),
    click.option("--max-cells", type=_COUNT, help="Stop at this many cells (6; paper: 13)."),
    click.option("--sample", type=_COUNT, help="Candidates trained in the first round (16; paper: all of two)."),
    click.option("--top-k", type=_COUNT, help="Candidates trained in each later round (8; paper: 100)."),
    click.option("--epochs", type=_COUNT, help="Epochs of candidates that go all the way (6 or 7; paper: 60)."),
    click.option(
        "--batch", type=_COUNT, help="Images a step (32 or 128, 512 on a GPU); the learning rate goes along."
    ),
    click.option(
        "--ranker",
        type=click.Choice(["scc", "set-scc", "single-rnn", "double-rnn", "blend", "ridge", "parameters", "random"]),
        help="Who predicts accuracies from the second round on (blend; paper: scc).",
    ),
    click.option("--finalists", type=click.IntRange(min=0), help="Networks in the tournament (4); 0 for none."),
    click.option("--final-seeds", type=_COUNT, help="Trainings of each there (3)."),
    click.option("--final-epochs", type=_COUNT, help="Epochs of each (three times those of a candidate)."),
    click.option("--mirror-images", is_flag=True, help="Mirror images are candidates apart, as the paper counts."),
    click.option(
        "--halving",
        type=click.Choice(["by-rung", "as-they-come"]),
        help="When the better half of a rung goes on: after all of it (by-rung), or at once; nobody waits then.",
    ),
    click.option("--no-halving", is_flag=True, help="Train every chosen candidate to the end."),
    click.option("--no-inherit", is_flag=True, help="Start every candidate from fresh weights."),
)

_LIMITS = (
    click.option(
        "--minutes",
        type=_TIME,
        help="Time in all, resumes included, that a quick search is sized for.",
    ),
    click.option("--rounds", type=_COUNT, help="Rounds in all; none is no limit."),
    click.option("--candidate-minutes", type=_TIME, help="Time after which a candidate counts as hung (60)."),
    click.option(
        "--workers", type=_COUNT, help="Candidates that train at once (one per core, or three on each GPU)."
    ),
    click.option("--threads", type=_COUNT, help="CPU threads of each (1)."),
    click.option(
        "--engine",
        default="local",
        show_default=True,
        help="Who trains: local, submitit[:PARTITION] (SLURM) or ray[:ADDRESS]; asked for anew on each resume.",
    ),
    click.option("--device", help="cpu, cuda, cuda:N, cuda:0,cuda:1 or all GPUs (a GPU if there is one)."),
)

_SPACE = (
    click.option(
        "--space",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Blocks, layers and layers of your own, in TOML (docs/own-layers.md).",
    ),
    click.option("--trust", is_flag=True, help="Run the Python code that makes layers of --space FILE."),
)


def space_options(command: _Function) -> _Function:
    """Add the flags that name a space file, and that its code may run."""
    return _decorate(command, _SPACE)


def code_file(flags: Mapping[str, Any]) -> Path | None:
    """Return the space file whose code may run; ``None`` where nobody said so.

    Raises:
        UsageError: No file is named that could be trusted.
    """
    if flags["trust"] and flags["space"] is None:
        raise UsageError("--trust trusts nothing here.", "Name the file: --space FILE --trust")
    return flags["space"] if flags["trust"] else None


def later_code_file(flags: Mapping[str, Any]) -> Path | None:
    """Return the same for a search that was made before; what a file that is not trusted is good for is said.

    Raises:
        UsageError: As ``code_file``.
    """
    code = code_file(flags)
    if flags["space"] is not None and code is None:
        note(
            f"{safe_text(str(flags['space']))} is not read: the search keeps its space, and code that makes layers"
            " runs with --trust alone"
        )
    return code


def settings_options(command: _Function) -> _Function:
    """Add the flags that say what a search does; what they mean is in ``memprof.nas.record.settings``."""
    return _decorate(command, _SETTINGS)


def limit_options(command: _Function) -> _Function:
    """Add the flags that say how long and where a search runs."""
    return _decorate(command, _LIMITS)


def make_limits(flags: Mapping[str, Any], saved: Limits | None = None) -> Limits:
    """Return the limits that the flags ask for; where they are silent, those a search had before.

    Raises:
        MissingExtraError: torch is not installed.
        UsageError: There is no such device.
    """
    from memprof.nas.record.settings import Limits
    from memprof.nas.train.devices import name_device, pick_device

    # What a cluster's machines have is theirs to say: this one may be without a GPU.
    pick = pick_device if make_engine(flags).name == "local" else name_device
    device = pick(flags["device"] or (saved.device if saved else "auto"))
    threads = flags["threads"] or (saved.threads if saved else 1)
    cores = max(1, usable_cores() // threads)
    workers = cores if device == "cpu" else _ON_A_GPU * len(device.split(","))
    asked = {
        "rounds": flags["rounds"],
        "seconds": _seconds(flags["minutes"]),
        "job_seconds": _seconds(flags["candidate_minutes"]),
        "workers": flags["workers"],
        "threads": flags["threads"],
    }
    first = saved or Limits(workers=workers, threads=threads)
    if first.device != device:
        first = replace(first, workers=workers)  # as many as suit the other device
    return replace(first, device=device, **{name: value for name, value in asked.items() if value is not None})


def make_engine(flags: Mapping[str, Any]) -> Engine:
    """Return the engine that the flags ask for.

    Raises:
        UsageError: There is no such engine.
    """
    from memprof.nas.searching.engines import Engine

    return Engine.parse(flags["engine"])


def _seconds(minutes: float | None) -> float | None:
    return None if minutes is None else 60 * minutes


def _decorate(command: _Function, options: tuple[Callable[[_Function], _Function], ...]) -> _Function:
    for option in reversed(options):
        command = option(command)
    return command
