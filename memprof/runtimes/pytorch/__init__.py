"""pytorch: eager PyTorch. From a trace of a run: what really lived when. From a graph alone: the module-call rule.

    from a trace                                                consequence
    every storage lives from the operation that makes it to     Python's variables, module calls and what autograd
    the moment its last reference goes                             saves are all in it
    parameters, buffers and what the caller gave do not count   they are lines of their own
    graph outputs count                                         the caller gets them
    gradients and optimiser state count                         a training step needs them beside the parameters
    memory inside one operation does not count                  oneDNN's copies, a kernel's scratch
    storages on another device do not count                     the step counters that Adam keeps on the CPU

    from a graph                                                consequence
    a view shares storage; an operation whose name ends in      ``relu_`` adds no bytes
    ``_`` writes on its first input
    what a module's operations read from outside lives until    the frame of the call holds its arguments
    the module's call returns
    the rest lives to its last reader, outputs to the end       Python locals that hold more are not seen: an estimate
    values computed from constants alone count                  they are computed anew in every run

Pure: the trace was made by an importer. O(values + reads x depth of modules).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from memprof.analysis import Buffer, Lifetimes, Schedule
from memprof.ir import Graph, Role
from memprof.ir.model import Model
from memprof.ir.trace import Trace
from memprof.runtimes.late import find
from memprof.runtimes.model import Measuring, Order, Process, RuntimeModel, fixed

_COMPUTED = frozenset({Role.INTERMEDIATE, Role.CONSTANT})


def trace_lifetimes(trace: Trace) -> Lifetimes:
    """Return the lifetimes that ``trace`` recorded, without parameters and what the caller gave."""
    members = trace.graph.storage_members
    return Lifetimes(
        graph=trace.graph,
        schedule=Schedule.sequential(range(len(trace.graph.nodes))),
        buffers=tuple(
            [Buffer(members[life.value], life.size_bytes, life.start, life.stop) for life in trace.counted()]
        ),
    )


def held_lifetimes(graph: Graph) -> Lifetimes:
    """Return the lifetimes of ``graph`` by the module-call rule, nodes in their own order."""
    homes = _in_place_homes(graph)
    starts: dict[int, int] = {}
    stops: dict[int, int] = {}
    calls = _Calls()
    for step, node in enumerate(graph.nodes):
        for home, end in calls.enter(node.module):
            stops[home] = max(stops[home], end)
        read = [homes[graph.storage[i]] for i in graph.reads[step]]
        calls.read((home, starts[home]) for home in read if home in starts)
        for home in read:
            stops[home] = step + 1
        for value_id in graph.writes[step]:
            home = homes[graph.storage[value_id]]
            starts.setdefault(home, step)
            stops[home] = step + 1
        calls.leave_behind(step + 1)
    for home, end in calls.enter(""):
        stops[home] = max(stops[home], end)
    schedule = Schedule.sequential(range(len(graph.nodes)))
    for value_id in graph.outputs:
        stops[homes[graph.storage[value_id]]] = schedule.step_count
    merged: dict[int, list[int]] = {}
    for root, values in graph.storage_members.items():
        merged.setdefault(homes[root], []).extend(values)
    buffers = tuple(
        [
            Buffer(tuple(values), _largest(graph, values), starts[home], stops[home])
            for home, values in merged.items()
            if graph.values[home].role in _COMPUTED and home in starts
        ]
    )
    return Lifetimes(
        graph=graph,
        schedule=schedule,
        buffers=buffers,
        is_complete=None not in {b.size_bytes for b in buffers} and not any(node.bodies for node in graph.nodes),
    )


@dataclass(slots=True)
class _Call:
    """A call of a module that has not returned: what it was given, and where its operations end so far."""

    name: str
    start: int
    stop: int
    given: set[int] = field(default_factory=set)


class _Calls:
    """The calls that are open while one operation after the other runs, outermost first."""

    def __init__(self) -> None:
        self._open: list[_Call] = []
        self._step = 0

    def enter(self, module: str) -> list[tuple[int, int]]:
        """Open the calls that lead to ``module``, close all others; return what those had held, each until when."""
        names = module.split(".") if module else []
        depth = 0
        while depth < min(len(names), len(self._open)) and self._open[depth].name == names[depth]:
            depth += 1
        closed = self._open[depth:]
        del self._open[depth:]
        self._open += [_Call(name, self._step, self._step) for name in names[depth:]]
        return [(home, call.stop) for call in closed for home in call.given]

    def read(self, storages: Iterable[tuple[int, int]]) -> None:
        """Note storages that the operation reads, each with its first step."""
        for home, start in storages:
            for call in self._open:
                if start < call.start:
                    call.given.add(home)

    def leave_behind(self, step: int) -> None:
        """Go on to ``step``."""
        self._step = step
        for call in self._open:
            call.stop = step


def _in_place_homes(graph: Graph) -> list[int]:
    """Return, for each value that owns a storage, the value whose storage it writes on; itself if it is a new one."""
    homes = list(range(len(graph.values)))
    for node in graph.nodes:
        output = node.outputs[0] if node.outputs else None
        target = node.inputs[0] if node.inputs else None
        if (
            node.op.endswith("_")
            and not node.op.endswith("__")
            and output is not None
            and target is not None
            and graph.storage[output] == output
        ):
            homes[output] = homes[graph.storage[target]]
    return homes


def _largest(graph: Graph, values: Iterable[int]) -> int | None:
    sizes = [graph.value_bytes[i] for i in values if graph.values[i].view_of is None]
    known = [size for size in sizes if size is not None]
    return max(known) if known and len(known) == len(sizes) else None


_COUNTS = "parameters and what the caller gave excluded, caches and outputs included; no scratch of kernels"


def traced(trace: Trace) -> RuntimeModel:
    """Return the model whose answer is ``trace``, whatever the graph."""
    what = "a training step" if trace.is_training else "inference"
    caveat = f"; {trace.caveat}" if trace.caveat else ""
    return replace(
        MODEL,
        definition=f"eager PyTorch, {what} on {trace.device} as Python runs it: every storage to its last reference; "
        f"{_COUNTS}{caveat}",
        best_grade="measured" if trace.tensors == "real" else "estimate" if trace.caveat else "exact",
        lifetimes=fixed(lambda _: trace_lifetimes(trace), "pytorch"),
        summary=f"as Python {'ran' if trace.tensors == 'real' else 'runs'} it ({trace.tensors} tensors)",
    )


def _of_source(model: Model) -> RuntimeModel:
    trace = model.trace
    if trace is None:
        return MODEL
    return replace(traced(trace), process=lambda _: _process(model, trace))


_MODULE_PROCESS = "memprof.runtimes.pytorch_process.process:module_process"  # by late name: it reads this file


def _process(model: Model, trace: Trace) -> Process:
    if model.format == "weights":
        return _weights_and_run(model, trace)
    found: Process = find(_MODULE_PROCESS)(model, trace)
    return found


def _weights_and_run(model: Model, trace: Trace) -> Process:
    """Return what weights, cache and run take together: the cache as it is in the end, and what the peak has more."""
    peak, cache = trace_lifetimes(trace).timeline.peak_bytes, trace.cache_bytes
    parts = {"weights": model.parameter_bytes, "key_value_cache": cache, "activations": peak - cache}
    return Process(sum(parts.values()), parts, "libraries and kernels' scratch not counted")


MODEL = RuntimeModel(
    name="pytorch",
    definition=f"eager PyTorch, from the graph: a module's arguments live until its call returns; {_COUNTS}",
    summary="arguments live during calls",
    best_grade="estimate",
    counts_inputs=False,
    lifetimes=fixed(held_lifetimes, "pytorch"),
    order=Order.GIVEN,
    default_for=frozenset({"torch.export", "torch.run", "torch.training", "weights"}),
    leads=frozenset({"torch.export", "torch.run", "torch.training", "weights"}),
    of_source=_of_source,
    judges_graphs=False,  # calls of modules decide, and such a graph has none
    measuring=Measuring("memprof.measure.verify:verify_pytorch", frozenset({"torch.run"})),
)
