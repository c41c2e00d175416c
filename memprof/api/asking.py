"""The verbs that wire the layers: from a request to a result. Everything between is pure.

Each verb takes a source, or a Request that says more, and the fields of a Request as keywords: one way inside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Unpack, overload

from memprof.base.arithmetic import keep_numpy_alone
from memprof.base.collector import keep, paused_collector
from memprof.base.errors import IncompleteError, InputError, LimitError, MissingExtraError, UsageError
from memprof.importers import scripts
from memprof.importers.formats import recognise
from memprof.importers.request import Request, RequestArguments, Source, make_request, names_report
from memprof.importers.saved import read_saved_report
from memprof.ir import Graph
from memprof.ir.model import Model
from memprof.results.building import build_report
from memprof.results.comparison import Comparison, compare_snapshots
from memprof.results.report import Report
from memprof.results.snapshot import Snapshot, snapshot_document, snapshot_report
from memprof.runtimes import choose_runtimes, find_runtime

if TYPE_CHECKING:
    from fractions import Fraction

    from memprof.planning.offsets.problem import AllocationProblem
    from memprof.planning.plan import PlanOptions, PlanProgress
    from memprof.planning.record import Plan
    from memprof.planning.tflm import TflmPlan
    from memprof.results.budgets import Budgets, Check


def load(source: Source | Request, example_inputs: Any = None, **arguments: Unpack[RequestArguments]) -> Model:
    """Read ``source`` into a Model.

    Args:
        source: See ``Source``, or a request. The name of a PyTorch module runs the Python code that it names.
        example_inputs: The inputs to run a module on: a tensor or a tuple; only their shapes and types are used.
        arguments: Fields of ``Request``: ``dims={"batch": 1}``, ``training=Training("adam")`` ...

    Raises:
        InputError: The source is missing, unreadable or invalid.
        UsageError: A name does not exist, or an argument does not fit the source.
        MissingExtraError: The source needs PyTorch, which is not installed.
        RuntimeFailure: onnxruntime was asked to optimise the model, and refused it or crashed.
    """
    request = make_request(source, example_inputs, **arguments)
    found = request.source
    if isinstance(found, Model):
        return found
    if isinstance(found, Graph):
        return Model.of(found)
    if not request.is_file:
        return _load_module(request)
    with paused_collector():
        model = _read_file(request)
        if request.ends_process:
            keep(model)
        return model


def analyze(
    source: Source | Request,
    example_inputs: Any = None,
    *,
    runtimes: Iterable[str] | None = None,
    **arguments: Unpack[RequestArguments],
) -> Report:
    """Return how much memory ``source`` needs, where it goes and why.

    Args:
        source: See ``Source``, a request, or a report that was saved as .json. The name of a PyTorch module runs the
            Python code that it names.
        example_inputs: The inputs to run a module on: a tensor or a tuple; only their shapes and types are used.
        runtimes: Names of runtime models, the headline first; those that apply if left out.
        arguments: Fields of ``Request``: ``dims={"batch": 1}``, ``training=Training("adam")`` ...

    Raises:
        InputError: The source is missing, unreadable or invalid.
        UsageError: A runtime or a name does not exist, or an argument does not fit the source.
        MissingExtraError: The source needs PyTorch, which is not installed.
        RuntimeFailure: onnxruntime was asked to optimise the model, and refused it or crashed.
    """
    return read_and_report(make_request(source, example_inputs, **arguments), runtimes)[0]


def read_and_report(request: Request, runtimes: Iterable[str] | None) -> tuple[Report, Model | None]:
    """Return what ``analyze`` does, and the model as it was read.

    Args:
        request: The model, or a report that was saved as .json.
        runtimes: Names of runtime models, the headline first; those that apply if left out.

    Returns:
        The report, and the model of the source as it stands; ``None`` where no runtime model took it so: a saved
        report, a run that was measured, rows of what onnxruntime or an exporter makes of it alone.

    Raises:
        MemprofError: As ``analyze``.
    """
    if names_report(request.source):
        if request.fixes_sizes:
            raise UsageError(f"{request.name} is a saved report: its sizes are settled.", "Analyse the model again.")
        return _open_report(request.path, runtimes), None
    if request.run and isinstance(request.source, str):
        from memprof.measure.pytorch import measure_report

        return measure_report(request, None if runtimes is None else tuple(runtimes)), None
    if runtimes is None:
        return _report(request, None)
    rows = [find_runtime(name) for name in dict.fromkeys(runtimes)]
    as_it_stands = None
    reports = []
    for need in dict.fromkeys(row.needs for row in rows) or {"": None}:
        settled: dict[str, Any] = {need: True} if need and _SETTLES[need](request) else {}
        report, model = _report(replace(request, **settled), [row.name for row in rows if row.needs == need])
        as_it_stands = as_it_stands if settled else model
        reports.append(report)
    if len(reports) == 1:
        return reports[0], as_it_stands
    found = {name: answer for report in reports for name, answer in report.runtimes.items()}
    unknown = dict.fromkeys(remark for report in reports for remark in report.unknown)
    runtimes_found = {row.name: found[row.name] for row in rows}
    return replace(reports[0], runtimes=runtimes_found, unknown=tuple(unknown)), as_it_stands


def _can_be_lowered(request: Request) -> bool:
    if request.is_file:
        return request.path.suffix.lower() == ".pt2"
    return not isinstance(request.source, Graph | Model)


_SETTLES: Mapping[str, Callable[[Request], bool]] = MappingProxyType(
    {"optimized": lambda request: request.is_file, "lowered": _can_be_lowered}
)
"""What a row may need, and which requests it can be set for; another is read as it is, and the row says why not."""


def _report(request: Request, names: Sequence[str] | None) -> tuple[Report, Model]:
    """Return the report on what is asked for, under the named rows or those that apply, and the model as read."""
    model = load(request)
    with paused_collector():
        report = build_report(model, choose_runtimes(names, model))
        if request.ends_process:
            keep(report)
    return report, model


@overload
def plan(
    source: Source | Request | AllocationProblem,
    example_inputs: Any = None,
    *,
    options: PlanOptions,
    progress: Callable[[PlanProgress], None] | None = None,
    **arguments: Any,
) -> Plan: ...


@overload
def plan(
    source: Source | Request | AllocationProblem,
    example_inputs: Any = None,
    *,
    options: None = None,
    progress: Callable[[PlanProgress], None] | None = None,
    **arguments: Any,
) -> Plan | TflmPlan: ...


def plan(
    source: Source | Request | AllocationProblem,
    example_inputs: Any = None,
    *,
    options: PlanOptions | None = None,
    progress: Callable[[PlanProgress], None] | None = None,
    **arguments: Any,
) -> Plan | TflmPlan:
    """Return the order and the addresses that need the fewest bytes, and what is proven of both.

    A .tflite file is planned for TensorFlow Lite Micro, as ``memprof plan`` does, unless another runtime is named.

    Args:
        source: See ``Source``, or a request; also buffers without a graph: a .csv file of minimalloc's format or an
            ``AllocationProblem``, whose addresses alone are planned.
        example_inputs: The inputs to run a module on: a tensor or a tuple; only their shapes and types are used.
        options: What to plan, and for how long.
        progress: Called now and then while searching.
        arguments: Fields of ``PlanOptions``, which replace those of ``options``, and of ``Request``.

    Raises:
        InputError: The source is missing, unreadable or invalid.
        UsageError: A runtime or a name does not exist, or an argument does not fit.
        IncompleteError: The size of a tensor is not known, or no way was found to fit the arenas.
        BudgetError: The arenas are proven too small.
        MissingExtraError: The source needs PyTorch, which is not installed.
    """
    from memprof.planning.plan import PlanOptions, plan_allocation, plan_graph

    planned = {of.name: arguments.pop(of.name) for of in fields(PlanOptions) if of.name in arguments}
    if options is None and planned.get("runtime", _MICRO) == _MICRO:
        request = make_request(source, example_inputs, **arguments)
        if request.is_file and request.path.suffix.lower() == ".tflite":
            return _plan_tflite(request, planned)
    options = replace(options or PlanOptions(), **planned)
    request = make_request(source, example_inputs, **arguments)
    problem = _find_buffers(request, options)
    with paused_collector():
        if problem is not None:
            return plan_allocation(problem, options, progress)
        model = load(request)
        sizes = [note for note in model.graph.assumed if note.kind == "dimension"]
        if sizes:  # an arena is laid out for one size, and nobody named it
            names = ", ".join(note.name for note in sizes)
            hint = " ".join(dict.fromkeys(note.hint for note in sizes))
            raise IncompleteError(f"The model leaves sizes open: {names} would be assumed.", hint)
        return plan_graph(model, options, progress)


_MICRO = "tflm"


def _plan_tflite(request: Request, options: Mapping[str, Any]) -> TflmPlan:
    from memprof.planning.tflm import plan_program

    odd = sorted(options.keys() - {"runtime", "seconds", "keep_order"})
    if odd:
        raise UsageError(
            f"{odd[0]} means nothing to TensorFlow Lite Micro.", "Leave it out, or name another runtime: 'reference'."
        )
    if request.fixes_sizes:
        raise UsageError("The plan is for the file as it is.", "Convert the model with the shape that is wanted.")
    program = load(request).graph.program
    assert program is not None, "a .tflite file is a program"
    with paused_collector():
        return plan_program(program, options.get("seconds", 10.0), keep_order=bool(options.get("keep_order")))


def snapshot(
    source: Source | Request | Report,
    *,
    runtimes: Iterable[str] | None = None,
    **arguments: Unpack[RequestArguments],
) -> Snapshot:
    """Return the numbers of ``source`` that can be compared.

    Args:
        source: A report, a report saved as .json, a request, or anything that can be analysed.
        runtimes: Names of runtime models, the headline first; of no use to a report.
        arguments: Fields of ``Request``; of no use to a report.

    Raises:
        InputError: A file is missing, unreadable or invalid.
        UsageError: A runtime, or a name in ``dims`` or ``inputs``, does not exist.
    """
    if isinstance(source, Report):
        return snapshot_report(source)
    found = source.source if isinstance(source, Request) else source
    if names_report(found):
        return snapshot_document(read_saved_report(Path(found)), str(found))
    return snapshot_report(analyze(source, runtimes=runtimes, **arguments))


def compare(
    before: Source | Request | Report,
    after: Source | Request | Report,
    *,
    runtimes: Iterable[str] | None = None,
    **arguments: Unpack[RequestArguments],
) -> Comparison:
    """Return two models, or two reports, side by side.

    Args:
        before: A report, a report saved as .json, a request, or anything that can be analysed.
        after: The same.
        runtimes: Names of runtime models, the headline first.
        arguments: Fields of ``Request``, for both; two requests say what only one side needs.

    Raises:
        InputError: A file is missing, unreadable or invalid.
        UsageError: A name does not exist, or two reports have no runtime model in common.
    """
    chosen = None if runtimes is None else tuple(runtimes)
    old, new = (snapshot(source, runtimes=chosen, **arguments) for source in (before, after))
    return compare_snapshots(old, new)


def check(
    source: Source | Request | Report,
    budgets: Budgets | None = None,
    *,
    runtime: str | None = None,
    baseline: Source | Request | Report | None = None,
    tolerance: Fraction | float = 0,
    **arguments: Unpack[RequestArguments],
) -> Check:
    """Return how ``source`` stands against limits in bytes, against an older report, or both.

    Args:
        source: A report, a report saved as .json, a request, or anything that can be analysed.
        budgets: Limits in bytes.
        runtime: Runtime model whose peak is judged; the headline of ``source`` if left out.
        baseline: What ``source`` must not exceed; the same kinds.
        tolerance: Growth over the baseline that is allowed: 0.01 is one percent.
        arguments: Fields of ``Request``, for both.

    Raises:
        InputError: A file is missing, unreadable or invalid.
        UsageError: There is no limit at all, or a name does not exist.
    """
    from fractions import Fraction

    from memprof.results.budgets import Budgets, budgets_of, check_budgets, tighten

    runtimes = None if runtime is None else (runtime,)
    found = snapshot(source, runtimes=runtimes, **arguments)
    judged = runtime or next(iter(found.runtimes))
    limits = budgets or Budgets()
    if baseline is not None:
        older = snapshot(baseline, runtimes=runtimes, **arguments)
        limits = tighten(limits, budgets_of(older, judged, Fraction(tolerance)))
    return check_budgets(found, limits, judged)


def from_networkx(source: Any) -> Graph:
    """Return a Graph for any ``networkx.DiGraph`` whose nodes carry ``bytes``; see ``memprof.ir.networkx``."""
    from memprof.ir.networkx import from_networkx as convert

    return convert(source)


def _open_report(path: Path, runtimes: Iterable[str] | None) -> Report:
    """Return a saved report, or those of its runtime models that are asked for, in that order."""
    with paused_collector():
        report = Report.from_json(read_saved_report(path), str(path))
    names = tuple(report.runtimes) if runtimes is None else tuple(dict.fromkeys(runtimes))
    for name in names:
        if name not in report.runtimes:
            known = ", ".join(report.runtimes)
            raise UsageError(f"The report {path} has no runtime model {name!r}.", f"It has: {known}.")
    return replace(report, runtimes={name: report.runtimes[name] for name in names})


def _find_buffers(request: Request, options: PlanOptions) -> AllocationProblem | None:
    """Return the buffers that are planned without a graph, ``None`` if the source has one."""
    from memprof.planning.offsets.problem import AllocationProblem
    from memprof.planning.plan import PlanOptions

    is_csv = request.is_file and request.path.suffix.lower() == ".csv"
    if not is_csv and not isinstance(request.source, AllocationProblem):
        return None
    default = PlanOptions()
    used = {
        "--dim": request.dims,
        "--input": request.inputs,
        "--runtime": options.runtime != default.runtime,
        "--in-place": options.in_place,
        "--no-inputs": not options.with_inputs,
        "--no-outputs": not options.with_outputs,
        "--keep-order": options.keep_order,
        "--recompute": options.recompute is not None,
        "--split": options.split is not None,
    }
    for flag, value in used.items():
        if value:
            what = "a CSV file of buffers" if is_csv else "buffers without a graph"
            raise UsageError(f"{flag} means nothing to {what}.", "Leave it out.")
    if not is_csv:
        found: AllocationProblem = request.source
        return found
    from memprof.planning.minimalloc import read_csv

    return read_csv(request.path, 1 if options.alignment is None else options.alignment).problem


def _load_module(request: Request) -> Model:
    _require_torch()
    if request.ends_process:
        keep_numpy_alone()
    from memprof.importers.torch.loading import read_name, read_object

    return read_name(request) if isinstance(request.source, str) else read_object(request)


def _read_file(request: Request) -> Model:
    """Read a file by its name's ending; what is not read is told by its first bytes."""
    if request.path.suffix.lower() == scripts.SUFFIX and request.path.is_file():
        raise scripts.unnamed_function(request.path)
    reader = _READERS.get(request.path.suffix.lower())
    if reader is None and _holds_weights(request.path):
        reader = _read_weights
    if reader is None and (foreign := recognise(request.path)):
        raise foreign
    try:
        return (reader or _read_onnx)(request)
    except LimitError:
        raise
    except InputError as error:
        if reader is _read_weights:  # its first bytes say what it is, and its own error what is wrong with it
            raise
        raise recognise(request.path) or error from error


def _holds_weights(path: Path) -> bool:
    """Tell whether a folder is one of a model's weights: by its names alone."""
    if not path.is_dir():
        return False
    try:
        names = [file.name.lower() for file in path.iterdir()]
    except OSError:
        return False
    return "config.json" in names or any(name.endswith((".safetensors", ".gguf")) for name in names)


def _read_onnx(request: Request) -> Model:
    if request.ends_process:
        keep_numpy_alone()
    if request.optimized:
        from memprof.measure.child import Limits
        from memprof.measure.optimized import load_optimized

        return load_optimized(request, Limits())
    from memprof.importers.onnx import read_onnx
    from memprof.measure.sessions import with_session

    return with_session(read_onnx(request), request)


def _read_tflite(request: Request) -> Model:
    from memprof.importers.tflite import read_tflite

    return read_tflite(request.path, dims=request.dims, inputs=request.inputs)


def _read_pte(request: Request) -> Model:
    from memprof.importers.executorch import read_pte

    return read_pte(request)


def _read_pt2(request: Request) -> Model:
    if request.lowered and not request.trust:
        raise UsageError(
            f"Lowering {request.name} takes PyTorch's own loader, which runs code that the file brings.",
            "Add --trust if you know where it comes from.",
        )
    if request.trust:
        _require_torch()
        from memprof.importers.torch.loading import load_trusted

        return load_trusted(request)
    from memprof.importers.torch.pt2 import read_pt2

    return read_pt2(request)


def _read_weights(request: Request) -> Model:
    from memprof.importers.weights import read_weights

    return read_weights(request)


_READERS: Mapping[str, Callable[[Request], Model]] = MappingProxyType(
    {
        ".onnx": _read_onnx,
        ".pt2": _read_pt2,
        ".pte": _read_pte,
        ".tflite": _read_tflite,
        ".safetensors": _read_weights,
        ".gguf": _read_weights,
    }
)


def _require_torch() -> None:
    if find_spec("torch") is None:
        raise MissingExtraError("Analysing a PyTorch module", "torch")
