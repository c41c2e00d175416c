"""Files without an end, of 3 GiB that hold nothing, and disks without room: one sentence, no draft left behind."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile.attack import SECONDS, attack
from tests.onnx_models import model, node, tensor

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/dev/zero, sparse files and limits")
SUFFIXES = (".onnx", ".tflite", ".pte", ".json", ".pt2", ".csv", ".gguf", ".safetensors")


def test_a_file_without_an_end_or_of_nothing_ends_in_one_sentence(tmp_path: Path) -> None:
    names = []
    for suffix in SUFFIXES:
        (tmp_path / f"zero{suffix}").symlink_to("/dev/zero")
        with (tmp_path / f"sparse{suffix}").open("wb") as sparse:
            sparse.truncate(3 * 2**30)
        names += [f"zero{suffix}", f"sparse{suffix}"]

    answers = attack(tmp_path, [["plan" if name.endswith(".csv") else "analyze", name] for name in names])

    for name, answer in zip(names, answers, strict=True):
        assert (answer.code, answer.stdout) == (3, ""), name
        assert answer.seconds < SECONDS / 2, name
        assert name in answer.stderr or "not an ONNX model" in answer.stderr
        assert "Traceback" not in answer.stderr


@pytest.mark.parametrize("suffix", [".json", ".html", ".png"])
def test_a_full_disk_keeps_the_old_result(tmp_path: Path, suffix: str) -> None:
    nodes = [node("Relu", ["x"], [f"t{i}"]) for i in range(400)]
    proto = model(nodes, inputs=[tensor("x", [4])], outputs=[f"t{i}" for i in range(400)])
    (tmp_path / "net.onnx").write_bytes(proto.SerializeToString())
    target = tmp_path / f"out{suffix}"
    target.write_text("old")

    done = subprocess.run(
        [sys.executable, "-m", "memprof", "analyze", "net.onnx", "--from-file", "-o", target.name],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr.startswith(f"error: Cannot write {target.name}: File too large.")
    assert (target.read_text(), sorted(path.name for path in tmp_path.iterdir())) == (
        "old",
        ["net.onnx", target.name],
    )
