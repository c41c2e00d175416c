"""Operations without a CPU kernel: onnxruntime replaces each by the function that ONNX defines it as.

A recipe lists the function's nodes in order: what each writes, the operation, what it reads. ``x`` is the first
input, ``y`` the first output; other names live inside. All have the type of ``x`` but those under ``other``. ``1``
stands for a constant of the function, which is an initialiser.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from memprof.ir import TensorType

_SCALAR = TensorType("float32", ())


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an operation is replaced by.

    Attributes:
        nodes: (what it writes, operation, what it reads) of each node.
        other: Types of values that are not typed as the first input.
    """

    nodes: tuple[tuple[str, str, tuple[str, ...]], ...]
    other: Mapping[str, TensorType] = field(default_factory=dict)


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "HardSwish": Recipe((("t", "HardSigmoid", ("x",)), ("y", "Mul", ("x", "t")))),
        "Mish": Recipe((("a", "Softplus", ("x",)), ("b", "Tanh", ("a",)), ("y", "Mul", ("x", "b")))),
        "Swish": Recipe(
            (("a", "Cast", ("1",)), ("b", "Mul", ("a", "x")), ("c", "Sigmoid", ("b",)), ("y", "Mul", ("x", "c"))),
            {"a": _SCALAR, "1": _SCALAR},
        ),
    }
)
"""Recipes by operation."""
