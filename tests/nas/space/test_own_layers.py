"""Layers of one's own are counted, coded, told apart and kept like the paper's."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from memprof import analyze
from memprof.base.errors import InputError, UsageError
from memprof.nas.given.values import read_record
from memprof.nas.record.settings import Settings
from memprof.nas.record.space_file import read_space
from memprof.nas.space.architecture import GROWN_LAYERS, Architecture, Cell, Layer, Template
from memprof.nas.space.budget import Budget
from memprof.nas.space.encoding import code_length, encode_block
from memprof.nas.space.footprint import as_trained, deployed
from memprof.nas.space.generator import generate, grow, trim
from memprof.nas.space.isomorphism import canonical, network_key
from memprof.nas.space.own_layers import OwnLayer
from memprof.nas.space.screening import screen
from tests.nas.networks import SMALL, random_template

EXPAND = OwnLayer.from_json(
    {
        "name": "expand",
        "operations": [
            {"op": "conv", "times": 3, "of": "input"},
            {"op": "hard_swish"},
            {"op": "depthwise", "kernel": [3, 5], "strided": True, "dilation": 2},
            {"op": "leaky_relu"},
            {"op": "conv"},
            {"op": "elu"},
        ],
    }
)
POOLED = OwnLayer.from_json(
    {
        "name": "pooled",
        "position": 1,
        "operations": [
            {"op": "sigmoid"},
            {"op": "max_pool", "kernel": [5, 3], "strided": True},
            {"op": "conv", "groups": 4, "kernel": [3, 1], "times": 2},
            {"op": "hard_sigmoid"},
            {"op": "avg_pool", "kernel": [3, 3]},
            {"op": "conv"},
            {"op": "tanh"},
        ],
    }
)
LAYERS = (EXPAND, POOLED, Layer.CONV_3X3, Layer.AVG_POOL_3X3)


def networks(count: int) -> list[Architecture]:
    """Return random networks of up to three cells with own layers in them, trimmed ones among them."""
    found = []
    for seed in range(count):
        rng = random.Random(seed)
        network = (SMALL if seed % 3 else divisible(random_template(rng))).build([])
        for _ in range(1 + seed % 3):
            network = rng.choice(list(grow(network, layers=LAYERS)))
            network = rng.choice([network, *trim(network)])
        found.append(network)
    return found


def divisible(template: Template) -> Template:
    widths = tuple(max(4, width) for width in template.widths)
    return replace(template, widths=widths, stem_width=max(4, template.stem_width))


def test_the_short_way_to_a_footprint_equals_the_graph() -> None:
    for network in networks(60):
        graph = deployed(network)
        found = screen(network)
        assert found.parameter_bytes == graph.parameter_bytes
        assert found.peak_intermediate_bytes == analyze(graph, runtimes=["reference"]).peak_intermediate_bytes


def test_both_footprints_equal_what_the_exporters_write(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from memprof.nas.searching.export import export_onnx
    from memprof.nas.train.modules import build_module
    from tests.nas.space.test_footprint import with_statistics

    cells = (
        Cell(input1=0, input2=0, layer1=EXPAND, layer2=POOLED),
        Cell(input1=1, input2=0, layer1=POOLED, layer2=EXPAND),
    )
    network = replace(SMALL, strides=(2,), widths=(8,)).build(cells)
    module = build_module(network).eval()
    exported = export_onnx(network, with_statistics(module, 0), tmp_path / "own.onnx")
    names = ["reference", "ideal", "paper", "onnxruntime"]
    file, graph = (analyze(model, runtimes=names) for model in (exported.path, deployed(network)))
    traced = analyze(module, (torch.zeros(1, *network.input_shape),), runtimes=names[:3])
    trained = analyze(as_trained(network), runtimes=names[:3])
    assert (file.parameter_bytes, traced.parameter_bytes) == (graph.parameter_bytes, trained.parameter_bytes)
    for name in names:
        assert file.runtimes[name].timeline == graph.runtimes[name].timeline, name
    for name in names[:3]:
        assert traced.runtimes[name].timeline == trained.runtimes[name].timeline, name


def test_a_network_with_own_layers_is_read_back_and_has_one_canonical_form() -> None:
    for network in networks(30):
        assert Architecture.from_json(json.loads(json.dumps(network.to_json()))) == network
        assert network_key(canonical(network)) == network_key(network)
        assert canonical(canonical(network)) == canonical(network)
    assert "own_layers" not in SMALL.build([]).to_json()


def test_codes_have_a_bit_for_each_own_layer_in_front() -> None:
    assert (EXPAND.value, POOLED.value) == ("1" + 7 * "0", "1" + 8 * "0")
    cell = Cell(input1=0, input2=0, layer1=EXPAND, layer2=Layer.CONV_3X3)
    code = encode_block(SMALL.build([cell]).blocks[0], 1, 9)
    assert code == "01" + "01" + "010000000" + "000000001" + "100"
    assert len(code) == code_length(1, 9)


def test_growth_takes_own_layers_as_any_other() -> None:
    count = len(LAYERS) * (len(LAYERS) + 1)  # unordered pairs, twice for the combiners
    assert len(list(generate(SMALL.build([]), layers=LAYERS))) == count
    assert len(list(generate(SMALL.build([]), layers=(*GROWN_LAYERS, EXPAND)))) == 8 * 9


def test_a_search_keeps_its_own_layers_in_its_journal() -> None:
    pytest.importorskip("torch")
    from tests.nas.searching.searches import SETTINGS

    settings = replace(SETTINGS, layers=LAYERS)
    assert read_record(Settings, json.loads(json.dumps(settings.to_json()))) == settings
    assert settings.layer_bits == 9
    for layers, said in (((EXPAND, EXPAND), "named once"), ((EXPAND, replaced(POOLED, 0)), "one place")):
        with pytest.raises(UsageError, match=said):
            replace(SETTINGS, layers=layers)
    with pytest.raises(UsageError, match="What hard_swish becomes"):
        replace(SETTINGS, layers=LAYERS, budget=Budget(runtime="tflm", dtype="int8"))
    with pytest.raises(UsageError, match="4 groups"):
        replace(SETTINGS, layers=LAYERS, template=replace(SMALL, stem_width=6))


def replaced(layer: OwnLayer, position: int) -> OwnLayer:
    return OwnLayer.from_json(layer.to_json() | {"position": position})


CONV = {"op": "conv", "strided": True}
SPOILT: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "no stride": ({"operations": [{"op": "conv"}]}, "exactly one operation takes the stride"),
    "two strides": ({"operations": [CONV, CONV]}, "exactly one"),
    "another width": ({"operations": [CONV | {"times": 2}]}, "block's width"),
    "the input's width": ({"operations": [CONV | {"of": "input"}]}, "block's width"),
    "no convolution": ({"operations": [{"op": "max_pool", "strided": True}]}, "block's width"),
    "even kernel": ({"operations": [CONV | {"kernel": [2, 3]}]}, "odd"),
    "huge kernel": ({"operations": [CONV | {"kernel": [3, 10**9 + 1]}]}, "odd"),
    "kernel of a number": ({"operations": [CONV | {"kernel": 3}]}, "a list"),
    "many channels": ({"operations": [CONV | {"times": 10**6}, {"op": "conv"}]}, "times"),
    "true for a number": ({"operations": [CONV | {"times": True}]}, "times"),
    "unknown operation": ({"operations": [CONV, {"op": "attention"}]}, "no operation"),
    "unknown field": ({"operations": [CONV | {"bias": True}]}, "no 'bias'"),
    "field of another": ({"operations": [CONV, {"op": "relu", "kernel": [3, 3]}]}, "relu has no kernel"),
    "no operations": ({}, "operations"),
    "many operations": ({"operations": [CONV] * 1000}, "at most"),
    "a name with a path": ({"name": "../x", "operations": [CONV]}, "small letters"),
    "a module that is no file": ({"operations": [CONV], "module": "os:system"}, "FILE.py:FUNCTION"),
}


@pytest.mark.parametrize(("data", "said"), SPOILT.values(), ids=SPOILT.keys())
def test_what_is_no_layer_is_refused_with_the_reason(data: Mapping[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        OwnLayer.from_json({"name": "x", **data})


FILES: Mapping[str, tuple[str, str]] = {
    "no TOML": ("strides = ", "cannot be read"),
    "an unknown key": ("stride = [1]", "no 'stride'"),
    "strides of words": ('strides = ["a"]', "whole number"),
    "an unknown layer": ('layers = ["conv_9x9"]', "no layer 'conv_9x9'"),
    "a taken name": ('[[layer]]\nname = "conv_3x3"\noperations = [{op = "conv", strided = true}]', "taken"),
    "layer as a table": ("[layer]\nname = 'x'", "declared as"),
    "an unknown combiner": ('combines = ["product"]', "none of sum, concat"),
}


@pytest.mark.parametrize(("text", "said"), FILES.values(), ids=FILES.keys())
def test_a_spoilt_space_file_is_one_error(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "space.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        read_space(path)
    with pytest.raises(InputError, match=r"gone\.toml"):
        read_space(tmp_path / "gone.toml")


STRANGE: tuple[Any, ...] = (
    *(None, True, -1, 0, 10**30, 1.5, "", "x" * 5000, "\x1b[2J"),
    *([], [[1]], {}, {"op": "conv"}, [{}]),
)


def test_a_layer_spoilt_anywhere_is_read_or_refused_and_nothing_else() -> None:
    whole = SMALL.build([Cell(input1=0, input2=0, layer1=EXPAND, layer2=POOLED)]).to_json()
    text, read = json.dumps(whole), 0
    for seed in range(1500):
        rng = random.Random(seed)
        spoilt = json.loads(text)
        place: Any = rng.choice(spoilt["own_layers"])
        while True:
            keys = list(place) if isinstance(place, dict) else range(len(place))
            key = rng.choice(keys) if keys else None
            if key is None or not isinstance(place[key], dict | list) or rng.random() < 0.3:
                break
            place = place[key]
        if key is not None:
            place[key] = rng.choice(STRANGE)
        try:
            found = Architecture.from_json(spoilt)
        except ValueError:
            continue
        read += 1
        assert Architecture.from_json(found.to_json()) == found
    assert read < 300
