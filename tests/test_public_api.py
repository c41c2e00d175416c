"""The public names: all there, all documented, resolved late, and no others."""

from __future__ import annotations

import ast
import inspect
from importlib import import_module
from pathlib import Path

import pytest

import memprof


def test_all_is_exactly_what_resolves() -> None:
    assert sorted(memprof.__all__) == sorted(memprof._HOMES)


@pytest.mark.parametrize("name", memprof.__all__)
def test_a_public_name_resolves_to_its_home_and_says_what_it_is(name: str) -> None:
    found = getattr(memprof, name)
    assert found is getattr(import_module(memprof._HOMES[name]), name)
    assert (inspect.getdoc(found) or "").strip()


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(memprof.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    seen = {
        alias.asname or alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == memprof._HOMES


def test_dir_lists_the_public_names() -> None:
    assert set(memprof.__all__) <= set(dir(memprof))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nope'"):
        memprof.nope  # noqa: B018 - the access is the test


@pytest.mark.parametrize("name", [name for name in memprof.__all__ if name[0].islower()])
def test_a_verb_says_what_it_raises_and_its_parameters(name: str) -> None:
    verb = getattr(memprof, name)
    document = inspect.getdoc(verb) or ""
    for parameter in list(inspect.signature(verb).parameters.values())[1:]:
        assert f"{parameter.name}:" in document


def test_the_version_is_that_of_the_distribution() -> None:
    import tomllib

    project = tomllib.loads((Path(memprof.__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert project["version"] == memprof.__version__
