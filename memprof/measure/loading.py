"""What making a default session of a file takes: asked of the installed onnxruntime, which runs nothing.

    structure of the file --stand_in--> a look-alike, zeros for weights --child--> the state of a process, kept
         (no weights)                                                              in a cache by its hash

Holes of a heap depend on every small thing that loading takes in between, in its order: a simulation of the large
ones alone was off by up to a fifth where the real thing repeats to the page.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from memprof.base.errors import ChangedError, MemprofError
from memprof.base.folders import scratch_folder
from memprof.importers.onnx.library import ModelProto
from memprof.importers.onnx.read import parse
from memprof.ir.model import Loading
from memprof.measure.child import Limits
from memprof.measure.kept import keep, kept_path, read_kept
from memprof.measure.onnxruntime import read_loading, rehearse_loading
from memprof.measure.spare import spare_bytes
from memprof.measure.stand_in import NoStandInError, left_out_bytes, write_look_alike, write_stand_in

MAX_WEIGHTS = 512 * 2**20
"""Bytes of weights and constants up to which a session is made that holds them."""

MAX_MEMORY_BYTES = 3 * 2**30
"""What the child that holds them may allocate, if the machine has twice as much to spare."""

LIGHT_WEIGHTS = 64 * 2**20
"""The same for the child that optimises the file too: what loading leaves there must not be missed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked: what making a default session of a file takes.

    Attributes:
        path: The file.
        digest: Digest of its structure.
        constant_bytes: Bytes of its weights, and of all that follows from constants alone.
        threads: Threads of the session.
        limits: What a child process may use.
    """

    path: Path
    digest: str
    constant_bytes: int
    threads: int
    limits: Limits

    @property
    def is_cheap(self) -> bool:
        """Whether it may be asked unasked, and there is somebody who answers."""
        return self.constant_bytes <= MAX_WEIGHTS and sys.platform.startswith("linux")

    @property
    def roomy_limits(self) -> Limits:
        """The limits of a child that holds the weights itself."""
        if self.limits.memory_bytes is None or spare_bytes() < 2 * MAX_MEMORY_BYTES:
            return self.limits
        return replace(self.limits, memory_bytes=max(MAX_MEMORY_BYTES, self.limits.memory_bytes))

    @property
    def is_light(self) -> bool:
        """Whether it may be asked on the way."""
        return self.is_cheap and self.constant_bytes <= LIGHT_WEIGHTS

    def kept(self) -> Path | None:
        """Return where the answer is kept, ``None`` where there is no place for it."""
        size = self.path.stat().st_size  # tells whether weights are in the file or beside it
        return kept_path("loading", self.digest, str(self.threads), str(size))


def find_loading(question: Question, first: Loading | None = None) -> Loading | None:
    """Return what making a session takes, ``None`` if nobody can say.

    Args:
        question: What is asked.
        first: What a process said already.
    """
    if not question.is_cheap:
        return None
    try:
        kept = question.kept()
        found = read_kept(kept)
        if found is not None:
            answer = json.loads(found)
            return None if answer is None else read_loading(answer)
        with scratch_folder() as folder:
            loading = first or _rehearse(question, folder / "model.onnx")
            if kept is not None:
                draft = folder / "loading.json"
                draft.write_text(json.dumps(None if loading is None else asdict(loading)), encoding="utf-8")
                keep(draft, kept)
    except (NoStandInError, MemprofError, OSError):  # it cannot be made: what it takes is simulated
        return None
    return loading


def _rehearse(question: Question, model: Path) -> Loading | None:
    structure, digest = parse(question.path)
    if digest != question.digest:
        raise ChangedError(str(question.path))
    prepare(structure, question, model)
    return rehearse_loading(str(model), question.roomy_limits, threads=question.threads)


def prepare(structure: ModelProto, question: Question, target: Path) -> None:
    """Write what is to be loaded instead of a file.

    Args:
        structure: Structure of the file, which is changed.
        question: What is asked.
        target: The .onnx file to write.

    Raises:
        NoStandInError: There is a weight that nothing can stand in for.
    """
    weights = left_out_bytes(structure)  # those of bodies too, which the caller may not have counted
    if weights > MAX_WEIGHTS:
        raise NoStandInError("its weights are too large to be held")
    holds_weights = question.path.stat().st_size >= weights
    (write_look_alike if holds_weights else write_stand_in)(structure, target)
