"""Names of modules: "torchvision:resnet18", "package.module:factory". Looking one up runs the code it names.

    torchvision:NAME          a model of torchvision, weights left out, on an image of the size its weights are for
    timm:NAME                 a model of timm, weights left out; see ``families``
    transformers:PATH         a model of transformers, made from a config.json or a folder with one; see ``families``
    PACKAGE.MODULE:NAME       imported from the current folder or the installed packages
    FOLDER/FILE.py:NAME       a file, its folder first among those that are searched. Either NAME is
                                 a function or class      called without arguments; returns a module, (module, inputs)
                                                          or (module, arguments, keyword arguments); see ``calls``
                                 a module                 taken as it is

Code runs on device ``meta`` first, so that weights take no memory. Code that cannot (it needs values) runs once more
with parameters alone there, as soon as a layer has them; and where it needs the values of these, as it is written.
What it prints goes to stderr: stdout is for results.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import importlib.util
import inspect
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.utils.weak import WeakIdKeyDictionary

from memprof.base.errors import InputError, MissingExtraError, UsageError
from memprof.importers.torch.calls import Call, call_of
from memprof.ir import Assumption

_NAME = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_FILE_NAME = re.compile(r"(.+\.py):([A-Za-z_][\w.]*)", re.DOTALL)
_SHOWN = 5
_PICTURE = (3, 480, 640)
_NO_SIZES: Mapping[str, int] = {}
_SIDES = {
    "ImageClassification": "crop_size",
    "SemanticSegmentation": "resize_size",
    "VideoClassification": "crop_size",
}
"""What torchvision's own preprocessing makes of an image: the argument that holds its side."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A module and, if its factory gave them, the arguments to call it with; what was assumed of these."""

    module: torch.nn.Module
    call: Call | None
    assumed: tuple[Assumption, ...] = ()


def resolve(name: str, device: str = "meta", sizes: Mapping[str, int] = _NO_SIZES) -> Resolved:
    """Return the module that ``name`` stands for.

    Args:
        name: "torchvision:resnet18", "package.module:factory" or another of the kinds above.
        device: Where to make it: ``meta`` for one without memory, ``cpu`` for a real one with random weights.
        sizes: Sizes of the dimensions that a family names: ``{"batch": 8, "sequence": 512}``.

    Raises:
        UsageError: There is no such package, module, attribute or dimension.
        InputError: The code failed, or returned something else.
        MissingExtraError: The library is not installed.
    """
    package, _, attribute = name.partition(":")
    if package in ("timm", "transformers"):
        from memprof.importers.torch.families import family_module

        return Resolved(*family_module(package, attribute, device, sizes))
    if package == "torchvision" and _NAME.fullmatch(name):
        return _torchvision(attribute, device, sizes)
    if sizes:
        raise _no_names()
    with contextlib.redirect_stdout(sys.stderr):
        return _unpack(name, _found(name, device))


def _found(name: str, device: str) -> Any:
    """Return the module that is named, or what its factory returned."""
    file_name = _FILE_NAME.fullmatch(name)
    if file_name is not None:
        factory = _attribute(_import_file(file_name[1]), file_name[1], file_name[2])
    elif _NAME.fullmatch(name):
        package, _, attribute = name.partition(":")
        factory = _attribute(_import(package), package, attribute)
    else:
        raise UsageError(
            f"{name!r} names no module.", "Write torchvision:resnet18, package.module:factory or file.py:factory."
        )
    if isinstance(factory, torch.nn.Module):
        return factory
    if not callable(factory):
        raise InputError(f"{name} is a {type(factory).__name__}, no module and no function that makes one.")
    return _call(name, factory, device)


def _no_names() -> UsageError:
    return UsageError("Dimensions of a PyTorch module have no names.", "Give the shape: --input 1x3x224x224.")


def _torchvision(name: str, device: str, sizes: Mapping[str, int]) -> Resolved:
    from memprof.importers.torch.families import settled

    try:
        from torchvision import models
    except ImportError as error:
        raise MissingExtraError("Looking up a model of torchvision", "torch") from error
    try:
        builder = models.get_model_builder(name)
    except ValueError:
        close = difflib.get_close_matches(name, models.list_models(), n=3)
        raise UsageError(
            f"torchvision has no model {name!r}.",
            f"Did you mean {', '.join(close)}?" if close else "torchvision.models.list_models() names them.",
        ) from None
    bare = {key: None for key in ("weights", "weights_backbone") if key in inspect.signature(builder).parameters}
    module = _instance(name, _call(name, lambda: builder(**bare), device))
    usual = _usual_call(models.get_model_weights(name), getattr(module, "image_size", None))
    if usual is None:
        if sizes:
            raise _no_names()
        return Resolved(module, None)
    names, make = usual
    found, assumed = settled(sizes, names)
    return Resolved(module, Call((make(found),)), assumed)


_Made = Callable[[Mapping[str, int]], Any]


def _usual_call(weights: Any, own_side: object = None) -> tuple[tuple[str, ...], _Made] | None:
    """Return the dimensions of what a model's published weights take, and what makes it; ``None`` if nobody says.

    Images of one size, videos, and for detection lists of images, which such a model resizes by itself.

    Args:
        weights: Torchvision's list of them.
        own_side: Of the images that the model was made for, where it says so: weights may be for a larger one.
    """
    transforms = getattr(getattr(weights, "DEFAULT", None), "transforms", None)
    preset = getattr(transforms, "func", transforms)
    kind = getattr(preset, "__name__", "")
    if kind == "ObjectDetection":
        return ("batch",), lambda sizes: [torch.empty(_PICTURE, device="meta") for _ in range(sizes["batch"])]
    side = getattr(transforms, "keywords", {}).get(_SIDES.get(kind))
    if kind == "VideoClassification" and isinstance(side, tuple) and all(isinstance(size, int) for size in side):
        return ("batch", "frames"), lambda sizes: torch.empty(
            (sizes["batch"], 3, sizes["frames"], *side), device="meta"
        )
    if isinstance(side, int) and isinstance(own_side, int):
        side = own_side
    if not isinstance(side, int):
        return None
    return ("batch",), lambda sizes: torch.empty((sizes["batch"], 3, side, side), device="meta")


def _import(package: str) -> ModuleType:
    here = str(Path.cwd())
    top = package.partition(".")[0]
    # as "python -m" does, but only for code that lies there: an installed package is found without this folder, in
    # which anything else might lie
    is_here = top not in sys.modules and any(Path(here, name).exists() for name in (top, f"{top}.py"))
    if is_here and here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name and (package == error.name or package.startswith(f"{error.name}.")):
            raise UsageError(f"There is no Python module {package!r} here.", f"Looked in {here} first.") from None
        raise InputError(f"Importing {package} failed: {error}.", "Install what it needs.") from error
    except Exception as error:
        raise InputError(f"Importing {package} failed: {type(error).__name__}: {error}.") from error


def _import_file(text: str) -> ModuleType:
    path = Path(text)
    if not path.is_file():
        raise UsageError(f"There is no file {text}.", "Write FOLDER/FILE.py:FACTORY.")
    folder = str(path.resolve().parent)
    if folder not in sys.path:  # as "python FILE" does: what lies beside it is imported by its name
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None, "a .py file has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)  # dataclasses and pickles look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(f"Running {text} failed: {type(error).__name__}: {error}.", "Run it in Python.") from error
    return module


def _attribute(module: ModuleType, package: str, attribute: str) -> Any:
    found: Any = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise UsageError(f"{package} has no {attribute!r}.", _what_else(found, part))
        found = getattr(found, part)
    return found


def _what_else(owner: Any, name: str) -> str:
    """Return the hint which names are near, or which of its own a module has."""
    public = [each for each in dir(owner) if not each.startswith("_")]
    close = difflib.get_close_matches(name, public, n=3)
    if close or not isinstance(owner, ModuleType):
        return f"Did you mean {', '.join(close)}?" if close else ""
    members = vars(owner)
    own = [each for each in public if callable(of := members.get(each)) and _home(of) == owner.__name__]
    return f"Did you mean {', '.join(own[:_SHOWN])}?" if own else ""


def _home(value: Any) -> object:
    return getattr(value, "__module__", None)


def _call(name: str, factory: Callable[[], Any], device: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with torch.device(device):
                return factory()
        except Exception:  # it may need values
            pass
        if device == "meta":
            try:
                with _parameters_on_meta():
                    return factory()
            except Exception:  # of its weights too: run as written, and then its errors count
                pass
        try:
            return factory()
        except Exception as error:
            raise InputError(
                f"{name} failed: {type(error).__name__}: {error}.", "Call it in Python to see why."
            ) from error


@contextlib.contextmanager
def _parameters_on_meta() -> Iterator[None]:
    """Take each parameter's memory away as a layer registers it, before it is filled with random numbers."""
    without = WeakIdKeyDictionary()

    def moved(module: torch.nn.Module, name: str, parameter: torch.nn.Parameter) -> torch.nn.Parameter | None:
        if type(parameter) is not torch.nn.Parameter or parameter.device.type == "meta":
            return None
        if parameter not in without:  # layers may share it
            without[parameter] = torch.nn.Parameter(parameter.detach().to("meta"), parameter.requires_grad)
        found: torch.nn.Parameter = without[parameter]
        return found

    hook = register_module_parameter_registration_hook(moved)  # type: ignore[arg-type] # what it returns is used
    try:
        yield
    finally:
        hook.remove()


def _unpack(name: str, made: Any) -> Resolved:
    if isinstance(made, tuple) and len(made) == 3 and isinstance(made[2], Mapping):
        module = _instance(name, made[0])
        return Resolved(module, call_of(module, made[1], made[2]))
    if isinstance(made, tuple) and len(made) == 2:
        module = _instance(name, made[0])
        return Resolved(module, call_of(module, made[1]))
    return Resolved(_instance(name, made), None)


def _instance(name: str, made: Any) -> torch.nn.Module:
    if not isinstance(made, torch.nn.Module):
        raise InputError(
            f"{name} returned a {type(made).__name__}.",
            "It must return a module, (module, inputs) or (module, args, kwargs).",
        )
    return made
