"""How much of a model onnxruntime works out before it runs it: less than the reader here does.

It matters for the memory that onnxruntime plans: only where it knows two shapes, or knows both by the same symbol,
can one buffer serve both.

    what the reader here knows                                   what onnxruntime knows when it plans
    dimensions that the caller bound                             their symbols
    elements of an initialiser that is a graph input too         nothing: the caller could replace it
    results of many operations on small constants                results of the operations below on what ``Shape`` of
                                                                 a known type gave; initialisers do not mix in

Found by planning small models whose buffers show which shapes were known (onnxruntime 1.32).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from memprof.importers.onnx.facts import Fact

Evaluates = Callable[[str, Sequence[Fact | None]], bool]
"""Whether an operation is evaluated, given what is known of its inputs."""


def reader_evaluates(op: str, inputs: Sequence[Fact | None]) -> bool:
    """Return true: the reader works out all it can."""
    return True


def runtime_evaluates(op: str, inputs: Sequence[Fact | None]) -> bool:
    """Return whether onnxruntime, too, knows what ``op`` writes before it runs it."""
    data_count = _DATA_INPUTS.get(op)
    if data_count is None:
        return False
    if op == "Gather" and not _is_single(inputs[1] if len(inputs) > 1 else None):
        return False
    return all(fact is not None and _is_computed(fact) for fact in inputs[:data_count])


_ALL = 10**6
_DATA_INPUTS: Mapping[str, int] = MappingProxyType(
    {
        "Shape": 0,
        **dict.fromkeys(("Gather", "Squeeze", "Unsqueeze", "Cast"), 1),
        **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Concat"), _ALL),
    }
)
"""Operations that onnxruntime looks through, and how many of their inputs must have been worked out."""


def _is_computed(fact: Fact) -> bool:
    return fact.constant is not None and fact.constant.is_computed


def _is_single(fact: Fact | None) -> bool:
    return fact is not None and fact.type.element_count == 1
