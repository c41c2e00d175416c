"""The memory-efficiency metric, equation 4 with the sign that the paper's text means.

    y = l * (a - a0) / a0 - (1 - l) * (w_r * (r - r0) / r0 + w_p * (p - p0) / p0)

relative to the network chosen in the previous round (a0, r0, p0). As printed, the equation adds the memory terms and
so rewards more memory, against its own text. The text weighs both terms 1; the authors ran w_r = 0.7, w_p = 0.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from memprof.base.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """What the metric compares.

    Attributes:
        accuracy: Validation accuracy, 0 to 1; more than 0.
        peak_intermediate_bytes: r: the peak of intermediates.
        parameter_bytes: p: the parameters.
    """

    accuracy: float
    peak_intermediate_bytes: int
    parameter_bytes: int

    def __post_init__(self) -> None:
        if not self.accuracy > 0 or self.peak_intermediate_bytes <= 0 or self.parameter_bytes <= 0:
            raise ValueError("the metric divides by each measure: all must be more than zero")


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """The trade-off a search aims at.

    Attributes:
        accuracy_weight: Lambda, 0 (memory alone) to 1 (accuracy alone).
        peak_weight: w_r.
        parameter_weight: w_p.
    """

    accuracy_weight: float
    peak_weight: float = 1.0
    parameter_weight: float = 1.0

    def __post_init__(self) -> None:
        weights_fit = all(0 <= weight < inf for weight in (self.peak_weight, self.parameter_weight))
        if not 0 <= self.accuracy_weight <= 1 or not weights_fit:
            raise UsageError(
                f"Lambda is {self.accuracy_weight:g}, the weights of the peak and of the parameters are "
                f"{self.peak_weight:g} and {self.parameter_weight:g}.",
                "Lambda is from 0 to 1, a weight is a number and not negative.",
            )

    def score(self, candidate: Measures, previous: Measures) -> float:
        """Return y: more is better, 0 is as good as ``previous``."""
        accuracy = candidate.accuracy / previous.accuracy - 1
        peak = candidate.peak_intermediate_bytes / previous.peak_intermediate_bytes - 1
        parameters = candidate.parameter_bytes / previous.parameter_bytes - 1
        cost = self.peak_weight * peak + self.parameter_weight * parameters
        return self.accuracy_weight * accuracy - (1 - self.accuracy_weight) * cost
