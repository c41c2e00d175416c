"""How numpy is imported by a process of memprof's own, asked of fresh processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from onnx import TensorProto, helper

_SCRIPT = """
import os
from memprof.base.arithmetic import keep_numpy_alone
keep_numpy_alone()
os.environ.update(SET_LATER)
import numpy
print(len(os.listdir("/proc/self/task")), os.environ.get("OPENBLAS_NUM_THREADS"), type(numpy.__loader__).__name__)
"""
_ANALYSIS = """
import atexit, sys
from memprof.cli import main
atexit.register(lambda: print("numpy" in sys.modules))
sys.argv = ["memprof", "analyze", sys.argv[1], "--from-file"]
main()
"""


def _asked(later: dict[str, str] | None = None, **variables: str) -> list[str]:
    environment = {key: value for key, value in os.environ.items() if key != "OPENBLAS_NUM_THREADS"} | variables
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT.replace("SET_LATER", repr(later or {}))],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        timeout=300,
    )
    return done.stdout.split()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="threads are counted where Linux lists them")
def test_numpy_starts_no_threads_and_the_variable_is_left_as_it_was() -> None:
    assert _asked() == ["1", "None", "SourceFileLoader"]


def test_who_sets_the_variable_is_obeyed() -> None:
    assert _asked(OPENBLAS_NUM_THREADS="2")[1] == "2"


def test_a_variable_that_code_sets_before_it_imports_numpy_is_obeyed_and_left() -> None:
    assert _asked({"OPENBLAS_NUM_THREADS": "2"})[1] == "2"


def test_a_network_without_arithmetic_on_shapes_is_analysed_without_numpy(tmp_path: Path) -> None:
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", info[:1], info[1:])
    path = tmp_path / "net.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    done = subprocess.run(
        [sys.executable, "-c", _ANALYSIS, str(path)], capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout.startswith("Peak")
    assert done.stdout.split()[-1] == "False"
