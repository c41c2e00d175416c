"""``memprof nas``: search for a network that needs less, resume and watch a search, and take its networks along."""

from __future__ import annotations

import click

from memprof.cli.nas.bench_controller import bench_controller
from memprof.cli.nas.export import export
from memprof.cli.nas.report import report
from memprof.cli.nas.resume import resume
from memprof.cli.nas.search import search
from memprof.cli.nas.simulate import simulate
from memprof.cli.nas.status import status
from memprof.cli.nas.sweep import sweep
from memprof.cli.nas.train import train


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Search for a network that needs less (MemNAS, CVPR 2020)."""


for subcommand in (search, resume, status, train, export, report, sweep, bench_controller, simulate):
    command.add_command(subcommand)
