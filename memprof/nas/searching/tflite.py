"""Write a found network as .tflite through Google's converter, calibrated on images of the search, and check it.

    module, channels last -> litert-torch -> float32 .tflite -> ai-edge-quantizer, calibrated -> int8 .tflite

Both are optional: ``pip install 'memprof-nn[converter]'``. What they print stays with them. The file is run in LiteRT
on the same images: a float32 one must give PyTorch's outputs, an int8 one mostly the same classes.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from memprof.base.errors import MissingExtraError, RuntimeFailure, UsageError
from memprof.base.files import write_whole
from memprof.base.folders import scratch_folder
from memprof.base.text import first_line
from memprof.nas.given.inside import inside
from memprof.nas.record.settings import Settings
from memprof.nas.searching.export import TOLERANCE
from memprof.nas.searching.run import DATA
from memprof.nas.space.budget import CONVERTIBLE
from memprof.nas.train.augmentation import Pictures
from memprof.nas.train.data import load_training
from memprof.nas.train.trainer import restore

CALIBRATION_IMAGES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """A .tflite file that was run.

    Attributes:
        path: The file.
        dtype: Element type of its tensors: ``float32`` or ``int8``.
        difference: Largest difference to PyTorch's outputs, relative to the largest of them.
        agreement: Share of the images that it gives PyTorch's class.
    """

    path: Path
    dtype: str
    difference: float
    agreement: float


def require_converter() -> None:
    """Raise if nothing converts here.

    Raises:
        MissingExtraError: litert-torch, ai-edge-quantizer or ai-edge-litert is not installed.
    """
    if any(find_spec(name) is None for name in ("litert_torch", "ai_edge_quantizer", "ai_edge_litert")):
        raise MissingExtraError("Writing a .tflite file", "converter")


def calibration_images(folder: Path, settings: Settings) -> torch.Tensor:
    """Return images of the search as the network sees them, (n, channels, height, width).

    Raises:
        UsageError: The data set is gone.
        InputError: It cannot be read.
    """
    root = inside(folder, DATA)
    data = load_training(settings.dataset, root=root, limit=settings.image_limit, side=settings.image_side)
    chosen = data.training.select(torch.arange(min(CALIBRATION_IMAGES, len(data.training))))
    pictures = Pictures(data.training, data.augmentation, torch.device("cpu"), torch.contiguous_format)
    return pictures.normalized(chosen.pixels)


def export_tflite(
    module: nn.Module, weights: dict[str, torch.Tensor], images: torch.Tensor, path: Path, dtype: str
) -> Converted:
    """Write ``module`` with ``weights`` to ``path`` and run it; the file appears only if it is right.

    Args:
        module: The network, as ``memprof.nas.build_module`` gives it.
        weights: Its state.
        images: What to calibrate on and to compare on, (n, channels, height, width).
        path: The .tflite file; its folder must exist.
        dtype: ``float32`` or ``int8``.

    Raises:
        MissingExtraError: The converter is not installed.
        RuntimeFailure: The converter failed, or what it wrote differs from PyTorch.
        UsageError: There is no conversion to that element type, or the file cannot be written.
    """
    if dtype not in CONVERTIBLE:
        raise UsageError(f"Nothing converts a network to {dtype}.", f"Choose from: {', '.join(CONVERTIBLE)}.")
    require_converter()
    restore(module, weights)
    module.eval()
    with torch.inference_mode():
        expected = module(images).numpy()
    found: list[Converted] = []

    def write(draft: Path) -> None:
        with scratch_folder() as scratch:
            try:
                with _silenced():
                    draft.write_bytes(_convert(module, images, scratch, dtype))
                    outputs = _run(draft, images)
            except Exception as error:
                raise RuntimeFailure(f"The converter failed: {first_line(error)}.", "Nothing was written.") from error
        difference = float(np.abs(outputs - expected).max() / max(float(np.abs(expected).max()), 1e-12))
        agreement = float((outputs.argmax(1) == expected.argmax(1)).mean())
        if dtype == "float32" and not difference <= TOLERANCE:
            raise RuntimeFailure(
                f"The converted network's outputs differ from PyTorch's by {difference:.2g} of the largest.",
                "Nothing was written; please report this architecture.",
            )
        found.append(Converted(path=path, dtype=dtype, difference=difference, agreement=agreement))

    write_whole(path, write)
    return found[0]


def _convert(module: torch.nn.Module, images: torch.Tensor, scratch: Path, dtype: str) -> bytes:
    import litert_torch

    last = litert_torch.to_channel_last_io(module, args=[0])
    plain = scratch / "float32.tflite"
    litert_torch.convert(last, (_rows(images[:1]),)).export(str(plain))
    if dtype == "float32":
        return plain.read_bytes()
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import quantizer, recipe

    signatures = Interpreter(model_path=str(plain)).get_signature_list()
    (name, signature), *_ = signatures.items()
    (argument,) = signature["inputs"]
    quantized = quantizer.Quantizer(str(plain), recipe.static_wi8_ai8())
    samples = [{argument: _rows(image[None]).numpy()} for image in images]
    result = quantized.quantize(quantized.calibrate({name: samples}))
    target = scratch / "int8.tflite"
    result.export_model(str(target), overwrite=True)
    return target.read_bytes()


def _rows(images: torch.Tensor) -> torch.Tensor:
    return images.permute(0, 2, 3, 1).contiguous()


def _run(path: Path, images: torch.Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return the outputs for each image, numbers of quantised ones by their scale."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    found = []
    for image in images:
        interpreter.set_tensor(source["index"], _quantized(_rows(image[None]).numpy(), source))
        interpreter.invoke()
        found.append(_as_float(interpreter.get_tensor(target["index"]), target))
    return np.concatenate(found)


def _quantized(values: Any, details: Any) -> Any:
    scale, zero = details["quantization"]
    if not scale:
        return values
    return np.clip(np.round(values / scale) + zero, -128, 127).astype(details["dtype"])


def _as_float(values: Any, details: Any) -> Any:
    scale, zero = details["quantization"]
    return (values.astype(np.float32) - zero) * scale if scale else values


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Send what Python and native code print meanwhile nowhere, also where a stream stands in for stdout."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(1), os.dup(2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        with (
            Path(os.devnull).open("w", encoding="utf-8") as silent,
            contextlib.redirect_stdout(silent),
            contextlib.redirect_stderr(silent),
        ):
            yield
    finally:
        for number, original in enumerate(saved, start=1):
            os.dup2(original, number)
            os.close(original)
        os.close(nowhere)
