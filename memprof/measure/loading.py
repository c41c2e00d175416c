"""What making a default session of a file takes: asked of the installed onnxruntime, which runs nothing.

    structure of the file --stand_in--> a look-alike, zeros for weights --child--> the state of a process, kept
         (no weights)                                                              in a cache by its hash

Holes of a heap depend on every small thing that loading takes in between, in its order: a simulation of the large
ones alone was off by up to a fifth where the real thing repeats to the page.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

from memprof.base.errors import MemprofError
from memprof.base.folders import scratch_folder
from memprof.importers.onnx.read import parse
from memprof.ir.model import Loading
from memprof.measure.child import Limits
from memprof.measure.kept import keep, kept_path
from memprof.measure.onnxruntime import read_loading, rehearse_loading
from memprof.measure.stand_in import NoStandInError, left_out_bytes, write_look_alike, write_stand_in

MAX_WEIGHTS = 256 * 2**20
"""Bytes of weights and constants up to which a session is made that holds them."""

_LARGE_PART = 0.2


def find_loading(path: Path, digest: str, constant_bytes: int, threads: int, limits: Limits) -> Loading | None:
    """Return what making a session takes, ``None`` if nobody can say.

    Args:
        path: The file.
        digest: Digest of its structure.
        constant_bytes: Bytes of its weights, and of all that follows from constants alone.
        threads: Threads of the session.
        limits: What the child process may use.
    """
    if constant_bytes > MAX_WEIGHTS or not sys.platform.startswith("linux"):
        return None
    kept = kept_path("loading", digest, str(threads), str(path.stat().st_size))  # weights inside or beside
    if kept is not None and kept.is_file():
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            answer = json.loads(kept.read_text(encoding="utf-8"))
            return None if answer is None else read_loading(answer)
    try:
        with scratch_folder() as folder:
            structure, found = parse(path)
            model = folder / "model.onnx"
            is_whole = path.stat().st_size >= left_out_bytes(structure)
            (write_look_alike if is_whole else write_stand_in)(structure, model)
            loading = _middle(partial(rehearse_loading, str(model), limits, threads=threads))
            if found != digest:  # it changed while it was read
                return None
            if kept is not None:
                draft = folder / "loading.json"
                draft.write_text(json.dumps(None if loading is None else asdict(loading)), encoding="utf-8")
                keep(draft, kept)
    except (NoStandInError, MemprofError):  # it cannot be made: what it takes is simulated
        return None
    return loading


def _middle(rehearse: Callable[[], Loading | None]) -> Loading | None:
    """Return what one process says, or the middle one of three where holes are a large part of it.

    Some sizes of holes depend on the order of a hash table, which differs between processes.
    """
    first = rehearse()
    if first is None or _holes_bytes(first) < _LARGE_PART * (first.library_bytes + first.anonymous_bytes):
        return first
    found = [first, *(loading for _ in range(2) if (loading := rehearse()) is not None)]
    return sorted(found, key=lambda loading: loading.anonymous_bytes)[len(found) // 2]


def _holes_bytes(loading: Loading) -> int:
    return loading.anonymous_bytes - loading.taken_bytes
