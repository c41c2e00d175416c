"""Types of inputs that nobody said: whole numbers where a module uses an input as an index.

A shape on the command line says no element type; float32 is taken. The module is run once on meta tensors, and
stopped where it looks something up by such an input: that one holds indices, so it is int64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from memprof.importers.request import Request
from memprof.importers.torch.calls import Call, annotated_dtype, find_tensors, first_name, named_arguments
from memprof.importers.torch.causes import quiet
from memprof.importers.torch.fakes import Placeholders
from memprof.importers.torch.records import Run
from memprof.ir import Assumption

_INDEX_OF: Mapping[Any, tuple[int, str]] = {
    functional.embedding: (0, "input"),
    functional.embedding_bag: (0, "input"),
    functional.one_hot: (0, "tensor"),
    torch.embedding: (1, "indices"),
    torch.gather: (2, "index"),
    torch.Tensor.gather: (2, "index"),
    torch.index_select: (2, "index"),
    torch.Tensor.index_select: (2, "index"),
    torch.take: (1, "index"),
    torch.Tensor.__getitem__: (1, "index"),
}
"""Where a function takes indices: their position among its arguments, and their name."""


class Settled(NamedTuple):
    """A run, and the call that it was of.

    Attributes:
        run: The run.
        call: The arguments, types as guessed.
        guessed: What was guessed.
    """

    run: Run
    call: Call
    guessed: tuple[Assumption, ...]


def open_types(module: torch.nn.Module, given: Call | None, request: Request) -> frozenset[str]:
    """Return the names of the inputs whose shape the request says and whose type nobody does."""
    given = given or Call()
    known = {name for name, value in named_arguments(module, given) if isinstance(value, torch.Tensor)}
    names = {name or first_name(module, given) for name in request.inputs if name not in request.dtypes}
    return frozenset(name for name in names - known if annotated_dtype(module, name) is None)


def with_indices(module: torch.nn.Module, call: Call, untyped: frozenset[str], run: Callable[[Call], Run]) -> Settled:
    """Return what ``run`` returns for ``call``, with whole numbers where indices are wanted.

    Args:
        module: The module that is run.
        call: Its arguments.
        untyped: Names of the arguments whose type is open.
        run: Runs the module.
    """
    names = _indices(module, call, untyped)
    settled = _whole(module, call, names) if names else call
    return Settled(run(settled), settled, tuple(_note(module, settled, name) for name in names))


def _note(module: torch.nn.Module, call: Call, name: str) -> Assumption:
    value = dict(named_arguments(module, call))[name]
    shape = "x".join(map(str, value.shape))
    return Assumption(
        kind="input",
        name=f"{name}=int64:{shape}",
        reason=f"{type(module).__name__} looks something up by {name}, so whole numbers were taken",
        hint=f"--input {name}=int32:{shape}",
    )


def _indices(module: torch.nn.Module, call: Call, untyped: frozenset[str]) -> tuple[str, ...]:
    """Return the names of the arguments that are used as indices although they are not whole."""
    found: list[str] = []
    while len(found) < len(untyped):
        name = _next_index(module, _whole(module, call, tuple(found)), untyped - set(found))
        if name is None:
            break
        found.append(name)
    return tuple(found)


def _next_index(module: torch.nn.Module, call: Call, untyped: frozenset[str]) -> str | None:
    placeholders = Placeholders("meta")
    try:
        copied, given = placeholders.module(module), placeholders.call(call)
        owners = {
            found.tensor.untyped_storage()._cdata: name
            for name, value in named_arguments(module, given)
            if name in untyped
            for found in find_tensors(value)
        }
        with quiet(), torch.no_grad(), torch.device("meta"), _Watch(owners):
            given.run(copied)
    except _IndexWanted as wanted:
        return wanted.name
    except Exception:
        return None
    return None


def _whole(module: torch.nn.Module, call: Call, names: tuple[str, ...]) -> Call:
    """Return ``call`` with zeros of whole numbers for the named arguments, on the device where they were."""
    named = dict(named_arguments(module, call))
    made = {name: torch.zeros(named[name].shape, dtype=torch.int64, device=named[name].device) for name in names}
    args = tuple(made.get(name, value) for name, value in list(named_arguments(module, call))[: len(call.args)])
    return replace(call, args=args, kwargs={name: made.get(name, value) for name, value in call.kwargs.items()})


class _IndexWanted(BaseException):  # no code of the module's may catch it
    def __init__(self, name: str) -> None:
        self.name = name


class _Watch(TorchFunctionMode):
    """Stops a run where one of some storages is used as an index."""

    def __init__(self, owners: Mapping[int, str]) -> None:
        super().__init__()
        self._owners = owners

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _INDEX_OF:
            position, name = _INDEX_OF[func]
            index = args[position] if position < len(args) else kwargs.get(name)
            for each in index if isinstance(index, tuple) else (index,):
                if isinstance(each, torch.Tensor) and each.is_floating_point():
                    owner = self._owners.get(each.untyped_storage()._cdata)
                    if owner is not None:
                        raise _IndexWanted(owner)
        return func(*args, **kwargs)
