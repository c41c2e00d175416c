"""How high an order will end, told by the buffers that come first in it: the few that make most of the load.

    height ^      ......        waiting   what comes later piles up where the load is full, at least that high
           |  ____|    |____    laid      the first buffers, by first fit
           |_|    full      |__ ------> steps

What comes later fills holes elsewhere, so there it does not count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from memprof.planning.offsets.columns import highest_loads
from memprof.planning.offsets.problem import Ints

_SHARE = 0.3  # of the buffers


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Who is laid, and what waits meanwhile.

    Attributes:
        members: The buffers that are laid.
        waiting: For each of them, the most bytes of others at any full step of its life.
    """

    members: Ints
    waiting: Ints


def rehearsal_of(
    order: Ints, start: Ints, stop: Ints, size: Ints, profile: tuple[Ints, Ints], *, full_bytes: int
) -> Rehearsal:
    """Return the rehearsal with the first buffers of an order.

    Args:
        order: All buffers, by turn.
        start: First step of each.
        stop: First step no longer.
        size: Bytes of each.
        profile: The steps at which the load changes, and the bytes alive from each of them on.
        full_bytes: The load that makes a step full.
    """
    members = order[: max(1, int(_SHARE * len(order)))]
    steps, loads = profile
    change = np.zeros(len(steps), dtype=np.int64)
    np.add.at(change, np.searchsorted(steps, start[members]), size[members])
    np.subtract.at(change, np.searchsorted(steps, stop[members]), size[members])
    others = np.where(loads >= full_bytes, loads - np.cumsum(change), 0)
    return Rehearsal(members=members, waiting=highest_loads((steps, others), start[members], stop[members]))
