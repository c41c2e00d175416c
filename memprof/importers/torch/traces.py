"""Records -> Trace: everything as it ran, in-place operations as windows onto what they changed. Pure.

A storage becomes a value when it is first written or given; each further window onto it is a view of that value. A
read finds the window with the same layout that was made last, else the storage's first value. O(tensors).
"""

from __future__ import annotations

from collections.abc import Sequence

from memprof.importers.torch.graphs import add_known
from memprof.importers.torch.layouts import may_overwrite, tensor_type
from memprof.importers.torch.naming import Names, name_known, short_name
from memprof.importers.torch.records import OpRecord, Run, StorageRecord, TensorRecord
from memprof.ir import GraphBuilder, NewValue, Role
from memprof.ir.trace import Category, StorageLife, Trace


def build_trace(run: Run) -> Trace:
    """Return what ran as a Trace."""
    recording = run.recording
    builder = GraphBuilder(recording.name)
    names = Names()
    roots: dict[int, int] = {}
    windows: dict[TensorRecord, int] = {}
    for index, name in name_known(names, recording.storages).items():
        roots[index] = add_known(builder, name, recording.storages[index])
    for op in recording.ops:
        reads = [None if tensor is None else windows.get(tensor, roots.get(tensor.storage)) for tensor in op.reads]
        name = names.unique(op.name or short_name(op.op))
        outputs = [
            NewValue(names.output(name, i), tensor_type(tensor), roots.get(tensor.storage))
            for i, tensor in enumerate(op.writes)
        ]
        written = builder.add_node(
            op.op,
            reads,
            outputs,
            name=name,
            is_elementwise=may_overwrite(op),
            is_foldable=False,  # a run computes everything anew
            attributes=op.attributes,
            module=op.module or _module_of_parameters(op, recording.storages),
            line=op.line,
        )
        for tensor, value_id in zip(op.writes, written, strict=True):
            if value_id is not None:
                roots.setdefault(tensor.storage, value_id)
                windows[tensor] = value_id
    outputs_ids = [windows.get(t, roots.get(t.storage)) for t in recording.outputs]
    graph = builder.build(i for i in outputs_ids if i is not None)
    end = max(1, len(recording.ops))
    forward_end = next((phase.stop for phase in run.phases if phase.name == "forward"), end)
    lives = tuple(
        StorageLife(
            value=roots[index],
            size_bytes=storage.size_bytes or 0,
            start=storage.start,
            stop=end if storage.stop is None else max(storage.stop, min(storage.start + 1, end)),
            device=storage.device,
            category=run.categories.get(index) or _category(storage, forward_end, is_training=len(run.phases) > 1),
        )
        for index, storage in enumerate(recording.storages)
        if index in roots
    )
    return Trace(
        graph=graph,
        storages=lives,
        phases=run.phases,
        device=run.device,
        tensors=run.tensors,
        caveat=run.caveat,
    )


def _category(storage: StorageRecord, forward_end: int, *, is_training: bool) -> Category:
    if storage.role is Role.INPUT:
        return Category.INPUT
    if storage.role is Role.PARAMETER:
        return Category.PARAMETER
    survives = storage.stop is None or storage.stop > forward_end
    return Category.ACTIVATION if is_training and storage.start < forward_end and survives else Category.OTHER


def _module_of_parameters(op: OpRecord, storages: Sequence[StorageRecord]) -> str:
    modules = {
        storages[tensor.storage].module
        for tensor in op.reads
        if tensor is not None and storages[tensor.storage].window is not None
    }
    return modules.pop() if len(modules) == 1 else ""
