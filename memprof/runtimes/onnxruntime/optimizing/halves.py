"""Casts of 16-bit weights that onnxruntime puts in front of what it widens: those with several readers stay.

A cast with one reader becomes a weight of 32 bits. One with several is done in every run, so that what reads it does
not read a weight: no convolution of it is blocked. Small constants that are equal are one weight.
"""

from __future__ import annotations

from memprof.ir import Node
from memprof.runtimes.onnxruntime.optimizing.draft import Draft

_SEVERAL = 2


def keep_casts(draft: Draft) -> None:
    """Put back the casts of 16-bit weights with several readers, one for each weight."""
    sources: dict[int, int] = {}  # what an Identity hands on
    casts: dict[object, list[tuple[Node, int]]] = {}  # by weight: its casts, with their numbers
    for node, number in draft.done:
        source = node.inputs[0] if node.inputs else None
        if source is None or node.op not in ("Identity", "Cast") or not draft.is_fixed(node.writes[0]):
            continue
        source = sources.get(source, source)
        if node.op == "Identity":
            sources[node.writes[0]] = source
        elif draft.dtype(source) == "float16" and draft.dtype(node.writes[0]) == "float32":
            casts.setdefault(draft.canonical(source), []).append((node, number))
    for found in casts.values():
        if sum(draft.uses(node.writes[0]) for node, _ in found) >= _SEVERAL:
            source = found[0][0].inputs[0]
            _keep(draft, sources.get(source, source) if source is not None else -1, found)


def _keep(draft: Draft, source: int, casts: list[tuple[Node, int]]) -> None:
    first, number = casts[0]
    draft.restore(first, number, source)
    for node, _ in casts[1:]:
        for reader in draft.readers(node.writes[0]):
            draft.rewire(reader, reader.inputs.index(node.writes[0]), first.writes[0])
