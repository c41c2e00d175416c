"""The JSON Schema files of the package as judges: stricter than they are for readers, who may meet newer fields."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

import memprof

FOLDER = Path(memprof.__file__).parent / "schemas"


def check_document(document: Any) -> None:
    """Fail unless ``document`` is what the schema that it names says, and holds nothing besides."""
    _validator(document["schema"]).validate(document)


@cache
def _validator(schema: str) -> Draft202012Validator:
    family, _, version = schema.removeprefix("memprof/").rpartition("/")
    found = json.loads((FOLDER / f"{family}-{version}.json").read_text())
    Draft202012Validator.check_schema(found)
    return Draft202012Validator(_close(found))


def _close(schema: Any) -> Any:
    """Return ``schema`` so that an object holds no field that it does not name."""
    if isinstance(schema, list):
        return [_close(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _close(item) for key, item in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed
