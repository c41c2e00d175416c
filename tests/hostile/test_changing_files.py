"""A file that changes while it is read: an answer is for one file, or says that it changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

import memprof
from memprof.api.helping import find_help
from memprof.api.sizing import numbers
from memprof.api.sizing.fitting import Memory
from memprof.base.errors import ChangedError
from memprof.boards import find_board
from memprof.importers.request import Request
from memprof.ir.model import Model
from tests.onnx_models import model, node, tensor


def network(*ops: str) -> onnx.ModelProto:
    """Return a chain over images of any size and number."""
    nodes = [node(op, [f"t{i}"], [f"t{i + 1}"]) for i, op in enumerate(ops)]
    return model(nodes, inputs=[tensor("t0", ["batch", 3, "height", "width"])], outputs=[f"t{len(ops)}"])


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is another from its second reading on."""
    path, real = tmp_path / "net.onnx", numbers.load
    onnx.save(network("Relu", "Exp"), path)

    def load(request: Request) -> Model:
        onnx.save(network("Relu", "Exp", "Tanh"), path)
        return real(request)

    monkeypatch.setattr(numbers, "load", load)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return path


QUESTIONS: dict[str, Callable[[Path], Any]] = {
    "sweep": lambda path: memprof.sweep(path, {"batch": (2, 3)}, runtime="reference"),
    "fit": lambda path: memprof.fit(path, 10**9, runtime="reference"),
    "fit on a board": lambda path: memprof.fit(path, Memory(size_bytes=10**6, board=find_board("nucleo-h743zi"))),
}


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=list(QUESTIONS))
def test_an_answer_over_several_sizes_is_for_one_file(path: Path, question: Callable[[Path], Any]) -> None:
    with pytest.raises(ChangedError, match=r"net\.onnx changed while it was read"):
        question(path)


def test_what_would_help_skips_what_it_would_tell_of_another_file_and_keeps_nothing(path: Path) -> None:
    request = Request(source=str(path), dims={"batch": 8, "height": 64, "width": 64})
    report = memprof.analyze(request, runtimes=["reference"])

    helped = find_help(request, report)

    assert {"batch 1", "half the height and width"} <= {untried.what for untried in helped.skipped}
    assert not [change.what for change in helped.changes if "batch" in change.what or "height" in change.what]
    assert not list((path.parent / "cache").glob("memprof/help/*"))
