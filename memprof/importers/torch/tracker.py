"""Watches PyTorch run: every operation, every storage, and when each storage dies.

    op arrives --> windows it reads --> op runs --> windows it returns: a storage not seen before was made now
    weak reference to the storage fires --> the storage died after as many operations as have run so far

What is seen: tensors of operations as the dispatcher sees them, and whoever keeps a tensor alive, Python included.
What is not: memory that a kernel takes and gives back inside one operation. A storage is known by its address, which
a new storage may take over once the old one is dead: the weak reference clears it in time.

A module's path is known while its ``forward`` runs; in the backward pass an operation belongs to the module of the
forward operation with the same autograd sequence number. ``Module.__call__`` is wrapped for that while the tracker is
active; hooks would switch off PyTorch's fast paths for transformers, and with them change what is measured.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from memprof.importers.torch.lines import calling_line
from memprof.importers.torch.ops import DTYPES, RANDOM, base_name
from memprof.importers.torch.records import OpRecord, Recording, StorageRecord, TensorRecord
from memprof.ir import Attribute, Role

_SKIPPED = ("prim.", "profiler.")
"""Namespaces that are no work of the model: questions that fake tensors ask themselves, marks for profilers."""

_FRESH = frozenset({"aten.lift_fresh"})
"""Operations whose argument Python has just made, out of the dispatcher's sight: ``torch.tensor([1, 2])``."""

_STATISTICS = ("running_mean", "running_var")
_UNSAID: Mapping[str, tuple[str, ...]] = MappingProxyType(
    dict.fromkeys(
        ("aten.native_batch_norm", "aten.cudnn_batch_norm", "aten.miopen_batch_norm", "aten.batch_norm"), _STATISTICS
    )
)
"""Arguments that operations write on in training, although their schemas do not say so."""

Complete = Callable[[str, Mapping[str, Any], Callable[[], Any]], Any]


@dataclass(frozen=True, slots=True)
class _Schema:
    op: str
    is_skipped: bool
    is_random: bool
    names: tuple[str, ...]
    changed: tuple[str, ...]


class StorageTracker(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A dispatch mode that records a run; see the module's docstring.

    Args:
        module_paths: Path of each module by ``id``.
        complete: From an operation, its named arguments and what runs it to the result that counts; see ``fakes``.
    """

    def __init__(
        self, module_paths: Mapping[int, str] | None = None, complete: Complete = lambda op, named, run: run()
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._complete = complete
        self._paths = module_paths or {}
        self._ops: list[OpRecord] = []
        self._storages: list[StorageRecord] = []
        self._index_of_address: dict[int, int] = {}
        self._references: dict[int, weakref.ref[Any]] = {}
        self._schemas: dict[Any, _Schema] = {}
        self._module_stack: list[str] = []
        self._place_of_sequence: dict[int, tuple[str, str]] = {}

    def add_known(self, tensor: torch.Tensor, role: Role, name: str, module: str = "") -> None:
        """Tell of a tensor that exists before the run: an input or a parameter."""
        address = tensor.untyped_storage()._cdata
        if address not in self._index_of_address:
            self._add_storage(tensor, role=role, name=name, module=module)

    def storage_index(self, tensor: torch.Tensor) -> int | None:
        """Return the index of the storage under ``tensor``, ``None`` if the tracker never saw it."""
        return self._index_of_address.get(tensor.untyped_storage()._cdata)

    @property
    def step(self) -> int:
        """Operations that have run."""
        return len(self._ops)

    def recording(self, name: str, outputs: Iterable[torch.Tensor]) -> Recording:
        """Return what was seen so far. Call it while everything that should outlive the run still lives."""
        windows = [self._window(tensor) for tensor in outputs]
        return Recording(
            name=name,
            ops=tuple(self._ops),
            storages=tuple(self._storages),
            outputs=tuple(window for window in windows if window is not None),
            is_run=True,
        )

    @contextmanager
    def watching(self) -> Iterator[StorageTracker]:
        """Record what runs inside. Garbage is collected before, and not in between, so that runs repeat exactly."""
        call = torch.nn.Module.__call__
        stack, paths = self._module_stack, self._paths

        def call_in_path(module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
            path = paths.get(id(module))
            if path is None:
                return call(module, *args, **kwargs)
            stack.append(path)
            try:
                return call(module, *args, **kwargs)
            finally:
                stack.pop()

        with StorageTracker():  # the first mode imports modules that keep frames, and with them tensors, alive
            torch.empty(0)
        gc.collect()
        was_enabled = gc.isenabled()
        gc.disable()
        torch.nn.Module.__call__ = call_in_path  # type: ignore[method-assign]
        try:
            with self:
                yield self
        finally:
            torch.nn.Module.__call__ = call  # type: ignore[method-assign]
            if was_enabled:
                gc.enable()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        schema = self._schemas.get(func) or self._learn(func)
        if schema.is_skipped:
            return func(*args, **kwargs)
        named = dict(zip(schema.names, args, strict=False)) | dict(kwargs)
        reads: list[TensorRecord | None] = []
        if schema.op not in _FRESH:
            reads = [self._window(tensor, role=Role.PARAMETER) for tensor in _tensors(named.values())]
        changed = schema.changed + (_UNSAID.get(schema.op, ()) if named.get("training") else ())
        changes = {self.storage_index(t) for key in changed for t in _tensors((named.get(key),))}
        path, line = self._current_place()
        result = self._complete(schema.op, named, lambda: func(*args, **kwargs))
        writes = [window for tensor in _tensors((result,)) if (window := self._window(tensor)) is not None]
        self._ops.append(
            OpRecord(
                op=schema.op,
                reads=tuple(reads),
                writes=tuple(writes),
                changes=tuple(sorted(index for index in changes if index is not None)),
                module=path,
                line=line,
                attributes=plain_attributes(named),
                is_random=schema.is_random,
            )
        )
        return result

    def _learn(self, func: Any) -> _Schema:
        described = func._schema
        op = described.name.replace("::", ".")
        schema = self._schemas[func] = _Schema(
            op=op,
            is_skipped=op.startswith(_SKIPPED),
            is_random=base_name(op) in RANDOM,
            names=tuple(argument.name for argument in described.arguments),
            changed=tuple(a.name for a in described.arguments if a.alias_info is not None and a.alias_info.is_write),
        )
        return schema

    def _current_place(self) -> tuple[str, str]:
        """Return the module that runs and the line of its code; of a gradient, of what it is the gradient of."""
        node = torch._C._current_autograd_node()
        if node is not None:
            return self._place_of_sequence.get(node._sequence_nr(), ("", ""))
        place = (self._module_stack[-1] if self._module_stack else "", calling_line())
        # operations without gradient show the number of the one before them, which has spoken first
        self._place_of_sequence.setdefault(torch.autograd._get_sequence_nr() - 1, place)
        return place

    def _window(self, tensor: torch.Tensor, role: Role = Role.INTERMEDIATE) -> TensorRecord | None:
        try:
            storage = tensor.untyped_storage()
        except (NotImplementedError, RuntimeError):  # sparse and opaque tensors have none
            return None
        index = self._index_of_address.get(storage._cdata)
        if index is None or self._storages[index].size_bytes != storage.nbytes():
            index = self._add_storage(tensor, role=role, name="constant" if role is Role.PARAMETER else "")
        return window_of(tensor, index)

    def _add_storage(self, tensor: torch.Tensor, *, role: Role, name: str, module: str = "") -> int:
        storage = tensor.untyped_storage()
        address, index = storage._cdata, len(self._storages)
        resized = self._index_of_address.get(address)
        if resized is not None:
            self._end(resized)
        self._index_of_address[address] = index
        self._storages.append(
            StorageRecord(
                size_bytes=storage.nbytes(),
                device=tensor.device.type,
                role=role,
                name=name,
                module=module,
                window=None if role is Role.INTERMEDIATE else window_of(tensor, index),
                start=0 if role is not Role.INTERMEDIATE else len(self._ops),
            )
        )
        if resized is None:
            self._references[address] = weakref.ref(storage, self._on_death(address))
        return index

    def _on_death(self, address: int) -> Callable[[object], None]:
        def died(_: object) -> None:
            del self._references[address]
            self._end(self._index_of_address.pop(address))

        return died

    def _end(self, index: int) -> None:
        self._storages[index] = replace(self._storages[index], stop=len(self._ops))


def window_of(tensor: torch.Tensor, storage: int) -> TensorRecord:
    """Return ``tensor`` as a window onto the storage of that index; a nested one, without sizes, is all of it."""
    if tensor.is_nested:
        count = tensor.untyped_storage().nbytes() // tensor.element_size()
        return TensorRecord(storage, dtype_name(tensor.dtype), (count,), (1,), 0)
    return TensorRecord(
        storage,
        dtype_name(tensor.dtype),
        tuple(int(dim) for dim in tensor.shape),
        tuple(int(step) for step in tensor.stride()),
        int(tensor.storage_offset()),
    )


def dtype_name(dtype: torch.dtype) -> str:
    """Return the element type as memprof names it."""
    name = str(dtype).removeprefix("torch.")
    return DTYPES.get(name, name)


def plain_attributes(named: Mapping[str, Any]) -> dict[str, Attribute]:
    """Return those arguments that are numbers, strings or lists of numbers."""
    found: dict[str, Attribute] = {}
    for name, value in named.items():
        if isinstance(value, bool | int | float | str):
            found[name] = int(value) if isinstance(value, bool) else value
        elif isinstance(value, list | tuple) and value and all(type(item) in (int, bool) for item in value):
            found[name] = tuple(int(item) for item in value)
    return found


def _tensors(values: Iterable[Any]) -> Iterator[torch.Tensor]:
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)
