"""Flags that several commands share, and how their values are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import click

from memprof.errors import UsageError

_Function = TypeVar("_Function", bound=Callable[..., Any])
_NUMBER = re.compile(r"[0-9]{1,18}")
_SHAPE = re.compile(r"[0-9]{1,18}(?:[x,][0-9]{1,18})*")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON: bytes as integers, unknown as null.")


runtime_option = click.option(
    "--runtime", multiple=True, metavar="NAME", help="Runtime model; the first leads. Repeatable."
)


def binding_options(command: _Function) -> _Function:
    """Add the flags that settle open dimensions: ``dim`` and ``input_shape``."""
    for decorate in (
        click.option(
            "--input",
            "input_shape",
            metavar="[NAME=]1x3x224x224",
            multiple=True,
            help="Shape of a graph input; the name may be left out if there is one. Repeatable.",
        ),
        click.option(
            "--dim", metavar="NAME=N", multiple=True, help="Size of a named dimension: batch=1. Repeatable."
        ),
    ):
        command = decorate(command)
    return command


def model_options(command: _Function) -> _Function:
    """Add MODEL and the flags that settle its open dimensions: ``model``, ``dim``, ``input_shape``."""
    return click.argument("model")(binding_options(command))


def parse_dims(texts: Iterable[str]) -> dict[str, int]:
    """Return the sizes of named dimensions.

    Raises:
        UsageError: A text is not NAME=N, or one name has two sizes.

    >>> parse_dims(["batch=1", "seq=128"])
    {'batch': 1, 'seq': 128}
    """
    found: dict[str, int] = {}
    for text in texts:
        name, _, size = text.rpartition("=")
        if not name or not _NUMBER.fullmatch(size):
            raise UsageError(f"--dim {text} is not NAME=N.", "Write --dim batch=1.")
        if found.setdefault(name, int(size)) != int(size):
            raise UsageError(f"--dim gives {name!r} two sizes.", "Give each dimension once.")
    return found


def parse_input_shapes(texts: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of graph inputs; the key of one without a name is ``""``.

    Raises:
        UsageError: A text is not [NAME=]DIMxDIM..., or one input has two shapes.

    >>> parse_input_shapes(["1x3x224x224", "mask=1x128"])
    {'': (1, 3, 224, 224), 'mask': (1, 128)}
    """
    found: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, _, dims = text.rpartition("=")
        if not _SHAPE.fullmatch(dims):
            raise UsageError(f"--input {text} is not a shape.", "Write --input 1x3x224x224 or --input NAME=1x128.")
        shape = tuple(int(dim) for dim in re.split("[x,]", dims))
        if found.setdefault(name, shape) != shape:
            raise UsageError(f"--input gives {name or 'the input'!r} two shapes.", "Give each input once.")
    return found


def pick_one(flags: Mapping[str, bool]) -> str | None:
    """Return the flag that is set, ``None`` if none is.

    Raises:
        UsageError: More than one is set.
    """
    chosen = [name for name, is_set in flags.items() if is_set]
    if len(chosen) > 1:
        raise UsageError(
            f"{' and '.join(chosen)} exclude each other.", "Give one of them; -o FILE writes the others."
        )
    return chosen[0] if chosen else None


def repeat_flags(flags: Mapping[str, Iterable[str]]) -> list[str]:
    """Return repeatable flags as the arguments they were.

    >>> repeat_flags({"--dim": ["batch=1", "seq=8"]})
    ['--dim', 'batch=1', '--dim', 'seq=8']
    """
    return [word for name, values in flags.items() for value in values for word in (name, value)]
