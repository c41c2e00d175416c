"""The words and numbers that all renderers share: a peak reads the same in a terminal, a page and a comment."""

from __future__ import annotations

from memprof.base.text import safe_text
from memprof.base.units import format_apart, format_bytes
from memprof.ir import Unknown
from memprof.results.records import ModelSummary, RuntimeReport
from memprof.results.report import Report
from memprof.runtimes import Figure, Grade, Process

_MACS = "macs"


def grade_words(grade: Grade | None) -> str:
    """Return what a number promises; a dash where it is not known and promises nothing."""
    return grade or "-"


def split_headline(report: Report) -> tuple[str, str, str]:
    """Return the report's first sentence in three parts: what, where, and the operation, the part that may be long.

    >>> "".join(split_headline(report))  # doctest: +SKIP
    'Peak 6.02 MB of intermediates at step 12 of 100, features.2.conv (Conv)'
    """
    found = report.headline
    if found.peak_intermediate_bytes is None:
        known = format_bytes(found.known_bytes_at_least)
        n = len(memory_unknowns(report))
        things = "1 thing is unknown" if n == 1 else f"{n:,} things are unknown" if n else "some sizes are unknown"
        return f"Peak at least {known}", f" of intermediates; {things}", ""
    what = f"Peak {format_bytes(found.peak_intermediate_bytes)}"
    if not found.lifetimes.schedule.steps:
        return what, " of intermediates; nothing is computed", ""
    where = f" of intermediates at step {found.peak.step} of {found.lifetimes.schedule.step_count}"
    return what, where, peak_operations(found)


def peak_operations(found: RuntimeReport) -> str:
    """Return what runs at the peak: ``name (op)``, and how many more if several share the step."""
    steps = found.lifetimes.schedule.steps
    running = steps[found.peak.step] if steps else ()
    if not running:
        return "before the first operation"
    node = found.lifetimes.graph.nodes[running[0]]
    more = f" and {len(running) - 1} more" if len(running) > 1 else ""
    return f"{safe_text(node.name)} ({safe_text(node.op, limit=40)}){more}"


def peak_amount(found: RuntimeReport, at_least: str = "≥") -> str:
    """Return the peak with a unit, or what is known of it."""
    if found.peak_intermediate_bytes is None:
        return f"{at_least} {format_bytes(found.known_bytes_at_least)}"
    return format_bytes(found.peak_intermediate_bytes)


def weights_amount(model: ModelSummary, at_least: str = "≥") -> str:
    """Return the weights with a unit, constants included, or what is known of them."""
    found = model.parameter_bytes + model.foldable_constant_bytes
    return format_bytes(found) if model.has_known_weights else f"{at_least} {format_bytes(found)}"


def known_amount(size_bytes: int | None) -> str:
    """Return an amount with a unit, ``unknown`` if there is none."""
    return "unknown" if size_bytes is None else format_bytes(size_bytes)


def known_pair(before: int | None, after: int | None) -> tuple[str, str]:
    """Return two amounts as ``known_amount`` does, told apart where they differ."""
    return (
        (known_amount(before), known_amount(after))
        if before is None or after is None
        else format_apart(before, after)
    )


def exact_amount(size_bytes: int) -> str:
    """Return an amount as the other unit has it and exactly: ``5.74 MiB, 6,021,120 bytes``.

    >>> exact_amount(6021120), exact_amount(1)
    ('5.74 MiB, 6,021,120 bytes', '1 byte')
    """
    plain = "1 byte" if size_bytes == 1 else f"{size_bytes:,} bytes"
    if size_bytes < 1024:
        return plain
    value = float(size_bytes)
    for unit in ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB"):
        value /= 1024
        if value < 1023.5 or unit == "EiB":
            break
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {unit}, {plain}"


def count_amount(count: int) -> str:
    """Return a count with three significant digits: ``300.8 M``.

    >>> count_amount(300774272), count_amount(999)
    ('301 M', '999')
    """
    if count < 1000:
        return str(count)
    value = float(count)
    for unit in ("k", "M", "G", "T", "P", "E"):
        value /= 1000
        if value < 999.5 or unit == "E":
            break
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {unit}"


def memory_unknowns(report: Report) -> tuple[Unknown, ...]:
    """Return the unknowns that touch bytes."""
    return tuple(unknown for unknown in report.unknown if unknown.kind != _MACS)


def mac_unknowns(report: Report) -> tuple[Unknown, ...]:
    """Return the unknowns that touch the operation count only."""
    return tuple(unknown for unknown in report.unknown if unknown.kind == _MACS)


def model_facts(report: Report) -> str:
    """Return one line about the model itself: operations, MACs, parameter bytes by element type."""
    model = report.model
    operations = "1 operation" if model.nodes == 1 else f"{model.nodes:,} operations"
    macs = "MACs unknown" if model.macs is None else f"{count_amount(model.macs)} MACs"
    dtypes = ", ".join(f"{safe_text(name)} {format_bytes(size)}" for name, size in model.bytes_by_dtype.items())
    return f"{operations}, {macs}; parameters: {dtypes or 'none'}"


def short_definition(found: RuntimeReport) -> str:
    """Return the runtime model's definition as one short line."""
    return found.runtime.summary or found.runtime.definition


def figure_rows(report: Report) -> list[tuple[str, Figure]]:
    """Return what runtime models know besides the peak, each with the model's name."""
    return [(name, figure) for name, found in report.runtimes.items() for figure in found.figures]


def figure_title(figure: Figure) -> str:
    """Return a figure's name in words."""
    return _FIGURE_TITLES.get(figure.name) or safe_text(figure.name, limit=60).replace("_", " ")


_FIGURE_TITLES = {
    "head_bytes": "head",
    "head_bound_bytes": "head, no plan below",
    "tail_bytes": "tail, 4-byte pointers",
    "tail_bytes_64_bit": "tail, 8-byte pointers",
    "head_bytes_cmsis_nn": "head with CMSIS-NN",
    "head_bytes_cmsis_nn_mve": "head with CMSIS-NN, Helium",
}
"""Names that do not say enough as they are."""


_DIFFERING = 1.05
"""From here on a range is said and not only one number: within it, the usual error says as much."""


def process_note(process: Process) -> str:
    """Return what is said beside the bytes of a process: how far off they were, or what they are made of if few."""
    if process.range_bytes is not None and process.range_bytes[1] > process.range_bytes[0] * _DIFFERING:
        low, high = map(format_bytes, process.range_bytes)
        return f"estimate; {low} to {high} in the processes asked"
    if process.error.startswith("median"):
        return f"estimate, {process.error.partition(',')[0]} off; --json has the parts"
    parts = ", ".join(f"{name.replace('_', ' ')} {format_bytes(size)}" for name, size in process.parts.items())
    return f"estimate: {parts}"


def reserved_words(found: RuntimeReport) -> str:
    """Return what the bytes of the peak are that no tensor has: an arena's gaps too, where there is one."""
    return "in gaps between them and scratch" if found.has_gaps else "inside the step itself"


def category_title(found: RuntimeReport) -> str:
    """Return whose bytes a table by category tells of, and when.

    >>> category_title(report.headline)  # doctest: +SKIP
    "pytorch, at its peak in the optimizer's step"
    """
    name = safe_text(found.runtime.name, limit=40)
    if not found.phase:
        return name
    return f"{name}, at its peak in the {safe_text(found.phase, limit=40)} pass".replace(
        "optimizer pass", "optimizer's step"
    )


_VERIFIED_PEAKS = {"tflm": "head of the arena", "onnxruntime-default": "peak of the second run"}


def verified_peak(runtime: str) -> str:
    """Return what the number is that a verification of a runtime model compares first."""
    return _VERIFIED_PEAKS.get(runtime, "peak of the first run")
