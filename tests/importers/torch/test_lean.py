"""A process that leaves libraries out of its imports gives the answer that it would give with them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

_SIZES = {"vocab_size": 96, "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4}
_CONFIGS: dict[str, dict[str, Any]] = {
    "llama": {"num_key_value_heads": 2, "num_hidden_layers": 3},
    "qwen2": {"num_key_value_heads": 2, "num_hidden_layers": 2},
    "mixtral": {"num_key_value_heads": 2, "num_hidden_layers": 2, "num_local_experts": 4},
    "gpt2": {"n_embd": 32, "n_head": 4, "n_layer": 5},
    "bert": {"num_hidden_layers": 2},
    "t5": {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4},
    "mistral": {"num_key_value_heads": 2, "num_hidden_layers": 2, "architectures": ["NoSuchModel"]},
    "xlm": {"emb_dim": 32, "n_layers": 2, "n_heads": 4},  # cannot run without data: exported
}
_ASK = """
import json, sys
import memprof
from memprof.importers.request import Request

found = {}
for path in sys.argv[2:]:
    request = Request(source=path, dims={"sequence": 24}, ends_process=sys.argv[1] == "lean")
    report = memprof.analyze(request)
    row = report.headline
    found[path] = [row.peak_intermediate_bytes, row.grade, report.model.structure_sha256, row.categories]
    if path == sys.argv[2]:
        loaded = [name in sys.modules for name in ("torch._dynamo.utils", "transformers.models.bert")]
print(json.dumps([found, sys.modules.get("torchvision") is None, loaded]))
"""


def test_a_picture_model_keeps_what_reads_pictures() -> None:
    from memprof.importers.torch.lean import _reads_text_alone

    assert _reads_text_alone({"model_type": "llama", "vocab_size": 1})
    assert not _reads_text_alone({"model_type": "llava", "vocab_size": 1, "vision_config": {}})
    assert not _reads_text_alone({"model_type": "vit", "image_size": 224})


def test_what_is_left_out_is_not_missed_by_a_picture_of_the_report() -> None:
    pytest.importorskip("matplotlib")
    drawing = (
        "from memprof.importers.torch.lean import leave_out; leave_out({'vocab_size': 1}); import memprof.plots."
    )
    done = subprocess.run([sys.executable, "-c", drawing + "lifetimes, matplotlib.figure"], check=False)
    assert done.returncode == 0


@pytest.mark.slow
def test_the_answers_are_those_with_all_libraries(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    for kind, sizes in _CONFIGS.items():
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "config.json").write_text(json.dumps({"model_type": kind, **_SIZES, **sizes}))
    answers = {how: _answers(how, tmp_path) for how in ("lean", "whole")}
    assert answers["lean"][0] == answers["whole"][0]
    assert answers["lean"][1], "torchvision stays out"
    assert answers["lean"][2] == [False, False], "neither a compiler nor other models are read for the first"


def _answers(how: str, folder: Path) -> Any:
    paths = [str(folder / kind) for kind in _CONFIGS if kind != "xlm"] + [f"transformers:{folder / 'xlm'}"]
    done = subprocess.run(
        [sys.executable, "-c", _ASK, how, *paths], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
