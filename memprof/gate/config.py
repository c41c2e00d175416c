"""What a project watches: ``[check]`` of memprof.toml, or ``[tool.memprof.check]`` of pyproject.toml.

    [check]
    baseline = "memprof-baseline.json"       # where --update-baseline writes, and growth is measured from
    max-growth = "1%"                        # any key of a model, for all models that do not say otherwise

    [[check.models]]
    source = "models/*.onnx"                 # a file, a glob, or a module: "package.module:factory"
    max-peak = "512KiB"

Paths are relative to the file. Every key and every type is checked: a budget that is misspelt would never fail.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any

from memprof.base.errors import InputError, UsageError
from memprof.base.files import read_plain
from memprof.base.text import safe_text
from memprof.base.units import parse_bytes, parse_percent, parse_shape
from memprof.importers.request import DEVICES, Request, names_module
from memprof.importers.torch.training import OPTIMIZER_NAMES, Training
from memprof.results.budgets import Budgets

CONFIG_NAMES = ("memprof.toml", "pyproject.toml")
DEFAULT_BASELINE = "memprof-baseline.json"
DEFAULT_MARGIN_BYTES = 16 * 2**10
MAX_CONFIG_BYTES = 2**20
_MOST = 2**63 - 1
_GLOB = frozenset("*?[")
_FAMILIES = ("torchvision:", "timm:", "transformers:")


@dataclass(frozen=True, slots=True)
class Growth:
    """How much a number may grow over its baseline.

    Attributes:
        part: As a part of it.
        size_bytes: And as bytes on top.
    """

    part: Fraction = Fraction(0)
    size_bytes: int = 0

    def limit(self, baseline_bytes: int) -> int:
        """Return the most that a number may be that was ``baseline_bytes``, rounded down."""
        return int(baseline_bytes * (1 + self.part)) + self.size_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One model that is watched.

    Attributes:
        name: What the project calls it.
        request: The model.
        runtime: Runtime model whose peak is judged; the headline if ``None``.
        budgets: Limits in bytes.
        growth: How much it may grow over the baseline; ``None`` if that is not watched.
        board: A board that it must fit, by name or ``FILE.toml:NAME``; ``None`` if none is asked for.
        margin_bytes: RAM that the rest of the program takes there.
        is_informational: Whether it decides nothing.
    """

    name: str
    request: Request
    runtime: str | None = None
    budgets: Budgets = field(default_factory=Budgets)
    growth: Growth | None = None
    board: str | None = None
    margin_bytes: int = DEFAULT_MARGIN_BYTES
    is_informational: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All that a project watches.

    Attributes:
        path: The file that says so.
        baseline: Where its baseline is saved.
        models: What is watched, in the order of the file; those of a glob by name.
    """

    path: Path
    baseline: Path
    models: tuple[Watched, ...]


def find_config(folder: Path) -> Path | None:
    """Return the file in ``folder`` that says what is watched, ``None`` if there is none."""
    for name in CONFIG_NAMES:
        path = folder / name
        if path.is_file() and (name != "pyproject.toml" or "memprof" in _load(path).get("tool", {})):
            return path
    return None


def read_config(path: Path) -> Config:
    """Return what ``path`` says.

    Raises:
        InputError: The file is missing, unreadable or no TOML.
        UsageError: A key is not known, a value does not fit, or a glob finds no file.
    """
    document = _load(path)
    if path.name == "pyproject.toml":
        document = _table(_table(document, "tool", str(path)), "memprof", f"{path}: [tool]")
    table = _table(document, "check", str(path))
    where = f"{path}: [check]"
    models = table.get("models")
    if not isinstance(models, list) or not models or not all(isinstance(model, dict) for model in models):
        raise UsageError(f"{where} names no models.", "Add [[check.models]] with source = 'model.onnx'.")
    shared = {key: value for key, value in table.items() if key not in _FILE_KEYS}
    _check_keys(shared, where, (*_FILE_KEYS, *_SHARED))
    baseline = _text(table.get("baseline", DEFAULT_BASELINE), f"{where} baseline")
    if not Path(os.path.realpath(path.parent / baseline)).is_relative_to(os.path.realpath(path.parent)):
        raise UsageError(
            f"{where}: the baseline {baseline!r} lies outside of {path.parent}.", "Keep it beside the file."
        )
    found: dict[str, Watched] = {}
    for i, model in enumerate(models):
        here = f"{path}: model {i + 1} of [[check.models]]"
        _check_keys(model, here, tuple(_KEYS))
        for watched in _watch(shared | model, here, path.parent):
            if watched.name in found:
                raise UsageError(f"{here}: {watched.name!r} is named twice.", 'Give each its own: name = "..."')
            found[watched.name] = watched
    return Config(path=path, baseline=path.parent / baseline, models=tuple(found.values()))


def code_of(config: Config) -> str:
    """Return the first source that is Python code of somebody's own, empty if there is none.

    Modules of torchvision, timm and transformers are installed packages' code, and only their networks are made.
    """
    sources = [watched.request.source for watched in config.models]
    return next((of for of in sources if names_module(of) and not of.startswith(_FAMILIES)), "")


def parse_growth(text: object, where: str) -> Growth:
    """Return what ``1%`` or ``64KiB`` allows.

    Raises:
        UsageError: It is neither.

    >>> parse_growth("0.5%", ""), parse_growth("64KiB", "")
    (Growth(part=Fraction(1, 200), size_bytes=0), Growth(part=Fraction(0, 1), size_bytes=65536))
    """
    words = _text(text, where).strip()
    if not words.endswith("%"):
        return Growth(size_bytes=_bytes(words, where))
    part = parse_percent(words)
    if part is None:
        raise UsageError(f"{where}: {safe_text(words)!r} is no percentage.", 'Write "1%", or bytes: "64KiB".')
    return Growth(part=part)


def _watch(model: Mapping[str, Any], where: str, folder: Path) -> Iterator[Watched]:
    if "source" not in model:
        raise UsageError(f"{where} has no source.", 'Add source = "model.onnx".')
    values = {key: _KEYS[key](value, f"{where} {key}") for key, value in model.items()}
    limits = Budgets(**{name: values.get(f"max-{name}") for name in ("peak", "params", "weights", "total")})
    growth = values.get("max-growth")
    informs = bool(values.get("informational"))
    if growth is None and not informs and limits == Budgets() and "board" not in values:
        keys = "max-peak, max-params, max-weights, max-total, max-growth, board or informational"
        raise UsageError(f"{where} has no budget.", f"Add {keys}.")
    optimizer = values.get("optimizer")
    sources = _sources(values["source"], where, folder)
    if "name" in values and len(sources) > 1:
        raise UsageError(f"{where}: one name cannot stand for {len(sources)} files.", "Leave name out.")
    for name, source in sources.items():
        yield Watched(
            name=values.get("name", name),
            request=Request(
                source=source,
                dims=values.get("dims", {}),
                inputs=values.get("inputs", {}),
                training=Training(optimizer) if optimizer or values.get("training") else None,
                device=values.get("device", "cpu"),
                optimized=bool(values.get("optimized")),
            ),
            runtime=values.get("runtime"),
            budgets=limits,
            growth=growth,
            board=values.get("board"),
            margin_bytes=values.get("margin", DEFAULT_MARGIN_BYTES),
            is_informational=informs,
        )


def _sources(pattern: str, where: str, folder: Path) -> dict[str, str]:
    """Return the sources of a pattern by name: a module, a file, or all files that it finds."""
    if names_module(pattern):
        return {pattern: pattern}
    if not _GLOB & set(pattern):
        return {pattern: str(folder / pattern)}
    if Path(pattern).is_absolute():
        raise UsageError(f"{where}: the glob {pattern!r} is not relative to {folder}.", "Leave the folder out.")
    found = sorted(path for path in folder.glob(pattern) if path.is_file())
    if not found:
        raise UsageError(
            f"{where}: {pattern!r} finds no file in {folder}.", "A budget without a model checks nothing."
        )
    return {path.relative_to(folder).as_posix(): str(path) for path in found}


def _load(path: Path) -> dict[str, Any]:
    content = read_plain(path, MAX_CONFIG_BYTES, "what you meant")
    try:
        return tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no TOML: {error}.", "Mend it there.") from error


def _table(document: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
    table = document.get(key)
    if not isinstance(table, dict):
        raise UsageError(f"{where} has no table {key!r}.", "Add [check] to memprof.toml, or [tool.memprof.check].")
    return table


def _check_keys(table: Mapping[str, Any], where: str, known: tuple[str, ...]) -> None:
    for key in table:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"Did you mean {close[0]}?" if close else f"It may have: {', '.join(known)}."
            raise UsageError(f"{where} has the unknown key {key!r}.", hint)


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise UsageError(f"{where} is no text.", 'Write it in quotes: "...".')
    if "\0" in value:  # no name of a file, a runtime or a board holds it, and the system refuses it
        raise UsageError(f"{where} holds a zero byte.", "Leave it out.")
    return value


def _flag(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"{where} is neither true nor false.", "Write true or false, without quotes.")
    return value


def _bytes(value: object, where: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        size = value
    else:
        try:
            size = parse_bytes(_text(value, where))
        except UsageError as error:
            raise UsageError(f"{where}: {error.message}", error.hint) from error
    if size > _MOST:
        raise UsageError(f"{where} is more than {_MOST:,} bytes.", "No machine has so many.")
    return size


def _dims(value: object, where: str) -> dict[str, int]:
    found = value if isinstance(value, dict) else None
    if found is None or not all(isinstance(size, int) and not isinstance(size, bool) for size in found.values()):
        raise UsageError(f"{where} is no table of sizes.", "Write dims = { batch = 1 }.")
    return found


def _inputs(value: object, where: str) -> dict[str, tuple[int, ...]]:
    table = {"": value} if isinstance(value, str) else value
    if not isinstance(table, dict):
        raise UsageError(f"{where} is no table of shapes.", 'Write inputs = { x = "1x3x224x224" }.')
    found = {name: parse_shape(shape) if isinstance(shape, str) else None for name, shape in table.items()}
    for name, shape in found.items():
        if shape is None:
            raise UsageError(f"{where} {name} is no shape.", 'Write inputs = { x = "1x3x224x224" }.')
    return {name: shape for name, shape in found.items() if shape is not None}


def _one_of(known: tuple[str, ...]) -> Callable[[object, str], str]:
    def read(value: object, where: str) -> str:
        if value not in known:
            raise UsageError(f"{where} is none of {', '.join(known)}.")
        return str(value)

    return read


_KEYS: Mapping[str, Callable[[Any, str], Any]] = MappingProxyType(
    {
        "source": _text,
        "name": _text,
        "runtime": _text,
        "dims": _dims,
        "inputs": _inputs,
        "training": _flag,
        "optimizer": _one_of(OPTIMIZER_NAMES),
        "device": _one_of(DEVICES),
        "optimized": _flag,
        "max-peak": _bytes,
        "max-params": _bytes,
        "max-weights": _bytes,
        "max-total": _bytes,
        "max-growth": parse_growth,
        "board": _text,
        "margin": _bytes,
        "informational": _flag,
    }
)
"""From a key of a model to what reads its value."""

_FILE_KEYS = ("baseline", "models")
_SHARED = tuple(key for key in _KEYS if key not in ("source", "name"))
