"""What a default session of the installed onnxruntime makes of a model: asked in a child process that runs nothing.

    structure of the file --stand_in--> a model with weights of our making --child--> the optimised graph, kept
         (no weights)                    (zeros in one sparse file)                    in a cache by its hash

onnxruntime's optimiser looks at shapes and types of large weights, never at their elements, so zeros do: a stranger's
external data stay unopened, and a gigabyte need not be read. Asked by default where it is cheap, see ``MAX_WEIGHTS``,
``MAX_NODES`` and ``MAX_SECONDS``; never where ``from_file`` is set.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from memprof.base.errors import ChangedError, InputError, MemprofError, RuntimeFailure
from memprof.base.folders import scratch_folder
from memprof.importers.onnx.read import parse
from memprof.importers.onnxruntime_dump import read_optimized
from memprof.importers.request import Request
from memprof.ir.model import Loading, Model, Once, Session
from memprof.measure.child import Limits, ProcessorTimeError
from memprof.measure.kept import installed_version, keep, keep_bytes, kept_path, read_kept
from memprof.measure.loading import Question, find_loading, prepare
from memprof.measure.onnxruntime import Rehearsal, write_optimized
from memprof.measure.stand_in import NoStandInError, write_stand_in
from memprof.measure.threads import session_threads

MAX_WEIGHTS = 512 * 2**20
"""Bytes of weights and constants up to which onnxruntime is asked unasked."""

MAX_NODES = 20_000
"""Operations up to which onnxruntime is asked unasked: of more it optimises for longer than it may take."""

MAX_SECONDS = 60.0
"""How long it may take to answer, waiting for a processor included."""

MAX_PROCESSOR_SECONDS = 9
"""How much of a processor it may take: a few weights can stand for minutes of products that it would fold."""

MAX_MEMORY_BYTES = 2**30
"""What the child may allocate, whatever the file claims to hold; weights that stay in their file do not count."""

_TOO_LONG = f"onnxruntime did not optimise it: it takes more than {MAX_PROCESSOR_SECONDS} s of a processor"
"""Said at once of a file that was tried: it would take as long again."""

_LIMITS = Limits(seconds=MAX_SECONDS, memory_bytes=MAX_MEMORY_BYTES, processor_seconds=MAX_PROCESSOR_SECONDS)


def with_session(model: Model, request: Request) -> Model:
    """Return ``model``, which finds out about its default session when somebody needs it."""
    constants = model.graph.parameter_bytes + model.graph.foldable_constant_bytes
    model = replace(model, installed=installed_version() or "")
    request = replace(request, wished=model.wished)  # what is made of the file is asked about at the same sizes
    if len(model.graph.nodes) > MAX_NODES:
        reason = f"over {MAX_NODES:,} operations: onnxruntime is asked with --optimized alone"
        return replace(model, session=Once(lambda: Session(threads=session_threads(request), reason=reason)))
    find = partial(find_session, request, model.structure_sha256, constants)
    return replace(model, session=Once(find))


def find_session(request: Request, digest: str, constant_bytes: int) -> Session:
    """Return how a default session runs the file that is asked for, or why nobody knows.

    Args:
        request: The file.
        digest: Digest of its structure.
        constant_bytes: Bytes of its weights, and of all that follows from constants alone, which the optimiser makes.
    """
    too_long = kept_path("late", digest)
    reason = _reason_not_to_ask(request, constant_bytes)
    if reason or read_kept(too_long) is not None:
        return Session(threads=session_threads(request), reason=reason or _TOO_LONG)
    kept, threads = kept_session(digest), session_threads(request)
    question = Question(
        path=request.path,
        digest=digest,
        constant_bytes=constant_bytes,
        threads=threads,
        limits=_LIMITS,
    )
    first = None
    try:
        found = _read_kept(kept, request)
        if found is None:
            found, first = _ask(request, question, kept)
    except NoStandInError as error:
        return Session(threads=threads, reason=str(error))
    except ProcessorTimeError:
        if too_long is not None:
            keep_bytes(b"", too_long)
        return Session(threads=threads, reason=_TOO_LONG)
    except MemprofError as error:
        return Session(threads=threads, reason=f"onnxruntime did not optimise it: {error.message}")
    except OSError as error:  # no room for a look-alike, say: the file itself was read
        return Session(threads=threads, reason=f"onnxruntime could not be asked: {error.strerror or error}")
    return Session(model=found, threads=threads, loading=Once(partial(find_loading, question, first)))


def kept_session(digest: str) -> Path | None:
    """Return where the answer for a structure is kept, ``None`` where there is no place for it."""
    return kept_path("onnxruntime", digest)


def _reason_not_to_ask(request: Request, constant_bytes: int) -> str:
    if request.from_file:
        return "worked out from the file alone"
    if find_spec("onnxruntime") is None:
        return "onnxruntime is not installed"
    if constant_bytes > MAX_WEIGHTS:
        return (
            f"over {MAX_WEIGHTS // 2**20} MiB of weights and constants: onnxruntime is asked with --optimized alone"
        )
    return ""


def _read_kept(kept: Path | None, request: Request) -> Model | None:
    """Return the answer that was kept, ``None`` if there is none that is whole."""
    if kept is None or read_kept(kept) is None:
        return None
    with contextlib.suppress(InputError):
        return read_optimized(kept, request)
    return None


def _ask(request: Request, question: Question, kept: Path | None) -> tuple[Model, Loading | None]:
    """Return the optimised model, and what making its session took, where that was found out on the way."""
    with scratch_folder() as folder:
        stand_in, target = folder / "model.onnx", folder / "optimized.onnx"
        structure, found = parse(request.path)
        if found != question.digest:  # an answer under the wrong name would stay in the cache
            raise ChangedError(request.name)
        other = type(structure)()
        other.CopyFrom(structure)
        write_stand_in(structure, stand_in)
        rehearsal = None
        if question.is_light:
            with contextlib.suppress(NoStandInError):
                prepare(other, question, folder / "look_alike.onnx")
                rehearsal = Rehearsal(folder / "look_alike.onnx", question.threads)
        try:
            write_optimized(str(stand_in), target, question.limits, rehearsal)
        except RuntimeFailure as error:  # it names the stand-in, which is gone by then
            raise type(error)(error.message.replace(str(stand_in), request.name), error.hint) from error
        if kept is not None:
            keep(target, kept)
        return read_optimized(target, request), None if rehearsal is None else rehearsal.loading()
