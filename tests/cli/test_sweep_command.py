"""``memprof analyze --sweep``: the range first, the formula, the table, files, and the next command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run, write_chain


def test_a_sweep_says_range_formula_and_evaluations(run: Run, dynamic_model: Path) -> None:
    done = run("analyze", dynamic_model, "--sweep", "batch=1..64")
    lines = done.stdout.splitlines()
    assert done.code == 0
    assert lines[0] == "Peak 2.00 kB to 128 kB over batch 1 to 64 (reference, upper bound)"
    assert "Peak = 2,000 batch bytes   batch 1 to 64" in lines
    assert "held against 4 more sizes; the model was evaluated at 7 of 64" in lines
    assert lines[-1].endswith(f"analyze {dynamic_model} --sweep batch=1..64 -o sweep.png")
    assert "Assumed" not in done.stdout


def test_the_document_is_that_of_a_report_with_every_point(run: Run, dynamic_model: Path, tmp_path: Path) -> None:
    target = tmp_path / "sweep.json"
    done = run("analyze", dynamic_model, "--sweep", "batch=1,2,4,8", "--json", "-o", target)
    points = done.json["sweep"]
    assert [(p["dims"], p["peak_intermediate_bytes"]) for p in points] == [
        ({"batch": n}, 2000 * n) for n in (1, 2, 4, 8)
    ]
    assert json.loads(target.read_text()) == done.json
    shown = run("analyze", target, "-o", tmp_path / "a.html", "-o", tmp_path / "a.png", "-o", tmp_path / "a.md")
    assert shown.code == 0
    assert "Over other sizes" in shown.stdout
    assert all((tmp_path / f"a.{suffix}").stat().st_size for suffix in ("html", "png", "md"))


def test_two_dimensions_are_a_matrix(run: Run, tmp_path: Path) -> None:
    path = write_chain(tmp_path / "two.onnx", ["Relu"], ["batch", "width"])
    done = run("analyze", path, "--sweep", "batch=1..3", "--sweep", "width=10..30:10", "-o", tmp_path / "two.svg")
    assert done.code == 0
    rows = [line.split() for line in done.stdout.splitlines() if line.strip().startswith(("1 ", "2 ", "3 "))]
    assert rows == [
        ["1", "80", "B", "160", "B", "240", "B"],
        ["2", "160", "B", "320", "B", "480", "B"],
        ["3", "240", "B", "480", "B", "720", "B"],
    ]
    assert done.stdout.splitlines()[-1].endswith("--ram 1500 --dim batch"), "room for the last point"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--sweep", "batch"], "is not NAME=SIZES"),
        (["--sweep", "depth=1..4"], "no dimension 'depth'"),
        (["--sweep", "batch=1..4", "--csv"], "--csv lists"),
        (["--sweep", "batch=1..4", "--board", "nucleo-h743zi"], "exclude each other"),
        (["--sweep", "batch=1", "--sweep", "n=1", "--sweep", "m=1"], "one dimension or two"),
    ],
)
def test_what_does_not_go_with_a_sweep_is_refused(
    run: Run, dynamic_model: Path, flags: list[str], words: str
) -> None:
    done = run("analyze", dynamic_model, *flags)
    assert done.code == 2
    assert words in done.stderr


@pytest.mark.parametrize(
    "words",
    [["analyze", "--dim", "bach=2"], ["analyze", "--sweep", "bach=1..4"], ["fit", "--dim", "bach", "--ram", "1MB"]],
)
def test_a_wrong_name_is_told_the_nearest_and_each_other_once(run: Run, tmp_path: Path, words: list[str]) -> None:
    path = write_chain(tmp_path / "open.onnx", ["Relu"], ["batch", *(f"bs_{i}" for i in range(20))])
    done = run(words[0], path, *words[1:])
    assert done.code == 2
    hint = next(line for line in done.stderr.splitlines() if line.startswith("hint: "))
    assert hint.startswith("hint: Did you mean batch? It has: batch, bs_0, ")
    names = hint.partition("It has: ")[2].partition(" and ")[0].split(", ")
    assert len(names) == len(set(names)) == 12
    assert "seq" not in hint


@pytest.mark.parametrize("size", ["0", "-1"])
def test_a_size_below_one_is_no_size(run: Run, dynamic_model: Path, size: str) -> None:
    done = run("analyze", dynamic_model, "--dim", f"batch={size}")
    assert done.code == 2
    assert f"--dim batch={size}: {size} is no size." in done.stderr


def test_a_first_step_may_have_no_past(run: Run, tmp_path: Path) -> None:
    path = write_chain(tmp_path / "past.onnx", ["Relu"], ["past_length", 4])
    assert run("analyze", path, "--dim", "past_length=0").code == 0


@pytest.mark.default_session
def test_rounding_up_is_a_staircase(run: Run, tmp_path: Path) -> None:
    path = write_chain(tmp_path / "odd.onnx", ["Relu", "Sigmoid", "Softmax"], ["batch", 100])
    asked = ("analyze", path, "--from-file", "--sweep", "batch=1..64")
    lines = " ".join(run(*asked).stdout.split())
    assert "bytes more with every 16 of batch batch 1 to 64 a staircase" in lines
    document = run(*asked, "--json").json
    points, stairs = document["sweep"], document["sweep_of"]["staircase"]
    peaks = [point["peak_intermediate_bytes"] for point in points]
    assert stairs["period"] == 16
    assert all(after - before == stairs["growth_bytes"] for before, after in zip(peaks, peaks[16:], strict=False))
    assert [step["bytes"] for step in stairs["steps"]] == peaks[:16]
    saved = tmp_path / "sweep.json"
    saved.write_text(json.dumps(document))
    assert run("analyze", saved, "--json").json["sweep_of"] == document["sweep_of"]
