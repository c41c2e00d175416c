"""What a PyTorch front end saw, as plain records: nothing here imports torch or holds a tensor.

    tracker, export, pt2  -->  Recording  -->  graphs.build_graph, traces.build_trace

A tensor is a window (shape, strides, offset) onto a storage; storages are numbered in the order they were first seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from memprof.ir import Assumption, Attribute, Dim, Role, Unknown
from memprof.ir.trace import Category, Phase


class TensorRecord(NamedTuple):
    """A tensor: a window onto a storage.

    Attributes:
        storage: Index of the storage.
        dtype: Element type as memprof names it, ``None`` if it has no fixed size.
        shape: One size per axis; a symbol where it is open.
        strides: Elements to step over per axis, ``None`` if not known.
        offset: Elements before the first one.
    """

    storage: int
    dtype: str | None
    shape: tuple[Dim, ...]
    strides: tuple[Dim, ...] | None
    offset: Dim = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageRecord:
    """A storage.

    Attributes:
        size_bytes: Its bytes, ``None`` if a dimension is open.
        device: Kind of device it is on, ``""`` if not known.
        role: Input, parameter or (in a body) capture for one that existed before; else intermediate.
        name: Name of the input or parameter, empty otherwise.
        module: Path of the module that owns the parameter.
        window: The input or parameter itself.
        start: Operations that had run when it was made.
        stop: Operations that had run when it died, ``None`` if it outlived the run or nobody watched.
    """

    size_bytes: int | None
    device: str = ""
    role: Role = Role.INTERMEDIATE
    name: str = ""
    module: str = ""
    window: TensorRecord | None = None
    start: int = 0
    stop: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpRecord:
    """One operation that ran.

    Attributes:
        op: ``aten.conv2d``; an operation that writes on its input ends in ``_``.
        reads: The tensors it was given, ``None`` where an optional one was left out.
        writes: The tensors it returned, new ones and windows onto what it was given.
        changes: Storages that it wrote on although they existed before.
        name: Wished name, made from ``op`` if empty.
        module: Path of the module it ran in.
        line: Line of the model's own code that asked for it (``net.py:12``), empty if not known.
        attributes: Its other arguments that are numbers, strings or lists of them.
        is_random: Whether it draws random numbers.
        bodies: What it runs inside itself: the branches of a condition, the body of a loop.
    """

    op: str
    reads: tuple[TensorRecord | None, ...]
    writes: tuple[TensorRecord, ...]
    changes: tuple[int, ...] = ()
    name: str = ""
    module: str = ""
    line: str = ""
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    is_random: bool = False
    bodies: tuple[Recording, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Everything a front end saw of a model.

    Attributes:
        name: Name of the model.
        ops: The operations in the order they ran.
        storages: All storages by index.
        outputs: The tensors the caller got, in order.
        unknown: What could not be learnt.
        assumed: What was taken otherwise than the source says.
        is_run: Whether it is what ran, rather than a program.
    """

    name: str
    ops: tuple[OpRecord, ...]
    storages: tuple[StorageRecord, ...]
    outputs: tuple[TensorRecord, ...]
    unknown: tuple[Unknown, ...] = ()
    assumed: tuple[Assumption, ...] = ()
    is_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A recording of a run, and what the run itself does not show.

    Attributes:
        recording: What the tracker saw.
        phases: The parts of the run, in order.
        categories: What a storage is, by index: gradients, optimiser state.
        device: Kind of device the tensors were on, or said they were.
        tensors: ``real``, ``fake`` or ``meta``.
        caveat: Why the run differs from a real one, empty if it does not.
    """

    recording: Recording
    phases: tuple[Phase, ...]
    categories: Mapping[int, Category]
    device: str
    tensors: str
    caveat: str = ""
