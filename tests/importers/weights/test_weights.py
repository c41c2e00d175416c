"""Files of weights: headers read within bounds, and the network beside them run on meta."""

from __future__ import annotations

import io
import json
import random
import struct
import sys
from pathlib import Path
from typing import Any

import pytest

import memprof
from memprof.base.errors import InputError, LimitError, MemprofError, UsageError
from memprof.importers.weights.architectures import config_values
from memprof.importers.weights.attention import cache_bytes
from memprof.importers.weights.gguf import TYPES, read_gguf
from memprof.importers.weights.safetensors import read_index, read_safetensors
from memprof.render.text import render_text
from tests.importers.weights.files import gguf_header, write_gguf, write_safetensors

CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 96,
    "dtype": "bfloat16",
    "tie_word_embeddings": False,
}
METADATA = {
    "general.architecture": "llama",
    "llama.block_count": 2,
    "llama.embedding_length": 32,
    "llama.feed_forward_length": 64,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "llama.context_length": 512,
    "tokenizer.ggml.tokens": ["a", "b", "ccc"],
    "general.quantized": True,
}
TENSORS = [("token_embd.weight", (32, 96), 8, 96 * 34), ("output.weight", (32, 96), 1, 32 * 96 * 2)]


def test_a_header_of_safetensors_is_all_that_is_read(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "a.safetensors", {"w": ("BF16", (2**20, 2**10)), "b": ("F32", ())})
    assert path.stat().st_blocks * 512 < 10**6, "the file is a hole"
    found = read_safetensors(path)
    assert found.bytes_by_dtype == {"bfloat16": 2**31, "float32": 4}
    assert found.tensors[0].shape == (2**20, 2**10)


@pytest.mark.parametrize("count", [1, 3])
def test_weights_of_several_files_add_up(tmp_path: Path, count: int) -> None:
    names = {}
    for i in range(count):
        write_safetensors(tmp_path / f"part-{i}.safetensors", {f"w{i}": ("F16", (5, 7)), f"b{i}": ("F16", (3,))})
        names |= {f"w{i}": f"part-{i}.safetensors", f"b{i}": f"part-{i}.safetensors"}
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": names}))
    assert read_index(index).bytes_by_dtype == {"float16": count * 38 * 2}
    report = memprof.analyze(tmp_path)
    assert (report.parameter_bytes, report.peak_intermediate_bytes) == (count * 76, None)
    assert [unknown.name for unknown in report.unknown][:1] == ["network"]


def test_a_header_of_gguf_counts_blocks(tmp_path: Path) -> None:
    found = read_gguf(write_gguf(tmp_path / "a.gguf", METADATA, TENSORS))
    assert found.bytes_by_dtype == {"float16": 32 * 96 * 2, "q8_0": 96 * 34}
    assert found.metadata["tokenizer.ggml.tokens"] == 3
    assert found.tensors[0].shape == (96, 32)
    gguf = pytest.importorskip("gguf")
    known = {kind.value: sizes for kind, sizes in gguf.GGML_QUANT_SIZES.items()}
    assert {number: sizes for number, (_, *sizes) in TYPES.items()} == {n: list(known[n]) for n in TYPES}


def test_a_model_in_parts_is_one(tmp_path: Path) -> None:
    first = write_gguf(tmp_path / "m-00001-of-00002.gguf", METADATA, TENSORS[:1])
    with pytest.raises(InputError, match=r"m-00002-of-00002\.gguf is not there"):
        read_gguf(first)
    write_gguf(tmp_path / "m-00002-of-00002.gguf", {}, TENSORS[1:])
    assert sum(read_gguf(first).bytes_by_dtype.values()) == 96 * 34 + 32 * 96 * 2


SAFE = {"w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}


def _safe(header: object, data: int = 16, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + bytes(data)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x08\0\0",
        _safe(SAFE, data=15),
        _safe(SAFE, length=10**6),
        _safe(SAFE, length=2**63),
        _safe(b"{" * 10),
        _safe(b"[" * 100_000),
        _safe([1]),
        _safe({"w": 3}),
        _safe({"w": {"dtype": "F31", "shape": [1], "data_offsets": [0, 4]}}),
        _safe({"w": {"dtype": "F32", "shape": [-2, -2], "data_offsets": [0, 16]}}),
        _safe({"w": {"dtype": "F32", "shape": [2.0, 2], "data_offsets": [0, 16]}}),
        _safe({"w": {"dtype": "F32", "shape": [True, 4], "data_offsets": [0, 16]}}),
        _safe({"w": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 16]}}),
        _safe({"w": {"dtype": "F32", "shape": [2**60], "data_offsets": [0, 16]}}),
        _safe({"w": {"dtype": "F32", "shape": [1] * 100, "data_offsets": [0, 4]}}),
        _safe({"w": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}),
        _safe({"w": {"dtype": ["F32"], "shape": [1], "data_offsets": [0, 4]}}),
    ],
)
def test_a_broken_file_of_safetensors_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError):
        memprof.analyze(path)


@pytest.mark.parametrize("name", ["../w.safetensors", "/etc/passwd", "", ".", 3, [], {}, "missing.safetensors"])
def test_an_index_names_files_beside_it_alone(tmp_path: Path, name: object) -> None:
    (tmp_path / "model").mkdir()
    write_safetensors(tmp_path / "w.safetensors", {"w": ("F32", (1,))})
    index = tmp_path / "model" / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"w": name}}))
    with pytest.raises(InputError):
        memprof.analyze(index.parent)


def _count(tensors: int, entries: int) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, entries) + bytes(64)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"GGUF", InputError),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), InputError),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), InputError),
        (b"JUNK" + bytes(40), InputError),
        (_count(2**40, 0), LimitError),
        (_count(0, 2**40), LimitError),
        (_count(5, 0), InputError),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 2**63), InputError),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<QcIIQ", 1, b"k", 9, 8, 2**60), LimitError),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<QcIIQ", 1, b"k", 9, 4, 2**61), InputError),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Qc", 1, b"k") + b"\x09\0\0\0" * 40, InputError),
        (gguf_header({"general.alignment": 0}, []), InputError),
        (gguf_header({}, [("w", (32,), 8, 2**60)]) + bytes(99), InputError),
        (gguf_header({}, [("w", (31,), 8, 0)]) + bytes(99), InputError),
        (gguf_header({}, [("w", (32,), 77, 0)]) + bytes(99), InputError),
        (gguf_header({}, [("w", (2**60,), 0, 0)]) + bytes(99), InputError),
    ],
)
def test_a_broken_file_of_gguf_is_one_clear_error(tmp_path: Path, content: bytes, error: type[Exception]) -> None:
    path = tmp_path / "w.gguf"
    path.write_bytes(content)
    with pytest.raises(error):
        memprof.analyze(path)


def test_a_header_with_any_bytes_changed_is_read_or_refused(tmp_path: Path) -> None:
    whole = write_gguf(tmp_path / "m.gguf", METADATA, TENSORS).read_bytes()
    end, rng = whole.index(b"output.weight") + 40, random.Random(3)
    for _ in range(400):
        changed = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            changed[rng.randrange(end)] = rng.choice([0, 1, 8, 9, 127, 255, rng.randrange(256)])
        path = tmp_path / "changed.gguf"
        path.write_bytes(changed)
        try:
            read_gguf(path)
        except MemprofError:
            continue


def test_a_configuration_that_nothing_can_run_still_has_a_cache(tmp_path: Path) -> None:
    metadata = {key.replace("llama", "unheard"): value for key, value in METADATA.items()}
    path = write_gguf(tmp_path / "m.gguf", metadata | {"general.architecture": "unheard"}, TENSORS)
    report = memprof.analyze(path, dims={"sequence": 10, "batch": 3})
    assert report.parameter_bytes == 96 * 34 + 32 * 96 * 2
    assert (report.peak_intermediate_bytes, report.headline.known_bytes_at_least) == (None, 2 * 2 * 2 * 8 * 2 * 30)
    with pytest.raises(UsageError, match="no dimension 'images'"):
        memprof.analyze(path, dims={"images": 1})


def test_without_transformers_a_configuration_alone_has_a_cache_and_unknown_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    report = memprof.analyze(tmp_path, dims={"sequence": 10})
    assert report.headline.known_bytes_at_least == 2 * 2 * 2 * 8 * 2 * 10
    assert (report.headline.total_bytes, report.unknown[0].name) == (None, "weights and activations")
    assert not report.model.has_known_weights
    assert not memprof.Report.from_json(report.to_json()).model.has_known_weights
    assert memprof.check(report, memprof.Budgets(params=10**12)).is_met is None
    stream = io.StringIO()
    render_text(report, stream)
    (line,) = (line for line in stream.getvalue().splitlines() if line.startswith("Weights"))
    assert line.split()[1] in {">=", "\u2265"}


def test_weights_cache_and_activations_are_parts(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    path = write_safetensors(tmp_path / "model.safetensors", {"w": ("F8_E4M3", (1000,))})
    sizes = {"batch": 2, "sequence": 16}
    for source in (path, tmp_path):
        report = memprof.analyze(source, dims=sizes)
        run = memprof.analyze(f"transformers:{tmp_path}", dims=sizes)
        assert report.peak_intermediate_bytes == run.peak_intermediate_bytes
        assert report.process is not None
        assert report.process.parts["weights"] == report.parameter_bytes == 1000
        assert report.process.parts["key_value_cache"] == 2 * 2 * 2 * 8 * 2 * 2 * 16
        assert report.process.size_bytes == 1000 + (report.peak_intermediate_bytes or 0)
        assert report.headline.categories["parameters"] == 1000


def test_metadata_of_gguf_is_the_configuration(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    path = write_gguf(tmp_path / "m.gguf", METADATA, TENSORS)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text(json.dumps(CONFIG | {"dtype": "float16"}))
    sizes = {"batch": 1, "sequence": 16}
    report = memprof.analyze(path, dims=sizes)
    same = memprof.analyze(f"transformers:{tmp_path / 'other'}", dims=sizes)
    assert report.peak_intermediate_bytes == same.peak_intermediate_bytes
    assert report.headline.grade == "estimate"


DEEPSEEK = {
    "architectures": ["DeepseekV3ForCausalLM"],
    "model_type": "deepseek_v3",
    "kv_lora_rank": 16,
    "q_lora_rank": 8,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 4,
    "v_head_dim": 6,
    "num_key_value_heads": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_group": 1,
    "topk_group": 1,
    "moe_intermediate_size": 16,
    "first_k_dense_replace": 2,
}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"num_key_value_heads": 4},
        {"num_key_value_heads": 1, "head_dim": 16},
        {"architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": None},
        {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "head_dim": 12},
        {
            "architectures": ["GPT2LMHeadModel"],
            "model_type": "gpt2",
            "n_layer": 2,
            "n_head": 4,
            "num_key_value_heads": 4,
        },
        DEEPSEEK,
    ],
)
def test_the_cache_by_sizes_is_the_cache_of_a_run(tmp_path: Path, change: dict[str, Any]) -> None:
    library = pytest.importorskip("transformers")
    if change is DEEPSEEK and library.__version__.startswith(("4.", "5.3.")):
        pytest.skip("this transformers keeps keys and values of every head, not what they are made of")
    config = CONFIG | change
    (tmp_path / "config.json").write_text(json.dumps(config))
    trace = memprof.load(f"transformers:{tmp_path}", dims={"batch": 2, "sequence": 24}).trace
    assert trace is not None
    assert trace.cache_bytes == cache_bytes(config, 2, 24)


def test_a_window_bounds_the_cache() -> None:
    window = CONFIG | {"sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"]}
    per_token = 2 * 2 * 8 * 2
    assert cache_bytes(window, 1, 24) == (8 + 24) * per_token
    assert cache_bytes(CONFIG | {"sliding_window": 8}, 1, 24) == 2 * 8 * per_token
    assert cache_bytes(CONFIG | {"layer_types": ["linear_attention", "full_attention"]}, 1, 24) == 24 * per_token
    assert cache_bytes({"num_hidden_layers": 2}, 1, 24) is None


def of_architecture(name: str, **more: Any) -> dict[str, Any]:
    """Return ``METADATA`` as of another architecture."""
    found = {key.replace("llama.", f"{name}."): value for key, value in METADATA.items()}
    return found | {"general.architecture": name} | {f"{name}.{key}": value for key, value in more.items()}


def cache_of(folder: Path, metadata: dict[str, Any]) -> int | None:
    stored = read_gguf(write_gguf(folder / "m.gguf", metadata, TENSORS))
    values = config_values(stored)
    assert values is not None
    return cache_bytes(values, 1, 24)


def test_layers_with_a_window_are_those_that_the_architecture_or_the_file_says(tmp_path: Path) -> None:
    window = {"attention.sliding_window": 8}
    whole = cache_of(tmp_path, METADATA)
    assert whole is not None
    token = whole // (2 * 24)
    assert cache_of(tmp_path, of_architecture("llama", **window)) == 2 * 8 * token  # nothing is said: all layers
    for name in ("gemma2", "gpt-oss"):
        assert cache_of(tmp_path, of_architecture(name, **window)) == (8 + 24) * token
    said = {"attention.sliding_window_pattern": 1}
    assert cache_of(tmp_path, of_architecture("frob", **window, **said)) == 2 * 24 * token


def test_heads_that_differ_by_layer_count_each_and_no_module_is_made_of_them(tmp_path: Path) -> None:
    heads = METADATA["llama.attention.head_count_kv"]
    metadata = METADATA | {"llama.attention.head_count_kv": [heads, 0]}
    assert cache_of(tmp_path, metadata) == (cache_of(tmp_path, METADATA) or 0) // 2
    pytest.importorskip("transformers")  # else that is what is said
    unknown = memprof.analyze(write_gguf(tmp_path / "m.gguf", metadata, TENSORS)).unknown[0]
    assert "no module for the architecture 'llama' with these sizes" in unknown.reason


def test_an_architecture_that_nothing_here_makes_is_named(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    path = write_gguf(tmp_path / "m.gguf", of_architecture("frobnicate"), TENSORS)
    unknown = memprof.analyze(path).unknown[0]
    assert "'frobnicate'" in unknown.reason
    assert "pip install" not in unknown.hint


def test_a_state_space_model_keeps_its_states_alone(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    sizes = {"block_count": 2, "embedding_length": 32, "ssm.inner_size": 64, "ssm.state_size": 8}
    more = {"ssm.conv_kernel": 4, "ssm.time_step_rank": 4, "context_length": 64}
    metadata = {"general.architecture": "mamba"} | {f"mamba.{key}": size for key, size in (sizes | more).items()}
    path = write_gguf(tmp_path / "m.gguf", metadata, TENSORS)
    taken = [memprof.load(path, dims={"batch": 1, "sequence": n}).trace for n in (4, 16)]
    states = [trace.cache_bytes for trace in taken if trace is not None]
    assert states == [2 * (64 * 8 * 4 + 64 * 4 * 2)] * 2  # in 32 bits, and the last inputs of convolutions in 16
