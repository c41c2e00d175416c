"""``memprof nas export``: take a found network along as ONNX, JSON and pictures."""

from __future__ import annotations

import json
from pathlib import Path

import click

from memprof.cli.nas.candidates import pick_candidate
from memprof.cli.options import json_option
from memprof.cli.output import note, open_stdout, write_atomically


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--candidate", type=click.IntRange(min=0), help="Which network; the best of the search if left out.")
@click.option("--trained", metavar="NAME", help="Weights of this final training; the search's own if left out.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Folder; DIR/export if left out."
)
@json_option
def export(folder: Path, candidate: int | None, trained: str | None, output: Path | None, as_json: bool) -> None:
    """Write a network of the search in DIR: ONNX checked in onnxruntime, JSON, drawing and lifetime plot.

    \b
    memprof nas export runs/first
    memprof nas export runs/first --candidate 12 --trained 12-16-blocks -o found
    """
    from memprof.nas.devices import pick_device

    pick_device("cpu")  # one clear line if torch is missing
    import memprof
    from memprof.nas.export import export_onnx, weights_of
    from memprof.plots.architecture import plot_architecture

    found = pick_candidate(folder, candidate)
    architecture, weights, origin = weights_of(folder, found.candidate, found.architecture, trained)
    target = output or folder / "export"
    target.mkdir(parents=True, exist_ok=True)
    exported = export_onnx(architecture, weights, target / "model.onnx")
    text = json.dumps(architecture.to_json() | {"weights": origin}, indent=2) + "\n"

    def write_architecture(path: Path) -> None:
        path.write_text(text, encoding="utf-8")

    write_atomically(str(target / "architecture.json"), write_architecture)
    title = f"Candidate {found.candidate} of {folder.name}"
    plot_architecture(architecture, target / "architecture.png", title=title)
    report = memprof.analyze(str(exported.path))
    report.plot(target / "lifetimes.png")
    for name in ("model.onnx", "architecture.json", "architecture.png", "lifetimes.png"):
        note(f"wrote {target / name}")
    with open_stdout() as stream:
        if as_json:
            document = {
                "schema": "memprof/nas-export/1",
                "candidate": found.candidate,
                "weights": origin,
                "model": str(exported.path),
                "difference": exported.difference,
                "parameter_bytes": report.parameter_bytes,
                "peak_intermediate_bytes": report.peak_intermediate_bytes,
            }
            json.dump(document, stream, indent=2)
            stream.write("\n")
        else:
            stream.write(
                f"Candidate {found.candidate} with {origin}; onnxruntime and PyTorch agree "
                f"within {exported.difference:.1e} of the largest output\n"
                f"Next: memprof bench {exported.path}\n"
            )
