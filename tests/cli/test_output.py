"""What a person at a terminal is told while a command works."""

from __future__ import annotations

import threading

import pytest

from memprof.cli import output


class Terminal:
    """A stderr that says whether a person reads it, and when something was written."""

    def __init__(self, *, is_terminal: bool) -> None:
        self._is_terminal = is_terminal
        self.written = threading.Event()
        self.text = ""

    def isatty(self) -> bool:
        return self._is_terminal

    def write(self, text: str) -> int:
        self.text += text
        if "\n" in self.text:
            self.written.set()
        return len(text)

    def flush(self) -> None:
        pass


def test_a_person_is_told_what_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(is_terminal=True)
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr(output, "PATIENCE_SECONDS", 0.0)
    with output.telling("reading net.onnx"):
        assert terminal.written.wait(60)
    assert terminal.text == "reading net.onnx ...\n"


@pytest.mark.parametrize(("is_terminal", "patience"), [(True, 3600.0), (False, 0.0)])
def test_nobody_is_told_what_is_quick_or_what_goes_into_a_file(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool, patience: float
) -> None:
    terminal = Terminal(is_terminal=is_terminal)
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr(output, "PATIENCE_SECONDS", patience)
    before = threading.active_count()
    with output.telling("reading net.onnx"):
        assert threading.active_count() == before + is_terminal
    assert terminal.text == ""
