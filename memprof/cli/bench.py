"""``memprof bench``: how long models take in onnxruntime, and what they allocate, side by side."""

from __future__ import annotations

from pathlib import Path

import click

from memprof.cli.options import json_option, read_limits, read_request, run_options, source_options, top_option
from memprof.cli.output import note, open_stdout
from memprof.errors import UsageError
from memprof.render.json import write_document
from memprof.text import safe_text


@click.command()
@click.argument("models", metavar="MODEL...", nargs=-1)
@source_options
@run_options
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--warmup", type=click.IntRange(min=1), default=5, show_default=True, help="Runs that are not timed.")
@click.option("--runs", type=click.IntRange(min=1), default=50, show_default=True, help="Timed runs.")
@top_option
@click.option("--bundle", type=click.Path(path_type=Path), metavar="DIR", help="Write what a run on a device needs.")
@click.option("--result", type=click.Path(path_type=Path), metavar="FILE", help="Read back what a device printed.")
@json_option
def command(  # noqa: PLR0913, PLR0917 - click gives one argument per flag, by name
    models: tuple[str, ...],
    threads: int,
    warmup: int,
    runs: int,
    top: int,
    bundle: Path | None,
    result: Path | None,
    as_json: bool,
) -> None:
    """Time each MODEL in onnxruntime and measure what it allocates; the first one is the yardstick.

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
    from memprof.results.bench import Bench, BenchSettings
    from memprof.runs import bench, load_runnable

    settings = BenchSettings(threads=threads, warmup=warmup, runs=runs)
    limits = read_limits()
    requests = [read_request(model) for model in models]
    loaded = [load_runnable(request) for request in requests]  # what is wrong with one is said before the first runs
    if bundle is not None:
        from memprof.measure.bundle import write_bundle
        from memprof.measure.feeds import input_specs

        if len(loaded) != 1:
            raise UsageError("A bundle holds one model.", "Name one MODEL.")
        specs = input_specs(loaded[0].graph, requests[0].values)
        write_bundle(Path(loaded[0].path), specs, bundle, threads=threads, runs=runs)
        note(f"wrote {safe_text(str(bundle))}: run run.sh there; untried on a device so far")
        return
    benched = []
    for request, model in zip(requests, loaded, strict=True):
        note(f"running {safe_text(request.name)}")
        benched.append(bench(model, settings, limits=limits, values=request.values))
    with open_stdout() as stream:
        if as_json:
            write_document(Bench(settings=settings, models=tuple(benched)).to_json(), stream)
        else:
            from memprof.render.bench import render_bench

            render_bench(benched, stream, top=top)


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
