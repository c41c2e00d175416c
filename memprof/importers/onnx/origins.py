"""From which graph input the unknown elements of a small value come: the one that the caller is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from memprof.importers.onnx.constants import FLOATS
from memprof.importers.onnx.facts import Fact
from memprof.importers.onnx.unknowns import DECIDED_BY_FLOATS

Origin = tuple[str, int]
"""A small graph input: its name and its number of elements."""


class Origins:
    """The graph inputs behind the small values of one scope, by value id."""

    def __init__(self) -> None:
        self._found: dict[int, Origin] = {}
        self._few_floats: dict[int, Origin] = {}

    def add_input(self, value_id: int, name: str, fact: Fact) -> bool:
        """Note a graph input, and return whether it decides about its readers: a few floats do for some of them."""
        if not fact.is_small or fact.constant is not None:
            return False
        is_float = fact.type.dtype in FLOATS
        (self._few_floats if is_float else self._found)[value_id] = (name, fact.type.element_count or 1)
        return not is_float

    def of(self, op: str, inputs: Sequence[int | None]) -> Origin | None:
        """Return the graph input that decides about what a node writes, ``None`` if none is known to."""
        deciding = inputs[DECIDED_BY_FLOATS.get(op, len(inputs)) :]
        found = (self._found[i] for i in inputs if i in self._found)
        return next(chain(found, (self._few_floats[i] for i in deciding if i in self._few_floats)), None)

    def inherit(self, value_id: int, fact: Fact, origin: Origin | None) -> bool:
        """Note what a node writes whose elements come from ``origin``, and return whether it hides any."""
        hides = fact.type.elements is not None or (fact.is_small and fact.constant is None)
        if origin is None or not hides:
            return False
        self._found[value_id] = origin
        return True
