"""Layers of one's own: what they compute, declared as data, from which footprint and code follow.

    name         as in a search's networks                               mbconv_3x3
    operations   a chain, each reads what the one before wrote           conv, relu, depthwise, relu, conv
    code         one-hot, a bit in front of the seven of the paper's     00000001 0000000 for the first
    module       made from the operations, or a function of one's own    layers.py:mbconv

A convolution is followed by a batch norm, as everywhere in this space, which deployment folds. The last operation
that says how many channels there are must leave the block's width, and one must take the stride: a layer fits at any
place of a cell. What branches inside is no chain, and so no layer here; a cell branches.

A search's journal holds the declaration, so a folder is read anywhere. ``module`` is text there: code runs only from
a file that is named on the command line, with ``--trust``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

PAPER_LAYERS = 7
"""Bits of a layer's code in the paper; those of own layers come in front of them."""

MOST_OWN_LAYERS, MOST_OPERATIONS = 32, 16
_MOST_SIDE, _MOST_DILATION, _MOST_TIMES, _MOST_GROUPS = 31, 16, 64, 1024

OperationName = Literal[
    "conv",
    "depthwise",
    "avg_pool",
    "max_pool",
    "relu",
    "hard_swish",
    "hard_sigmoid",
    "leaky_relu",
    "elu",
    "sigmoid",
    "tanh",
]
ACTIVATIONS: Mapping[str, str] = {
    "relu": "Relu",
    "hard_swish": "HardSwish",
    "hard_sigmoid": "HardSigmoid",
    "leaky_relu": "LeakyRelu",
    "elu": "Elu",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
}
"""Elementwise operations, and the ONNX operator of each."""

POOLS: Mapping[str, str] = {"avg_pool": "AveragePool", "max_pool": "MaxPool"}

_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_MODULE = re.compile(r"[\w./-]{1,200}\.py:[A-Za-z_]\w{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation of a layer.

    Attributes:
        op: What it does.
        kernel: Height and width of a convolution or pool, both odd.
        times: A convolution writes so many times ``of`` channels; a depthwise one as many as it reads.
        of: The block's width, or the channels that the layer reads.
        groups: Groups of a convolution.
        dilation: Of a convolution or a depthwise one.
        strided: Whether it takes the layer's stride.
    """

    op: OperationName
    kernel: tuple[int, int] = (1, 1)
    times: int = 1
    of: Literal["width", "input"] = "width"
    groups: int = 1
    dilation: int = 1
    strided: bool = False

    def __post_init__(self) -> None:
        if self.op not in get_args(OperationName):
            raise ValueError(f"there is no operation {self.op!r}; choose of {', '.join(get_args(OperationName))}")
        if self.of not in {"width", "input"} or not isinstance(self.strided, bool):
            raise ValueError("of is 'width' or 'input', strided is true or false")
        if not isinstance(self.kernel, tuple) or len(self.kernel) != 2:
            raise ValueError("a kernel has a height and a width: [3, 3]")
        limits = {"times": _MOST_TIMES, "groups": _MOST_GROUPS, "dilation": _MOST_DILATION}
        for name, most in limits.items():
            if not _is_count(getattr(self, name), most):
                raise ValueError(f"{name} is a whole number from 1 to {most}")
        if not all(_is_count(side, _MOST_SIDE) and side % 2 for side in self.kernel):
            raise ValueError(f"the sides of a kernel are odd, 1 to {_MOST_SIDE}")
        for name in _MEANINGLESS[self.kind]:
            if getattr(self, name) != _DEFAULTS[name]:
                raise ValueError(f"{self.op} has no {name}")

    @property
    def kind(self) -> str:
        """``conv``, ``depthwise``, ``pool`` or ``activation``."""
        return "pool" if self.op in POOLS else "activation" if self.op in ACTIVATIONS else self.op


_DEFAULTS = {field.name: field.default for field in fields(Operation)}
_MEANINGLESS: Mapping[str, tuple[str, ...]] = {
    "conv": (),
    "depthwise": ("times", "of", "groups"),
    "pool": ("times", "of", "groups", "dilation"),
    "activation": ("kernel", "times", "of", "groups", "dilation", "strided"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnLayer:
    """A layer of one's own; stands wherever one of the paper's does.

    Attributes:
        name: Small letters, digits and underscores.
        operations: What it computes.
        position: Which of the search's own layers it is, 0 the first: its bit in the code.
        module: ``FILE.py:FUNCTION`` of a module of one's own; empty for one made from the operations.
    """

    name: str
    operations: tuple[Operation, ...]
    position: int = 0
    module: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise ValueError("a layer's name has 1 to 32 small letters, digits and underscores, a letter first")
        if not _is_count(self.position + 1, MOST_OWN_LAYERS):
            raise ValueError(f"a search has at most {MOST_OWN_LAYERS} own layers")
        if not isinstance(self.module, str) or (self.module and not _MODULE.fullmatch(self.module)):
            raise ValueError(f"{self.name}: a module is named as FILE.py:FUNCTION")
        if not 1 <= len(self.operations) <= MOST_OPERATIONS:
            raise ValueError(f"{self.name} has 1 to {MOST_OPERATIONS} operations")
        if sum(operation.strided for operation in self.operations) != 1:
            raise ValueError(f"{self.name}: exactly one operation takes the stride: strided = true")
        writers = [operation for operation in self.operations if operation.kind == "conv"]
        if not writers or (writers[-1].times, writers[-1].of) != (1, "width"):
            raise ValueError(f"{self.name}: the last conv must write the block's width, as a conv does by itself")

    def __hash__(self) -> int:
        return hash(self.name)  # equal ones have one name; hashing all of it, a million times, takes long

    @property
    def value(self) -> str:
        """Its one-hot code."""
        return "1".ljust(self.position + 1 + PAPER_LAYERS, "0")

    @property
    def is_trimmed(self) -> bool:
        """Never: only an identity is what a trim leaves behind."""
        return False

    @property
    def label(self) -> str:
        """What drawings and reports call it."""
        return self.name.replace("_", " ")

    def to_json(self) -> dict[str, Any]:
        """Return the layer as JSON-ready values; ``from_json`` reads them back."""
        return {
            "name": self.name,
            "position": self.position,
            "module": self.module,
            "operations": [_operation_json(operation) for operation in self.operations],
        }

    @classmethod
    def from_json(cls, data: object) -> OwnLayer:
        """Return the layer that ``to_json`` wrote, or that a space file declares.

        Raises:
            ValueError: The data are no layer, with the reason.
        """
        if not isinstance(data, Mapping) or not isinstance(data.get("operations"), list | tuple):
            raise ValueError("a layer has a name and operations")
        if strange := [key for key in data if key not in {"name", "operations", "position", "module"}]:
            raise ValueError(f"a layer has no {str(strange[0])[:40]!r}")
        if type(data.get("position", 0)) is not int or len(data["operations"]) > MOST_OPERATIONS:
            raise ValueError(f"a layer has a place and at most {MOST_OPERATIONS} operations")
        return cls(
            name=data.get("name", ""),
            operations=tuple(map(_operation_from_json, data["operations"])),
            position=data.get("position", 0),
            module=data.get("module", ""),
        )


def _operation_json(operation: Operation) -> dict[str, Any]:
    """Return what differs from the defaults: a journal says it with every network."""
    data = {name: value for name, value in asdict(operation).items() if value != _DEFAULTS[name]}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in data.items()}


def _operation_from_json(data: object) -> Operation:
    if not isinstance(data, Mapping) or not isinstance(data.get("op"), str):
        raise ValueError("an operation has an op")
    if strange := [key for key in data if key not in _DEFAULTS]:
        raise ValueError(f"{data['op'][:40]} has no {str(strange[0])[:40]!r}; it may have {', '.join(_DEFAULTS)}")
    if not isinstance(data.get("of", "width"), str) or not isinstance(data.get("kernel", []), list):
        raise ValueError("of is a word, and a kernel a list: [3, 3]")
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
    }
    return Operation(**values)


def _is_count(value: object, most: int) -> bool:
    return type(value) is int and 1 <= value <= most
