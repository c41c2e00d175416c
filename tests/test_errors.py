"""The exception tree: one exit code each, facts as fields, and nothing that harms a terminal."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from memprof.base import errors
from memprof.base.distribution import install_command
from memprof.base.errors import (
    BudgetError,
    ChangedError,
    IncompleteError,
    InputError,
    LimitError,
    MemprofError,
    MissingExtraError,
    RuntimeFailure,
    UsageError,
)

CODES = {
    UsageError: 2,
    InputError: 3,
    LimitError: 3,
    ChangedError: 3,
    RuntimeFailure: 3,
    BudgetError: 1,
    IncompleteError: 4,
    MissingExtraError: 5,
}


def test_every_error_has_its_exit_code_and_a_kind_of_its_own() -> None:
    public = {e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, MemprofError)}
    assert public == {*CODES, MemprofError}
    assert {error: error.code for error in CODES} == CODES
    kinds = [error.kind for error in CODES]
    assert len(set(kinds)) == len(kinds)


def test_the_tree_is_drawn_as_it_is() -> None:
    drawing = str(errors.__doc__)
    for error, code in CODES.items():
        (line,) = [line for line in drawing.splitlines() if f" {error.__name__} " in line]
        assert line.split(error.__name__)[1].split()[0] == str(code)
        parent = error.__mro__[1]
        assert (parent is InputError) == line.startswith("    │   ")


def test_an_error_carries_what_went_wrong_and_what_to_do() -> None:
    error = InputError("model.onnx is empty.", "Export it again.")
    assert (error.message, error.hint, str(error)) == (
        "model.onnx is empty.",
        "Export it again.",
        "model.onnx is empty.",
    )


def test_text_from_a_model_cannot_reach_the_terminal_raw() -> None:
    error = UsageError("no tensor \x1b[2J\u202e", "x" * 5000)
    assert error.message == "no tensor \\x1b[2J\\u202e"
    assert len(error.hint) == 2000


def test_a_missing_extra_says_what_to_install() -> None:
    error = MissingExtraError("Training", "nas")
    assert error.extra == "nas"
    assert error.hint == install_command("nas")
    assert error.message.startswith("Training needs")


@pytest.mark.parametrize("error", [LimitError("x"), InputError("x")])
def test_a_limit_is_an_input_error(error: MemprofError) -> None:
    assert isinstance(error, InputError)


def every_class(kind: type[MemprofError] = MemprofError) -> list[type[MemprofError]]:
    """Return an error and all that derive from it, of this file too."""
    return [kind, *(found for child in kind.__subclasses__() for found in every_class(child))]


class OwnArgumentsError(InputError):
    """An error whose arguments are keywords of its own."""

    def __init__(self, *, path: str, line: int) -> None:
        self.path, self.line = path, line
        super().__init__(f"{path}, line {line}: nothing fits.", "Mend it.")


ARGUMENTS: dict[type[MemprofError], Callable[[], MemprofError]] = {
    ChangedError: lambda: ChangedError("net.onnx"),
    MissingExtraError: lambda: MissingExtraError("Training", "nas"),
    OwnArgumentsError: lambda: OwnArgumentsError(path="a.csv", line=3),
}
COPIES: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda error: pickle.loads(pickle.dumps(error)),
    "oldest pickle": lambda error: pickle.loads(pickle.dumps(error, 0)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("name", COPIES)
@pytest.mark.parametrize("kind", every_class())
def test_every_error_pickles_and_copies_as_it_is(kind: type[MemprofError], name: str) -> None:
    error = ARGUMENTS.get(kind, lambda: kind("It is empty \x1b.", "Export it again."))()
    error.add_note("while reading a.onnx")
    found = COPIES[name](error)
    assert type(found) is kind
    assert found is not error
    assert (str(found), found.args, vars(found)) == (str(error), error.args, vars(error))
    assert (found.message, found.hint, found.code, found.kind) == (error.message, error.hint, kind.code, kind.kind)
    found.add_note("and again")
    assert name == "copy" or len(error.__notes__) == 1
