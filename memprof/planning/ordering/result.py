"""What the planner says of an order: the order, its peak, and how far it may be from the best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Ending = Literal["settled", "time", "effort", "limits", "interrupted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderResult:
    """An order, and what is proven about it.

    Attributes:
        order: Operation ids (node ids of the graph the problem came from) in running order.
        peak_bytes: Most bytes alive at once in this order; never more than ``before_bytes``.
        before_bytes: The same for the given order.
        lower_bound_bytes: No order needs less.
        proof: What the lower bound rests on.
        ending: ``settled`` if the question is answered; else what ended the search: time, effort (steps), Ctrl-C, or
            its limits (of memory for states, of what can be searched or tried at all).
        seconds: Wall time it took.
    """

    order: tuple[int, ...]
    peak_bytes: int
    before_bytes: int
    lower_bound_bytes: int
    proof: str
    ending: Ending
    seconds: float

    @property
    def is_optimal(self) -> bool:
        """Whether no order has a lower peak, proven."""
        return self.peak_bytes == self.lower_bound_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderProgress:
    """How far a search is.

    Attributes:
        peak_bytes: Peak of the best order so far.
        lower_bound_bytes: What is proven so far.
        seconds: Wall time since the start.
    """

    peak_bytes: int
    lower_bound_bytes: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether some order stays within a budget.

    Attributes:
        answer: Yes (``result.order`` does), no (proven: ``result.lower_bound_bytes`` is over the budget), or
            ``None``: unknown, the budget lies between the bound and the peak of the best order found.
        budget_bytes: The budget.
        result: The best order found and the bound.
    """

    answer: bool | None
    budget_bytes: int
    result: OrderResult
