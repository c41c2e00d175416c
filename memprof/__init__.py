"""memprof: how much memory a neural network needs, where it goes, why, and what a smaller one looks like.

Public names resolve on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memprof.api import analyze, compare, from_networkx, load, plan
    from memprof.errors import MemprofError
    from memprof.importers.torch.training import Training
    from memprof.ir import Graph, GraphBuilder, NewValue, TensorType
    from memprof.measure.child import Limits
    from memprof.results.report import Report
    from memprof.runs import load_optimized, verify

__version__ = "0.1.0"

_HOMES = {
    "analyze": "memprof.api",
    "compare": "memprof.api",
    "from_networkx": "memprof.api",
    "load": "memprof.api",
    "plan": "memprof.api",
    "load_optimized": "memprof.runs",
    "verify": "memprof.runs",
    "Limits": "memprof.measure.child",
    "MemprofError": "memprof.errors",
    "Graph": "memprof.ir",
    "GraphBuilder": "memprof.ir",
    "NewValue": "memprof.ir",
    "TensorType": "memprof.ir",
    "Report": "memprof.results.report",
    "Training": "memprof.importers.torch.training",
}

__all__ = [
    "Graph",
    "GraphBuilder",
    "Limits",
    "MemprofError",
    "NewValue",
    "Report",
    "TensorType",
    "Training",
    "analyze",
    "compare",
    "from_networkx",
    "load",
    "load_optimized",
    "plan",
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
