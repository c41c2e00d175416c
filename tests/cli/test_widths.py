"""What is printed fits into 80 columns: text and errors; commands and single words that are longer stay whole."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from rich.cells import cell_len

from memprof.cli import COMMANDS
from tests.cli.conftest import Run, write_chain, write_counting
from tests.tflite_models import chain

COLUMNS = 80
LONG = "a_name_that_a_converter_made_of_all_scopes_around_an_operation/and_of_its_own_too/at_some_length"

SITUATIONS = (
    "analyze net.onnx",
    "analyze net.onnx --why --modules 2",
    "analyze long.onnx --why",
    "analyze open.onnx",
    "analyze dynamic.onnx --sweep batch=1..4",
    "analyze dynamic.onnx --sweep batch=1..3 --sweep 250=1..3",
    "analyze net.tflite --why",
    "analyze net.tflite --board nrf52-dk",
    "analyze missing.onnx",
    "analyze net.onnx --strict --dim nothing_of_this_name_is_in_the_model=3",
    "analyze net.onnx --input another_input_that_the_model_has_not=float32:1x3x224x224",
    "analyze net.onnx --runtime a_runtime_that_there_is_not",
    "analyze net.onnx --json --csv",
    "analyze text.txt",
    "analyze no_such_package_of_anybody:factory",
    "analyze dynamic.onnx --sweep nothing=1..4",
    "plan net.onnx",
    "plan long.onnx --in-place",
    "plan dynamic.onnx",
    "plan net.onnx --budget 1B",
    "plan net.tflite",
    "fit dynamic.onnx --ram 1MB",
    "fit dynamic.onnx --ram 1B",
    "fit net.onnx --ram 1MB",
    "compare net.onnx long.onnx",
    "compare net.onnx dynamic.onnx",
    "check net.onnx --max-peak 1",
    "check net.onnx",
    "check dynamic.onnx --max-peak 1MB --strict",
    "check net.tflite --board nrf52-dk",
    "check net.tflite --board no_board_of_this_name",
    "boards",
    "boards net.tflite",
    "verify strange.onnx",
    "bench strange.onnx",
    "doctor",
    "nas status missing",
    "nas search --dataset nothing_that_is_known --rounds 1 -o run",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("widths")
    write_chain(found / "net.onnx", ["Relu", "Sigmoid"], [1, 250])
    names = [f"{LONG}/{i}" for i in range(4)]
    write_chain(found / "long.onnx", ["Relu", "Sigmoid", "Exp"], [1, 250], names)
    write_chain(found / "dynamic.onnx", ["Relu", "Sigmoid"], ["batch", 250])
    write_chain(found / "strange.onnx", ["Relu", "Strange"], [1, 250])
    write_counting(found / "open.onnx")
    (found / "net.tflite").write_bytes(chain(4, 8, 4))
    (found / "text.txt").write_text("no model\n")
    return found


@pytest.mark.parametrize("situation", SITUATIONS)
def test_lines_fit_into_a_terminal(run: Run, folder: Path, situation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    monkeypatch.chdir(folder)
    outcome = run(*shlex.split(situation))
    assert too_long(f"{outcome.stdout}\n{outcome.stderr}") == []


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_into_a_terminal(run: Run, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    assert too_long(run(command, "--help").stdout) == []


def too_long(text: str) -> list[str]:
    """Return the lines that a terminal breaks and that are no commands, nor one word in a line of its own."""
    lines = [line for line in text.splitlines() if cell_len(line) > COLUMNS]
    return [line for line in lines if not _is_command(line) and len(line.split()) > 1]


def _is_command(line: str) -> bool:
    return line.removeprefix("Next: ").lstrip().startswith(("memprof ", "python ", "pip "))


def test_a_line_that_is_too_long_is_seen() -> None:
    assert too_long("short\n" + "word " * 20) == ["word " * 20]
    assert too_long(f"Next: memprof analyze {LONG} --why\n    {LONG}/{LONG}") == []
