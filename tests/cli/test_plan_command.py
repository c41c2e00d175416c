"""``memprof plan``: what is said, what is written, and the exit code as the answer."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import memprof
from memprof.planning import plan as plan_module
from memprof.planning.minimalloc import parse_csv
from memprof.planning.offsets.problem import AllocationProblem, MemoryPlan
from memprof.planning.offsets.solver import OffsetProgress
from memprof.planning.validator import find_violation
from tests.cli.conftest import Run, write_chain
from tests.planning.offsets.problems import GAP, cut_rectangle, problem_of, write_problem
from tests.tflite_models import chain


@pytest.fixture
def gap(tmp_path: Path) -> Path:
    """Return nine buffers that need ten bytes though only nine are alive at a time."""
    path = tmp_path / "gap.csv"
    with path.open("w") as stream:
        write_problem(problem_of(GAP), stream)
    return path


def test_all_open_sizes_are_named_at_once(run: Run, tmp_path: Path) -> None:
    path = write_chain(tmp_path / "open.onnx", ["Relu", "Relu"], ["batch", "width"])
    found = run("plan", path)
    assert found.code == 4
    flags = next(line for line in found.stderr.splitlines() if line.startswith("hint: ")).removeprefix("hint: ")
    assert [word.partition("=")[0] for word in flags.split()] == ["--dim", "batch", "--dim", "width"]
    assert run("plan", path, *flags.split()).code == 0


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
    assert found["schema"] == "memprof/plan/2"
    assert found["runtime"] == "reference"
    assert found["order"]["nodes"] == ["node_0", "node_1"]
    assert (found["order"]["peak_before_bytes"], found["order"]["peak_bytes"]) == (2000, 2000)
    assert (found["order"]["lower_bound_bytes"], found["order"]["optimal"]) == (2000, True)
    arena = found["arena"]
    assert (arena["arena_bytes"], arena["lower_bound_bytes"], arena["optimal"]) == (2000, 2000, True)
    assert arena["buffers"] == [
        {"name": "t0", "offset": 1000, "size_bytes": 1000, "traffic_bytes": 1000, "start": 0, "stop": 1},
        {"name": "t1", "offset": 0, "size_bytes": 1000, "traffic_bytes": 2000, "start": 0, "stop": 2},
        {"name": "t2", "offset": 1000, "size_bytes": 1000, "traffic_bytes": 1000, "start": 1, "stop": 2},
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
    assert "Undecided: a budget of 9 bytes; proven to need 9 bytes, a plan takes " in found.stdout
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


def test_a_map_is_for_a_slide_or_a_poster(run: Run, model: Path, tmp_path: Path) -> None:
    page = {}
    for flags in ([], ["--format", "slide"], ["--format", "poster"]):
        assert run("plan", model, "-o", tmp_path / "map.svg", *flags).code == 0
        found = re.search(r'viewBox="0 0 (\S+) (\S+)"', (tmp_path / "map.svg").read_text())
        assert found is not None
        page[" ".join(flags)] = round(float(found[1]) / float(found[2]), 4)
    assert page == {"": 1.7778, "--format slide": 1.7778, "--format poster": 1.25}


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
        write_problem(cut_rectangle(Random(0), 1500, steps=4096, size=4096), stream)
    command = [sys.executable, "-m", "memprof", "plan", str(path), "--seconds", "600"]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    assert process.stderr is not None
    assert process.stderr.readline().startswith("offsets: ")  # it is searching, and has something to keep
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate()
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
    assert found.stderr == "offsets: 12 B, lower bound 9 B (Ctrl-C keeps the best so far) ... 7 s\n"


@pytest.fixture
def forked_model(tmp_path: Path) -> Path:
    """Return a model that its own order runs badly: both wide tensors are made before either is reduced."""
    shapes = {"x": [1, 16], "wide0": [64, 16], "wide1": [64, 16], "slim0": [1, 16], "slim1": [1, 16], "y": [1, 16]}
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [0])
    repeats = helper.make_tensor("repeats", TensorProto.INT64, [2], [64, 1])
    nodes = [
        helper.make_node("Tile", ["x", "repeats"], ["wide0"], name="tile0"),
        helper.make_node("Tile", ["x", "repeats"], ["wide1"], name="tile1"),
        helper.make_node("ReduceSum", ["wide0", "axes"], ["slim0"], name="sum0"),
        helper.make_node("ReduceSum", ["wide1", "axes"], ["slim1"], name="sum1"),
        helper.make_node("Add", ["slim0", "slim1"], ["y"], name="add"),
    ]
    values = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()}
    graph = helper.make_graph(
        nodes, "forked", [values["x"]], [values["y"]], [axes, repeats], value_info=list(values.values())[1:5]
    )
    path = tmp_path / "forked.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_a_reordered_model_is_written_and_said_how_to_be_run(run: Run, forked_model: Path, tmp_path: Path) -> None:
    first = run("plan", forked_model)
    assert first.stdout.splitlines()[0] == "8.26 kB -> 4.22 kB, lower bound 4.22 kB: optimal (reference)"
    assert first.stdout.splitlines()[-1].endswith("-o forked-planned.onnx")
    better = tmp_path / "better.onnx"
    found = run("plan", forked_model, "-o", better)
    assert found.code == 0
    assert "options.execution_order = onnxruntime.ExecutionOrder.PRIORITY_BASED" in found.stdout
    assert found.stdout.splitlines()[-1].endswith(f"-o {better} --measure")
    names = [node.name for node in onnx.load(better).graph.node]
    assert names == run("plan", forked_model, "--json").json["order"]["nodes"]
    assert names.index("sum0") < names.index("tile1") or names.index("sum1") < names.index("tile0")
    again = run("plan", better, "--json").json["order"]
    assert (again["peak_before_bytes"], again["peak_bytes"]) == (4224, 4224)


def test_the_model_itself_is_written_over_only_if_asked(run: Run, forked_model: Path) -> None:
    before = forked_model.read_bytes()
    assert run("plan", forked_model, "-o", forked_model).code == 2
    assert forked_model.read_bytes() == before
    assert run("plan", forked_model, "-o", forked_model, "--replace").code == 0
    assert forked_model.read_bytes() != before


def test_only_an_onnx_model_can_be_written_as_one(run: Run, gap: Path, tmp_path: Path) -> None:
    found = run("plan", gap, "-o", tmp_path / "better.onnx")
    assert found.code == 2
    assert "is no ONNX file" in found.stderr


def test_measuring_compares_two_files_and_needs_them(run: Run, forked_model: Path) -> None:
    assert run("plan", forked_model, "--measure").code == 2
    assert run("plan", forked_model, "--measure", "--replace", "-o", forked_model).code == 2


def test_measured_peaks_are_those_of_the_orders_that_ran(run: Run, forked_model: Path, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    if not hasattr(onnxruntime, "ExecutionOrder"):
        pytest.skip("this onnxruntime cannot be told an order")
    found = run("plan", forked_model, "-o", tmp_path / "better.onnx", "--measure", "--json")
    assert found.code == 0, found.stderr
    runs = {(one["model"], one["execution_order"]): one for one in found.json["measured"]}
    assert len(runs) == 4
    before, after = runs["before", "PRIORITY_BASED"], runs["after", "PRIORITY_BASED"]
    assert before["keeps_file_order"] is after["keeps_file_order"] is True
    assert after["nodes"] == found.json["order"]["nodes"]
    assert before["peak_bytes"] - after["peak_bytes"] == 64 * 16 * 4 - 16 * 4


def test_both_models_give_the_same_bits(run: Run, forked_model: Path, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    better = tmp_path / "better.onnx"
    assert run("plan", forked_model, "-o", better).code == 0
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    x = np.random.default_rng(0).random((1, 16), dtype=np.float32)
    answers = [
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
        for path in (forked_model, better)
    ]
    assert answers[0].tobytes() == answers[1].tobytes()


@pytest.mark.parametrize("text", ["sram", "sram=1", "sram=1:", "=1:1", "sram=1:-1", "sram=x:1", "sram=1:1e3"])
def test_a_memory_is_a_name_a_size_and_a_cost(run: Run, model: Path, text: str) -> None:
    assert run("plan", model, "--arena", text).code == 2


def test_buffers_are_spread_over_memories_by_cost(run: Run, model: Path) -> None:
    memories = ["--arena", "sram=1KiB:1", "--arena", "dram=1MiB:10"]
    found = run("plan", model, *memories, "--json").json["arenas"]
    # t1 is written and read, t0 read, t2 written; t0 and t2 never meet and share what t1 does not take.
    assert (found["cost"], found["optimal"]) == (2000 * 1 + 2000 * 10, True)
    assert [arena["name"] for arena in found["arenas"]] == ["sram", "dram"]
    assert "Traffic costs 22,000, lower bound 22,000: optimal" in run("plan", model, *memories).stdout


def test_memories_that_are_too_small_are_exit_code_1(run: Run, model: Path) -> None:
    found = run("plan", model, "--arena", "a=1KiB:1", "--arena", "b=512:2")
    assert found.code == 1
    assert "2,048 bytes are alive at one step; the arenas have 1,536 together" in found.stderr


@pytest.mark.parametrize(
    ("offsets", "words"),
    [(("4", "8", "12"), "3 of 3 buffers, 16 bytes"), (("4", "", "12"), "2 of 3 buffers, 16 bytes")],
)
def test_offsets_in_a_table_are_said_to_be_planned_anew(
    run: Run, tmp_path: Path, offsets: tuple[str, ...], words: str
) -> None:
    path = tmp_path / "fixed.csv"
    rows = zip(("a,0,3,4", "b,3,9,4", "c,0,9,4"), offsets, strict=True)
    path.write_text("id,lower,upper,size,offset\n" + "".join(f"{row},{offset}\n" for row, offset in rows))
    done = run("plan", path)
    assert done.code == 0
    assert "\nArena 8 B" in done.stdout
    assert words in done.stdout
    assert "not used" in done.stdout.splitlines()[0]
    path.write_text("id,lower,upper,size\na,0,3,4\n")
    assert "not used" not in run("plan", path).stdout


@pytest.fixture
def held_model(tmp_path: Path) -> Path:
    """Return a model that holds a wide tensor, cheap to make again, while a wider one comes and goes."""
    shapes = {"x": [1, 16], "wide": [64, 16], "slim": [1, 16], "wider": [128, 16], "scale": [1, 16], "y": [64, 16]}
    fixed = [
        helper.make_tensor("axes", TensorProto.INT64, [1], [0]),
        helper.make_tensor("by64", TensorProto.INT64, [2], [64, 1]),
        helper.make_tensor("by128", TensorProto.INT64, [2], [128, 1]),
    ]
    nodes = [
        helper.make_node("Tile", ["x", "by64"], ["wide"], name="widen"),
        helper.make_node("ReduceSum", ["wide", "axes"], ["slim"], name="sum"),
        helper.make_node("Tile", ["slim", "by128"], ["wider"], name="widen more"),
        helper.make_node("ReduceSum", ["wider", "axes"], ["scale"], name="sum more"),
        helper.make_node("Mul", ["wide", "scale"], ["y"], name="scale it"),
    ]
    values = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()}
    graph = helper.make_graph(nodes, "held", [values["x"]], [values["y"]], fixed)
    path = tmp_path / "held.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_a_model_with_second_runs_is_written_and_needs_what_was_said(
    run: Run, held_model: Path, tmp_path: Path
) -> None:
    smaller = tmp_path / "smaller.onnx"
    found = run("plan", held_model, "--recompute", "0", "-o", smaller, "-o", tmp_path / "plan.html", "--json").json
    assert found["recomputation"]["operations"] == ["widen"]
    assert found["recomputation"]["peak_once_bytes"] == 4096 + 64 + 8192
    assert found["order"]["optimal"] is True
    kept = run("plan", smaller, "--keep-order", "--json").json
    assert kept["order"]["peak_before_bytes"] == found["order"]["peak_bytes"] < 4096 + 64 + 8192
    assert "1 operation runs twice: no MACs more" in run("plan", held_model, "--recompute", "0").stdout


def test_patches_that_save_nothing_are_said_to(run: Run, held_model: Path) -> None:
    found = run("plan", held_model, "--split", "5%")
    assert found.code == 0
    assert "an estimate" not in found.stdout
    assert "no patches of the first layers" in found.stderr


def test_offsets_in_a_table_are_said_to_be_unused(run: Run, tmp_path: Path) -> None:
    table = tmp_path / "placed.csv"
    table.write_text("id,lower,upper,size,offset\na,0,3,4,4\nb,3,9,4,8\n")
    assert "(2 of 2 buffers, 12 bytes) are not used" in run("plan", table).stdout
    assert "are not used" in run("plan", table, "--json").stderr
    table.write_text(f"id,lower,upper,size{' ' * 5000},offset\na,0,3,4,4\n")
    assert "are not used" in run("plan", table).stdout
    table.write_text('"id",lower,upper,"size\n","offset"\na,0,3,4,4\n')
    assert "are not used" in run("plan", table).stdout


def test_a_runtime_that_is_missing_is_said_before_anything_is_written(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memprof.measure.tflm.find_spec", lambda name: None)
    model, planned = tmp_path / "net.tflite", tmp_path / "better.tflite"
    model.write_bytes(chain(4, 8, 4))
    found = run("plan", model, "-o", planned, "--measure")
    assert (found.code, found.stdout) == (5, "")
    assert found.stderr.startswith("error: --measure needs an optional dependency")
    assert not planned.exists()
