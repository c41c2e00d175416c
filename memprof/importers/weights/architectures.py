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
    }
)
_ONLY_WITH_RANK = frozenset({"v_head_dim", "qk_rope_head_dim"})


def config_values(stored: Stored) -> dict[str, Any] | None:
    """Return the configuration that the metadata describes, ``None`` if it says no architecture."""
    metadata = stored.metadata
    architecture = metadata.get("general.architecture")
    if not isinstance(architecture, str):
        return None
    values: dict[str, Any] = {}
    for key, names in _SIZES.items():
        size = metadata.get(f"{architecture}.{key}")
        if isinstance(size, list) and size and all(isinstance(item, int) for item in size):
            size = max(size)  # one for each layer: the largest bounds all
        if isinstance(size, int) and not isinstance(size, bool):
            values |= dict.fromkeys(names, size)
    if "kv_lora_rank" not in values:
        values = {name: size for name, size in values.items() if name not in _ONLY_WITH_RANK}
    kinds = {tensor.name: tensor for tensor in stored.tensors}
    embedding = kinds.get("token_embd.weight")
    if embedding is not None and len(embedding.shape) == 2:
        values["vocab_size"] = embedding.shape[0]
    values["tie_word_embeddings"] = "output.weight" not in kinds
    values["dtype"] = "bfloat16" if any(tensor.dtype == "bfloat16" for tensor in stored.tensors) else "float16"
    if "num_local_experts" in values and architecture == "llama":
        return values | {"model_type": "mixtral", "architectures": ["MixtralForCausalLM"]}
    if architecture in _MODELS:
        kind, name = _MODELS[architecture]
        values |= {"model_type": kind, "architectures": [name]}
    return values
