"""Families of modules by name: timm and transformers. No weights are made, nothing is downloaded or unpickled.

    timm:NAME             timm.create_model(NAME, pretrained=False) on an image of the model's own size
    transformers:PATH     the class that a config.json names, made from that file; PATH is the file, a folder with
                             one, or the type of a model with its usual sizes (``bert``); see ``configs``

    input of a transformers model                               shape
    input_ids, decoder_input_ids                                batch x sequence, whole numbers
    pixel_values                                                batch x the configuration's image; none where
                                                                tokens of the text stand for it
    input_values                                                batch x a second of sound
    input_features                                              batch x the configuration's mel bands and frames

``attention_mask`` is left out: one of ones, as of text without padding, changes nothing in a run.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import logging
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import torch

from memprof.base.errors import InputError, MemprofError, MissingExtraError, UsageError
from memprof.base.text import first_line
from memprof.importers.torch.calls import Call
from memprof.importers.torch.causes import quiet
from memprof.importers.torch.configs import Config, read_config
from memprof.importers.torch.lean import take_in
from memprof.ir import Assumption

_USUAL: Mapping[str, int] = MappingProxyType({"batch": 1, "sequence": 128, "frames": 16})
_PICTURE = "pixel_values"
_SAMPLES = 16_000
_TIMM_NAME = re.compile(r"[A-Za-z_][\w.]*")


class Made(NamedTuple):
    """A module of a family, and how to call it.

    Attributes:
        module: The module.
        call: Its arguments, on ``meta``.
        assumed: Sizes that nobody said.
    """

    module: torch.nn.Module
    call: Call
    assumed: tuple[Assumption, ...]


def family_module(family: str, name: str, device: str, sizes: Mapping[str, int]) -> Made:
    """Return the module that ``family`` knows by ``name``, and a call of it.

    Args:
        family: ``timm`` or ``transformers``.
        name: What follows the colon.
        device: Where to make it: ``meta`` or ``cpu``.
        sizes: Sizes of the dimensions it names: ``batch``, and ``sequence`` where it reads text.

    Raises:
        UsageError: There is no such model or dimension.
        InputError: The configuration is invalid, or the library cannot make a module of it.
        MissingExtraError: The library is not installed.
    """
    return _FAMILIES[family](name, device, sizes)


def config_module(config: Config, device: str, sizes: Mapping[str, int]) -> Made:
    """Return the module that transformers makes of a configuration, and a call of it; see ``family_module``."""
    try:
        found = _of_config(config, device, sizes)
    except InputError:
        if not take_in():
            raise
        found = _of_config(config, device, sizes)  # with the whole library
    if "quantization_config" not in config.left_out:
        return found
    note = Assumption(
        kind="dtype",
        name="quantization_config",
        reason="the module was made in its configuration's dtype; quantised layers compute otherwise",
        hint="",
    )
    return found._replace(assumed=(*found.assumed, note))


def _of_config(config: Config, device: str, sizes: Mapping[str, int]) -> Made:
    library = _library("transformers")
    values = config.values
    kind = str(values.get("model_type", ""))
    if not kind:
        raise InputError(
            f"{config.name} says no model_type.",
            "It must be the config.json of a model of transformers: with its type.",
        )
    if kind not in library.CONFIG_MAPPING:
        close = difflib.get_close_matches(kind, list(library.CONFIG_MAPPING), n=3)
        hint = f"Did you mean {', '.join(close)}?" if close else "Code of a model's own folder is never run."
        raise InputError(f"{config.name}: transformers has no model of type {kind!r}.", hint)

    def make() -> torch.nn.Module:
        made = library.CONFIG_MAPPING[kind].from_dict(dict(values))
        wanted = next((name for name in values.get("architectures") or () if isinstance(name, str)), "")
        own = sys.modules[type(made).__module__.rpartition(".")[0]]  # the model's own, which are quicker to ask
        found = getattr(own, wanted, None) or getattr(library, wanted, None)
        if isinstance(found, type) and issubclass(found, library.PreTrainedModel):
            return found._from_config(made)  # type: ignore[attr-defined, no-any-return] # transformers is not typed
        return library.AutoModel.from_config(made, trust_remote_code=False)  # type: ignore[no-any-return]

    return _called(_make(config.name, make, device), sizes)


def _timm(name: str, device: str, sizes: Mapping[str, int]) -> Made:
    library = _library("timm")
    if not _TIMM_NAME.fullmatch(name) or not library.is_model(name.partition(".")[0]):
        close = difflib.get_close_matches(name, library.list_models(), n=3)
        hint = f"Did you mean {', '.join(close)}?" if close else "timm.list_models() names them."
        raise UsageError(f"timm has no model {name!r}.", hint)
    module = _make(name, lambda: library.create_model(name, pretrained=False), device)
    found, assumed = settled(sizes, ("batch",))
    size = tuple(getattr(module, "default_cfg", {}).get("input_size") or (3, 224, 224))
    return Made(module, Call((torch.empty((found["batch"], *size), device="meta"),)), assumed)


def _transformers(name: str, device: str, sizes: Mapping[str, int]) -> Made:
    library = _library("transformers")
    return config_module(read_config(name, tuple(library.CONFIG_MAPPING)), device, sizes)


_FAMILIES: Mapping[str, Callable[[str, str, Mapping[str, int]], Made]] = MappingProxyType(
    {"timm": _timm, "transformers": _transformers}
)


def _called(module: Any, sizes: Mapping[str, int]) -> Made:
    """Return ``module`` with the inputs that its configuration asks for."""
    import inspect

    config, takes = module.config, inspect.signature(module.forward).parameters
    main = str(getattr(module, "main_input_name", "input_ids"))
    names = [main, *(other for other in ("input_ids", _PICTURE) if other in takes and other != main)]
    if main == "input_ids" and getattr(config, "text_config", None) is None:
        names = [main]  # a picture is wanted beside the text only by models of both
    alone = _without_pictures(config, names)
    names = [name for name in names if not alone or name != _PICTURE]
    if getattr(config, "is_encoder_decoder", False) and "decoder_input_ids" in takes:
        names.append("decoder_input_ids")
    reads_text = any(name.endswith("input_ids") for name in names)
    found, assumed = settled(sizes, ("batch", "sequence") if reads_text else ("batch",), _longest(config))
    made = {name: _input(name, config, found) for name in dict.fromkeys(names) if name in takes}
    given = {name: value for name, value in made.items() if value is not None}
    return Made(module, Call((), given), (*assumed, *alone))


def _without_pictures(config: Any, names: Collection[str]) -> tuple[Assumption, ...]:
    """Return a note where text alone is given, since tokens of it stand for pictures: as many as a processor says."""
    marks = (getattr(config, name, None) for name in ("image_token_id", "image_token_index"))
    if _PICTURE not in names or "input_ids" not in names or not any(isinstance(mark, int) for mark in marks):
        return ()
    reason = "a processor decides how many tokens a picture takes, so the model was given text alone"
    return (Assumption(kind="input", name=f"no {_PICTURE}", reason=reason, hint="a factory: file.py:function"),)


def _input(name: str, config: Any, sizes: Mapping[str, int]) -> torch.Tensor | None:
    batch = sizes["batch"]
    if name.endswith("input_ids"):
        return torch.zeros((batch, sizes["sequence"]), dtype=torch.int64, device="meta")
    shape: tuple[int, ...]
    if name == _PICTURE:
        vision = getattr(config, "vision_config", None) or config
        side = getattr(vision, "image_size", None) or 224
        sides = (side, side) if isinstance(side, int) else tuple(side)[-2:]
        shape = (batch, getattr(vision, "num_channels", None) or 3, *sides)
    elif name == "input_values":
        shape = (batch, _SAMPLES)
    elif name == "input_features":
        shape = (batch, getattr(config, "num_mel_bins", 80), 2 * getattr(config, "max_source_positions", 1500))
    else:
        return None
    dtype = getattr(config, "dtype", None)
    return torch.empty(shape, dtype=dtype if isinstance(dtype, torch.dtype) else None, device="meta")


def _longest(config: Any) -> int:
    """Return how many tokens a model can take, as far as its configuration says; the usual number if it does not."""
    inner = getattr(config, "text_config", None) or config
    said = [getattr(inner, name, None) for name in ("max_position_embeddings", "max_target_positions", "n_positions")]
    return min([_USUAL["sequence"], *(size for size in said if isinstance(size, int) and size > 0)])


def settled(
    sizes: Mapping[str, int], names: tuple[str, ...], longest: int = _USUAL["sequence"]
) -> tuple[dict[str, int], tuple[Assumption, ...]]:
    """Return the sizes of the named dimensions, and what was assumed of them.

    Raises:
        UsageError: A dimension does not exist, or has no such size.
    """
    usual = {**_USUAL, "sequence": longest}
    for name, size in sizes.items():
        if name not in names:
            raise UsageError(f"The model has no dimension {name!r}.", f"It has: {', '.join(names)}.")
        if size < 1:
            raise UsageError(f"The dimension {name} cannot be {size}.", "Give 1 or more.")
    assumed = tuple(
        Assumption(
            kind="dimension",
            name=f"{name}={usual[name]}",
            reason=f"the model leaves {name} open, and {usual[name]} is usual",
            hint=f"--dim {name}={usual[name]}",
        )
        for name in names
        if name not in sizes
    )
    return {name: sizes.get(name, usual[name]) for name in names}, assumed


def _library(name: str) -> Any:
    """Return a library that is optional; by ``importlib``, since a type checker would read all of it."""
    try:
        with quiet():
            logging.getLogger(name).setLevel(logging.ERROR)  # which kernels are not installed is told to nobody here
            return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(f"Making a model of {name}", name) from error


def _make(name: str, make: Callable[[], torch.nn.Module], device: str) -> torch.nn.Module:
    try:
        with quiet(), _without_network(), torch.device(device):
            return make()
    except MemprofError:
        raise
    except Exception as error:
        raise InputError(
            f"No module can be made of {name}: {type(error).__name__}: {first_line(error)}.",
            "See whether the library makes it; weights are never loaded, and nothing is downloaded.",
        ) from error


@contextlib.contextmanager
def _without_network() -> Iterator[None]:
    """Let the hub's client refuse to go out, whatever a configuration asks for."""
    try:
        constants: Any = importlib.import_module("huggingface_hub.constants")
    except ImportError:
        yield
        return
    was = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = was
