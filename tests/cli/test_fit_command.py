"""``memprof fit``: the largest size, proven at that size and the next; parts, margins, exit codes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import memprof
from memprof import Request
from memprof.api.sizing import fitting
from memprof.api.sizing.numbers import Numbers, evaluate
from memprof.boards import find_board
from memprof.render.fit import _sizes_words, answer_words
from tests.cli.conftest import Run, write_chain
from tests.tflite_models import Graph, Operator, Tensor
from tests.tflite_models import model as tflite


def test_the_largest_batch_fits_and_the_next_does_not(run: Run, dynamic_model: Path) -> None:
    done = run("fit", dynamic_model, "--ram", "1MB", "--json")
    found = done.json
    assert done.code == 0
    assert (found["dim"], found["largest"], found["bytes"]) == ("batch", 500, 1_000_000)
    assert (found["next"], found["next_bytes"]) == (501, 1_002_000)
    assert found["formula"] == ["0", "2000", "0"]
    for size, expected in ((500, found["bytes"]), (501, found["next_bytes"])):
        report = memprof.analyze(dynamic_model, dims={"batch": size})
        assert report.headline.total_bytes == expected


def test_the_text_says_both_and_the_next_command_runs(run: Run, dynamic_model: Path) -> None:
    done = run("fit", dynamic_model, "--ram", "1MB", "--dim", "batch", "--margin", "100kB")
    lines = done.stdout.splitlines()
    assert lines[0] == "batch 450 fits 1.00 MB: 1,000,000 bytes; 451 does not: 1,002,000 bytes"
    assert "Bytes = 2,000 batch + 100,000   true of both sizes" in lines
    next_words = lines[-1].removeprefix("Next: memprof ").split()
    assert run(*next_words).code == 0


def test_nothing_fits_is_one_and_unknown_is_four(run: Run, dynamic_model: Path, tmp_path: Path) -> None:
    none = run("fit", dynamic_model, "--ram", "1999")
    assert none.code == 1
    assert none.stdout.startswith("No batch fits 2.00 kB: 1 takes 2,000 bytes")
    document = run("fit", dynamic_model, "--ram", "1999", "--json").json
    assert (document["fits"], document["largest"], document["next_bytes"]) == (False, None, 2000)
    strange = write_chain(tmp_path / "strange.onnx", ["Relu", "Strange", "Relu"], ["batch", 4])
    unknown = run("fit", strange, "--ram", "1MB", "--json")
    assert unknown.code == 4
    assert (unknown.json["fits"], unknown.json["next_bytes"]) == (None, None)


def test_a_network_without_sizes_between_is_answered_in_steps(
    dynamic_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def partly(request: Request, runtime: str, digest: str) -> Numbers:
        numbers = evaluate(request, runtime, digest)
        size = request.dims["batch"]
        return replace(numbers, process=None, peak_bytes=None) if size > 14 and size % 8 else numbers

    monkeypatch.setattr(fitting, "evaluate", partly)
    found = memprof.fit(dynamic_model, 200_000, dim="batch", runtime="reference", step=1)
    assert found.following is not None
    assert found.following.fits is None
    stepped = memprof.fit(dynamic_model, 200_000, dim="batch", runtime="reference", step=8)
    found = memprof.fit(dynamic_model, 200_000, dim="batch", runtime="reference")
    assert found.is_decided
    assert (found.step, found.largest, found.following) == (8, stepped.largest, stepped.following)
    assert f"{found.following.size}, the next in steps of 8, does not" in "".join(answer_words(found))


def test_another_dimension_in_steps(run: Run, tmp_path: Path) -> None:
    path = write_chain(tmp_path / "two.onnx", ["Relu"], ["batch", "width"])
    done = run("fit", path, "--ram", "10kB", "--dim", "width", "--step", "32", "--dim", "batch=2", "--json")
    assert (done.json["largest"], done.json["next"]) == (608, 640)
    assert done.json["bytes"] == 2 * 2 * 608 * 4


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], "One memory is needed"),
        (["--ram", "1MB", "--board", "nucleo-h743zi"], "One memory is needed"),
        (["--ram", "1MB", "--dim", "a", "--dim", "b"], "One dimension is found at a time"),
        (["--ram", "1MB", "--dim", "depth"], "no dimension 'depth'"),
        (["--ram", "much"], "is not an amount of bytes"),
    ],
)
def test_what_does_not_fit_the_command_is_said(run: Run, dynamic_model: Path, flags: list[str], words: str) -> None:
    done = run("fit", dynamic_model, *flags)
    assert done.code == 2
    assert words in done.stderr


def test_a_file_that_fixes_everything_says_so(run: Run, model: Path) -> None:
    done = run("fit", model, "--ram", "1MB")
    assert done.code == 2
    assert "fixes the dimension 'batch'" in done.stderr


def test_a_training_step_on_a_gpu_has_the_context_and_the_workspace_as_stated_parts() -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.Linear(64, 64)
    asked = {"training": memprof.Training("adam"), "device": "cuda"}
    found = memprof.fit(module, 1_000_000_000, torch.zeros(2, 64), **asked)
    parts = {part.name: part for part in found.largest.parts} if found.largest else {}
    assert found.dim == "batch"
    assert found.largest is not None
    assert found.following is not None
    assert parts["context"].source.startswith("assumed")
    assert parts["cublas_workspace"].size_bytes == 32 * 2**20
    step = memprof.analyze(module, torch.zeros(found.largest.size, 64), **asked)
    assert step.process is not None
    assert {name: part.size_bytes for name, part in parts.items()} == step.process.parts
    assert (found.largest.size_bytes or 0) <= 1_000_000_000 < (found.following.size_bytes or 0)


def test_the_batch_of_a_tflite_file_fits_the_arena_of_a_board(run: Run, tmp_path: Path) -> None:
    names = [Tensor(name, (1, 1000), signature=(-1, 1000)) for name in "xyz"]
    operators = [Operator("RELU", ["x"], ["y"]), Operator("RELU", ["y"], ["z"])]
    path = tmp_path / "net.tflite"
    path.write_bytes(tflite(Graph(names, operators, inputs=["x"], outputs=["z"])))
    board = find_board("nucleo-h743zi")
    done = run("fit", path, "--board", board.name, "--json")
    found = done.json
    assert done.code == 0
    assert found["limit_bytes"] == board.largest_ram[1]
    assert found["bytes"] <= found["limit_bytes"] < found["next_bytes"]
    graph = memprof.load(path, dims={"batch": found["largest"]}).graph
    assert graph.program is not None
    parts = {part["name"]: part["bytes"] for part in found["parts"]}
    assert parts["margin"] == 16 * 1024
    assert found["largest"] * 2000 < parts["arena"] < found["largest"] * 2000 + 10_000


def test_weights_that_a_board_reads_from_flash_are_said_to_count(run: Run, tmp_path: Path) -> None:
    names = [Tensor(name, (1, 1000), signature=(-1, 1000)) for name in "xy"]
    path = tmp_path / "net.tflite"
    path.write_bytes(tflite(Graph(names, [Operator("RELU", ["x"], ["y"])], inputs=["x"], outputs=["y"])))
    done = run("fit", path, "--ram", "1500")
    assert done.code == 1
    assert "weights: in this memory; a board reads them from flash" in done.stdout
    words = done.stdout.splitlines()[-1].removeprefix("Next: memprof ").split()
    assert words[0] == "boards" and run(*words).code == 0


def test_sizes_that_were_evaluated_are_listed_while_they_are_few() -> None:
    assert _sizes_words((1, 2, 3000)) == "1, 2, 3,000"
    assert _sizes_words(tuple(range(1, 1001))) == "1000 sizes from 1 to 1,000"


EVEN = """
import torch


class Even(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.down = torch.nn.Conv2d(3, 4, 3, 2, 1)
        self.up = torch.nn.Upsample(scale_factor=2)

    def forward(self, x):
        return self.up(self.down(x)) + x.mean(1, keepdim=True)


def make():
    return Even(), torch.zeros(1, 3, 8, 8)
"""


def test_a_module_without_odd_sizes_has_an_answer_in_steps(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("even.py").write_text(EVEN)
    done = run("fit", "even.py:make", "--ram", "100MB", "--dim", "resolution", "--margin", "1MB")
    assert done.code == 0
    assert "in steps of 2" in done.stdout
    settled = run("fit", "even.py:make", "--ram", "100MB", "--dim", "resolution", "--margin", "1MB", "--json")
    assert settled.json["step"] == 2
    assert {part["name"] for part in settled.json["parts"]} == {
        "weights",
        "inputs",
        "tensors",
        "kernels",
        "libraries",
        "margin",
    }
    swept = run("analyze", "even.py:make", "--sweep", "resolution=8..12", "--json").json["sweep"]
    assert [point["peak_intermediate_bytes"] is None for point in swept] == [False, True, False, True, False]


def test_images_of_which_not_one_fits_lead_to_their_resolution(run: Run, tmp_path: Path) -> None:
    path = write_chain(tmp_path / "images.onnx", ["Relu", "Sigmoid"], ["batch", 3, "height", "width"])
    last = run("fit", path, "--ram", "100kB", "--runtime", "reference").stdout.splitlines()[-1]
    assert last == f"Next: memprof fit {path} --runtime reference --dim resolution --ram 100kB"
    assert run(*last.split()[2:]).code in (0, 4)
