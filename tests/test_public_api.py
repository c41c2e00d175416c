"""The public names: all there, all documented, resolved late, and no others."""

from __future__ import annotations

import ast
import inspect
import re
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import memprof
from memprof import nas
from memprof.base.errors import MissingExtraError

PACKAGES = (memprof, nas)


def public(package: ModuleType, name: str) -> object:
    """Return what a public name stands for; those of a search need torch."""
    try:
        return getattr(package, name)
    except MissingExtraError as error:
        pytest.skip(str(error))


NAMES = [(package, name) for package in PACKAGES for name in package.__all__]


@pytest.mark.parametrize("package", PACKAGES)
def test_all_is_exactly_what_resolves(package: ModuleType) -> None:
    assert sorted(package.__all__) == sorted(package._HOMES)


@pytest.mark.parametrize(("package", "name"), NAMES)
def test_a_public_name_resolves_to_its_home_and_says_what_it_is(package: ModuleType, name: str) -> None:
    found = public(package, name)
    assert found is getattr(import_module(package._HOMES[name]), name)
    assert (inspect.getdoc(found) or "").strip()


@pytest.mark.parametrize("package", PACKAGES)
def test_type_checkers_see_the_same_names(package: ModuleType) -> None:
    assert package.__file__
    tree = ast.parse(Path(package.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    seen = {
        alias.asname or alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == package._HOMES


@pytest.mark.parametrize("package", PACKAGES)
def test_dir_lists_the_public_names(package: ModuleType) -> None:
    assert set(package.__all__) <= set(dir(package))


@pytest.mark.parametrize("package", PACKAGES)
def test_an_unknown_name_is_an_attribute_error(package: ModuleType) -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nope'"):
        package.nope  # noqa: B018 - the access is the test


def test_no_public_name_of_nas_is_hidden_by_a_module_of_that_name() -> None:
    folder = Path(str(nas.__file__)).parent
    assert not {path.stem for path in folder.iterdir()} & set(nas.__all__)


@pytest.mark.parametrize(("package", "name"), [(package, name) for package, name in NAMES if name[0].islower()])
def test_a_verb_says_what_it_raises_and_its_parameters(package: ModuleType, name: str) -> None:
    verb = public(package, name)
    document = inspect.getdoc(verb) or ""
    for parameter in list(inspect.signature(verb).parameters.values())[1:]:
        assert f"{parameter.name}:" in document


def test_the_version_is_that_of_the_distribution() -> None:
    import tomllib

    project = tomllib.loads((Path(memprof.__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert project["version"] == memprof.__version__


def test_the_page_about_python_names_every_public_name_and_every_exit_code() -> None:
    page = (Path(memprof.__file__).parents[1] / "docs" / "python.md").read_text()
    assert [name for name in memprof.__all__ if f"`{name}`" not in page and f"`{name}(" not in page] == []
    errors = [getattr(memprof, name) for name in memprof.__all__ if name.endswith(("Error", "Failure"))]
    for error in errors:
        if error is not memprof.MemprofError:
            assert f"| `{error.__name__}` | {error.code} |" in page


@pytest.mark.parametrize("name", ["load", "analyze", "plan", "snapshot", "compare", "check", "verify", "bench"])
def test_what_a_verb_returns_and_raises_is_public(name: str) -> None:
    verb = getattr(memprof, name)
    assert set(inspect.signature(verb).return_annotation.split(" | ")) <= set(memprof.__all__)
    raised = (inspect.getdoc(verb) or "").partition("Raises:")[2]
    found = {word for word in re.findall(r"(\w+):", raised) if word.endswith(("Error", "Failure"))}
    assert found
    assert found <= set(memprof.__all__)
