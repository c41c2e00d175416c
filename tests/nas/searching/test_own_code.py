"""Modules of one's own run only from a file that was named, and must be what their layers declare."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")

from memprof.base.errors import InputError, UsageError
from memprof.cli.nas.options import later_code_file
from memprof.nas.record.settings import Settings
from memprof.nas.record.space_file import read_space, with_space
from memprof.nas.searching.run import builders_of, trusted
from memprof.nas.space.architecture import Cell
from memprof.nas.train.modules import build_module
from tests.nas.searching.searches import SETTINGS

SPACE = """
[[layer]]
name = "wide"
operations = [{op = "conv", kernel = [3, 3], strided = true}, {op = "relu"}]
module = "layers.py:wide"
"""
GOOD = """
from torch import nn

def wide(channels, width, stride):
    convolution = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU())
"""
BAD = {
    "another kernel": (GOOD.replace("width, 3, stride, 1", "width, 5, stride, 2"), "not what its operations declare"),
    "more at once": (GOOD.replace("nn.ReLU()", "nn.Softplus(), nn.Upsample(scale_factor=1)"), "not what"),
    "no stride": (GOOD.replace("stride, 1", "1, 1"), "not what|does not work"),
    "raises": (GOOD.replace("convolution =", "1 / 0; convolution ="), "does not work with 8 filters and stride 1"),
    "no function": ("x = 1", "KeyError"),
    "no Python": ("def", "SyntaxError"),
    "ends the process": ("raise SystemExit", "SystemExit"),
    "ends it when called": (GOOD.replace("convolution =", "exit(); convolution ="), "does not work .* SystemExit"),
}


def search_in(folder: Path, code: str) -> tuple[Path, Settings]:
    path = folder / "space.toml"
    path.write_text(SPACE)
    (folder / "layers.py").write_text(code)
    return path, with_space(SETTINGS, read_space(path))


def test_code_that_is_what_it_declares_makes_the_modules(tmp_path: Path) -> None:
    path, settings = search_in(tmp_path, GOOD)
    assert trusted(path, settings) == path.resolve()
    layer = settings.own_layers[0]
    cell = Cell(input1=0, input2=0, layer1=layer, layer2=layer)
    network = settings.template.build([cell])
    made = build_module(network, builders_of(settings, path))
    assert made.state_dict().keys() > {"blocks.0.cells.1.layer1.0.weight", "blocks.0.cells.1.layer1.1.weight"}
    with pytest.raises(UsageError, match="not at hand"):
        build_module(network)


def test_without_the_file_nothing_runs_and_the_flag_is_named(tmp_path: Path) -> None:
    _, settings = search_in(tmp_path, "raise SystemExit")
    with pytest.raises(UsageError) as caught:
        trusted(None, settings)
    assert "--space FILE --trust" in caught.value.hint
    assert trusted(None, SETTINGS) is None
    assert trusted(tmp_path / "space.toml", SETTINGS) is None  # no layer of the search needs code


@pytest.mark.parametrize(("code", "said"), BAD.values(), ids=BAD.keys())
def test_code_that_is_something_else_is_refused(code: str, said: str, tmp_path: Path) -> None:
    path, settings = search_in(tmp_path, code)
    with pytest.raises(InputError, match=said):
        trusted(path, settings)


def test_a_file_that_declares_another_layer_is_refused(tmp_path: Path) -> None:
    path, settings = search_in(tmp_path, GOOD)
    path.write_text(SPACE.replace("[3, 3]", "[5, 5]"))
    with pytest.raises(InputError, match="in another way"):
        trusted(path, settings)
    other = replace(settings, layers=settings.layers[:3])
    assert trusted(path, other) is None


def test_a_file_that_is_not_trusted_is_said_not_to_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert later_code_file({"space": Path("space.toml"), "trust": False}) is None
    assert "space.toml is not read: the search keeps its space" in capsys.readouterr().err
    assert later_code_file({"space": Path("space.toml"), "trust": True}) == Path("space.toml")
    assert later_code_file({"space": None, "trust": False}) is None
    assert capsys.readouterr().err == ""
