"""A pytest plugin: a test fails if a model needs more memory than its marker allows.

    @pytest.mark.memory_budget(peak="256KiB")                          # the test names the model ...
    def test_the_network_fits(memory_budget):
        memory_budget(Net(), torch.zeros(1, 3, 32, 32))

    @pytest.mark.memory_budget("models/net.onnx", peak="256KiB", params="1MB")      # ... or the marker does
    def test_the_file_fits():
        pass

The marker takes ``peak``, ``params`` and ``total`` (bytes, or a text such as "256KiB"), ``runtime``, and the fields
of ``memprof.Request``. A budget that nothing was held against fails too: it would never fail otherwise. Nothing of
memprof is imported before a test has the marker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from memprof.results.gate import GateRow

_MARKER = "memory_budget"
_LIMITS = ("peak", "params", "weights", "total")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers", f"{_MARKER}(source, peak=, params=, total=, runtime=): fail if the model needs more memory."
    )


@pytest.fixture
def memory_budget(request: pytest.FixtureRequest) -> Iterator[Callable[..., GateRow]]:
    """Hold a model against the budget of the test's marker: ``memory_budget(source, example_inputs, **fields)``.

    Returns how it stands; the test fails unless it fits.
    """
    marker = request.node.get_closest_marker(_MARKER)
    if marker is None:
        pytest.fail(f"The test has no marker: @pytest.mark.{_MARKER}(peak='256KiB').", pytrace=False)
    asked: list[str] = []

    def hold(source: Any, example_inputs: Any = None, **fields: Any) -> GateRow:
        asked.append(str(source))
        return _judge(marker, source, example_inputs, fields)

    yield hold
    if not asked and not marker.args:
        pytest.fail(f"The budget was not held against a model: call {_MARKER}(model).", pytrace=False)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Hold the model that a marker names against its budget, before the test runs."""
    marker = item.get_closest_marker(_MARKER)
    if marker is None:
        return
    if marker.args:
        _judge(marker, marker.args[0], None, {})
    elif _MARKER not in getattr(item, "fixturenames", ()):
        pytest.fail(f"The budget names no model, and the test does not use the fixture {_MARKER}.", pytrace=False)


def _judge(marker: pytest.Mark, source: Any, example_inputs: Any, fields: dict[str, Any]) -> GateRow:
    from memprof.base.errors import MemprofError
    from memprof.gate.config import Watched
    from memprof.gate.judge import judge
    from memprof.importers.request import make_request
    from memprof.render.gate import describe_row
    from memprof.results.budgets import Budgets

    given = dict(marker.kwargs)
    runtime = given.pop("runtime", None)
    limits = {name: given.pop(name) for name in _LIMITS if name in given}
    if not limits:
        pytest.fail(f"The marker has no limit: @pytest.mark.{_MARKER}(peak='256KiB').", pytrace=False)
    try:
        request = make_request(source, example_inputs, **{**given, **fields})
        budgets = Budgets(**{name: _bytes(limit) for name, limit in limits.items()})
        row = judge(Watched(name=request.name, request=request, runtime=runtime, budgets=budgets), None).row
    except MemprofError as error:
        pytest.fail(f"{error.message} {error.hint}".strip(), pytrace=False)
    if row.status != "fits":
        pytest.fail(describe_row(row), pytrace=False)
    return row


def _bytes(limit: int | str) -> int:
    from memprof.base.units import parse_bytes

    return parse_bytes(limit) if isinstance(limit, str) else limit
