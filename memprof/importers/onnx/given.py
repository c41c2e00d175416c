"""Elements of graph inputs that the caller gives: what they make known.

    what is given         what becomes known
    one number            the elements, if the shape is known and small; one element of an open vector
    several               the elements, and with them the length of an open vector

onnxruntime does not know them before it runs: see ``ahead``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from memprof.base.errors import UsageError
from memprof.importers.onnx.constants import MAX_ELEMENTS, Constant
from memprof.importers.onnx.facts import Fact
from memprof.importers.onnx.node_facts import Context
from memprof.importers.onnx.symbols import format_shape
from memprof.importers.request import Elements
from memprof.ir import TensorType


def check_given(values: Mapping[str, Elements], graph_inputs: Collection[str]) -> None:
    """Fail if a value is given for what is no input.

    Raises:
        UsageError: There is no input of that name.
    """
    for name in values:
        if name not in graph_inputs:
            raise UsageError(f"The model has no input {name!r}.", f"It has: {', '.join(graph_inputs) or 'none'}.")


def given_fact(name: str, fact: Fact, context: Context) -> Fact:
    """Return what is known of a graph input whose elements the caller gave.

    Raises:
        UsageError: Its elements are no plain numbers, or as many were not given.
    """
    import numpy as np

    given = context.values[name]
    if fact.type.dtype == "string":
        return fact  # which texts they are decides a run, no shape that is worked out here
    if isinstance(given, str):
        of_what = fact.type.dtype or "an unknown type"
        raise UsageError(f"The input {name!r} holds {of_what}, and a text is given.", f"Write --value {name}=NUMBER.")
    of = _with_length(fact.type, given, context)
    try:
        dtype = np.dtype(of.dtype)
    except TypeError:
        dtype = np.dtype(object)
    if dtype.kind not in "biuf":
        raise UsageError(f"The input {name!r} holds {of.dtype or 'an unknown type'}, not plain numbers.")
    count = of.element_count
    if isinstance(given, tuple) and count is not None and count != len(given):
        raise UsageError(
            f"The input {name!r} is {format_shape(of)}, and {len(given):,} elements are given.",
            "Give all of them, or one number that fills it.",
        )
    shape = [dim for dim in of.shape or () if isinstance(dim, int)]
    if count is None or of.shape is None or len(shape) != len(of.shape) or count > MAX_ELEMENTS:
        return context.facts.described(of, fact.proto)
    with np.errstate(all="ignore"):
        array = np.array(given, dtype=np.float64).astype(dtype)
    array = np.full(shape, array) if array.ndim == 0 else array.reshape(shape)
    return context.facts.constant(of, Constant(array, is_beyond=True))


def gives_length(of: TensorType | None) -> bool:
    """Whether the elements of an input say how many they are: of a vector of numbers without a length."""
    is_open = of is not None and (of.shape is None or (len(of.shape) == 1 and not isinstance(of.shape[0], int)))
    return is_open and of is not None and of.dtype != "string"


def _with_length(of: TensorType, given: Elements, context: Context) -> TensorType:
    if of.shape is None or not gives_length(of):
        return of
    return context.types.of(of.dtype, (len(given) if isinstance(given, tuple) else 1,))
