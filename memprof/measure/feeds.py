"""Inputs for a run: random values of the right types and shapes, the same in every run.

What is allocated depends on sizes, hardly ever on values, with exceptions: indices must be in range, and a model may
count with integers or branch on them. So floats are uniform in [0, 1), integers and booleans are 0 or 1. A text is
as many words as are assumed of one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from memprof.base.errors import UsageError

if TYPE_CHECKING:  # a child that loads them costs a tenth more
    from memprof.importers.request import Elements
    from memprof.ir import Graph, Value

_INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
_NUMPY_NAMES = frozenset(("bool", "float16", "float32", "float64", "complex64", "complex128", *_INTEGERS))
_TEXTS = "string"
_SEED = 20211
_PIECE = 4096


class InputSpec(TypedDict):
    """One graph input, as JSON carries it."""

    name: str
    dtype: str
    shape: Sequence[int]
    value: float | list[float] | str | list[str] | None


def input_specs(graph: Graph, values: Mapping[str, Elements] | None = None) -> list[InputSpec]:
    """Return what ``random_feeds`` needs to know of the inputs of ``graph``.

    Args:
        graph: A graph whose inputs are all bound.
        values: Elements of single inputs instead: ``{"sampling_rate": 16000, "axes": (0, 2)}``.

    Raises:
        UsageError: An input's shape is open, its type is no plain number, or a name is no input.
    """
    values = values or {}
    names = [graph.values[i].name for i in graph.inputs]
    for name in values:
        if name not in names:
            raise UsageError(f"The model has no input {name!r}.", f"It has: {', '.join(names)}.")
    return [_spec(graph, i, values) for i in graph.inputs]


def _spec(graph: Graph, value_id: int, values: Mapping[str, Elements]) -> InputSpec:
    value = graph.values[value_id]
    shape = value.type.shape
    if value.type.dtype not in _NUMPY_NAMES and value.type.dtype != _TEXTS:
        raise UsageError(
            f"Input {value.name!r} holds {value.type.dtype or 'an unknown type'}, which memprof cannot make up.",
            "memprof analyze says what follows from the file.",
        )
    if shape is None or not all(isinstance(dim, int) for dim in shape):
        shown = "x".join("?" if dim is None else str(dim) for dim in shape or ("?",))
        example = "x".join(str(dim) if isinstance(dim, int) else "1" for dim in shape or ("?",))
        raise UsageError(
            f"Input {value.name!r} has the open shape {shown}, and a run needs numbers.",
            f"Give it: --input {value.name}={example}, or --dim NAME=SIZE.",
        )
    dims = [dim for dim in shape if isinstance(dim, int)]
    given = values.get(value.name, _rate(value))
    if isinstance(given, tuple) and len(given) != prod(dims):
        raise UsageError(
            f"The input {value.name!r} has {prod(dims):,} elements, and {len(given):,} are given.",
            "Give all of them, or one number that fills it.",
        )
    elements: float | list[float] | str | list[str] | None = list(given) if isinstance(given, tuple) else given
    if value.type.dtype == _TEXTS:
        text = _text() if given is None else str(given)
        words = text.split(",")
        elements = words if len(words) == prod(dims) else text
    return InputSpec(name=value.name, dtype=value.type.dtype, shape=dims, value=elements)


def _rate(value: Value) -> int | None:
    from memprof.importers.onnx.assumed import usual_rate  # not loaded in a child

    return usual_rate(value.name, value.type)


def _text() -> str:
    from memprof.importers.request import USUAL_TEXT  # not loaded in a child

    return USUAL_TEXT


def random_feeds(specs: Iterable[InputSpec]) -> dict[str, np.ndarray[Any, Any]]:
    """Return an array for each input."""
    rng = np.random.default_rng(_SEED)
    return {spec["name"]: _array(spec, rng) for spec in specs}


def read_code() -> None:
    """Make a short input of each kind: the code for it is read before anything is counted.

    What a process has loaded before it makes a session decides how its heap is laid out; one that runs a model has
    made inputs of some kind. One element alone would not do: longer arrays are converted by other code.
    """
    random_feeds([InputSpec(name=kind, dtype=kind, shape=[32], value=None) for kind in sorted(_NUMPY_NAMES)])


def _array(spec: InputSpec, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    shape = tuple(spec["shape"])
    if spec["dtype"] == _TEXTS:
        words = np.array(spec["value"], dtype=object)
        return words.reshape(shape) if words.ndim else np.full(shape, words)
    dtype = np.dtype(spec["dtype"])
    if spec["value"] is not None:
        if isinstance(spec["value"], list):
            return np.array(spec["value"]).astype(dtype).reshape(shape)
        return np.full(shape, spec["value"], dtype=dtype)
    found = np.empty(shape, dtype)
    flat = found.reshape(-1)
    for start in range(0, flat.size, _PIECE):  # in pieces: nothing large is taken beside it and given back
        count = min(_PIECE, flat.size - start)
        drawn: Any = rng.random(count) if dtype.kind in "fc" else rng.integers(0, 2, count)
        flat[start : start + count] = drawn
    return found
