"""Models at the accepted limits, of families of other kinds: in time and in a GiB, or refused by name."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.hostile.attack import SECONDS, attack
from tests.hostile.hostile_corpus import _growing, _shape_additions
from tests.hostile.large_families import FAMILIES

pytestmark = pytest.mark.slow
SEED = 1


@pytest.mark.parametrize("name", FAMILIES)
def test_a_large_model_is_analysed_in_time(tmp_path: Path, name: str) -> None:
    (tmp_path / "net.onnx").write_bytes(FAMILIES[name](random.Random(f"{SEED}/{name}")))

    (answer,) = attack(tmp_path, [["analyze", "net.onnx", "--from-file", "--json"]])

    assert answer.code == 0, answer.stderr or answer.stdout[-400:]
    assert answer.seconds < SECONDS


@pytest.mark.parametrize("make", [_shape_additions, _growing])
def test_ninety_thousand_operations_unlike_all_others_are_refused_early_and_by_name(
    tmp_path: Path, make: object
) -> None:
    (tmp_path / "net.onnx").write_bytes(make(90_000))  # type: ignore[operator]

    (answer,) = attack(tmp_path, [["analyze", "net.onnx", "--json"]])

    assert answer.code == 3
    assert "More than 40000 operations of the model differ from all others" in answer.document["error"]["message"]
    assert answer.seconds < SECONDS
