"""What a process holds once it has made a default session, and runs nothing: the task of a child process.

The session is made of a look-alike, whose weights are zeros and lie where the file has them: loading copies, packs
and drops the same bytes in the same order, and leaves the same holes in the C library's heap. What the heap is like
then is read out of it (glibc, Linux): each piece begins with its size, and with whether the piece before it is taken.
So what runs take later can be worked out for any size of the inputs.

Processes of one model differ: addresses are drawn anew for each, they decide the order of the library's hash tables,
and that order decides which small piece stays above a large hole, which then cannot be given back. So others are
asked where that matters: copies of this process as it was before it loaded the model, with other small holes. On
models that differ they fell apart as fresh processes do, without the import that each of those begins with.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import random
from array import array
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from memprof.measure.feeds import read_code
from memprof.measure.onnxruntime_optimizer import write_graph
from memprof.measure.others import Others
from memprof.measure.pages import c_library, most_resident, resident, taken_bytes

_PAGE = 4096
_SMALLEST_HOLE = 1040  # what is smaller is soon taken by small objects
_LARGEST_MAP, _SMALLEST_MAP = 32 * 2**20, 128 * 1024
_STEPS = 4  # by which a threshold is known to a sixteenth
_SMALLEST_PIECE, _LARGEST_PIECE, _PIECES, _FREED = 24, 4000, 150, 0.4
_TRIM_THRESHOLD, _NEVER = -1, 2**31 - 1
_MUCH, _ALIKE = 0.1, 1.02
_MOST_OTHERS, _ENOUGH = 4, 2
_HEAVY, _LIGHT = 64 * 2**20, 128 * 2**20  # what a session of up to some tenths of a second takes
_PRESENT = 1 << 63
_MAPPED = 2


def rehearse(model: str, threads: int) -> dict[str, Any] | None:
    """Make a default session and say what it left: see ``ir.model.Loading``; ``None`` where the system does not tell.

    Where processes of one model may differ by much, some more are asked, which begin with other heaps.

    Args:
        model: Path of the look-alike.
        threads: Threads inside an operation.
    """
    libc = c_library()
    if libc is None:
        return None
    import onnxruntime

    assert onnxruntime  # what a process has loaded decides how its heap is laid out: others begin after it
    read_code()  # as in a process that runs a model
    gc.collect()
    with Others(_MOST_OTHERS, partial(_load, libc, model, threads)) as others:
        found = _load(libc, model, threads, 0)
        if found is not None and _may_differ(found):
            found["others"] = _asked(others, found)
    return found


def _may_differ(found: Mapping[str, Any]) -> bool:
    """Return whether holes are much of what the process holds, or of what it held and gave back.

    Whether a large hole is given back is chance: a small piece may lie above it, or not; and whether it comes about
    at all, which one process does not tell: where loading is long anyway, others are asked in any case.
    """
    total = found["library_bytes"] + found["anonymous_bytes"]
    holes = found["anonymous_bytes"] - found["taken_bytes"]
    return bool(holes + found["given_back_bytes"] > _MUCH * total or found["anonymous_bytes"] > _HEAVY)


def _asked(others: Others, first: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what some of the others hold: as many as tell whether they differ, and fewer where loading is long."""
    most = _MOST_OTHERS if first["anonymous_bytes"] + first["given_back_bytes"] <= _LIGHT else _ENOUGH
    found: list[dict[str, Any]] = []
    for number in range(most):
        sizes = [one["anonymous_bytes"] for one in (first, *found)]
        if number == _ENOUGH and max(sizes) < min(sizes) * _ALIKE:
            break
        answer = others.ask(number)
        if answer is None:
            break
        found.append({**answer, "library_bytes": first["library_bytes"]})  # pages of files are no matter of holes
    return found


def _load(libc: Any, model: str, threads: int, number: int) -> dict[str, Any] | None:
    """Make a session and say what it left, in a heap that is as it was for ``number`` 0, and has more holes else."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    _make_holes(libc, number)
    pages, taken = resident(), taken_bytes(libc)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    after, taken_after, most = resident(), taken_bytes(libc), most_resident()
    libc.mallopt(_TRIM_THRESHOLD, _NEVER)  # else the heap may end earlier than it did while it is read
    start, end = _heap()
    written = _written_runs(start, end)
    found = _holes(start, end)
    if found is None:
        return None
    holes, top = found
    threshold = _threshold(libc, max([end - start - top, *(size for _, size in holes)]))
    del session  # not before: what it gives back raises the threshold
    return {
        "library_bytes": after[0] - after[1] - pages[0] + pages[1],
        "anonymous_bytes": after[1] - pages[1],
        "taken_bytes": taken_after - taken,
        "given_back_bytes": max(0, most - after[0]),
        "holes": holes,
        "top": top,
        "end": end - start,
        "threshold": threshold,
        "written": written,
    }


def rehearse_and_write(model: str, target: str, look_alike: str, answer: str, threads: int) -> str:
    """Rehearse, write what that said if anything, and write the optimised graph of another file, in one process.

    Args:
        model: Path of the file whose graph is written.
        target: Where to.
        look_alike: Path of the look-alike that is loaded before.
        answer: Where to write what loading took, as JSON.
        threads: Threads inside an operation.

    Returns:
        onnxruntime's version.
    """
    with contextlib.suppress(Exception):  # whatever it raises: the graph is asked for all the same
        Path(answer).write_text(json.dumps(rehearse(look_alike, threads)), encoding="utf-8")
    return write_graph(model, target)


def _make_holes(libc: Any, number: int) -> None:
    """Take some hundred small pieces and free some of them, others for each ``number``; none for 0."""
    rng = random.Random(number)
    pieces = [libc.malloc(rng.randrange(_SMALLEST_PIECE, _LARGEST_PIECE)) for _ in range(_PIECES if number else 0)]
    for piece in pieces:
        if rng.random() < _FREED:
            libc.free(ctypes.c_void_p(piece))


def _heap() -> tuple[int, int]:
    """Return where the heap begins and ends; what a copy of a process adds to its own is a line of its own."""
    lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    ends = [line.split()[0].partition("-") for line in lines if line.endswith("[heap]")]
    return (int(ends[0][0], 16), int(ends[-1][2], 16)) if ends else (0, 0)


def _written_runs(start: int, end: int) -> list[tuple[int, int]]:
    """Return the resident pages of the heap, counted from its start, as half-open runs."""
    words = array("Q")
    with Path("/proc/self/pagemap").open("rb", buffering=0) as pages:
        pages.seek(start // _PAGE * words.itemsize)
        words.frombytes(pages.read((end - start) // _PAGE * words.itemsize))
    runs: list[tuple[int, int]] = []
    first = None
    for i, word in enumerate((*words, 0)):
        if word & _PRESENT and first is None:
            first = i
        elif not word & _PRESENT and first is not None:
            runs.append((first, i))
            first = None
    return runs


def _holes(start: int, end: int) -> tuple[list[tuple[int, int]], int] | None:
    """Return the larger free pieces as (start, bytes), and where the last piece begins, all from the heap's start.

    ``None`` where there is no heap, or it is not one row of pieces.
    """
    if start == end:
        return None
    words = memoryview((ctypes.c_char * (end - start)).from_address(start)).cast("B").cast("Q")
    length, place, holes = end - start, 0, []
    size = words[1] & ~7
    while place + size < length:
        following = place + size
        if not size:
            return None
        word = words[following // 8 + 1]
        if not word & 1 and size >= _SMALLEST_HOLE:
            holes.append((place, size))
        place, size = following, word & ~7
    return holes, place  # the heap may have grown since its end was read


def _threshold(libc: Any, largest: int) -> int:
    """Return from how many bytes on a request gets pages of its own; ``largest`` is what is free in one piece."""
    low, high = max(_SMALLEST_MAP, largest + _PAGE), _LARGEST_MAP
    if low >= high or not _is_mapped(libc, high):
        return high
    for _ in range(_STEPS * 2):
        middle = int((low * high) ** 0.5)
        if _is_mapped(libc, middle):
            high = middle
        else:
            low = middle
    return high


def _is_mapped(libc: Any, size: int) -> bool:
    address = libc.malloc(size)
    word = ctypes.c_size_t.from_address(address - 8).value
    if word & _MAPPED:  # given back to the system at once: free would raise the threshold
        libc.munmap(address - 16, word & ~7)
    return bool(word & _MAPPED)
