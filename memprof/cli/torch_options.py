"""Flags for PyTorch modules and .pt2 files: commands that read models take them all and pass them on unread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from memprof.importers.torch.training import OPTIMIZER_NAMES, Training

_Function = TypeVar("_Function", bound=Callable[..., Any])
_KEY = "memprof.torch"


def torch_options(command: _Function) -> _Function:
    """Add ``--training``, ``--optimizer``, ``--device``, ``--trust``; ``torch_arguments`` returns what was given."""
    for decorate in (
        _option("--trust", is_flag=True, help="Read a .pt2 file with PyTorch's own loader, which runs code in it."),
        _option("--device", type=click.Choice(["cpu", "cuda"]), help="Where a PyTorch module is to run; cpu."),
        _option("--optimizer", type=click.Choice(OPTIMIZER_NAMES), help="Its step too; implies --training."),
        _option("--training", is_flag=True, help="A PyTorch module's forward and backward pass, not inference."),
    ):
        command = decorate(command)
    return command


def torch_arguments() -> dict[str, Any]:
    """Return the arguments of ``memprof.analyze`` that the flags of the running command stand for."""
    given = click.get_current_context().meta.get(_KEY, {})
    optimizer = given.get("optimizer")
    training = Training(optimizer) if optimizer or given.get("training") else None
    return {"training": training, "device": given.get("device") or "cpu", "trust": bool(given.get("trust"))}


def torch_flags() -> list[str]:
    """Return the flags as they were given, to be repeated in a command that is suggested."""
    given = click.get_current_context().meta.get(_KEY, {})
    words: list[str] = []
    for name, value in given.items():
        if value:
            words += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    return words


def _option(flag: str, **settings: Any) -> Callable[[_Function], _Function]:
    return click.option(flag, expose_value=False, callback=_keep, **settings)


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    assert parameter.name is not None, "every flag has a name"
    context.meta.setdefault(_KEY, {})[parameter.name] = value
