"""The child process: analyses and plans mutants that know the format, and judges what comes out.

Usage: python judge.py FIRST COUNT MODEL... prints one JSON object: how the mutants ended, and what is wrong:
tracebacks, peaks that are null though nothing is listed as unknown, plans that break a rule. The number of a mutant
goes to stderr before it is met, so that the last line names the one that ended the process.
"""

from __future__ import annotations

import collections
import json
import resource
import signal
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

import onnx

SECONDS = 10
ADDRESS_SPACE_BYTES = 3 * 2**30
PLANNED = 8
RENDERED = 16
ASKED = 50
"""One mutant in so many has the installed onnxruntime asked, which takes a process; the others are met here."""


def examine(path: Path, number: int) -> None:
    """Analyse one file as the program does; raises ``AssertionError`` where the answer is no answer."""
    from silence import assert_nothing_is_silent

    import memprof
    from memprof.render.html import render_html

    report = memprof.analyze(path, from_file=bool(number % ASKED))
    document = report.to_json()
    json.dumps(document, allow_nan=False)
    assert_nothing_is_silent(report)
    if number % RENDERED == 0:
        render_html(report)
    if number % PLANNED == 0 and report.peak_intermediate_bytes is not None:
        examine_plan(path, report)


def examine_plan(path: Path, report: Any) -> None:
    """Plan one file; order and addresses are checked here, pair by pair, beside memprof's own validator."""
    import memprof
    from memprof.planning.validator import find_violation

    for runtime in ("reference", "onnxruntime"):
        if report.runtimes[runtime].peak_intermediate_bytes is None:
            continue
        plan = memprof.plan(path, runtime=runtime, seconds=0.02)
        problem, offsets = plan.arena.problem, plan.arena.offsets
        assert find_violation(problem, offsets) is None
        placed = list(zip(problem.buffers, problem.sizes, offsets, strict=True))
        for i, (buffer, size, offset) in enumerate(placed):
            assert 0 <= offset <= plan.arena.arena_bytes - size, f"{buffer.name} lies outside"
            for other, other_size, other_offset in placed[:i]:
                meet = buffer.start < other.stop and other.start < buffer.stop
                apart = offset + size <= other_offset or other_offset + other_size <= offset
                assert apart or not (meet and size and other_size), f"{buffer.name} and {other.name} overlap"
        json.dumps(plan.to_json(), allow_nan=False)


def main() -> None:
    """Judge the mutants ``FIRST`` to ``FIRST + COUNT``."""
    from mutations import mutate, strip

    from memprof.base.errors import MemprofError

    first, count = int(sys.argv[1]), int(sys.argv[2])
    originals = [(name, strip(onnx.load(name, load_external_data=False))) for name in sys.argv[3:]]
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    ends: collections.Counter[str] = collections.Counter()
    wrong: list[str] = []
    signal.signal(signal.SIGPROF, _too_slow)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mutant.onnx"
        for i in range(first, first + count):
            name, original = originals[i % len(originals)]
            path.write_bytes(mutate(original, i).SerializeToString())
            print(i, file=sys.stderr)
            signal.setitimer(signal.ITIMER_PROF, SECONDS)  # seconds of the processor: a busy machine fails nobody
            try:
                examine(path, i)
                ends["report"] += 1
            except MemprofError as error:
                ends[error.kind] += 1
            except Exception:
                ends["wrong"] += 1
                wrong.append(f"mutant {i} of {name}: {traceback.format_exc()}")
            signal.setitimer(signal.ITIMER_PROF, 0)
    print(json.dumps({"ends": ends, "wrong": wrong}))


def _too_slow(*_: object) -> None:
    raise TimeoutError(f"over {SECONDS} s")


if __name__ == "__main__":
    main()
