"""From an .onnx file to a Model: strip, parse, bind, infer, build.

    file -> wire (no weights) -> ModelProto -> limits -> functions expanded -> symbols bound -> shapes -> Graph

Each arrow is a module of this package; this one holds the order alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # protobuf ships no types
from onnx import ModelProto

from memprof.errors import InputError
from memprof.importers.model import Model
from memprof.importers.onnx.build import build_graph
from memprof.importers.onnx.shapes import infer_types
from memprof.importers.onnx.wire import read_structure


def read_onnx(path: Path, *, dims: Mapping[str, int], inputs: Mapping[str, tuple[int, ...]]) -> Model:
    """Read an ONNX model's structure; weights, embedded or external, are not read.

    Args:
        path: The file.
        dims: Sizes of named dimensions: ``{"batch": 1}``.
        inputs: Shapes of graph inputs: ``{"x": (1, 3, 224, 224)}``; the name ``""`` means the only input.

    Raises:
        InputError: The file is missing, unreadable or invalid.
        LimitError: It asks for more than a safety limit allows.
        UsageError: A name in ``dims`` or ``inputs`` does not exist, or a shape does not fit.
    """
    structure = read_structure(path)
    try:
        proto = ModelProto.FromString(structure)
    except DecodeError as error:
        raise InputError(f"{path} is not a valid ONNX model.", "Export or download the model again.") from error
    types = infer_types(proto, dims)
    return Model(
        path=str(path),
        format="onnx",
        structure_sha256=hashlib.sha256(structure).hexdigest(),
        graph=build_graph(proto, types),
    )
