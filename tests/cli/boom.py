"""A command that fails as it is told to; the tests of exit codes register it."""

from __future__ import annotations

import sys
import time

import click

from memprof.base import errors

FAILURES = {
    "usage": lambda: errors.UsageError("No such name.", "Use another."),
    "input": lambda: errors.InputError("The file is broken.", "Export it again."),
    "limit": lambda: errors.LimitError("The file is too deep.", "Flatten it."),
    "runtime": lambda: errors.RuntimeFailure("The runtime crashed.", "Try another."),
    "budget": lambda: errors.BudgetError("It does not fit.", "Raise the budget."),
    "incomplete": lambda: errors.IncompleteError("A size is unknown.", "--dim n=1"),
    "missing-extra": lambda: errors.MissingExtraError("Drawing", "plots"),
    "bug": lambda: KeyError("\x1b[31mkey"),
    "assertion": AssertionError,
    "end of file": lambda: EOFError("truncated"),
    "os without a file": lambda: OSError(5, "Input/output error"),
    "missing file": lambda: FileNotFoundError(2, "No such file or directory", "model\n.onnx"),
    "memory": MemoryError,
    "recursion": lambda: RecursionError("maximum recursion depth exceeded"),
    "interrupt": KeyboardInterrupt,
    "closed pipe": lambda: BrokenPipeError(32, "Broken pipe"),
    "hostile": lambda: errors.InputError("\u202e" + "x" * 10_000_000 + "\nsecond line"),
}


@click.command()
@click.argument("failure")
@click.option("--json", is_flag=True)
def command(failure: str, json: bool) -> int:
    """Fail."""
    if failure == "none":
        return 0
    if failure == "over budget":
        return 1
    if failure == "sleep":
        print("asleep")
        sys.stdout.flush()
        time.sleep(600)
    raise FAILURES[failure]()
