"""What a planner may spend: seconds, steps of work, or both. Whoever works tells the meter; it says when to stop.

A step is a small piece of work: an operation looked at, a buffer compared with another, an edge of a network passed.
The same problem takes the same steps on every machine, so a budget in steps gives the same answer on a busy one. The
clock is read after every few hundred steps, never in between: no stretch of work may go on without telling the meter.

    meter = Meter(seconds=5)          meter.spend(3)       raises ``OutOfBudget`` once nothing is left
    part = meter.part(0.3)            three tenths of what is left; what it spends its parent has spent too
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf

Clock = Callable[[], float]

STEPS_PER_LOOK = 500
"""Steps between two readings of the clock: a millisecond of work, or less."""

_ENDLESS = 2**62


class OutOfBudget(Exception):  # noqa: N818 - the usual end of a search, no error
    """Raised by ``Meter.spend`` where the work has to end. It never leaves the planner."""


class Meter:
    """Counts what is spent.

    Args:
        seconds: Time from now on.
        effort: Steps.
        clock: What time it is, in seconds.

    >>> meter = Meter(effort=1000)
    >>> meter.spend(1000)
    >>> meter.spend(1)
    Traceback (most recent call last):
    ...
    memprof.planning.meter.OutOfBudget
    """

    def __init__(
        self,
        seconds: float = inf,
        effort: int | None = None,
        clock: Clock = time.monotonic,
        parent: Meter | None = None,
    ) -> None:
        self._clock = clock
        self._parent = parent
        self.started = clock()
        self.deadline = self.started + seconds
        self._effort = _ENDLESS if effort is None else effort
        self._spent = 0  # up to the last look
        self._granted = 0  # steps until the next look
        self._left = 0  # of those

    @property
    def spent(self) -> int:
        """Steps so far."""
        return self._spent + self._granted - self._left

    @property
    def seconds(self) -> float:
        """Time since the meter was made."""
        return self._clock() - self.started

    @property
    def seconds_left(self) -> float:
        """Time until the deadline, never negative."""
        return max(0.0, self.deadline - self._clock())

    @property
    def steps_left(self) -> int:
        """Steps that may still be spent."""
        return max(0, self._effort - self.spent)

    @property
    def has_ended(self) -> bool:
        """Whether nothing is left of the steps or of the time."""
        return self.spent >= self._effort or self._clock() >= self.deadline

    @property
    def has_steps_left(self) -> bool:
        """Whether some of the steps are left, whatever the clock says."""
        return self.spent < self._effort

    @property
    def was_ended(self) -> bool:
        """Whether somebody who waits has ended it (Ctrl-C), rather than the time or the steps."""
        return self.deadline == -inf

    def spend(self, steps: int = 1) -> None:
        """Count ``steps`` that were, or are about to be, done.

        Raises:
            OutOfBudget: There are no steps left, or no time; then every further call raises, too.
        """
        self._left -= steps
        if self._left < 0:
            self._look()

    def part(self, share: float, seconds: float = inf) -> Meter:
        """Return a meter with a share of what is left of the time and of the steps, and no more than ``seconds``."""
        effort = None if self._effort == _ENDLESS else max(0, int((self._effort - self.spent) * share))
        return Meter(min(seconds, self.seconds_left * share if share else 0.0), effort, self._clock, self)

    @contextmanager
    def share(self, share: float) -> Iterator[Meter]:
        """Give ``part(share)`` to a block, which ends early, and without an error, where that runs out."""
        part = self.part(share)
        try:
            yield part
        except OutOfBudget:
            if self.has_ended:
                raise
        finally:
            part.settle()

    def patient(self, steps: int, seconds: float) -> Meter:
        """Return a meter for what is left, and for ``steps`` in any case, up to ``seconds`` after the deadline."""
        found = self.part(1)
        found._effort = max(found._effort, steps)
        found.deadline = self.deadline + seconds
        return found

    def reserve(self, seconds: float) -> None:
        """Move the deadline forward: so much is kept for work that has to follow."""
        self.deadline -= seconds

    def end(self) -> None:
        """Leave no time, here and in what this is a part of: somebody who waits has asked for the best so far."""
        self.deadline = -inf
        if self._parent is not None:
            self._parent.end()

    def settle(self) -> None:
        """Tell the parent what was spent since the last look. The end of a part, whatever ended it."""
        if self._parent is not None:
            self._parent.charge(self._granted - self._left)
        self._spent, self._granted, self._left = self.spent, 0, 0

    def charge(self, steps: int) -> None:
        """Count steps that a part has spent already, without asking whether any are left."""
        self._spent += steps
        if self._parent is not None:
            self._parent.charge(steps)

    def _look(self) -> None:
        self.settle()
        left = self._effort - self._spent
        if left < 0 or self._clock() >= self.deadline:
            raise OutOfBudget
        self._granted = self._left = min(STEPS_PER_LOOK, left)


def meter_of(budget: float | Meter) -> Meter:
    """Return ``budget`` if it is a meter that runs already, a new one if it is seconds."""
    return budget if isinstance(budget, Meter) else Meter(budget)
