from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from torch import nn

from memprof.base.errors import InputError, LimitError, UsageError
from memprof.importers.request import Request
from memprof.importers.torch import pt2
from memprof.importers.torch.export import record_program
from memprof.importers.torch.graphs import build_graph
from memprof.importers.torch.loading import load_trusted
from memprof.importers.torch.pt2 import read_pt2
from memprof.ir import Graph
from tests.importers.torch.networks import NETWORKS, Convolutional


class Mixed(nn.Module):
    """Views by stride, a cache filled in place, several outputs, a block without gradient, branches."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)
        self.second.weight = self.first.weight

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.no_grad():
            y = self.second(self.first(x)).relu_()
        cache = torch.zeros(4, 6)
        cache[:, :3] = y[:, 3:]
        a, b = y.t().reshape(2, 12).split(1)
        z = torch.cond(y.sum() > 0, lambda v: v * 2, lambda v: v - 1, (a,))
        return z + b, cache


def saved(folder: Path, module: nn.Module, inputs: tuple[torch.Tensor, ...], **options: Any) -> tuple[Path, Graph]:
    program = torch.export.export(module.eval(), inputs, strict=False, **options)
    path = folder / "model.pt2"
    torch.export.save(program, path)
    return path, build_graph(record_program(program))


def shown(graph: Graph) -> list[object]:
    """What must agree: names of outputs differ where one operation writes several."""
    values = [(v.type, v.role, v.view_of, v.producer) for v in graph.values]
    nodes = [
        (n.op, n.inputs, n.outputs, n.module, n.is_elementwise, sorted(n.attributes.items()), len(n.bodies))
        for n in graph.nodes
    ]
    return [values, nodes, graph.inputs, graph.outputs]


@pytest.mark.parametrize("network", NETWORKS)
def test_an_archive_gives_the_graph_that_the_live_program_gives(network: str, tmp_path: Path) -> None:
    make, inputs = NETWORKS[network]
    path, expected = saved(tmp_path, make(), inputs)
    assert shown(read_pt2(Request(source=path)).graph) == shown(expected)


def test_views_caches_branches_and_tied_weights_survive_the_archive(tmp_path: Path) -> None:
    path, expected = saved(tmp_path, Mixed(), (torch.zeros(4, 6),))
    graph = read_pt2(Request(source=path)).graph
    assert shown(graph) == shown(expected)
    assert graph.parameter_bytes == 36 * 4 + 2 * 6 * 4
    assert [node.op for node in graph.nodes][:3] == ["aten.linear", "aten.linear", "aten.relu_"]


def test_open_sizes_are_bound_by_flags(tmp_path: Path) -> None:
    batch = torch.export.Dim("batch")
    path, _ = saved(tmp_path, Convolutional(), (torch.zeros(2, 3, 16, 16),), dynamic_shapes=({0: batch},))
    open_graph = read_pt2(Request(source=path)).graph
    (unknown,) = open_graph.unknown
    assert unknown.kind == "dimension"
    assert unknown.hint == f"--dim {unknown.name}=1"
    bound = read_pt2(Request(source=path, dims={unknown.name: 4})).graph
    assert bound == read_pt2(Request(source=path, inputs={"x": (4, 3, 16, 16)})).graph
    _, fixed = saved(tmp_path, Convolutional(), (torch.zeros(4, 3, 16, 16),))
    assert bound.value_bytes == fixed.value_bytes
    with pytest.raises(UsageError, match="no dimension 'height'"):
        read_pt2(Request(source=path, dims={"height": 4}))


def test_reading_an_archive_runs_no_pickle_and_imports_no_torch(tmp_path: Path) -> None:
    path, _ = saved(tmp_path, Convolutional(), (torch.zeros(2, 3, 16, 16),))
    code = (
        "import pickle, sys\n"
        "def refuse(*_): raise SystemExit('unpickled')\n"
        "pickle.load = pickle.loads = pickle.Unpickler = refuse\n"
        "import memprof\n"
        f"report = memprof.analyze({str(path)!r})\n"
        "assert report.runtimes['pytorch'].grade == 'estimate'\n"
        "assert 'torch' not in sys.modules and 'onnx' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_weight_that_is_not_there_is_not_missed(tmp_path: Path) -> None:
    path, expected = saved(tmp_path, Convolutional(), (torch.zeros(2, 3, 16, 16),))
    stripped = rewritten(path, lambda name, data: None if "/data/weights/weight_" in name else data)
    assert shown(read_pt2(Request(source=stripped)).graph) == shown(expected)


def test_the_older_layout_of_the_archive_is_read(tmp_path: Path) -> None:
    path, expected = saved(tmp_path, Convolutional(), (torch.zeros(2, 3, 16, 16),))
    with zipfile.ZipFile(path) as archive:
        program = archive.read("model/models/model.json")
    older = tmp_path / "older.pt2"
    with zipfile.ZipFile(older, "w") as archive:
        archive.writestr("serialized_exported_program.json", program)
    assert shown(read_pt2(Request(source=older)).graph) == shown(expected)


def test_pytorchs_own_loader_gives_the_same_bytes(tmp_path: Path) -> None:
    path, expected = saved(tmp_path, Convolutional(), (torch.zeros(2, 3, 16, 16),))
    graph = load_trusted(Request(source=path)).graph
    assert [node.op for node in graph.nodes] == [node.op for node in expected.nodes]
    assert graph.storage == expected.storage
    assert graph.value_bytes == expected.value_bytes


def rewritten(path: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """Return a copy of an archive, each entry changed or, where the change is ``None``, left out."""
    copied = path.with_name("changed.pt2")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(copied, "w") as new:
        for name in old.namelist():
            if (data := change(name, old.read(name))) is not None:
                new.writestr(name, data)
    return copied


def damaged(path: Path, damage: Callable[[Any], None]) -> Path:
    """Return a copy of an archive whose program is damaged."""

    def change(name: str, data: bytes) -> bytes:
        if not name.endswith("models/model.json"):
            return data
        program = json.loads(data)
        damage(program["graph_module"])
        return json.dumps(program).encode()

    return rewritten(path, change)


@pytest.mark.parametrize(
    "damage",
    {
        "no graph": lambda p: p.pop("graph"),
        "nodes are a number": lambda p: p["graph"].update(nodes=3),
        "a node is text": lambda p: p["graph"]["nodes"].insert(0, "conv"),
        "an unknown tensor is read": lambda p: p["graph"]["nodes"][0]["inputs"][0]["arg"]["as_tensor"].update(
            name="?"
        ),
        "a size is text": lambda p: p["graph"]["tensor_values"]["conv2d"].update(sizes=["12"]),
        "a size is negative": lambda p: p["graph"]["tensor_values"]["conv2d"]["sizes"].__setitem__(0, {"as_int": -5}),
        "a size is huge": lambda p: p["graph"]["tensor_values"]["conv2d"]["sizes"].__setitem__(0, {"as_int": 10**30}),
        "strides are missing": lambda p: p["graph"]["tensor_values"]["conv2d"].update(strides=[]),
        "an output that nobody writes": lambda p: p["graph"]["outputs"].append({"as_tensor": {"name": "?"}}),
        "signature is a list": lambda p: p.update(signature=[]),
    }.items(),
    ids=lambda item: item[0],
)
def test_a_damaged_program_is_one_clear_error(tmp_path: Path, damage: tuple[str, Callable[[Any], None]]) -> None:
    path, _ = saved(tmp_path, nn.Conv2d(3, 4, 3), (torch.zeros(1, 3, 8, 8),))
    with pytest.raises(InputError):
        read_pt2(Request(source=damaged(path, damage[1])))


def test_what_is_no_archive_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no file"):
        read_pt2(Request(source=tmp_path / "nothing.pt2"))
    text = tmp_path / "text.pt2"
    text.write_text("hello")
    with pytest.raises(InputError, match=r"no \.pt2 archive"):
        read_pt2(Request(source=text))
    empty = tmp_path / "empty.pt2"
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("readme", "hello")
    with pytest.raises(InputError, match="without an exported program"):
        read_pt2(Request(source=empty))
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("m/models/a.json", "{}")
        archive.writestr("m/models/b.json", "{}")
    with pytest.raises(InputError, match="holds 2 programs"):
        read_pt2(Request(source=empty))


def test_a_program_larger_than_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = saved(tmp_path, nn.ReLU(), (torch.zeros(3),))
    monkeypatch.setattr(pt2, "MAX_JSON_BYTES", 100)
    with pytest.raises(LimitError, match="more than 100 bytes"):
        read_pt2(Request(source=path))


def test_json_nested_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/models/model.json", "[" * 200_000)
    with pytest.raises(InputError):
        read_pt2(Request(source=path))
