"""A module as ExecuTorch's exporter lowers it: core operators without side effects, copies in place of views.

    torch.export -> torch's own decomposition into core operators -> here
    what it leaves                                becomes
    a view that only renames the shape            a view, unless the caller gets it: then a copy
    any other view (transposed, sliced, widened)  a copy
    a slice of everything, a cast to the same     nothing
    a number beside a tensor, types that differ   a cast of what differs, the number's own included
    a buffer or an input that is written          one copy back at the end
    an operator of several outputs                all of them, also those that nobody reads

Source: ``exir/program/_program.py`` and ``exir/passes`` of ExecuTorch 1.5 with its default configuration: no backend
takes operators over. What it plans for the result: ``memprof.runtimes.executorch``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch._decomp import get_decompositions
from torch._prims_common import ELEMENTWISE_TYPE_PROMOTION_KIND as PROMOTION
from torch._prims_common import elementwise_dtypes
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.export.graph_signature import InputKind, OutputKind

from memprof.base.errors import InputError
from memprof.base.text import first_line
from memprof.importers.torch.calls import Call
from memprof.importers.torch.causes import quiet
from memprof.importers.torch.fakes import Placeholders
from memprof.importers.torch.ops import DTYPES, ELEMENTWISE, RANDOM
from memprof.importers.torch.tracker import plain_attributes
from memprof.ir import Attribute, Dim, Graph, GraphBuilder, NewValue, TensorType, Unknown

FORMAT = "torch.lowered"

_ATEN = torch.ops.aten
_RESHAPES = frozenset({_ATEN.view.default, _ATEN._unsafe_view.default, _ATEN.view_copy.default})
_SLICES = frozenset({_ATEN.slice.Tensor, _ATEN.slice_copy.Tensor})
_PROMOTED = {
    _ATEN.add.Tensor: PROMOTION.DEFAULT,
    _ATEN.mul.Tensor: PROMOTION.DEFAULT,
    _ATEN.sub.Tensor: PROMOTION.DEFAULT,
    _ATEN.div.Tensor: PROMOTION.INT_TO_FLOAT,
    _ATEN.div.Tensor_mode: PROMOTION.DEFAULT,
    _ATEN.minimum.default: PROMOTION.DEFAULT,
}
"""Operators whose operands are cast to one element type first, and the rule for it."""

_WRITTEN = frozenset({OutputKind.BUFFER_MUTATION, OutputKind.USER_INPUT_MUTATION})


def lower_module(module: torch.nn.Module, call: Call, name: str) -> Graph:
    """Return what the exporter makes of ``module``, without its memory.

    Args:
        module: It is not changed.
        call: What to call it with; shapes and types alone are used.
        name: Name of the graph.

    Raises:
        InputError: torch.export or its decompositions cannot read it.
    """
    placeholders = Placeholders("cpu")
    copied, given = placeholders.module(module).eval(), placeholders.call(call)
    assert isinstance(placeholders.mode, FakeTensorMode)
    try:
        with quiet(), placeholders.mode:
            program = torch.export.export(copied, given.args, dict(given.kwargs), strict=False)
            return lower_program(program, name)
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{name} cannot be lowered: {first_line(error)}.", "torch.export and run_decompositions must read it."
        ) from error


def lower_program(program: torch.export.ExportedProgram, name: str) -> Graph:
    """Return what the exporter makes of an exported program.

    Raises:
        InputError: Its decompositions cannot read it.
    """
    table: Any = torch.export.default_decompositions()
    table.update(get_decompositions([_ATEN.linalg_vector_norm.default]))
    try:
        with quiet():
            lowered = program.run_decompositions(table)
    except Exception as error:
        raise InputError(
            f"{name} cannot be lowered: {first_line(error)}.", "run_decompositions must read it."
        ) from error
    lowered.graph.eliminate_dead_code()
    return _Lowering(lowered, name).graph()


class _Lowering:
    """One program on its way to a Graph."""

    def __init__(self, program: torch.export.ExportedProgram, name: str) -> None:
        self.program = program
        self.builder = GraphBuilder(name)
        self.ids: dict[Any, int] = {}  # from a node of torch.fx to a value
        self.parts: dict[Any, tuple[int | None, ...]] = {}  # the same for a node of several outputs
        self.bases: dict[int, int] = {}  # from a copied reshape to what it copies
        self.targets: dict[str, int] = {}
        self.copies = 0

    def graph(self) -> Graph:
        specs: Any = {spec.arg.name: spec for spec in self.program.graph_signature.input_specs}
        for node in self.program.graph.nodes:
            value = node.meta.get("val")
            if node.op == "placeholder" and isinstance(value, torch.Tensor):
                spec = specs.get(node.name)
                is_input = spec is None or spec.kind is InputKind.USER_INPUT
                add = self.builder.add_input if is_input else self.builder.add_parameter
                self.ids[node] = add(node.name, _type(value))
                self.targets[node.name if is_input else str(spec.target)] = self.ids[node]
            elif node.op == "call_function":
                self._call(node)
        return self.builder.build(self._outputs())

    def _outputs(self) -> list[int]:
        """Write state back, and return what the caller gets, state first."""
        (returned,) = self.program.graph.output_node().args
        kept, given = [], []
        for spec, node in zip(self.program.graph_signature.output_specs, returned, strict=True):
            value = self.ids.get(node)
            if value is None:
                continue
            target = self.targets.get(str(spec.target)) if spec.kind in _WRITTEN else None
            if target is None:
                given.append(value)
            else:
                new = NewValue(f"{node.name}_written", self._type_of(target), target)
                kept.append(self._add("aten.copy_", [target, value], [new], node, is_foldable=False)[0])
        return [*kept, *given]

    def _call(self, node: Any) -> None:
        if getattr(node.target, "__name__", "") == "getitem":
            source, position = node.args
            parts = self.parts.get(source, ())
            if isinstance(position, int) and -len(parts) <= position < len(parts):
                part = parts[position]
                if part is not None:
                    self.ids[node] = part
            return
        results = list(_tensors(node.meta.get("val")))
        if not results:
            return
        if isinstance(node.target, torch._ops.HigherOrderOperator):
            reason = f"{node.target} runs bodies, whose plan is not predicted"
            self.builder.add_unknown(Unknown(kind="operator", name=node.name, reason=reason))
        reads = (
            self._cast(node) if node.target in _PROMOTED else [self.ids[i] for i in _inputs(node) if i in self.ids]
        )
        if self._is_nothing(node):
            self.ids[node] = reads[0]
            return
        view = self._viewed(node, reads)
        names = [node.name] if len(results) == 1 else [f"{node.name}.{i}" for i in range(len(results))]
        made = [NewValue(name, _type(each), view) for name, each in zip(names, results, strict=True)]
        written = self._add(_op(node.target), reads if view is None else [view], made, node)
        if node.target in _RESHAPES and view is None:
            self.bases[written[0]] = self._base(reads[0])
        if isinstance(node.meta["val"], torch.Tensor):
            self.ids[node] = written[0]
        else:
            rest = iter(written)
            self.parts[node] = tuple([next(rest) if isinstance(v, torch.Tensor) else None for v in node.meta["val"]])

    def _viewed(self, node: Any, reads: list[int]) -> int | None:
        """Return what a reshape is a view of; a copy that the caller gets is none."""
        if node.target not in _RESHAPES or any(user.op == "output" for user in node.users):
            return None
        return self._base(reads[0])

    def _base(self, value: int) -> int:
        return self.bases.get(value, value)

    def _is_nothing(self, node: Any) -> bool:
        if node.target not in _SLICES and node.target is not _ATEN._to_copy.default:
            return False
        before, after = node.args[0].meta["val"], node.meta["val"]
        if node.target in _SLICES:
            return bool(before.shape == after.shape)
        return bool((before.dtype, before.shape, before.stride()) == (after.dtype, after.shape, after.stride()))

    def _cast(self, node: Any) -> list[int]:
        """Return the operands of an elementwise operator, each cast to the type that it computes in."""
        operands = [
            each.meta["val"] if isinstance(each, torch.fx.Node) else torch.tensor(each, device="meta")
            for each in node.args[:2]
        ]
        plain = [each for each in operands if isinstance(each, torch.Tensor)]
        kind = _PROMOTED[node.target]
        if node.target is _ATEN.div.Tensor_mode and node.kwargs.get("rounding_mode") is None:
            kind = PROMOTION.INT_TO_FLOAT
        dtype = elementwise_dtypes(*plain, type_promotion_kind=kind)[1]
        found = []
        for argument, operand in zip(node.args[:2], operands, strict=True):
            value = self.ids.get(argument) if isinstance(argument, torch.fx.Node) else None
            if isinstance(operand, torch.Tensor) and operand.dtype != dtype:
                self.copies += 1
                given = [] if value is None else [value]
                new = NewValue(f"{node.name}.cast{self.copies}", _type(operand, dtype))
                found.append(self._add("aten._to_copy", given, [new], node)[0])
            elif value is not None:
                found.append(value)
        return found

    def _add(
        self, op: str, reads: list[int], made: list[NewValue], node: Any, *, is_foldable: bool = True
    ) -> list[int]:
        stack = node.meta.get("nn_module_stack") or {}
        written = self.builder.add_node(
            op,
            reads,
            made,
            name=made[0].name,
            is_elementwise=op in ELEMENTWISE,
            is_foldable=is_foldable and op not in RANDOM,
            attributes=_attributes(node),
            module=str(list(stack.values())[-1][0]) if stack else "",
        )
        return [value for value in written if value is not None]

    def _type_of(self, target: int) -> TensorType:
        node = next(node for node, value in self.ids.items() if value == target)
        return _type(node.meta["val"])


def _op(target: Any) -> str:
    if isinstance(target, torch._ops.OpOverload):
        return str(target._schema.name).replace("::", ".")
    return f"higher_order.{target}"


def _attributes(node: Any) -> dict[str, Attribute]:
    if not isinstance(node.target, torch._ops.OpOverload):
        return {}
    names = [argument.name for argument in node.target._schema.arguments]
    return plain_attributes(dict(zip(names, node.args, strict=False)) | dict(node.kwargs))


def _inputs(node: Any) -> Iterator[Any]:
    yield from _nodes((*node.args, *node.kwargs.values()))


def _nodes(tree: Any) -> Iterator[Any]:
    if isinstance(tree, torch.fx.Node):
        yield tree
    elif isinstance(tree, list | tuple):
        for item in tree:
            yield from _nodes(item)


def _tensors(tree: Any) -> Iterator[torch.Tensor]:
    if isinstance(tree, torch.Tensor):
        yield tree
    elif isinstance(tree, list | tuple):
        for item in tree:
            yield from _tensors(item)


def _type(tensor: torch.Tensor, dtype: torch.dtype | None = None) -> TensorType:
    name = str(dtype or tensor.dtype).removeprefix("torch.")
    return TensorType(DTYPES.get(name), tuple(map(_dim, tensor.shape)))


def _dim(size: Any) -> Dim:
    return size if isinstance(size, int) else str(size)
