"""A model's configuration as transformers saves it: config.json, read as data. Needs no torch and no transformers.

A stranger's file: it is read whole up to a limit, its numbers are bounded before anything is made of them, and the
keys are left out that make a library fetch code, kernels or weights.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memprof.base.errors import InputError, LimitError, UsageError
from memprof.base.files import read_plain

CONFIG_NAME = "config.json"
_MAX_BYTES = 8 * 2**20
_MAX_NUMBER = 2**31
_MAX_REPEATS = 256
_MAX_DEPTH = 16
_REPEATS = re.compile(r"(?:^|_)(?:layers?|depths?|blocks)$")
_LEFT_OUT = frozenset(
    {
        "auto_map",
        "custom_pipelines",
        "quantization_config",
        "_name_or_path",
    }
)
_KERNELS = re.compile(r".*_implementation(?:_internal)?", re.DOTALL)
"""Names of kernels, which a library would fetch, and run the code that comes with them."""

_SWITCHED_OFF = frozenset({"use_pretrained_backbone"})


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration.

    Attributes:
        name: The file, as people call it.
        values: What it says, without what would fetch something.
        left_out: Keys that were left out, in order.
    """

    name: str
    values: Mapping[str, Any]
    left_out: tuple[str, ...] = ()


def read_config(text: str, kinds: tuple[str, ...] = ()) -> Config:
    """Return the configuration that ``text`` names: a file, a folder with one, or the type of a model.

    Args:
        text: Path or type.
        kinds: Types that stand for their usual sizes.

    Raises:
        UsageError: There is no such file or type.
        InputError: The file cannot be read.
        LimitError: It is too large, nested too deep, or holds a number beyond all models.
    """
    path = Path(text)
    if text in kinds and not path.exists():
        return Config(text, {"model_type": text})
    if path.is_dir():
        path /= CONFIG_NAME
    if not path.is_file():
        raise UsageError(
            f"There is no configuration {path}.",
            f"Name a folder with a {CONFIG_NAME}, or one; nothing is downloaded.",
        )
    return config_of(_read(path), str(path))


def config_of(found: Any, name: str) -> Config:
    """Return what was read as a configuration; errors as ``read_config``."""
    if not isinstance(found, dict):
        raise InputError(f"{name} is no configuration: it holds no object.", "It must be a model's config.json.")
    left_out = tuple(key for key in found if _is_left_out(key))
    numbers = list(_numbers(found, "", name, 0))  # before all else: it says how deep the file is
    values: dict[str, Any] = _kept(found)
    for key, number in numbers:
        if abs(number) > _MAX_NUMBER:
            raise LimitError(f"{name}: {key} is {number}, beyond all models.", "Check the file.")
        if number > _MAX_REPEATS and _REPEATS.search(key.rpartition(".")[2].lower()):
            raise LimitError(f"{name}: {key} is {number}; the limit is {_MAX_REPEATS:,}.", "Check the file.")
    return Config(name, values, left_out)


def _read(path: Path) -> Any:
    try:
        return json.loads(read_plain(path, _MAX_BYTES, "a configuration"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON that can be read.", "It must be a model's config.json.") from error


def _is_left_out(key: str) -> bool:
    return key in _LEFT_OUT or _KERNELS.fullmatch(key) is not None


def _kept(found: Any) -> Any:
    """Return ``found`` without the keys that fetch something, in objects inside it too."""
    if isinstance(found, list):
        return [_kept(value) for value in found]
    if not isinstance(found, dict):
        return found
    return {
        key: False if key in _SWITCHED_OFF else _kept(value) for key, value in found.items() if not _is_left_out(key)
    }


def _numbers(value: Any, key: str, name: str, depth: int) -> Iterator[tuple[str, float]]:
    if depth > _MAX_DEPTH:
        raise LimitError(f"{name} is nested too deep for a configuration.", "Check the file.")
    if isinstance(value, bool):
        return
    if isinstance(value, int):
        yield key, value
    elif isinstance(value, dict):
        for inner, item in value.items():
            yield from _numbers(item, f"{key}.{inner}" if key else inner, name, depth + 1)
    elif isinstance(value, list):
        for item in value:
            yield from _numbers(item, key, name, depth + 1)
