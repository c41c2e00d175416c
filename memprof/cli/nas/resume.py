"""``memprof nas resume``: go on where a search was stopped, killed or out of time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from memprof.cli.nas.options import later_code_file, limit_options, make_engine, make_limits, space_options
from memprof.cli.nas.progress import drive
from memprof.cli.options import json_option


@click.command(short_help="Go on with a search; what is finished stays.")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--seed", type=click.IntRange(min=0), help="Refuse to go on unless the search has this seed.")
@click.option("--dataset", help="Refuse to go on unless the search has this data set.")
@click.option("--width", type=click.IntRange(min=1), help="Refuse to go on unless its layers have this width.")
@space_options
@limit_options
@json_option
def resume(
    folder: Path, seed: int | None, dataset: str | None, width: int | None, as_json: bool, **flags: Any
) -> int:
    """Go on with the search in DIR; what is finished is not trained again. Limits stay unless a flag changes
    them: if the time was up, --minutes gives it more.

    \b
    memprof nas resume runs/first
    memprof nas resume runs/first --minutes 30
    """
    from memprof.nas.train.devices import pick_device

    pick_device("cpu")  # one clear line if torch is missing
    from memprof.nas.searching.presets import place_of
    from memprof.nas.searching.run import resume as go_on
    from memprof.nas.searching.run import saved_search

    saved, before = saved_search(folder)
    limits = make_limits(flags, before)
    template = saved.template
    if width is not None:
        template = replace(template, widths=(width,) * len(template.widths), stem_width=width)
    wanted = replace(
        saved,
        seed=saved.seed if seed is None else seed,
        dataset=saved.dataset if dataset is None else place_of(dataset),
        template=template,
    )
    engine, code = make_engine(flags), later_code_file(flags)
    return drive(folder, lambda watch: go_on(folder, limits, wanted, watch, engine, code), as_json=as_json)
