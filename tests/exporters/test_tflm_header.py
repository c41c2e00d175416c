"""The plan for TensorFlow Lite Micro's planner shim as C++: it compiles, and a program reads the addresses back."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from memprof.exporters.tflm_header import header_text
from memprof.importers.tflite import read_tflite
from memprof.planning.tflm import TflmPlan, plan_program
from tests import tflite_models as make

INCLUDED = "tensorflow/lite/micro/memory_planner/memory_plan_struct.h"

STAND_IN = """
#pragma once
#include <cstddef>
#include <cstdint>
namespace tflite {
struct BufferDescriptor { int32_t offset; };
struct BufferPlan { int32_t buffer_count; BufferDescriptor buffer_plan_entries[1]; };
constexpr std::size_t SizeOfBufferPlan(int32_t count) {
  return sizeof(BufferPlan) + sizeof(BufferDescriptor) * (count > 1 ? count - 1 : 0);
}
}
"""
"""What the runtime's header declares, in so many words: two structs and the size of a plan."""

PROGRAM = """
#include "plan.h"
#include "plan.h"
#include <cstdio>
int main() {
  const tflite::BufferPlan* plan = %s_plan();
  for (int i = 0; i < plan->buffer_count; ++i) std::printf("%%d ", (int)(&plan->buffer_plan_entries[0])[i].offset);
  std::printf("%%d", (int)k_%s_head_bytes);
}
"""


def planned(tmp_path: Path, *sizes: int) -> TflmPlan:
    path = tmp_path / "m.tflite"
    path.write_bytes(make.chain(*sizes))
    program = read_tflite(path, dims={}, inputs={}).graph.program
    assert program is not None
    return plan_program(program, 1, keep_order=True)


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
@pytest.mark.parametrize(("title", "name"), [("m", "m"), ('2 "x"*/', "model_2_x")])
def test_a_program_reads_the_addresses_as_they_were_planned(tmp_path: Path, title: str, name: str) -> None:
    plan = planned(tmp_path, 64, 300, 7, 64)
    header = tmp_path / INCLUDED
    header.parent.mkdir(parents=True)
    header.write_text(STAND_IN)
    (tmp_path / "plan.h").write_text(header_text(plan, title))
    (tmp_path / "main.cc").write_text(PROGRAM % (name, name))
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{tmp_path}"]
    command = ["g++", *flags, str(tmp_path / "main.cc"), "-o", str(tmp_path / "main")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr

    said = subprocess.run([str(tmp_path / "main")], capture_output=True, text=True, timeout=600, check=True).stdout
    assert [int(word) for word in said.split()] == [*plan.arena.offsets, plan.head_bytes]


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_a_plan_that_was_cut_does_not_compile(tmp_path: Path) -> None:
    text = header_text(planned(tmp_path, 64, 300, 7, 64), "m")
    cut = text.replace("k_m_buffer_count = 4", "k_m_buffer_count = 400")
    assert cut != text
    header = tmp_path / INCLUDED
    header.parent.mkdir(parents=True)
    header.write_text(STAND_IN)
    (tmp_path / "plan.h").write_text(cut)
    (tmp_path / "main.cc").write_text(PROGRAM % ("m", "m"))
    command = ["g++", "-std=c++17", f"-I{tmp_path}", "-fsyntax-only", str(tmp_path / "main.cc")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode != 0
    assert "shorter than its count" in done.stderr
