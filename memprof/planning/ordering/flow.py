"""Maximum flow and minimum cut (Dinic 1970), iterative, on integers of any size.

Every flow is a lower bound on every cut, so a run that is out of time still proves what it has pushed so far.
O(V^2 E) in the worst case; a few milliseconds on the networks of ``memprof.planning.ordering.bounds``.
"""

from __future__ import annotations

from math import inf

from memprof.planning.meter import Meter, OutOfBudget

SOURCE = 0
SINK = 1
FIRST_NODE = 2
"""Id of the first node that ``add_node`` returns; the next ones count up."""

Mark = tuple[list[int], int]
"""Capacities and flow at some time."""


class FlowNetwork:
    """A directed network with capacities, grown by ``add_node`` and ``add_edge``, also after flow was pushed."""

    def __init__(self) -> None:
        self._edges: list[list[int]] = [[], []]  # by node: ids of the edges that leave it, reverse ones included
        self._target: list[int] = []
        self._capacity: list[int] = []
        self._level: list[int] = []
        self._total = 0

    def add_node(self) -> int:
        """Add a node; return its id."""
        self._edges.append([])
        return len(self._edges) - 1

    def add_edge(self, source: int, target: int, capacity: int) -> None:
        """Add an edge; edge ``e`` and its reverse ``e ^ 1`` are neighbours."""
        edge = len(self._target)
        self._target += (target, source)
        self._capacity += (capacity, 0)
        self._edges[source].append(edge)
        self._edges[target].append(edge + 1)

    @property
    def total(self) -> int:
        """What flows from source to sink."""
        return self._total

    def push_maximum(self, meter: Meter) -> tuple[int, bool]:
        """Push flow from source to sink; return how much, and whether it is the maximum or the meter ran out."""
        try:
            self.push(meter)
        except OutOfBudget:
            return self._total, False
        return self._total, True

    def push(self, meter: Meter, limit: float = inf) -> None:
        """Push the maximum flow on top of what flows, or more than ``limit`` of it.

        Raises:
            OutOfBudget: The meter ran out.
        """
        while self._total <= limit and self._find_levels(meter):
            self._push_blocking_flow(meter)

    def mark(self) -> Mark:
        """Return what ``restore`` needs to undo what is added and pushed from here on."""
        return list(self._capacity), self._total

    def restore(self, mark: Mark) -> None:
        """Undo what was added and pushed since ``mark``; nodes stay."""
        capacity, self._total = mark
        while len(self._target) > len(capacity):
            self._edges[self._target.pop()].pop()
        self._capacity = list(capacity)

    def sink_side(self) -> list[bool]:
        """After a maximum flow: which nodes are on the sink's side of the smallest such side of a minimum cut."""
        reached = [False] * len(self._edges)
        reached[SINK] = True
        stack = [SINK]
        while stack:
            node = stack.pop()
            for edge in self._edges[node]:
                other = self._target[edge]
                if not reached[other] and self._capacity[edge ^ 1]:
                    reached[other] = True
                    stack.append(other)
        return reached

    def _find_levels(self, meter: Meter) -> bool:
        """Number the nodes by their distance from the source; return whether the sink is reached."""
        level = [-1] * len(self._edges)
        level[SOURCE] = 0
        frontier = [SOURCE]
        target, capacity = self._target, self._capacity
        while frontier and level[SINK] < 0:
            following = []
            meter.spend(len(frontier))
            for node in frontier:
                deeper = level[node] + 1
                for edge in self._edges[node]:
                    other = target[edge]
                    if capacity[edge] and level[other] < 0:
                        level[other] = deeper
                        following.append(other)
            frontier = following
        self._level = level
        return level[SINK] >= 0

    def _push_blocking_flow(self, meter: Meter) -> None:
        """Push along shortest paths until each of them has a full edge."""
        target, capacity, level, edges = self._target, self._capacity, self._level, self._edges
        untried = [len(found) for found in edges]
        meter.spend(len(untried) // 8)
        path: list[int] = []
        node = SOURCE
        while True:
            if node == SINK:
                meter.spend(len(path))
                pushed = min(capacity[edge] for edge in path)
                self._total += pushed
                full = len(path)
                for i in reversed(range(len(path))):
                    edge = path[i]
                    capacity[edge] -= pushed
                    capacity[edge ^ 1] += pushed
                    if not capacity[edge]:
                        full = i
                node = target[path[full] ^ 1]
                del path[full:]
                continue
            while untried[node]:
                edge = edges[node][untried[node] - 1]
                if capacity[edge] and level[target[edge]] == level[node] + 1:
                    path.append(edge)
                    node = target[edge]
                    break
                untried[node] -= 1
            else:
                if node == SOURCE:
                    return
                meter.spend()
                node = target[path.pop() ^ 1]
                untried[node] -= 1
