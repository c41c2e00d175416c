"""memprof: how much memory a neural network needs, where it goes, why, and what a smaller one looks like.

Public names resolve on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memprof.api import analyze, check, compare, from_networkx, load, plan, snapshot
    from memprof.api.running import bench, verify
    from memprof.api.sizing.fitting import Memory, fit
    from memprof.api.sizing.sweeping import sweep
    from memprof.base.errors import (
        BudgetError,
        IncompleteError,
        InputError,
        LimitError,
        MemprofError,
        MissingExtraError,
        RuntimeFailure,
        UsageError,
    )
    from memprof.importers.request import Request
    from memprof.importers.torch.training import Training
    from memprof.ir import Graph, GraphBuilder, NewValue, TensorType
    from memprof.ir.model import Model
    from memprof.measure.child import Limits
    from memprof.planning.arenas import Arena
    from memprof.planning.offsets.problem import AllocationBuffer, AllocationProblem
    from memprof.planning.plan import PlanOptions
    from memprof.planning.record import Plan
    from memprof.planning.tflm import TflmPlan
    from memprof.results.bench import BenchedModel, BenchSettings
    from memprof.results.budgets import Budgets, Check
    from memprof.results.comparison import Comparison
    from memprof.results.fit import Fit
    from memprof.results.report import Report
    from memprof.results.snapshot import Snapshot
    from memprof.results.sweep import Sweep
    from memprof.results.verification import Verification
    from memprof.runtimes import list_runtimes
    from memprof.runtimes.model import RuntimeModel
    from memprof.runtimes.tflm.candidates import tflm_arena

__version__ = "0.1.0"

_HOMES = {
    "analyze": "memprof.api",
    "bench": "memprof.api.running",
    "check": "memprof.api",
    "compare": "memprof.api",
    "fit": "memprof.api.sizing.fitting",
    "from_networkx": "memprof.api",
    "load": "memprof.api",
    "plan": "memprof.api",
    "snapshot": "memprof.api",
    "sweep": "memprof.api.sizing.sweeping",
    "tflm_arena": "memprof.runtimes.tflm.candidates",
    "verify": "memprof.api.running",
    "list_runtimes": "memprof.runtimes",
    "RuntimeModel": "memprof.runtimes.model",
    "AllocationBuffer": "memprof.planning.offsets.problem",
    "AllocationProblem": "memprof.planning.offsets.problem",
    "Arena": "memprof.planning.arenas",
    "BenchSettings": "memprof.results.bench",
    "BenchedModel": "memprof.results.bench",
    "BudgetError": "memprof.base.errors",
    "Budgets": "memprof.results.budgets",
    "Check": "memprof.results.budgets",
    "Comparison": "memprof.results.comparison",
    "Fit": "memprof.results.fit",
    "Graph": "memprof.ir",
    "GraphBuilder": "memprof.ir",
    "IncompleteError": "memprof.base.errors",
    "InputError": "memprof.base.errors",
    "LimitError": "memprof.base.errors",
    "Limits": "memprof.measure.child",
    "MemprofError": "memprof.base.errors",
    "Memory": "memprof.api.sizing.fitting",
    "MissingExtraError": "memprof.base.errors",
    "Model": "memprof.ir.model",
    "NewValue": "memprof.ir",
    "Plan": "memprof.planning.record",
    "TflmPlan": "memprof.planning.tflm",
    "PlanOptions": "memprof.planning.plan",
    "Report": "memprof.results.report",
    "Request": "memprof.importers.request",
    "RuntimeFailure": "memprof.base.errors",
    "Snapshot": "memprof.results.snapshot",
    "Sweep": "memprof.results.sweep",
    "TensorType": "memprof.ir",
    "Training": "memprof.importers.torch.training",
    "UsageError": "memprof.base.errors",
    "Verification": "memprof.results.verification",
}

__all__ = [
    "AllocationBuffer",
    "AllocationProblem",
    "Arena",
    "BenchSettings",
    "BenchedModel",
    "BudgetError",
    "Budgets",
    "Check",
    "Comparison",
    "Fit",
    "Graph",
    "GraphBuilder",
    "IncompleteError",
    "InputError",
    "LimitError",
    "Limits",
    "Memory",
    "MemprofError",
    "MissingExtraError",
    "Model",
    "NewValue",
    "Plan",
    "PlanOptions",
    "Report",
    "Request",
    "RuntimeFailure",
    "RuntimeModel",
    "Snapshot",
    "Sweep",
    "TensorType",
    "TflmPlan",
    "Training",
    "UsageError",
    "Verification",
    "analyze",
    "bench",
    "check",
    "compare",
    "fit",
    "from_networkx",
    "list_runtimes",
    "load",
    "plan",
    "snapshot",
    "sweep",
    "tflm_arena",
    "verify",
]


def __getattr__(name: str) -> Any:
    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module 'memprof' has no attribute {name!r}") from None
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
