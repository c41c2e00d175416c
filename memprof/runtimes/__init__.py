"""Runtime models: what is alive when. One folder and one row each. Pure: no file, no torch, no onnxruntime."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from memprof.base.errors import UsageError
from memprof.ir.model import Model
from memprof.runtimes import (
    contracted,
    executorch,
    ideal,
    litert,
    onnxruntime,
    paper,
    pytorch,
    pytorch_process,
    reference,
    tflm,
)
from memprof.runtimes.model import (
    Figure,
    Grade,
    Measuring,
    Order,
    Ordering,
    Placement,
    Process,
    Promise,
    RuntimeModel,
)

_ROWS = (
    reference.MODEL,
    ideal.MODEL,
    paper.MODEL,
    contracted.MODEL,
    pytorch.MODEL,
    pytorch_process.MODEL,
    onnxruntime.DEFAULT_MODEL,
    onnxruntime.MODEL,
    onnxruntime.OPTIMIZED_MODEL,
    tflm.MODEL,
    litert.MODEL,
    executorch.MODEL,
)

RUNTIMES: Mapping[str, RuntimeModel] = MappingProxyType({row.name: row for row in _ROWS})
"""Every runtime model by name, in the order in which reports show them."""


def list_runtimes() -> tuple[RuntimeModel, ...]:
    """Return every runtime model, in the order in which reports show them."""
    return tuple(RUNTIMES.values())


def find_runtime(name: str) -> RuntimeModel:
    """Return a row of ``RUNTIMES``.

    Raises:
        UsageError: There is none of that name.
    """
    if name not in RUNTIMES:
        raise UsageError(f"There is no runtime model {name!r}.", f"Choose from: {', '.join(RUNTIMES)}.")
    return RUNTIMES[name]


def choose_runtimes(names: Iterable[str] | None, model: Model) -> Mapping[str, RuntimeModel]:
    """Return the rows for a report on ``model`` by name, the headline first, each as it reads that source.

    Args:
        names: What was asked for; the rows that are shown unasked if ``None``.
        model: The source.

    Raises:
        UsageError: A name does not exist, or that row does not apply to the source.
    """
    if names is None:
        rows = [row for row in RUNTIMES.values() if row.is_default_for(model.format)]
        rows = [row for row in rows if not row.refusal(model)]
        rows.sort(key=lambda row: model.format not in row.leads)
    else:
        rows = [find_runtime(name) for name in dict.fromkeys(names)]
    found = [as_read(row, model) for row in rows]
    if not found:
        raise UsageError("No runtime model was named.", f"Choose from: {', '.join(RUNTIMES)}.")
    return {row.name: row for row in found}


def as_read(row: RuntimeModel, model: Model) -> RuntimeModel:
    """Return a row as it reads one source.

    Raises:
        UsageError: It does not apply to the source.
    """
    if reason := row.refusal(model):
        raise UsageError(f"The runtime model {row.name} does not apply here: {reason}.", "Leave it out.")
    return row if row.of_source is None else row.of_source(model)


__all__ = [
    "RUNTIMES",
    "Figure",
    "Grade",
    "Measuring",
    "Order",
    "Ordering",
    "Placement",
    "Process",
    "Promise",
    "RuntimeModel",
    "as_read",
    "choose_runtimes",
    "find_runtime",
    "list_runtimes",
]
