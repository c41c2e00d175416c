"""From a .tflite file to a Model: tables, program, sizes the caller gives, graph; weights are not read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from memprof.importers.flatbuffers import naming, open_flatbuffer
from memprof.importers.tflite.binding import bind
from memprof.importers.tflite.build import build_graph
from memprof.importers.tflite.schema import read_contents
from memprof.ir.model import Model


def read_tflite(path: Path, *, dims: Mapping[str, int], inputs: Mapping[str, tuple[int, ...]]) -> Model:
    """Read a TensorFlow Lite model's structure; weights are not read.

    Args:
        path: The file.
        dims: Sizes of open dimensions: ``{"batch": 4}``.
        inputs: Shapes of inputs: ``{"x": (4, 96, 96, 3)}``; the name ``""`` means the only input.

    Raises:
        InputError: The file is missing, unreadable or invalid.
        LimitError: It asks for more than a safety limit allows.
        UsageError: A name in ``dims`` or ``inputs`` does not exist, or the file fixes another size.
    """
    with naming(path):
        with open_flatbuffer(path) as file:
            contents = read_contents(file)
        digest = hashlib.sha256(repr(contents.program).encode()).hexdigest()
        program = bind(contents.program, contents.open_axes, dims, inputs)
        graph = replace(build_graph(program, contents.shared, path.stem), program=program)
    return Model(path=str(path), format="tflite", structure_sha256=digest, graph=graph)
