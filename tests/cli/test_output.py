"""What a person at a terminal is told while a command works."""

from __future__ import annotations

import threading

import pytest

from memprof.cli import waiting


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
        if "reading" in self.text:
            self.written.set()
        return len(text)

    def flush(self) -> None:
        pass

    def fileno(self) -> int:
        raise OSError("no file is behind it")


def test_a_person_is_told_what_takes_long_and_the_line_goes_when_it_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(is_terminal=True)
    monkeypatch.setattr(waiting, "PATIENCE_SECONDS", 0.0)
    line = waiting.WaitLine(terminal)
    with line.running(), line.saying("reading net.onnx"):
        assert terminal.written.wait(600)
    assert terminal.text.startswith("\rworking ...\x1b[K") or terminal.text.startswith("\rreading net.onnx ...\x1b[K")
    assert "\rreading net.onnx ...\x1b[K" in terminal.text
    assert terminal.text.endswith("\r\x1b[K")


@pytest.mark.parametrize(("is_terminal", "patience"), [(True, 3600.0), (False, 0.0)])
def test_nobody_is_told_what_is_quick_or_what_goes_into_a_file(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool, patience: float
) -> None:
    terminal = Terminal(is_terminal=is_terminal)
    monkeypatch.setattr(waiting, "PATIENCE_SECONDS", patience)
    line = waiting.WaitLine(terminal)
    before = set(threading.enumerate())  # of other tests: one may end while this one looks
    with line.running(), line.saying("reading net.onnx"):
        assert len(set(threading.enumerate()) - before) == is_terminal
    assert terminal.text == ""


def test_a_message_a_bar_and_a_result_find_the_line_empty() -> None:
    terminal = Terminal(is_terminal=True)
    line = waiting.WaitLine(terminal)
    with line.saying("searching"):
        line.tick()
        with line.cleared():
            terminal.write("a message\n")
        line.tick()
        with line.quiet():
            line.tick()
            terminal.write("the result\n")
    searching, gone = "\rsearching ...\x1b[K", "\r\x1b[K"
    assert terminal.text == f"{searching}{gone}a message\n{searching}{gone}the result\n"


def test_a_long_line_is_cut_since_what_wraps_could_not_be_cleared() -> None:
    terminal = Terminal(is_terminal=True)
    line = waiting.WaitLine(terminal)
    with line.saying("reading " + "n" * 200):
        line.tick()
    assert terminal.text == "\rreading " + "n" * 71 + "\x1b[K\r\x1b[K"


def test_a_log_gets_a_line_every_few_seconds() -> None:
    log = Terminal(is_terminal=False)
    with waiting.WaitLine(log).saying("planning") as stage:
        for seconds in (1.0, 6.0, 7.0, 12.0, 1.0, 5.0, 6.5):
            stage.say("half", seconds)
    assert log.text == "half ... 6 s\nhalf ... 12 s\nhalf ... 6 s\n"
