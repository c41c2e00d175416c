"""From a .pte file to a Model: tables, program with its plan, graph; weights are not read."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from memprof.base.errors import InputError, LimitError, UsageError
from memprof.importers.executorch.build import build_graph
from memprof.importers.executorch.schema import WHAT, read_program
from memprof.importers.flatbuffers import open_flatbuffer
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
    try:
        with open_flatbuffer(path, WHAT) as file:
            program = read_program(file)
        digest = hashlib.sha256(repr(program).encode()).hexdigest()
        graph = replace(build_graph(program, path.stem), program=program)
    except MemoryError as error:
        raise LimitError(f"{path} needs more memory than there is.") from error
    except LimitError:
        raise
    except InputError as error:
        if str(path) in error.message:
            raise
        raise InputError(f"{path}: {error.message}", error.hint) from error
    return Model(path=str(path), format="executorch", structure_sha256=digest, graph=graph)
