"""What a process grows by while it makes a default session and runs a model: resident pages, read from the system.

    imported -> session -> inputs -> first run -> tenth run        resident pages are read at each arrow

What the session holds is told apart too: pages of files, what is taken of the C library's heap, and other pages.
A second session in the same process, whose pages count nowhere, says what its arena holds after the first and the
second run. Runs in a child process, on Linux.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from memprof.base.folders import scratch_folder
from memprof.measure.feeds import InputSpec, random_feeds, read_code
from memprof.measure.onnxruntime_events import kernel_events
from memprof.measure.pages import c_library, resident, taken_bytes

_RUNS = 10


def grow(model: str, inputs: Sequence[InputSpec], threads: int) -> dict[str, Any]:
    """Run a model ten times and return what the process grew by: the task of the child.

    Args:
        model: Path of the .onnx file.
        inputs: Its inputs.
        threads: Threads inside an operation.

    Returns:
        ``session``, ``inputs``, ``first_run`` and ``later_runs``, each beyond what was there before, in bytes;
        ``session_library``, ``session_kept`` and ``session_left``, the parts of the first: pages of files, what is
        taken of the heap in new pages (``None`` where the C library does not count), and the rest;
        ``arena_first_run`` and ``arena_later_runs``, what the arena holds, ``None`` where it does not say.
    """
    import onnxruntime

    read_code()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    libc = c_library()
    gc.collect()
    before, taken = resident(), 0 if libc is None else taken_bytes(libc)
    pages = [before[0]]
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    after = resident()
    kept = None if libc is None else taken_bytes(libc) - taken
    pages.append(after[0])
    feeds = random_feeds(inputs)
    pages.append(resident()[0])
    session.run(None, feeds)
    pages.append(resident()[0])
    for _ in range(_RUNS - 1):
        session.run(None, feeds)
    pages.append(resident()[0])
    growth = [after - before for before, after in pairwise(pages)]
    first, later = _arena(model, options, feeds)
    found = dict(zip(("session", "inputs", "first_run", "later_runs"), growth, strict=True))
    own = after[1] - before[1]
    kept = None if kept is None else min(kept, own)  # the rest lies in pages that were there before
    return {
        **found,
        "session_library": growth[0] - own,
        "session_kept": kept,
        "session_left": None if kept is None else own - kept,
        "arena_first_run": first,
        "arena_later_runs": later,
    }


def _arena(model: str, options: Any, feeds: Any) -> tuple[int | None, int | None]:
    import onnxruntime

    options.enable_profiling = True
    with scratch_folder() as folder:
        options.profile_file_prefix = str(folder / "profile")
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        for _ in range(2):
            session.run(None, feeds)
        document = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    events = kernel_events(document)
    held = [event.held_bytes for event in events]
    half = len(held) // 2
    if not held or None in held:
        return None, None
    known = [size or 0 for size in held]
    return max(known[:half], default=0), max(known)
