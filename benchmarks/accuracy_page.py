"""The text of docs/accuracy.md."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]
Measure = Callable[[Row], float | None]

ROOT = Path(__file__).parents[1]
FAMILIES: Mapping[str, str] = {
    "tv_": "torchvision",
    "tvx_": "torchvision, graph exporter",
    "timm_": "timm",
    "hf_": "transformers",
    "own_": "own networks",
    "q_qdq": "QDQ",
    "q_qoperator": "QOperator",
    "q_dynamic": "dynamically quantised",
    "q_float16": "float16",
    "cf_": "control flow",
    "light_": "onnx package",
    "zoo_": "files of public packages",
}
KINDS: Sequence[tuple[str, tuple[str, ...], str]] = (
    ("headline", ("cf_while",), "how often a loop runs that its data ends: taken as twice or more, here it ran once"),
    ("headline", ("ghostnet",), "which of several changes back from the blocked layout comes first: sessions differ"),
    ("headline", ("silero",), "which branch of an If the data take: the larger counts"),
    ("headline", ("lstm", "sequencer"), "scratch of a recurrent kernel that shares its work among threads"),
    (
        "file_alone",
        ("cf_while",),
        "how often a loop runs that its data ends: taken as twice or more, here it ran once",
    ),
    (
        "file_alone",
        ("ghostnet", "OCRv6_det"),
        "which of several changes back from the blocked layout comes first: sessions differ",
    ),
    ("file_alone", ("silero",), "slices inside the branch that runs, which follow from shapes that it knows late"),
    ("file_alone", ("",), "not looked into"),
    ("arena", ("silero",), "bodies: what they take and pack is not in the simulation"),
)
_EXACT = 0.0
PROCESSES = ROOT / "benchmarks/results/accuracy_process.json"
HELD = ROOT / "benchmarks/results/accuracy_held.json"
_UNLISTED = ("process, file alone", "process, nearest of its range", "processes of one model")


def page(document: Mapping[str, Any]) -> str:
    """Return docs/accuracy.md."""
    rows = {name: row for name, row in document["models"].items() if "error" not in row}
    processes = json.loads(PROCESSES.read_text(encoding="utf-8"))
    rows = {name: _with_process(row, processes["models"].get(name, {})) for name, row in rows.items()}
    failed = {name: row["error"] for name, row in document["models"].items() if "error" in row}
    lines = [
        "# Accuracy: predicted against measured",
        "",
        "Written by `benchmarks/accuracy.py` from its results and those of `accuracy_process.py`; do not edit. Each",
        f"model in processes of its own, three for what one takes (the median counts). {len(rows)} models, random",
        "weights, open sizes assumed: torchvision, timm, transformers (small configurations), networks of",
        "`benchmarks/accuracy_networks.py`, quantised ones, control flow, the onnx package's, files of packages.",
        "",
        *_machines(document["machines"]),
        *_predicted(rows),
        "",
        *_what(rows),
        "",
        "| | models | exact | within 1 % | within 5 % | within 10 % | within 15 % | median error | largest |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
        *(_summary(title, rows, measure) for title, measure in MEASURES.items()),
        "",
        *_graded(rows),
        "",
        *_held(ROOT / "benchmarks/results/file_alone_held.json"),
        "",
        *_others(HELD),
        "",
        "## By family",
        "",
        "| family | models | headline exact | file alone within 10 % | process within 5 % | within 10 % |",
        "|---|--:|--:|--:|--:|--:|",
        *_families(rows),
        "",
        "## Where a prediction is off by more than 5 %, by kind",
        "",
        "| what | kind | models |",
        "|---|---|---|",
        *_misses(rows),
        *_failed(failed),
        "",
        "## All models",
        "",
        "| model | headline: predicted | measured | error | file alone | process: predicted | measured | error |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
        *(_line(name, row) for name, row in sorted(rows.items())),
        "",
        *_node_tests(ROOT / "benchmarks/results/node_tests.json"),
        "",
        *_rows_by_name(ROOT / "benchmarks/results/accuracy_off.json"),
        "",
        *_cuda(ROOT / "benchmarks/results/accuracy_cuda_h100.json"),
    ]
    return "\n".join(lines) + "\n"


def _what(rows: Mapping[str, Any]) -> list[str]:
    """Return what the columns are."""
    return [
        "* **headline**: the peak of a default session from its second run on, from the graph that onnxruntime makes",
        "  of the structure, against a traced allocator in another session.",
        "* **file alone**: the same with `--from-file`, by rules, against the same measurement.",
        "* **process**: growth of a fresh process to after the tenth run, against resident pages: what making the",
        "  session takes from a process that made one with zeros for weights (up to 512 MiB), runs simulated.",
        f"  On {sum(row['process'] is not None for row in rows.values())} models, each in a run of its own.",
        "  Of several that were asked the middle one counts. Measured before, and predicted anew of the structures.",
        "* **process, file alone**: the same, all simulated.",
        "* **process, nearest of its range**: how far what was measured lies outside of what the several took.",
        "* **processes of one model**: the largest of three against their median: what no prediction can tell.",
        "* **arena**: what the session's arena holds after later runs, simulated, against onnxruntime's own profile.",
    ]


def _headline(row: Row) -> float | None:
    return _error(row["headline"]["predicted"], row["headline"]["measured"])


def _file_alone(row: Row) -> float | None:
    return _error(row["file_alone"], row["headline"]["measured"])


def _process(row: Row) -> float | None:
    if row["process"] is None:
        return None
    found = row["process"]["process"]
    return _error(found["predicted"], _median(found["measured"]))


def _process_alone(row: Row) -> float | None:
    if row["process"] is None:
        return None
    return _error(row["process_alone"], _median(row["process"]["process"]["measured"]))


def _outside(row: Row) -> float | None:
    if row["process"] is None or (single := _process(row)) is None:
        return None
    low, high = row["range"] or [row["process"]["process"]["predicted"]] * 2
    measured = _median(row["process"]["process"]["measured"])
    return 0.0 if low <= measured <= high else min(single, low / measured - 1, high / measured - 1, key=abs)


def _spread(row: Row) -> float | None:
    if row["process"] is None:
        return None
    found = row["process"]["process"]["measured"]
    largest: float = max(abs(size / _median(found) - 1) for size in found)
    return largest


def _with_process(row: Row, found: Row) -> Row:
    """Return a row with what was measured of its process, which is another run."""
    if "process" not in found:
        return {**row, "process": None}
    beside = {"process_alone": found["file_alone"], "asked": found["asked"], "range": found.get("range")}
    return {**row, "process": found["process"], **beside}


def _arena(row: Row) -> float | None:
    if row["process"] is None:
        return None
    found = row["process"]["arena_later_runs"]
    return None if None in found["measured"] else _error(found["predicted"], _median(found["measured"]))


MEASURES: Mapping[str, Measure] = {
    "headline": _headline,
    "file alone": _file_alone,
    "process": _process,
    "process, file alone": _process_alone,
    "process, nearest of its range": _outside,
    "processes of one model": _spread,
    "arena": _arena,
}


def _error(predicted: int | None, measured: int | None) -> float | None:
    return predicted / measured - 1 if predicted is not None and measured else None


def _median(values: Sequence[int]) -> int:
    return sorted(values)[len(values) // 2]


def _machines(machines: Mapping[str, Any]) -> Iterator[str]:
    for about in machines.values():
        yield (
            f"onnxruntime {about['onnxruntime']}, onnx {about['onnx']}, Python {about['python']}, {about['system']}, "
            f"{about['processor']} ({about['vectors']}), {about['threads']} threads, {about['date']}."
        )


def _predicted(rows: Mapping[str, Row]) -> Iterator[str]:
    days = sorted({row["predicted"]["date"] for row in rows.values() if "predicted" in row})
    if days:
        yield f"Headlines, grades and numbers from the file alone are predictions of {', '.join(days)}."


def _errors(rows: Mapping[str, Row], measure: Measure) -> list[float]:
    return sorted(abs(error) for row in rows.values() if (error := measure(row)) is not None)


def _summary(title: str, rows: Mapping[str, Row], measure: Measure) -> str:
    errors = _errors(rows, measure)
    if not errors:
        return f"| {title} | 0 | | | | | | | |"
    shares = [_share(sum(error <= most for error in errors), len(errors)) for most in (_EXACT, 0.01, 0.05, 0.1, 0.15)]
    middle, largest = errors[len(errors) // 2], errors[-1]
    return f"| {title} | {len(errors)} | {' | '.join(shares)} | {middle:.1%} | {largest:.1%} |"


def _share(count: int, total: int) -> str:
    return f"{count} ({count / max(1, total):.0%})"


def _graded(rows: Mapping[str, Row]) -> Iterator[str]:
    exact = {name for name, row in rows.items() if row["grade"] == "exact"}
    wrong = sorted(name for name in exact if _headline(rows[name]) != _EXACT)
    off = ", ".join(wrong) or "none"
    yield f"{len(exact)} headlines are graded exact; what was measured is another number on {off}."
    yield "Two sessions of one model may leave the blocked layout in another order: exact where all orders take that,"
    yield "proven per graph, else an estimate. So are recurrent layers above one thread, and branches and loops"
    yield "that the data decide."


def _families(rows: Mapping[str, Row]) -> Iterator[str]:
    for mark, title in FAMILIES.items():
        some = {name: row for name, row in rows.items() if name.startswith(mark)}
        if some:
            head, alone, process = (_errors(some, found) for found in (_headline, _file_alone, _process))
            cells = [
                _share(sum(error == _EXACT for error in head), len(some)),
                _share(sum(error <= 0.1 for error in alone), len(some)),
                _share(sum(error <= 0.05 for error in process), len(process)),
                _share(sum(error <= 0.1 for error in process), len(process)),
            ]
            yield f"| {title} | {len(some)} | {' | '.join(cells)} |"


def _misses(rows: Mapping[str, Row]) -> Iterator[str]:
    for title, measure in MEASURES.items():
        if title in _UNLISTED:
            continue
        kinds: dict[str, list[str]] = {}
        for name, row in sorted(rows.items()):
            error = measure(row)
            if row["process"] is None and title in ("process", "arena"):
                continue  # not measured
            if error is None or abs(error) > 0.05 or (title == "headline" and error != _EXACT):
                shown = "not known" if error is None else f"{error:+.1%}"
                kinds.setdefault(_process_kind(row) if title == "process" else _kind(title, name), []).append(
                    f"{name} {shown}"
                )
        for kind, names in kinds.items():
            yield f"| {title} | {kind} | {', '.join(names)} |"


def _kind(title: str, name: str) -> str:
    of = title.replace(" ", "_")
    found = (why for what, marks, why in KINDS if what == of and any(mark in name for mark in marks))
    return next(found, "not looked into")


def _process_kind(row: Row) -> str:
    if not row["asked"]:
        return "over 512 MiB of weights and constants: simulated"
    if abs(_outside(row) or 0) <= 0.05 and row["range"]:
        return "processes of this model differ by as much: what was measured is in the range that stands beside it"
    if (_spread(row) or 0) > 0.04:
        return "processes of this model differ by as much, and those asked lay together"
    return "holes of the heap: they depend on the order of a hash table and on kilobytes that were free before"


def _failed(failed: Mapping[str, str]) -> Iterator[str]:
    if failed:
        yield ""
        yield f"Not run, and in no percentage ({len(failed)}):"
        yield ""
        for name, reason in sorted(failed.items()):
            yield f"* {name}: {reason[:160]}"


def _line(name: str, row: Row) -> str:
    head = row["headline"]
    process: Row = {"predicted": None, "measured": ()} if row["process"] is None else row["process"]["process"]
    errors = [_headline(row), _file_alone(row), _process(row)]
    shown = ["not known" if error is None else "exact" if error == _EXACT else f"{error:+.1%}" for error in errors]
    cells = [
        name,
        _bytes(head["predicted"]),
        _bytes(head["measured"]),
        *shown[:2],
        _bytes(process["predicted"]),
        _bytes(_median(process["measured"]) if process["measured"] else None),
        shown[2],
    ]
    return f"| {' | '.join(cells)} |"


def _bytes(size: int | None) -> str:
    return "not known" if size is None else f"{size:,}"


def _others(path: Path) -> Iterator[str]:
    """Yield the same of models that were written after the rules."""
    if not path.exists():
        return
    rows: dict[str, Row] = json.loads(path.read_text(encoding="utf-8"))["models"]
    yield "## Models of later"
    yield ""
    yield f"{len(rows)} of timm, transformers, torchvision and its quantisers, written after the rules. Their"
    yield "first misses were mended for their kinds: a convolution of 7 by 7, quantised HardSwish, restored shapes;"
    yield "from the file alone, where transposes move, and what of signed bytes stays apart:"
    yield ""
    yield "| | models | exact | within 1 % | within 5 % | within 10 % | within 15 % | median error | largest |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    yield from (_summary(title, rows, measure) for title, measure in MEASURES.items())
    yield ""
    yield "| what | kind | models |"
    yield "|---|---|---|"
    yield from _misses(rows)


def _held(path: Path) -> Iterator[str]:
    found = json.loads(path.read_text(encoding="utf-8"))["summary"]
    files = found["files"]
    yield "The rules of the file alone were written by looking at these models. On others of their kinds, for which"
    yield f"some were mended since (`benchmarks/file_alone.py`: {files} of timm and transformers, both exporters),"
    yield f"against the graph that onnxruntime makes: equal on {_share(found['equal'], files)}, within 10 % on"
    yield f"{_share(found['within 10 %'], files)}, the same operations on {_share(found['same operations'], files)}."


def _node_tests(path: Path) -> Iterator[str]:
    document = json.loads(path.read_text(encoding="utf-8"))
    summary, off = document["summary"], document["not exact"]
    counts = summary["with_scratch"]
    yield "## ONNX's own node tests"
    yield ""
    run, exact = summary["run"], counts["exact"]
    yield f"`benchmarks/node_tests.py`, optimisation off: of {summary['tests']:,} tests onnxruntime runs {run:,}."
    given, wrong = summary["with_elements_given"], counts.get("wrong", 0)
    yield f"The peak with scratch is exact on {_share(exact, run)}; {given} were asked about with elements of inputs"
    yield f"given, as by `--value`. Wrong and graded exact: {wrong}. The other {run - exact}:"
    yield ""
    groups: dict[str, list[str]] = {}
    for test in off:
        groups.setdefault(_why_off(test), []).append(test["name"].removeprefix("test_"))
    for why, names in sorted(groups.items(), key=lambda item: -len(item[1])):
        yield f"* {why} ({len(names)}): {', '.join(names)}"


def _why_off(test: Mapping[str, Any]) -> str:
    if test["predicted_bytes"] is not None:
        return "graded an estimate, or a bound of what the data decide"
    texts = ("type string", "type sequence", "type optional")
    if any(text in test["reason"] for text in texts):
        return "texts, sequences and optionals, which have no fixed number of bytes"
    return "not known, since data decide a size in a way that no rule follows"


def _rows_by_name(path: Path) -> Iterator[str]:
    document = json.loads(path.read_text(encoding="utf-8"))
    about = document["environment"]
    yield "## Other rows"
    yield ""
    yield f"First runs, one thread, onnxruntime {about['onnxruntime']}, {about['date']}, 69 models of an earlier set:"
    yield ""
    for level, title in (("off", "`--runtime onnxruntime`, optimisation off"), ("all", "`--optimized`")):
        found = [row[level] for row in document["models"].values() if "error" not in row[level]]
        yield f"* {title}: {sum(one['exact'] for one in found)} of {len(found)} exact."


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
