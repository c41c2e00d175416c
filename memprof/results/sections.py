"""The sections of a report, declared once, in reading order. Every renderer draws each of them or it does not load.

A section is a name, a title for people, and the place of its numbers in the JSON document. Text, Markdown and HTML
each have a table from these names to functions; ``drawn_by`` holds the table against the list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

_Draw = TypeVar("_Draw")

MODULE_DEPTH = 2
"""Parts of a module's path that a table keeps where nobody asked for another depth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One part of a report.

    Attributes:
        name: Its key.
        title: What stands above it; empty for what needs none.
        json_path: Where its numbers are in the document: a name each level, ``*`` for each runtime model.
    """

    name: str
    title: str
    json_path: tuple[str, ...]


SECTIONS: tuple[Section, ...] = (
    Section(name="headline", title="", json_path=("headline",)),
    Section(name="unknown", title="Unknown, and what settles it", json_path=("unknown",)),
    Section(name="assumed", title="Assumed", json_path=("assumed",)),
    Section(name="footprint", title="", json_path=("runtimes", "*", "total_bytes")),
    Section(name="runtimes", title="Runtime models", json_path=("runtimes", "*", "peak_intermediate_bytes")),
    Section(name="sweep", title="Over other sizes", json_path=("sweep",)),
    Section(name="curve", title="Bytes alive at each step", json_path=("runtimes", "*", "timeline")),
    Section(name="live", title="Alive at the peak", json_path=("runtimes", "*", "peak", "live")),
    Section(name="categories", title="What for", json_path=("runtimes", "*", "by_category")),
    Section(name="help", title="What would help", json_path=("help",)),
    Section(name="modules", title="By module", json_path=("modules",)),
    Section(name="figures", title="Besides the peak", json_path=("runtimes", "*", "figures")),
)


def drawn_by(table: Mapping[str, _Draw]) -> Mapping[Section, _Draw]:
    """Return what draws each section, in order.

    Args:
        table: From the name of each section to what draws it.
    """
    names = [section.name for section in SECTIONS]
    assert list(table) == names, f"a renderer draws {list(table)}, and the sections are {names}"
    return MappingProxyType({section: table[section.name] for section in SECTIONS})
