"""From a name, a module, an exported program or a .pt2 file to a Model: the order of the other files' work.

    module -> torch.export -> Graph      the network, for every runtime model and the planner
           -> run on fakes -> Trace      what eager PyTorch does, for the runtime model ``pytorch``

A module that torch.export cannot read gives the operations of the run as its graph (format ``torch.run``). One that
cannot run without data has no trace: the runtime model ``pytorch`` then goes by the graph. One that can do neither is
an error. A training step always is a run: forward, backward and the optimiser's step as one graph.
"""

from __future__ import annotations

import hashlib
import warnings
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from memprof.base.errors import InputError, MemprofError, UsageError
from memprof.base.text import first_line
from memprof.importers.request import Request
from memprof.importers.torch.binding import bind_recording
from memprof.importers.torch.export import record_program
from memprof.importers.torch.fakes import Placeholders
from memprof.importers.torch.graphs import build_graph
from memprof.importers.torch.records import Recording, Run
from memprof.importers.torch.resolve import resolve, shaped_inputs
from memprof.importers.torch.traces import build_trace
from memprof.importers.torch.tracked import run_without_data
from memprof.ir import Graph
from memprof.ir.model import Model


def read_name(request: Request) -> Model:
    """Return the Model of "torchvision:resnet18" or "package.module:factory"; see ``resolve`` for errors."""
    found = resolve(request.name)
    return read_module(found.module, shaped_inputs(found.module, found.inputs, request.inputs), request)


def read_object(request: Request) -> Model:
    """Return the Model of something in memory.

    Raises:
        UsageError: It is neither a module nor an exported program, or inputs are missing.
    """
    source, inputs = request.source, request.example_inputs
    if isinstance(source, torch.export.ExportedProgram):
        return read_program(source, request)
    if not isinstance(source, torch.nn.Module):
        raise UsageError(
            f"A {type(source).__name__} cannot be analysed.",
            "Pass a path, a torch.nn.Module with its inputs, an ExportedProgram or a Graph.",
        )
    given = None if inputs is None else inputs if isinstance(inputs, tuple) else (inputs,)
    return read_module(source, shaped_inputs(source, given, request.inputs), request)


def read_run(request: Request) -> Model:
    """Return the Model of one run of a module, without the network that an export would give.

    Raises:
        InputError: The module cannot run without data.
        UsageError: As ``read_name`` and ``read_object``.
    """
    source, given = request.source, request.example_inputs
    if isinstance(source, str):
        found = resolve(source)
        source, given = found.module, found.inputs
    elif given is not None and not isinstance(given, tuple):
        given = (given,)
    inputs = shaped_inputs(source, given, request.inputs)
    run = run_without_data(source, inputs, training=request.training, device=request.device, name=request.name)
    return _model(request.name, "torch.run" if request.training is None else "torch.training", run.recording, run)


def read_module(module: torch.nn.Module, inputs: tuple[Any, ...], request: Request) -> Model:
    """Return the Model of ``module`` run on ``inputs`` as ``request`` says.

    Raises:
        InputError: It can neither be exported nor run without data.
    """
    name, training, device = request.name, request.training, request.device
    if training is not None:
        run = run_without_data(module, inputs, training=training, device=device, name=name)
        return _model(name, "torch.training", run.recording, run)
    run_error: MemprofError | None = None
    found: Run | None = None
    try:
        found = run_without_data(module, inputs, device=device, name=name)
    except InputError as error:
        run_error = error
    try:
        return _model(name, "torch.export", _export(module, inputs, name), found)
    except Exception as error:
        if found is None:
            raise InputError(
                f"{name} can neither be run without data ({run_error}) nor exported ({first_line(error)}).",
                "Its forward pass may depend on the values of tensors.",
            ) from error
    return _model(name, "torch.run", found.recording, found)


def read_program(program: torch.export.ExportedProgram, request: Request) -> Model:
    """Return the Model of an exported program."""
    name = request.name
    return _model(name, "torch.export", bind_recording(record_program(program, name), request), None)


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


def _export(module: torch.nn.Module, inputs: tuple[Any, ...], name: str) -> Recording:
    placeholders = Placeholders("cpu")
    copied, given = placeholders.module(module).eval(), placeholders.inputs(inputs)
    assert isinstance(placeholders.mode, FakeTensorMode)
    with warnings.catch_warnings(), placeholders.mode:
        warnings.simplefilter("ignore")
        return record_program(torch.export.export(copied, given, strict=False), name)


def _model(path: str, format_: str, recording: Recording, run: Run | None) -> Model:
    graph = build_graph(recording)
    return Model(
        path=path,
        format=format_,
        structure_sha256=_digest(graph),
        graph=graph,
        trace=None if run is None else build_trace(run),
    )


def _digest(graph: Graph) -> str:
    digest = hashlib.sha256()
    for value in graph.values:
        digest.update(repr((value.name, value.type, value.role.value, value.view_of)).encode())
    for node in graph.nodes:
        digest.update(repr((node.op, node.inputs, node.outputs, sorted(node.attributes.items()))).encode())
    return digest.hexdigest()
