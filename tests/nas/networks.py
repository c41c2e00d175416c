"""Random architectures, small ones: what a search could reach by growing and trimming."""

from __future__ import annotations

import random
from functools import cache

from memprof.nas.space.architecture import Architecture, Template
from memprof.nas.space.generator import grow, trim

SMALL = Template(strides=(1, 2, 1), widths=(8, 8, 16), input_shape=(3, 17, 16), classes=10, stem_width=12)
"""Odd sizes, so that rounding in strides shows."""


def random_architecture(rng: random.Random, slots: int, template: Template = SMALL) -> Architecture:
    """Return an architecture of ``slots`` slots: a growth each, and after it up to three trims."""
    found = template.build([])
    while found.slots < slots:
        found = rng.choice(list(grow(found)))
        for _ in range(rng.randrange(4)):
            found = rng.choice([found, *trim(found)])
    return found


def random_template(rng: random.Random) -> Template:
    """Return a template at the edges of what there is: one pixel, one filter, many classes, one block or six."""
    blocks = rng.choice((1, 2, 3, 6))
    return Template(
        strides=tuple(rng.choice((1, 2)) for _ in range(blocks)),
        widths=tuple(rng.choice((1, 4, 8, 12)) for _ in range(blocks)),
        input_shape=(rng.choice((1, 3)), rng.randrange(1, 20), rng.randrange(1, 20)),
        classes=rng.choice((2, 10, 300)),
        stem_width=rng.choice((1, 4, 8)),
        stem_stride=rng.choice((1, 1, 2)),
    )


@cache
def random_network(seed: int) -> Architecture:
    """Return network ``seed`` of the contract: one to four cells, every second one in a template of its own."""
    rng = random.Random(seed)
    return random_architecture(rng, 1 + seed % 4, random_template(rng) if seed % 2 else SMALL)
