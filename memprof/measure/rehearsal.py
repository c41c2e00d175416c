"""What a process holds once it has made a default session, and runs nothing: the task of a child process.

The session is made of a look-alike, whose weights are zeros and lie where the file has them: loading copies, packs
and drops the same bytes in the same order, and leaves the same holes in the C library's heap. What the heap is like
then is read out of it (glibc, Linux): each piece begins with its size, and with whether the piece before it is taken.
So what runs take later can be worked out for any size of the inputs.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
from array import array
from pathlib import Path
from typing import Any

from memprof.measure.feeds import read_code
from memprof.measure.onnxruntime_optimizer import write_graph
from memprof.measure.pages import c_library, resident, taken_bytes

_PAGE = 4096
_SMALLEST_HOLE = 1040  # what is smaller is soon taken by small objects
_LARGEST_MAP, _SMALLEST_MAP = 32 * 2**20, 128 * 1024
_STEPS = 4  # by which a threshold is known to a sixteenth
_PIECE, _SIZES = 3000, 7
_PRESENT = 1 << 63
_MAPPED = 2


def rehearse(model: str, threads: int, holes_before: int = 0) -> dict[str, Any] | None:
    """Make a default session and say what it left: see ``ir.model.Loading``; ``None`` where the system does not tell.

    Args:
        model: Path of the look-alike.
        threads: Threads inside an operation.
        holes_before: Free pieces of some kilobytes that are made in the heap before: another process has others.
    """
    import onnxruntime

    libc = c_library()
    if libc is None:
        return None
    read_code()  # as in a process that runs a model
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    gc.collect()
    _make_holes(libc, holes_before)
    pages, taken = resident(), taken_bytes(libc)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    after, taken_after = resident(), taken_bytes(libc)
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
    """Leave free pieces of other sizes than those that are free; what lies between them stays taken."""
    sizes = [_PIECE * (1 + i % _SIZES) for i in range(2 * number)]
    pieces = [libc.malloc(size) for size in sizes]
    for piece, size in zip(pieces, sizes, strict=True):
        ctypes.memset(piece, 1, size)
    for piece in pieces[::2]:
        libc.free(ctypes.c_void_p(piece))


def _heap() -> tuple[int, int]:
    for line in Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines():
        if line.endswith("[heap]"):
            start, _, end = line.split()[0].partition("-")
            return int(start, 16), int(end, 16)
    return 0, 0


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
