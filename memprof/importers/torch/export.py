"""torch.export -> records -> Graph. The module is exported on tensors without memory: no weight is allocated.

    FX node                                                     becomes
    placeholder of a parameter or buffer                        a parameter; tied ones share a storage and count once
    placeholder of the user's input                             an input
    call of an operator                                         an operation; storages come from the fake tensors that
                                                                   export kept of every result, so views are exact;
                                                                   a program loaded from a file lost them: ``sharing``
    getitem                                                     nothing: it names an output of the call before it
    a wrapped block (no_grad, autocast)                         its operations, in place
    other higher-order operators (cond, while_loop)             an operation with bodies
    arithmetic on sizes                                         nothing

Sizes that the program leaves open become symbols, as text: ``s0``, ``2*s0``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.export.graph_signature import InputKind

from memprof.base.errors import LimitError
from memprof.importers.torch.lines import line_of
from memprof.importers.torch.ops import INLINED, MAX_BODY_DEPTH, RANDOM, autocast_note, base_name
from memprof.importers.torch.records import OpRecord, Recording, StorageRecord, TensorRecord
from memprof.importers.torch.sharing import Layout, shares_input
from memprof.importers.torch.tracker import dtype_name, plain_attributes
from memprof.ir import Assumption, Dim, Role


def record_program(program: torch.export.ExportedProgram, name: str = "") -> Recording:
    """Return what an exported program holds, as records."""
    reader = _start(program)
    reader.walk(program.graph_module)
    return reader.recording(name, program.graph)


def _start(program: torch.export.ExportedProgram) -> _Reader:
    """Return a reader that knows what exists before the program runs."""
    reader = _Reader()
    specs = {spec.arg.name: spec for spec in program.graph_signature.input_specs}
    for node in program.graph.nodes:
        if node.op == "placeholder":
            spec = specs.get(node.name)
            if spec is None or spec.kind is InputKind.USER_INPUT:
                reader.add_known(node, Role.INPUT, node.name)
            else:
                target = str(spec.target or node.name)
                held = program.state_dict.get(target, program.constants.get(target))
                reader.add_known(node, Role.PARAMETER, target, held)
    return reader


def _record_body(module: torch.fx.GraphModule, depth: int) -> Recording:
    if depth > MAX_BODY_DEPTH:
        raise LimitError(f"Bodies of control flow nest more than {MAX_BODY_DEPTH} deep.")
    reader = _Reader(depth)
    for node in module.graph.nodes:
        if node.op == "placeholder":
            reader.add_known(node, Role.CAPTURE, node.name)
    reader.walk(module)
    return reader.recording("", module.graph)


@dataclass(slots=True)
class _Reader:
    _depth: int = 0
    assumed: list[Assumption] = field(default_factory=list)
    ops: list[OpRecord] = field(default_factory=list)
    storages: list[StorageRecord] = field(default_factory=list)
    _index_of_address: dict[int, int] = field(default_factory=dict)
    _index_of_held: dict[int, int] = field(default_factory=dict)
    _keep: list[torch.Tensor] = field(default_factory=list)

    def recording(self, name: str, graph: torch.fx.Graph) -> Recording:
        """Return what was read; ``graph`` says what the caller gets."""
        found = next(node for node in graph.nodes if node.op == "output").args
        return Recording(
            name=name,
            ops=tuple(self.ops),
            storages=tuple(self.storages),
            outputs=tuple(self.window(value) for value in _fake_tensors(found)),
            assumed=tuple(dict.fromkeys(self.assumed)),
        )

    def add_known(self, node: Any, role: Role, name: str, held: Any = None) -> None:
        """Add what exists before the program runs; ``held`` is the tensor itself, which tied parameters share."""
        value = node.meta.get("val")
        if not isinstance(value, torch.Tensor):
            return
        if isinstance(held, torch.Tensor):
            tied = self._index_of_held.setdefault(held.untyped_storage()._cdata, self._index(value))
            self._keep.append(value)
            self._index_of_address[value.untyped_storage()._cdata] = tied
        index = self._index(value)
        if self.storages[index].window is None:
            self.storages[index] = StorageRecord(
                size_bytes=self.storages[index].size_bytes,
                role=role,
                name=name,
                module=name.rpartition(".")[0] if role is Role.PARAMETER else "",
                window=self.window(value),
            )

    def window(self, value: torch.Tensor) -> TensorRecord:
        return TensorRecord(
            self._index(value),
            dtype_name(value.dtype),
            tuple(map(_dim, value.shape)),
            tuple(map(_dim, value.stride())),
            _dim(value.storage_offset()),
        )

    def walk(self, module: torch.fx.GraphModule) -> None:
        """Read the calls of ``module``."""
        for node in module.graph.nodes:
            self.visit(module, node)

    def visit(self, module: torch.fx.GraphModule, node: Any) -> None:
        """Read one node of ``module``."""
        if node.op == "get_attr":
            held = getattr(module, node.target, None)
            if isinstance(held, torch.Tensor) and isinstance(node.meta.get("val"), torch.Tensor):
                self.add_known(node, Role.PARAMETER, str(node.target))
        elif node.op == "call_function":
            self._call(module, node)

    def _call(self, module: torch.fx.GraphModule, node: Any) -> None:
        if isinstance(node.target, torch._ops.HigherOrderOperator):
            held = [getattr(module, arg.target) for arg in node.args if getattr(arg, "op", "") == "get_attr"]
            bodies = [body for body in held if isinstance(body, torch.fx.GraphModule)]
            if str(node.target) in INLINED and len(bodies) == 1:
                if (note := autocast_note(str(node.target), node.args)) is not None:
                    self.assumed.append(note)
                self._inline(node, bodies[0])
                return
            self._record(node, tuple(_record_body(body, self._depth + 1) for body in bodies))
        elif isinstance(node.target, torch._ops.OpOverload):
            self._record(node, ())

    def _inline(self, node: Any, body: torch.fx.GraphModule) -> None:
        given = [value for argument in node.args for value in _fake_tensors(argument)]
        inner = [found.meta["val"] for found in body.graph.nodes if found.op == "placeholder"]
        self._alias([value for value in inner if isinstance(value, torch.Tensor)], given)
        self.walk(body)
        results = next(found for found in body.graph.nodes if found.op == "output").args
        self._alias(list(_fake_tensors(node.meta.get("val"))), list(_fake_tensors(results)))

    def _alias(self, names: list[torch.Tensor], tensors: list[torch.Tensor]) -> None:
        for name, tensor in zip(names, tensors, strict=False):
            self._index_of_address[name.untyped_storage()._cdata] = self._index(tensor)
            self._keep.append(name)

    def _record(self, node: Any, bodies: tuple[Recording, ...]) -> None:
        named, changed = _arguments(node)
        inputs = list(_fake_tensors(tuple(named.values())))
        outputs = list(_fake_tensors(node.meta.get("val")))
        if not outputs and not changed:
            return
        op, attributes = _op_name(node.target), plain_attributes(named)
        for output in outputs:
            is_new = output.untyped_storage()._cdata not in self._index_of_address
            if is_new and inputs and shares_input(op, _layout(inputs[0]), _layout(output), attributes):
                self._alias([output], inputs[:1])
        self.ops.append(
            OpRecord(
                op=op,
                reads=tuple(map(self.window, inputs)),
                writes=tuple(map(self.window, outputs)),
                changes=tuple(sorted({self._index(v) for key in changed for v in _fake_tensors(named.get(key))})),
                name=node.name.rstrip("_"),
                module=_module_path(node),
                line=line_of(node.meta.get("stack_trace")),
                attributes=attributes,
                is_random=base_name(op) in RANDOM,
                bodies=bodies,
            )
        )

    def _index(self, value: torch.Tensor) -> int:
        storage = value.untyped_storage()
        index = self._index_of_address.get(storage._cdata)
        if index is None:
            index = self._index_of_address[storage._cdata] = len(self.storages)
            size = storage.nbytes()
            self.storages.append(StorageRecord(size_bytes=size if isinstance(size, int) else _known(size)))
            self._keep.append(value)
        return index


def _arguments(node: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return {str(i): value for i, value in enumerate(node.args)} | dict(node.kwargs), ()
    names = [argument.name for argument in schema.arguments]
    named = dict(zip(names, node.args, strict=False)) | dict(node.kwargs)
    return named, tuple(a.name for a in schema.arguments if a.alias_info is not None and a.alias_info.is_write)


def _op_name(target: Any) -> str:
    if isinstance(target, torch._ops.OpOverload):
        return str(target._schema.name).replace("::", ".")
    return f"higher_order.{target}"


def _fake_tensors(tree: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors of a result, or those that FX nodes in a tree of arguments stand for."""
    if isinstance(tree, torch.Tensor):
        yield tree
    elif isinstance(tree, torch.fx.Node):
        yield from _fake_tensors(tree.meta.get("val"))
    elif isinstance(tree, list | tuple):
        for item in tree:
            yield from _fake_tensors(item)


def _module_path(node: Any) -> str:
    stack = node.meta.get("nn_module_stack")
    if not stack:
        return ""
    path, _ = next(reversed(stack.values()))
    return str(path)


def _layout(tensor: torch.Tensor) -> Layout:
    return Layout(
        dtype_name(tensor.dtype),
        tuple(map(_example, tensor.shape)),
        tuple(map(_example, tensor.stride())),
        tensor.device.type,
    )


def _example(size: Any) -> int:
    return size if isinstance(size, int) else int(getattr(size.node, "hint", None) or 2)


def _dim(size: Any) -> Dim:
    return size if isinstance(size, int) else _known(size) or str(size)


def _known(size: Any) -> int | None:
    expression = getattr(getattr(size, "node", None), "expr", None)
    return int(expression) if expression is not None and expression.is_number else None
