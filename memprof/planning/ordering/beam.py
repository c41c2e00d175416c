"""Beam search over downsets: good orders where the exact search has not ended yet. One direction of time per call.

States are worked off by the number of operations that have run. Of those with equally many the ``width`` best go on:
lowest peak first (peaks under the known lower bound count as equal), then fewest bytes alive. Free moves that do not
raise the peak are made at once, as in ``memprof.planning.ordering.search``. O(n * width * ready operations).

From the end, a beam of 10 to 100 finds the optimum on most networks where one from the start stays 10 % off, and now
and then it is the other way round; run both.
"""

from __future__ import annotations

from memprof.planning.ordering.masks import Masks, bits

_Link = tuple["_Link | None", int, list[int]]  # how a state was reached: before it, one operation, its free moves
_State = tuple[int, int, int, int, _Link | None]  # (peak, alive, state, ready, link)


def beam_order(masks: Masks, width: int, level: int, ceiling: int) -> list[int] | None:
    """Return the best order found whose peak is below ``ceiling``, or ``None``.

    Args:
        masks: The piece, forwards or mirrored.
        width: States kept of those with equally many operations run.
        level: A lower bound on the peak of every order.
        ceiling: The peak of a known order.

    Raises:
        OutOfBudget: The masks' meter ran out.
    """
    alive = masks.piece.start_bytes
    state, ready, alive, steps = masks.close(level, 0, masks.sources, alive, suspects=masks.sources, lightest=alive)
    layers: list[dict[int, _State]] = [{} for _ in range(len(masks.piece.ops) + 1)]
    layers[state.bit_count()][state] = (max(level, alive), alive, state, ready, (None, -1, steps))
    for layer in layers[:-1]:
        best = sorted(layer.values(), key=lambda entry: entry[:3])[:width]
        layer.clear()
        for entry in best:
            _expand(masks, entry, ceiling, layers)
    if not layers[-1]:
        return None
    parts: list[list[int]] = []
    link = layers[-1][masks.everything][4]
    while link is not None:
        link, op, steps = link
        parts.append(steps if op < 0 else [op, *steps])
    return [op for part in reversed(parts) for op in part]


def _expand(masks: Masks, entry: _State, ceiling: int, layers: list[dict[int, _State]]) -> None:
    """Enter every state one step from ``entry``, closed under free moves, into its layer."""
    peak, alive, state, ready, link = entry
    masks.meter.spend(ready.bit_count())
    for op in bits(ready):
        opened = masks.opened(state, op)
        during = max(peak, alive + opened + masks.scratch[op])
        if during >= ceiling:
            continue
        after = alive + opened - masks.closed(state, op)
        following = state | 1 << op
        readied = masks.readied(following, op)
        others = ready & ~(1 << op)
        suspects = readied | others & masks.neighbours[op] if during == peak else readied | others
        closed = masks.close(during, following, others | readied, after, suspects=suspects, lightest=alive)
        layer = layers[closed[0].bit_count()]
        known = layer.get(closed[0])
        if known is None or during < known[0]:
            layer[closed[0]] = (during, closed[2], closed[0], closed[1], (link, op, closed[3]))
