"""From a name, a module, an exported program or a .pt2 file to a Model: the order of the other files' work.

    module -> torch.export -> Graph      the network, for every runtime model and the planner
           -> run on fakes -> Trace      what eager PyTorch does, for the runtime model ``pytorch``

A module that torch.export cannot read gives the operations of the run as its graph (format ``torch.run``). One that
cannot run without data has no trace: the runtime model ``pytorch`` then goes by the graph. One that can do neither is
an error. A training step always is a run: forward, backward and the optimiser's step as one graph. Where a request
says so, the run is a real one, with random weights and data, and nothing is exported.
"""

from __future__ import annotations

import contextlib
import copy
import gc
import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from memprof.base.collector import paused_collector
from memprof.base.errors import InputError, MemprofError, UsageError
from memprof.base.text import first_line
from memprof.importers.request import DEVICES, Request
from memprof.importers.torch.binding import bind_recording
from memprof.importers.torch.calls import Call, call_of, real_call, shaped_call, typed_call
from memprof.importers.torch.causes import explain_real, quiet
from memprof.importers.torch.configs import Config, read_config
from memprof.importers.torch.export import record_program
from memprof.importers.torch.fakes import Placeholders
from memprof.importers.torch.families import config_module
from memprof.importers.torch.graphs import build_graph
from memprof.importers.torch.guesses import open_types, with_indices
from memprof.importers.torch.lean import leave_out, take_in
from memprof.importers.torch.lowering import FORMAT as LOWERED_FORMAT
from memprof.importers.torch.lowering import lower_module, lower_program
from memprof.importers.torch.packed import packed_weights
from memprof.importers.torch.records import Recording, Run, StorageRecord
from memprof.importers.torch.resolve import resolve
from memprof.importers.torch.traces import build_trace
from memprof.importers.torch.tracked import run_tracked, run_without_data
from memprof.ir import Assumption, Graph, Role
from memprof.ir.model import Model

TRANSFORMERS = "transformers:"
"""Beginning of the names of modules that are made from a configuration."""


def read_name(request: Request) -> Model:
    """Return the Model of "torchvision:resnet18" or "package.module:factory"; see ``resolve`` for errors."""
    if request.ends_process and request.name.startswith(TRANSFORMERS) and not request.training:
        with contextlib.suppress(MemprofError):  # the type of a model: its sizes are the library's to say
            leave_out(read_config(request.name.removeprefix(TRANSFORMERS)).values)
    module, given, assumed = _named(request)
    return _noted(read_module(module, given, request), assumed)


def read_object(request: Request) -> Model:
    """Return the Model of something in memory.

    Raises:
        UsageError: It is neither a module nor an exported program, or inputs are missing.
    """
    if isinstance(request.source, torch.export.ExportedProgram):
        return read_program(request.source, request)
    return read_module(*_in_memory(request), request)


def read_run(request: Request) -> Model:
    """Return the Model of one run of a module, without the network that an export would give.

    Raises:
        InputError: The module cannot run without data.
        UsageError: As ``read_name`` and ``read_object``.
    """
    assumed: tuple[Assumption, ...] = ()
    if isinstance(request.source, str):
        module, given, assumed = _named(request)
    else:
        module, given = _in_memory(request)
    with contextlib.redirect_stdout(sys.stderr):
        module, call = _typed(module, shaped_call(module, given, request.inputs, request.dtypes), request)
        run, _, guessed = with_indices(module, call, open_types(module, given, request), _run_of(module, request))
        return _noted(_of_run(request, Made(run, packed_weights(module), guessed)), assumed)


def read_configuration(config: Config, request: Request) -> Model:
    """Return the Model of one run of the module that transformers makes of ``config``.

    Raises:
        InputError: No module can be made of it, or it cannot run without data.
        UsageError: A dimension or an input does not exist.
    """
    if request.ends_process:
        leave_out(config.values)
    with paused_collector():  # what transformers imports makes a million objects that stay
        made = config_module(config, "meta", request.dims)
        _overlook_imports(request)
        call = shaped_call(made.module, made.call, request.inputs, request.dtypes)
        run = _run_of(made.module, request)(call)
        return _noted(_of_run(request, Made(run)), () if request.inputs else made.assumed)


def _named(request: Request) -> tuple[torch.nn.Module, Call | None, tuple[Assumption, ...]]:
    """Return the module that is named, its arguments, and what was assumed of them: a shape settles all sizes."""
    found = resolve(request.name, "cpu" if request.run else "meta", request.dims)
    _overlook_imports(request)
    return found.module, found.call, () if request.inputs else found.assumed


def _overlook_imports(request: Request) -> None:
    """Keep a million objects of libraries, which stay anyway, out of the collections before each run."""
    if request.ends_process:
        gc.freeze()


def _in_memory(request: Request) -> tuple[torch.nn.Module, Call | None]:
    source, inputs = request.source, request.example_inputs
    if not isinstance(source, torch.nn.Module):
        raise UsageError(
            f"A {type(source).__name__} cannot be analysed.",
            "Pass a path, a torch.nn.Module with its inputs, an ExportedProgram or a Graph.",
        )
    given = None if inputs is None else call_of(source, inputs)
    if request.run or request.precision:  # the caller's own weights, statistics and caches stay as they are
        source, given = copy.deepcopy((source, given))
    return source, given


def _noted(model: Model, assumed: tuple[Assumption, ...]) -> Model:
    return replace(model, graph=replace(model.graph, assumed=(*assumed, *model.graph.assumed)))


def _of_run(request: Request, made: Made) -> Model:
    assert made.run is not None, "there is a run"
    name = "torch.run" if request.training is None else "torch.training"
    return _model(request.name, name, made.run.recording, made)


def read_module(module: torch.nn.Module, given: Call | None, request: Request) -> Model:
    """Return the Model of ``module`` called as ``given`` and ``request`` say: run for real if it asks for that.

    Raises:
        InputError: It can neither be exported nor run without data, or the real run failed.
        UsageError: An input is missing, or a name does not exist.
    """
    with contextlib.redirect_stdout(sys.stderr):  # what the module prints is no result
        return _read_module(module, given, request)


def _read_module(module: torch.nn.Module, given: Call | None, request: Request) -> Model:
    packed = packed_weights(module)
    module, call = _typed(module, shaped_call(module, given, request.inputs, request.dtypes), request)
    if request.lowered:
        return _lowered(request.name, lower_module(module, call, request.name))
    untyped = open_types(module, given, request)
    if request.run:
        run, call, guessed = with_indices(
            module, real_call(module, call, request.values), untyped, _real_run(module, request)
        )
        return _of_run(request, Made(run, packed, guessed))
    try:
        run, call, guessed = with_indices(module, call, untyped, _run_of(module, request))
    except InputError as error:
        if request.training is not None:
            raise
        try:
            return _model(request.name, "torch.export", _export(module, call, request.name), Made(None, packed))
        except Exception:  # why it cannot run says what is wrong; the export fails for it too
            raise error from None
    made = Made(run, packed, guessed)
    if request.training is not None:
        return _of_run(request, made)
    is_long = request.name.startswith(TRANSFORMERS)  # an export of one takes many times as long as its run
    recording = None if is_long else _exported(module, call, request.name)
    if recording is None:
        return _of_run(request, made)
    return _model(request.name, "torch.export", recording, made)


def real_module(request: Request) -> tuple[torch.nn.Module, Call]:
    """Return the named module with weights, and a call of it with data, types of inputs settled."""
    found = resolve(request.name, "cpu", request.dims)
    module = found.module
    module, call = _typed(module, shaped_call(module, found.call, request.inputs, request.dtypes), request)
    untyped = open_types(module, found.call, request)
    if untyped:  # a run without data tells which inputs are indices
        with contextlib.suppress(MemprofError):
            call = with_indices(module, call, untyped, _run_of(module, request)).call
    return module, real_call(module, call, request.values)


def _typed(module: torch.nn.Module, call: Call, request: Request) -> tuple[torch.nn.Module, Call]:
    """Return both in the precision that is asked for; the module itself is converted."""
    if request.precision is None:
        return module, call
    dtype: torch.dtype = getattr(torch, request.precision)
    return module.to(dtype), typed_call(call, dtype)


def _run_of(module: torch.nn.Module, request: Request) -> Callable[[Call], Run]:
    return lambda call: run_without_data(
        module, call, training=request.training, device=request.device, name=request.name
    )


def _real_run(module: torch.nn.Module, request: Request) -> Callable[[Call], Run]:
    def run(call: Call) -> Run:
        try:
            return run_tracked(
                module, call, training=request.training, name=request.name, device="cpu", tensors="real"
            )
        except MemprofError:
            raise
        except Exception as error:
            raise explain_real(error, request.name) from error

    return run


def _exported(module: torch.nn.Module, call: Call, name: str) -> Recording | None:
    """Return what export shows of ``module``; ``None`` where it fails, or hides casts that a run shows."""
    try:
        recording = _export(module, call, name)
    except Exception:
        return None
    return None if recording.assumed else recording


def read_program(program: torch.export.ExportedProgram, request: Request) -> Model:
    """Return the Model of an exported program."""
    name = request.name
    if request.lowered:
        if request.fixes_sizes:
            raise UsageError(f"{name} is lowered with the sizes it has.", "Export it with the sizes that are wanted.")
        return _lowered(name, lower_program(program, name))
    return _model(name, "torch.export", bind_recording(record_program(program, name), request), Made())


def load_trusted(request: Request) -> Model:
    """Read a .pt2 file with PyTorch's own loader, which runs code that the file brings.

    Raises:
        InputError: PyTorch cannot load it.
    """
    try:
        program = torch.export.load(request.path)
    except Exception as error:
        raise InputError(f"PyTorch cannot load {request.name}: {first_line(error)}.", "Save it again.") from error
    return read_program(program, request)


def _export(module: torch.nn.Module, call: Call, name: str) -> Recording:
    take_in()  # an export needs what a run does without
    placeholders = Placeholders("cpu")
    copied, given = placeholders.module(module).eval(), placeholders.call(call)
    assert isinstance(placeholders.mode, FakeTensorMode)
    with quiet(), placeholders.mode:
        program = torch.export.export(copied, given.args, dict(given.kwargs), strict=False)
        return record_program(program, name)


@dataclass(frozen=True, slots=True)
class Made:
    """What a model is made of besides its recording.

    Attributes:
        run: The run of it, ``None`` if it could not be run.
        packed: Weights that lie in packed objects, by name.
        guessed: Inputs whose type was guessed.
    """

    run: Run | None = None
    packed: tuple[StorageRecord, ...] = ()
    guessed: tuple[Assumption, ...] = ()


def _model(path: str, format_: str, recording: Recording, made: Made) -> Model:
    run = made.run
    if run is not None:
        made = replace(made, guessed=(*made.guessed, *_elsewhere(run)))
    graph = build_graph(with_more(recording, made))
    return Model(
        path=path,
        format=format_,
        structure_sha256=_digest(graph),
        graph=graph,
        trace=None if run is None else build_trace(replace(run, recording=with_more(run.recording, made))),
    )


def _elsewhere(run: Run) -> tuple[Assumption, ...]:
    """Return a note for each other device that the module moves tensors to: what they take there does not count."""
    own = {run.device, run.tensors}
    moved: dict[str, int] = {}
    for storage in run.recording.storages:
        if storage.role is Role.INTERMEDIATE and storage.device not in own:
            moved[storage.device] = moved.get(storage.device, 0) + (storage.size_bytes or 0)
    return tuple(
        Assumption(
            kind="device",
            name=device,
            reason=f"the module itself moves tensors there, {size:,} bytes in all, which do not count here",
            hint=f"--device {device}" if device in DEVICES else "",
        )
        for device, size in moved.items()
        if device
    )


def _lowered(name: str, graph: Graph) -> Model:
    return Model(path=name, format=LOWERED_FORMAT, structure_sha256=_digest(graph), graph=graph)


def with_more(recording: Recording, made: Made) -> Recording:
    """Return ``recording`` with what it cannot show itself."""
    first = len(recording.storages)
    packed = [
        replace(storage, window=storage.window._replace(storage=first + i))
        for i, storage in enumerate(made.packed)
        if storage.window is not None
    ]
    return replace(recording, storages=(*recording.storages, *packed), assumed=(*recording.assumed, *made.guessed))


def _digest(graph: Graph) -> str:
    digest = hashlib.sha256()
    for value in graph.values:
        digest.update(repr((value.name, value.type, value.role.value, value.view_of)).encode())
    for node in graph.nodes:
        digest.update(repr((node.op, node.inputs, node.outputs, sorted(node.attributes.items()))).encode())
    return digest.hexdigest()
