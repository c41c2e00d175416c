"""torch.export -> records -> Graph. The module is exported on tensors without memory: no weight is allocated.

    FX node                                                     becomes
    placeholder of a parameter or buffer                        a parameter; tied ones share a storage and count once
    placeholder of the user's input                             an input
    call of an operator                                         an operation; storages come from the fake tensors that
                                                                   export kept of every result, so views are exact
    getitem                                                     nothing: it names an output of the call before it
    a wrapped block (no_grad, autocast)                         its operations, in place
    other higher-order operators (cond, while_loop)             a plain operation; its bodies are listed as unknown
    arithmetic on sizes                                         nothing

Sizes that the program leaves open become symbols, as text: ``s0``, ``2*s0``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.export.graph_signature import InputKind

from memprof.importers.torch.graphs import build_graph
from memprof.importers.torch.ops import RANDOM, base_name
from memprof.importers.torch.records import OpRecord, Recording, StorageRecord, TensorRecord
from memprof.importers.torch.tracker import dtype_name, plain_attributes
from memprof.ir import Dim, Graph, Role, Unknown

_INLINED = frozenset({"wrap_with_set_grad_enabled", "wrap_with_autocast", "hints_wrapper"})


def program_graph(program: torch.export.ExportedProgram, name: str = "") -> Graph:
    """Return an exported program as a Graph."""
    return build_graph(record_program(program, name))


def record_program(program: torch.export.ExportedProgram, name: str = "") -> Recording:
    """Return what an exported program holds, as records."""
    reader = _Reader()
    specs = {spec.arg.name: spec for spec in program.graph_signature.input_specs}
    for node in program.graph.nodes:
        if node.op == "placeholder":
            spec = specs.get(node.name)
            if spec is None or spec.kind is InputKind.USER_INPUT:
                reader.add_known(node, Role.INPUT, node.name)
            else:
                target = str(spec.target or node.name)
                reader.add_known(node, Role.PARAMETER, target)
    reader.walk(program.graph_module, {})
    found = next(node for node in program.graph.nodes if node.op == "output").args
    outputs = [window for value in _fake_tensors(found) if (window := reader.window(value)) is not None]
    return Recording(
        name=name,
        ops=tuple(reader.ops),
        storages=tuple(reader.storages),
        outputs=tuple(outputs),
        unknown=tuple(reader.unknown),
    )


@dataclass(slots=True)
class _Reader:
    ops: list[OpRecord] = field(default_factory=list)
    storages: list[StorageRecord] = field(default_factory=list)
    unknown: list[Unknown] = field(default_factory=list)
    _index_of_address: dict[int, int] = field(default_factory=dict)
    _keep: list[torch.Tensor] = field(default_factory=list)

    def add_known(self, node: Any, role: Role, name: str) -> None:
        value = node.meta.get("val")
        if not isinstance(value, torch.Tensor):
            return
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

    def walk(self, module: torch.fx.GraphModule, arguments: Mapping[str, Any]) -> None:
        """Read the calls of ``module``; ``arguments`` are what its placeholders stand for, in a wrapped block."""
        for node in module.graph.nodes:
            if node.op == "get_attr":
                held = getattr(module, node.target, None)
                if isinstance(held, torch.Tensor) and isinstance(node.meta.get("val"), torch.Tensor):
                    self.add_known(node, Role.PARAMETER, str(node.target))
            elif node.op == "call_function":
                self._call(module, node)

    def _call(self, module: torch.fx.GraphModule, node: Any) -> None:
        if isinstance(node.target, torch._ops.HigherOrderOperator):
            bodies = [getattr(module, arg.target) for arg in node.args if getattr(arg, "op", "") == "get_attr"]
            bodies = [body for body in bodies if isinstance(body, torch.fx.GraphModule)]
            if str(node.target) in _INLINED and len(bodies) == 1:
                self.walk(bodies[0], {})
                return
            self.unknown.append(
                Unknown(
                    kind="operator",
                    name=node.name,
                    reason=f"the bodies of {node.target} are not counted",
                    hint="Export the branch that runs.",
                )
            )
        elif not isinstance(node.target, torch._ops.OpOverload):
            return
        self._record(node)

    def _record(self, node: Any) -> None:
        writes = [self.window(value) for value in _fake_tensors(node.meta.get("val"))]
        named, changed = _arguments(node)
        reads = tuple(self.window(value) for value in _fake_tensors(tuple(named.values())))
        op = _op_name(node.target)
        if not writes and not changed:
            return
        self.ops.append(
            OpRecord(
                op=op,
                reads=reads,
                writes=tuple(writes),
                changes=tuple(sorted({self._index(v) for key in changed for v in _fake_tensors(named.get(key))})),
                name=node.name.rstrip("_"),
                module=_module_path(node),
                attributes=plain_attributes(named),
                is_random=base_name(op) in RANDOM,
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


def _dim(size: Any) -> Dim:
    return size if isinstance(size, int) else _known(size) or str(size)


def _known(size: Any) -> int | None:
    expression = getattr(getattr(size, "node", None), "expr", None)
    return int(expression) if expression is not None and expression.is_number else None
