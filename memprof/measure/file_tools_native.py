"""The tools that change an .onnx file, each called as its command does (``file_tools``). Runs in a child process."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from memprof.base.arithmetic import keep_numpy_alone
from memprof.measure.onnxruntime_optimizer import write_graph

OPSET = 21
"""The opset that old files are converted to."""


def make_changes(model: str, folder: str, names: Sequence[str]) -> dict[str, str]:
    """Make changes of ``model``, one after the other, and what a session makes of each: the task of the child.

    Args:
        model: The .onnx file.
        folder: Where ``NAME.onnx`` and ``NAME.session.onnx`` go; the second is there once both are whole.
        names: Keys of ``FILE_TOOLS``.

    Returns:
        Why the others cannot be made, by name.

    Raises:
        OSError: There is no room for what a tool writes.
    """
    logging.disable()
    keep_numpy_alone()
    failed = {}
    for name in names:
        changed, draft = Path(folder, f"{name}.onnx"), Path(folder, f"{name}.draft.onnx")
        try:
            TOOLS[name](model, str(changed))
            write_graph(str(changed), str(draft))
        except OSError:  # a full disk: another time
            raise
        except Exception as error:
            _check_room(model, folder)
            failed[name] = str(error)
        else:
            draft.replace(Path(folder, f"{name}.session.onnx"))
    return failed


def _check_room(model: str, folder: str) -> None:
    """Raise ``OSError`` where a file like ``model`` finds no room: native code makes another error of a full disk."""
    probe = Path(folder) / "room"
    try:
        shutil.copyfile(model, probe)
    finally:
        probe.unlink(missing_ok=True)


def _remove_inputs(model: str, target: str) -> None:
    """Do what onnxruntime's tool does, whose package takes seconds to import where PyTorch is installed."""
    import onnx

    found = onnx.load(model)
    initialised = {tensor.name for tensor in found.graph.initializer}
    kept = [info for info in found.graph.input if info.name not in initialised]
    del found.graph.input[:]
    found.graph.input.extend(kept)
    onnx.save(found, target)


def _halve(model: str, target: str) -> None:
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    onnx.save(convert_float_to_float16(onnx.load(model)), target)


def _quantize(model: str, target: str) -> None:
    from onnxruntime.quantization import quantize_dynamic

    quantize_dynamic(model, target)


def _fold(model: str, target: str) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = target
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _renew(model: str, target: str) -> None:
    import onnx
    from onnx import version_converter

    onnx.save(version_converter.convert_version(onnx.load(model), OPSET), target)


TOOLS: Mapping[str, Callable[[str, str], None]] = MappingProxyType(
    {"inputs": _remove_inputs, "float16": _halve, "int8": _quantize, "batch_norm": _fold, "opset": _renew}
)
"""From the name of a change to what makes it: from one file to another."""
