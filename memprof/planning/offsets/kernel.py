"""Depth-first search for a plan within a capacity: integers in flat columns, loops, no recursion.

Canonical order: a plan in which no buffer can move down is rebuilt by placing its buffers by (offset, rank),
ascending, each at ``lowest``, the top of what is already below it. So a node of the tree tries the buffers that can
come next, and all that is not placed yet lies at or above the last one placed. That alone makes these rules exact:

    rule          a node is given up, or a candidate left out, because
    gap           the candidate's bottom is at or above where some other one would end: that one fits into the gap
    section       what waits in a section does not fit between the lowest it can begin at and the capacity
    support       a buffer that was passed over at its lowest place must find it taken by one yet to be placed; it
                  then lies on top of that one

A *section* is a set of buffers that all live at once and to which none can be added; a buffer spans a range of them.
Where no waiting buffer spans two neighbouring sections the time line falls apart: each part is solved on its own, its
buffers ranked anew. The section that gives a node up gains weight; ranking by weight looks where the trouble is.

The section rule asks for a *witness*: one waiting buffer that can begin low enough. The one found last is tried
first, which makes the test cheap; the support rule keeps a witness of its own, the *blocker*.

The search is minimalloc's (Moffitt, ASPLOS 2023, doi 10.1145/3623278.3624752) with the section rule applied to a
whole node, the support rule, and weights learnt from failure (as dom/wdeg in constraint solvers) added.

This file is one source for two engines: plain Python runs it on lists, numba compiles it for numpy arrays. Hence:
only integers, indices and loops, no imports at run time, no containers made here. A search is resumable: ``advance``
works off a number of placements and returns, so that whoever calls it can look at the clock.
"""

from __future__ import annotations

from typing import Any, NamedTuple

RUNNING, FOUND, EXHAUSTED, FULL = 0, 1, 2, 3
"""What ``advance`` returns: not done yet; a plan; there is none; the columns are too short to go on."""

DEPTH, PLACED, TRAIL, CAPACITY, DYNAMIC = 0, 1, 2, 3, 4
"""Places in ``Kernel.control``: the frame at work, buffers placed, trail length, the capacity, what ranks parts."""

BY_NOTHING, BY_REST, BY_WEIGHT = 0, 1, 2
"""What comes before the fixed rank when a part is ranked: nothing, bytes waiting at its fullest section, weight."""

CONTROL_SIZE = 5

ALWAYS_SPLIT = 512
"""With more buffers waiting, parts are solved apart only if none holds nearly all: ranking anew is not free."""

Column = Any
"""A list of ints, or an int64 array."""


class Kernel(NamedTuple):
    """All columns of a search: b is a buffer, s a section, f a frame (a depth of the tree), i a place in a stack."""

    size: Column  # b -> bytes
    first: Column  # b -> its first section
    last: Column  # b -> the section after its last
    near_start: Column  # b -> where its neighbours begin; one more at the end
    near: Column  # buffers that overlap b in time
    member_start: Column  # s -> where its buffers begin; one more at the end
    member: Column  # buffers of section s
    fixed: Column  # b -> rank that does not change, unique
    lowest: Column  # b -> lowest offset it can have above what is placed
    offset: Column  # b -> its offset, -1 while it waits
    rank: Column  # b -> its turn among equals
    blocker: Column  # b -> a waiting buffer that may take its lowest place
    rest: Column  # s -> bytes waiting
    crossing: Column  # s -> waiting buffers that span s and s + 1
    weight: Column  # s -> how often it gave a node up
    witness: Column  # s -> a waiting buffer that can begin low enough
    tally: Column  # s -> scratch for counting
    control: Column
    placed: Column  # i -> buffer
    trail_mark: Column  # i -> length of the trail before it was placed
    trail_buffer: Column
    trail_lowest: Column
    pool: Column  # waiting buffers by rank, slices of which belong to frames
    pool_key: Column  # rank to return to, and keys while sorting
    row: Column  # per frame: buffers passed over, then its candidates
    pool_start: Column  # f -> its slice of the pool
    pool_stop: Column
    pool_top: Column  # f -> where its children's slices begin
    row_start: Column  # f -> buffers passed over before
    row_next: Column  # f -> candidate to try next
    row_stop: Column  # f -> end of its candidates
    section_start: Column  # f -> its sections
    section_stop: Column
    mark: Column  # f -> buffers placed before its candidate
    part_root: Column  # f -> frame at which its part begins
    part_next: Column  # f -> the next part beside it, if it is a root
    part_stop: Column
    part_top: Column  # f -> where its children's parts begin
    split_stop: Column  # f -> end of the slices of its parts, 0 if its candidate did not split the time line
    parts: Column  # four numbers per part: slice of the pool, range of sections


def begin(k: Kernel) -> int:
    """Open the frames of an untouched problem: everything waits, ``pool`` holds all buffers. Return the state."""
    n = len(k.size)
    if n == 0:
        return FOUND
    for b in range(n):
        k.lowest[b] = 0
        k.offset[b] = -1
        k.blocker[b] = b
    k.control[PLACED] = 0
    k.control[TRAIL] = 0
    k.section_start[0] = 0
    k.section_stop[0] = len(k.rest)
    stop = _split(k, 0, 0, n, n, 0)
    k.part_next[0] = 4
    k.part_stop[0] = stop
    k.control[DEPTH] = 0
    return _open_part(k, 0, 0, 2 * n, 0)


def advance(k: Kernel, placements: int) -> int:
    """Try at most ``placements`` more candidates; return the state."""
    n = len(k.size)
    f = k.control[DEPTH]
    while placements > 0:
        i = k.row_next[f]
        if i == k.row_stop[f]:
            f -= 1
            if f < 0:
                return EXHAUSTED
            _undo(k, f)
            continue
        placements -= 1
        k.row_next[f] = i + 1
        b = k.row[i]
        key = k.lowest[b] * n + k.rank[b]
        k.mark[f] = k.control[PLACED]
        is_split = _place(k, b)
        if not _is_hopeful(k, f, i, key):
            _undo(k, f)
            continue
        f = _descend(k, f, b, key, is_split)
        k.control[DEPTH] = f
        if f < 0:
            return FOUND if f == -1 else FULL
    k.control[DEPTH] = f
    return RUNNING


def _place(k: Kernel, b: int) -> bool:
    """Put a buffer at its lowest offset; return whether the time line may have fallen apart."""
    near, lowest, offset, rest, crossing = k.near, k.lowest, k.offset, k.rest, k.crossing
    count = k.control[PLACED]
    trail = k.control[TRAIL]
    bottom = lowest[b]
    size = k.size[b]
    top = bottom + size
    offset[b] = bottom
    k.placed[count] = b
    k.trail_mark[count] = trail
    for i in range(k.near_start[b], k.near_start[b + 1]):
        t = near[i]
        if lowest[t] < top and offset[t] < 0:
            k.trail_buffer[trail] = t
            k.trail_lowest[trail] = lowest[t]
            trail += 1
            lowest[t] = top
    last = k.last[b] - 1
    is_split = False
    for s in range(k.first[b], last):
        rest[s] -= size
        crossing[s] -= 1
        if crossing[s] == 0:
            is_split = True
    rest[last] -= size
    k.control[PLACED] = count + 1
    k.control[TRAIL] = trail
    return is_split


def _undo(k: Kernel, f: int) -> None:
    """Take back all that was placed since the candidate of frame ``f``, itself included, and its parts' ranks."""
    count = k.control[PLACED]
    trail = k.control[TRAIL]
    while count > k.mark[f]:
        count -= 1
        b = k.placed[count]
        size = k.size[b]
        k.offset[b] = -1
        while trail > k.trail_mark[count]:
            trail -= 1
            k.lowest[k.trail_buffer[trail]] = k.trail_lowest[trail]
        last = k.last[b] - 1
        for s in range(k.first[b], last):
            k.rest[s] += size
            k.crossing[s] += 1
        k.rest[last] += size
    k.control[PLACED] = count
    k.control[TRAIL] = trail
    for i in range(k.pool_top[f], k.split_stop[f]):
        k.rank[k.pool[i]] = k.pool_key[i]
    k.split_stop[f] = 0


def _is_hopeful(k: Kernel, f: int, candidate: int, key: int) -> bool:
    """Whether the support and section rules let the placement just made stand."""
    size, lowest, offset, rank, row = k.size, k.lowest, k.offset, k.rank, k.row
    n = len(size)
    for i in range(k.row_start[f], candidate):
        p = row[i]
        if lowest[p] * n + rank[p] < key:
            reach = lowest[p] + size[p]  # above the candidate's bottom, else the gap rule had kept it out
            t = k.blocker[p]
            if t == p or offset[t] >= 0 or lowest[t] >= reach:
                t = _find_blocker(k, p, reach)
                k.blocker[p] = t
                if t == p:
                    return False
    capacity = k.control[CAPACITY]
    rest, witness = k.rest, k.witness
    for s in range(k.section_start[f], k.section_stop[f]):
        waiting = rest[s]
        if waiting > 0:
            w = witness[s]
            bottom = lowest[w]
            if bottom + waiting > capacity or offset[w] >= 0 or bottom * n + rank[w] < key:
                w = _find_witness(k, s, capacity - waiting, key)
                if w < 0:
                    k.weight[s] += 1
                    return False
                witness[s] = w
    return True


def _find_blocker(k: Kernel, p: int, reach: int) -> int:
    """Return a waiting neighbour of ``p`` that can begin below ``reach``, ``p`` itself if there is none."""
    for i in range(k.near_start[p], k.near_start[p + 1]):
        t: int = k.near[i]
        if k.offset[t] < 0 and k.lowest[t] < reach:
            return t
    return p


def _find_witness(k: Kernel, s: int, highest: int, key: int) -> int:
    """Return a waiting buffer of section ``s`` that can begin at ``highest`` or below, -1 if there is none."""
    size, lowest, offset, rank, member = k.size, k.lowest, k.offset, k.rank, k.member
    n = len(size)
    last_offset = key // n
    start, stop = k.member_start[s], k.member_start[s + 1]
    for i in range(start, stop):
        b: int = member[i]
        if lowest[b] <= highest and offset[b] < 0 and lowest[b] * n + rank[b] >= key:
            return b
    for i in range(start, stop):
        b = member[i]
        if lowest[b] <= highest and offset[b] < 0:  # passed over: it lies on one yet to be placed
            reach = lowest[b] + size[b]
            for j in range(k.near_start[b], k.near_start[b + 1]):
                t = k.near[j]
                if offset[t] < 0:
                    bottom = lowest[t] if lowest[t] > last_offset else last_offset
                    if bottom < reach and bottom + size[t] <= highest:
                        return b
    return -1


def _descend(k: Kernel, f: int, b: int, key: int, is_split: bool) -> int:
    """Open the frame below the placement just made; return it, -1 if nothing waits, -2 if the columns are full."""
    n = len(k.size)
    start, stop = k.pool_start[f], k.pool_stop[f]
    offset, pool = k.offset, k.pool
    waiting = 0
    for i in range(start, stop):
        if offset[pool[i]] < 0:
            waiting += 1
    if waiting == 0:
        return _climb(k, f, key)
    top = k.pool_top[f]
    if top + waiting > len(k.pool):
        return -2
    if is_split and (waiting <= ALWAYS_SPLIT or _largest_part(k, f) <= waiting - waiting // 4):
        part = k.part_top[f]
        stop = _split(k, f, start, stop, top, part)
        k.split_stop[f] = top + waiting
        k.part_next[f + 1] = part + 4
        k.part_stop[f + 1] = stop
        return f + 1 if _open_part(k, f + 1, part, top + waiting, key // n * n) == RUNNING else -2
    if 2 * waiting < stop - start:  # half of the slice is placed: a shorter one pays off
        i = top
        for j in range(start, stop):
            if k.offset[k.pool[j]] < 0:
                k.pool[i] = k.pool[j]
                i += 1
        start, stop, top = top, i, i
    g = f + 1
    k.part_root[g] = k.part_root[f]
    k.part_top[g] = k.part_top[f]
    k.section_start[g] = k.section_start[f]
    k.section_stop[g] = k.section_stop[f]
    return g if _open(k, g, start, stop, top, key) == RUNNING else -2


def _climb(k: Kernel, f: int, key: int) -> int:
    """Go from a part that is solved to the next one beside it; return its frame, -1 if all are solved."""
    while True:
        root = k.part_root[f]
        part = k.part_next[root]
        if part < k.part_stop[root]:
            k.part_next[root] = part + 4
            # As for its sisters: nothing waiting lies below what was placed when the time line fell apart.
            owner = k.row[k.row_next[root - 1] - 1] if root else 0
            bottom = k.offset[owner] if root else 0
            top = k.split_stop[root - 1] if root else 2 * len(k.size)
            return root if _open_part(k, root, part, top, bottom * len(k.size)) == RUNNING else -2
        if root == 0:
            return -1
        f = root - 1


def _open_part(k: Kernel, f: int, part: int, pool_top: int, key: int) -> int:
    """Make ``f`` the first frame of a part; ``part_next`` and ``part_stop`` are set already."""
    k.part_root[f] = f
    k.part_top[f] = k.part_stop[f]
    k.section_start[f] = k.parts[part + 2]
    k.section_stop[f] = k.parts[part + 3]
    return _open(k, f, k.parts[part], k.parts[part + 1], pool_top, key)


def _open(k: Kernel, f: int, start: int, stop: int, top: int, key: int) -> int:
    """List what frame ``f`` passed over and its candidates, those by (lowest, rank). Return the state."""
    size, lowest, offset, rank, pool, rows = k.size, k.lowest, k.offset, k.rank, k.pool, k.row
    n = len(size)
    row = k.row_stop[f - 1] if f else 0
    k.pool_start[f] = start
    k.pool_stop[f] = stop
    k.pool_top[f] = top
    k.split_stop[f] = 0
    k.row_start[f] = row
    if row + stop - start > len(rows):
        return FULL
    fullest = 0
    for s in range(k.section_start[f], k.section_stop[f]):
        fullest = max(fullest, k.rest[s])
    limit = k.control[CAPACITY] - fullest + 1
    for i in range(start, stop):
        b = pool[i]
        if offset[b] < 0:
            bottom = lowest[b]
            limit = min(limit, bottom + size[b])
            if bottom * n + rank[b] < key:
                rows[row] = b
                row += 1
    first = row
    k.row_next[f] = first
    for i in range(start, stop):
        b = pool[i]
        if lowest[b] < limit and offset[b] < 0:
            own = lowest[b] * n + rank[b]
            if own >= key:
                j = row
                while j > first and lowest[rows[j - 1]] * n + rank[rows[j - 1]] > own:
                    rows[j] = rows[j - 1]
                    j -= 1
                rows[j] = b
                row += 1
    k.row_stop[f] = row
    return RUNNING


def _largest_part(k: Kernel, f: int) -> int:
    """Return how many buffers wait in the largest of the parts into which the time line of frame ``f`` falls."""
    for s in range(k.section_start[f], k.section_stop[f]):
        k.tally[s] = 0
    for i in range(k.pool_start[f], k.pool_stop[f]):
        b = k.pool[i]
        if k.offset[b] < 0:
            k.tally[k.first[b]] += 1
    largest, count = 0, 0
    for s in range(k.section_start[f], k.section_stop[f]):
        count += k.tally[s]
        largest = max(largest, count)
        if k.crossing[s] == 0:
            count = 0
    return largest


def _split(k: Kernel, f: int, start: int, stop: int, top: int, part: int) -> int:
    """Copy the waiting buffers of a slice to ``top``, part by part and ranked anew; return the end of ``parts``.

    A part ends where no waiting buffer spans two neighbouring sections of frame ``f``.
    """
    section, section_stop = k.section_start[f], k.section_stop[f]
    while section < section_stop:
        end = section
        while end + 1 < section_stop and k.crossing[end] > 0:
            end += 1
        if k.rest[end] > 0:
            begins = top
            for i in range(start, stop):
                b = k.pool[i]
                if k.offset[b] < 0 and section <= k.first[b] <= end:
                    k.pool[top] = b
                    top += 1
            _rank(k, begins, top)
            k.parts[part] = begins
            k.parts[part + 1] = top
            k.parts[part + 2] = section
            k.parts[part + 3] = end + 1
            part += 4
        section = end + 1
    return part


def _rank(k: Kernel, start: int, stop: int) -> None:
    """Sort a slice of the pool and rank its buffers so; ``pool_key`` keeps the ranks they had. Shell's sort."""
    n = len(k.size)
    for i in range(start, stop):
        b = k.pool[i]
        highest = 0
        if k.control[DYNAMIC] == BY_REST:
            for s in range(k.first[b], k.last[b]):
                highest = max(highest, k.rest[s])
        elif k.control[DYNAMIC] == BY_WEIGHT:
            for s in range(k.first[b], k.last[b]):
                highest = max(highest, k.weight[s])
        k.pool_key[i] = k.fixed[b] - highest * n
    gap = 1
    while gap < (stop - start) // 9:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(start + gap, stop):
            b, key = k.pool[i], k.pool_key[i]
            j = i
            while j >= start + gap and k.pool_key[j - gap] > key:
                k.pool[j], k.pool_key[j] = k.pool[j - gap], k.pool_key[j - gap]
                j -= gap
            k.pool[j], k.pool_key[j] = b, key
        gap //= 3
    for i in range(start, stop):
        b = k.pool[i]
        k.pool_key[i] = k.rank[b]
        k.rank[b] = i - start
