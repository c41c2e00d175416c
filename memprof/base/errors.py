"""Every exception memprof raises on purpose, in one tree. Anything else that escapes is a bug of ours.

    MemprofError                 code  whose fault, what next
    ├── UsageError                 2   the call: a flag, name or value that does not fit
    ├── InputError                 3   the input: missing, unreadable, invalid
    │   ├── LimitError             3   the input asks for more than a safety limit allows
    │   └── ChangedError           3   a file is another than it was a moment before
    ├── RuntimeFailure             3   a runtime that was asked to run the model crashed, hung or ran out
    ├── BudgetError                1   a budget that is proven impossible, or a promise that does not hold
    ├── IncompleteError            4   something stayed unknown and ``--strict`` was asked for
    └── MissingExtraError          5   an optional dependency is not installed

Lives here: the tree, and nothing that formats for a terminal. ``code`` is the exit code of the program.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from memprof.base.text import safe_text


class MemprofError(Exception):
    """What went wrong, where, and what to do about it.

    Args:
        message: One sentence: what, where and why.
        hint: One sentence: what to do next. May be empty.
    """

    code: ClassVar[int] = 70
    kind: ClassVar[str] = "error"

    def __init__(self, message: str, hint: str = "") -> None:
        self.message = safe_text(message, limit=2000)
        self.hint = safe_text(hint, limit=2000)
        super().__init__(self.message)

    def __reduce__(self) -> tuple[Any, ...]:
        """Say how a copy is made: without ``__init__``, whose arguments are each class's own, from the fields."""
        return _restore, (type(self), self.args, self.__dict__)


def _restore(kind: type[MemprofError], arguments: tuple[Any, ...], fields: Mapping[str, Any]) -> MemprofError:
    """Return the error of a pickle: its text and its fields as they were."""
    error = kind.__new__(kind, *arguments)
    error.__dict__.update(fields)
    return error


class UsageError(MemprofError):
    """The call does not fit: an unknown flag, runtime or tensor name, a value out of range."""

    code = 2
    kind = "usage"


class InputError(MemprofError):
    """The input is missing, unreadable or invalid."""

    code = 3
    kind = "input"


class LimitError(InputError):
    """The input asks for more than a safety limit allows."""

    kind = "limit"


class ChangedError(InputError):
    """A file is another than it was when it was read first, so that two answers would be for two files."""

    kind = "changed"

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} changed while it was read.", "Try again.")


class RuntimeFailure(MemprofError):  # noqa: N818 - "RuntimeError" is taken and means something else
    """A runtime that was asked to run the model crashed, hung or ran out of memory."""

    code = 3
    kind = "runtime"


class BudgetError(MemprofError):
    """A budget is proven impossible, or an exactness that was required does not hold."""

    code = 1
    kind = "budget"


class IncompleteError(MemprofError):
    """Something stayed unknown and the caller asked for completeness."""

    code = 4
    kind = "incomplete"


class MissingExtraError(MemprofError):
    """An optional dependency is not installed.

    Args:
        feature: What the caller wanted to do.
        extra: The extra of the distribution that brings it.
    """

    code = 5
    kind = "missing-extra"

    def __init__(self, feature: str, extra: str) -> None:
        from memprof.base.distribution import install_command

        self.feature, self.extra = feature, extra
        super().__init__(
            f"{feature} needs an optional dependency that is not installed.",
            install_command(extra),
        )
