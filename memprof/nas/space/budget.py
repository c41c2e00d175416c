"""Hard limits of a network: what it may take on the device it is for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from memprof import list_runtimes
from memprof.base.errors import UsageError
from memprof.nas.space.chains import DTYPES

BUDGET_RUNTIMES = tuple(row.name for row in list_runtimes() if row.judges_graphs)
"""Runtime models that a candidate's graph is enough for; that of PyTorch looks at modules, which it has not."""

ARENA_RUNTIME = "tflm"
"""The runtime whose arena a budget counts: head and tail, once converted, with the kernels of a core."""

CONVERTIBLE = ("float32", "int8")
"""Element types that a network can have there."""

KERNELS = ("portable", "cmsis-nn", "cmsis-nn-mve")


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Hard limits: a candidate over one is rejected before anything is trained.

    Attributes:
        peak_bytes: Most that the peak of intermediates may be, under ``tflm`` the whole arena; ``None`` for no limit.
        parameter_bytes: Most that the parameters may be; ``None`` for no limit.
        total_bytes: Most that both may be together; ``None`` for no limit.
        file_bytes: Most that the converted file may take, weights and an estimate of what it holds besides; ``None``
            for no limit; counts under ``tflm`` alone.
        runtime: Runtime model that gives the peak, one of ``BUDGET_RUNTIMES``.
        dtype: Element type on the device, a key of ``memprof.nas.space.chains.DTYPES``.
        kernels: What the core runs, one of ``KERNELS``; counts under ``tflm`` alone.
    """

    peak_bytes: int | None = None
    parameter_bytes: int | None = None
    total_bytes: int | None = None
    file_bytes: int | None = None
    runtime: str = "reference"
    dtype: str = "float32"
    kernels: str = "portable"

    def __post_init__(self) -> None:
        if self.runtime not in BUDGET_RUNTIMES:
            what = (
                "needs more than a graph"
                if self.runtime in {row.name for row in list_runtimes()}
                else "does not exist"
            )
            raise UsageError(
                f"A budget cannot be under the runtime model {self.runtime!r}: it {what}.", _choices(BUDGET_RUNTIMES)
            )
        if self.dtype not in DTYPES:
            raise UsageError(f"There is no element type {self.dtype!r} here.", _choices(DTYPES))
        if self.runtime == ARENA_RUNTIME and self.dtype not in CONVERTIBLE:
            raise UsageError(f"Nothing converts a network to {self.dtype} for {self.runtime}.", _choices(CONVERTIBLE))
        if self.kernels not in KERNELS:
            raise UsageError(f"There are no kernels {self.kernels!r}.", _choices(KERNELS))
        if min(self.peak_bytes or 0, self.parameter_bytes or 0, self.total_bytes or 0, self.file_bytes or 0) < 0:
            raise UsageError("A budget's bytes are not negative.")


def _choices(names: Iterable[str]) -> str:
    return f"Choose {', '.join(names)}."
