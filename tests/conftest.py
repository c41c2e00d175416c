"""Settings that every test shares."""

import gc
import os
import signal
from importlib.metadata import version
from importlib.util import find_spec
from types import MappingProxyType

import pytest
from hypothesis import settings

import memprof.runtimes
from memprof.runtimes.onnxruntime.kernel_table import VERSION

# A shell's background job, and all it starts, may be born deaf to these.
for number in (signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGINT)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL)

# Hundreds of processes are started here: each would compile all of memprof anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# What is written is not folded for whoever started the tests.
os.environ.pop("COLUMNS", None)

# Threads that wait for one another take processor time from the tests beside them.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

# No deadline: the two cores may be busy. Derandomised: a run that failed fails again.
settings.register_profile("memprof", deadline=None, derandomize=True, max_examples=25)
settings.register_profile("thorough", deadline=None, derandomize=True, max_examples=250)  # of "make slow"
settings.load_profile("memprof")

_LEADS = "onnxruntime-default"
_OTHER_VERSION = find_spec("onnxruntime") is not None and not version("onnxruntime").startswith(f"{VERSION}.")


def pytest_collection_finish() -> None:
    """Let collections of garbage pass over what all tests have loaded, PyTorch above all: it stays to the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def no_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try no tools that change a file and no other sizes of a module: they take a second of a processor."""
    monkeypatch.setattr("memprof.api.helping._is_resized_by_name", lambda request: False)
    monkeypatch.setattr("memprof.api.helping.files.applicable", lambda path: ())


@pytest.fixture(autouse=True)
def reference_leads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``reference`` lead, whose numbers are a definition, so that a test depends on no installed onnxruntime.

    Tests of what really leads carry the mark ``default_session``.
    """
    if request.node.get_closest_marker("default_session") is None:
        rows = {name: row for name, row in memprof.runtimes.RUNTIMES.items() if name != _LEADS}
        monkeypatch.setattr(memprof.runtimes, "RUNTIMES", MappingProxyType(rows))


@pytest.fixture(autouse=True)
def grades_as_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let grades be those of the onnxruntime that all was proven with: tests see whether they hold on another."""
    if _OTHER_VERSION:
        monkeypatch.setattr("memprof.runtimes.onnxruntime.of_version", lambda rule, _version: rule)
