"""Small programs on storages, as records: made at random, run as PyTorch would, and run as any order of their graph.

A storage is a list of numbers; a window shows some of its places. Operations: ``aten.mul`` (a new tensor),
``aten.mul_`` (in place), ``aten.slice`` (a view), ``aten.cumsum_`` (in place, not elementwise), ``aten.zeros_like``.
"""

from __future__ import annotations

import random

from memprof.importers.torch.records import OpRecord, Recording, StorageRecord, TensorRecord
from memprof.ir import Graph, Role

Storage = list[float]


def window(storage: int, size: int, offset: int = 0, step: int = 1) -> TensorRecord:
    return TensorRecord(storage, "float32", (size,), (step,), offset)


def places(tensor: TensorRecord) -> list[int]:
    assert tensor.strides is not None
    return [int(tensor.offset) + i * int(tensor.strides[0]) for i in range(int(tensor.shape[0]))]


def random_program(rng: random.Random, length: int) -> Recording:
    sizes = [4, 4]
    storages = [
        StorageRecord(size_bytes=16, role=Role.INPUT, name="x", window=window(0, 4)),
        StorageRecord(size_bytes=16, role=Role.PARAMETER, name="w", window=window(1, 4)),
    ]
    tensors = [window(0, 4), window(1, 4)]
    ops: list[OpRecord] = []
    for i in range(length):
        kind = rng.choice(["aten.mul", "aten.mul", "aten.mul_", "aten.slice", "aten.cumsum_", "aten.zeros_like"])
        a = rng.choice(tensors)
        reads = [a, rng.choice(tensors)] if kind.startswith("aten.mul") else [a]
        changes: tuple[int, ...] = ()
        if kind == "aten.slice":
            result = window(
                a.storage,
                size := rng.randint(1, int(a.shape[0])),
                rng.choice(places(a)[: int(a.shape[0]) - size + 1]),
                int((a.strides or (1,))[0]),
            )
        elif kind.endswith("_"):
            result, changes = a, (a.storage,)
        else:
            result = window(len(storages), int(a.shape[0]))
            sizes.append(int(a.shape[0]))
            storages.append(StorageRecord(size_bytes=4 * int(a.shape[0])))
        tensors.append(result)
        ops.append(
            OpRecord(op=kind, reads=tuple(reads), writes=(result,), changes=changes, attributes={"number": i + 2})
        )
    outputs = tuple(rng.sample(tensors, min(3, len(tensors))))
    return Recording(name="random", ops=tuple(ops), storages=tuple(storages), outputs=outputs)


def compute(kind: str, number: int, inputs: list[list[float]]) -> list[float]:
    a = inputs[0]
    if kind.startswith("aten.mul"):
        b = inputs[1]
        return [value * 3 + b[i % len(b)] + number for i, value in enumerate(a)]
    if kind == "aten.cumsum_":
        return [sum(a[: i + 1]) + number for i in range(len(a))]
    return [float(number)] * len(a)


def run_program(recording: Recording) -> list[list[float]]:
    """Return the outputs of the program, run in its own order on its own storages."""
    memory = [
        [1.0 + i + 10 * s for i in range((storage.size_bytes or 0) // 4)]
        for s, storage in enumerate(recording.storages)
    ]
    for op in recording.ops:
        if op.op != "aten.slice":
            inputs = [[memory[t.storage][p] for p in places(t)] for t in op.reads if t is not None]
            result = compute(op.op, int(op.attributes["number"]), inputs)  # type: ignore[arg-type]
            for place, value in zip(places(op.writes[0]), result, strict=True):
                memory[op.writes[0].storage][place] = value
    return [[memory[t.storage][p] for p in places(t)] for t in recording.outputs]


def run_graph(graph: Graph, recording: Recording, order: list[int]) -> list[list[float]]:
    """Return the outputs of the graph, its nodes run in ``order``, one array per value that owns storage."""
    windows: dict[int, TensorRecord] = {}
    memory: dict[int, Storage] = {}
    for value_id, storage in zip((0, 1), recording.storages, strict=False):
        assert storage.window is not None
        windows[value_id] = storage.window
        memory[value_id] = [1.0 + i + 10 * storage.window.storage for i in range(4)]
    for node_id in order:
        node, op = graph.nodes[node_id], recording.ops[node_id]
        output = node.outputs[0]
        assert output is not None
        windows[output] = op.writes[0]
        root = graph.storage[output]
        if node.op == "aten.slice":
            continue
        reads = [i for i in node.inputs[: len(op.reads)] if i is not None]
        inputs = [[memory[graph.storage[i]][p] for p in places(t)] for i, t in zip(reads, op.reads, strict=True)]
        result = compute(node.op, int(op.attributes["number"]), inputs)  # type: ignore[arg-type]
        if root == output:
            memory[root] = [0.0] * ((recording.storages[op.writes[0].storage].size_bytes or 0) // 4)
        for place, value in zip(places(op.writes[0]), result, strict=True):
            memory[root][place] = value
    return [
        [memory[graph.storage[i]][p] for p in places(t)]
        for i, t in zip(graph.outputs, recording.outputs, strict=True)
    ]


def random_order(graph: Graph, rng: random.Random) -> list[int]:
    """Return a topological order of the nodes, by what they read alone."""
    waiting = {
        node_id: {producer for i in node.reads if (producer := graph.values[i].producer) is not None}
        for node_id, node in enumerate(graph.nodes)
    }
    order: list[int] = []
    while waiting:
        ready = [node_id for node_id, needs in waiting.items() if needs <= set(order)]
        chosen = rng.choice(ready)
        del waiting[chosen]
        order.append(chosen)
    return order
