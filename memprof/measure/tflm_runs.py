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

from memprof.base.errors import RuntimeFailure

_SEED = 20_260
_LAID_OUT = re.compile(r"Arena allocation (head|tail) (\d+) bytes")
_SAID = re.compile(r"^(?!\[RecordingMicroAllocator\])\S.*", re.MULTILINE)


def run_model(model: str, arena_bytes: int, runs: int) -> dict[str, Any]:
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
    return {
        "head_bytes": found["head"],
        "tail_bytes": found["tail"],
        "version": _version(),
        "outputs": outputs,
    }


def try_size(model: str, arena_bytes: int) -> bool:
    """Return whether a model loads in an arena of a size; one that is too small may also end the process."""
    with _said():
        return _load(Path(model).read_bytes(), arena_bytes) is not None


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
        top = 2 if dtype.itemsize > 2 else _one_over(dtype)  # wide integers are most often indices
        return rng.integers(0 if dtype.itemsize > 2 else -top if dtype.kind == "i" else 0, top, shape).astype(dtype)
    return rng.integers(0, 2, shape).astype(dtype) if dtype.kind == "b" else rng.standard_normal(shape).astype(dtype)


def _one_over(dtype: Any) -> int:
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
