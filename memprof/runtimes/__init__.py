"""Runtime models: what is alive when, one file each. Pure: no file, no torch, no onnxruntime."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from memprof.ir.trace import Trace
from memprof.runtimes import ideal, onnxruntime, paper, pytorch, pytorch_process, reference
from memprof.runtimes.model import Figure, Grade, RuntimeModel

_MODELS = (
    reference.MODEL,
    ideal.MODEL,
    paper.MODEL,
    pytorch.MODEL,
    pytorch_process.MODEL,
    onnxruntime.MODEL,
)

RUNTIMES: Mapping[str, RuntimeModel] = MappingProxyType({model.name: model for model in _MODELS})
"""Every runtime model by name, the headline first."""

TRACED: Mapping[str, Callable[[Trace], RuntimeModel]] = MappingProxyType(
    {"pytorch": pytorch.traced, "pytorch-process": pytorch_process.traced}
)
"""Runtime models that interpret a run, where there is one, instead of the graph."""

__all__ = ["RUNTIMES", "TRACED", "Figure", "Grade", "RuntimeModel"]
