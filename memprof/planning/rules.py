"""What can be planned: the rows of ``RUNTIMES`` that a search for an order knows, and the problems that they pose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from memprof.base.errors import UsageError
from memprof.ir import Graph
from memprof.planning.ordering.problem import OrderProblem
from memprof.runtimes import RUNTIMES, Order, RuntimeModel, find_runtime
from memprof.runtimes.late import find

RULES: Mapping[str, RuntimeModel] = MappingProxyType(
    {name: row for name, row in RUNTIMES.items() if row.ordering is not None}
)
"""The runtime models that can be planned for, by name."""

PROBLEMS: Mapping[str, Callable[[Graph], OrderProblem]] = MappingProxyType(
    {name: find(row.ordering.bound) for name, row in RULES.items() if row.ordering is not None}
)
"""From a graph to the problem in which no order costs more than its peak, by name of the runtime model."""


def find_rules(name: str, *, in_place: bool = False) -> RuntimeModel:
    """Return a row of ``RULES``.

    Args:
        name: Name of a runtime model.
        in_place: Whether its variant with operations in place is meant.

    Raises:
        UsageError: There is no such runtime model or variant, or no plan for it.
    """
    row = find_runtime(name)
    if row.ordering is None:
        why = "the order of its steps is given" if row.order is Order.GIVEN else "what it runs is ordered already"
        if row.placement is not None and row.order is not Order.GIVEN:
            why = f"it lays its own arena out and reads no plan; memprof analyze MODEL --runtime {name} shows it"
        raise UsageError(
            f"There is no plan for the runtime {name!r}: {why}.",
            f"Choose from: {', '.join(row.name for row in RULES.values() if not row.in_place_of)}.",
        )
    if not in_place:
        return row
    variant = next((row for row in RULES.values() if row.in_place_of == name), None)
    if variant is None:
        raise UsageError(f"In place is part of what {name!r} counts.", "Leave in_place out.")
    return variant
