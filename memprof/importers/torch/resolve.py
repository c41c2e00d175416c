"""Names of modules: "torchvision:resnet18", "package.module:factory". Looking one up runs the code it names.

    torchvision:NAME          a model of torchvision, weights left out
    PACKAGE.MODULE:NAME       imported from the current folder or the installed packages; NAME is
                                 a function or class      called without arguments; returns a module, or a pair of a
                                                          module and its inputs (a tensor or a tuple of them)
                                 a module                 taken as it is

Code runs on device ``meta`` first, so that weights take no memory; code that cannot (it needs values) runs once more
as it is written.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import re
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils._pytree import tree_map_only

from memprof.base.errors import InputError, MissingExtraError, UsageError

_NAME = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_TORCHVISION_INPUT = "1x3x224x224"


@dataclass(frozen=True, slots=True)
class Resolved:
    """A module and, if its factory gave them, the inputs to run it on."""

    module: torch.nn.Module
    inputs: tuple[Any, ...] | None


def resolve(name: str, device: str = "meta") -> Resolved:
    """Return the module that ``name`` stands for.

    Args:
        name: "torchvision:resnet18" or "package.module:factory".
        device: Where to make it: ``meta`` for one without memory, ``cpu`` for a real one with random weights.

    Raises:
        UsageError: There is no such package, module or attribute.
        InputError: The code failed, or returned something else.
        MissingExtraError: torchvision is not installed.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} names no module.", "Write torchvision:resnet18 or package.module:factory.")
    package, _, attribute = name.partition(":")
    if package == "torchvision":
        return Resolved(_torchvision(attribute, device), None)
    factory = _look_up(package, attribute)
    if isinstance(factory, torch.nn.Module):
        return Resolved(factory, None)
    if not callable(factory):
        raise InputError(f"{name} is a {type(factory).__name__}, no module and no function that makes one.")
    return _unpack(name, _call(name, factory, device))


def shaped_inputs(
    module: torch.nn.Module, given: tuple[Any, ...] | None, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[Any, ...]:
    """Return the inputs to run ``module`` on, shapes of the caller first.

    Args:
        module: The module; the names of its ``forward``'s parameters name the inputs.
        given: Inputs that came with it, whose element types stay; float32 without them.
        shapes: Shape by name; ``""`` means the first input.

    Raises:
        UsageError: There are no inputs, or a name is not a parameter of ``forward``.
    """
    inputs = list(given or ())
    if not shapes:
        if given is None:
            raise UsageError(
                f"{type(module).__name__} needs an input to run on.",
                f"Add --input {_TORCHVISION_INPUT}, or let the factory return (module, inputs).",
            )
        return tuple(inputs)
    names = [
        parameter.name
        for parameter in inspect.signature(module.forward).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    for name, shape in shapes.items():
        if name and name not in names:
            raise UsageError(
                f"The forward of {type(module).__name__} has no input {name!r}.", f"It has: {', '.join(names)}."
            )
        position = names.index(name) if name else 0
        if position > len(inputs):
            raise UsageError(f"The input before {name!r} has no shape.", f"Add --input {names[len(inputs)]}=...")
        dtype = torch.get_default_dtype()
        if position < len(inputs) and isinstance(inputs[position], torch.Tensor):
            dtype = inputs[position].dtype
        inputs[position : position + 1] = [torch.empty(shape, dtype=dtype, device="meta")]
    return tuple(inputs)


def real_inputs(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return ``inputs`` with data in place of meta tensors: random numbers, zeros where they are whole."""
    return tree_map_only(torch.Tensor, _with_data, inputs)  # type: ignore[no-any-return] # it keeps the tuple


def _with_data(tensor: torch.Tensor) -> torch.Tensor:
    if tensor.device.type != "meta":
        return tensor
    make = torch.randn if tensor.is_floating_point() else torch.zeros
    return make(tensor.shape, dtype=tensor.dtype, device="cpu")


def _torchvision(name: str, device: str) -> torch.nn.Module:
    try:
        from torchvision import models
    except ImportError as error:
        raise MissingExtraError("Looking up a model of torchvision", "torch") from error
    try:
        builder = models.get_model_builder(name)
    except ValueError:
        close = difflib.get_close_matches(name, models.list_models(), n=3)
        raise UsageError(
            f"torchvision has no model {name!r}.",
            f"Did you mean {', '.join(close)}?" if close else "torchvision.models.list_models() names them.",
        ) from None
    bare = {key: None for key in ("weights", "weights_backbone") if key in inspect.signature(builder).parameters}
    return _instance(name, _call(name, lambda: builder(**bare), device))


def _look_up(package: str, attribute: str) -> Any:
    here = str(Path.cwd())
    top = package.partition(".")[0]
    # as "python -m" does, but only for code that lies there: an installed package is found without this folder, in
    # which anything else might lie
    is_here = top not in sys.modules and any(Path(here, name).exists() for name in (top, f"{top}.py"))
    if is_here and here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name and (package == error.name or package.startswith(f"{error.name}.")):
            raise UsageError(f"There is no Python module {package!r} here.", f"Looked in {here} first.") from None
        raise InputError(f"Importing {package} failed: {error}.", "Install what it needs.") from error
    except Exception as error:
        raise InputError(f"Importing {package} failed: {type(error).__name__}: {error}.") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            close = difflib.get_close_matches(part, dir(found), n=3)
            raise UsageError(f"{package} has no {attribute!r}.", f"Did you mean {', '.join(close)}?" if close else "")
        found = getattr(found, part)
    return found


def _call(name: str, factory: Callable[[], Any], device: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with torch.device(device):
                return factory()
        except Exception:  # it may need values; run as written, and then its errors count
            pass
        try:
            return factory()
        except Exception as error:
            raise InputError(
                f"{name} failed: {type(error).__name__}: {error}.", "Call it in Python to see why."
            ) from error


def _unpack(name: str, made: Any) -> Resolved:
    if isinstance(made, tuple) and len(made) == 2:
        module, inputs = made
        return Resolved(_instance(name, module), inputs if isinstance(inputs, tuple) else (inputs,))
    return Resolved(_instance(name, made), None)


def _instance(name: str, made: Any) -> torch.nn.Module:
    if not isinstance(made, torch.nn.Module):
        raise InputError(
            f"{name} returned a {type(made).__name__}.", "It must return a torch.nn.Module, or (module, inputs)."
        )
    return made
