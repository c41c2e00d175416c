"""Binding open dimensions: ``--dim batch=1`` names a symbol, ``--input x=1x3x224x224`` gives a whole shape.

    what the file says of a dimension    what binds it
    a symbol (batch, s0)                 its name in --dim, or its place in an --input; everywhere at once
    an expression (2*batch, (s0-1)//2)   the symbols in it, once all are bound
    nothing, in a graph input            its place in an --input, or INPUT[AXIS] in --dim
    nothing, elsewhere (data decides)    TENSOR[AXIS] in --dim

Rules: a name that the model does not have is the caller's error, and says what there is. Two flags that disagree are
an error. Nothing is guessed.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType

from memprof.base.errors import UsageError
from memprof.base.names import near_names
from memprof.importers.request import Request
from memprof.ir import Dim, TensorType
from memprof.ir.types import MAX_DIM

_AXIS = re.compile(r"(?P<tensor>.+)\[(?P<axis>\d{1,3})\]", re.DOTALL)
_MAY_BE_EMPTY = re.compile(r"past|cache", re.IGNORECASE)
"""Names of what a first step of a decoder has none of; elsewhere 0 leaves nothing to compute."""

_MAX_EXPRESSION = 256
_LISTED = 20
_DIVISIBLE = 720_720  # by 1 to 16: most arithmetic over it gives a size
_Number = int | Fraction
_OPERATORS: Mapping[type[ast.operator], Callable[[_Number, _Number], _Number]] = MappingProxyType(
    {
        ast.Add: operator.add,
        ast.Sub: operator.sub,
        ast.Mult: operator.mul,
        ast.Div: Fraction,
        ast.FloorDiv: operator.floordiv,
        ast.Mod: operator.mod,
    }
)
_FUNCTIONS: Mapping[str, Callable[..., _Number]] = MappingProxyType(
    {
        "floor": math.floor,
        "ceil": math.ceil,
        "min": min,
        "Min": min,
        "max": max,
        "Max": max,
        "Mod": operator.mod,
        "FloorDiv": operator.floordiv,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bindings:
    """What the caller fixed.

    Attributes:
        sizes: Size of each bound symbol, expressions included.
        shapes: Shape of each graph input that was given one.
        axes: Sizes of single dimensions by tensor and axis.
    """

    sizes: Mapping[str, int] = field(default_factory=dict)
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    axes: Mapping[str, Mapping[int, int]] = field(default_factory=dict)


def bind(
    request: Request,
    *,
    graph_inputs: Mapping[str, TensorType],
    symbols: Collection[str],
    tensors: Callable[[], Collection[str]],
) -> Bindings:
    """Return what the dimensions and shapes of ``request`` fix in a model.

    Args:
        request: What the caller settles.
        graph_inputs: The model's inputs with their symbols.
        symbols: All symbols of the model.
        tensors: Gives the names of all tensors of the main graph; called only if one is meant.

    Raises:
        UsageError: A name does not exist, a shape does not fit, a size is impossible, or two flags disagree.
    """
    sizes: dict[str, int] = {}
    axes: dict[str, dict[int, int]] = {}
    for name, size in request.dims.items():
        _check_size(f"--dim {name}", size)
        if size == 0 and not _MAY_BE_EMPTY.search(name):
            raise UsageError(f"--dim {name}=0: 0 is no size.", "Give 1 or more.")
        match = _AXIS.fullmatch(name)
        stated = graph_inputs[match["tensor"]].shape if match and match["tensor"] in graph_inputs else None
        if name in symbols:
            sizes[name] = size
        elif match and stated is not None:
            axis = int(match["axis"])
            _bind_axis(match["tensor"], (axis, size), stated, sizes)
            axes.setdefault(match["tensor"], {})[axis] = size
        elif match and match["tensor"] in tensors():
            axes.setdefault(match["tensor"], {})[int(match["axis"])] = size
        else:
            raise UsageError(f"The model has no dimension {name!r}.", near_names(name, symbols))
    shapes: dict[str, tuple[int, ...]] = {}
    for wish, shape in request.inputs.items():
        name = _input_name(wish, graph_inputs)
        if name in shapes and shapes[name] != shape:
            raise UsageError(f"Two shapes are given for the input {name!r}.", "Give one.")
        shapes[name] = shape
        _bind_shape(name, shape, graph_inputs[name], sizes)
    for symbol in symbols:
        if symbol not in sizes and sizes:
            value = evaluate(symbol, sizes)
            if value is not None:
                sizes[symbol] = value
    return Bindings(sizes=sizes, shapes=shapes, axes=axes)


def evaluate(expression: str, sizes: Mapping[str, int]) -> int | None:
    """Return the value of an expression over bound symbols, ``None`` if it is no such expression.

    >>> evaluate("(h - 1)//2 + 1", {"h": 224})
    112
    >>> evaluate("h*w", {"h": 224}) is None
    True
    """
    if len(expression) > _MAX_EXPRESSION or expression.isidentifier():
        return sizes.get(expression)
    try:
        value = _value(ast.parse(expression.strip(), mode="eval").body, sizes)
    except (SyntaxError, ValueError, KeyError, TypeError, ArithmeticError, RecursionError, MemoryError):
        return None  # not arithmetic over what is bound: it stays a symbol
    return int(value) if 0 <= value <= MAX_DIM and value == int(value) else None


def stands_alone(symbol: str, symbols: Collection[str]) -> bool:
    """Whether a symbol has a size of its own: it is a name, and no arithmetic over other symbols.

    >>> stands_alone("p2o.Dimension.0", []), stands_alone("2*seq", ["seq"]), stands_alone("batch-size", ["batch"])
    (True, False, True)
    """
    return symbol.isidentifier() or evaluate(symbol, dict.fromkeys(symbols, _DIVISIBLE)) is None


def _value(node: ast.expr, sizes: Mapping[str, int]) -> _Number:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.Name):
        return sizes[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand, sizes)
    if isinstance(node, ast.BinOp):
        return _OPERATORS[type(node.op)](_value(node.left, sizes), _value(node.right, sizes))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        return _FUNCTIONS[node.func.id](*(_value(argument, sizes) for argument in node.args))
    raise ValueError("not arithmetic")


def _input_name(wish: str, graph_inputs: Mapping[str, TensorType]) -> str:
    if wish in graph_inputs:
        return wish
    if not wish and len(graph_inputs) == 1:
        return next(iter(graph_inputs))
    if not wish:
        raise UsageError(
            f"The model has {len(graph_inputs)} inputs, so a shape needs a name.",
            f"Write --input NAME=SHAPE; the names are: {_listed(graph_inputs)}.",
        )
    raise UsageError(f"The model has no input {wish!r}.", f"It has: {_listed(graph_inputs)}.")


def _bind_shape(name: str, shape: Sequence[int], stated: TensorType, sizes: dict[str, int]) -> None:
    for size in shape:
        _check_size(f"--input {name}", size)
    if stated.shape is None:
        return
    if len(shape) != len(stated.shape):
        raise UsageError(
            f"The input {name!r} has {len(stated.shape)} dimensions, not {len(shape)}.",
            f"The model states {format_shape(stated)}.",
        )
    for size, dim in zip(shape, stated.shape, strict=True):
        if isinstance(dim, int):
            if dim not in (0, size):  # 0 is what old exporters write for an open one
                raise UsageError(
                    f"The input {name!r} is fixed to {format_shape(stated)}, not {'x'.join(map(str, shape))}.",
                    "Export the model with that dimension left open.",
                )
        elif dim is not None and sizes.setdefault(dim, size) != size:
            raise UsageError(
                f"The dimension {dim!r} is given both as {sizes[dim]} and as {size}.", "One symbol has one size."
            )


def _bind_axis(name: str, bound: tuple[int, int], stated: tuple[Dim, ...], sizes: dict[str, int]) -> None:
    """Bind the symbol at one place of a graph input, if it has one there."""
    axis, size = bound
    if axis >= len(stated):
        raise UsageError(
            f"The input {name!r} has {len(stated)} dimensions.", f"Give {name}[0] to [{len(stated) - 1}]."
        )
    dim = stated[axis]
    if isinstance(dim, str) and sizes.setdefault(dim, size) != size:
        raise UsageError(
            f"The dimension {dim!r} is given both as {sizes[dim]} and as {size}.", "One symbol has one size."
        )
    if isinstance(dim, int) and dim not in (0, size):  # 0 is what old exporters write for an open one
        raise UsageError(
            f"The file fixes {name}[{axis}] to {dim}, not {size}.", "Export the model with it left open."
        )


def _check_size(flag: str, size: int) -> None:
    if not 0 <= size <= MAX_DIM:
        raise UsageError(f"{flag}: a dimension of {size} is not possible.", f"Give 0 to {MAX_DIM}.")


def format_shape(of: TensorType) -> str:
    """Return ``batchx3x224x224``; ``?`` stands for what is not known at all."""
    if of.shape is None:
        return "?"
    return "x".join("?" if dim is None else str(dim) for dim in of.shape) or "a scalar"


def _listed(names: Collection[str]) -> str:
    shown = [repr(name) for name, _ in zip(names, range(_LISTED), strict=False)]
    more = len(names) - len(shown)
    return (", ".join(shown) or "none") + (f" and {more} more" if more else "")
