"""Orders with the smallest peak: time, proof and what rivals reach, on networks whose best order is hard to see.

    python benchmarks/ordering.py [--graphs DIR] [--models DIR] [--seconds 5] [--json FILE]

    graphs     operator graphs as JSON with their proven optima beside them (optima.csv)
    networks   NASNet-A, AmoebaNet-A, PNASNet-5, DARTS and others from their published cells, at two settings
    wired      20 random-wired networks of three 32-node stages (Watts-Strogatz, k = 4, p = 0.75)
    models     every .onnx in DIR
    tangled    one block of 96 and of 128 nodes that nothing cuts: order, bound and gap in the time given
    scale      a transformer's training step of about 1,000, 10,000 and 100,000 operations

Each with nothing in place and with contracted in-place operations. Rivals, as peak over the best found: given
order, onnxruntime's, the depth-first, breadth-first and least-peak rules of PyTorch's compiler, least net bytes.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nas_record import write_record
from network_cells import GENOTYPES
from networks import random_wired_network, searched_network, tangled_block, transformer_training_step

from memprof import Graph, GraphBuilder, NewValue, TensorType, load
from memprof.planning.ordering.candidates import breadth_first, depth_first, least_net, least_peak, leaves_first
from memprof.planning.ordering.find import find_order
from memprof.planning.ordering.kinds import PROBLEMS
from memprof.planning.ordering.problem import OrderProblem
from memprof.planning.ordering.reduction import reduce_problem

RIVALS = {
    "onnxruntime": leaves_first,
    "depth": depth_first,
    "breadth": breadth_first,
    "least peak": least_peak,
    "least net": least_net,
}
SETTINGS = {"cifar": (36, 20, 32), "imagenet": (48, 14, 224)}
"""Channels, cells and image side."""

MAX_RIVAL_OPERATIONS = 3000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graphs", type=Path, help="folder of operator graphs and optima.csv")
    parser.add_argument("--models", type=Path, help="folder of .onnx files")
    parser.add_argument("--seconds", type=float, default=5.0, help="time for one search")
    parser.add_argument("--json", type=Path, help="file to write")
    options = parser.parse_args()
    print(f"{'graph':<34}{'kind':<11}{'ops':>7}{'given':>8}{'best MB':>10}  proof, s; rivals as peak over best")
    rows = [
        run(name, graph, kind, known_bytes if kind == "reference" else None, options.seconds)
        for name, graph, known_bytes in sources(options.graphs, options.models)
        for kind in ("reference", "contracted")
    ]
    proven = sum(row["is_optimal"] for row in rows)
    wrong = [row["graph"] for row in rows if row["known_bytes"] not in (None, row["peak_bytes"])]
    slowest = max((row["seconds"] for row in rows if row["is_optimal"]), default=0.0)
    print(
        f"{proven} of {len(rows)} proven optimal, the slowest of them in {slowest:.2f} s; other than known: {wrong}"
    )
    write_record(options.json, {"seconds": options.seconds, "proven": proven, "rows": rows})


def sources(graphs: Path | None, models: Path | None) -> Iterator[tuple[str, Graph, int | None]]:
    """Yield name, graph and the known optimum."""
    if graphs is not None:
        with (graphs / "optima.csv").open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                path = graphs / f"{row['graph']}.json"
                yield row["graph"], read_graph(path), int(row["optimal_peak_bytes"])
    for setting, (channels, cells, image) in SETTINGS.items():
        for name, genotype in GENOTYPES.items():
            full = f"{name}_{setting}"
            yield full, searched_network(full, genotype, channels=channels, cells=cells, image=image), None
    for seed in range(20):
        yield f"random_wired_{seed}", random_wired_network(seed), None
    for path in sorted(models.glob("*.onnx")) if models is not None else ():
        yield path.stem, load(str(path)).graph, None
    for nodes in (96, 128):
        yield f"tangled_{nodes}", tangled_block(nodes, 4, 0), None
    for layers in (18, 176, 1756):
        yield f"training_{57 * layers}", transformer_training_step(layers), None


def run(name: str, graph: Graph, kind: str, known_bytes: int | None, seconds: float) -> dict[str, Any]:
    problem = PROBLEMS[kind](graph)
    found = find_order(problem, seconds)
    rivals = rival_peaks(problem) if problem.op_count <= MAX_RIVAL_OPERATIONS else {}
    best = found.peak_bytes or 1
    shown = " ".join(f"{rival} {peak / best:.2f}" for rival, peak in rivals.items())
    state = "optimal" if found.is_optimal else f"gap {found.peak_bytes / max(1, found.lower_bound_bytes) - 1:.1%}"
    print(
        f"{name[:33]:<34}{kind:<11}{problem.op_count:>7,}{found.before_bytes / best:>8.3f}{best / 1e6:>10.3f}"
        f"  {state}, {found.seconds:.2f}; {shown}",
        flush=True,
    )
    return {
        "graph": name,
        "kind": kind,
        "operations": problem.op_count,
        "before_bytes": found.before_bytes,
        "peak_bytes": found.peak_bytes,
        "lower_bound_bytes": found.lower_bound_bytes,
        "known_bytes": known_bytes,
        "is_optimal": found.is_optimal,
        "proof": found.proof,
        "seconds": found.seconds,
        "rivals": rivals,
    }


def rival_peaks(problem: OrderProblem) -> dict[str, int]:
    reduced = reduce_problem(problem)
    return {name: problem.peak_bytes(reduced.expand(rule(reduced.piece))) for name, rule in RIVALS.items()}


def read_graph(path: Path) -> Graph:
    """Read an operator graph: operations with the ids of the tensors they read and write, tensors with bytes."""
    data = json.loads(path.read_text(encoding="utf-8"))
    builder = GraphBuilder(data["name"])
    ids = {i: builder.add_input(f"t{i}", TensorType.of_bytes(data["sizes"][i])) for i in data["inputs"]}
    for step, op in enumerate(data["ops"]):
        outputs = [NewValue(f"t{i}", TensorType.of_bytes(data["sizes"][i])) for i in op["outs"]]
        written = builder.add_node(
            op["name"],
            [ids[i] for i in op["ins"]],
            outputs,
            name=f"n{step}",
            is_elementwise=op["inp"],
            is_foldable=False,
        )
        ids.update((i, value) for i, value in zip(op["outs"], written, strict=True) if value is not None)
    return builder.build([ids[i] for i in data["outputs"]])


if __name__ == "__main__":
    main()
