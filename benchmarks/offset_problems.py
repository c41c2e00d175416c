"""Allocation problems for the benchmarks: published tables, random buffers from a seed, networks in two orders."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import exp, log
from pathlib import Path
from random import Random

from network_cells import GENOTYPES
from networks import random_wired_network, searched_network, transformer_training_step

from memprof.ir import Graph, GraphBuilder, NewValue, TensorType
from memprof.planning.minimalloc import read_csv
from memprof.planning.offsets.problem import AllocationBuffer, AllocationProblem

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def random_buffers(count: int, seed: int, steps: int = 10_000) -> AllocationProblem:
    """Return buffers with uniform starts, and log-uniform sizes and lengths.

    Sizes are multiples of 64 bytes up to 1 MiB, lengths go from one step to a fifth of all.
    """
    rng = Random(seed)
    buffers = []
    for i in range(count):
        start = rng.randrange(steps)
        length = int(exp(rng.uniform(0, log(steps / 5))))
        size = 64 * int(exp(rng.uniform(0, log(16384))))
        stop = min(steps, start + max(1, length))
        buffers.append(AllocationBuffer(name=str(i), start=start, stop=stop, size_bytes=size))
    return AllocationProblem(buffers=tuple(buffers))


def gap_problem() -> AllocationProblem:
    """Return nine buffers that need ten bytes, though nine are alive at a time: a greedy plan proves nothing here."""
    rows = [(0, 7, 5), (0, 4, 2), (0, 2, 2), (2, 5, 1), (2, 6, 1), (4, 5, 1), (4, 6, 1), (5, 7, 2), (6, 7, 2)]
    buffers = [AllocationBuffer(name=str(i), start=a, stop=b, size_bytes=size) for i, (a, b, size) in enumerate(rows)]
    return AllocationProblem(buffers=tuple(buffers))


def published_problems() -> dict[str, tuple[AllocationProblem, int]]:
    """Return the tables of minimalloc's benchmark, each with the capacity that its file name promises."""
    folder = SHARED / "allocation"
    return {
        path.name.split(".")[0]: (read_csv(path).problem, int(path.name.split(".")[1]))
        for path in sorted(folder.glob("?.1048576.csv"))
    }


def training_tensors() -> AllocationProblem | None:
    """Return the tensors of MindSpore's ResNet-50 training step, ``None`` where the table is missing."""
    path = SHARED / "allocation" / "somas_resnet50.csv"
    return read_csv(path).problem if path.exists() else None


def networks() -> Iterator[Graph]:
    """Yield the shared operator graphs, and some of the generated networks."""
    for path in sorted((SHARED / "graphs").glob("*.json")):
        yield _read_graph(path)
    for name, genotype in GENOTYPES.items():
        yield searched_network(f"{name}, 32 pixels", genotype, channels=36, cells=20, image=32)
        yield searched_network(f"{name}, 224 pixels", genotype, channels=48, cells=14, image=224)
    for seed in range(3):
        yield random_wired_network(seed)
    yield transformer_training_step(12)


def _read_graph(path: Path) -> Graph:
    data = json.loads(path.read_text())
    builder = GraphBuilder(path.stem)
    sizes: list[int] = data["sizes"]
    ids: dict[int, int | None] = {
        t: builder.add_input(f"t{t}", TensorType.of_bytes(sizes[t])) for t in data["inputs"]
    }
    for op in data["ops"]:
        written = builder.add_node(
            op["name"],
            [ids[t] for t in op["ins"]],
            [NewValue(f"t{t}", TensorType.of_bytes(sizes[t])) for t in op["outs"]],
            is_elementwise=op["inp"],
            is_foldable=False,
        )
        ids.update(zip(op["outs"], written, strict=True))
    return builder.build([i for t in data["outputs"] if (i := ids[t]) is not None])
