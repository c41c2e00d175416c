"""Two writers to one output, and a model that is replaced or cut while it is read: whole results, or one sentence."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from memprof.base.errors import InputError
from memprof.cli import main
from memprof.importers.onnx import wire
from memprof.importers.weights import gguf
from memprof.importers.weights.gguf import read_gguf
from tests.cli.conftest import write_chain

ROOT = Path(__file__).parents[2]


def test_of_two_writers_to_one_output_one_wins_whole(tmp_path: Path) -> None:
    models = [write_chain(tmp_path / f"{i}.onnx", ["Relu"] * (i + 1), [1, 64]) for i in range(2)]
    target = tmp_path / "report.json"
    running = [
        subprocess.Popen([sys.executable, "-m", "memprof", "analyze", str(model), "-o", str(target)], cwd=ROOT)
        for model in models * 3
    ]
    assert [process.wait() for process in running] == [0] * 6
    assert json.loads(target.read_text())["model"]["path"] in map(str, models)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("how", ["cut", "emptied", "replaced", "removed"])
def test_a_model_that_changes_after_it_was_opened_ends_in_a_report_or_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    model = write_chain(tmp_path / "net.onnx", ["Relu"] * 2000, [1, 64])
    size, opened = model.stat().st_size, wire.os.fstat

    def change(descriptor: int) -> object:
        found = opened(descriptor)
        if how in ("cut", "emptied"):
            with model.open("r+b") as stream:
                stream.truncate(size // 2 if how == "cut" else 0)
        elif how == "replaced":
            write_chain(tmp_path / "other.onnx", ["Exp"], [1, 4]).replace(model)
        else:
            model.unlink()
        return found

    monkeypatch.setattr(wire.os, "fstat", change)
    code = main.main(["analyze", str(model)], standalone_mode=False)
    monkeypatch.undo()
    assert code in (0, 3), capsys.readouterr().err
    assert code == 3 or how in ("replaced", "removed")


@pytest.mark.parametrize("kept", [0, 20, 56])
def test_weights_that_are_cut_after_they_were_opened_end_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    path = tmp_path / "net.gguf"
    name = struct.pack("<Q", 1) + b"w"
    header = struct.pack("<IQQ", 3, 1, 0) + name + struct.pack("<IQIQ", 1, 4, 0, 0)
    path.write_bytes(b"GGUF" + header + bytes(64))
    assert read_gguf(path).tensors[0].size_bytes == 16
    opened = gguf.os.fstat

    def cut(descriptor: int) -> object:
        found = opened(descriptor)
        with path.open("r+b") as stream:
            stream.truncate(kept)
        return found

    monkeypatch.setattr(gguf.os, "fstat", cut)
    with pytest.raises(InputError, match="ends inside its header"):
        read_gguf(path)
