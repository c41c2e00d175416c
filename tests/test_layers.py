"""Arrows between the layers point down, and heavy libraries stay in their rooms: every import judged by its syntax.

Two tables say what is allowed; all else fails. An import inside a function counts like one at the top of the file:
being late does not turn an arrow round. What only a type checker sees (``if TYPE_CHECKING``) is free.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import networkx as nx
import pytest

ROOT = Path(__file__).parents[1] / "memprof"

ALLOWED: Mapping[str, frozenset[str]] = {
    "base": frozenset(),
    "ir": frozenset({"base"}),
    "analysis": frozenset({"base", "ir"}),
    "importers": frozenset({"base", "ir"}),
    "runtimes": frozenset({"base", "ir", "analysis"}),
    "planning": frozenset({"base", "ir", "analysis", "runtimes"}),
    "results": frozenset({"base", "ir", "analysis", "runtimes", "importers"}),
    "boards": frozenset({"base", "ir", "planning", "runtimes"}),
    "exporters": frozenset({"base", "ir", "analysis", "runtimes", "importers", "planning"}),
    "measure": frozenset({"base", "ir", "analysis", "runtimes", "importers", "planning", "results"}),
    "api": frozenset({"base", "ir", "analysis", "runtimes", "importers", "planning", "results", "measure", "boards"}),
    "render": frozenset({"base", "boards", "ir", "analysis", "runtimes", "planning", "results"}),
    "plots": frozenset({"base", "ir", "analysis", "runtimes", "planning", "results"}),
    "gate": frozenset({"base", "boards", "importers", "planning", "results", "runtimes", "api"}),
    "pytest_plugin": frozenset({"base", "importers", "results", "render", "gate"}),
    "nas": frozenset({"base", ""}),  # the public names alone; its rooms are in the table below
    "cli": frozenset(
        {"base", "", "ir", "analysis", "runtimes", "importers", "planning", "results", "exporters", "api"}
    )
    | {"boards", "gate", "render", "plots", "measure", "nas"},
    "__main__": frozenset({"cli"}),
    "": frozenset({"api", "base", "ir", "results", "runtimes", "measure"}),  # resolved late
}
"""From a layer (the first part below ``memprof``, ``""`` for the package itself) to the layers it may import."""

NAS_ROOMS: Mapping[str, frozenset[str]] = {
    "jobs": frozenset(),
    "given": frozenset(),
    "space": frozenset(),
    "rank": frozenset({"jobs", "space"}),
    "train": frozenset({"given", "jobs", "space"}),
    "record": frozenset({"given", "jobs", "space", "rank", "train"}),
    "searching": frozenset({"given", "jobs", "space", "rank", "train", "record"}),
    "__init__": frozenset(),
}
"""From a room of ``memprof.nas`` to the rooms whose names it may import."""

LIBRARIES: Mapping[str, tuple[str, ...]] = {
    "onnx": ("importers/onnx/", "importers/onnxruntime", "exporters/", "measure/", "nas/searching/export"),
    "onnxruntime": ("importers/onnxruntime", "measure/", "nas/searching/export"),
    "torch": ("importers/torch", "exporters/torch", "measure/", "nas/rank/", "nas/train/", "nas/searching/"),
    "torchvision": ("importers/torch", "exporters/torch", "measure/", "nas/train/"),
    "onnxscript": ("exporters/", "nas/searching/export"),
    "rich": ("render/", "cli/"),
    "matplotlib": ("plots/",),
    "click": ("cli/",),
    "pytest": ("pytest_plugin",),
    "networkx": ("ir/", "planning/", "importers/", "exporters/"),
    "submitit": ("nas/searching/submitting",),
    "ray": ("nas/searching/raying",),
    "sklearn": ("nas/train/", "nas/rank/blend"),
    "threadpoolctl": ("nas/rank/one_thread",),
    "PIL": ("nas/train/encoded",),  # a dependency of torchvision's
    "numba": ("planning/",),
    "triton": ("nas/train/fused_kernels",),  # comes with torch for GPUs
    "tflite_micro": ("measure/",),
    "ai_edge_litert": ("measure/", "nas/searching/tflite"),
    "ai_edge_quantizer": ("nas/searching/tflite",),
    "litert_torch": ("nas/searching/tflite",),
    "executorch": ("measure/",),
    "numpy": (
        "importers/",
        "exporters/",
        "measure/",
        "planning/",
        "plots/",
        "nas/rank/",
        "nas/train/",
        "nas/searching/export",
        "nas/searching/tflite",
    ),
}
"""From a library to the paths below ``memprof`` that may import it; one that is not here may be imported nowhere."""

FREE = frozenset({"google"})  # protobuf's own errors, which onnx raises
STANDARD = frozenset(__import__("sys").stdlib_module_names)


def imported_modules(tree: ast.Module, package: str) -> Iterator[tuple[int, str]]:
    """Yield line and full name of every module that the file imports at run time, wherever it does."""
    skipped = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
        for branch in node.body
        for child in ast.walk(branch)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: -node.level + 1 or None] if node.level else []
            module = ".".join([*parts, *([node.module] if node.module else [])])
            # `from memprof import ir` imports a layer, `from memprof import analyze` a public name
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "memprof" else [module]
            yield from ((node.lineno, name) for name in names)


def layer_of(module: str) -> str:
    """Return the layer of a module of memprof: its first part, ``""`` for a public name of the package."""
    part = module.split(".")[1] if "." in module else ""
    return part if part in ALLOWED else ""


def room_of(module: str) -> str:
    """Return the room of a module of ``memprof.nas``."""
    return module.split(".")[2] if module.count(".") > 1 else "__init__"


def violations(path: str, source: str) -> list[str]:
    """Return what the two tables forbid in a file at ``path`` below ``memprof``."""
    inner = Path(path)
    package = ".".join(["memprof", *inner.parent.parts])
    own = layer_of(f"memprof.{inner.with_suffix('').as_posix().replace('/', '.')}")
    if path == "__init__.py":
        own = ""
    found = []
    for line, module in imported_modules(ast.parse(source), package):
        top = module.split(".")[0]
        if top == "memprof":
            target = layer_of(module)
            is_fine = target == own or target in ALLOWED[own]
            if own == target == "nas":
                here, there = room_of(f"memprof.{'.'.join(inner.with_suffix('').parts)}"), room_of(module)
                is_fine = here == there or there in NAS_ROOMS[here]
        else:
            is_fine = top in STANDARD | FREE or path.startswith(LIBRARIES.get(top, ()))
        if not is_fine:
            found.append(f"memprof/{path}:{line} imports {module}")
    return found


def test_every_import_follows_the_tables() -> None:
    files = sorted(ROOT.rglob("*.py"))
    assert len(files) > 30
    found = [v for file in files for v in violations(file.relative_to(ROOT).as_posix(), file.read_text())]
    assert found == []


def test_every_folder_and_file_of_the_package_is_in_the_table() -> None:
    there = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or any(path.rglob("*.py"))}
    assert there - {"__init__"} <= set(ALLOWED)


@pytest.mark.parametrize("table", [ALLOWED, NAS_ROOMS])
def test_the_table_has_no_cycle(table: Mapping[str, frozenset[str]]) -> None:
    done: set[str] = set()
    while ready := {layer for layer in table if layer not in done and table[layer] - {""} <= done}:
        done |= ready
    assert done == set(table)


def test_every_file_of_the_search_lies_in_a_room() -> None:
    assert {path.relative_to(ROOT / "nas").parts[0] for path in (ROOT / "nas").rglob("*.py")} == {
        f"{room}.py" if (ROOT / "nas" / f"{room}.py").is_file() else room for room in NAS_ROOMS
    }


def test_no_files_of_the_search_import_each_other_in_a_circle() -> None:
    reads = {}
    for file in (ROOT / "nas").rglob("*.py"):
        name = f"memprof.{'.'.join(file.relative_to(ROOT).with_suffix('').parts)}"
        reads[name] = {module for _, module in imported_modules(ast.parse(file.read_text()), name)} - {name}
    done: set[str] = set()
    while ready := {name for name in reads if name not in done and reads[name] & reads.keys() <= done}:
        done |= ready
    assert sorted(reads.keys() - done) == []


def file_arrows(files: Mapping[str, str]) -> dict[str, set[str]]:
    """Return, for each module, the modules of ``files`` that it imports: wherever it does, for a type checker too."""
    arrows: dict[str, set[str]] = {}
    for module, source in files.items():
        found = arrows.setdefault(module, set())
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = (f"{node.module}.{alias.name}" for alias in node.names)  # a module, or a name in one
                found.update(name if name in files else node.module for name in names)
    return {module: {target for target in found if target in files} - {module} for module, found in arrows.items()}


def circles(arrows: Mapping[str, set[str]]) -> list[list[str]]:
    """Return the sets of modules that reach one another: each has to be read to understand any other."""
    left = dict(arrows)
    while ready := [module for module, found in left.items() if found.isdisjoint(left)]:
        for module in ready:
            del left[module]
    return [sorted(found) for found in nx.strongly_connected_components(nx.DiGraph(left)) if len(found) > 1]


def modules() -> dict[str, str]:
    """Return the source of every module by its full name, that of a package being its ``__init__``."""
    return {
        ".".join(file.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__"): file.read_text()
        for file in ROOT.rglob("*.py")
    }


def test_no_files_import_one_another_in_a_circle() -> None:
    found = modules()
    assert len(found) > 200
    assert circles(file_arrows(found)) == []


@pytest.mark.parametrize("late", ["from memprof.b import f", "def f():\n    import memprof.b as b"])
def test_a_circle_of_files_is_seen(late: str) -> None:
    hint = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from memprof.a import A"
    files = {
        "memprof.a": late,
        "memprof.b": "from memprof import c",
        "memprof.c": hint,
        "memprof.d": "import memprof.a",
    }
    assert circles(file_arrows(files)) == [["memprof.a", "memprof.b", "memprof.c"]]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("ir/graph.py", "import memprof.analysis"),
        ("ir/graph.py", "from memprof import analyze"),
        ("ir/graph.py", "from memprof import results"),
        ("ir/graph.py", "from ..analysis import lifetimes"),
        ("analysis/lifetimes.py", "from memprof.runtimes.model import RuntimeModel"),
        ("runtimes/ideal/__init__.py", "def f():\n    from memprof.importers.request import Request"),
        ("results/report.py", "from memprof.api import analyze"),
        ("results/report.py", "def f():\n    from memprof.plots import plot_lifetimes"),
        ("api/asking.py", "def f():\n    import memprof.render.text"),
        ("render/text.py", "from memprof.cli import main"),
        ("nas/searching/rounds.py", "from memprof.api import analyze"),
        ("nas/searching/rounds.py", "from memprof.ir import Graph"),
        ("nas/space/budget.py", "from memprof.nas.record.settings import Settings"),
        ("nas/train/trainer.py", "def f():\n    import memprof.nas.rank.metric"),
        ("nas/record/state.py", "from memprof.nas import search"),
        ("nas/record/state.py", "import torch"),
        ("__init__.py", "import memprof.render"),
        ("runtimes/pytorch/__init__.py", "import torch"),
        ("runtimes/pytorch/__init__.py", "def f():\n    from torch import nn"),
        ("ir/graph.py", "import onnx.helper as h"),
        ("api/asking.py", "import matplotlib.pyplot"),
        ("analysis/macs/counting.py", "import numpy as np"),
        ("cli/analyze.py", "try:\n    import pandas\nexcept ImportError:\n    pass"),
    ],
)
def test_the_checker_sees_a_forbidden_import(path: str, source: str) -> None:
    assert len(violations(path, source)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("ir/graph.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch, memprof.api"),
        ("ir/graph.py", "from memprof.ir.types import Dim"),
        ("nas/searching/rounds.py", "from memprof import analyze\nfrom memprof.base.errors import UsageError"),
        (
            "nas/record/state.py",
            "from memprof.nas.rank.metric import Metric\nfrom memprof.nas.record.scores import x",
        ),
        ("importers/torch/export.py", "import torch"),
        ("cli/analyze.py", "import os, click\nfrom memprof.render.text import render_text"),
    ],
)
def test_the_checker_lets_an_allowed_import_pass(path: str, source: str) -> None:
    assert violations(path, source) == []
