"""Formats that are not read are told by name, with the way to convert them."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import pytest

import memprof
from memprof.base.errors import InputError, UsageError


def _zip(*names: str) -> bytes:
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return found.getvalue()


HEADS = {
    "model.h5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5", "keras"),
    "model.keras": (_zip("metadata.json", "config.json", "model.weights.h5"), "Keras", "keras"),
    "script.pt": (_zip("net/data.pkl", "net/constants.pkl"), "TorchScript", "torch.onnx.export"),
    "weights.pth": (_zip("archive/data.pkl", "archive/data/0"), "checkpoint", "torch.onnx.export"),
    "old.pt": (b"\x80\x02}q\x00." + bytes(50), "pickle", "torch.onnx.export"),
    "w.bin": (struct.pack("<Q", 60) + b'{"a":{"dtype":"F32"}}' + bytes(60), "safetensors", ".safetensors"),
    "llm.bin": (b"GGUF\x03\0\0\0" + bytes(40), "GGUF", ".gguf"),
    "saved.pb": (b"\x08\x01\x12\x90\x01\n\x05serve" + bytes(200), "SavedModel", "tf2onnx"),
    "frozen.pb": (b"\n\x1c\n\x01x\x12\x0bPlaceholder*\x0b\n\x05dtype\x12\x020\x01", "frozen", "tf2onnx"),
    "net.mlmodel": (b"\x08\x05\x12\x60\n\x10com.github.apple.coremltools" + bytes(60), "Core ML", "ONNX"),
    "net.xml": (b"<?xml version='1.0'?><net name='x'>", "XML", "ONNX"),
    "net.param": (b"7767517\n3 3\nInput data 0 1 data", "ncnn", "ONNX"),
    "a.npy": (b"\x93NUMPY\x01\0" + bytes(100), "NumPy", "weights"),
    "a.onnx": (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5", "keras"),  # a wrong ending misleads nobody
    "m.bin": (b"\x1c\0\0\0TFL3" + bytes(40), "TensorFlow Lite", ".tflite"),
    "net.om": (b"IMOD\0\0\x01\0" + bytes(60), "Ascend", "ONNX"),
    "net.rknn": (b"RKNN" + bytes(60), "Rockchip", "ONNX"),
    "net.hef": (b"\x01HEF" + bytes(60), "Hailo", "ONNX"),
    "net.kmodel": (b"LDMK" + bytes(60), "Kendryte", "ONNX"),
    "net.dlc": (_zip("model", "dlc.metadata"), "Qualcomm", "ONNX"),
    "net.mar": (_zip("model.pt", "MAR-INF/MANIFEST.json"), "TorchServe", "Unpack"),
    "net.js": (b'{"format": "layers-model", "modelTopology": {}}', "TensorFlow.js", "tf2onnx"),
    "m.gz": (b"\x1f\x8b\x08" + bytes(40), "compressed", "Decompress"),
}


@pytest.mark.parametrize("name", HEADS)
def test_is_told_by_name_with_the_way_on(tmp_path: Path, name: str) -> None:
    content, format_name, way = HEADS[name]
    (tmp_path / name).write_bytes(content)

    with pytest.raises(InputError) as caught:
        memprof.analyze(str(tmp_path / name))

    assert format_name in caught.value.message
    assert way in caught.value.hint


def test_a_folder_of_a_saved_model_is_told(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"")

    with pytest.raises(InputError, match="SavedModel"):
        memprof.analyze(str(tmp_path))


def test_a_broken_onnx_file_is_still_one(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"\x08\x07\x12\x7fabc")

    with pytest.raises(InputError, match="ONNX"):
        memprof.analyze(str(tmp_path / "m.onnx"))


def test_a_python_file_alone_is_asked_for_its_function_and_never_run(tmp_path: Path) -> None:
    path = tmp_path / "net.py"
    path.write_text(
        f"open({str(tmp_path / 'ran')!r}, 'w')\n"
        "def make(): ...\ndef resize(image, size=3): ...\ndef _own(): ...\n"
        "class Net(Base):\n    def __init__(self, width=8): ...\n"
        "class Block(Base):\n    def __init__(self, width): ...\n"
    )
    with pytest.raises(UsageError, match="is not named") as caught:
        memprof.analyze(path, inputs={"": (8, 3, 64, 64)})
    assert caught.value.hint == f"Name it: {path}:make, {path}:Net."
    assert not (tmp_path / "ran").exists()
    for text in (b"def broken(", b"\0", b"(" * 10_000, b""):
        path.write_bytes(text)
        with pytest.raises(UsageError, match="is not named") as caught:
            memprof.analyze(path)
        assert caught.value.hint == f"Name it: {path}:FUNCTION."
