"""Candidates as litert-torch 0.10 converted them and ai-edge-quantizer 0.10 quantised them: the arena is foreseen.

``converted.json`` holds random candidates, and of the file that the converter wrote for each the head, exact, the
arena and its length. What is foreseen from the candidate alone is held against it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from memprof import tflm_arena
from memprof.base.errors import UsageError
from memprof.nas.space.architecture import Architecture
from memprof.nas.space.budget import Budget
from memprof.nas.space.footprint import deployed
from memprof.nas.space.screening import is_within, measure

CONVERTED: list[dict[str, Any]] = json.loads(Path(__file__).with_name("converted.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_the_head_is_that_of_the_converted_file(dtype: str) -> None:
    for row in CONVERTED:
        arena = tflm_arena(deployed(Architecture.from_json(row["architecture"]), dtype), dtype)
        found = row[dtype]
        if dtype == "int8" and row.get("scales_meet"):
            # what is joined and the result happen to have one scale, so that nothing was quantised once more
            assert arena.head_bytes > found["head_bytes"]
            continue
        assert arena.head_bytes == found["head_bytes"]
        assert arena.arena_bytes == pytest.approx(found["arena_bytes"], rel=0.08)  # the tail is an estimate
        assert arena.file_bytes == pytest.approx(found["file_bytes"], rel=0.25)  # and so is all but the weights


def test_a_budget_judges_the_arena_before_anything_is_trained() -> None:
    architecture = Architecture.from_json(CONVERTED[0]["architecture"])
    arena = measure(architecture, Budget(runtime="tflm", dtype="int8")).peak_intermediate_bytes

    assert arena == tflm_arena(deployed(architecture, "int8"), "int8").arena_bytes
    for limit, fits in ((arena, True), (arena - 1, False)):
        budget = Budget(runtime="tflm", dtype="int8", peak_bytes=limit)
        assert is_within(measure(architecture, budget), budget) is fits


def test_kernels_with_scratch_of_their_own_take_more() -> None:
    architecture = Architecture.from_json(CONVERTED[0]["architecture"])
    portable, cmsis = (
        measure(architecture, Budget(runtime="tflm", dtype="int8", kernels=kernels)).peak_intermediate_bytes
        for kernels in ("portable", "cmsis-nn")
    )
    assert cmsis > portable


def test_what_nothing_converts_is_no_budget() -> None:
    with pytest.raises(UsageError, match="converts"):
        Budget(runtime="tflm", dtype="float16")
    with pytest.raises(UsageError, match="no kernels"):
        Budget(runtime="tflm", kernels="fast")
