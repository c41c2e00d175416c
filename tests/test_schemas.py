"""Every document has a schema file, every file is a schema, and the judge that the other tests use can say no."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator, ValidationError

from memprof import analyze
from tests.render.graphs import chain
from tests.schemas import FOLDER, check_document

ROOT = Path(__file__).parents[1]
FILES = sorted(FOLDER.glob("*.json"))


def names_in_the_code() -> set[str]:
    sources = "\n".join(path.read_text() for path in (ROOT / "memprof").rglob("*.py"))
    return set(re.findall(r'"(memprof/[a-z-]+/[0-9]+)"', sources))


def names_of_files() -> set[str]:
    return {"memprof/{}/{}".format(*path.stem.rsplit("-", 1)) for path in FILES}


def test_each_schema_that_the_code_names_has_a_file_and_the_other_way_round() -> None:
    older = {"memprof/analysis/1"}  # read, no longer written
    assert names_in_the_code() - older == names_of_files()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_is_a_schema_that_names_its_document(path: Path) -> None:
    found = json.loads(path.read_text())
    Draft202012Validator.check_schema(found)
    family, _, version = path.stem.rpartition("-")
    assert found["$id"] == f"urn:memprof:{family}:{version}"
    assert found["properties"]["schema"] == {"const": f"memprof/{family}/{version}"}
    assert found["title"]


def test_the_files_are_part_of_the_package_and_of_the_page_about_them() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "schemas/*.json" in project["tool"]["setuptools"]["package-data"]["memprof"]
    page = (ROOT / "docs" / "schemas.md").read_text()
    assert {name for name in names_of_files() if name not in page} == set()


def test_the_judge_refuses_a_wrong_type_a_missing_field_and_one_too_many() -> None:
    document = analyze(chain([1, 2, 3])).to_json()
    check_document(document)
    for change in (
        {"headline": 3},
        {"surprise": 1},
        {"model": {**document["model"], "nodes": -1}},
        {"model": {**document["model"], "colour": "red"}},
    ):
        with pytest.raises(ValidationError):
            check_document({**document, **change})
    with pytest.raises(ValidationError):
        check_document({key: value for key, value in document.items() if key != "graphs"})
