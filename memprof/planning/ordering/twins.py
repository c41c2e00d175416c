"""Branches that are equal: of all orders that differ only by which twin does what, one is enough.

A chain is a run of operations each of which waits for the one before and is all that waits for it. Two chains are
twins if exchanging them, operation by operation, changes nothing: the same predecessors and successors, scratch, and
cells of the same bytes towards the same others. Take m twins c1 ... cm and any order. Rename them so that at each
place of the chain the i-th of them to run is that of ci. Chains stay in order (the i-th smallest of the times of one
place is below the i-th smallest of the next), and each state holds as many chains at each place as before, so it has
the same bytes. Hence no order is lost if

    place j of chain i runs before place j of chain i + 1

which leaves one branch to choose from where there were thousands. O(n + touches), apart from sorting.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from memprof.planning.meter import Meter
from memprof.planning.ordering.piece import Cell, Piece
from memprof.planning.ordering.rewrite import Rewrite

_Chain = tuple[int, ...]


def order_twins(piece: Piece, meter: Meter) -> Rewrite | None:
    """Return the piece with twins in turn, ``None`` if it has none. Forward form only."""
    classes = _twins(piece, meter)
    if not classes:
        return None
    meter.spend(2 * (len(piece.ops) + len(piece.cells)))
    slot = list(range(len(piece.ops)))  # the new number of each operation
    later: dict[int, list[int]] = defaultdict(list)  # for each operation those of its twins that wait for it
    last_twin: dict[int, int] = {}
    for chains in classes:
        for place in range(len(chains[0])):
            ops = [chain[place] for chain in chains]
            for op, number in zip(ops, sorted(ops), strict=True):
                slot[op] = number
                last_twin[op] = ops[-1]
            for op, other in pairwise(ops):
                later[other].append(op)
    numbering = [0] * len(slot)
    for op, number in enumerate(slot):
        numbering[number] = op
    rewritten = Piece(
        ops=tuple(piece.ops[op] for op in numbering),
        predecessors=tuple(
            tuple(sorted(slot[other] for other in (*piece.predecessors[op], *later.get(op, ())))) for op in numbering
        ),
        cells=tuple(
            Cell(
                None if cell.opens is None else tuple(slot[op] for op in cell.opens),
                None
                if cell.closes is None
                else tuple(sorted(slot[op] for op in _last_closers(cell.closes, last_twin))),
                cell.size_bytes,
            )
            for cell in piece.cells
        ),
        scratch_bytes=tuple(piece.scratch_bytes[op] for op in numbering),
        start_bytes=piece.start_bytes,
    )
    return Rewrite(rewritten, tuple((op,) for op in numbering))


def _last_closers(closes: tuple[int, ...], last_twin: dict[int, int]) -> set[int]:
    """Return who is left to close a cell: of twins the last one."""
    everyone = set(closes)
    return {twin if (twin := last_twin.get(op, op)) in everyone else op for op in closes}


def _twins(piece: Piece, meter: Meter) -> list[list[_Chain]]:
    """Return the classes of two twins or more, each with its chains by their first operations."""
    families: dict[Any, list[_Chain]] = defaultdict(list)
    for chain in _chains(piece, meter):
        scratch = tuple(piece.scratch_bytes[op] for op in chain)
        families[piece.predecessors[chain[0]], piece.successors[chain[-1]], scratch].append(chain)
    classes: list[list[_Chain]] = []
    for family in families.values():
        if len(family) > 1:
            alike: dict[Any, list[_Chain]] = defaultdict(list)
            for chain, key in zip(family, _keys(piece, family, meter), strict=True):
                alike[key].append(chain)
            classes += [chains for chains in alike.values() if len(chains) > 1]
    return classes


def _chains(piece: Piece, meter: Meter) -> list[_Chain]:
    chains = []
    for op, before in enumerate(piece.predecessors):
        meter.spend()
        if len(before) == 1 and len(piece.successors[before[0]]) == 1:
            continue  # not the first of its chain
        chain = [op]
        while len(after := piece.successors[chain[-1]]) == 1 and len(piece.predecessors[after[0]]) == 1:
            chain.append(after[0])
        chains.append(tuple(chain))
    return chains


def _keys(piece: Piece, family: Sequence[_Chain], meter: Meter) -> list[Any]:
    """Return what each chain of a family does to cells; equal keys make twins.

    A cell that several of the family touch has to be the same one, touched at the same places; other cells have to
    have equal bytes, and the same others that touch them.
    """
    place_of = {op: (i, place) for i, chain in enumerate(family) for place, op in enumerate(chain)}
    touched = [sorted({i for op in chain for i in (*piece.opened_by[op], *piece.closed_by[op])}) for chain in family]
    owners: dict[int, int] = {}
    for chain_id, cells in enumerate(touched):
        for i in cells:
            owners[i] = chain_id if i not in owners else _SEVERAL
    keys = []
    for chain_id, cells in enumerate(touched):
        key: list[Any] = []
        for i in cells:
            cell = piece.cells[i]
            if owners[i] == _SEVERAL:
                ops = [op for op in family[chain_id] if i in piece.opened_by[op] or i in piece.closed_by[op]]
                sides = [(place_of[op][1], i in piece.opened_by[op], i in piece.closed_by[op]) for op in ops]
                meter.spend(len(family[chain_id]))
                key.append((i, tuple(sides)))
            else:
                meter.spend(len(cell.opens or ()) + len(cell.closes or ()))
                key.append(
                    (-1, (cell.size_bytes, _seen_from(cell.opens, place_of), _seen_from(cell.closes, place_of)))
                )
        keys.append(tuple(sorted(key, key=repr)))
    return keys


_SEVERAL = -1


def _seen_from(
    ops: tuple[int, ...] | None, place_of: dict[int, tuple[int, int]]
) -> tuple[tuple[bool, int], ...] | None:
    """Return the operations, those of the chain itself as places in it."""
    if ops is None:
        return None
    return tuple(sorted((True, place_of[op][1]) if op in place_of else (False, op) for op in ops))
