"""The child's side of ``memprof.measure.tflm``: the runtime itself, whose words go to file descriptor 2."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from memprof.errors import RuntimeFailure

_ALIGNMENT = 16
_SEED = 20_260
_LAID_OUT = re.compile(r"Arena allocation (head|tail) (\d+) bytes")
_SAID = re.compile(r"^(?!\[RecordingMicroAllocator\])\S.*", re.MULTILINE)


def run_model(model: str, arena_bytes: int, runs: int, find_smallest: bool) -> dict[str, Any]:
    """Load and run a model; see ``memprof.measure.tflm.run_arena``."""
    content = Path(model).read_bytes()
    with _said() as said:
        interpreter = _load(content, arena_bytes)
        outputs = [digest for i in range(runs) for digest in _outputs(interpreter, i)] if interpreter else []
        if interpreter is not None:
            interpreter.print_allocations()
    text = said[0]
    found = {name: int(size) for name, size in _LAID_OUT.findall(text)}
    if interpreter is None or len(found) < 2:
        words = _SAID.findall(text)
        raise RuntimeFailure(
            f"TensorFlow Lite Micro cannot run {model}: {words[0].strip()[:300] if words else 'it does not say why'}",
            "An operator or a type may have no kernel there; convert the model for it.",
        )
    total = found["head"] + found["tail"]
    return {
        "head_bytes": found["head"],
        "tail_bytes": found["tail"],
        "version": _version(),
        "outputs": outputs,
        "smallest_bytes": _smallest(content, total) if find_smallest else None,
    }


def try_sizes(model: str, sizes: list[int]) -> list[bool]:
    """Return for each size whether the model loads in an arena of it."""
    content = Path(model).read_bytes()
    with _said():
        return [_load(content, size) is not None for size in sizes]


def _smallest(content: bytes, enough: int) -> int:
    """Return the smallest arena a model loads in: by halving, since one that is larger loads too."""
    with _said():
        low, high = 0, -(-enough // _ALIGNMENT)
        while _load(content, high * _ALIGNMENT) is None:
            low, high = high, 2 * high
        while low + 1 < high:
            middle = (low + high) // 2
            low, high = (low, middle) if _load(content, middle * _ALIGNMENT) is not None else (middle, high)
    return high * _ALIGNMENT


def _load(content: bytes, arena_bytes: int) -> Any:
    from tflite_micro import runtime

    try:
        return runtime.Interpreter.from_bytes(content, arena_size=arena_bytes)
    except RuntimeError:  # its words are on file descriptor 2
        return None


def _outputs(interpreter: Any, run: int) -> Iterator[str]:
    import numpy as np

    rng = np.random.default_rng(_SEED + run)
    for i in range(_count(interpreter.get_input_details)):
        details = interpreter.get_input_details(i)
        interpreter.set_input(_random(rng, tuple(details["shape"]), np.dtype(details["dtype"])), i)
    interpreter.invoke()
    for i in range(_count(interpreter.get_output_details)):
        output = np.ascontiguousarray(interpreter.get_output(i))
        yield hashlib.sha256(repr((output.dtype.str, output.shape)).encode() + output.tobytes()).hexdigest()


def _random(rng: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    if dtype.kind in "iu":
        top = 2 if dtype.itemsize > 2 else np_limits(dtype)  # wide integers are most often indices
        return rng.integers(0 if dtype.itemsize > 2 else -top if dtype.kind == "i" else 0, top, shape).astype(dtype)
    return rng.integers(0, 2, shape).astype(dtype) if dtype.kind == "b" else rng.standard_normal(shape).astype(dtype)


def np_limits(dtype: Any) -> int:
    """Return one more than the largest number of an integer type."""
    return int(2 ** (8 * dtype.itemsize - (dtype.kind == "i")))


def _count(details: Any) -> int:
    """Return how many inputs or outputs there are: the runtime tells by refusing the next one."""
    count = 0
    with contextlib.suppress(Exception):
        while details(count) is not None:
            count += 1
    return count


def _version() -> str:
    try:
        return version("tflite-micro")
    except PackageNotFoundError:
        return "unknown"


@contextlib.contextmanager
def _said() -> Iterator[list[str]]:
    """Collect what native code writes to file descriptor 2, as one text when the block ends."""
    said = [""]
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield said
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            said[0] = file.read(2**20).decode(errors="replace")
