"""Predicted against measured for many models: writes docs/accuracy.md.

    python benchmarks/accuracy.py --cache DIR --json benchmarks/results/accuracy.json --markdown docs/accuracy.md

Models: every .onnx file in the cache (benchmarks/accuracy_models.py makes them), the light_* models of the onnx
package, and the files of a data folder beside the repository. Each is verified with optimisation off and as the
installed onnxruntime optimises it. The JSON is written after each model and read back: a run can be continued.
A model that onnxruntime refuses is listed with the reason and is in no percentage.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from memprof.base.errors import MemprofError
from memprof.importers.request import Request
from memprof.measure.child import Limits
from memprof.measure.verify import verify_onnxruntime, verify_optimized
from memprof.results.verification import Verification

ROOT = Path(__file__).parents[1]
SHAPES: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "yunet_n_dynamic": {"input": (1, 3, 320, 320)},
    "silero_vad_16k_op15": {"input": (1, 512), "state": (2, 1, 128), "sr": ()},
}
VALUES: Mapping[str, Mapping[str, float]] = {"silero_vad_16k_op15": {"sr": 16000}}
MISSING_RULES: Mapping[str, str] = {
    "cf_while_loop": "how often a loop runs that its data ends: taken as twice or more, here it ran once",
}
FAMILIES: Sequence[tuple[str, tuple[str, ...]]] = (
    ("control flow", ("cf_", "silero")),
    ("convolutional", ("yunet",)),
    ("quantised", ("qdq", "qoperator", "_dynamic.")),
    ("recurrent", ("lstm", "gru", "rnn")),
    ("onnx package", ("light_",)),
    ("transformer", ("vit", "swin", "maxvit", "cct", "gpt", "transformer")),
)


def main() -> None:
    """Run what has no result yet, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, help="folder of .onnx files; without it nothing is run")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks/results/accuracy.json")
    parser.add_argument("--markdown", type=Path, default=ROOT / "docs/accuracy.md")
    parser.add_argument("--limit", type=int, default=10**6, help="how many models to run at most")
    arguments = parser.parse_args()
    rows: dict[str, Any] = {}
    if arguments.json.exists():
        rows = json.loads(arguments.json.read_text(encoding="utf-8"))["models"]
    if arguments.cache is not None:
        todo = [path for path in models(arguments.cache) if path.stem not in rows]
        for path in todo[: arguments.limit]:
            rows[path.stem] = row = measure(path)
            print(
                path.stem, {level: found.get("exact", found.get("error")) for level, found in row.items()}, flush=True
            )
            document = {"environment": environment(), "models": rows}
            arguments.json.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    document = json.loads(arguments.json.read_text(encoding="utf-8"))
    arguments.markdown.write_text(page(document), encoding="utf-8")


def models(cache: Path) -> Iterator[Path]:
    """Yield the .onnx files of the cache, of the onnx package and of the data folder."""
    import onnx

    yield from sorted(cache.glob("*.onnx"))
    yield from sorted(Path(onnx.__file__).parent.glob("backend/test/data/light/light_*.onnx"))
    yield from sorted((ROOT.parent / "shared/data/models").glob("*.onnx"))


def measure(path: Path) -> dict[str, Any]:
    """Return both verifications of one model as JSON-ready values."""
    name = path.stem
    request = Request(source=path, inputs=SHAPES.get(name, {}), values=VALUES.get(name, {}))
    row: dict[str, Any] = {}
    off: Verification | None = None
    for level, run in (("off", verify_onnxruntime), ("all", verify_optimized)):
        try:
            found = run(request, Limits(seconds=300))
        except MemprofError as error:
            row[level] = {"error": error.message.replace(str(path), path.name)}
            continue
        first = found.first_difference
        row[level] = {
            "predicted": found.predicted_bytes,
            "measured": found.measured_bytes,
            "exact": found.is_exact,
            "steps": len(found.steps),
            "equal_steps": found.equal_steps,
            "first_difference": None if first is None else first.node,
            "others_equal": {pair.name: pair.is_equal for pair in found.others},
            "version": found.version,
        }
        if level == "off":
            off = found
        elif off is not None:
            row[level]["predicted_from_file_alone"] = off.predicted_bytes
    return row


def environment() -> dict[str, str]:
    """Return versions, processor and commit."""
    import onnx
    import onnxruntime

    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    flags = next((line for line in lines if line.startswith("flags")), "")
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return {
        "onnxruntime": onnxruntime.__version__,
        "onnx": onnx.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), ""),
        "vectors": "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "",
        "commit": commit.stdout.strip(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def family(name: str) -> str:
    """Return the family of a model by its name."""
    return next((title for title, marks in FAMILIES if any(mark in f"{name}." for mark in marks)), "convolutional")


def page(document: Mapping[str, Any]) -> str:
    """Return docs/accuracy.md."""
    about, rows = document["environment"], document["models"]
    lines = [
        "# Accuracy: predicted against measured",
        "",
        "Written by `benchmarks/accuracy.py`; do not edit. Each row is `memprof verify` on one model, of its first",
        "run (with onnxruntime `--runtime onnxruntime` or `--optimized`): the peak that",
        "is predicted, and the peak that the runtime really allocated, counted byte by byte by a traced allocator",
        "(tensors and kernel scratch, first run, default settings, one thread, outputs in, inputs out).",
        "",
        f"onnxruntime {about['onnxruntime']}, onnx {about['onnx']}, Python {about['python']}, {about['system']}, "
        f"{about['processor']} ({about['vectors']}), {about['date']}, commit {about['commit']}.",
        "",
        "## onnxruntime",
        "",
        *_summary(rows),
        "",
        "* *off*: predicted from the file alone, run with optimisation off.",
        "* *all*: predicted from the graph that onnxruntime optimised and wrote before it ran; nothing of the run is",
        "  used. onnxruntime orders some layout changes by memory address, so two sessions of a model can differ;",
        "  the graph is that of the measured session.",
        "* *file, all*: the prediction from the file alone (optimisation off) against the optimised run, estimated:",
        "  fusion and blocked layouts are not foreseen.",
        "",
        "| model | family | off: predicted | measured | error | steps equal | all: predicted | measured | error | "
        "steps equal | file, all |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [_row(name, row) for name, row in sorted(rows.items(), key=lambda item: (family(item[0]), item[0]))]
    lines += ["", "### Where a prediction is off", ""]
    lines += _off(rows) or ["Nowhere."]
    lines += ["", *_cuda(ROOT / "benchmarks/results/accuracy_cuda_h100.json")]
    return "\n".join(lines) + "\n"


def _summary(rows: Mapping[str, Any]) -> list[str]:
    lines = ["| | models | byte-exact | share |", "|---|--:|--:|--:|"]
    for level, title in (("off", "optimisation off, from the file alone"), ("all", "optimised by onnxruntime")):
        found = [row[level] for row in rows.values() if "error" not in row[level]]
        exact = sum(one["exact"] for one in found)
        lines.append(f"| {title} | {len(found)} | {exact} | {exact / max(1, len(found)):.1%} |")
        real = [row[level] for name, row in rows.items() if "error" not in row[level] and not name.startswith("cf_")]
        exact = sum(one["exact"] for one in real)
        lines.append(
            f"| ... without the small control-flow graphs | {len(real)} | {exact} | {exact / len(real):.1%} |"
        )
    errors = sorted(abs(error) for row in rows.values() if (error := _file_error(row["all"])) is not None)
    if errors:
        near = sum(error <= 0.01 for error in errors)
        lines.append(
            f"| optimised, from the file alone (estimate) | {len(errors)} | within 1 %: {near} | median error "
            f"{errors[len(errors) // 2]:.1%}, largest {errors[-1]:.1%} |"
        )
    return lines


def _row(name: str, row: Mapping[str, Any]) -> str:
    cells = [name, family(name)]
    for level in ("off", "all"):
        found = row[level]
        if "error" in found:
            cells += ["not run", "", "", ""]
        else:
            steps = f"{found['equal_steps']}/{found['steps']}"
            cells += [_bytes(found["predicted"]), _bytes(found["measured"]), _error(found), steps]
    error = _file_error(row["all"])
    return f"| {' | '.join([*cells, '' if error is None else f'{error:+.1%}'])} |"


def _off(rows: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, row in sorted(rows.items()):
        for level in ("off", "all"):
            found = row[level]
            if "error" in found:
                lines.append(f"* {name}, {level}: not run: {found['error']}")
            elif not found["exact"]:
                reason = MISSING_RULES.get(name, "the missing rule is not known yet")
                lines.append(f"* {name}, {level}: {_error(found)}, first at `{found['first_difference']}`: {reason}.")
    return lines


def _cuda(path: Path) -> list[str]:
    if not path.exists():
        return []
    document = json.loads(path.read_text(encoding="utf-8"))
    about = document["environment"]
    lines = [
        "## PyTorch on CUDA",
        "",
        f"{', '.join(f'{key} {value}' for key, value in sorted(about.items()) if isinstance(value, str | int))}; "
        f"batch {document['batch']}. Predicted on fake tensors; *tensors*: the same tracker, real ones; *allocated*",
        "is `torch.cuda.max_memory_allocated()` above what was there before, kernels' own workspaces included.",
        "",
        "| model | mode | allocator | predicted | tensors | allocated | predicted / allocated |",
        "|---|---|---|--:|--:|--:|--:|",
    ]
    for row in document["rows"]:
        predicted, tensors, allocated = (row.get(f"{key}_bytes") for key in ("predicted", "tensor", "allocated"))
        ratio = f"{predicted / allocated:.3f}" if predicted and allocated else ""
        cells = [_bytes(predicted), _bytes(tensors), _bytes(allocated), ratio]
        lines.append(f"| {row['model']} | {row['mode']} | {row.get('allocator', '')} | {' | '.join(cells)} |")
    return lines


def _file_error(found: Mapping[str, Any]) -> float | None:
    predicted = found.get("predicted_from_file_alone")
    return None if predicted is None or not found.get("measured") else predicted / found["measured"] - 1


def _error(found: Mapping[str, Any]) -> str:
    if found["exact"]:
        return "exact"
    if found["predicted"] is None or not found["measured"]:
        return "not known"
    return f"{found['predicted'] / found['measured'] - 1:+.2%}"


def _bytes(size: int | None) -> str:
    return "not known" if size is None else f"{size:,}"


if __name__ == "__main__":
    main()
