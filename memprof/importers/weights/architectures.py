"""Metadata of a .gguf file -> a configuration as transformers has it. Pure.

A file says ``general.architecture`` and the network's sizes under that name (``llama.block_count``). Sizes by other
names are the same sizes; the table lists both. An architecture that is not in ``_MODELS`` keeps its sizes, from which
the key-value cache follows, and has no ``model_type``: nothing here can run it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from memprof.importers.weights.stored import Stored

_MODELS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "llama": ("llama", "LlamaForCausalLM"),
        "qwen2": ("qwen2", "Qwen2ForCausalLM"),
        "qwen3": ("qwen3", "Qwen3ForCausalLM"),
        "qwen3moe": ("qwen3_moe", "Qwen3MoeForCausalLM"),
        "gemma": ("gemma", "GemmaForCausalLM"),
        "gemma2": ("gemma2", "Gemma2ForCausalLM"),
        "gemma3": ("gemma3_text", "Gemma3ForCausalLM"),
        "phi3": ("phi3", "Phi3ForCausalLM"),
        "starcoder2": ("starcoder2", "Starcoder2ForCausalLM"),
        "olmo2": ("olmo2", "Olmo2ForCausalLM"),
        "gpt2": ("gpt2", "GPT2LMHeadModel"),
        "mistral3": ("mistral", "MistralForCausalLM"),
        "granite": ("granite", "GraniteForCausalLM"),
        "cohere2": ("cohere2", "Cohere2ForCausalLM"),
        "smollm3": ("smollm3", "SmolLM3ForCausalLM"),
        "gpt-oss": ("gpt_oss", "GptOssForCausalLM"),
        "mamba": ("mamba", "MambaForCausalLM"),
    }
)
"""Type and class in transformers by the file's name of an architecture."""

_SIZES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "block_count": ("num_hidden_layers", "n_layer"),
        "embedding_length": ("hidden_size", "n_embd"),
        "feed_forward_length": ("intermediate_size", "n_inner"),
        "attention.head_count": ("num_attention_heads", "n_head"),
        "attention.head_count_kv": ("num_key_value_heads",),
        "attention.key_length": ("head_dim",),
        "attention.value_length": ("v_head_dim",),
        "attention.sliding_window": ("sliding_window",),
        "attention.kv_lora_rank": ("kv_lora_rank",),
        "rope.dimension_count": ("qk_rope_head_dim",),
        "context_length": ("max_position_embeddings", "n_positions"),
        "expert_count": ("num_local_experts", "num_experts"),
        "expert_used_count": ("num_experts_per_tok",),
        "expert_feed_forward_length": ("moe_intermediate_size",),
        "vocab_size": ("vocab_size",),
        "ssm.state_size": ("state_size",),
        "ssm.conv_kernel": ("conv_kernel",),
        "ssm.time_step_rank": ("time_step_rank",),
    }
)
_WINDOWS: Mapping[str, int] = MappingProxyType({"gemma2": 2, "gemma3": 6, "cohere2": 4, "gpt-oss": 2})
"""Of so many layers the last sees all tokens, and the others a window, as llama.cpp runs them."""

_ONLY_WITH_RANK = frozenset({"v_head_dim", "qk_rope_head_dim"})


def config_values(stored: Stored) -> dict[str, Any] | None:
    """Return the configuration that the metadata describes, ``None`` if it says no architecture."""
    metadata = stored.metadata
    architecture = metadata.get("general.architecture")
    if not isinstance(architecture, str):
        return None
    values, differ = _sizes(metadata, architecture)
    if "kv_lora_rank" not in values:
        values = {name: size for name, size in values.items() if name not in _ONLY_WITH_RANK}
    kinds = {tensor.name: tensor for tensor in stored.tensors}
    embedding = kinds.get("token_embd.weight")
    if embedding is not None and len(embedding.shape) == 2:
        values["vocab_size"] = embedding.shape[0]
    values["tie_word_embeddings"] = "output.weight" not in kinds
    values["dtype"] = "bfloat16" if any(tensor.dtype == "bfloat16" for tensor in stored.tensors) else "float16"
    values |= _windows(metadata, architecture, values)
    inner = metadata.get(f"{architecture}.ssm.inner_size")
    if isinstance(inner, int) and isinstance(width := values.get("hidden_size"), int) and width:
        values["expand"] = inner // width
    if architecture == "gpt-oss" and "moe_intermediate_size" in values:
        values["intermediate_size"] = values["moe_intermediate_size"]
    if differ:  # no class of transformers has layers of several sizes
        return values
    if "num_local_experts" in values and architecture == "llama":
        return values | {"model_type": "mixtral", "architectures": ["MixtralForCausalLM"]}
    if architecture in _MODELS:
        kind, name = _MODELS[architecture]
        values |= {"model_type": kind, "architectures": [name]}
    return values


def _windows(metadata: Mapping[str, Any], architecture: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return which layers see a window alone, nothing where there is none or nobody says."""
    layers, window = values.get("num_hidden_layers"), values.get("sliding_window")
    said = metadata.get(f"{architecture}.attention.sliding_window_pattern", _WINDOWS.get(architecture))
    if not isinstance(layers, int) or not window or said is None:
        return {}
    if isinstance(said, list):
        marks = [bool(mark) for mark in said]
    elif isinstance(said, int) and said > 0:
        marks = [(layer + 1) % said != 0 for layer in range(layers)]
    else:
        return {}
    return {"layer_types": ["sliding_attention" if mark else "full_attention" for mark in marks[:layers]]}


def _sizes(metadata: Mapping[str, Any], architecture: str) -> tuple[dict[str, Any], bool]:
    """Return the sizes that the file says, and whether layers differ in one: of those the largest bounds all."""
    values: dict[str, Any] = {"pad_token_id": None}  # that of another vocabulary may be beyond this one
    differ = False
    for key, names in _SIZES.items():
        size = metadata.get(f"{architecture}.{key}")
        if isinstance(size, list) and size and all(isinstance(item, int) for item in size):
            differ |= len(set(size)) > 1
            if key == "attention.head_count_kv":
                values["key_value_heads_of_layers"] = size
            size = max(size)
        if isinstance(size, int) and not isinstance(size, bool):
            values |= dict.fromkeys(names, size)
    return values, differ
