"""A page without a model's names; sizes, steps and kinds of operations stay.

Tensors become ``tensor 1``, operations ``operation 1``, parts of module paths ``m1``, named dimensions ``d1``, the
same name the same throughout a graph. Sentences that may quote a name are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from memprof.render.page.sides import Page

_KINDS = frozenset({"dimension", "shape", "dtype", "operator", "macs"})  # an importer's own words may quote a name


def redact_page(page: Page) -> Page:
    """Return ``page`` without a name of the model's."""
    what, where, operation = page.headline
    return replace(
        page,
        title="model",
        headline=(what, where.removesuffix(", ") if operation else where, ""),
        sides=[_redact_side(side) for side in page.sides],
        graphs=[_redact_graph(graph) for graph in page.graphs],
        differences=[(step, "", predicted, measured) for step, _, predicted, measured in page.differences],
        digests=(),
    )


def _redact_side(side: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **side,
        "path": "model",
        "assumed": [[kind, "left out", "", ""] for kind, *_ in side["assumed"]],
        "help": [[*change[:-1], ""] for change in side["help"]],
        "sweep": [],
        "unknown": [[kind if kind in _KINDS else "other", "left out", "", ""] for kind, *_ in side["unknown"]],
    }


def _redact_graph(graph: Mapping[str, Any]) -> dict[str, Any]:
    parts: dict[str, str] = {}
    dims: dict[str, str] = {}

    def path(module: str) -> str:
        return ".".join(parts.setdefault(part, f"m{len(parts) + 1}") for part in module.split(".")) if module else ""

    def dim(size: int | str | None) -> int | str | None:
        return dims.setdefault(size, f"d{len(dims) + 1}") if isinstance(size, str) else size

    values, nodes = graph["values"], graph["nodes"]
    types = [
        [dtype, None if shape is None else [dim(size) for size in shape], *more]
        for dtype, shape, *more in values["type"]["table"]
    ]
    return {
        **graph,
        "name": "",
        "values": {
            **values,
            "name": [f"tensor {i + 1}" for i in range(len(values["name"]))],
            "type": {**values["type"], "table": types},
            "module": {**values["module"], "table": list(map(path, values["module"]["table"]))},
        },
        "nodes": {
            **{name: column for name, column in nodes.items() if name != "line"},
            "name": [f"operation {i + 1}" for i in range(len(nodes["name"]))],
            "module": {**nodes["module"], "table": list(map(path, nodes["module"]["table"]))},
        },
    }
