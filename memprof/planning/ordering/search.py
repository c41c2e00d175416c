"""Exact best-first search over downsets, in one direction of time. Anytime: its level is a proven lower bound.

    state     a downset of operations that have run (a Python int, one bit each), closed under free moves
    level     no order stays below it; starts at a known lower bound
    active    states reached within the level, lightest first
    waiting   states with a next step that is over the level, by the lowest such step
    when active runs empty, the level rises to the lowest waiting step; the first order found is optimal

What keeps it small (f is submodular; for proofs see below):

* free move: an operation that is ready, fits under the level and adds nothing (f(S + v) <= f(S)) runs at once, and
  S is never branched on. Whatever order continues from S, running v first makes every later state lighter by at least
  as much as before: f(Q + v) - f(Q) <= f(S + v) - f(S) <= 0.
* commit: if a state S was reached, f(S) <= f(root) and nothing between root and S is lighter, every order may pass
  S first: f(Q | S) <= f(Q) + f(S) - f(Q & S) <= f(Q). All other states are dropped, S is the new root. If something
  between is lighter, the lightest X of those takes the place of S, reached by those steps of the path that are in X:
  f(Q & X) <= f(Q) + f(X) - f(Q | X) <= f(Q).
* shortcut: the same for one step: if an operation and the free moves after it lead from S to a state as light as S,
  with nothing lighter between, S needs no other way on.
* all hold for a mirrored piece, where what an operation opens depends on the state: what counts as its step is
  the state after it plus what it closes, and what it closes does not depend on the state.

Memory: one entry per state. The caller limits the number of states and may pause and go on.
Sources: downsets and best-first search are folklore; the commit is the idea of Tamaki's commitment lemma for directed
pathwidth.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Literal

from memprof.planning.ordering.bounds import lightest_between
from memprof.planning.ordering.masks import Masks, bits

Outcome = Literal["solved", "exhausted", "paused"]

_Entry = tuple[int, int, int, int, tuple[int, ...]]  # state, ready, alive, state before, steps between

_BEFORE_ALL = -(2**62)


class Search:
    """One search in one direction. ``level`` and, once solved, ``order`` are the result.

    Args:
        masks: The piece, forwards or mirrored.
        level: A lower bound on the peak of every order.
        ceiling: The peak of a known order; only orders below it are looked for.
    """

    def __init__(self, masks: Masks, level: int, ceiling: int) -> None:
        self.masks = masks
        self.level = level
        self.ceiling = ceiling
        self.order: list[int] = []
        self.expanded = 0
        self._committed: list[int] = []
        self._begin(0, masks.sources, masks.piece.start_bytes)

    @property
    def state_count(self) -> int:
        """Number of states in memory."""
        return len(self._came_from)

    @property
    def progress(self) -> tuple[int, int]:
        """How far the search is, to compare it with another of the same piece: its level, then few states left."""
        return self.level, -len(self._active)

    def advance(self, states: int) -> Outcome:
        """Expand up to ``states`` states.

        Returns:
            ``solved``: ``order`` has the peak ``level``, and none has less. ``exhausted``: no order stays below
            ``ceiling``. ``paused``: that was all; ``level`` holds.

        Raises:
            OutOfBudget: The masks' meter ran out, for good; ``level`` holds.
        """
        for _ in range(states):
            if not self._active and not self._raise_level():
                return "exhausted"
            alive, _, state, ready, done_level = heappop(self._active)
            if alive <= self._root_bytes and state != self._root:
                self._commit(state)
                continue
            self.expanded += 1
            self._expand(state, alive, ready, done_level)
            if self.order:
                return "solved"
        return "paused"

    def skip_to(self, level: int) -> None:
        """Go on at ``level``, which is a lower bound on the peak of every order, if that is higher."""
        if level > self.level:
            self.level = level
            self._activate()

    def _begin(self, state: int, ready: int, alive: int) -> None:
        """Drop everything, and start again from ``state`` and what it may run freely."""
        state, ready, alive, steps = self.masks.close(self.level, state, ready, alive, suspects=ready, lightest=alive)
        self._committed += steps
        self._root, self._root_ready, self._root_bytes = state, ready, alive
        self._came_from: dict[int, tuple[int, tuple[int, ...]]] = {}  # state -> earlier state, steps between
        self._closed: dict[int, tuple[int, int]] = {}  # before free moves -> state and bytes after them
        self._active: list[tuple[int, int, int, int, int]] = []  # (alive, -steps so far, state, ready, level done)
        self._waiting: list[tuple[int, int, int, int, int, int]] = []  # (lowest step over the level, *as in active)
        self._enter(state, ready, alive, state, ())

    def _enter(self, state: int, ready: int, alive: int, parent: int, steps: tuple[int, ...]) -> None:
        """Take up a state that was reached within the level, unless it is known."""
        if state in self._came_from:
            return
        self._came_from[state] = (parent, steps)
        if state == self.masks.everything:
            self.order = self._committed + self._path_to(state)
        heappush(self._active, (alive, -state.bit_count(), state, ready, -1))

    def _raise_level(self) -> bool:
        """Go on at the next level at which a state can go on; return whether there is one below the ceiling."""
        if not self._waiting or self._waiting[0][0] >= self.ceiling:
            return False
        self.level = self._waiting[0][0]
        self._activate()
        return True

    def _activate(self) -> None:
        """Let all go on that wait for no more than the level."""
        while self._waiting and self._waiting[0][0] <= self.level:
            heappush(self._active, heappop(self._waiting)[1:])

    def _commit(self, state: int) -> None:
        """Make the lightest state between the root and ``state`` the root. It is as light as the root or lighter."""
        masks = self.masks
        path = self._path_to(state)
        chosen = lightest_between(masks.piece, self._root, state, masks.meter)
        reached, alive, ready = self._root, self._root_bytes, self._root_ready
        for op in path:
            if chosen >> op & 1:
                alive += masks.opened(reached, op) - masks.closed(reached, op)
                reached |= 1 << op
                ready = ready & ~(1 << op) | masks.readied(reached, op)
                self._committed.append(op)
        self._begin(reached, ready, alive)

    def _expand(self, state: int, alive: int, ready: int, done_level: int) -> None:
        """Reach every state that is one step away, except those reached already when the level was ``done_level``."""
        masks, level = self.masks, self.level
        lowest_waiting = self.ceiling
        reached: list[tuple[int, _Entry]] = []
        self.masks.meter.spend(ready.bit_count())
        for op in bits(ready):
            opened = masks.opened(state, op)
            during = alive + opened + masks.scratch[op]
            if during > level:
                lowest_waiting = min(lowest_waiting, during)
                continue
            raw = state | 1 << op
            known = self._closed.get(raw)
            if known is not None:
                following, after = known
            else:
                others = ready & ~(1 << op)
                readied = masks.readied(raw, op)
                following, following_ready, after, free = masks.close(
                    level,
                    raw,
                    others | readied,
                    alive + opened - masks.closed(state, op),
                    suspects=readied | others & masks.neighbours[op],
                    lightest=alive,
                )
            if after <= alive and self._is_lightest(following, state, ready, raw):
                # A valley as low as this state: no order needs another way on.
                reached, lowest_waiting, done_level = [], self.ceiling, _BEFORE_ALL
            if known is None and during > done_level:
                reached.append((raw, (following, following_ready, after, state, (op, *free))))
            if done_level == _BEFORE_ALL:
                break
        for raw, entry in reached:
            self._closed[raw] = entry[0], entry[2]
            self._enter(*entry)
        if lowest_waiting < self.ceiling:
            heappush(self._waiting, (lowest_waiting, alive, -state.bit_count(), state, ready, level))

    def _is_lightest(self, following: int, state: int, ready: int, raw: int) -> bool:
        """Whether nothing between ``state`` and ``following``, which is ``raw`` after its free moves, is lighter.

        If all that was free waits for the operation that led to ``raw``, what lies between holds that operation, and
        the free moves that it lacks add nothing.
        """
        if following & ready & ~raw == 0:
            return True
        return lightest_between(self.masks.piece, state, following, self.masks.meter) == following

    def _path_to(self, state: int) -> list[int]:
        """Return the operations that lead from the root to ``state``, in order."""
        parts = []
        while state != self._root:
            state, steps = self._came_from[state]
            parts.append(steps)
        return [op for steps in reversed(parts) for op in steps]
