"""The marker ``memory_budget``, in a pytest of its own: what it lets pass, what it stops, and what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import write_chain

pytest_plugins = ["pytester"]


def outcome(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, body: str) -> tuple[dict[str, int], str]:
    """Run a file of one test and return how many passed and failed, and what was printed."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    write_chain(pytester.path / "net.onnx", ["Relu", "Sigmoid"], [1, 250])
    pytester.makepyfile(f"import pytest\n\n{body}")
    done = pytester.runpytest_subprocess("-p", "memprof.pytest_plugin", "-p", "no:cacheprovider", "--strict-markers")
    return done.parseoutcomes(), done.stdout.str()


MARKED = "@pytest.mark.memory_budget({})\ndef test_it({}):\n    {}\n"


@pytest.mark.parametrize(
    ("marker", "fixture", "call"),
    [
        ("'net.onnx', peak='2kB', runtime='reference'", "", "pass"),
        (
            "peak=2000, total='1.96KiB', runtime='reference'",
            "memory_budget",
            "assert memory_budget('net.onnx').sizes['peak'] == 2000",
        ),
        ("peak='1kB', runtime='paper'", "memory_budget", "memory_budget('net.onnx')"),
    ],
)
def test_a_model_within_its_budget_passes(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, marker: str, fixture: str, call: str
) -> None:
    counts, text = outcome(pytester, monkeypatch, MARKED.format(marker, fixture, call))
    assert counts == {"passed": 1}, text


@pytest.mark.parametrize(
    ("marker", "fixture", "call", "line"),
    [
        (
            "'net.onnx', peak='1kB', runtime='reference'",
            "",
            "pass",
            "OVER   net.onnx: peak is 2.00 kB, 1.00 kB over 1.00 kB; look at t0",
        ),
        (
            "peak='1kB', runtime='reference'",
            "memory_budget",
            "memory_budget('net.onnx')",
            "OVER   net.onnx: peak is 2.00 kB",
        ),
        ("'gone.onnx', peak='1kB'", "", "pass", "FAILED gone.onnx: Cannot open gone.onnx"),
        ("peak='lots'", "memory_budget", "memory_budget('net.onnx')", "'lots' is not an amount of bytes."),
        ("'net.onnx'", "", "pass", "The marker has no limit"),
        ("peak='1kB'", "", "pass", "The budget names no model"),
        ("'net.onnx', peak='9kB', colour='red'", "", "pass", "A request has no 'colour'."),
    ],
)
def test_a_model_over_its_budget_or_a_budget_that_is_none_fails_with_one_line(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, marker: str, fixture: str, call: str, line: str
) -> None:
    counts, text = outcome(pytester, monkeypatch, MARKED.format(marker, fixture, call))
    assert counts == {"failed": 1}, text
    assert line in text
    assert "Traceback" not in text


def test_a_budget_that_nothing_was_held_against_fails(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts, text = outcome(pytester, monkeypatch, MARKED.format("peak='9kB'", "memory_budget", "pass"))
    assert counts == {"passed": 1, "errors": 1}
    assert "call memory_budget(model)" in text


def test_without_the_marker_nothing_of_memprof_is_imported(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = "def test_it():\n    import sys\n    assert 'memprof.api' not in sys.modules\n"
    assert outcome(pytester, monkeypatch, body)[0] == {"passed": 1}
