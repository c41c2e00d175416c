"""Operations that stay although they read nothing but weights."""

from __future__ import annotations

KEPT = frozenset(
    (
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
        "Bernoulli",
        "Multinomial",
        "QuantizeLinear",
        "DequantizeLinear",
    )
)
"""They draw numbers, or are wanted where they are by the rules of quantised graphs."""
