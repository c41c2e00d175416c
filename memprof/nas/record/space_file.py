"""A space of one's own in one TOML file: blocks, layers, and layers that nobody else has.

    strides = [1, 2, 1]                       blocks, and the stride of each
    widths = [8, 16, 16]                      their filters
    layers = ["conv_3x3", "mbconv_3x3"]       what a new cell is made of; all, and one's own, if left out
    combines = ["sum"]                        how a cell joins its two layers

    [[layer]]                                 a layer of one's own, as ``memprof.nas.space.own_layers`` says
    name = "mbconv_3x3"
    operations = [{op = "conv", times = 4, of = "input"}, {op = "relu"}, ...]
    module = "layers.py:mbconv"               a function beside the file; its code runs with --trust alone

The file is data. What it declares goes into the journal, and a resume reads it there.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from memprof.base.errors import InputError, UsageError
from memprof.base.files import read_plain
from memprof.base.text import first_line, safe_text
from memprof.nas.given.values import read_value
from memprof.nas.record.settings import Settings
from memprof.nas.space.architecture import GROWN_LAYERS, AnyLayer, Combine, check_own_layers
from memprof.nas.space.own_layers import OwnLayer

_MOST_BYTES = 1 << 20
_KEYS = ("strides", "widths", "layers", "combines", "layer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """What a space file says; ``None`` where it is silent.

    Attributes:
        strides: Stride of each block.
        widths: Filters of each block.
        layers: Layers a new cell may have, one's own among them.
        combines: Combiners it may have.
        own: Layers of one's own, in the order of their places in the code.
    """

    strides: tuple[int, ...] | None
    widths: tuple[int, ...] | None
    layers: tuple[AnyLayer, ...]
    combines: tuple[Combine, ...] | None
    own: tuple[OwnLayer, ...]


def read_space(path: Path) -> Space:
    """Read a space file; nothing of it is run.

    Args:
        path: The file, in TOML.

    Raises:
        InputError: There is no such file, or it is no space.
    """
    content = read_plain(path, _MOST_BYTES, "a space")
    try:
        return _space(tomllib.loads(content.decode()))
    except (ValueError, RecursionError) as error:  # TOML's own error is a ValueError
        raise InputError(
            f"The space in {safe_text(str(path))} cannot be read: {safe_text(first_line(error))}.",
            "docs/own-layers.md shows one.",
        ) from error
    except UsageError as error:
        raise InputError(f"{safe_text(str(path))}: {error.message}", error.hint) from error


def with_space(settings: Settings, space: Space) -> Settings:
    """Return settings of a search in ``space``.

    Args:
        settings: What the search would do without it.
        space: Blocks, layers and combiners; where it is silent, those of the settings stay.

    Raises:
        UsageError: What it says does not go together with the rest.
    """
    template = settings.template
    strides = space.strides or template.strides
    widths = space.widths or (
        template.widths if len(strides) == len(template.widths) else (max(template.widths),) * len(strides)
    )
    try:
        template = replace(
            template,
            strides=strides,
            widths=widths,
            stem_width=widths[0] if space.strides or space.widths else template.stem_width,
        )
    except ValueError as error:
        raise UsageError(f"There are no such blocks: {error}.") from error
    return replace(settings, template=template, layers=space.layers, combines=space.combines or settings.combines)


def _space(data: Mapping[str, Any]) -> Space:
    if strange := [key for key in data if key not in _KEYS]:
        raise ValueError(f"there is no {strange[0]!r}; it may have {', '.join(_KEYS)}")
    declared = data.get("layer", [])
    if not isinstance(declared, list):
        raise ValueError("layers are declared as [[layer]]")
    own = tuple(_own_layer(each, place) for place, each in enumerate(declared))
    check_own_layers(own)
    names = data.get("layers")
    return Space(
        strides=_numbers(data, "strides"),
        widths=_numbers(data, "widths"),
        layers=(*GROWN_LAYERS, *own) if names is None else pick_layers(read_value(tuple[str, ...], names), own),
        combines=None if "combines" not in data else read_value(tuple[Combine, ...], data["combines"]),
        own=own,
    )


def _own_layer(data: object, place: int) -> OwnLayer:
    if isinstance(data, Mapping) and "position" in data:
        raise ValueError("a layer's place is that in the file")
    return replace(OwnLayer.from_json(data), position=place)


def _numbers(data: Mapping[str, Any], name: str) -> tuple[int, ...] | None:
    return read_value(tuple[int, ...], data[name]) if name in data else None


def pick_layers(names: Sequence[str], own: Sequence[OwnLayer] = ()) -> tuple[AnyLayer, ...]:
    """Return layers by their names.

    Args:
        names: Of the paper's layers, and of those in ``own``.
        own: Layers of one's own.

    Raises:
        UsageError: There is no such layer.
    """
    by_name: dict[str, AnyLayer] = {layer.name.lower(): layer for layer in GROWN_LAYERS}
    by_name |= {layer.name: layer for layer in own}
    for name in names:
        if name not in by_name:
            raise UsageError(f"There is no layer {safe_text(name)!r}.", f"Choose of {', '.join(by_name)}.")
    return tuple(by_name[name] for name in names)
