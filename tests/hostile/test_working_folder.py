"""Code that lies beside a model never runs: every command that starts a process, in a folder full of traps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.cli.conftest import write_chain

ROOT = Path(__file__).parents[2]
OPTIONAL = (
    *("sitecustomize", "usercustomize", "memprof", "tests", "yaml", "coloredlogs", "optree", "threadpoolctl", "cffi"),
    *("expecttest", "pydot", "triton", "intel_openmp", "mkl", "tbb", "colorama", "pygments", "IPython", "_numpypy"),
    *("numpy_distutils_extra", "backports", "importlib_metadata", "typing_extensions", "dill", "cloudpickle", "cupy"),
)
"""Names beyond the standard library and what is installed: libraries try them and go on where they are not."""

TRAP = "open({marker!r}, 'a').write(__name__ + chr(10))\n"
TINY = ("--dataset", "digits", "--images", "200", "--width", "4", "--sample", "2", "--epochs", "1", "--rounds", "1")


@pytest.fixture(scope="module")
def trapped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder that holds a model and a trap of every name that can be imported, and the file where traps speak."""
    folder = tmp_path_factory.mktemp("trapped")
    marker = tmp_path_factory.mktemp("said") / "marker"
    for name in sys.stdlib_module_names | packages_distributions().keys() | set(OPTIONAL):
        if name.isidentifier():
            (folder / f"{name}.py").write_text(TRAP.format(marker=str(marker)))
    # numba reads settings here, the place of its cache among them, which it unpickles
    (folder / ".numba_config.yaml").write_text("cache_dir: ./cache\n")
    (folder / "matplotlibrc").write_text("backend: module://evil\ntext.usetex: True\n")
    write_chain(folder / "net.onnx", ["Relu", "Sigmoid"], [1, 8])
    return folder, marker


COMMAND = """
import json, sys
from memprof.cli import main
if __name__ == "__main__":
    for words in json.loads(sys.argv[1]):
        if code := main.main(words, standalone_mode=False):
            sys.exit(f"{words} ended with {code}")
"""


def run_in(folder: Path, *commands: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run the program as its command does, by a script that lies elsewhere; a name that was met is not met again."""
    script = folder.parent / "memprof-command.py"
    script.write_text(COMMAND)
    return subprocess.run(
        [sys.executable, str(script), json.dumps(commands)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify", "net.onnx"),
        ("verify", "net.onnx", "--optimized"),
        ("verify", "torch.nn:Identity", "--input", "input=1x8"),
        ("bench", "net.onnx", "--runs", "1"),
        ("plan", "net.onnx", "--measure", "-o", "better.onnx"),
        ("analyze", "net.onnx", "--optimized"),
        ("analyze", "net.onnx", "-o", "picture.png"),
        ("analyze", "net.onnx", "-o", "page.html"),
    ],
    ids=" ".join,
)
def test_no_trap_beside_the_model_runs(trapped: tuple[Path, Path], arguments: Sequence[str]) -> None:
    if "torch.nn:Identity" in arguments:
        pytest.importorskip("torch")
    folder, marker = trapped
    done = run_in(folder, arguments)
    assert done.returncode == 0, done.stderr
    assert not marker.exists(), f"these ran: {marker.read_text()}"


def test_the_traps_speak(trapped: tuple[Path, Path]) -> None:
    folder, marker = trapped
    subprocess.run([sys.executable, "-c", "import json"], cwd=folder, check=False, capture_output=True)
    assert "json" in marker.read_text()
    marker.unlink()


def test_numba_is_not_imported_where_a_folder_has_settings_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from memprof.planning.offsets.engine import has_compiler

    pytest.importorskip("numba")
    monkeypatch.chdir(tmp_path)
    assert has_compiler()
    (tmp_path / ".numba_config.yaml").write_text("cache_dir: ./cache")
    assert not has_compiler()


def test_a_search_runs_no_trap(trapped: tuple[Path, Path], tmp_path: Path) -> None:
    pytest.importorskip("torch")
    folder, marker = trapped
    found = str(tmp_path / "run")
    commands = (
        ("search", *TINY, "--workers", "1", "-o", found),
        ("resume", found, "--rounds", "1"),
        ("report", found),
        ("train", found, "--epochs", "1"),
        ("export", found, "-o", str(tmp_path / "best.onnx")),
    )
    done = run_in(folder, *(("nas", *words) for words in commands))
    said = marker.read_text() if marker.exists() else ""
    marker.unlink(missing_ok=True)
    assert not said, f"these ran: {said}"
    assert done.returncode == 0, done.stderr
