"""The child's side of ``memprof.measure.verify_litert``: the addresses that LiteRT gives its tensors.

The runtime tells no arena's size; it hands out arrays, whose addresses tell. Asking for one that has no bytes ends
the process, so that a process of its own asks, and another goes on behind the one that ended it.
"""

from __future__ import annotations

import faulthandler
import os
from importlib.metadata import PackageNotFoundError, version
from typing import Any


def read_addresses(model: str) -> dict[str, Any]:
    """Return number, address and bytes of each tensor, those of kernels behind those of the file."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_path=model, experimental_op_resolver_type=resolver, num_threads=1)
    interpreter.allocate_tensors()
    count = interpreter._interpreter.NumTensors(0)
    found: list[tuple[int, int, int]] = []
    start = 0
    while start < count:
        start, part = _ask(interpreter, start, count)
        found += part
    try:
        known = version("ai-edge-litert")
    except PackageNotFoundError:
        known = "unknown"
    return {"tensors": found, "version": known}


def _ask(interpreter: Any, start: int, count: int) -> tuple[int, list[tuple[int, int, int]]]:
    """Return the tensors from ``start`` on in a process of its own, and where to go on."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        faulthandler.disable()  # that one of them ends is foreseen, and nobody's business
        for i in range(start, count):
            os.write(writer, f"{i}\n".encode())
            try:
                array = interpreter.tensor(i)()
                os.write(writer, f"{i} {array.__array_interface__['data'][0]} {array.nbytes}\n".encode())
            except (ValueError, RuntimeError, AttributeError):  # a string or a handle is no array
                continue
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        lines = [[int(word) for word in line.split()] for line in stream]
    os.waitpid(child, 0)
    found = [(line[0], line[1], line[2]) for line in lines if len(line) == 3]
    return (lines[-1][0] if lines else start) + 1, found
