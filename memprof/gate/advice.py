"""What would help a model that is over: an order and addresses that fit, or the proof that no order does.

Asked of the planner for a moment, only where a peak decides, and said only as far as it is certain: a plan that was
made and checked takes so much; a lower bound holds for every order.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from memprof.api import plan
from memprof.base.errors import MemprofError
from memprof.base.units import format_bytes
from memprof.importers.request import Request
from memprof.planning.plan import PlanOptions
from memprof.results.budgets import Verdict
from memprof.runtimes import RUNTIMES

if TYPE_CHECKING:
    from memprof.ir.model import Model

SECONDS = 1.0
"""Time for a plan: a gate that is red may take a moment longer."""


def advise(request: Request, model: Model | None, runtime: str, verdicts: Sequence[Verdict]) -> str:
    """Return what would bring a broken peak below its limit, in a few words; empty if nothing is known to.

    Args:
        request: The model.
        model: The same as it was read; read anew where it is ``None``.
        runtime: The runtime model that its peak was judged under.
        verdicts: How each number stands.
    """
    broken = {verdict.name: verdict for verdict in verdicts if verdict.is_met is False}
    if "params" in broken or "weights" in broken:
        return "fewer or narrower weights: int8 takes a quarter of float32"
    peak = broken.get("peak")
    if peak is None or runtime not in RUNTIMES or RUNTIMES[runtime].ordering is None:
        return ""
    try:
        found = plan(model or request, options=PlanOptions(runtime=runtime, seconds=SECONDS))
    except MemprofError:  # what cannot be planned has been said by what was analysed
        return ""
    if found.was_interrupted:  # the planner keeps Ctrl-C to itself, which was meant for all of it
        raise KeyboardInterrupt
    order = found.order
    assert order is not None, "a model has an order"
    if order.lower_bound_bytes > peak.limit_bytes:
        return f"no order of its operations needs less than {format_bytes(order.lower_bound_bytes)}"
    if order.peak_bytes > peak.limit_bytes:
        return f"the best order found needs {format_bytes(order.peak_bytes)}"
    command = shlex.join(["memprof", "plan", request.name, "--runtime", runtime])
    return f"another order needs {format_bytes(order.peak_bytes)}: {command}"
