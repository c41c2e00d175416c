"""``memprof plan``: what is said, what is written, and the exit code as the answer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

import memprof
from memprof.planning import plan as plan_module
from memprof.planning.minimalloc import parse_csv, write_problem
from memprof.planning.offsets.problem import AllocationProblem, MemoryPlan
from memprof.planning.offsets.solver import OffsetProgress
from memprof.planning.validator import find_violation
from tests.cli.conftest import Run
from tests.planning.offsets.problems import GAP, cut_rectangle, problem_of


@pytest.fixture
def gap(tmp_path: Path) -> Path:
    """Return nine buffers that need ten bytes though only nine are alive at a time."""
    path = tmp_path / "gap.csv"
    with path.open("w") as stream:
        write_problem(problem_of(GAP), stream)
    return path


def test_line_one_is_what_became_of_the_peak_and_the_last_the_next_command(run: Run, model: Path) -> None:
    found = run("plan", model)
    assert found.code == 0
    lines = found.stdout.splitlines()
    assert lines[0] == "2.00 kB -> 2.00 kB, lower bound 2.00 kB: optimal (reference)"
    assert lines[-1] == f"Next: memprof plan {model} -o net-plan.png"
    assert "rounded up to 64 bytes" in found.stdout


def test_in_place_shares_the_buffer_of_an_elementwise_chain(run: Run, model: Path) -> None:
    found = run("plan", model, "--in-place", "--alignment", 1, "--json").json
    assert (found["runtime"], found["in_place"]) == ("reference", True)
    sizes = {buffer["name"]: buffer["size_bytes"] for buffer in found["arena"]["buffers"]}
    assert len(sizes) == 2


def test_json_has_the_promised_fields(run: Run, model: Path) -> None:
    found = run("plan", model, "--json", "--alignment", "1").json
    assert found["schema"] == "memprof/plan/1"
    assert found["runtime"] == "reference"
    assert found["order"]["nodes"] == ["node_0", "node_1"]
    assert (found["order"]["peak_before_bytes"], found["order"]["peak_bytes"]) == (2000, 2000)
    assert (found["order"]["lower_bound_bytes"], found["order"]["optimal"]) == (2000, True)
    arena = found["arena"]
    assert (arena["arena_bytes"], arena["lower_bound_bytes"], arena["optimal"]) == (2000, 2000, True)
    assert arena["buffers"] == [
        {"name": "t0", "offset": 1000, "size_bytes": 1000, "start": 0, "stop": 1},
        {"name": "t1", "offset": 0, "size_bytes": 1000, "start": 0, "stop": 2},
        {"name": "t2", "offset": 1000, "size_bytes": 1000, "start": 1, "stop": 2},
    ]


@pytest.mark.parametrize(
    ("flags", "arena"),
    [([], 2048), (["--alignment", "1"], 2000), (["--no-inputs"], 2048), (["--no-inputs", "--no-outputs"], 1024)],
)
def test_the_arena_holds_what_it_is_told_to(run: Run, model: Path, flags: list[str], arena: int) -> None:
    assert run("plan", model, *flags, "--json").json["arena"]["arena_bytes"] == arena


@pytest.mark.parametrize(
    ("budget", "code", "word"), [("2047", 1, "Does not fit"), ("2048", 0, "Fits"), ("512KiB", 0, "Fits")]
)
def test_a_budget_decides_the_exit_code(run: Run, model: Path, budget: str, code: int, word: str) -> None:
    plain, as_json = run("plan", model, "--budget", budget), run("plan", model, "--budget", budget, "--json")
    assert (plain.code, as_json.code) == (code, code)
    assert f"\n{word}: a budget of " in plain.stdout
    assert as_json.json["budget"]["fits"] is (code == 0)


@pytest.mark.parametrize(("capacity", "code"), [("8", 1), ("9", 1), ("10", 0)])
def test_a_capacity_of_a_csv_problem_is_decided_by_search(run: Run, gap: Path, capacity: str, code: int) -> None:
    assert run("plan", gap, "--capacity", capacity).code == code


def test_a_capacity_that_time_does_not_settle_is_exit_code_4(run: Run, gap: Path) -> None:
    found = run("plan", gap, "--capacity", "9", "--seconds", "0")
    assert found.code == 4
    assert "Undecided: a budget of 9 bytes; proven to need 9, a plan takes " in found.stdout
    assert found.stdout.splitlines()[-1].endswith(f"memprof plan {gap} --budget 9 --seconds 60")


def test_a_csv_problem_has_an_arena_alone(run: Run, gap: Path) -> None:
    found = run("plan", gap, "--json").json
    assert set(found) == {"schema", "arena"}
    assert run("plan", gap).stdout.startswith("Arena 10 B, lower bound 10 B: optimal\n")


@pytest.mark.parametrize("flag", [["--in-place"], ["--dim", "n=1"], ["--runtime", "ideal"], ["--keep-order"]])
def test_a_flag_for_models_is_refused_with_a_csv_problem(run: Run, gap: Path, flag: list[str]) -> None:
    found = run("plan", gap, *flag)
    assert (found.code, found.stdout) == (2, "")
    assert f"{flag[0]} means nothing to a CSV file" in found.stderr


def test_every_kind_of_file_is_written(run: Run, model: Path, tmp_path: Path) -> None:
    names = ("p.json", "p.csv", "p.h", "p.png", "p.svg")
    targets = [word for name in names for word in ("-o", str(tmp_path / name))]
    found = run("plan", model, *targets)
    assert found.code == 0
    assert [line for line in found.stderr.splitlines() if line] == [f"wrote {tmp_path / name}" for name in names]
    table = parse_csv((tmp_path / "p.csv").read_text())
    assert table.offsets is not None
    assert find_violation(table.problem, table.offsets) is None
    assert "#define NET_ARENA_BYTES 2048ull" in (tmp_path / "p.h").read_text()
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "p.svg").read_text()


def test_a_bad_target_is_found_before_the_work(run: Run, model: Path, tmp_path: Path) -> None:
    assert run("plan", model, "-o", tmp_path / "p.docx").code == 2
    assert run("plan", model, "-o", tmp_path / "no" / "p.json").code == 2


def test_a_broken_table_is_one_error_with_its_line(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "broken.csv"
    path.write_text("id,lower,upper,size\nb1,0,3,4\nb2,3,x,4\n")
    found = run("plan", path)
    assert (found.code, found.stdout) == (3, "")
    assert found.stderr.startswith(f"error: {path}, line 3: upper 'x' is no whole number")
    as_json = run("plan", path, "--json")
    assert (as_json.code, as_json.json["error"]["kind"]) == (3, "input")


def test_an_open_size_stops_the_plan_and_names_the_flag(run: Run, dynamic_model: Path) -> None:
    found = run("plan", dynamic_model)
    assert found.code == 4
    assert "--dim batch=1" in found.stderr
    assert run("plan", dynamic_model, "--dim", "batch=1").code == 0


@pytest.mark.parametrize("runtime", ["paper", "nope"])
def test_a_runtime_without_a_plan_is_a_usage_error(run: Run, model: Path, runtime: str) -> None:
    found = run("plan", model, "--runtime", runtime)
    assert found.code == 2
    assert "reference" in found.stderr


def test_in_place_is_part_of_the_other_runtimes(run: Run, model: Path) -> None:
    assert run("plan", model, "--runtime", "ideal", "--in-place").code == 2


def test_the_public_verb_returns_the_same_plan(run: Run, model: Path) -> None:
    document = run("plan", model, "--json").json
    same = memprof.plan(model).to_json()
    for part in (document, same):
        for half in ("order", "arena"):
            del part[half]["seconds"]
    assert document == same


def test_ctrl_c_keeps_the_best_so_far(tmp_path: Path) -> None:
    path = tmp_path / "hard.csv"
    with path.open("w") as stream:
        write_problem(cut_rectangle(Random(0), 400, steps=4096, size=4096), stream)
    command = [sys.executable, "-m", "memprof", "plan", str(path), "--seconds", "50"]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=40)
    assert process.returncode == 0, stderr
    assert stdout.startswith("Arena ")


def test_a_long_search_says_how_far_it_is_on_stderr(run: Run, gap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = plan_module.plan_offsets

    def slow(problem: AllocationProblem, seconds: float, report: Callable[[OffsetProgress], None]) -> MemoryPlan:
        for passed in (0.5, 7.0):
            report(OffsetProgress(arena_bytes=12, lower_bound_bytes=9, seconds=passed))
        return real(problem, seconds)

    monkeypatch.setattr(plan_module, "plan_offsets", slow)
    found = run("plan", gap)
    assert found.code == 0, found.stderr
    assert found.stderr == "offsets: 12 B, lower bound 9 B, 7 s (Ctrl-C keeps the best so far)\n"
