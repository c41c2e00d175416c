"""The C header: it compiles without a warning, its assertions hold the plan, and no name can break out of it."""

from __future__ import annotations

import shutil
import subprocess
from io import StringIO
from pathlib import Path

import pytest

from memprof.exporters.plan_header import write_header
from memprof.planning.offsets.problem import AllocationBuffer, AllocationProblem, MemoryPlan
from memprof.planning.offsets.solver import plan_offsets

NAMES = (
    "conv1/Relu:0",
    "conv1_Relu_0",
    "conv1.relu.0",
    "0",
    "",
    "arena",
    "buffer",
    "int",
    "ünïcode",
    'x"); system("true',
    "*/ int injected; /*",
    "back\\slash\nline\\",
    "what??/",
    "a" * 300,
)
needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler")


def plan_of(*names: str, alignment: int = 16) -> MemoryPlan:
    """Return a plan of buffers with these names."""
    buffers = tuple(
        AllocationBuffer(name=name, start=i, stop=i + 2, size_bytes=10 + i) for i, name in enumerate(names)
    )
    return plan_offsets(AllocationProblem(buffers=buffers, alignment=alignment))


def header_of(plan: MemoryPlan, prefix: str = "net") -> str:
    """Return the header's text."""
    text = StringIO()
    write_header(plan, text, prefix)
    return text.getvalue()


def compile_with(
    folder: Path, header: str, compiler: tuple[str, ...], body: str = ""
) -> subprocess.CompletedProcess[str]:
    """Compile a program that includes the header twice, with every warning an error."""
    (folder / "plan.h").write_text(header, encoding="utf-8")
    source = folder / "main.c"
    source.write_text(
        f'#include "plan.h"\n#include "plan.h"\n#include <stdio.h>\nint main(void) {{{body} return 0;}}\n'
    )
    command = [*compiler, "-Wall", "-Wextra", "-Werror", str(source), "-o", str(folder / "main")]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


@needs_gcc
@pytest.mark.parametrize(
    "compiler", [("gcc", "-std=c11"), ("gcc", "-std=c17", "-pedantic"), ("g++", "-std=c++11", "-x", "c++")]
)
@pytest.mark.parametrize("names", [NAMES, ("one",), ()])
def test_it_compiles_without_a_warning_whatever_the_names(
    tmp_path: Path, compiler: tuple[str, ...], names: tuple[str, ...]
) -> None:
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"no {compiler[0]}")
    done = compile_with(tmp_path, header_of(plan_of(*names)), compiler)
    assert done.returncode == 0, done.stderr


@needs_gcc
def test_a_program_reads_offsets_and_names_as_they_are(tmp_path: Path) -> None:
    plan = plan_of("conv1/Relu:0", 'x"?\n')
    body = (
        'printf("%llu %llu %llu\\n", NET_ARENA_BYTES, NET_CONV1_RELU_0_OFFSET, NET_X_BYTES);'
        "for (unsigned i = 0; i < NET_BUFFER_COUNT; ++i)"
        '  printf("%llu %s|", net_buffers[i].offset, net_buffers[i].name);'
    )
    done = compile_with(tmp_path, header_of(plan), ("gcc", "-std=c11"), body)
    assert done.returncode == 0, done.stderr
    said = subprocess.run([str(tmp_path / "main")], capture_output=True, text=True, timeout=600, check=True).stdout
    first, second = plan.offsets
    assert said == f'{plan.arena_bytes} {first} 11\n{first} conv1/Relu:0|{second} x"?\n|'


@needs_gcc
@pytest.mark.parametrize(("offset", "message"), [(32, "outside the arena"), (8, "misaligned")])
def test_its_assertions_stop_an_edited_plan(tmp_path: Path, offset: int, message: str) -> None:
    header = header_of(plan_of("one", "two"))
    edited = header.replace("#define NET_TWO_OFFSET 16ull", f"#define NET_TWO_OFFSET {offset}ull")
    edited = edited.replace("#define NET_TWO_OFFSET 0ull", f"#define NET_TWO_OFFSET {offset}ull")
    assert edited != header
    done = compile_with(tmp_path, edited, ("gcc", "-std=c11"))
    assert done.returncode != 0
    assert message in done.stderr


def test_names_that_become_one_identifier_get_a_number() -> None:
    header = header_of(plan_of("a.b", "a/b", "a_b_2", "a:b"))
    macros = [line.split()[1] for line in header.splitlines() if line.startswith("#define") and "_OFFSET" in line]
    assert macros == ["NET_A_B_OFFSET", "NET_A_B_2_OFFSET", "NET_A_B_2_2_OFFSET", "NET_A_B_3_OFFSET"]


def test_the_prefix_is_made_an_identifier() -> None:
    assert "#define B3D_NET_V1_ARENA_BYTES" in header_of(plan_of("x"), "3d net-v1")
