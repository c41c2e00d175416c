"""What starting up may load, asked of fresh processes: a promise about imports is only kept if a process keeps it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = (
    *("click", "matplotlib", "memprof.api", "memprof.ir", "networkx", "numba", "numpy", "onnx", "onnxruntime"),
    *("ray", "rich", "scipy", "sklearn", "torch", "torchvision"),
)
NOTHING = frozenset[str]()


def loaded_after(script: str) -> set[str]:
    """Return which of ``HEAVY`` a fresh process has loaded after running ``script``."""
    report = f"import sys as _s; print('loaded:', *(m for m in {HEAVY!r} if m in _s.modules))"
    done = subprocess.run(
        [sys.executable, "-c", f"{script}\n{report}"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        timeout=600,
    )
    last = done.stdout.splitlines()[-1]
    assert last.startswith("loaded:")
    return set(last.split()[1:])


def cli(*arguments: str) -> str:
    return f"from memprof.cli import main; assert main.main({list(arguments)!r}, standalone_mode=False) == 0"


def test_importing_memprof_loads_nothing() -> None:
    assert loaded_after("import memprof; memprof.__version__; dir(memprof)") == NOTHING


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ()])
def test_help_loads_click_alone(arguments: tuple[str, ...]) -> None:
    assert loaded_after(cli(*arguments)) == {"click"}


@pytest.mark.parametrize("command", ["analyze", "plan", "check", "verify"])
def test_help_of_a_command_that_names_runtime_models_loads_their_rows_and_no_library(command: str) -> None:
    assert loaded_after(cli(command, "--help")) == {"click", "memprof.ir"}


def test_analysing_a_graph_in_memory_needs_no_onnx_and_no_torch() -> None:
    script = "import memprof; memprof.analyze(memprof.GraphBuilder().build([])).to_json()"
    assert loaded_after(script) <= {"memprof.api", "memprof.ir"}


def test_analysing_a_file_loads_no_torch_no_runtime_and_no_plots(tmp_path: Path) -> None:
    from tests.cli.conftest import write_chain

    model = write_chain(tmp_path / "net.onnx", ["Relu"], [1, 4])
    loaded = loaded_after(cli("analyze", str(model)))
    assert loaded <= {"click", "memprof.api", "memprof.ir", "numpy", "onnx", "rich"}


def test_analysing_a_file_alone_loads_neither_onnx_nor_numpy(tmp_path: Path) -> None:
    """Both together took longer than all else; two files of onnx are loaded without the package."""
    from tests.cli.conftest import write_chain

    model = write_chain(tmp_path / "net.onnx", ["Relu"], [1, 4])
    assert loaded_after(cli("analyze", str(model), "--from-file")) <= {"click", "memprof.api", "memprof.ir", "rich"}


def test_analysing_a_tflite_file_loads_no_planner(tmp_path: Path) -> None:
    """Two thirds of the command's time went into numpy, which only planning needs."""
    from tests.tflite_models import chain

    model = tmp_path / "net.tflite"
    model.write_bytes(chain(16, 32, 16))
    assert loaded_after(cli("analyze", str(model))) <= {"click", "memprof.api", "memprof.ir", "rich"}


def test_json_needs_no_rich(tmp_path: Path) -> None:
    from tests.cli.conftest import write_chain

    model = write_chain(tmp_path / "net.onnx", ["Relu"], [1, 4])
    assert "rich" not in loaded_after(cli("analyze", str(model), "--json"))


def test_watching_a_search_and_sizing_a_network_need_no_torch(tmp_path: Path) -> None:
    """A search may run elsewhere for days: looking at it must cost nothing, on a machine without torch too."""
    journal = (
        "from pathlib import Path; from memprof.nas.record.journal import Journal; from memprof import nas\n"
        "facts = nas.Template(strides=(1,), widths=(4,), input_shape=(1, 8, 8), classes=2, stem_width=4)\n"
        "settings = nas.Settings(dataset='digits', template=facts, metric=nas.Metric(accuracy_weight=0.5),"
        " budget=nas.Budget(), recipe=nas.Recipe(epochs=1), rungs=(1,))\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "with Journal(folder) as j:\n"
        "    j.append('started', {'settings': settings.to_json(), 'limits': nas.Limits().to_json()})\n"
        "nas.screen(nas.ARCHITECTURES['memnas-cifar10'])\n"
    )
    loaded = loaded_after(journal + cli("nas", "status", str(tmp_path)))
    assert not loaded & {"torch", "torchvision", "sklearn", "onnx", "matplotlib"}


def test_the_probe_sees_what_is_loaded() -> None:
    assert loaded_after("import numpy, rich.console") == {"numpy", "rich"}
