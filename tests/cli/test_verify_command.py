"""``memprof verify``: its JSON, its exit codes, its first line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from memprof.cli.verify import command
from memprof.results.verification import NamedPair, Verification, pair_steps
from tests.schemas import check_document


def verification(predicted: int | None, *curve: int) -> Verification:
    return Verification(
        path="model.onnx",
        runtime="onnxruntime",
        version="1.2.3",
        optimization="off",
        predicted_bytes=predicted,
        measured_bytes=48,
        counts="all",
        method="an allocator",
        steps=pair_steps([("a", "Exp", 16), ("b", "Neg", curve[0])], [("a", "Exp", 16), ("b", "Neg", 48)]),
        others=(NamedPair("later_runs_block", 512, 512, "a block"),),
    )


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Verification:
    answer: Verification = request.param
    monkeypatch.setattr("memprof.api.running.verify", lambda *_, **__: answer)
    return answer


EXACT, OFF, UNKNOWN = verification(48, 48), verification(32, 32), verification(None, 32)


@pytest.mark.parametrize("found", [EXACT], indirect=True)
def test_json_of_an_exact_prediction(found: Verification) -> None:
    result = CliRunner().invoke(command, ["model.onnx", "--json", "--require-exact"], standalone_mode=False)
    document = json.loads(result.output)
    check_document(document)
    assert result.return_value == 0
    assert {key: document[key] for key in ("schema", "runtime", "version", "optimization")} == {
        "schema": "memprof/verify/2",
        "runtime": "onnxruntime",
        "version": "1.2.3",
        "optimization": "off",
    }
    assert (document["predicted_bytes"], document["measured_bytes"], document["exact"]) == (48, 48, True)
    assert document["first_difference"] is None


@pytest.mark.parametrize("found", [OFF], indirect=True)
def test_the_first_difference_is_named(found: Verification) -> None:
    result = CliRunner().invoke(command, ["model.onnx", "--json"], standalone_mode=False)
    document = json.loads(result.output)
    check_document(document)
    assert result.return_value == 0
    assert document["first_difference"] == {"step": 1, "node": "b", "predicted": 32, "measured": 48}


@pytest.mark.parametrize("found", [OFF, UNKNOWN], indirect=True)
def test_require_exact_fails_unless_exact(found: Verification) -> None:
    result = CliRunner().invoke(command, ["model.onnx", "--require-exact"], standalone_mode=False)
    assert result.return_value == 1


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (EXACT, "Exact, 48 B (48 bytes): model.onnx"),
        (OFF, "Off by -33.33%: model.onnx"),
        (UNKNOWN, "Not predicted, 48 B measured: model.onnx"),
    ],
    indirect=["found"],
)
def test_the_first_line_is_the_answer(found: Verification, line: str) -> None:
    result = CliRunner().invoke(command, ["model.onnx"], standalone_mode=False)
    assert result.output.startswith(line)
    assert "memprof bench model.onnx" in result.output.splitlines()[-1]


def test_a_missing_file_is_exit_code_3(tmp_path: Path) -> None:
    from memprof.base.errors import InputError

    result = CliRunner().invoke(command, [str(tmp_path / "none.onnx")], standalone_mode=False)
    assert isinstance(result.exception, InputError)
    assert result.exception.code == 3
