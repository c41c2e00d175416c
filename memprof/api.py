"""The verbs that wire the layers: from a source to a Report. Everything between is pure."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from memprof.errors import MissingExtraError, UsageError
from memprof.importers.model import OPTIMIZED_FORMAT, Model
from memprof.importers.saved import read_saved_report
from memprof.importers.torch.training import Training
from memprof.ir import Graph
from memprof.results.building import build_report
from memprof.results.comparison import Comparison, compare_snapshots
from memprof.results.report import Report
from memprof.results.snapshot import Snapshot, snapshot_document, snapshot_report
from memprof.runtimes import RUNTIMES, TRACED, RuntimeModel
from memprof.runtimes.onnxruntime import OPTIMIZED_MODEL

if TYPE_CHECKING:
    from memprof.planning.plan import Plan, PlanProgress

DEFAULT_RUNTIMES = ("reference", "ideal", "paper")
"""Runtime models of a report that asks for none, the headline first."""

RUNTIMES_BY_FORMAT: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "onnx": ("onnxruntime",),
        OPTIMIZED_FORMAT: ("onnxruntime",),
        "torch.export": ("pytorch", "pytorch-process"),
        "torch.run": ("pytorch", "pytorch-process"),
        "torch.training": ("pytorch",),
    }
)
"""Runtime models that apply to a format besides the default ones."""

Source = Any
"""What can be analysed: the path of an .onnx or .pt2 file, the name of a PyTorch module ("torchvision:resnet18",
"package.module:factory"), a ``torch.nn.Module``, an ``ExportedProgram``, a Graph or a Model."""

_MODULE_NAME = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_FILE_SUFFIXES = (".onnx", ".pt2")
_Shapes = Mapping[str, tuple[int, ...]]


def load(  # noqa: PLR0913 - one keyword per kind of source that needs it
    source: Source,
    example_inputs: Any = None,
    *,
    dims: Mapping[str, int] | None = None,
    inputs: Mapping[str, tuple[int, ...]] | None = None,
    training: Training | None = None,
    device: str = "cpu",
    trust: bool = False,
) -> Model:
    """Read ``source`` into a Model.

    Args:
        source: See ``Source``. The name of a PyTorch module runs the Python code that it names.
        example_inputs: The inputs to run a module on: a tensor or a tuple; only their shapes and types are used.
        dims: Sizes of named dimensions: ``{"batch": 1}``.
        inputs: Shapes of graph inputs: ``{"x": (1, 3, 224, 224)}``.
        training: The step to analyse instead of inference; for PyTorch modules.
        device: What a PyTorch module is to run on: ``cpu`` or ``cuda``.
        trust: Read a .pt2 file with PyTorch's own loader, which runs code that the file brings.

    Raises:
        InputError: The source is missing, unreadable or invalid.
        UsageError: A name does not exist, or an argument does not fit the source.
        MissingExtraError: The source needs PyTorch, which is not installed.
    """
    if isinstance(source, Model):
        return source
    if isinstance(source, Graph):
        return Model(path=source.name, format="graph", structure_sha256="", graph=source)
    dims, inputs = dims or {}, inputs or {}
    if not isinstance(source, str | PathLike) or names_module(source):
        if dims:
            raise UsageError("Dimensions of a PyTorch module have no names.", "Give the shape: --input 1x3x224x224.")
        return _load_module(source, example_inputs, inputs, training, device)
    if training is not None:
        raise UsageError(f"{source} is a file, and only PyTorch modules can be trained.", "Name the module instead.")
    with _collector_paused():
        return _READERS.get(Path(source).suffix.lower(), _read_onnx)(Path(source), dims, inputs, trust=trust)


def analyze(  # noqa: PLR0913 - as load
    source: Source,
    example_inputs: Any = None,
    *,
    dims: Mapping[str, int] | None = None,
    inputs: Mapping[str, tuple[int, ...]] | None = None,
    runtimes: Iterable[str] | None = None,
    training: Training | None = None,
    device: str = "cpu",
    trust: bool = False,
) -> Report:
    """Return how much memory ``source`` needs, where it goes and why.

    Args:
        source: See ``Source``, or a report that was saved as .json. The name of a PyTorch module runs the Python
            code that it names.
        example_inputs: The inputs to run a module on: a tensor or a tuple; only their shapes and types are used.
        dims: Sizes of named dimensions: ``{"batch": 1}``.
        inputs: Shapes of graph inputs: ``{"x": (1, 3, 224, 224)}``.
        runtimes: Names of runtime models, the headline first; those that apply if left out.
        training: The step to analyse instead of inference; for PyTorch modules.
        device: What a PyTorch module is to run on: ``cpu`` or ``cuda``.
        trust: Read a .pt2 file with PyTorch's own loader, which runs code that the file brings.

    Raises:
        InputError: The source is missing, unreadable or invalid.
        UsageError: A runtime or a name does not exist, or an argument does not fit the source.
        MissingExtraError: The source needs PyTorch, which is not installed.
    """
    if _names_report(source):
        if dims or inputs or training is not None:
            raise UsageError(f"{source} is a saved report: its sizes are settled.", "Analyse the model again.")
        return _open_report(Path(source), runtimes)
    wanted = None if runtimes is None else _known(runtimes)
    model = load(source, example_inputs, dims=dims, inputs=inputs, training=training, device=device, trust=trust)
    names = wanted or _applicable(model)
    with _collector_paused():
        return build_report(model, {name: _runtime_of(name, model) for name in names})


def plan(  # noqa: PLR0913 - one keyword per thing a plan may be asked for
    source: Source,
    example_inputs: Any = None,
    *,
    dims: Mapping[str, int] | None = None,
    inputs: Mapping[str, tuple[int, ...]] | None = None,
    runtime: str = "reference",
    in_place: bool = False,
    keep_order: bool = False,
    seconds: float = 10.0,
    alignment: int = 64,
    with_inputs: bool = True,
    with_outputs: bool = True,
    budget_bytes: int | None = None,
    arenas: Mapping[str, tuple[int, float | Fraction]] | None = None,
    trust: bool = False,
    report: Callable[[PlanProgress], None] | None = None,
) -> Plan:
    """Return the order and the addresses that need the fewest bytes, and what is proven of both.

    Args:
        source: See ``Source``.
        example_inputs: The inputs to run a module on: a tensor or a tuple; only their shapes and types are used.
        dims: Sizes of named dimensions: ``{"batch": 1}``.
        inputs: Shapes of graph inputs: ``{"x": (1, 3, 224, 224)}``.
        runtime: What a peak counts: ``reference``, ``ideal`` or ``onnxruntime``.
        in_place: Whether elementwise operations are in place where every order allows it; for ``reference``.
        keep_order: Whether the given order stays, so that only addresses are planned.
        seconds: Time to search at most; proofs usually come long before.
        alignment: Every offset is a multiple of it, and sizes count as rounded up to one.
        with_inputs: Whether graph inputs are in the arena, or the caller's.
        with_outputs: Whether graph outputs are.
        budget_bytes: Size of an arena to decide about; without it, the arena is made as small as possible.
        arenas: Memories to spread the buffers over, each with its bytes and its cost per byte read or written.
        trust: Read a .pt2 file with PyTorch's own loader, which runs code that the file brings.
        report: Called now and then while searching.

    Raises:
        InputError: The source is missing, unreadable or invalid.
        UsageError: A runtime or a name does not exist, or an argument does not fit.
        IncompleteError: The size of a tensor is not known, or no way was found to fit the arenas.
        BudgetError: The arenas are proven too small.
        MissingExtraError: The source needs PyTorch, which is not installed.
    """
    from memprof.planning.arenas import Arena
    from memprof.planning.lifetimes import ArenaContent
    from memprof.planning.plan import PlanOptions, find_rules, plan_graph

    if in_place and runtime != "reference":
        raise UsageError(f"In place is part of what {runtime!r} counts.", "Leave in_place out.")
    find_rules(runtime)
    model = load(source, example_inputs, dims=dims, inputs=inputs, trust=trust)
    options = PlanOptions(
        rules="contracted" if in_place else runtime,
        seconds=seconds,
        content=ArenaContent(alignment, with_inputs, with_outputs),
        keeps_order=keep_order,
        budget_bytes=budget_bytes,
        arenas=tuple(Arena(name, size, Fraction(cost)) for name, (size, cost) in (arenas or {}).items()),
    )
    with _collector_paused():
        return plan_graph(model.graph, options, report)


def snapshot(
    source: Source | Report,
    *,
    dims: Mapping[str, int] | None = None,
    inputs: Mapping[str, tuple[int, ...]] | None = None,
    runtimes: Iterable[str] | None = None,
) -> Snapshot:
    """Return the numbers of ``source`` that can be compared.

    Args:
        source: A report, a report saved as .json, or anything that can be analysed.
        dims: Sizes of named dimensions; of no use to a report.
        inputs: Shapes of graph inputs; of no use to a report.
        runtimes: Names of runtime models, the headline first; of no use to a report.

    Raises:
        InputError: A file is missing, unreadable or invalid.
        UsageError: A runtime, or a name in ``dims`` or ``inputs``, does not exist.
    """
    if isinstance(source, Report):
        return snapshot_report(source)
    if _names_report(source):
        return snapshot_document(read_saved_report(Path(source)), str(source))
    return snapshot_report(analyze(source, dims=dims, inputs=inputs, runtimes=runtimes))


def compare(
    before: Source | Report,
    after: Source | Report,
    *,
    dims: Mapping[str, int] | None = None,
    inputs: Mapping[str, tuple[int, ...]] | None = None,
    runtimes: Iterable[str] | None = None,
) -> Comparison:
    """Return two models, or two reports, side by side.

    Args:
        before: A report, a report saved as .json, or anything that can be analysed.
        after: The same.
        dims: Sizes of named dimensions of both.
        inputs: Shapes of graph inputs of both.
        runtimes: Names of runtime models, the headline first.

    Raises:
        InputError: A file is missing, unreadable or invalid.
        UsageError: A name does not exist, or two reports have no runtime model in common.
    """
    chosen = None if runtimes is None else tuple(runtimes)
    old, new = (snapshot(source, dims=dims, inputs=inputs, runtimes=chosen) for source in (before, after))
    return compare_snapshots(old, new)


def from_networkx(source: Any) -> Graph:
    """Return a Graph for any ``networkx.DiGraph`` whose nodes carry ``bytes``; see ``memprof.ir.networkx``."""
    from memprof.ir.networkx import from_networkx as convert

    return convert(source)


def _names_report(source: Any) -> bool:
    return isinstance(source, str | PathLike) and Path(source).suffix.lower() == ".json"


def _open_report(path: Path, runtimes: Iterable[str] | None) -> Report:
    """Return a saved report, or those of its runtime models that are asked for, in that order."""
    with _collector_paused():
        report = Report.from_json(read_saved_report(path), str(path))
    names = tuple(report.runtimes) if runtimes is None else tuple(dict.fromkeys(runtimes))
    for name in names:
        if name not in report.runtimes:
            known = ", ".join(report.runtimes)
            raise UsageError(f"The report {path} has no runtime model {name!r}.", f"It has: {known}.")
    return replace(report, runtimes={name: report.runtimes[name] for name in names})


def _runtime_of(name: str, model: Model) -> RuntimeModel:
    if name == "onnxruntime" and model.format == OPTIMIZED_FORMAT:
        return OPTIMIZED_MODEL
    if model.trace is None or name not in TRACED:
        return RUNTIMES[name]
    return TRACED[name](model.trace)


def _applicable(model: Model) -> list[str]:
    names = [*DEFAULT_RUNTIMES, *RUNTIMES_BY_FORMAT.get(model.format, ())]
    is_on_cpu = model.trace is None or model.trace.device == "cpu"
    return names if is_on_cpu else [name for name in names if name != "pytorch-process"]


def names_module(source: str | PathLike[str]) -> bool:
    """Tell whether ``source`` is the name of a PyTorch module rather than a file."""
    if not isinstance(source, str) or Path(source).suffix.lower() in _FILE_SUFFIXES or Path(source).exists():
        return False
    return _MODULE_NAME.fullmatch(source) is not None


def _load_module(source: Any, example_inputs: Any, inputs: _Shapes, training: Training | None, device: str) -> Model:
    _require_torch()
    from memprof.importers.torch.loading import read_name, read_object

    if isinstance(source, str):
        return read_name(source, inputs, training, device)
    return read_object(source, example_inputs, inputs, training, device)


def _read_onnx(path: Path, dims: Mapping[str, int], inputs: _Shapes, *, trust: bool) -> Model:
    from memprof.importers.onnx import read_onnx

    return read_onnx(path, dims=dims, inputs=inputs)


def _read_pt2(path: Path, dims: Mapping[str, int], inputs: _Shapes, *, trust: bool) -> Model:
    if trust:
        _require_torch()
        from memprof.importers.torch.loading import load_trusted

        return load_trusted(path, dims, inputs)
    from memprof.importers.torch.pt2 import read_pt2

    return read_pt2(path, dims=dims, inputs=inputs)


_READERS: Mapping[str, Callable[..., Model]] = MappingProxyType({".onnx": _read_onnx, ".pt2": _read_pt2})


def _require_torch() -> None:
    if find_spec("torch") is None:
        raise MissingExtraError("Analysing a PyTorch module", "torch")


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Keep Python's cycle collector from walking hundreds of thousands of new records over and over.

    What is made here holds no cycles, so reference counts free it; without the pause the collector takes half of
    the time of a large graph.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _known(runtimes: Iterable[str]) -> list[str]:
    names = list(dict.fromkeys(runtimes))
    for name in names:
        if name not in RUNTIMES:
            raise UsageError(f"There is no runtime model {name!r}.", f"Choose from: {', '.join(RUNTIMES)}.")
    if not names:
        raise UsageError("No runtime model was named.", f"Choose from: {', '.join(RUNTIMES)}.")
    return names
