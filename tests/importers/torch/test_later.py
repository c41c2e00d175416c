"""A package that is put off answers what is told of it, gives its modules, and is imported for anything else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch")

from memprof.importers.torch.later import arrive, put_off


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    folder = tmp_path / "slow_package"
    folder.mkdir()
    (folder / "__init__.py").write_text("from slow_package import part\nWHOLE = 'whole'\nNAME = 'its own'\n")
    (folder / "part.py").write_text("from slow_package import other\nPART = 'part'\n")
    (folder / "other.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    yield "slow_package"
    for name in [name for name in sys.modules if name.startswith("slow_package")]:
        del sys.modules[name]


def test_modules_and_what_is_told_need_no_import_of_the_package(package: str) -> None:
    later = put_off(package, {"NAME": lambda: "told"})
    import slow_package  # type: ignore[import-not-found] # made by the fixture
    from slow_package import part
    from slow_package.part import PART

    assert slow_package is later
    assert (slow_package.NAME, PART, part.other) == ("told", "part", sys.modules["slow_package.other"])
    assert "WHOLE" not in vars(slow_package)


def test_what_nothing_tells_is_imported_as_ever(package: str) -> None:
    later = put_off(package, {})
    from slow_package import WHOLE
    from slow_package import part as before

    assert WHOLE == "whole"
    assert sys.modules[package] is not later
    assert later is not None
    assert later.NAME == "its own"
    assert sys.modules[package].part is before
    with pytest.raises(AttributeError, match="nothing"):
        _ = later.nothing


def test_it_arrives_when_it_is_called_for(package: str) -> None:
    later = put_off(package, {"NAME": lambda: "told"})
    assert later is not None
    arrive(later)
    arrive(later)
    assert sys.modules[package].NAME == "its own"


def test_what_is_missing_or_there_already_is_not_put_off(package: str) -> None:
    assert put_off("no_such_package", {}) is None
    assert put_off("sys", {}) is None
    put_off(package, {})
    assert put_off(f"{package}.no_such_part", {}) is None
