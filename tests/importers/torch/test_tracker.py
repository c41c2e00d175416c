from __future__ import annotations

import pytest

pytest.importorskip("torch")

import torch

from memprof.importers.torch.graphs import build_graph
from memprof.importers.torch.records import Recording
from memprof.importers.torch.tracker import StorageTracker
from memprof.ir import Role


def finished(tracker: StorageTracker) -> Recording:
    return tracker.recording("", [])


def test_a_storage_dies_with_its_last_reference() -> None:
    tracker = StorageTracker()
    with tracker.watching():
        x = torch.zeros(8)  # operation 0
        view = x[2:4]  # 1
        del x
        y = view + 1  # 2
        del view
        z = y * 2  # 3
    sizes_and_lives = [(s.size_bytes, s.start, s.stop) for s in finished(tracker).storages]
    assert sizes_and_lives[:3] == [(32, 0, 3), (8, 2, None), (8, 3, None)]
    del y, z


def test_an_address_that_is_used_again_is_a_new_storage() -> None:
    tracker = StorageTracker()
    addresses = set()
    with tracker.watching():
        for _ in range(20):
            x = torch.zeros(64)
            addresses.add(x.untyped_storage()._cdata)
            del x
    storages = finished(tracker).storages
    assert len(addresses) < 20, "the allocator gave every storage an address of its own, so the case is not tested"
    assert [(s.start, s.stop) for s in storages] == [(i, i + 1) for i in range(20)]


def test_a_storage_that_grows_is_counted_anew() -> None:
    tracker = StorageTracker()
    with tracker.watching():
        x = torch.zeros(4)
        x.resize_(100)
        x.add_(1)
    assert [(s.size_bytes, s.start, s.stop) for s in finished(tracker).storages] == [(16, 0, 1), (400, 1, None)]


def test_what_existed_before_is_no_part_of_the_run() -> None:
    weight, constant = torch.ones(4), torch.ones(2)
    tracker = StorageTracker()
    tracker.add_known(weight, Role.PARAMETER, "fc.weight", "fc")
    with tracker.watching():
        held = weight[:2] * constant
    storages = finished(tracker).storages
    assert [(s.role, s.name) for s in storages] == [
        (Role.PARAMETER, "fc.weight"),
        (Role.PARAMETER, "constant"),
        (Role.INTERMEDIATE, ""),
    ]
    del held


def test_a_tensor_made_from_a_python_list_is_part_of_the_run() -> None:
    tracker = StorageTracker()
    with tracker.watching():
        held = torch.tensor([1.0, 2.0]) + 1
    assert [s.role for s in finished(tracker).storages] == [Role.INTERMEDIATE, Role.INTERMEDIATE]
    del held


def test_changes_are_those_that_the_schema_marks() -> None:
    tracker = StorageTracker()
    with tracker.watching():
        x = torch.zeros(4)
        x.mul_(2)
        torch.add(x, 1, out=x)
        y = x + 1
    assert [bool(op.changes) for op in finished(tracker).ops] == [False, True, True, False]
    del y


def test_attributes_are_numbers_and_lists_of_them_by_name() -> None:
    tracker = StorageTracker()
    with tracker.watching():
        torch.nn.functional.max_pool2d(torch.zeros(1, 1, 8, 8), 3, stride=2, padding=1)
    pool = finished(tracker).ops[-1]
    assert dict(pool.attributes) == {"kernel_size": (3, 3), "stride": (2, 2), "padding": (1, 1)}


def test_readers_of_running_statistics_wait_for_what_updates_them() -> None:
    norm = torch.nn.BatchNorm2d(3)
    tracker = StorageTracker()
    for name, tensor in (*norm.named_parameters(), *norm.named_buffers()):
        tracker.add_known(tensor, Role.PARAMETER, name)
    with tracker.watching():
        outputs = [norm(torch.zeros(2, 3, 4, 4)), norm.running_mean + 1, norm.running_var * 2]
    graph = build_graph(tracker.recording("run", outputs))
    ops = [node.op for node in graph.nodes]
    updates = set(graph.nodes[ops.index("aten.native_batch_norm")].writes)
    for op in ("aten.add", "aten.mul"):
        assert updates.intersection(graph.nodes[ops.index(op)].reads), op
