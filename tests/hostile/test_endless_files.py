"""Files without an end, of 3 GiB that hold nothing, and disks without room: one sentence, no draft left behind."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from memprof.cli import main
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
        # Python would keep half of a compiled module for whoever comes next
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONDONTWRITEBYTECODE": "1"},
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


@pytest.fixture
def guard() -> Iterator[None]:
    """Fail instead of waiting for ever for somebody who writes into a pipe."""

    def late(*_: object) -> None:
        raise TimeoutError("it waits for a pipe")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, 60)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


LINES = {
    **{suffix: f"analyze odd{suffix}" for suffix in SUFFIXES if suffix != ".csv"},
    ".csv": "plan odd.csv",
    ".toml": "boards --boards odd.toml",
    "board of a check": "check net.onnx --board odd.toml:NAME",
    "project": "check --config odd.toml",
    "baseline": "check net.onnx --baseline odd.json",
    "table": "nas simulate odd.csv",
    "networks": "nas bench-controller odd.json",
}


@pytest.mark.parametrize("kind", ["pipe", "endless"])
@pytest.mark.parametrize("line", LINES.values(), ids=list(LINES))
def test_what_is_no_plain_file_is_refused_by_every_reader(
    tmp_path: Path,
    guard: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    line: str,
) -> None:
    if line.startswith("nas"):
        pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.onnx").write_bytes(
        model([node("Relu", ["x"], ["y"])], inputs=[tensor("x", [4])]).SerializeToString()
    )
    for suffix in (*SUFFIXES, ".toml"):
        if kind == "pipe":
            os.mkfifo(f"odd{suffix}")
        else:
            Path(f"odd{suffix}").symlink_to("/dev/zero")

    assert main.main(line.split(), standalone_mode=False) == 3

    said = capsys.readouterr().err
    assert "odd" in said
    assert "not a" in said


@pytest.mark.parametrize("kind", ["pipe", "endless"])
@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "model.safetensors.index.json"])
def test_a_folder_of_weights_with_no_plain_files_is_not_waited_for(
    tmp_path: Path, guard: None, capsys: pytest.CaptureFixture[str], kind: str, name: str
) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    (tmp_path / name).unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(tmp_path / name)
    else:
        (tmp_path / name).symlink_to("/dev/zero")

    code = main.main(["analyze", str(tmp_path)], standalone_mode=False)

    assert code in (0, 3, 5)  # what is no plain file counts as missing, and the configuration alone is read
    assert capsys.readouterr().err.startswith("error: ") == (code > 0)
