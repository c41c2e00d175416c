"""What a process that reads one text model and ends does without: libraries for images, sound, losses and clusters.

They cannot be imported then, and transformers leaves out what needs them; no operation of a run changes. Only for a
process that is memprof's own: in another, what was imported without them would stay so.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import torch

_LEFT_OUT = ("torchvision", "scipy", "sklearn", "pandas", "librosa")
"""Nothing that memprof itself draws with, as matplotlib does with PIL."""

_MORE_THAN_TEXT = ("vision", "image", "audio", "video", "backbone", "patch", "mel_", "speech", "detr", "timm")


def leave_out(values: Mapping[str, Any]) -> None:
    """Keep out of this process what a run of the model does not need; nothing if the model reads more than text.

    Args:
        values: The model's configuration.
    """
    if _reads_text_alone(values):
        for name in _LEFT_OUT:
            sys.modules.setdefault(name, None)  # type: ignore[arg-type] # Python's own sign of a missing module
        torch.distributed.is_available = lambda: False  # a quarter of the rest: tensors on several machines


def _reads_text_alone(values: Mapping[str, Any]) -> bool:
    words = [*values, str(values.get("model_type", ""))]
    return "vocab_size" in values and not any(part in word for word in words for part in _MORE_THAN_TEXT)
