"""A module, its plan predicted and made by the installed exporter of ExecuTorch: arenas, and every address."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from itertools import zip_longest

from memprof.base.errors import MissingExtraError
from memprof.importers.request import Request
from memprof.measure.child import Limits, run_in_child
from memprof.measure.pytorch import child_arguments
from memprof.results.verification import StepPair, Verification
from memprof.runtimes.executorch.plan import find_plan

_COUNTS = "planned memory: inputs, outputs, state and what is computed, weights excluded"
_METHOD = "the plan that the installed exporter makes with its default configuration, no backend"


def verify_executorch(request: Request, limits: Limits) -> Verification:
    """Compare what is predicted for a module with what the exporter plans.

    Args:
        request: The module by name.
        limits: What the child process may use.

    Raises:
        RuntimeFailure: The exporter refused the module, crashed, hung or ran out of memory.
        MissingExtraError: It is not installed.
        InputError: There is no such module, or it cannot be lowered.
    """
    if find_spec("torch") is None:
        raise MissingExtraError("Lowering a PyTorch module", "torch")
    if find_spec("executorch") is None:
        raise MissingExtraError("Planning a module with ExecuTorch", "executorch")
    from memprof.importers.torch.loading import read_name

    graph = read_name(replace(request, lowered=True)).graph
    plan = find_plan(graph, range(len(graph.nodes)))
    found = run_in_child(
        "memprof.measure.executorch_runs:read_addresses",
        {"asked": child_arguments(request)},
        limits,
        runtime="ExecuTorch",
        model=request.name,
    )
    pairs = [
        StepPair(
            step=step,
            node="" if placed is None else graph.values[placed.values[0]].name,
            op="tensor",
            predicted_bytes=None if placed is None else placed.offset,
            measured_bytes=address,
        )
        for step, (placed, address) in enumerate(zip_longest(plan.placed, found["addresses"]))
    ]
    return Verification(
        path=request.name,
        runtime="executorch",
        version=found["version"],
        optimization="none",
        predicted_bytes=plan.planned_bytes if plan.is_complete else None,
        measured_bytes=found["planned_bytes"],
        counts=_COUNTS,
        method=_METHOD,
        steps=tuple(pairs),
        runtime_model="executorch",
        grade="exact" if plan.is_complete else "",
    )
