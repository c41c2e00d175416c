"""The models of the accuracy page: how each is made, cached as .onnx files in a folder of the caller's choice.

    torchvision       exported by torch.onnx.export (the graph exporter), a few by the older TorchScript exporter too
    quantised         three of them quantised by onnxruntime.quantization: QDQ, QOperator, dynamic

Weights are random: sizes do not depend on them. An export that fails is reported, never skipped in silence.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Shape = tuple[int, ...]


TORCHVISION: Mapping[str, Shape] = {
    "alexnet": (1, 3, 224, 224),
    "convnext_tiny": (1, 3, 224, 224),
    "densenet121": (1, 3, 224, 224),
    "efficientnet_b0": (1, 3, 224, 224),
    "efficientnet_v2_s": (1, 3, 224, 224),
    "googlenet": (1, 3, 224, 224),
    "inception_v3": (1, 3, 299, 299),
    "maxvit_t": (1, 3, 224, 224),
    "mnasnet1_0": (1, 3, 224, 224),
    "mobilenet_v2": (1, 3, 224, 224),
    "mobilenet_v3_small": (1, 3, 224, 224),
    "mobilenet_v3_large": (1, 3, 224, 224),
    "regnet_y_400mf": (1, 3, 224, 224),
    "regnet_x_800mf": (1, 3, 224, 224),
    "resnet18": (1, 3, 224, 224),
    "resnet50": (1, 3, 224, 224),
    "resnext50_32x4d": (1, 3, 224, 224),
    "shufflenet_v2_x1_0": (1, 3, 224, 224),
    "squeezenet1_1": (1, 3, 224, 224),
    "swin_t": (1, 3, 224, 224),
    "swin_v2_t": (1, 3, 224, 224),
    "vgg11_bn": (1, 3, 224, 224),
    "vit_b_16": (1, 3, 224, 224),
}
SEGMENTATION: Mapping[str, Shape] = {
    "deeplabv3_mobilenet_v3_large": (1, 3, 224, 224),
    "fcn_resnet50": (1, 3, 224, 224),
    "lraspp_mobilenet_v3_large": (1, 3, 224, 224),
}
TORCHSCRIPT = ("mobilenet_v2", "resnet18", "googlenet", "efficientnet_b0", "shufflenet_v2_x1_0")
QUANTISED = ("mobilenet_v2", "resnet18", "squeezenet1_1")


def export_torchvision(name: str, shape: Shape, path: Path, *, dynamo: bool = True) -> None:
    """Export one torchvision model with random weights."""
    import torch
    import torchvision

    torch.manual_seed(0)
    build = getattr(torchvision.models, name, None) or getattr(torchvision.models.segmentation, name)
    settings: dict[str, Any] = {"weights": None}
    if name in SEGMENTATION:
        settings["weights_backbone"] = None
    if name in ("googlenet", "inception_v3"):
        settings["init_weights"] = False
    export(build(**settings).eval(), (torch.zeros(shape),), path, dynamo=dynamo)


def export(
    module: Any,
    example: tuple[Any, ...],
    path: Path,
    *,
    dynamo: bool = True,
) -> None:
    """Export ``module``, weights embedded."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dynamo:
            program = torch.onnx.export(module.eval(), example, dynamo=True, verbose=False, optimize=True)
            assert program is not None
            program.save(str(path), external_data=False)
        else:
            torch.onnx.export(module.eval(), example, str(path), dynamo=False)


def main() -> None:
    """Export the models that a folder does not have yet."""
    import sys

    folder = Path(sys.argv[1])
    for name, shape in {**TORCHVISION, **SEGMENTATION}.items():
        path = folder / f"{name}.onnx"
        if not path.exists():
            try:
                export_torchvision(name, shape, path)
                print(name, path.stat().st_size, flush=True)
            except Exception as error:
                print(name, "FAILED", type(error).__name__, str(error)[:300], flush=True)
    for name in TORCHSCRIPT:
        path = folder / f"{name}_ts.onnx"
        if not path.exists():
            try:
                export_torchvision(name, TORCHVISION[name], path, dynamo=False)
                print(name, "ts", path.stat().st_size, flush=True)
            except Exception as error:
                print(name, "FAILED", type(error).__name__, str(error)[:300], flush=True)
    from accuracy_control_flow import write_models

    write_models(folder)
    for name in QUANTISED:
        if (folder / f"{name}.onnx").exists() and not (folder / f"{name}_qdq.onnx").exists():
            quantise(folder, name)


def quantise(folder: Path, name: str) -> None:
    """Quantise an exported model with random calibration data, in three ways."""
    import numpy as np
    import onnxruntime
    from onnxruntime import quantization

    path = str(folder / f"{name}.onnx")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
        def __init__(self) -> None:
            feeds = {i.name: rng.random(i.shape, dtype=np.float32) for i in session.get_inputs()}
            self._left = iter([feeds, feeds])

        def get_next(self) -> Any:
            return next(self._left, None)

    for kind in (quantization.QuantFormat.QDQ, quantization.QuantFormat.QOperator):
        target = str(folder / f"{name}_{kind.name.lower()}.onnx")
        quantization.quantize_static(path, target, Reader(), quant_format=kind)
    quantization.quantize_dynamic(path, str(folder / f"{name}_dynamic.onnx"))


if __name__ == "__main__":
    main()
