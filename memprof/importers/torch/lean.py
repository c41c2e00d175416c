"""What a process that reads one text model and ends does without: libraries, and parts of them, that compute nothing.

    left out          what for                                               what a run gets instead
    whole libraries   images, sound, losses, clusters                        transformers leaves out what needs them
    distributed       tensors on several machines                            there are none
    torch._dynamo     compiling: all of it for a few marks on functions      marks that nobody reads
    transformers      names of all models, out of 3,000 files                the modules of one model, by their files

What is asked of the last two beyond that is imported as ever (``later``), and no operation of a run changes. Only for
a process that is memprof's own: in another, what was imported without them would stay so.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from types import MappingProxyType
from typing import Any

import torch

from memprof.importers.torch.later import Answers, Later, arrive, put_off

_LEFT_OUT = ("torchvision", "scipy", "sklearn", "pandas", "librosa")
"""Nothing that memprof itself draws with, as matplotlib does with PIL."""

_MORE_THAN_TEXT = ("vision", "image", "audio", "video", "backbone", "patch", "mel_", "speech", "detr", "timm")
_TRANSFORMERS = "transformers"


def leave_out(values: Mapping[str, Any]) -> None:
    """Keep out of this process what a run of the model does not need; nothing if the model reads more than text.

    Args:
        values: The model's configuration.
    """
    if not _reads_text_alone(values):
        return
    for name in _LEFT_OUT:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type] # Python's own sign of a missing module
    torch.distributed.is_available = lambda: False  # a quarter of the rest: tensors on several machines
    put_off("torch.distributed.tensor", {"DTensor": lambda: _DTensor})
    if put_off("torch._dynamo", _MARKS) is not None:
        put_off("torch._dynamo.source", {name: partial(_unread, name) for name in _SOURCES})
    if put_off(_TRANSFORMERS, _FOUND) is not None:
        put_off(f"{_TRANSFORMERS}.models", {})
        _keep_off()


def take_in() -> bool:
    """Import what was put off after all, and return whether there was anything."""
    waiting = [module for module in list(sys.modules.values()) if isinstance(module, Later)]
    for module in waiting:
        arrive(module)
    return bool(waiting)


class _DTensor(torch.Tensor):
    """What no tensor of one process is."""


def _unread(name: str) -> type:
    """Return a class of where a tensor came from: read by who compiles alone."""
    return type(name, (), {"__init__": _mark})


def _disable(fn: Callable[..., Any] | None = None, *args: object, **kwargs: object) -> Callable[..., Any]:
    return _same if fn is None else fn


def _same(fn: Callable[..., Any]) -> Callable[..., Any]:
    return fn


def _mark(*args: object, **kwargs: object) -> None:
    pass


_SOURCES = (
    "AttrSource",
    "CallMethodItemSource",
    "ConstantSource",
    "EphemeralSource",
    "FloatTensorSource",
    "RandomValueSource",
)
_MARKS: Answers = MappingProxyType(
    {
        "disable": lambda: _disable,
        "allow_in_graph": lambda: _same,
        "assume_constant_result": lambda: _same,
        "mark_static_address": lambda: _mark,
    }
)
"""What libraries ask of the compiler while they are imported and run."""

_PLACES: Mapping[str, str] = MappingProxyType(
    {
        "CONFIG_MAPPING": "models.auto.configuration_auto",
        "AutoModel": "models.auto.modeling_auto",
        "PreTrainedModel": "modeling_utils",
    }
)


def _from(place: str, name: str) -> Callable[[], Any]:
    return lambda: getattr(importlib.import_module(f"{_TRANSFORMERS}.{place}"), name)


_FOUND: Answers = MappingProxyType(
    {
        "__version__": lambda: version(_TRANSFORMERS),
        **{name: _from(place, name) for name, place in _PLACES.items()},
    }
)


def _keep_off() -> None:
    """Let its own modules not import the package whole, nor attention that is compiled, which nobody asks for."""
    found: Any = importlib.import_module(f"{_TRANSFORMERS}.utils")
    for of in (found, found.import_utils):
        of.direct_transformers_import = lambda *args, **kwargs: sys.modules[_TRANSFORMERS]
        of.is_torch_flex_attn_available = lambda: False


def _reads_text_alone(values: Mapping[str, Any]) -> bool:
    words = [*values, str(values.get("model_type", ""))]
    return "vocab_size" in values and not any(part in word for word in words for part in _MORE_THAN_TEXT)
