"""Many storages at once: of those that lie idle across the peak every k-th is kept, the others are made again.

    order       f1 f2 f3 f4 | b4 b3 b2 b1          forward, backward: each b reads what its f wrote
    kept        f1    f3
    runs        f1 f2 f3 f4 | b4 b3 f2 b2 b1       what is not kept is made again, from what is, when it is read

With k about the root of their number neither what is kept nor what is made again piles up (Chen, Xu, Zhang, Guestrin
2016, of training). Each operation runs at most twice. Complexity: O(runs) per list.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise

from memprof.planning.meter import Meter
from memprof.planning.recomputation.problem import Copy, RerunProblem, follow

_STRIDES = (1, 2, 3, 4, 5, 6, 8, 11, 16, 23, 32)
_SHARES = (1.0, 0.75, 0.5, 0.25)


def segment_runs(problem: RerunProblem, order: Sequence[int], extra_macs: int, meter: Meter) -> Iterator[list[int]]:
    """Yield lists of runs within the allowance that drop many storages.

    Args:
        problem: The graph.
        order: Each node once.
        extra_macs: MACs that all runs but the first of each node may take.
        meter: What the search may spend; raises ``OutOfBudget`` where it ends.
    """
    course = follow(problem, order)
    step = course.step_bytes.index(course.peak_bytes)
    maker = {i: node for node, writes in enumerate(problem.writes) for i in writes if problem.root[i] == i}
    idle = [
        copy
        for copy in course.copies
        if copy.root in maker
        and problem.macs[maker[copy.root]] is not None
        and problem.storage_bytes[copy.root]
        and copy.touches
        and copy.birth < step < copy.touches[-1]
        and _gap(copy)[0] <= step < _gap(copy)[1]
    ]
    free = [copy for copy in idle if not problem.macs[maker[copy.root]]]
    seen = set[tuple[int, ...]]()
    for chosen in (idle, free) if len(free) < len(idle) else (idle,):
        for stride in _STRIDES:
            for share in _SHARES:
                span = chosen[: int(len(chosen) * share)]
                dropped = {c.root: _gap(c) for i, c in enumerate(span) if stride == 1 or i % stride}
                meter.spend(5 * len(order))
                runs = _Remaking(problem, order, dropped).runs()
                if tuple(runs) not in seen and problem.extra_macs(runs) <= extra_macs:
                    seen.add(tuple(runs))
                    yield runs


def _gap(copy: Copy) -> tuple[int, int]:
    """Return the longest stretch in which nothing touches a copy: the touches before and after it."""
    touches = [copy.birth, *copy.touches]
    return max(pairwise(touches), key=lambda pair: pair[1] - pair[0])


class _Remaking:
    """Runs an order, and makes dropped storages again when they are read."""

    def __init__(self, problem: RerunProblem, order: Sequence[int], dropped: dict[int, tuple[int, int]]) -> None:
        self._problem = problem
        self._order = order
        self._dropped = dropped
        self._made_by: dict[int, list[tuple[int, int]]] = {}  # of each storage, who writes into it, and when
        self._place = {node: step for step, node in enumerate(order)}
        self._last: dict[int, int] = {}
        for step, node in enumerate(order):
            for root in {problem.root[i] for i in (*problem.reads[node], *problem.writes[node])}:
                self._last[root] = step
            for root in {problem.root[i] for i in problem.writes[node]}:
                self._made_by.setdefault(root, []).append((step, node))
        for value in problem.outputs:
            self._last[problem.root[value]] = len(order)
        self._again = set[int]()
        self._found: list[int] = []

    def runs(self) -> list[int]:
        """Return the list of runs."""
        for step, node in enumerate(self._order):
            for value in self._problem.reads[node]:
                self._remake(self._problem.root[value], step)
            self._found.append(node)
        return self._found

    def _remake(self, root: int, step: int) -> None:
        """Make a storage again, and before it what that needs and is gone by now."""
        stack = [(root, iter(self._makers(root, step)))]
        opened = {root}
        while stack:
            current, makers = stack[-1]
            node = next(makers, None)
            if node is None:
                stack.pop()
                continue
            operands = {self._problem.root[i] for i in self._problem.reads[node]} - opened
            gone = [(r, found) for r in sorted(operands) if (found := self._makers(r, step))]
            if gone:
                stack[-1] = (current, iter([node, *makers]))
                opened.update(r for r, _ in gone)
                stack += [(r, iter(found)) for r, found in gone]
            elif node not in self._again:
                self._again.add(node)
                self._found.append(node)

    def _makers(self, root: int, step: int) -> list[int]:
        """Return the nodes that make a storage again, if it is gone at ``step`` and can be."""
        if root in self._dropped:
            start, stop = self._dropped[root]
            is_gone = start < step and (step <= stop or step > self._last[root] or not self._is_back(root))
        else:
            is_gone = self._last.get(root, step) < step
            start = self._last.get(root, step)
        if not is_gone:
            return []
        written = self._made_by.get(root, [])
        nodes = [node for _, node in written[: bisect_right(written, (start, len(self._order)))]]
        return nodes if all(self._is_possible(node, step) for node in nodes) else []

    def _is_possible(self, node: int, step: int) -> bool:
        """Tell whether a node may run again before the one at ``step`` of the order."""
        spoilers = self._problem.spoilers[node]
        is_allowed = self._problem.macs[node] is not None and node not in self._again
        return is_allowed and all(self._place[spoiler] >= step for spoiler in spoilers)

    def _is_back(self, root: int) -> bool:
        return any(node in self._again for _, node in self._made_by.get(root, []))
