"""What a framework did when it ran a model: the operations in the order they ran, and the real life of every storage.

A trace comes from an importer that watched a run; runtime models interpret it. It holds no tensor and no framework
object. Steps are indices of ``graph.nodes``: the graph's own order is the order of the run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from memprof.ir.graph import Graph


class Category(Enum):
    """What a storage is to a run."""

    INPUT = "inputs"  # given by the caller
    PARAMETER = "parameters"  # parameters and buffers of the module, and constants it keeps
    GRADIENT = "gradients"  # becomes the ``.grad`` of a parameter
    OPTIMIZER_STATE = "optimizer state"  # momentum and moments
    CACHE = "key-value cache"  # keys and values that a module keeps from call to call, given or returned
    ACTIVATION = "saved activations"  # written in the forward pass and still there when the backward pass begins
    OTHER = "other"  # everything else: temporaries


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageLife:
    """One storage and when it lives.

    Attributes:
        value: Id of the value that owns it: the first one in it.
        size_bytes: Its bytes, padding included.
        start: First step at which it exists.
        stop: First step at which it no longer exists.
        category: What it is to the run.
        device: Kind of device it is on.
    """

    value: int
    size_bytes: int
    start: int
    stop: int
    category: Category
    device: str


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a run: ``forward``, ``backward`` or ``optimizer``, in steps ``[start, stop)``."""

    name: str
    start: int
    stop: int


@dataclass(frozen=True, kw_only=True)
class Trace:
    """A run of a model.

    Attributes:
        graph: What ran, in order; an in-place operation's output is a view of what it changed.
        storages: Every storage that was seen, by birth.
        phases: The parts of the run, in order.
        device: Device the tensors were on, or said they were: ``cpu``, ``cuda``.
        tensors: ``real``, ``fake`` (they know shape and device only) or ``meta`` (shape only).
        caveat: Why the run differs from a real one, empty if it does not.
    """

    graph: Graph
    storages: tuple[StorageLife, ...]
    phases: tuple[Phase, ...]
    device: str
    tensors: str
    caveat: str = ""

    def __repr__(self) -> str:
        return f"<Trace on {self.device}: {len(self.graph.nodes):,} operations, {len(self.storages):,} storages>"

    @property
    def is_training(self) -> bool:
        """Whether a backward pass was part of the run."""
        return any(phase.name == "backward" for phase in self.phases)

    @property
    def has_cache(self) -> bool:
        """Whether the module was given a key-value cache, or returned one."""
        return any(life.category is Category.CACHE for life in self.storages)

    @property
    def cache_bytes(self) -> int:
        """Bytes of the key-value cache when the run has ended."""
        end = len(self.graph.nodes)
        return sum(life.size_bytes for life in self.storages if life.category is Category.CACHE and life.stop >= end)

    def counted(self) -> Iterator[StorageLife]:
        """Yield the storages on the run's device that it needs besides parameters and what the caller gave."""
        own = {self.device, self.tensors}  # a meta tensor's device is "meta"
        return (life for life in self.storages if life.category not in _GIVEN and life.device in own)


_GIVEN = (Category.INPUT, Category.PARAMETER)
