"""Who in a network's hierarchy needs the bytes: one row per module path, folded to a depth. Pure, O(values + nodes).

    features.0.conv, features.0.bn, features.1.conv   depth 1: features      depth 2: features.0, features.1

Rows part the whole: parameter bytes add up to the model's, bytes at the peak to the peak without what the step itself
reserves. A buffer belongs to the module whose operation wrote it first, a parameter to the module that owns it (a
tied one to its first owner). What belongs to no module is in the row ``""``: graph inputs, operations outside any.
"""

from __future__ import annotations

from dataclasses import dataclass

from memprof.analysis.lifetimes import Lifetimes
from memprof.ir import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleRow:
    """One module, with all modules inside it.

    Attributes:
        path: Its path, folded; ``""`` for what belongs to no module.
        nodes: Operations that run in it.
        parameter_bytes: Bytes of its parameters and buffers.
        peak_bytes: Bytes alive at the model's peak that it wrote.
        share: Their part of the peak, 0 to 1.
        highest_bytes: Most bytes alive in the whole model while one of its operations runs, 0 if none does.
    """

    path: str
    nodes: int
    parameter_bytes: int
    peak_bytes: int
    share: float
    highest_bytes: int


def module_rows(lifetimes: Lifetimes, depth: int) -> tuple[ModuleRow, ...]:
    """Return one row per module path of at most ``depth`` parts, in the order in which modules first run.

    Args:
        lifetimes: A runtime model's answer.
        depth: Parts of a path to keep; 0 for one row.
    """
    graph = lifetimes.graph
    nodes: dict[str, int] = {}
    highest: dict[str, int] = {}
    step_bytes = lifetimes.timeline.step_bytes
    modules = [node.module for node in graph.nodes]
    folded = {module: fold(module, depth) for module in {*modules, *[value.module for value in graph.values]}}
    paths = [folded[module] for module in modules]
    for node_ids, size in zip(lifetimes.schedule.steps, step_bytes, strict=False):
        for node_id in node_ids:
            path = paths[node_id]
            if path not in nodes:
                nodes[path], highest[path] = 0, 0
            nodes[path] += 1
            if size > highest[path]:  # noqa: PLR1730 - a call for each node would take longer
                highest[path] = size
    parameters: dict[str, int] = {}
    for value, of in graph.weights:
        if value.role is Role.PARAMETER and of:
            path = folded[value.module]
            parameters[path] = parameters.get(path, 0) + of
    alive: dict[str, int] = {}
    for buffer in lifetimes.alive_at(lifetimes.timeline.peak_step):
        path = folded[graph.values[buffer.values[0]].module]
        alive[path] = alive.get(path, 0) + (buffer.size_bytes or 0)
    peak_bytes = lifetimes.timeline.peak_bytes
    return tuple(
        ModuleRow(
            path=path,
            nodes=nodes.get(path, 0),
            parameter_bytes=parameters.get(path, 0),
            peak_bytes=alive.get(path, 0),
            share=alive.get(path, 0) / peak_bytes if peak_bytes else 0.0,
            highest_bytes=highest.get(path, 0),
        )
        for path in dict.fromkeys([*nodes, *parameters, *alive])
    )


def fold(path: str, depth: int) -> str:
    """Return the first ``depth`` parts of a module path.

    >>> fold("features.3.conv", 2), fold("head", 2), fold("head", 0)
    ('features.3', 'head', '')
    """
    return ".".join(path.split(".")[:depth])
