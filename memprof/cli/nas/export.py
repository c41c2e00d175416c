"""``memprof nas export``: take a found network along as ONNX, JSON and pictures."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from memprof.base.files import write_text_whole
from memprof.base.text import safe_text
from memprof.base.units import format_bytes
from memprof.cli.nas.candidates import pick_candidate
from memprof.cli.nas.options import later_code_file, space_options
from memprof.cli.options import json_option
from memprof.cli.output import note, open_stdout, telling
from memprof.render.json import format_document, write_document

if TYPE_CHECKING:
    from memprof.nas.record.settings import Settings
    from memprof.nas.searching.export import Exported
    from memprof.nas.space.architecture import Architecture
    from memprof.nas.space.budget import Budget
    from memprof.nas.space.screening import Footprint
    from memprof.results.report import Report


TFLITE = "model.tflite"
FILES = ("model.onnx", "architecture.json", "architecture.png", "lifetimes.png")


@click.command(short_help="Write a network of a search: ONNX, JSON, pictures.")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--candidate", type=click.IntRange(min=0), help="Which network; that of --trained, or the best.")
@click.option("--trained", metavar="NAME", help="Weights of this final training; the search's own if left out.")
@click.option("--tflite", is_flag=True, help="A .tflite file too, int8 if the search counted int8.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Folder; DIR/export if left out."
)
@space_options
@json_option
def export(
    folder: Path,
    candidate: int | None,
    trained: str | None,
    tflite: bool,
    output: Path | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """Write a network of the search in DIR: ONNX checked in onnxruntime, JSON, drawing and lifetime plot.

    \b
    memprof nas export runs/first
    memprof nas export runs/first --trained 12-16-blocks -o found
    memprof nas export runs/board --tflite
    """
    with telling(f"reading {safe_text(str(folder))}"):
        from memprof.nas.train.devices import pick_device

        pick_device("cpu")  # one clear line if torch is missing
        import memprof
        from memprof.nas.given.inside import output_folder
        from memprof.nas.searching.export import export_onnx, weights_of
        from memprof.nas.searching.run import builders_of, saved_search, trusted
        from memprof.nas.space.screening import measure
        from memprof.nas.train.modules import build_module

        found = pick_candidate(folder, candidate, trained)
        architecture, weights, origin = weights_of(folder, found.candidate, found.architecture, trained)
        settings = saved_search(folder)[0]
        budget = settings.budget
        builders = builders_of(settings, trusted(later_code_file(flags), settings))
    if tflite:
        from memprof.nas.searching.tflite import require_converter

        require_converter()
    counted = measure(architecture, budget)
    files = (*FILES, TFLITE) if tflite else FILES
    target = output_folder(output, (folder,), "export", files)
    if (target / "model.onnx").is_file():
        note(f"replacing the export that was in {safe_text(str(target))}")
    with telling(f"exporting candidate {found.candidate}"):
        exported = export_onnx(architecture, weights, target / "model.onnx", builders)
        report = memprof.analyze(str(exported.path))
        report.plot(target / "lifetimes.png")
        _describe(architecture, origin, f"Candidate {found.candidate} of {folder.name}", target)
        converted = None
        if tflite:
            module = build_module(architecture, builders)
            converted = _convert(folder, settings, architecture, module, weights, target)
    for name in files:
        note(f"wrote {safe_text(str(target / name))}")
    document = {"schema": "memprof/nas-export/1", "candidate": found.candidate, "weights": origin}
    document |= _facts(exported, report, budget, counted) | ({} if converted is None else {"tflite": converted})
    with open_stdout() as stream:
        if as_json:
            write_document(document, stream)
        else:
            stream.writelines(f"{line}\n" for line in _lines(document))


def _facts(exported: Exported, report: Report, budget: Budget, counted: Footprint) -> dict[str, Any]:
    """Return what the file is, and beside it what the search counts."""
    return {
        "model": str(exported.path),
        "difference": exported.difference,
        "parameter_bytes": report.parameter_bytes,
        "peak_intermediate_bytes": report.peak_intermediate_bytes,
        "budget": {"dtype": budget.dtype, "runtime": budget.runtime, **_known(counted)},
    }


def _lines(found: dict[str, Any]) -> Iterator[str]:
    """Yield what an export says of itself, for people."""
    yield (
        f"Candidate {found['candidate']} with {found['weights']}; onnxruntime and PyTorch agree "
        f"within {found['difference']:.1e} of the largest output"
    )
    counted = found["budget"]
    if counted["dtype"] != "float32":  # what the budget promised is not what the file takes
        yield (
            f"The file is float32; as {counted['dtype']}, which the search counts, the network has "
            f"{format_bytes(counted['parameter_bytes'])} of parameters and a peak of "
            f"{format_bytes(counted['peak_intermediate_bytes'])} ({counted['runtime']})"
        )
    following = ["memprof", "bench", found["model"]]
    if converted := found.get("tflite"):
        yield (
            f"As .tflite, {converted['dtype']}: LiteRT gives PyTorch's class on {converted['agreement']:.0%} of "
            f"{converted['images']} images; arena {format_bytes(converted['arena_bytes'])} "
            f"({format_bytes(converted['foreseen_bytes'])} was foreseen); file "
            f"{format_bytes(converted['file_bytes'])} ({format_bytes(converted['foreseen_file_bytes'])} was), "
            f"of which {format_bytes(converted['weight_bytes'])} are weights"
        )
        following = ["memprof", "analyze", converted["model"]]
    yield f"Next: {safe_text(shlex.join(following), limit=2000)}"


def _known(counted: Footprint) -> dict[str, int]:
    """Return the bytes that the search counts; those of a file only where one would be converted."""
    return {name: size for name, size in asdict(counted).items() if size is not None}


def _convert(
    folder: Path, settings: Settings, architecture: Architecture, module: Any, weights: dict[str, Any], target: Path
) -> dict[str, Any]:
    """Write the .tflite file; return what it is, and its arena beside the one that the search would have counted."""
    import memprof
    from memprof.nas.searching.tflite import calibration_images, export_tflite
    from memprof.nas.space.footprint import deployed

    budget = settings.budget
    images = calibration_images(folder, settings)
    found = export_tflite(module, weights, images, target / TFLITE, budget.dtype)
    graph = memprof.load(str(found.path)).graph
    foreseen = memprof.tflm_arena(deployed(architecture, found.dtype), found.dtype, budget.kernels)
    return {
        "model": str(found.path),
        "dtype": found.dtype,
        "difference": found.difference,
        "agreement": found.agreement,
        "images": len(images),
        "arena_bytes": memprof.tflm_arena(graph, found.dtype, budget.kernels).arena_bytes,
        "foreseen_bytes": foreseen.arena_bytes,
        "file_bytes": found.path.stat().st_size,
        "weight_bytes": graph.parameter_bytes,
        "foreseen_file_bytes": foreseen.file_bytes,
    }


def _describe(architecture: Architecture, origin: str, title: str, target: Path) -> None:
    """Write the network as JSON, with where its weights come from, and as a drawing."""
    from memprof.plots.architecture import plot_architecture

    write_text_whole(target / "architecture.json", format_document(architecture.to_json() | {"weights": origin}))
    plot_architecture(architecture, target / "architecture.png", title=title)
