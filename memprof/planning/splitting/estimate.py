"""Patch by patch through the first layers: peak and extra work of every way to cut them, and the best one.

    stage     the operations from the first one that a patch goes through, up to a point where one tensor is left
    patch     one cell of a grid over that tensor; each operation of the stage runs for what that needs
    held      that tensor and what the stage reads, whole; of each patch only what is still needed
    halo      rows and columns that two patches need are computed twice: that is the extra work

After Lin, Chen, Cai, Gan, Han (MCUNetV2, 2021). An estimate: nothing here runs it, and a kernel may need more room.

Complexity: O(points where one tensor is left x grids x operations of the stage); what a row of patches needs is found
once for all grids that have it, and bytes are counted only where the work is allowed. That may be long for hundreds
of layers: all of it is told to a meter, and the best cut by its end is what counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product

from memprof.analysis import Lifetimes
from memprof.analysis.macs import node_macs
from memprof.ir import Graph
from memprof.planning.meter import Meter, OutOfBudget
from memprof.planning.splitting.windows import Span, Windows, data_inputs, find_windows, plane

_PARTS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16)
_STEPS_PER_NODE = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The first layers cut into patches: an estimate.

    Attributes:
        operations: Names of the operations that run once per patch, in running order.
        rows: Patches above each other.
        columns: Patches beside each other.
        peak_bytes: Peak of the whole network.
        stage_bytes: Peak while patches run.
        rest_bytes: Peak before and after.
        extra_macs: Multiply-accumulates for what patches have in common.
        model_macs: Those of one run without patches, as far as they are known.
        extra_bytes: Bytes that are written more than once.
        is_complete: Whether every cut was tried; otherwise the time ended before.
    """

    operations: tuple[str, ...]
    rows: int
    columns: int
    peak_bytes: int
    stage_bytes: int
    rest_bytes: int
    extra_macs: int
    model_macs: int
    extra_bytes: int
    is_complete: bool = True


def find_split(lifetimes: Lifetimes, roots: Sequence[int], extra_macs: int, meter: Meter) -> Split | None:
    """Return the split with the lowest peak, of those with the least work; ``None`` if none is below the peak.

    Those that take few operations come first; where the meter runs out, the best one so far.

    Args:
        lifetimes: Of the network, in the order in which it runs, one operation a step.
        roots: For each value the one whose storage it uses.
        extra_macs: Multiply-accumulates that the overlap may take.
        meter: Told of all work.
    """
    macs = node_macs(lifetimes.graph)
    best: Split | None = None
    best_key = (lifetimes.timeline.peak_bytes, -1, 0)
    is_complete = False
    with suppress(OutOfBudget):
        for stage in _stages(lifetimes, roots, meter):
            if max(stage.rest_bytes, stage.whole_bytes) > best_key[0]:
                continue
            cuts = [[_cut(stage, axis, n, meter) for n in _PARTS if n <= stage.size[axis]] for axis in range(2)]
            for rows, columns in product(*cuts):
                if len(rows.spans) * len(columns.spans) == 1:
                    continue
                grid = _Grid(stage, rows, columns, meter)
                if grid.extra(macs) > extra_macs:
                    continue
                split = grid.estimate(macs)
                key = (split.peak_bytes, split.extra_macs, split.rows * split.columns)
                if key < best_key:
                    best, best_key = split, key
        is_complete = True
    return None if best is None else replace(best, is_complete=is_complete)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    """Operations that may run patch by patch.

    Attributes:
        graph: The graph.
        roots: For each value the one whose storage it uses.
        nodes: The operations, in running order.
        windows: Of each.
        output: The value that is left.
        size: Its rows and columns.
        whole_bytes: Bytes that are held whole while patches run.
        rest_bytes: Peak at all other steps.
    """

    graph: Graph
    roots: Sequence[int]
    nodes: tuple[int, ...]
    windows: Mapping[int, Windows]
    output: int
    size: tuple[int, int]
    whole_bytes: int
    rest_bytes: int


def _stages(lifetimes: Lifetimes, roots: Sequence[int], meter: Meter) -> Iterator[_Stage]:
    """Yield every stage: all begin with the same operation."""
    graph = lifetimes.graph
    order = [node for step in lifetimes.schedule.steps for node in step]
    windows = {node: find_windows(graph, graph.nodes[node]) for node in order}
    first = next((step for step, node in enumerate(order) if windows[node] is not None), len(order))
    steps = lifetimes.timeline.step_bytes
    last_read = {root: step for step, node in enumerate(order) for root in _touched(graph, roots, node)}
    leaving = {roots[i] for i in graph.outputs}
    written: dict[int, int] = {}
    nodes: list[int] = []
    for step in range(first, len(order)):
        meter.spend(1 + len(written))
        node = graph.nodes[order[step]]
        if data_inputs(graph, node) or any(roots[i] in last_read for i in node.writes):
            if windows[order[step]] is None:
                return
            nodes.append(order[step])
            written[roots[node.writes[0]]] = node.writes[0]
        left = [root for root in written if last_read[root] > step or root in leaving]
        if len(left) != 1 or len(nodes) < 2:
            continue
        size = plane(graph, written[left[0]])
        assert size is not None, "an operation with windows writes planes"
        meter.spend(len(order) + len(lifetimes.buffers))
        around = [b for b in lifetimes.buffers if b.start <= step and b.stop > first]
        own = {root for root in written if root != left[0]}
        yield _Stage(
            graph=graph,
            roots=roots,
            nodes=tuple(nodes),
            windows={i: found for i in nodes if (found := windows[i]) is not None},
            output=written[left[0]],
            size=size,
            whole_bytes=sum(b.size_bytes or 0 for b in around if roots[b.values[0]] not in own),
            rest_bytes=max((*steps[:first], *steps[step + 1 :]), default=0),
        )


def _touched(graph: Graph, roots: Sequence[int], node: int) -> set[int]:
    return {roots[i] for i in (*data_inputs(graph, graph.nodes[node]), *graph.nodes[node].writes)}


def needed_spans(
    graph: Graph, nodes: Sequence[int], windows: Mapping[int, Windows], asked: tuple[int, int, Span]
) -> dict[int, Span]:
    """Return what a patch needs of each value on the way to it.

    Args:
        graph: The graph.
        nodes: Operations, in running order.
        windows: Of each.
        asked: A value that they write; 0 for rows, 1 for columns; and which of them are wanted.
    """
    output, axis, span = asked
    needed = {output: span}
    for node_id in reversed(nodes):
        node = graph.nodes[node_id]
        own = needed.get(node.writes[0])
        if own is None:
            continue
        for value in data_inputs(graph, node):
            size = plane(graph, value)
            assert size is not None, "an operation with windows reads planes"
            found = windows[node_id][axis].needs(own, size[axis])
            if found is None:
                continue
            other = needed.get(value, found)
            needed[value] = (min(found[0], other[0]), max(found[1], other[1]))
    return needed


@dataclass(frozen=True, slots=True)
class _Cut:
    """Patches beside each other along one axis.

    Attributes:
        spans: What each of them needs of the values of a stage.
        lengths: How much all of them together compute of each value.
    """

    spans: Sequence[Mapping[int, Span]]
    lengths: Mapping[int, int]


def _cut(stage: _Stage, axis: int, parts: int, meter: Meter) -> _Cut:
    spans: list[Mapping[int, Span]] = []
    lengths: Counter[int] = Counter()
    for cell in _cells(stage.size[axis], parts):
        meter.spend(_STEPS_PER_NODE * len(stage.nodes))
        needed = needed_spans(stage.graph, stage.nodes, stage.windows, (stage.output, axis, cell))
        lengths.update({value: stop - start for value, (start, stop) in needed.items()})
        spans.append(needed)
    return _Cut(spans, lengths)


class _Grid:
    """One stage, cut into rows and columns of patches."""

    def __init__(self, stage: _Stage, rows: _Cut, columns: _Cut, meter: Meter) -> None:
        self._stage = stage
        self._cuts = (rows, columns)
        self._meter = meter

    def extra(self, counts: Sequence[int | None]) -> int:
        """Return how much patches have in common of what is counted per operation."""
        self._meter.spend(len(self._stage.nodes))
        total = 0
        for node in self._stage.nodes:
            again, all_of_it = self._computed(self._stage.graph.nodes[node].writes[0])
            total += (counts[node] or 0) * max(0, again - all_of_it) // all_of_it
        return total

    def estimate(self, macs: Sequence[int | None]) -> Split:
        """Return what the cut is expected to take."""
        stage = self._stage
        patch_bytes = max(
            self._patch_bytes(rows, columns)
            for rows in _distinct(self._cuts[0].spans)
            for columns in _distinct(self._cuts[1].spans)
        )
        stage_bytes = stage.whole_bytes + patch_bytes
        written = [stage.graph.value_bytes[node.writes[0]] if node.writes else 0 for node in stage.graph.nodes]
        return Split(
            operations=tuple(stage.graph.nodes[i].name for i in stage.nodes),
            rows=len(self._cuts[0].spans),
            columns=len(self._cuts[1].spans),
            peak_bytes=max(stage_bytes, stage.rest_bytes),
            stage_bytes=stage_bytes,
            rest_bytes=stage.rest_bytes,
            extra_macs=self.extra(macs),
            model_macs=sum(count or 0 for count in macs),
            extra_bytes=self.extra(written),
        )

    def _computed(self, value: int) -> tuple[int, int]:
        """Return how many positions of a value all patches compute, and how many it has."""
        size = plane(self._stage.graph, value)
        assert size is not None, "an operation with windows writes planes"
        rows, columns = self._cuts
        return rows.lengths.get(value, 0) * columns.lengths.get(value, 0), size[0] * size[1]

    def _patch_bytes(self, rows: Mapping[int, Span], columns: Mapping[int, Span]) -> int:
        """Return the most bytes of one patch that are alive at once, besides what is held whole."""
        stage = self._stage
        self._meter.spend(_STEPS_PER_NODE * len(stage.nodes))
        sizes: dict[int, int] = {}
        last: dict[int, int] = {}
        for step, node_id in enumerate(stage.nodes):
            node = stage.graph.nodes[node_id]
            for value in (*data_inputs(stage.graph, node), *node.writes):
                last[stage.roots[value]] = step
            value = node.writes[0]
            root = stage.roots[value]
            if root != stage.roots[stage.output] and value in rows and value in columns:
                sizes[root] = max(sizes.get(root, 0), self._part_bytes(value, rows[value], columns[value]))
        alive = highest = 0
        born = set[int]()
        for step, node_id in enumerate(stage.nodes):
            touched = _touched(stage.graph, stage.roots, node_id)
            for root in touched & sizes.keys() - born:
                born.add(root)
                alive += sizes[root]
            highest = max(highest, alive)
            alive -= sum(sizes[root] for root in touched & sizes.keys() if last[root] == step)
        return highest

    def _part_bytes(self, value: int, rows: Span, columns: Span) -> int:
        size = plane(self._stage.graph, value)
        assert size is not None, "an operation with windows writes planes"
        whole = self._stage.graph.value_bytes[value] or 0
        return -(-whole * (rows[1] - rows[0]) * (columns[1] - columns[0]) // (size[0] * size[1]))


def _cells(size: int, parts: int) -> list[Span]:
    """Return ``size`` cut into parts that differ by one at most.

    >>> _cells(7, 3)
    [(0, 2), (2, 4), (4, 7)]
    """
    return [(size * i // parts, size * (i + 1) // parts) for i in range(parts)]


def _distinct(spans: Sequence[Mapping[int, Span]]) -> list[Mapping[int, Span]]:
    """Return the spans without those of the same lengths."""
    found = {tuple((value, stop - start) for value, (start, stop) in span.items()): span for span in spans}
    return list(found.values())
