"""Runtime models: what is alive when, one file each. Pure: no file, no torch, no onnxruntime."""

from collections.abc import Mapping
from types import MappingProxyType

from memprof.runtimes import ideal, onnxruntime, paper, pytorch, reference
from memprof.runtimes.model import Figure, Grade, RuntimeModel

RUNTIMES: Mapping[str, RuntimeModel] = MappingProxyType(
    {model.name: model for model in (reference.MODEL, ideal.MODEL, paper.MODEL, pytorch.MODEL, onnxruntime.MODEL)}
)
"""Every runtime model by name, the headline first."""

__all__ = ["RUNTIMES", "Figure", "Grade", "RuntimeModel"]
