"""Files that are not read, told by their first bytes rather than their names, and how to get one that is.

Called where reading failed, or where no reader goes by the name's ending; a few kilobytes are read, and of a zip
archive the end, which lists its names. Nothing is unpacked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from memprof.base.errors import InputError

_HEAD_BYTES = 4096
_TAIL_BYTES = 2**18

_PICKLES = tuple([bytes([0x80, version]) for version in range(2, 6)])

_FROM_TORCH = "In Python, load it and call torch.onnx.export(model, inputs, 'model.onnx', dynamo=True)."
_FROM_PICKLE = (
    "In Python, load it if you trust it, and export it: torch.onnx.export(model, inputs, 'model.onnx', dynamo=True), "
    "or skl2onnx.to_onnx(model, X[:1])."
)
_FROM_KERAS = "In Python: model = keras.models.load_model(FILE); model.export('model.onnx', format='onnx')."
_FROM_TENSORFLOW = (
    "Convert it: python -m tf2onnx.convert --saved-model FOLDER --output model.onnx "
    "(--graphdef FILE for a frozen graph)."
)
_COMPILED = "It is compiled for one accelerator and says little: analyse the ONNX or .tflite file it was made from."
_WEIGHTS_ALONE = "It holds weights without a network: load them into the model's code and export that as ONNX."


@dataclass(frozen=True, slots=True)
class Format:
    """One format that is recognised and not read.

    Attributes:
        name: As people call it.
        convert: What to do instead.
        matches: Whether the first bytes, or both ends of a zip archive, are its own.
        ending: Of the names of its files that are read.
    """

    name: str
    convert: str
    matches: Callable[[bytes, bytes], bool]
    ending: str = ""


def _begins(*starts: bytes) -> Callable[[bytes, bytes], bool]:
    return lambda head, _: head.startswith(starts)


def _holds(name: bytes) -> Callable[[bytes, bytes], bool]:
    return lambda _, names: name in names


def _is_safetensors(head: bytes, _: bytes) -> bool:
    return head[8:9] == b"{" and 0 < int.from_bytes(head[:8], "little") < 2**32


def _is_tflite(head: bytes, _: bytes) -> bool:
    return head[4:8] == b"TFL3"


def _is_executorch(head: bytes, _: bytes) -> bool:
    return head[4:6] == b"ET" and head[6:8].isdigit()


def _is_saved_model(head: bytes, _: bytes) -> bool:
    """Schema version 1, then a meta graph; its own first field holds the versions and operators that wrote it."""
    return head.startswith(b"\x08\x01\x12") and any(word in head for word in (b"serve", b"NoOp", b"\n\x05"))


def _is_frozen_graph(head: bytes, _: bytes) -> bool:
    """Nodes one after the other, each with a name, an operation and attributes."""
    operations = (b"Placeholder", b"Const", b"VarHandleOp", b"Identity")
    return head.startswith(b"\n") and any(b"\x12" + bytes([len(op)]) + op in head for op in operations)


def _is_core_ml(head: bytes, _: bytes) -> bool:
    """Specification version, then a description whose first field describes an input."""
    return len(head) > 8 and head[0] == 8 and head[1] < 16 and head[2] == 0x12 and b"com.github.apple.coreml" in head


def _is_tensorflow_js(head: bytes, _: bytes) -> bool:
    return head.lstrip().startswith(b"{") and any(word in head for word in (b'"modelTopology"', b'"weightsManifest"'))


FORMATS: tuple[Format, ...] = (
    Format("HDF5 (.h5), as Keras saved models before version 3", _FROM_KERAS, _begins(b"\x89HDF\r\n\x1a\n")),
    Format("a Keras archive (.keras)", _FROM_KERAS, _holds(b"model.weights.h5")),
    Format("TorchScript (.pt)", _FROM_TORCH, _holds(b"constants.pkl")),
    Format("a PyTorch checkpoint (.pt, .pth)", _WEIGHTS_ALONE + " " + _FROM_TORCH, _holds(b"data.pkl")),
    Format("an exported PyTorch program", "Give its file the ending .pt2.", _holds(b"archive_format"), ".pt2"),
    Format("a NumPy archive (.npz)", _WEIGHTS_ALONE, _holds(b".npy")),
    Format("a pickle, as old PyTorch checkpoints and scikit-learn's models are", _FROM_PICKLE, _begins(*_PICKLES)),
    Format("safetensors", "Give its file the ending .safetensors.", _is_safetensors, ".safetensors"),
    Format("GGUF", "Give its file the ending .gguf.", _begins(b"GGUF"), ".gguf"),
    Format("GGML, before GGUF", "Convert it with llama.cpp's scripts.", _begins(b"ggml", b"ggjt")),
    Format("a TensorFlow Lite model", "Give its file the ending .tflite.", _is_tflite, ".tflite"),
    Format("an ExecuTorch program", "Give its file the ending .pte.", _is_executorch, ".pte"),
    Format("Core ML (.mlmodel)", "Convert the model it was made from to ONNX.", _is_core_ml),
    Format("a TensorFlow SavedModel (.pb)", _FROM_TENSORFLOW, _is_saved_model),
    Format("a frozen TensorFlow graph (.pb)", _FROM_TENSORFLOW, _is_frozen_graph),
    Format("an ncnn network (.param)", "Convert the model it was made from to ONNX.", _begins(b"7767517")),
    Format("XML, such as OpenVINO's", "Convert the model it was made from to ONNX.", _begins(b"<?xml", b"<net")),
    Format("a TensorRT engine", "Analyse the ONNX file it was built from.", _begins(b"ftrt", b"ptrt")),
    Format("an Ascend offline model (.om)", _COMPILED, _begins(b"IMOD")),
    Format("an RKNN model (.rknn), for Rockchip", _COMPILED, _begins(b"RKNN")),
    Format("a Hailo executable (.hef)", _COMPILED, _begins(b"\x01HEF")),
    Format("a kmodel, for Kendryte", _COMPILED, _begins(b"LDMK")),
    Format("a cvimodel, for Sophgo", _COMPILED, _begins(b"CviModel")),
    Format("a Qualcomm container (.dlc)", _COMPILED, _holds(b"dlc.metadata")),
    Format("a TorchServe archive (.mar)", "Unpack it and name the model.", _holds(b"MAR-INF/MANIFEST.json")),
    Format("a LiteRT-LM bundle (.litertlm)", "Name the .tflite files it was built from.", _begins(b"LITERTLM")),
    Format("a TensorFlow.js model (model.json)", _FROM_TENSORFLOW, _is_tensorflow_js),
    Format("a NumPy array (.npy)", _WEIGHTS_ALONE, _begins(b"\x93NUMPY")),
    Format("compressed", "Decompress it first.", _begins(b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")),
)
"""Formats by what they begin with, the more telling first."""

_FOLDERS = (
    ("saved_model.pb", "a TensorFlow SavedModel", _FROM_TENSORFLOW),
    ("Manifest.json", "a Core ML package (.mlpackage)", "Convert the model it was made from to ONNX."),
)


def recognise(path: Path) -> InputError | None:
    """Return the error that tells what ``path`` is, ``None`` if that is not known."""
    try:
        if path.is_dir():
            found = next(((what, how) for name, what, how in _FOLDERS if (path / name).is_file()), None)
            return None if found is None else _error(path, *found)
        if not path.is_file():
            return None
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
            is_zip, names = head.startswith(b"PK\x03\x04"), b""
            if is_zip:
                file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
                names = head + file.read(_TAIL_BYTES)  # a zip archive lists its names at its end
    except OSError:
        return None
    for each in FORMATS:
        if each.matches(head, names) and (not each.ending or path.suffix.lower() != each.ending):
            return _error(path, each.name, each.convert)
    return _error(path, "a zip archive", "Unpack it and name the model.") if is_zip else None


def _error(path: Path, what: str, how: str) -> InputError:
    return InputError(f"{path} is {what}, which memprof does not read.", how)
