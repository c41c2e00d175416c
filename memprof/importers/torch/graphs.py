"""Records -> Graph: the operations with in-place ones made functional where that changes nothing. Pure.

    what an operation changes                                   what becomes of it
    a whole storage, elementwise, and no older window onto it   a value of its own, read by all that follow;
    is read later (``relu_`` after a convolution)                  ``is_elementwise`` says that it may overwrite
    anything else (a slice, a cache, a parameter)               a view of what it changed. All that read the storage
                                                                   before it must stay before it, all that read it
                                                                   after must stay after: they read its output

"Must stay before" is an output of no bytes (``NAME.done``) of the earlier operation that the later one reads, so that
the graph says by its edges alone which orders are right; ``tests/importers/torch/test_graphs.py`` runs them.
O(records) plus, for each change, the windows onto that storage.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from memprof.importers.torch.layouts import covers_storage, may_overwrite, tensor_type
from memprof.importers.torch.naming import Names, name_known, short_name
from memprof.importers.torch.ops import ELEMENTWISE, VIEWS, base_name
from memprof.importers.torch.records import OpRecord, Recording, StorageRecord, TensorRecord
from memprof.ir import Graph, GraphBuilder, NewValue, Role, TensorType

_TOKEN = TensorType("uint8", (0,))


def build_graph(recording: Recording) -> Graph:
    """Return what was recorded as a Graph, in the order it ran."""
    changes = _Changes(recording)
    state = _State(GraphBuilder(recording.name), Names(), is_run=recording.is_run)
    for index, name in name_known(state.names, recording.storages).items():
        state.roots[index] = add_known(state.builder, name, recording.storages[index])
    for position, op in enumerate(recording.ops):
        _add_op(state, changes, position, op)
    for unknown in recording.unknown:
        state.builder.add_unknown(unknown)
    for assumption in recording.assumed:
        state.builder.add_assumption(assumption)
    found = [state.find(tensor) for tensor in recording.outputs]
    return state.builder.build(value_id for value_id in found if value_id is not None)


def add_known(builder: GraphBuilder, name: str, storage: StorageRecord) -> int:
    """Add what existed before the first operation; return its id."""
    assert storage.window is not None, "only what existed before has a window of its own"
    value_type = tensor_type(storage.window)
    if storage.role is Role.INPUT:
        return builder.add_input(name, value_type, storage.module)
    if storage.role is Role.CAPTURE:
        return builder.add_capture(name, value_type)
    return builder.add_parameter(name, value_type, storage.module)


@dataclass(slots=True)
class _State:
    """What the records seen so far have become.

    Attributes:
        is_run: Whether a run was recorded, which computes everything anew: nothing can be folded ahead of it.
        roots: Storage -> the value that owns it now.
        windows: Storage -> window -> the value that shows it.
        last_change: Storage -> the value to read by all that must run after the last change.
        tokens: Storage -> outputs of no bytes of those that must run before the next change.
    """

    builder: GraphBuilder
    names: Names
    is_run: bool
    roots: dict[int, int] = field(default_factory=dict)
    windows: defaultdict[int, dict[TensorRecord, int]] = field(default_factory=lambda: defaultdict(dict))
    last_change: dict[int, int] = field(default_factory=dict)
    tokens: defaultdict[int, list[int]] = field(default_factory=lambda: defaultdict(list))

    def find(self, tensor: TensorRecord) -> int | None:
        return self.windows[tensor.storage].get(tensor, self.roots.get(tensor.storage))


def _add_op(state: _State, changes: _Changes, position: int, op: OpRecord) -> None:
    shared = [storage for storage in op.changes if (position, storage) not in changes.functional]
    functional = [storage for storage in op.changes if (position, storage) in changes.functional]
    reads = [None if tensor is None else state.find(tensor) for tensor in op.reads]
    touched = {tensor.storage for tensor in op.reads if tensor is not None}
    after = [state.last_change[s] for s in sorted(touched | set(shared)) if s in state.last_change]
    before = [token for storage in shared for token in state.tokens.pop(storage, ())]
    reads += [i for i in dict.fromkeys(after + before) if i not in reads]
    name = state.names.unique(op.name or short_name(op.op))
    outputs = [
        NewValue(
            state.names.output(name, i),
            tensor_type(tensor),
            None if tensor.storage in functional else state.roots.get(tensor.storage),
        )
        for i, tensor in enumerate(op.writes)
    ]
    guards = [] if op.op in VIEWS else sorted(s for s in touched if changes.is_changed_after(position, s))
    returned = {tensor.storage for tensor in op.writes}
    needs_token = bool(guards) or any(storage not in returned for storage in shared)
    if needs_token:
        outputs.append(NewValue(state.names.unique(f"{name}.done"), _TOKEN))
    written = state.builder.add_node(
        op.op,
        reads,
        outputs,
        name=name,
        is_elementwise=may_overwrite(op) and not shared,
        is_foldable=not (
            state.is_run
            or op.is_random
            or any(changes.is_changed_after(position, tensor.storage) for tensor in op.writes)
        ),
        attributes=op.attributes,
        module=op.module,
        line=op.line,
        captures=[i for i in reads if i is not None] if op.bodies else (),
        bodies=[build_graph(body) for body in op.bodies],
    )
    ids = [value_id for value_id in written if value_id is not None]
    for tensor, value_id in zip(op.writes, ids, strict=False):
        if tensor.storage in functional:
            state.windows[tensor.storage] = {}
            state.roots[tensor.storage] = value_id
        state.roots.setdefault(tensor.storage, value_id)
        state.windows[tensor.storage][tensor] = value_id
    for storage in shared:
        mine = [i for tensor, i in zip(op.writes, ids, strict=False) if tensor.storage == storage]
        state.last_change[storage] = mine[0] if mine else ids[-1]
    for storage in guards:
        state.tokens[storage].append(ids[-1])


class _Changes:
    """Which changes can be made functional, and which storages are changed in place after a given operation."""

    def __init__(self, recording: Recording) -> None:
        self._storages = recording.storages
        self._events: dict[int, list[tuple[int, TensorRecord, bool]]] = defaultdict(list)
        self._last_shared: dict[int, int] = {}
        changed = {storage for op in recording.ops for storage in op.changes}
        for position, op in enumerate(recording.ops):
            self._note(position, (t for t in op.reads if t is not None and t.storage in changed), is_write=False)
            self._note(position, (t for t in op.writes if t.storage in changed), is_write=True)
        self._note(len(recording.ops), (t for t in recording.outputs if t.storage in changed), is_write=False)
        self.functional: set[tuple[int, int]] = set()
        for position, op in enumerate(recording.ops):
            for storage in op.changes:
                if self._is_functional(position, op, storage):
                    self.functional.add((position, storage))
                else:
                    self._last_shared[storage] = position

    def is_changed_after(self, position: int, storage: int) -> bool:
        """Tell whether an operation after ``position`` changes ``storage`` in a way that stays in place."""
        return self._last_shared.get(storage, -1) > position

    def _note(self, position: int, tensors: Iterable[TensorRecord], *, is_write: bool) -> None:
        for tensor in tensors:
            self._events[tensor.storage].append((position, tensor, is_write))

    def _is_functional(self, position: int, op: OpRecord, storage: int) -> bool:
        record = self._storages[storage]
        target = next((t for t in op.reads if t is not None and t.storage == storage), None)
        if (
            record.role is not Role.INTERMEDIATE
            or target is None
            or target not in op.writes
            or base_name(op.op) not in ELEMENTWISE
            or not (covers_storage(target, record) or target == self._events[storage][0][1])
        ):
            return False
        stale = {tensor for at, tensor, _ in self._events[storage] if at < position and tensor != target}
        for at, tensor, is_write in self._events[storage]:
            if at <= position or tensor not in stale:
                continue
            if not is_write:
                return False
            stale.discard(tensor)
        return True
