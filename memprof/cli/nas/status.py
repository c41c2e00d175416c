"""``memprof nas status``: what a search knows, while it runs or after."""

from __future__ import annotations

from pathlib import Path

import click

from memprof.cli.nas.progress import print_summary
from memprof.cli.options import json_option


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@json_option
def status(folder: Path, as_json: bool) -> None:
    """Show the search in DIR; it may run in another terminal.

    \b
    memprof nas status runs/first
    memprof nas status runs/first --json
    """
    from memprof import nas

    print_summary(nas.status(folder), folder, as_json=as_json)
