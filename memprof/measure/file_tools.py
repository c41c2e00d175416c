"""Changes of an .onnx file by the tools that people use for them, and what each makes of a structure.

    structure of the file --stand_in--> weights of our making --child: tool--> the changed file, weights dropped
                                                              --child: session--> as a default session runs it

Every change is what its command does, made of the same structure: the tool itself runs, in a child process, and both
answers are kept. Nothing is run, and no weight of the file is read.

change       what it does                                                    tried for
inputs       initialisers are graph inputs no more: they can be folded       files that list them there
float16      all tensors in 16 bits                                          files with weights of float32
int8         weights of 8 bits, activations quantised while it runs          products and convolutions
batch_norm   onnxruntime's basic optimisations, written into the file        files with batch norms
opset        the operations of a later opset                                 files of one before 15
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from memprof.base.errors import MemprofError
from memprof.base.folders import scratch_folder
from memprof.importers.onnx.library import ModelProto, TensorProto
from memprof.importers.onnx.read import find_replaceable, parse
from memprof.measure.child import Limits, ProcessorTimeError, run_in_child
from memprof.measure.file_tools_native import OPSET
from memprof.measure.kept import keep, keep_bytes, kept_path, package_stamp, read_kept
from memprof.measure.sessions import MAX_MEMORY_BYTES, kept_session
from memprof.measure.stand_in import NoStandInError, write_apart

_OLD = 15
"""Operations of later opsets have kernels of their own in all runtimes, and few have changed."""

MAX_SECONDS = 30.0
MAX_PROCESSOR_SECONDS = 10
"""When tools that hang are stopped. Who asks for them has counted what they take: a second on a small file."""

_LATE = b"late"
"""Kept in place of a change whose tool took too long: it would again."""

_TASK = "memprof.measure.file_tools_native:make_changes"
_PRODUCTS = frozenset({"Conv", "Gemm", "LSTM", "MatMul"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTool:
    """A change of a file.

    Attributes:
        what: The change, in a few words.
        target: Name of the file that the command writes.
        command: The command, for the file as its user wrote it: words of a shell.
        applies: Whether there is something to change in a structure.
    """

    what: str
    target: str
    command: Callable[[str, str], tuple[str, ...]]
    applies: Callable[[ModelProto], bool]

    def command_for(self, path: str) -> str:
        """Return the command for a file, ready to be copied."""
        return shlex.join(self.command(path, self.target))


def _python(code: str) -> Callable[[str, str], tuple[str, ...]]:
    """Return a command of Python; strings stand in double quotes, since a shell puts single ones around it all."""
    return lambda path, target: ("python", "-c", code.format(json.dumps(path), json.dumps(target)))


def _has_float32(model: ModelProto) -> bool:
    return any(tensor.data_type == TensorProto.FLOAT for tensor in model.graph.initializer)


def _opset(model: ModelProto) -> int:
    return max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=OPSET)


FILE_TOOLS: Mapping[str, FileTool] = MappingProxyType(
    {
        "inputs": FileTool(
            what="initialisers that are no graph inputs",
            target="fixed.onnx",
            command=lambda path, target: (
                *("python", "-m", "onnxruntime.tools.remove_initializer_from_input"),
                *("--input", path, "--output", target),
            ),
            applies=lambda model: bool(find_replaceable(model)),
        ),
        "int8": FileTool(
            what="int8 weights",
            target="int8.onnx",
            command=_python("from onnxruntime.quantization import quantize_dynamic as quantize; quantize({0}, {1})"),
            applies=lambda model: _has_float32(model) and any(node.op_type in _PRODUCTS for node in model.graph.node),
        ),
        "float16": FileTool(
            what="float16",
            target="half.onnx",
            command=_python(
                "import onnx; from onnxruntime.transformers.float16 import convert_float_to_float16 as half;"
                " onnx.save(half(onnx.load({0})), {1})"
            ),
            applies=_has_float32,
        ),
        "batch_norm": FileTool(
            what="batch norms folded",
            target="folded.onnx",
            command=_python(
                "import onnxruntime as ort; options = ort.SessionOptions(); options.graph_optimization_level ="
                " ort.GraphOptimizationLevel.ORT_ENABLE_BASIC; options.optimized_model_filepath = {1};"
                ' ort.InferenceSession({0}, options, providers=["CPUExecutionProvider"])'
            ),
            applies=lambda model: any(node.op_type == "BatchNormalization" for node in model.graph.node),
        ),
        "opset": FileTool(
            what=f"operations of opset {OPSET}",
            target="newer.onnx",
            command=_python(
                "import onnx, onnx.version_converter as versions;"
                f" onnx.save(versions.convert_version(onnx.load({{0}}), {OPSET}), {{1}})"
            ),
            applies=lambda model: _opset(model) < _OLD,
        ),
    }
)
"""From a name to a change; what promises most is tried first."""


def applicable(path: Path) -> tuple[str, ...]:
    """Return the names of the changes that apply to a file.

    Raises:
        InputError: It is missing or invalid.
    """
    structure, _ = parse(path)
    return tuple(name for name, tool in FILE_TOOLS.items() if tool.applies(structure))


def changed_files(path: Path, expected: str, names: Iterable[str]) -> Mapping[str, Path | None]:
    """Return what the named changes make of a file: for each the structure, or ``None``
    where its tool refuses the file.

    What was made is returned, and the rest may be asked for again. How a default session runs each is kept
    where ``find_session`` looks for it.

    Args:
        path: The .onnx file.
        expected: Digest of its structure; nothing is made of another one.
        names: Keys of ``FILE_TOOLS``.

    Raises:
        InputError: The file is missing or invalid.
    """
    structure, digest = parse(path)
    if digest != expected:
        return {}
    stamp = package_stamp("numpy", "onnx", "onnxruntime")
    kept = {name: place for name in names if (place := kept_path("changed-apart", name, digest, stamp)) is not None}
    missing = [name for name, place in kept.items() if read_kept(place) is None]
    if missing:
        with scratch_folder() as folder:
            given_up = _make(structure, folder, missing)
            for name in missing:
                _take(folder, name, kept[name])
            for name, reason in given_up.items():  # it would be asked for in every analysis of the file
                keep_bytes(reason, kept[name])
    made = {name: answer for name, place in kept.items() if (answer := read_kept(place)) is not None}
    return {name: kept[name] if answer else None for name, answer in made.items() if answer != _LATE}


def _make(structure: ModelProto, folder: Path, names: list[str]) -> Mapping[str, bytes]:
    """Make changes in ``folder``, in order; return what is kept of those that cannot be made."""
    model = folder / "model.onnx"
    limits = Limits(seconds=MAX_SECONDS, memory_bytes=MAX_MEMORY_BYTES, processor_seconds=MAX_PROCESSOR_SECONDS)
    try:
        write_apart(structure, model)
        arguments = {"model": str(model), "folder": str(folder), "names": names}
        refused: Mapping[str, str] = run_in_child(_TASK, arguments, limits, runtime="onnxruntime", model="a model")
    except ProcessorTimeError:
        late = next((name for name in names if not _session(folder, name).is_file()), None)
        return {} if late is None else {late: _LATE}
    except (NoStandInError, MemprofError, OSError):  # the clock, no room, a crash: what is there by now counts
        return {}
    return dict.fromkeys(refused, b"")


def _session(folder: Path, name: str) -> Path:
    return folder / f"{name}.session.onnx"


def _take(folder: Path, name: str, kept: Path) -> None:
    """Keep a change that was made, and its session."""
    changed, session = folder / f"{name}.onnx", _session(folder, name)
    if not session.is_file():
        return
    try:
        structure, digest = parse(changed)
    except MemprofError:
        return
    changed.write_bytes(structure.SerializeToString())
    place = kept_session(digest)
    if place is not None:
        keep(session, place)
        keep(changed, kept)
