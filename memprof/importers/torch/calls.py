"""What a module is called with: positional and keyword arguments, their shapes and element types as a caller says.

    a factory or a caller gives             becomes
    a tensor                                the first argument
    a tuple                                 positional arguments
    a mapping, a dataclass                  keyword arguments where forward has all of its names; else the first
                                               argument, as it is
    nothing, and shapes by name             tensors of those shapes: of the type that was said; else int64 where
                                               forward's annotation says so, else float32

Tensors are looked for in whatever holds them: lists, mappings, dataclasses, and objects by their attributes, such as
key-value caches. A cache is what an argument or field of such a name holds (``past_key_values``, ``cache``), or an
object whose class is called one.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, NamedTuple

import torch
from torch.utils._pytree import tree_map_only

from memprof.base.errors import UsageError
from memprof.importers.request import Elements

_PIXELS = {"Conv1d": "16000", "Conv2d": "224x224", "Conv3d": "16x112x112"}
_CACHE_NAMES = ("past_key_value", "cache")
_MAX_DEPTH = 12


@dataclass(frozen=True, slots=True)
class Call:
    """The arguments of one call of a module.

    Attributes:
        args: Positional ones.
        kwargs: Those by name.
    """

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def run(self, module: torch.nn.Module) -> Any:
        """Return what ``module`` returns."""
        return module(*self.args, **self.kwargs)


class Found(NamedTuple):
    """A tensor somewhere in a tree of arguments or results.

    Attributes:
        path: How to get to it: ``past_key_values.layers.0.keys``.
        tensor: Itself.
        is_cache: Whether it lies in a key-value cache.
    """

    path: str
    tensor: torch.Tensor
    is_cache: bool


def call_of(module: torch.nn.Module, given: Any, keywords: Mapping[str, Any] | None = None) -> Call:
    """Return the call that ``given`` stands for, by the table at the top of this file."""
    more = dict(keywords or {})
    if isinstance(given, Call):
        return replace(given, kwargs={**given.kwargs, **more})
    if given is None or (keywords is not None and isinstance(given, list)):
        return Call(tuple(given or ()), more)
    named = _names_and_values(given)
    if named is not None and _takes(module, named):
        return Call((), {**named, **more})
    return Call(given if type(given) is tuple else (given,), more)


def typed_call(call: Call, dtype: torch.dtype) -> Call:
    """Return ``call`` with its floating tensors in another element type."""

    def convert(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(dtype) if tensor.is_floating_point() else tensor

    args, kwargs = tree_map_only(torch.Tensor, convert, (call.args, dict(call.kwargs)))
    return Call(args, kwargs)


def shaped_call(
    module: torch.nn.Module,
    given: Call | None,
    shapes: Mapping[str, tuple[int, ...]],
    dtypes: Mapping[str, str],
) -> Call:
    """Return the call to run ``module`` with, the caller's shapes and types first.

    Args:
        module: The module; the parameters of its ``forward`` name the inputs.
        given: Arguments that came with it, whose element types stay unless another is said.
        shapes: Shape by name; ``""`` means the first input.
        dtypes: Element type by name, as torch names it.

    Raises:
        UsageError: An input is missing, or a name is not a parameter of ``forward``.
    """
    call = given or Call()
    for name, shape in shapes.items():
        call = _with_input(module, call, name, (shape, dtypes.get(name)))
    if given is not None and shapes:
        call = _with_followers(module, given, call)
    _check_complete(module, call, is_given=given is not None or bool(shapes))
    return call


def first_name(module: torch.nn.Module, call: Call) -> str:
    """Return the name of the first argument of ``call``."""
    names = _positional(module)
    return names[0] if names and (call.args or not call.kwargs) else next(iter(call.kwargs), "input")


def real_call(module: torch.nn.Module, call: Call, values: Mapping[str, Elements]) -> Call:
    """Return ``call`` with data in place of meta tensors: random numbers, zeros where they are whole, masks of ones.

    Args:
        module: What is called; the parameters of its ``forward`` name the arguments.
        call: The arguments.
        values: Elements of single arguments by name; one number fills an argument.

    Raises:
        UsageError: A name is that of no argument.
    """
    named = list(named_arguments(module, call))
    if foreign := values.keys() - dict(named).keys():
        raise UsageError(
            f"{type(module).__name__} is called with no {min(foreign)!r}.",
            f"It is with: {', '.join(name for name, _ in named)}.",
        )
    made = [_with_elements(name, value, values) for name, value in named]
    n = len(call.args)
    return Call(tuple(made[:n]), dict(zip(call.kwargs, made[n:], strict=True)))


def _with_elements(name: str, value: Any, values: Mapping[str, Elements]) -> Any:
    elements = values.get(name, 1.0 if "mask" in name.lower() else None)
    if elements is None or not isinstance(value, torch.Tensor) or not (_has_no_data(value) or name in values):
        return tree_map_only(torch.Tensor, _with_data, value)
    if isinstance(elements, str):
        raise UsageError(
            f"--value {name} is a text, and the argument holds numbers.", f"Write --value {name}=NUMBER."
        )
    filled = torch.tensor(elements, dtype=value.dtype, device="cpu")
    try:
        return filled.reshape(value.shape) if filled.dim() else filled.expand(value.shape).clone()
    except RuntimeError:
        shape = "x".join(map(str, value.shape))
        raise UsageError(f"--value {name} has not the elements of {shape}.", "Give one, or one for each.") from None


def named_arguments(module: torch.nn.Module, call: Call) -> Iterator[tuple[str, Any]]:
    """Yield the arguments of ``call`` by the names of ``forward``'s parameters."""
    yield from zip(_names(module, len(call.args)), call.args, strict=False)  # those of parameters left out are more
    yield from call.kwargs.items()


def find_tensors(tree: Any, path: str = "", *, is_cache: bool = False) -> Iterator[Found]:
    """Yield every tensor in ``tree``, each object once, depth first."""
    yield from _find(tree, path, is_cache, set(), 0)


def _find(tree: Any, path: str, is_cache: bool, seen: set[int], depth: int) -> Iterator[Found]:
    if isinstance(tree, torch.Tensor):
        yield Found(path, tree, is_cache)
        return
    if depth > _MAX_DEPTH or id(tree) in seen or isinstance(tree, str | bytes | type | torch.nn.Module):
        return
    seen.add(id(tree))
    is_cache = is_cache or type(tree).__name__.endswith("Cache")
    for name, value in _parts(tree):
        inner = is_cache or any(word in name.lower() for word in _CACHE_NAMES)
        yield from _find(value, f"{path}.{name}" if path else name, inner, seen, depth + 1)


def _parts(tree: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, Mapping):
        yield from ((str(key), value) for key, value in tree.items())
    elif isinstance(tree, tuple) and hasattr(tree, "_fields"):
        yield from zip(tree._fields, tree, strict=False)
    elif isinstance(tree, list | tuple):
        yield from ((str(i), value) for i, value in enumerate(tree))
    elif is_dataclass(tree):
        yield from ((of.name, getattr(tree, of.name, None)) for of in fields(tree))
    elif not callable(tree):
        yield from list(getattr(tree, "__dict__", {}).items())


def _with_input(module: torch.nn.Module, call: Call, name: str, said: tuple[tuple[int, ...], str | None]) -> Call:
    shape, dtype_name = said
    positional = _names(module, len(call.args))
    key = name or first_name(module, call)
    if name not in ("", *positional) and not _takes(module, (name,)):
        raise UsageError(
            f"The forward of {type(module).__name__} has no input {name!r}.",
            f"It has: {', '.join(_parameters(module))}.",
        )
    position = positional.index(key) if key in positional else len(call.args) + len(positional)
    older = call.args[position] if position < len(call.args) else call.kwargs.get(key)
    dtype = getattr(torch, dtype_name) if dtype_name else None
    if dtype is None:
        dtype = older.dtype if isinstance(older, torch.Tensor) else annotated_dtype(module, key)
    made = torch.empty(shape, dtype=dtype or torch.get_default_dtype(), device="meta")
    if position < len(call.args):
        return replace(call, args=(*call.args[:position], made, *call.args[position + 1 :]))
    if position == len(call.args) and key not in call.kwargs:
        return replace(call, args=(*call.args, made))
    return replace(call, kwargs={**call.kwargs, key: made})


def _with_followers(module: torch.nn.Module, given: Call, call: Call) -> Call:
    """Return ``call`` with what was one tensor in ``given`` one tensor still: labels that are the ids follow them."""
    before = dict(named_arguments(module, given))
    now = list(named_arguments(module, call))
    newer = {id(before[name]): value for name, value in now if name in before and value is not before[name]}
    followed = [
        newer.get(id(value), value) if isinstance(value, torch.Tensor) and before.get(name) is value else value
        for name, value in now
    ]
    n = len(call.args)
    return Call(tuple(followed[:n]), dict(zip(call.kwargs, followed[n:], strict=True)))


def annotated_dtype(module: torch.nn.Module, name: str) -> torch.dtype | None:
    """Return ``int64`` where ``forward``'s annotation of a parameter says whole numbers, else ``None``."""
    parameter = _signature(module).get(name)
    words = "" if parameter is None else str(parameter.annotation)
    is_known = type(module).__module__.startswith("transformers.") and name.endswith(("_ids", "attention_mask"))
    return torch.int64 if is_known or ("LongTensor" in words and "FloatTensor" not in words) else None


def _check_complete(module: torch.nn.Module, call: Call, *, is_given: bool) -> None:
    if not is_given and any(p.kind in _BY_POSITION for p in _signature(module).values()):
        raise UsageError(
            f"{type(module).__name__} needs an input to run on.",
            f"Add {_example(module)}, or let the factory return (module, inputs).",
        )
    try:
        inspect.signature(module.forward).bind(*call.args, **call.kwargs)
    except TypeError as error:
        raise UsageError(
            f"The forward of {type(module).__name__} does not take these inputs: {error}.",
            f"It has: {', '.join(_parameters(module))}; say which: --input NAME=int64:1x128.",
        ) from None
    except ValueError:  # a forward in C++ shows no signature
        return


def _example(module: torch.nn.Module) -> str:
    """Return flags that a person may begin with: of what the first layer that has a size reads."""
    shape = next(filter(None, map(_read_shape, module.modules())), "1x3x224x224")
    wanted = [p for p in _signature(module).values() if p.kind in _BY_POSITION and p.default is p.empty]
    if len(wanted) < 2:
        return f"--input {shape}"
    return " ".join(f"--input {p.name}={shape}" for p in wanted)


def _read_shape(layer: torch.nn.Module) -> str:
    """Return what a layer reads, empty if its kind does not say."""
    kind = type(layer).__name__
    if kind in _PIXELS:
        return f"1x{getattr(layer, 'in_channels', 3)}x{_PIXELS[kind]}"
    if kind == "Embedding":
        return "int64:1x128"
    if kind in ("LSTM", "GRU", "RNN"):
        return f"1x128x{getattr(layer, 'input_size', 64)}"
    count = getattr(layer, "in_features", 0) if kind == "Linear" else 0
    return f"1x{count}" if count else ""


def _has_no_data(value: torch.Tensor) -> bool:
    return value.device.type == "meta"


def _with_data(tensor: torch.Tensor) -> torch.Tensor:
    if not _has_no_data(tensor):
        return tensor
    make = torch.randn if tensor.is_floating_point() else torch.zeros
    return make(tensor.shape, dtype=tensor.dtype, device="cpu")


def _names_and_values(given: Any) -> dict[str, Any] | None:
    if isinstance(given, Mapping) and all(isinstance(key, str) for key in given):
        return dict(given)
    if is_dataclass(given) and not isinstance(given, type):
        return {of.name: getattr(given, of.name) for of in fields(given)}
    return None


_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _signature(module: torch.nn.Module) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(module.forward).parameters
    except (TypeError, ValueError):
        return {}


def _positional(module: torch.nn.Module) -> list[str]:
    return [p.name for p in _signature(module).values() if p.kind in _BY_POSITION]


def _names(module: torch.nn.Module, count: int) -> list[str]:
    """Return what positional arguments are called: ``forward``'s own names, then ``rest_0`` of a ``*rest``.

    Args:
        module: What is called.
        count: How many there are; of more parameters, the names of all.
    """
    own = _positional(module)
    more = next((p.name for p in _signature(module).values() if p.kind is p.VAR_POSITIONAL), "input")
    return own + [f"{more}_{i}" for i in range(count - len(own))]


def _parameters(module: torch.nn.Module) -> list[str]:
    return [p.name for p in _signature(module).values() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def _takes(module: torch.nn.Module, names: Any) -> bool:
    parameters = _signature(module)
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return True
    by_name = {p.name for p in parameters.values() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    return set(names) <= by_name
