"""What a list of runs costs, in integers; the same bytes as ``reference`` gives for the unrolled graph.

copy    what one run of an operation puts into a storage of its own; it lives from that run to the last one that
        touches a value in it before the operation runs again, or to the end if it holds a graph output
touch   a run touches the copies of what it reads and writes; a view is a value in the copy of what it views
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from memprof.ir import Graph, Role
from memprof.planning.recomputation.repeatable import repeatable
from memprof.runtimes.reference import reference_lifetimes


@dataclass(frozen=True, slots=True, kw_only=True)
class RerunProblem:
    """A graph as runs see it. Values and storages go by the graph's ids; only those that count appear.

    Attributes:
        reads: For each node the values it reads, each once.
        writes: For each node the values it writes.
        waits_for: For each node those that must have run before it once, for values that do not count.
        base: For each value the one it views, itself if it has storage of its own.
        root: For each value the one whose storage it uses.
        storage_bytes: Bytes of each storage by its root value.
        scratch_bytes: Bytes that the bodies of each node need while it runs.
        macs: MACs of one more run of each node, ``None`` if it may not run twice.
        spoilers: For each node those that change what it reads: it may run again before they have run alone.
        inputs: Values that are there from the start.
        outputs: Values that must be there at the end.
    """

    reads: tuple[tuple[int, ...], ...]
    writes: tuple[tuple[int, ...], ...]
    waits_for: tuple[tuple[int, ...], ...]
    base: tuple[int, ...]
    root: tuple[int, ...]
    storage_bytes: dict[int, int]
    scratch_bytes: tuple[int, ...]
    macs: tuple[int | None, ...]
    spoilers: tuple[tuple[int, ...], ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def extra_macs(self, runs: Sequence[int]) -> int:
        """Return the MACs of all runs but the first of each node."""
        seen = set[int]()
        extra = 0
        for node in runs:
            if node in seen:
                extra += self.macs[node] or 0
            seen.add(node)
        return extra

    def is_spoilt(self, runs: Sequence[int]) -> bool:
        """Tell whether a node runs again after what it reads has changed."""
        seen = set[int]()
        for node in runs:
            if node in seen and not seen.isdisjoint(self.spoilers[node]):
                return True
            seen.add(node)
        return False


@dataclass(slots=True)
class Copy:
    """One copy of a storage in a list of runs.

    Attributes:
        root: The storage.
        birth: The run that wrote it, 0 for a graph input.
        touches: Runs that touch it.
        is_kept: Whether it lives to the end.
    """

    root: int
    birth: int
    touches: list[int]
    is_kept: bool = False


@dataclass(frozen=True, slots=True)
class Course:
    """What happens in a list of runs.

    Attributes:
        copies: Every copy, by birth.
        step_bytes: Bytes alive at each run.
    """

    copies: tuple[Copy, ...]
    step_bytes: tuple[int, ...]

    @property
    def peak_bytes(self) -> int:
        """The most bytes alive at once."""
        return max(self.step_bytes)


def pose_rerun(graph: Graph, alignment: int = 1) -> RerunProblem:
    """Return the problem that ``graph`` poses under the runtime model ``reference``.

    Args:
        graph: A graph whose sizes are known.
        alignment: Sizes are rounded up to a multiple of it.
    """
    sizes = {root: -(-(size or 0) // alignment) * alignment for root, _, size in graph.activations}
    root = graph.storage
    reads, writes, waits_for = [], [], []
    for node in graph.nodes:
        counted = [i for i in dict.fromkeys(node.reads) if root[i] in sizes]
        reads.append(tuple(counted))
        writes.append(tuple(i for i in node.writes if root[i] in sizes))
        producers = {graph.values[i].producer for i in node.reads if root[i] not in sizes}
        waits_for.append(tuple(sorted(p for p in producers if p is not None)))
    scratch = [
        max((reference_lifetimes(body).timeline.peak_bytes for body in node.bodies), default=0)
        for node in graph.nodes
    ]
    again = repeatable(graph)
    return RerunProblem(
        reads=tuple(reads),
        writes=tuple(writes),
        waits_for=tuple(waits_for),
        base=tuple(i if value.view_of is None else value.view_of for i, value in enumerate(graph.values)),
        root=root,
        storage_bytes=sizes,
        scratch_bytes=tuple(scratch),
        macs=again.macs,
        spoilers=again.spoilers,
        inputs=tuple(i for i in graph.inputs if graph.values[i].role is Role.INPUT),
        outputs=tuple(i for i in dict.fromkeys(graph.outputs) if root[i] in sizes),
    )


def follow(problem: RerunProblem, runs: Sequence[int]) -> Course:
    """Return what happens in ``runs``. O(runs + touches)."""
    copies: list[Copy] = []
    home: dict[int, Copy] = {}  # of each value, the copy it is in
    for value in problem.inputs:
        home[value] = Copy(value, 0, [])
        copies.append(home[value])
    base, root = problem.base, problem.root
    for step, node in enumerate(runs):
        for value in problem.reads[node]:
            home[value].touches.append(step)
        for value in problem.writes[node]:
            if root[value] == value:
                copy = home[value] = Copy(value, step, [])
                copies.append(copy)
            else:
                copy = home[value] = home[base[value]]
            copy.touches.append(step)
    for value in problem.outputs:
        home[value].is_kept = True
    end = max(1, len(runs))
    change = [0] * (end + 1)
    for copy in copies:
        size = problem.storage_bytes[copy.root]
        change[copy.birth] += size
        change[end if copy.is_kept else copy.touches[-1] + 1 if copy.touches else 1] -= size
    change.pop()
    steps = list(accumulate(change))
    for step, node in enumerate(runs):
        steps[step] += problem.scratch_bytes[node]
    return Course(tuple(copies), tuple(steps))


def in_place_floor_bytes(problem: RerunProblem) -> int:
    """Return what every list of runs needs where what is written may take the place of what is read.

    What a node reads is there before it runs, each storage at an address of its own, and what it writes after.
    """

    def total(values: Sequence[int]) -> int:
        return sum(problem.storage_bytes[root] for root in {problem.root[i] for i in values})

    sides = (problem.inputs, problem.outputs, *problem.reads, *problem.writes)
    return max(map(total, sides))


def floor_bytes(problem: RerunProblem) -> int:
    """Return what every list of runs needs: what some node reads and writes, all inputs, or all outputs."""
    touched = [
        sum(problem.storage_bytes[r] for r in {problem.root[i] for i in (*reads, *writes)}) + scratch
        for reads, writes, scratch in zip(problem.reads, problem.writes, problem.scratch_bytes, strict=True)
    ]
    ends = [
        sum(problem.storage_bytes[r] for r in {problem.root[i] for i in values})
        for values in (problem.inputs, problem.outputs)
    ]
    return max(*ends, *touched)
