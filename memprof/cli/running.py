"""Flags of the commands that run a model in a child process: its limits, and what its inputs hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from memprof.errors import UsageError
from memprof.units import parse_bytes

if TYPE_CHECKING:
    from memprof.measure.child import Limits

_Function = TypeVar("_Function", bound=Callable[..., Any])


def run_options(command: _Function) -> _Function:
    """Add the flags of a run: ``timeout``, ``memory_limit``, ``value``."""
    for decorate in (
        click.option(
            "--value",
            metavar="NAME=X",
            multiple=True,
            help="Fill an input with one number instead of random ones: sr=16000. Repeatable.",
        ),
        click.option(
            "--memory-limit", metavar="BYTES", help="What the run may allocate: 4GB. [default: 90 % of RAM]"
        ),
        click.option(
            "--timeout", type=float, default=600.0, show_default=True, metavar="SECONDS", help="How long it may take."
        ),
    ):
        command = decorate(command)
    return command


def parse_limits(timeout: float, memory_limit: str | None) -> Limits:
    """Return the limits of the child process.

    Raises:
        UsageError: A limit is not above zero, or is no amount of bytes.
    """
    from memprof.measure.child import Limits

    return Limits(seconds=timeout, memory_bytes=None if memory_limit is None else parse_bytes(memory_limit))


def parse_values(texts: Iterable[str]) -> dict[str, float]:
    """Return what single inputs are filled with.

    Raises:
        UsageError: A text is not NAME=NUMBER.

    >>> parse_values(["sr=16000"])
    {'sr': 16000.0}
    """
    found: dict[str, float] = {}
    for text in texts:
        name, _, number = text.rpartition("=")
        try:
            found[name] = float(number)
        except ValueError as error:
            raise UsageError(f"--value {text} is not NAME=NUMBER.", "Write --value sr=16000.") from error
        if not name:
            raise UsageError(f"--value {text} is not NAME=NUMBER.", "Write --value sr=16000.")
    return found
