"""Whatever ends the program: one message where the caller looks for it, one exit code, never a traceback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from memprof.cli.failures import describe_failure
from memprof.cli.program import CommandEntry, Program

ENTRIES = {
    "boom": CommandEntry("tests.cli.boom", "Fail."),
    "analyze": CommandEntry("memprof.cli.analyze", "Analyse."),
}
CODES = {
    "none": (0, ""),
    "over budget": (1, ""),
    "closed pipe": (0, ""),
    "usage": (2, "usage"),
    "input": (3, "input"),
    "limit": (3, "limit"),
    "runtime": (3, "runtime"),
    "budget": (1, "budget"),
    "incomplete": (4, "incomplete"),
    "missing-extra": (5, "missing-extra"),
    "bug": (70, "bug"),
    "assertion": (70, "bug"),
    "end of file": (70, "bug"),
    "os without a file": (70, "bug"),
    "missing file": (3, "input"),
    "memory": (3, "limit"),
    "recursion": (3, "limit"),
    "interrupt": (130, "interrupted"),
    "hostile": (3, "input"),
}


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(Program(ENTRIES), list(arguments))


@pytest.mark.parametrize("failure", CODES)
def test_each_failure_has_its_code_and_two_lines_on_stderr_at_most(failure: str) -> None:
    code, kind = CODES[failure]
    result = invoke("boom", failure)
    assert result.exit_code == code
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert "Traceback" not in result.stderr
    if kind:
        assert lines[0].startswith("error: ")
        assert [line.startswith("hint: ") for line in lines[1:]] in ([], [True])
        assert all(line.isprintable() and len(line) < 2100 for line in lines)
    else:
        assert lines == []


@pytest.mark.parametrize("failure", [name for name, (_, kind) in CODES.items() if kind])
def test_with_json_each_failure_is_one_document_on_stdout(failure: str) -> None:
    code, kind = CODES[failure]
    result = invoke("boom", failure, "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == code
    assert result.stderr == ""
    assert set(document) == {"schema", "error"}
    assert document["schema"] == "memprof/error/1"
    assert set(document["error"]) == {"code", "kind", "message", "hint"}
    assert (document["error"]["code"], document["error"]["kind"]) == (code, kind)
    assert document["error"]["message"]


def test_a_bug_asks_for_a_report_and_shows_where_only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = invoke("boom", "bug")
    assert r"KeyError: '\x1b[31mkey'. Please report this." in quiet.stderr
    assert "MEMPROF_DEBUG=1" in quiet.stderr
    monkeypatch.setenv("MEMPROF_DEBUG", "1")
    loud = invoke("boom", "bug")
    assert "Traceback (most recent call last)" in loud.stderr
    assert loud.exit_code == 70


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["analyze"], "memprof analyze --help shows what is possible."),
        (["analyze", "a.onnx", "--no-such-flag"], "memprof analyze --help shows what is possible."),
        (["analyze", "a.onnx", "--top", "0"], "memprof analyze --help shows what is possible."),
        (["analyze", "a.onnx", "b.onnx"], "memprof analyze --help shows what is possible."),
        (["analize", "a.onnx"], "Did you mean: memprof analyze"),
        (["net.onnx"], "To analyse a model: memprof analyze net.onnx"),
        (["xyzzy"], "Commands: boom, analyze."),
        (["--no-such-flag"], "memprof --help shows what is possible."),
    ],
)
def test_a_wrong_call_exits_with_2_and_says_what_to_do(arguments: list[str], hint: str) -> None:
    plain = invoke(*arguments)
    assert plain.exit_code == 2
    assert plain.stdout == ""
    assert plain.stderr.splitlines()[0].startswith("error: ")
    assert plain.stderr.splitlines()[1:] == [f"hint: {hint}"]
    as_json = invoke(*arguments, "--json")
    assert as_json.exit_code == 2
    assert json.loads(as_json.stdout)["error"]["kind"] == "usage"


def test_hostile_arguments_reach_the_terminal_as_escapes() -> None:
    red = "\x1b[31m"
    for arguments in ([red], ["analyze", "m", red], ["analyze", "m", f"--{red}"], ["analyze", red, "-o", red]):
        result = invoke(*arguments)
        assert result.exit_code in (2, 3)
        assert r"\x1b[31m" in result.stderr
        assert "\x1b" not in result.stderr


def test_ctrl_c_ends_a_running_command_with_130() -> None:
    script = (
        "from tests.cli.test_exit_codes import *; "
        "signal.signal(signal.SIGINT, signal.default_int_handler); "  # a job in the background ignores it
        "Program(ENTRIES).main(['boom', 'sleep'])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "asleep\n"
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=600)
    assert (process.returncode, stderr) == (130, "error: Interrupted.\n")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["analyze", "--help"], ["--version"], ["analyze", "MODEL", "--json"]]
)
def test_a_reader_that_left_is_no_failure(arguments: list[str], model: Path) -> None:
    arguments = [str(model) if argument == "MODEL" else argument for argument in arguments]
    with subprocess.Popen(
        [sys.executable, "-m", "memprof", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        stderr = process.stderr.read()
    assert (process.returncode, stderr) == (0, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")  # noqa: PTH110
def test_a_full_disk_behind_stdout_is_one_clear_error(model: Path) -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-m", "memprof", "analyze", str(model)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            cwd=Path(__file__).parents[2],
        )
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == "error: Cannot write the result to stdout: No space left on device."
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("redirection", ["2>&-", ">&-", ">&- 2>&-"])
def test_closed_streams_change_no_exit_code_and_nothing_is_said_elsewhere(redirection: str, model: Path) -> None:
    for target, code in ((str(model), 0), ("/no/such.onnx", 3)):
        done = subprocess.run(
            ["sh", "-c", f'exec "$0" -m memprof analyze "$1" {redirection}', sys.executable, target],
            capture_output=True,
            check=False,
            cwd=Path(__file__).parents[2],
        )
        assert done.returncode == code
        assert b"error" not in done.stdout
        assert b"Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full")
@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("analyze", "--help"), ("doctor",)], ids=" ".join)
def test_a_full_disk_is_told_and_is_no_bug(arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "memprof", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            cwd=Path(__file__).parents[2],
        )
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == "error: Cannot write the result to stdout: No space left on device."


def test_a_library_that_a_limit_of_memory_keeps_out_is_no_bug() -> None:
    failures = [
        describe_failure(ImportError(f"libtorch_cpu.so: {why}"))
        for why in ("failed to map segment from shared object", "undefined symbol: x")
    ]
    assert [(failure.code, failure.kind) for failure in failures] == [(3, "limit"), (70, "bug")]


def test_a_limit_of_memory_that_the_system_sets_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    limits = {resource.RLIMIT_AS: resource.RLIM_INFINITY, resource.RLIMIT_DATA: 3 * 2**30}
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (limits[kind], resource.RLIM_INFINITY))
    failure = describe_failure(MemoryError())
    assert (failure.code, failure.kind) == (3, "limit")
    assert "this process may take 3.22 GB" in failure.message or "3 GiB" in failure.message
