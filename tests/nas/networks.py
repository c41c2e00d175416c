"""Random architectures, small ones: what a search could reach by growing and trimming."""

from __future__ import annotations

import random

from memprof.nas.generator import generate
from memprof.nas.space import Architecture, Template

SMALL = Template(strides=(1, 2, 1), widths=(8, 8, 16), input_shape=(3, 17, 16), classes=10, stem_width=12)
"""Odd sizes, so that rounding in strides shows."""


def random_architecture(rng: random.Random, slots: int, template: Template = SMALL) -> Architecture:
    """Return an architecture of ``slots`` slots after as many random steps as that takes."""
    found = template.build([])
    while found.slots < slots:
        found = rng.choice(generate(found))
    return found
