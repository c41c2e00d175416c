"""Why a size is not known: one entry per cause, never one per tensor that suffers from it.

    cause                                                      told apart by
    a graph input leaves a dimension or its rank open          the input's type
    the elements of a small graph input decide                 what is computed from it has unknown elements
    an operation that ONNX does not define, unrecorded         no schema, and its outputs' sizes are unknown
    the data decide (NonZero and its kin)                      the table below
    anything else that inference could not see through         all that the node reads is known
    a type without fixed bytes (strings, sequences)            its element type
    a node that its operation does not allow                   its frame, see ``frames.py``
    a node that cannot run on inputs of these sizes            ONNX's inference refuses them

What comes after a cause is *tainted* and not reported: a node that reads a value of unknown size, or a small value
computed from one (the arithmetic of shapes), cannot be blamed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

from memprof.base.text import safe_text
from memprof.importers.onnx.symbols import format_shape
from memprof.ir import DTYPE_BITS, TensorType, Unknown

DATA_DEPENDENT = frozenset({"Compress", "NonMaxSuppression", "NonZero", "StringSplit", "Unique"})
"""Operations whose output's shape depends on elements, not shapes, of their inputs."""

DECIDED_BY_FLOATS: Mapping[str, int] = MappingProxyType({"Range": 0, "Resize": 1, "Upsample": 1})
"""Operations whose shape elements of other types than integers decide, and from which input on."""

_MAX_ENTRIES = 1000
_SHOWN_ELEMENTS = 8


class Causes:
    """Collects causes, each once, in the order they are found.

    Args:
        symbols: Every named dimension of the file: those that ``--dim`` can bind.
    """

    def __init__(self, symbols: Collection[str]) -> None:
        self._symbols = symbols
        self._found: dict[tuple[str, str], Unknown] = {}

    @property
    def found(self) -> tuple[Unknown, ...]:
        """All causes so far."""
        return tuple(self._found.values())

    def child(self) -> Causes:
        """Return a collection for a body, to be kept by ``adopt`` or dropped."""
        return Causes(self._symbols)

    def adopt(self, other: Causes) -> None:
        """Take over what ``other`` found."""
        for unknown in other.found:
            self._add(unknown)

    def graph_input(self, name: str, of: TensorType) -> None:
        """Record what a graph input leaves open."""
        if self._no_fixed_bytes(name, of):
            return
        if of.shape is None:
            self._report(
                "shape", name, "the model states no shape for this input", f"--input {_quoted(f'{name}=1x3x224x224')}"
            )
            return
        for axis, dim in enumerate(of.shape):
            if isinstance(dim, str):
                self._report(
                    "dimension", dim, f"the graph input {name} leaves it open", f"--dim {_quoted(f'{dim}=1')}"
                )
            elif dim is None:
                filled = "x".join(str(size) if isinstance(size, int) else "1" for size in of.shape)
                self._report(
                    "shape", name, f"the model states no size for dimension {axis} of this input",
                    f"--input {_quoted(f'{name}={filled}')}",
                )  # fmt: skip

    def parameter(self, name: str, of: TensorType) -> None:
        """Record a parameter whose element type has no fixed bytes."""
        self._no_fixed_bytes(name, of)

    def operator(self, op: str, output: str) -> None:
        """Record an operation that ONNX does not define."""
        self._report(
            "operator",
            op,
            f"ONNX does not define it and the file records no shape for what it writes ({output})",
            "record the shapes of its outputs in the model (value_info), or replace the operation",
        )

    def bodies(self, name: str, op: str) -> None:
        """Report an operation that runs graphs of its own and does not say how: it searches until it is done."""
        self._report(
            "operator",
            name,
            f"{op} runs graphs of its own, and what it takes meanwhile is not known; what it writes is",
            "measure it: memprof verify",
        )

    def malformed(self, name: str, op: str, reason: str) -> None:
        """Record a node that its operation does not allow."""
        self._report(
            "node",
            name,
            f"it does not fit the operation {op}: {reason}",
            "repair the node, or export the model again",
        )

    def refused(self, name: str, op: str, reason: str) -> None:
        """Record a node that cannot run on what it reads, with sizes that are all known."""
        self._report(
            "node",
            name,
            f"{op} does not take what it reads, of these sizes: {reason}",
            "give other sizes (--input, --dim), or export the model again",
        )

    def elements(self, name: str, op: str, given: str, count: int) -> None:
        """Record an output whose size the elements of a small graph input decide."""
        example = ",".join(["N"] * min(count, _SHOWN_ELEMENTS)) + (",..." if count > _SHOWN_ELEMENTS else "")
        self._report(
            "shape", name, f"the elements of the graph input {given} decide what {op} writes",
            f"--value {_quoted(f'{given}={example}')}",
        )  # fmt: skip

    def output(self, name: str, op: str, of: TensorType) -> None:
        """Record an output of an ONNX operation whose size inference could not find."""
        if self._no_fixed_bytes(name, of):
            return
        if of.shape is None:
            self._report(
                "shape", name, f"what {op} reads does not determine the shape of what it writes",
                "record the shape of this tensor in the model (value_info)",
            )  # fmt: skip
            return
        for axis, dim in enumerate(of.shape):
            if isinstance(dim, str) and dim in self._symbols:
                self._report(
                    "dimension", dim, f"it depends on the data: {op} writes {name} as {format_shape(of)}",
                    f"--dim {_quoted(f'{dim}=1')}",
                )  # fmt: skip
            elif not isinstance(dim, int):
                self._report(
                    "shape", name, f"dimension {axis} of what {op} writes depends on the data",
                    f"--dim {_quoted(f'{name}[{axis}]=1')}",
                )  # fmt: skip

    def _no_fixed_bytes(self, name: str, of: TensorType) -> bool:
        if of.dtype in DTYPE_BITS:
            return False
        if of.dtype is None:
            if of.shape is None:
                return False
            self._report("dtype", name, "its element type is not known", "")
        else:
            self._report("dtype", name, f"a value of type {of.dtype} has no fixed number of bytes", "")
        return True

    def _report(self, kind: str, name: str, reason: str, hint: str) -> None:
        self._add(Unknown(kind=kind, name=safe_text(name), reason=safe_text(reason, 500), hint=safe_text(hint, 500)))

    def _add(self, unknown: Unknown) -> None:
        if len(self._found) < _MAX_ENTRIES:
            self._found.setdefault((unknown.kind, unknown.name), unknown)


def _quoted(text: str) -> str:
    return text if all(c.isalnum() or c in "_-./:=," for c in text) else "'" + text.replace("'", "'\\''") + "'"
