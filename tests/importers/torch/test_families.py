"""Modules of timm and transformers by name: from a configuration, without network, weights or foreign code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import memprof
from memprof.base.errors import InputError, LimitError, UsageError
from memprof.importers.torch.configs import read_config

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 100,
    "dtype": "float32",
}


def saved(folder: Path, config: object) -> str:
    (folder / "config.json").write_text(json.dumps(config))
    return f"transformers:{folder}"


def test_a_model_of_timm_takes_its_own_picture() -> None:
    if not pytest.importorskip("timm").is_model("test_resnet"):
        pytest.skip("this timm has no small models for tests")
    report = memprof.analyze("timm:test_resnet", dims={"batch": 2})
    again = memprof.analyze("timm:test_resnet", inputs={"": (2, 3, 160, 160)})
    assert report.peak_intermediate_bytes == again.peak_intermediate_bytes
    assert report.assumed == again.assumed == ()
    with pytest.raises(UsageError, match="timm has no model 'test_resnets'"):
        memprof.analyze("timm:test_resnets")
    with pytest.raises(UsageError, match="no dimension 'sequence'"):
        memprof.analyze("timm:test_resnet", dims={"sequence": 2})


def test_a_decoder_from_its_configuration_equals_a_real_run_of_it(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    name = saved(tmp_path, LLAMA)
    sizes = {"batch": 2, "sequence": 7}
    predicted, measured = (memprof.analyze(name, dims=sizes, run=run) for run in (False, True))
    assert (predicted.headline.grade, measured.headline.grade) == ("exact", "measured")
    assert predicted.headline.timeline == measured.headline.timeline
    assert predicted.parameter_bytes == measured.parameter_bytes
    keys_and_values = 2 * 2 * 2 * 2 * 7 * 8 * 4  # layers, keys and values, batch, heads, sequence, width, bytes
    assert predicted.headline.categories["key-value cache"] == keys_and_values


def test_a_model_of_text_and_pictures_is_given_text_alone_and_says_so(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    picture = {"model_type": "clip_vision_model", "hidden_size": 32, "image_size": 32, "patch_size": 16}
    small = {"intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    both = {"model_type": "llava", "image_token_index": 99, "text_config": LLAMA, "vision_config": picture | small}
    report = memprof.analyze(saved(tmp_path, both))
    assert report.headline.grade == "exact"
    assert [note.name for note in report.assumed] == ["batch=1", "sequence=128", "no pixel_values"]


def test_a_configuration_without_a_type_is_told(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    with pytest.raises(InputError, match="says no model_type"):
        memprof.analyze(saved(tmp_path, {"hidden_size": 8}))


KERNELS = (
    "_attn_implementation",
    "_attn_implementation_internal",
    "_experts_implementation_internal",
    "x_implementation",
)


@pytest.mark.parametrize("key", KERNELS)
def test_no_name_of_a_kernel_reaches_a_library(tmp_path: Path, key: str) -> None:
    inner = {key: "a/kernel", "hidden_size": 8}
    (tmp_path / "config.json").write_text(json.dumps({key: "a/kernel", "text_config": inner, "parts": [inner]}))
    found = read_config(str(tmp_path))
    assert found.left_out == (key,)
    assert found.values == {"text_config": {"hidden_size": 8}, "parts": [{"hidden_size": 8}]}


@pytest.mark.parametrize("change", [{"auto_map": {"AutoModel": "evil.Model"}}, {"_attn_implementation": "a/kernel"}])
def test_a_configuration_fetches_and_runs_nothing(tmp_path: Path, change: dict[str, Any]) -> None:
    pytest.importorskip("transformers")
    (tmp_path / "evil.py").write_text("raise SystemExit('foreign code ran')\n")
    plain = memprof.analyze(saved(tmp_path, LLAMA))
    assert memprof.analyze(saved(tmp_path, LLAMA | change)).peak_intermediate_bytes == plain.peak_intermediate_bytes
    assert [note.name for note in plain.assumed] == ["batch=1", "sequence=128"]


def test_an_unknown_type_is_told_and_no_code_is_asked_for(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    with pytest.raises(InputError, match="no model of type 'llamma'") as caught:
        memprof.analyze(saved(tmp_path, LLAMA | {"model_type": "llamma", "auto_map": {"AutoModel": "x.Y"}}))
    assert "llama" in caught.value.hint
    with pytest.raises(InputError, match="No module can be made of"):
        memprof.analyze(saved(tmp_path, LLAMA | {"hidden_size": "wide"}))


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("[1]", InputError, "holds no object"),
        ("{", InputError, "no JSON"),
        ("[" * 100_000, InputError, "no JSON"),
        ('{"a":' * 700 + "1" + "}" * 700, LimitError, "nested too deep"),
        ('{"a":' + "9" * 5000 + "}", InputError, "no JSON"),
        (json.dumps({"num_hidden_layers": 10**6}), LimitError, "num_hidden_layers is 1000000"),
        (json.dumps({"text_config": {"n_layer": 4000}}), LimitError, "text_config.n_layer"),
        (json.dumps({"vocab_size": 10**12}), LimitError, "beyond all models"),
        (" " * (9 * 2**20), LimitError, "more than 8,388,608 bytes"),
    ],
)
def test_a_hostile_configuration_is_one_clear_error(
    tmp_path: Path, text: str, error: type[Exception], words: str
) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(error, match=words):
        read_config(str(tmp_path))


def test_a_configuration_that_is_not_there() -> None:
    with pytest.raises(UsageError, match=r"no configuration .*nowhere"):
        read_config("nowhere")
