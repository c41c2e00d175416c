"""Lines of a model's own code: those that ran or were exported, by hand; nothing of PyTorch's or memprof's."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

import memprof  # noqa: E402
from memprof.importers.torch.lines import line_of  # noqa: E402

HERE = Path(__file__).name


class Summed(torch.nn.Module):  # type: ignore[name-defined, misc]
    """Two lines of its own, with a module of PyTorch's below."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.inner(x)
        return y.sum()


def line(of: Callable[..., object], text: str) -> str:
    """Return where a line of a function stands that holds ``text``."""
    lines, start = inspect.getsourcelines(of)
    return f"{HERE}:{start + next(i for i, found in enumerate(lines) if text in found)}"


INNER, LAST = line(Summed.forward, "self.inner"), line(Summed.forward, "y.sum")


def lines(report: memprof.Report, runtime: str) -> dict[str, str]:
    return {node.op: node.line for node in report.runtimes[runtime].lifetimes.graph.nodes}


@pytest.mark.parametrize("runtime", ["pytorch", "reference"])
def test_an_operation_has_the_line_of_the_model_that_asked_for_it(runtime: str) -> None:
    found = lines(memprof.analyze(Summed(), torch.zeros(2, 4), runtimes=[runtime]), runtime)
    assert set(found.values()) == {INNER, LAST}
    assert found["aten.sum"] == LAST


def test_a_gradient_has_the_line_of_what_it_is_the_gradient_of() -> None:
    found = lines(memprof.analyze(Summed(), torch.zeros(2, 4), training=memprof.Training(optimizer="sgd")), "pytorch")
    assert found["aten.threshold_backward"] == INNER


def test_a_module_of_pytorch_alone_has_no_lines_though_somebody_called_memprof() -> None:
    found = lines(memprof.analyze(torch.nn.Sequential(torch.nn.ReLU()), torch.zeros(4)), "pytorch")
    assert set(found.values()) == {""}


def test_a_saved_report_keeps_the_lines() -> None:
    report = memprof.analyze(Summed(), torch.zeros(2, 4))
    again = memprof.Report.from_json(report.to_json())
    assert lines(again, "pytorch") == lines(report, "pytorch") != {}


def test_of_a_stack_trace_the_last_line_counts_that_is_not_pytorchs() -> None:
    trace = 'File "/a b/net.py", line 7, in forward\n  File "/x/torch/nn/modules/conv.py", line 9, in forward\n'
    assert (line_of(trace), line_of(None), line_of(r'File "C:\models\net.py", line 7')) == (
        "net.py:7",
        "",
        "net.py:7",
    )
