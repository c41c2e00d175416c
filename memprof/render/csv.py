"""Report -> CSV: one row per buffer of one runtime model, in order of birth.

A spreadsheet runs a cell that starts with one of ``= + - @`` as a formula; a name that does so gets a leading
apostrophe, which spreadsheets take as "this is text".
"""

from __future__ import annotations

import csv
from typing import TextIO

from memprof.analysis import Holders
from memprof.base.text import text_cell
from memprof.results.records import RuntimeReport

COLUMNS = (
    "name",  # of the first tensor in the buffer
    "bytes",  # empty if not known
    "dtype",
    "start",  # first step at which it exists
    "stop",  # first step at which it no longer does
    "alive_at_peak",  # 1 or 0
    "producer",  # empty for a graph input
    "held_by",  # last reader; empty for a graph output and for what nobody reads
    "module",
)


def render_csv(found: RuntimeReport, stream: TextIO) -> None:
    """Write the buffers of ``found`` to ``stream``."""
    lifetimes, step = found.lifetimes, found.peak.step
    values, nodes = lifetimes.graph.values, lifetimes.graph.nodes
    holders = Holders(lifetimes)
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for buffer in sorted(lifetimes.buffers, key=lambda b: (b.start, b.values)):
        first = values[buffer.values[0]]
        holder = holders.find(buffer)
        reader = None if holder.is_output else holder.last_reader
        writer.writerow(
            (
                text_cell(first.name),
                "" if buffer.size_bytes is None else buffer.size_bytes,
                text_cell(first.type.dtype or ""),
                buffer.start,
                buffer.stop,
                int(buffer.start <= step < buffer.stop),
                "" if holder.producer is None else text_cell(nodes[holder.producer].name),
                "" if reader is None else text_cell(nodes[reader].name),
                text_cell(first.module),
            )
        )
