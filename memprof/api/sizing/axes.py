"""What the name of a dimension means to one source, and how a request asks about another size of it.

    name                                    dimensions of graph inputs
    a symbol of the file (batch, s17)       wherever it stands
    INPUT[AXIS], or [AXIS] of the only one  that one
    batch                                   the first of every input
    height, width, resolution               of every image: one of them, or both
    length, context, seq, tokens            the second of every input of integers, or of three dimensions

A file that fixes a dimension has one size of it, and asking for others is the caller's error. The inputs of a PyTorch
module have the shapes they are given: all of them can change.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from memprof.api.sizing.numbers import given_values
from memprof.base.errors import UsageError
from memprof.base.names import near_names
from memprof.importers.onnx.symbols import stands_alone
from memprof.importers.request import Request
from memprof.ir import Dim, TensorType
from memprof.ir.model import Model
from memprof.ir.types import MAX_DIM

MAX_POINTS = 4096
"""Most points of one sweep."""

_RANGE = re.compile(r"(\d{1,18})\.\.(\d{1,18})(?::(\d{1,18}))?")
_NUMBER = re.compile(r"\d{1,18}")
_PLACE = re.compile(r"(?P<input>.*)\[(?P<axis>\d{1,3})\]", re.DOTALL)
_CHANNELS = (1, 3, 4)
_EXAMPLE = "Write --sweep batch=1..64, batch=1,2,4,8 or width=64..1024:64."


def parse_axes(texts: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Return the sizes of each dimension that a sweep is over.

    Args:
        texts: ``NAME=SIZES`` each: ``1..64``, ``64..1024:64`` (every 64th), or ``1,2,4,8``.

    Raises:
        UsageError: A text is none of these, a name comes twice, or there are too many sizes or dimensions.

    >>> parse_axes(["batch=1..4", "width=64..256:64", "n=8,1"])
    {'batch': (1, 2, 3, 4), 'width': (64, 128, 192, 256), 'n': (1, 8)}
    """
    found: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, _, sizes = text.rpartition("=")
        if not name or not sizes:
            raise UsageError(f"--sweep {text} is not NAME=SIZES.", _EXAMPLE)
        if name in found:
            raise UsageError(f"--sweep names {name!r} twice.", "Give all its sizes at once.")
        found[name] = _sizes(text, sizes)
    return found


def _sizes(text: str, sizes: str) -> tuple[int, ...]:
    found: set[int] = set()
    for part in sizes.split(","):
        match = _RANGE.fullmatch(part)
        if match:
            first, last, step = int(match[1]), int(match[2]), int(match[3] or 1)
            if step < 1 or last < first or (last - first) // step >= MAX_POINTS:
                raise UsageError(f"--sweep {text}: {part} is no range of 1 to {MAX_POINTS:,} sizes.", _EXAMPLE)
            found.update(range(first, last + 1, step))
        elif _NUMBER.fullmatch(part):
            found.add(int(part))
        else:
            raise UsageError(f"--sweep {text}: {part!r} is no size.", _EXAMPLE)
    return tuple(sorted(found))


@dataclass(frozen=True, slots=True)
class _Place:
    """One dimension of one graph input; ``symbol`` is its name in the file, if it has one."""

    input: str
    axis: int
    symbol: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """The dimensions that change, and how.

    Attributes:
        request: What is asked about, as it stands.
        shapes: Shape of each graph input as it stands, assumed sizes included.
        symbols: Size of each named dimension as it stands: what was assumed for one must not follow another.
        places: Of each name that changes; none where the source itself knows the name.
        open_inputs: Inputs with dimensions that have no name: their shape is given whole.
        digest: Of the file's structure as it was read: what is asked about stays the same, whatever its size.
    """

    request: Request
    shapes: Mapping[str, tuple[int, ...]]
    symbols: Mapping[str, int]
    places: Mapping[str, Sequence[_Place]]
    open_inputs: frozenset[str]
    digest: str = ""

    def resized(self, sizes: Mapping[str, int]) -> Request:
        """Return the request with these sizes; every name is one of ``places``."""
        dims, whole = {**self.symbols, **self.request.dims}, dict(self.request.inputs)
        dims |= {name: size for name, size in sizes.items() if not self.places[name]}
        dims |= {place.symbol: size for name, size in sizes.items() for place in self.places[name] if place.symbol}
        unnamed = {place.input for name in sizes for place in self.places[name] if not place.symbol}
        changed: dict[str, dict[int, int]] = {name: {} for name in self.open_inputs}
        for name, size in sizes.items():
            for place in self.places[name]:
                changed.setdefault(place.input, {})[place.axis] = size
        for name, by_axis in changed.items():
            key = "" if "" in whole and len(self.shapes) == 1 else name
            if key in whole or name in self.open_inputs or name in unnamed:
                whole[key] = _changed(whole.get(key, self.shapes[name]), by_axis)
        return replace(self.request, dims=dims, inputs=whole)


def find_axes(
    request: Request, model: Model, names: Iterable[str], stated: Mapping[str, TensorType] | None = None
) -> Axes:
    """Return what ``names`` mean to the source of ``request``.

    Args:
        request: What is asked about.
        model: The same, read.
        names: Names of dimensions.
        stated: What ``stated_types`` returned before; asked anew if left out.

    Raises:
        UsageError: The source has no such dimension, fixes it, or has all its sizes settled.
    """
    if model.format == "graph" or isinstance(request.source, Model):
        raise UsageError(f"All sizes of {request.name} are settled.", "Name a file or a module.")
    shapes: dict[str, tuple[int, ...]] = {}
    types: dict[str, TensorType] = {}
    for value in given_values(model):
        types[value.name] = value.type
        shape = value.type.shape or ()
        shapes[value.name] = tuple(dim if isinstance(dim, int) else 1 for dim in shape)
    if model.format == "tflite":  # it calls its only open dimension "batch" and checks the name
        places: dict[str, Sequence[_Place]] = dict.fromkeys(names, ())
        return Axes(
            request=request,
            shapes=shapes,
            symbols={},
            places=places,
            open_inputs=frozenset(),
            digest=model.structure_sha256,
        )
    is_module = not request.is_file
    if stated is None:
        stated = stated_types(request, model)
    known = frozenset(dim for of in stated.values() for dim in of.shape or () if isinstance(dim, str))
    return Axes(
        request=request,
        shapes=shapes,
        symbols={
            dim: shapes[name][axis]
            for name, of in stated.items()
            for axis, dim in enumerate(of.shape or ())
            if isinstance(dim, str) and stands_alone(dim, known)
        },
        places={name: _find_places(name, stated, types, known, is_module=is_module) for name in names},
        open_inputs=frozenset(name for name, of in stated.items() if is_module or _has_nameless(of)),
        digest=model.structure_sha256,
    )


def _has_nameless(of: TensorType) -> bool:
    shape = of.shape or ()
    return any(_is_open(of, axis) and not isinstance(dim, str) for axis, dim in enumerate(shape))


def stated_types(request: Request, model: Model) -> Mapping[str, TensorType]:
    """Return the inputs' types as the source states them, symbols and open dimensions of a file in place.

    Raises:
        InputError: The file is missing, unreadable or invalid.
    """
    if not request.is_file or not model.format.startswith("onnx"):
        return {value.name: value.type for value in given_values(model)}
    from memprof.importers.onnx.read import stated_inputs

    return stated_inputs(request.path)


def _find_places(
    name: str,
    stated: Mapping[str, TensorType],
    types: Mapping[str, TensorType],
    symbols: Collection[str],
    *,
    is_module: bool,
) -> list[_Place]:
    named = [
        _Place(input_name, axis, name)
        for input_name, of in stated.items()
        for axis, dim in enumerate(of.shape or ())
        if dim == name
    ]
    if named:
        return named
    wished = _wished(name, stated, types)
    if wished is None:
        known = [dim for of in stated.values() for dim in of.shape or () if isinstance(dim, str)]
        known += [
            rule
            for rule in _RULES
            if any(
                is_module or _is_open(stated[place.input], place.axis) for place in _wished(rule, stated, types) or ()
            )
        ]
        raise UsageError(f"The model has no dimension {name!r}.", near_names(name, known, ", or INPUT[AXIS]"))
    found = []
    for place in wished:
        dim = (stated[place.input].shape or ())[place.axis]
        if is_module or _is_open(stated[place.input], place.axis):
            is_own = isinstance(dim, str) and stands_alone(dim, symbols)
            found.append(replace(place, symbol=dim if is_own and isinstance(dim, str) else ""))
    if not found:
        raise UsageError(
            f"The file fixes the dimension {name!r}.", "Export the model with it left open (dynamic_axes)."
        )
    return found


def _wished(name: str, stated: Mapping[str, TensorType], types: Mapping[str, TensorType]) -> Sequence[_Place] | None:
    """Return the places that a name stands for, ``None`` if it stands for none."""
    match = _PLACE.fullmatch(name)
    if match is not None:
        inputs = [match["input"]] if match["input"] else list(stated)[: 1 if len(stated) == 1 else 0]
        axis = int(match["axis"])
        found = [_Place(i, axis) for i in inputs if i in stated and axis < len(stated[i].shape or ())]
        return found or None
    rule = _RULES.get(name)
    if rule is None:
        return None
    places = [_Place(i, axis) for i, of in types.items() if of.shape and i in stated for axis in rule(of)]
    return places or None


def _is_open(of: TensorType, axis: int) -> bool:
    dim: Dim = (of.shape or ())[axis]
    return not isinstance(dim, int) or (dim == 0 and axis == 0)  # 0 is what old exporters write for an open one


def _changed(shape: tuple[int, ...], sizes: Mapping[int, int]) -> tuple[int, ...]:
    return tuple(sizes.get(axis, size) for axis, size in enumerate(shape))


def _spatial(of: TensorType) -> tuple[int, int] | None:
    shape = of.shape or ()
    if len(shape) != 4:
        return None
    return (1, 2) if shape[3] in _CHANNELS and shape[1] not in _CHANNELS else (2, 3)


def _length(of: TensorType) -> tuple[int, ...]:
    rank = len(of.shape or ())
    is_integer = (of.dtype or "").startswith(("int", "uint", "bool"))
    return (1,) if (rank == 2 and is_integer) or rank == 3 else ()


_RULES: Mapping[str, Callable[[TensorType], tuple[int, ...]]] = MappingProxyType(
    {
        "batch": lambda of: (0,),
        "height": lambda of: (_spatial(of) or ())[:1],
        "width": lambda of: (_spatial(of) or ())[1:],
        "resolution": lambda of: _spatial(of) or (),
        **dict.fromkeys(("length", "context", "seq", "tokens"), _length),
    }
)
"""Names that people have for dimensions that have none, or another: from the type of an input to its dimensions."""


def check_sizes(axes: Mapping[str, Sequence[int]]) -> None:
    """Fail if a sweep is over too much.

    Raises:
        UsageError: There are no sizes, more than two dimensions, or too many points.
    """
    if not axes or not all(axes.values()):
        raise UsageError("A sweep needs sizes.", _EXAMPLE)
    if len(axes) > 2:
        raise UsageError("A sweep is over one dimension or two.", "Fix the others with --dim.")
    count = 1
    for name, sizes in axes.items():
        count *= len(sizes)
        for size in sizes:
            if not 0 <= size <= MAX_DIM:
                raise UsageError(f"A dimension {name!r} of {size} is not possible.", f"Give 0 to {MAX_DIM}.")
    if count > MAX_POINTS:
        raise UsageError(f"A sweep over {count:,} points is too long.", f"At most {MAX_POINTS:,}: take steps.")
