"""What a key-value cache holds, from a configuration alone. Pure.

for every layer and token         keys and values of every head that has its own
grouped and multi-query           num_key_value_heads of them, or one; a .gguf file may say it of each layer
latent (kv_lora_rank)             as transformers keeps it: what keys and values are made of
sliding window                    layers that have one keep the window's tokens at most; layer_types says which, or
                                  sliding_window_pattern: every so many see all
linear attention, state spaces    no cache that grows: not counted, where layer_types names them
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_BYTES = {"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2, "float8_e4m3fn": 1, "float8_e5m2": 1}
_GROWING = ("full_attention", "sliding_attention", "chunked_attention", "attention")


def element_bytes(values: Mapping[str, Any]) -> int:
    """Return the bytes of an element of the cache: those of the configuration's type, float32 if it says none."""
    said = str(values.get("dtype") or values.get("torch_dtype") or "float32").removeprefix("torch.")
    return _BYTES.get(said, 4)


def cache_bytes(values: Mapping[str, Any], batch: int, sequence: int) -> int | None:
    """Return the bytes of the key-value cache after ``sequence`` tokens, ``None`` if a size is missing."""
    inner = values.get("text_config")
    if isinstance(inner, Mapping):
        values = {**values, **inner}
    layers = _size(values, "num_hidden_layers", "n_layer", "num_layers", "n_layers")
    heads = _size(values, "num_attention_heads", "n_head", "num_heads", "n_heads")
    width = _size(values, "hidden_size", "n_embd", "d_model")
    if not layers or not heads or not width:
        return None
    elements = sum(_tokens(values, i, sequence) * _per_token(values, i, heads, width) for i in range(layers))
    return batch * elements * element_bytes(values)


def _per_token(values: Mapping[str, Any], layer: int, heads: int, width: int) -> int:
    """Return the elements of keys and values of one token in one layer."""
    if rank := _size(values, "kv_lora_rank"):
        return rank + (_size(values, "qk_rope_head_dim") or 0)
    own = 1 if values.get("multi_query") is True else _size(values, "num_key_value_heads", "num_kv_heads") or heads
    each = values.get("key_value_heads_of_layers")
    if isinstance(each, list) and layer < len(each):
        own = each[layer]
    return 2 * own * (_size(values, "head_dim") or width // heads)


def _tokens(values: Mapping[str, Any], layer: int, sequence: int) -> int:
    """Return how many tokens a layer keeps."""
    kinds = values.get("layer_types")
    window = _size(values, "sliding_window")
    if isinstance(kinds, list) and layer < len(kinds):
        if kinds[layer] not in _GROWING:
            return 0
        has_window = kinds[layer] == "sliding_attention"
    else:
        has_window = bool(values.get("use_sliding_window", True)) and not _alternates(values, layer)
    return min(sequence, window) if window and has_window else sequence


def _alternates(values: Mapping[str, Any], layer: int) -> bool:
    """Tell whether a layer sees all tokens, every so many of them."""
    every = _size(values, "sliding_window_pattern")
    return every is not None and (layer + 1) % every == 0


def _size(values: Mapping[str, Any], *names: str) -> int | None:
    found = (values.get(name) for name in names)
    return next((size for size in found if isinstance(size, int) and not isinstance(size, bool) and size > 0), None)
