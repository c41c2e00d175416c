"""What would help is found once for a file, a request and this code, and found anew when one of them changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import memprof
from memprof.api.helping import kept
from memprof.importers.request import Request
from memprof.measure import kept as measure_kept
from memprof.results.helped import Change, Helped, Untried
from memprof.results.report import Report
from tests.cli.conftest import write_chain

pytest.importorskip("onnxruntime")

CHANGE = Change(what="less", runtime="reference", saved_bytes=4, peak_bytes=8, saved_weight_bytes=2, command="x")
ANSWER = Helped(changes=(CHANGE,), useless=("more",))


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Request, Report]]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    request = Request(source=str(write_chain(tmp_path / "net.onnx", ["Relu"], [1, 4])))
    yield request, memprof.analyze(request)


def never() -> Helped:
    pytest.fail("it was found before")


def test_an_answer_is_kept(asked: tuple[Request, Report]) -> None:
    assert kept.kept_help(*asked, lambda: ANSWER) == ANSWER
    assert kept.kept_help(*asked, never) == ANSWER


@pytest.mark.parametrize("change", ["request", "report", "code"])
def test_another_question_is_asked_anew(
    asked: tuple[Request, Report], monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    request, report = asked
    kept.kept_help(request, report, lambda: ANSWER)
    if change == "request":
        request = replace(request, threads=3)
    elif change == "report":
        report = replace(report, model=replace(report.model, structure_sha256="0"))
    else:
        monkeypatch.setattr(kept, "code_stamp", lambda: "another")
    assert kept.kept_help(request, report, Helped) == Helped()


def test_what_was_not_tried_is_kept_with_its_command(asked: tuple[Request, Report]) -> None:
    answer = replace(ANSWER, skipped=(Untried("late", "command"), Untried("later")))
    kept.kept_help(*asked, lambda: answer)
    assert kept.kept_help(*asked, never) == answer


def test_half_an_answer_is_none(asked: tuple[Request, Report], tmp_path: Path) -> None:
    kept.kept_help(*asked, lambda: ANSWER)
    (path,) = (tmp_path / "cache").rglob("*.json")
    path.write_bytes(path.read_bytes()[:20])
    assert kept.kept_help(*asked, Helped) == Helped()


def test_the_stamp_changes_with_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "_PACKAGE", tmp_path)
    (tmp_path / "a.py").write_text("a = 1")
    before = kept.code_stamp()
    (tmp_path / "a.py").write_text("a = 12")
    assert kept.code_stamp() != before


def test_an_answer_that_lacks_what_a_tool_did_not_make_is_not_kept(asked: tuple[Request, Report]) -> None:
    kept.kept_help(*asked, lambda: replace(ANSWER, was_cut=True))
    assert kept.kept_help(*asked, Helped) == Helped()


@pytest.mark.parametrize("name", ["networkx", "numba", "numpy", "onnx", "onnxruntime"])
def test_another_version_of_a_package_is_asked_anew(
    asked: tuple[Request, Report], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    pytest.importorskip(name)
    kept.kept_help(*asked, lambda: ANSWER)
    real = measure_kept.find_spec

    def another(wanted: str) -> object:
        return real("json") if wanted == name else real(wanted)

    monkeypatch.setattr(measure_kept, "find_spec", another)
    assert kept.kept_help(*asked, Helped) == Helped()
