"""Every exception that ends the program -> one message, one hint and one exit code. The only place that does this.

    code  kind                          what
    1     budget                        a budget proven impossible, or a promise that does not hold
    2     usage                         the call
    3     input, limit, runtime         the model
    4     incomplete                    something stayed unknown and ``--strict`` was asked for
    5     missing-extra                 an optional dependency is not installed
    70    bug                           our fault: one line, and the traceback under ``MEMPROF_DEBUG=1``
    130   interrupted                   Ctrl-C
    143   interrupted                   SIGTERM; 129: SIGHUP

Without ``--json`` a failure is one or two lines on stderr, folded for a terminal; with it, one document on stdout.
"""

from __future__ import annotations

import errno
import os
import sys
from dataclasses import dataclass

import click

from memprof.base.distribution import extra_of
from memprof.base.errors import MemprofError, MissingExtraError
from memprof.base.text import safe_text
from memprof.base.units import format_bytes
from memprof.cli.output import fold, print_quietly
from memprof.cli.signals import Terminated
from memprof.render.json import format_document

BUG_CODE = 70
ERROR_SCHEMA = "memprof/error/1"
DEBUG_VARIABLE = "MEMPROF_DEBUG"
_FULL = tuple(getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG") if hasattr(errno, name))
_NO_ROOM = ("failed to map segment", "cannot allocate memory")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why the program ends without a result.

    Attributes:
        code: The exit code.
        kind: One word for programs.
        message: What went wrong, where and why.
        hint: What to do next; may be empty.
    """

    code: int
    kind: str
    message: str
    hint: str = ""


def describe_failure(error: BaseException) -> Failure:
    """Return what ``error`` means to the person who ran the program."""
    for kinds, describe in _DESCRIPTIONS:
        if isinstance(error, kinds):
            return describe(error)
    return _describe_bug(error)


def print_failure(failure: Failure, *, as_json: bool, error: BaseException | None = None) -> None:
    """Write ``failure`` where the caller looks for it: stdout as JSON, else stderr."""
    if error is not None and os.environ.get(DEBUG_VARIABLE) == "1":
        import traceback

        traceback.print_exception(error, file=sys.stderr)
    if as_json:
        document = {
            "schema": ERROR_SCHEMA,
            "error": {
                "code": failure.code,
                "kind": failure.kind,
                "message": failure.message,
                "hint": failure.hint,
            },
        }
        print_quietly(format_document(document).rstrip(), sys.stdout)
        return
    for title, text in (("error: ", failure.message), ("hint: ", failure.hint)):
        if text:
            print_quietly(fold(f"{title}{text}", sys.stderr, len(title)), sys.stderr)


def _describe_known(error: BaseException) -> Failure:
    assert isinstance(error, MemprofError)
    return Failure(code=error.code, kind=error.kind, message=error.message, hint=error.hint)


def _describe_missing(error: BaseException) -> Failure:
    assert isinstance(error, ModuleNotFoundError)
    extra = extra_of(error)
    return _describe_bug(error) if extra is None else _describe_known(MissingExtraError("This command", extra))


def _describe_usage(error: BaseException) -> Failure:
    assert isinstance(error, click.ClickException)
    ctx = getattr(error, "ctx", None)
    command = ctx.command_path if ctx is not None else "memprof"
    is_help = type(error).__name__ == "NoArgsIsHelpError"  # its message would be the whole help text
    message = "A command is missing." if is_help else safe_text(error.format_message(), limit=2000)
    return Failure(code=2, kind="usage", message=message, hint=f"{command} --help shows what is possible.")


def _describe_interrupt(error: BaseException) -> Failure:
    return Failure(code=130, kind="interrupted", message="Interrupted.")


def _describe_termination(error: BaseException) -> Failure:
    assert isinstance(error, Terminated)
    return Failure(code=128 + error.number, kind="interrupted", message=f"Ended by {error}.")


def _describe_exhaustion(error: BaseException) -> Failure:
    allowed = allowed_bytes() if isinstance(error, MemoryError) else None
    if allowed is not None:
        return Failure(
            code=3,
            kind="limit",
            message=f"memprof ran out of memory: this process may take {format_bytes(allowed)}.",
            hint="Allow it more (ulimit -v, ulimit -d), or check that the input is what you meant.",
        )
    what = "memory" if isinstance(error, MemoryError) else "stack"
    return Failure(
        code=3,
        kind="limit",
        message=f"The input is too large or nested too deep: memprof ran out of {what}.",
        hint="Check that the file is what you meant; a real model needs far less.",
    )


def _describe_import(error: BaseException) -> Failure:
    """Libraries that do not fit a limit of memory are told in the words of whatever loads them."""
    is_for_memory = any(words in str(error).lower() for words in _NO_ROOM)
    return _describe_exhaustion(MemoryError()) if is_for_memory else _describe_bug(error)


def allowed_bytes() -> int | None:
    """Return the memory that the system lets this process have, ``None`` if it sets no limit."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return None
    limits = [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)]
    return min((limit for limit in limits if limit != resource.RLIM_INFINITY), default=None)


def is_full(error: BaseException) -> bool:
    """Tell whether the place that output goes to takes no more."""
    return isinstance(error, OSError) and error.filename is None and error.errno in _FULL


def _describe_os_error(error: BaseException) -> Failure:
    assert isinstance(error, OSError)
    if is_full(error):
        return Failure(
            code=2,
            kind="usage",
            message=f"Cannot write the result to stdout: {error.strerror}.",
            hint="Make room there.",
        )
    if error.filename is None:
        return _describe_bug(error)
    name = safe_text(os.fsdecode(error.filename) if not isinstance(error.filename, int) else str(error.filename))
    return Failure(
        code=3,
        kind="input",
        message=f"Cannot use {name}: {error.strerror}.",
        hint="Check the path and its permissions.",
    )


def _describe_bug(error: BaseException) -> Failure:
    text = safe_text(str(error), limit=500)
    name = type(error).__name__
    return Failure(
        code=BUG_CODE,
        kind="bug",
        message=f"memprof failed where it should not: {name}{': ' + text if text else ''}. Please report this.",
        hint=f"{DEBUG_VARIABLE}=1 shows where it happened; that and the command are what we need.",
    )


_DESCRIPTIONS = (
    (MemprofError, _describe_known),
    (ModuleNotFoundError, _describe_missing),
    (ImportError, _describe_import),
    (click.exceptions.Abort, _describe_interrupt),
    (click.ClickException, _describe_usage),
    (Terminated, _describe_termination),
    (KeyboardInterrupt, _describe_interrupt),
    ((MemoryError, RecursionError), _describe_exhaustion),
    (OSError, _describe_os_error),
)
"""First match wins; what is in no row is a bug of ours."""
