"""From a .pte file to a Model: tables, program with its plan, graph; weights are not read."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from memprof.base.errors import UsageError
from memprof.importers.executorch.build import build_graph
from memprof.importers.executorch.schema import WHAT, read_program
from memprof.importers.flatbuffers import naming, open_flatbuffer
from memprof.importers.request import Request
from memprof.ir.model import Model


def read_pte(request: Request) -> Model:
    """Read an ExecuTorch program's structure and the plan it brings; weights are not read.

    Args:
        request: The file. Its sizes are fixed: a plan holds for no others.

    Raises:
        InputError: The file is missing, unreadable or invalid.
        LimitError: It asks for more than a safety limit allows.
        UsageError: Sizes are given.
    """
    path = Path(request.path)
    if request.fixes_sizes:
        raise UsageError(f"{path} was planned for the sizes it has.", "Leave --dim and --input out.")
    with naming(path):
        with open_flatbuffer(path, WHAT) as file:
            program = read_program(file)
        digest = hashlib.sha256(repr(program).encode()).hexdigest()
        graph = replace(build_graph(program, path.stem), program=program)
    return Model(path=str(path), format="executorch", structure_sha256=digest, graph=graph)
