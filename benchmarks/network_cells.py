"""Cells that architecture searches published, as data.

A cell has two inputs, 0 (the cell before the last) and 1 (the last cell), and steps 2, 3, ... Each step adds two
layers, each applied to an input or an earlier step; the steps named last are concatenated. Layers:

    s3 s5 s7   separable convolution, twice: activation, depthwise, pointwise, normalisation
    d3 d5      dilated separable convolution, once
    f7         7x1 then 1x7 convolution
    m3 a3      max and average pooling
    id         nothing, or a strided projection in a reduction cell

Sources (arXiv): NASNet-A 1707.07012, AmoebaNet-A 1802.01548, PNASNet-5 1712.00559, ENAS 1802.03268, DARTS of
first and second order 1806.09055, SNAS 1812.09926, GDAS 1910.04465, P-DARTS 1904.12760, PC-DARTS 1907.05737.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell.

    Attributes:
        steps: Per step its two (layer, input).
        outputs: The steps that are concatenated.
    """

    steps: tuple[tuple[tuple[str, int], tuple[str, int]], ...]
    outputs: tuple[int, ...]

    @classmethod
    def parse(cls, text: str) -> Cell:
        """Read ``"s3:0 s3:1, id:0 d3:2 -> 2 3"``."""
        body, _, outputs = text.partition("->")
        steps = []
        for step in body.split(","):
            left, right = ((layer, int(source)) for layer, source in (part.split(":") for part in step.split()))
            steps.append((left, right))
        return cls(tuple(steps), tuple(map(int, outputs.split())))


@dataclass(frozen=True, slots=True)
class Genotype:
    """The normal and the reduction cell of a network."""

    normal: Cell
    reduction: Cell


def _genotype(normal: str, reduction: str) -> Genotype:
    return Genotype(Cell.parse(normal), Cell.parse(reduction))


GENOTYPES: dict[str, Genotype] = {
    "nasnet_a": _genotype(
        "s5:1 s3:0, s5:0 s3:0, a3:1 id:0, a3:0 a3:0, s3:1 id:1 -> 2 3 4 5 6",
        "s5:1 s7:0, m3:1 s7:0, a3:1 s5:0, id:3 a3:2, s3:2 m3:1 -> 4 5 6",
    ),
    "amoebanet_a": _genotype(
        "a3:0 m3:1, s3:0 s5:2, s3:0 a3:3, s3:1 id:1, id:0 a3:1 -> 4 5 6",
        "a3:0 s3:1, m3:0 s7:2, s7:0 a3:1, m3:0 m3:1, f7:0 s3:5 -> 3 4 6",
    ),
    "pnasnet_5": _genotype(
        "s5:0 m3:0, s7:1 m3:1, s5:1 s3:1, s3:4 m3:1, s3:0 id:1 -> 2 3 4 5 6",
        "s5:0 m3:0, s7:1 m3:1, s5:1 s3:1, s3:4 m3:1, s3:0 id:1 -> 2 3 4 5 6",
    ),
    "enas": _genotype(
        "s3:1 id:1, s5:1 id:0, a3:0 s3:1, s3:0 a3:1, s5:1 a3:0 -> 2 3 4 5 6",
        "s5:0 a3:1, s3:1 a3:1, s3:1 a3:1, s5:4 a3:1, s3:5 s5:0 -> 2 3 6",
    ),
    "darts_v1": _genotype(
        "s3:1 s3:0, id:0 s3:1, id:0 s3:1, s3:0 id:2 -> 2 3 4 5",
        "m3:0 m3:1, id:2 m3:0, m3:0 id:2, id:2 a3:0 -> 2 3 4 5",
    ),
    "darts_v2": _genotype(
        "s3:0 s3:1, s3:0 s3:1, s3:1 id:0, id:0 d3:2 -> 2 3 4 5",
        "m3:0 m3:1, id:2 m3:1, m3:0 id:2, id:2 m3:1 -> 2 3 4 5",
    ),
    "snas": _genotype(
        "s3:0 s3:1, id:0 d3:1, id:1 id:0, id:0 s3:1 -> 2 3 4 5",
        "m3:0 m3:1, m3:1 id:2, id:2 m3:1, m3:0 d5:2 -> 2 3 4 5",
    ),
    "gdas": _genotype(
        "id:0 id:1, id:0 s5:2, s3:3 id:0, s5:4 s3:3 -> 2 3 4 5",
        "s5:0 s3:1, s5:2 s5:1, d5:2 s3:1, s5:0 s5:1 -> 2 3 4 5",
    ),
    "pdarts": _genotype(
        "id:0 d3:1, id:0 s3:1, s3:1 s3:3, s3:0 d5:4 -> 2 3 4 5",
        "a3:0 s5:1, s3:0 d5:2, m3:0 d3:1, d3:1 d5:3 -> 2 3 4 5",
    ),
    "pc_darts": _genotype(
        "s3:1 id:0, s3:0 d3:1, s5:0 s3:1, a3:0 d3:1 -> 2 3 4 5",
        "s5:1 m3:0, s5:1 s5:2, s3:0 s3:3, s3:1 s3:2 -> 2 3 4 5",
    ),
}
"""Published cells by the name of their search."""
