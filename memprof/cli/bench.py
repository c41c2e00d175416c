"""``memprof bench``: how long models take in onnxruntime, and what they allocate, side by side."""

from __future__ import annotations

import json
from pathlib import Path

import click

from memprof.cli.options import json_option, parse_dims, parse_input_shapes
from memprof.cli.output import note, open_stdout
from memprof.errors import UsageError
from memprof.text import safe_text
from memprof.units import parse_bytes


@click.command()
@click.argument("models", metavar="MODEL...", nargs=-1)
@click.option("--dim", metavar="NAME=N", multiple=True, help="Size of a named dimension: batch=1. Repeatable.")
@click.option("--input", "input_shape", metavar="[NAME=]1x3x224x224", multiple=True, help="Shape of an input.")
@click.option("--value", metavar="NAME=X", multiple=True, help="Fill an input with X, not random numbers.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--warmup", type=click.IntRange(min=1), default=5, show_default=True, help="Runs that are not timed.")
@click.option("--runs", type=click.IntRange(min=1), default=50, show_default=True, help="Timed runs.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), default=600.0, show_default=True)
@click.option("--memory-limit", metavar="BYTES", help="What a run may allocate: 4GB.")
@click.option("--top", type=click.IntRange(min=1), default=8, show_default=True, help="Rows of the operator table.")
@click.option("--bundle", type=click.Path(path_type=Path), metavar="DIR", help="Write what a run on a device needs.")
@click.option("--result", type=click.Path(path_type=Path), metavar="FILE", help="Read back what a device printed.")
@json_option
def command(  # noqa: PLR0913, PLR0917 - click gives one argument per flag, by name
    models: tuple[str, ...],
    dim: tuple[str, ...],
    input_shape: tuple[str, ...],
    value: tuple[str, ...],
    threads: int,
    warmup: int,
    runs: int,
    timeout: float,
    memory_limit: str | None,
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
    from memprof.api import load
    from memprof.measure.bench import bench_model
    from memprof.measure.child import Limits
    from memprof.measure.feeds import input_specs
    from memprof.results.bench import BENCH_SCHEMA, BenchSettings

    settings = BenchSettings(threads=threads, warmup=warmup, runs=runs, values=parse_values(value))
    limits = Limits(seconds=timeout, memory_bytes=None if memory_limit is None else parse_bytes(memory_limit))
    dims, inputs = parse_dims(dim), parse_input_shapes(input_shape)
    loaded = [load(model, dims=dims, inputs=inputs) for model in models]
    if bundle is not None:
        from memprof.measure.bundle import write_bundle

        if len(loaded) != 1:
            raise UsageError("A bundle holds one model.", "Name one MODEL.")
        specs = input_specs(loaded[0].graph, settings.values)
        write_bundle(Path(loaded[0].path), specs, bundle, threads=threads, runs=runs)
        note(f"wrote {safe_text(str(bundle))}: run run.sh there; untried on a device so far")
        return
    benched = []
    for model in loaded:
        note(f"running {safe_text(model.path)}")
        benched.append(bench_model(model, settings, limits))
    with open_stdout() as stream:
        if as_json:
            document = {"schema": BENCH_SCHEMA, "models": [found.to_json(settings) for found in benched]}
            json.dump(document, stream, indent=2, allow_nan=False)
            stream.write("\n")
        else:
            from memprof.render.bench import render_bench

            render_bench(benched, stream, top=top)


def parse_values(texts: tuple[str, ...]) -> dict[str, float]:
    """Return what to fill inputs with.

    Raises:
        UsageError: A text is not NAME=X.

    >>> parse_values(("sampling_rate=16000",))
    {'sampling_rate': 16000.0}
    """
    found = {}
    for text in texts:
        name, _, number = text.rpartition("=")
        try:
            found[name] = float(number)
        except ValueError:
            name = ""
        if not name:
            raise UsageError(f"--value {text} is not NAME=X.", "Write --value sampling_rate=16000.")
    return found


def _show_result(path: Path, *, as_json: bool) -> None:
    from dataclasses import asdict

    from memprof.measure.bundle import read_result

    found = read_result(path)
    with open_stdout() as stream:
        if as_json:
            json.dump({"schema": "memprof/bench-device/1", **asdict(found)}, stream, indent=2)
            stream.write("\n")
        else:
            from memprof.render.bench import render_device_result

            render_device_result(found, stream)
