"""Latency tables for people: the yardstick first, the rest with ratios to it, then where the time goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from rich.table import Table
from rich.text import Text

from memprof.base.units import format_bytes
from memprof.render.terminal import Screen, open_screen

if TYPE_CHECKING:
    from memprof.measure.bundle import DeviceResult
    from memprof.results.bench import BenchedModel

_NAME_WIDTH = 26


def render_bench(benched: Sequence[BenchedModel], stream: TextIO, *, top: int, next_command: str) -> None:
    """Write one row per model, then the slowest operators of each."""
    screen = open_screen(stream)
    first = benched[0]
    latency = first.latency
    screen.show(
        Text(
            f"{latency.median_ms:.3g} ms median, {format_bytes(first.measured_peak_bytes)} measured peak: "
            f"{screen.clean(first.path)}",
            style="bold",
        ),
        Text(
            f"onnxruntime {latency.version}, all optimisations, {_count(latency.threads, 'thread')}, "
            f"{_count(len(latency.runs_ms), 'run')}"
        ),
    )
    screen.show()
    screen.show(_models(benched, screen))
    for found in benched:
        screen.show()
        screen.show(_operators(found, screen, top))
    screen.show()
    screen.show(Text(f"Next: {next_command}"), keep_lines=True)


def render_device_result(found: DeviceResult, stream: TextIO) -> None:
    """Write what a device printed."""
    screen = open_screen(stream)
    screen.show(
        Text(f"{found.median_ms:.3g} ms median on the device", style="bold"),
        Text(f"p90 {found.p90_ms:.3g} ms, fastest {found.min_ms:.3g} ms"),
    )
    if found.peak_process_bytes is not None:
        screen.show(Text(f"peak working set of the process {format_bytes(found.peak_process_bytes)}"))


def _models(benched: Sequence[BenchedModel], screen: Screen) -> Table:
    table = _table("model", "median", "p90", "min", "spread", "peak", "time", "bytes")
    first = benched[0]
    for found in benched:
        latency = found.latency
        table.add_row(
            Text(screen.fit(screen.clean(found.path), _NAME_WIDTH)),
            f"{latency.median_ms:.3g} ms",
            f"{latency.p90_ms:.3g}",
            f"{latency.min_ms:.3g}",
            f"{latency.spread:.0%}",
            format_bytes(found.measured_peak_bytes),
            _ratio(latency.median_ms, first.latency.median_ms),
            _ratio(found.measured_peak_bytes, first.measured_peak_bytes),
        )
    return table


def _operators(found: BenchedModel, screen: Screen, top: int) -> Table:
    operators = found.latency.operators
    total = sum(operator.median_ms for operator in operators)
    table = _table(f"slowest of {len(operators)} operations", "kind", "time", "share")
    for operator in operators[:top]:
        table.add_row(
            Text(screen.fit(screen.clean(operator.node), 40)),
            Text(screen.fit(screen.clean(operator.op), 16)),
            f"{operator.median_ms:.3g} ms",
            f"{operator.median_ms / total:.0%}" if total else "",
        )
    return table


def _table(first: str, *columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _ratio(value: float, base: float) -> str:
    return f"{value / base:.2f}x" if base else ""
