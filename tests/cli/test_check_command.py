"""``memprof check``: the exit code is the answer."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from memprof.base.errors import UsageError
from memprof.cli.check import parse_tolerance
from tests.cli.conftest import Run, write_chain
from tests.schemas import check_document


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        (["--max-peak", "2000"], 0),
        (["--max-peak", "1999"], 1),
        (["--max-peak", "2kB", "--max-params", "0", "--max-total", "1.96KiB"], 0),
        (["--max-peak", "2kB", "--max-total", "1.95KiB"], 1),
        (["--max-peak", "1kB", "--runtime", "paper"], 0),
        (["--max-peak", "999", "--runtime", "paper"], 1),
    ],
)
def test_a_budget_holds_up_to_the_last_byte(run: Run, model: Path, flags: list[str], code: int) -> None:
    plain, as_json = run("check", model, *flags), run("check", model, *flags, "--json")
    assert (plain.code, as_json.code) == (code, code)
    assert plain.stdout.startswith("Fits: " if code == 0 else "Over budget: ")
    assert as_json.json["is_met"] is (code == 0)


def test_sizes_come_back_in_the_unit_that_was_typed(run: Run, model: Path) -> None:
    found = run("check", model, "--max-peak", "0.5M", "--max-total", "1K")
    assert "0.00191 M    0.5 M  fits, 0.498 M left" in found.stdout
    assert "1.95 K      1 K  over by 0.953 K (976 bytes)" in found.stdout


def test_json_says_how_each_limit_stands(run: Run, model: Path) -> None:
    assert run("check", model, "--max-peak", "1999", "--max-params", "5", "--json").json == {
        "schema": "memprof/check/1",
        "model": str(model),
        "runtime": "reference",
        "is_met": False,
        "checks": [
            {"name": "peak", "bytes": 2000, "at_least_bytes": 2000, "limit_bytes": 1999, "is_met": False},
            {"name": "params", "bytes": 0, "at_least_bytes": 0, "limit_bytes": 5, "is_met": True},
        ],
        "assumed": [],
    }


def test_an_open_size_is_judged_as_it_is_assumed(run: Run, dynamic_model: Path) -> None:
    assert run("check", dynamic_model, "--max-peak", "1MB").code == 0
    assert run("check", dynamic_model, "--max-peak", "1MB", "--dim", "batch=1000").code == 1
    assert run("check", dynamic_model, "--max-params", "1MB").code == 0


def test_an_assumed_size_is_said_with_what_changes_it_and_refused_if_strict(run: Run, dynamic_model: Path) -> None:
    check = ("check", dynamic_model, "--max-peak", "1MB")
    assert "Assumed: batch=1; to change: --dim batch=8\n" in run(*check).stdout
    document = run(*check, "--json").json
    check_document(document)
    assert [(note["name"], note["hint"]) for note in document["assumed"]] == [("batch=1", "--dim batch=1")]
    refused = run(*check, "--strict")
    assert (refused.code, refused.stdout[:5]) == (4, "Fits:")
    assert refused.stderr == run("analyze", dynamic_model, "--strict").stderr
    as_json = run(*check, "--strict", "--json")
    assert (as_json.code, as_json.json["schema"]) == (4, "memprof/error/1")
    settled = run(*check, "--strict", "--dim", "batch=8")
    assert (settled.code, "ssum" in settled.stdout) == (0, False)
    assert run(*check, "--dim", "batch=8", "--json").json["assumed"] == []


def test_what_a_saved_report_assumed_is_said_of_it(run: Run, dynamic_model: Path, tmp_path: Path) -> None:
    run("analyze", dynamic_model, "-o", tmp_path / "saved.json")
    assert "Assumed: batch=1" in run("check", tmp_path / "saved.json", "--max-peak", "1MB").stdout
    assert run("check", tmp_path / "saved.json", "--max-peak", "1MB", "--strict").code == 4


def test_several_models_are_refused_for_one_that_is_assumed(run: Run, model: Path, dynamic_model: Path) -> None:
    check = ("check", model, dynamic_model, "--max-peak", "1MB")
    assert run(*check).code == 0
    refused = run(*check, "--strict")
    assert (refused.code, "batch=1" in refused.stderr) == (4, True)
    assert run("check", dynamic_model, dynamic_model, "--max-peak", "1MB", "--strict", "--dim", "batch=1").code == 0


def test_strict_goes_with_no_board_and_saves_nothing(run: Run, model: Path) -> None:
    assert run("check", model, "--board", "nucleo-h743zi", "--strict").code == 2
    assert run("check", "--update-baseline", "--strict").code == 2


def test_what_is_known_already_can_break_the_budget(run: Run, tmp_path: Path) -> None:
    names = ["in", "open", "out"]
    half_open = write_chain(tmp_path / "m.onnx", ["Relu", "Strange"], [1, 250], names)
    found = run("check", half_open, "--max-peak", "999", "--json")
    assert (found.code, found.json["checks"][0]["is_met"]) == (1, False)


def test_which_of_two_limits_decides_is_said(run: Run, model: Path) -> None:
    check = ("check", model, "--baseline", model, "--tolerance", "1%")
    loose, tight = run(*check, "--max-peak", "10MB").stdout, run(*check, "--max-peak", "1kB").stdout
    assert "peak: the baseline + 1 % decides; --max-peak 10MB allows more" in loose
    assert "total: the baseline + 1 % decides\n" in loose
    assert "peak: --max-peak 1kB decides; the baseline allows no less" in tight
    assert "decides" not in run("check", model, "--max-peak", "10MB").stdout


def test_a_baseline_bounds_peak_parameters_and_total(run: Run, model: Path, tmp_path: Path) -> None:
    baseline = tmp_path / "baseline.json"
    run("analyze", model, "-o", baseline)
    grown = write_chain(tmp_path / "grown.onnx", ["Relu", "Sigmoid"], [1, 252])  # 2016 bytes for 2000
    assert run("check", model, "--baseline", baseline).code == 0
    assert run("check", grown, "--baseline", baseline).code == 1
    assert run("check", grown, "--baseline", baseline, "--tolerance", "0.7%").code == 1
    assert run("check", grown, "--baseline", baseline, "--tolerance", "0.8%").code == 0
    assert run("check", grown, "--baseline", model, "--tolerance", "1%").code == 0
    both = run("check", grown, "--baseline", baseline, "--tolerance", "1%", "--max-peak", "2010", "--json").json
    assert [(check["name"], check["limit_bytes"]) for check in both["checks"]] == [
        ("peak", 2010),
        ("params", 0),
        ("total", 2020),
    ]


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["--max-peak", "lots"],
        ["--max-peak", "-1"],
        ["--max-peak", "1", "--runtime", "nosuch"],
        ["--baseline", "MODEL", "--tolerance", "1"],
        ["--baseline", "MODEL", "--tolerance", "-1%"],
    ],
)
def test_a_wrong_call_is_a_usage_error(run: Run, model: Path, flags: list[str]) -> None:
    words = [str(model) if flag == "MODEL" else flag for flag in flags]
    assert run("check", model, *words).code == 2
    assert run("check", model, *words, "--json").json["error"]["kind"] == "usage"


def test_a_baseline_without_the_runtime_model_is_a_usage_error(run: Run, model: Path, tmp_path: Path) -> None:
    run("analyze", model, "--runtime", "paper", "-o", tmp_path / "paper.json")
    found = run("check", model, "--baseline", tmp_path / "paper.json")
    assert found.code == 2
    assert "It has: paper." in found.stderr


@pytest.mark.parametrize("text", ["", "%", "1", "-1%", "1e3%", "a%", "1.2.3%", "¹%", "١%"])  # noqa: RUF001
def test_a_tolerance_is_a_plain_percentage(text: str) -> None:
    with pytest.raises(UsageError):
        parse_tolerance(text)


def test_a_tolerance_is_exact() -> None:
    assert parse_tolerance(" 12.5% ") == Fraction(1, 8)


def test_the_exit_code_reaches_the_shell(run_process: Run, model: Path) -> None:
    assert run_process("check", model, "--runtime", "reference", "--max-peak", "1kB").code == 1
    assert run_process("check", model, "--runtime", "reference", "--max-peak", "2kB").code == 0


def test_a_tensor_in_a_constant_operation_is_a_parameter_to_its_limit(run: Run, tmp_path: Path) -> None:
    value = numpy_helper.from_array(np.zeros((100, 10), np.float32))
    nodes = [
        helper.make_node("Constant", [], ["w"], value=value),
        helper.make_node("Transpose", ["w"], ["t"]),
        helper.make_node("MatMul", ["x", "t"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 10])
    graph = helper.make_graph(nodes, "g", [x], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    path = tmp_path / "constant.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)

    assert run("check", path, "--max-params", "3999").code == 1
    assert run("check", path, "--max-params", "4000", "--max-weights", "8000").code == 0
    found = run("check", path, "--max-weights", "7999", "--json")
    assert found.code == 1
    assert found.json["checks"][0]["bytes"] == 8000
    config = tmp_path / "memprof.toml"
    config.write_text('[[check.models]]\nsource = "constant.onnx"\nmax-params = 3999\nmax-peak = 439\n')
    assert (
        "peak is 440 B, 1 B over 439 B; parameters are 4.00 kB, 1 B over 4.00 kB"
        in run("check", "--config", config).stdout
    )
