"""``memprof bench``: how long models take in onnxruntime, and what they allocate, side by side."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from memprof.base.errors import UsageError
from memprof.base.text import safe_text
from memprof.cli.options import (
    json_option,
    read_limits,
    read_request,
    request_flags,
    run_options,
    source_options,
    top_option,
)
from memprof.cli.output import note, open_stdout, telling
from memprof.render.json import write_document

if TYPE_CHECKING:
    from memprof.importers.request import Request
    from memprof.ir.model import Model
    from memprof.results.bench import BenchSettings


@click.command()
@click.argument("models", metavar="MODEL...", nargs=-1)
@source_options
@run_options
@click.option("--warmup", type=click.IntRange(min=1), default=5, show_default=True, help="Runs that are not timed.")
@click.option("--runs", type=click.IntRange(min=1), default=50, show_default=True, help="Timed runs.")
@top_option
@click.option("--bundle", type=click.Path(path_type=Path), metavar="DIR", help="Write what a run on a device needs.")
@click.option("--with-external-data", is_flag=True, help="Copy files of weights that the model names, too.")
@click.option("--result", type=click.Path(path_type=Path), metavar="FILE", help="Read back what a device printed.")
@json_option
def command(  # noqa: PLR0913, PLR0917 - click gives one argument per flag, by name
    models: tuple[str, ...],
    warmup: int,
    runs: int,
    top: int,
    bundle: Path | None,
    with_external_data: bool,
    result: Path | None,
    as_json: bool,
) -> None:
    """Time each MODEL in onnxruntime and measure what it allocates; the first one is the yardstick.

    One thread runs it, or as many as --threads says.

    \b
    memprof bench before.onnx after.onnx --threads 2
    memprof bench model.onnx --bundle phone
    memprof bench --result phone/result.txt
    """
    if result is not None:
        _show_result(result, as_json=as_json)
        return
    if not models:
        raise UsageError("No model was named.", "memprof bench model.onnx")
    from memprof.api.running import bench, load_runnable
    from memprof.results.bench import Bench, BenchSettings

    limits = read_limits()
    requests = [read_request(model) for model in models]
    settings = BenchSettings(threads=requests[0].threads or 1, warmup=warmup, runs=runs)
    loaded = [load_runnable(request) for request in requests]  # what is wrong with one is said before the first runs
    if bundle is not None:
        if len(loaded) != 1:
            raise UsageError("A bundle holds one model.", "Name one MODEL.")
        _write_bundle(loaded[0], requests[0], bundle, settings, with_external_data=with_external_data)
        return
    benched = []
    for request, model in zip(requests, loaded, strict=True):
        with telling(f"running {safe_text(request.name)}"):
            benched.append(bench(model, settings, limits=limits, values=request.values))
    with open_stdout() as stream:
        if as_json:
            write_document(Bench(settings=settings, models=tuple(benched)).to_json(), stream)
        else:
            from memprof.render.bench import render_bench

            words = ["memprof", "verify", models[0], *request_flags()]
            next_command = safe_text(shlex.join(words), limit=2000)
            render_bench(benched, stream, top=top, next_command=next_command)


def _write_bundle(
    model: Model, request: Request, folder: Path, settings: BenchSettings, *, with_external_data: bool
) -> None:
    from memprof.measure.bundle import weight_files, write_bundle
    from memprof.measure.feeds import input_specs

    path = Path(model.path)
    weights = weight_files(path)
    names = ", ".join(safe_text(file.name) for file in weights)
    if weights and not with_external_data:
        raise UsageError(f"{path} keeps weights in other files: {names}.", "Add --with-external-data to copy them.")
    specs = input_specs(model.graph, request.values)
    write_bundle(path, specs, folder, threads=settings.threads, runs=settings.runs, weights=weights)
    if weights:
        note(f"copied with the model, since it names them as its weights: {names}")
    note(f"wrote {safe_text(str(folder))}: run run.sh there; untried on a device so far")


def _show_result(path: Path, *, as_json: bool) -> None:
    from dataclasses import asdict

    from memprof.measure.bundle import read_result

    found = read_result(path)
    with open_stdout() as stream:
        if as_json:
            write_document({"schema": "memprof/bench-device/1", **asdict(found)}, stream)
        else:
            from memprof.render.bench import render_device_result

            render_device_result(found, stream)
