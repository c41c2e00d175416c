"""Modules of layers of one's own, from functions in Python files that the user has named and trusts.

    [[layer]]                            in space.toml
    module = "layers.py:mbconv"          def mbconv(channels: int, width: int, stride: int) -> nn.Module

Files are looked for beside the space file alone: never in a search's folder, which may come from somebody else. What
a function makes is held against what the layer declares, by which budgets and files are counted.
"""

from __future__ import annotations

import runpy
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import torch

from memprof import analyze
from memprof.base.errors import InputError, MemprofError
from memprof.base.text import first_line, safe_text
from memprof.nas.space.architecture import Architecture, Block, Cell, Layer
from memprof.nas.space.footprint import as_trained
from memprof.nas.space.own_layers import OwnLayer
from memprof.nas.train.modules import Builder, Builders, build_module

_PROBES = tuple(product((8, 12), (1, 2)))
"""Width and stride at which a module is compared with its declaration."""


def load_builders(space_file: Path, layers: Sequence[OwnLayer]) -> Builders:
    """Run the files that ``layers`` name and return what makes their modules. Runs code.

    Args:
        space_file: The file that declares them.
        layers: Layers of one's own; those without a module are made from their operations.

    Raises:
        InputError: A file cannot be run, or has no such function.
    """
    found: dict[str, Builder] = {}
    for layer in layers:
        if layer.module:
            file, _, function = layer.module.rpartition(":")
            path = space_file.parent / file
            try:
                found[layer.name] = runpy.run_path(str(path))[function]
            except (Exception, SystemExit) as error:  # somebody's own code may fail in any way
                raise InputError(
                    f"The module of layer {layer.name}, {safe_text(layer.module)}, cannot be loaded: "
                    f"{type(error).__name__}: {safe_text(first_line(error))}.",
                    f"{safe_text(str(path))} has a function (channels, width, stride) -> torch.nn.Module.",
                ) from error
    return found


def check_builders(layers: Sequence[OwnLayer], builders: Builders) -> None:
    """Raise unless each module needs what its layer declares, in a network of two blocks: parameters and every step.

    Raises:
        InputError: It does not, or cannot be built.
    """
    for layer in layers:
        if layer.name not in builders:
            continue
        for width, stride in _PROBES:
            network = _probe(layer, width, stride)
            try:
                module = build_module(network, builders).eval()
                found = analyze(module, (torch.zeros(1, *network.input_shape),), runtimes=["reference"])
            except (Exception, SystemExit) as error:  # as above
                said = error.message if isinstance(error, MemprofError) else f"{first_line(error)}"
                raise InputError(
                    f"The module of layer {layer.name} does not work with {width} filters and stride {stride}: "
                    f"{type(error).__name__}: {safe_text(said)}.",
                    "It reads (n, channels, h, w) and writes (n, width, h / stride, w / stride).",
                ) from error
            declared = analyze(as_trained(network), runtimes=["reference"])
            own, said_bytes = found.headline, declared.headline
            if (found.parameter_bytes, own.timeline) != (declared.parameter_bytes, said_bytes.timeline):
                raise InputError(
                    f"The module of layer {layer.name} is not what its operations declare: with {width} filters and "
                    f"stride {stride} a probe has {found.parameter_bytes:,} B of parameters and a peak of "
                    f"{own.peak_intermediate_bytes:,} B, declared are {declared.parameter_bytes:,} B and "
                    f"{said_bytes.peak_intermediate_bytes:,} B.",
                    "Declare each of its operations in order; a batch norm follows every convolution.",
                )


def _probe(layer: OwnLayer, width: int, stride: int) -> Architecture:
    cells = (
        Cell(input1=0, input2=0, layer1=layer, layer2=Layer.CONV_3X3),
        Cell(input1=1, input2=0, layer1=layer, layer2=layer),
    )
    return Architecture(
        blocks=(Block(cells, 1, width), Block(cells, stride, width)),
        input_shape=(3, 9, 8),
        classes=2,
        stem_width=2 * width,
    )
