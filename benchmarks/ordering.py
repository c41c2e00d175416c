"""Orders: the planner beside the orders that runtimes use and plain dynamic programming, on the same graphs.

    python benchmarks/ordering.py [--only SECTION ...] [--seconds 5] [--shared DIR] [--json PATH]

Section ``scored`` stands apart: under runtime models whose reuse depends on the order, the order of ``plan`` beside
the best of those that its bound and the related problems find alone, in the same time, on the graphs of ``study``.

Sections: ``study`` (graphs with known optima, if DIR holds them), ``cells``, ``wired``, ``torchvision`` and
``training`` (need torch and torchvision; no weights are allocated), ``checkpointed`` (training steps of decoders that
compute each layer again for its gradients), ``tangled`` (beyond proof: order, bound and gap),
``size`` (1,000 operations that need no search; 100,000), ``forks`` (chains to merge, branches that are alike). Every
line gives the peak as a multiple of the planner's, and the seconds, which are of the processor:

    given      the order of the file
    ort        onnxruntime's default order        (memprof.planning.ordering.candidates.leaves_first)
    lpmf bfs dfs   PyTorch Inductor's three rules (least_peak, breadth_first, depth_first)
    merge      hill-valley merge of chains (Liu 1987), where a graph is a fork of chains
    cp_sat     Google's CP-SAT (ortools), one worker, from the given order on, in as many seconds; in
               ``tangled`` and ``forks``, up to 150 operations; its bound is in the record
    downsets   plain dynamic programming over downsets, given the must-pass operations for free: 1.00 where it ends
               within a number of states, "-" where it does not
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from families import branches, forked_chains, merge_chains, order_by_cp_sat
from nas_record import ROOT, write_record
from network_cells import GENOTYPES
from networks import (
    checkpointed_training_step,
    random_genotype,
    random_wired_network,
    searched_network,
    tangled_block,
    transformer_training_step,
)

from memprof import load
from memprof.ir import Graph, GraphBuilder, NewValue, TensorType
from memprof.planning.meter import Meter
from memprof.planning.ordering.candidates import CANDIDATES
from memprof.planning.ordering.find import find_order
from memprof.planning.ordering.masks import Masks, bits
from memprof.planning.ordering.piece import Piece, must_pass_cuts, windows
from memprof.planning.ordering.problem import OrderProblem
from memprof.planning.ordering.reduction import reduce_problem
from memprof.planning.ordering.scored import find_scored_order
from memprof.planning.rules import PROBLEMS, RULES
from memprof.runtimes import RuntimeModel
from memprof.runtimes.late import find

RIVALS = {"ort": "leaves_first", "lpmf": "least_peak", "bfs": "breadth_first", "dfs": "depth_first"}
KINDS = ("reference", "contracted")
MAX_DOWNSETS = 50_000
MAX_RIVAL_OPS = 3_000
MAX_SOLVER_OPS = 150
SOLVED_BY_OTHERS = ("tangled", "forks")

Cases = Iterator[tuple[str, Callable[[], Graph]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One graph under one kind of problem; ratios are to the planner's peak."""

    section: str
    network: str
    kind: str
    operations: int
    peak_bytes: int
    lower_bound_bytes: int
    is_optimal: bool
    proof: str
    seconds: float
    given: float
    rivals: Mapping[str, float]
    downsets: float | None
    known_optimum_bytes: int | None
    cp_sat_bound_bytes: int | None = None


def main() -> None:
    """Run the chosen sections, print a line per graph and a summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=[*SECTIONS, "scored"], default=list(SECTIONS))
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    lines: list[Line] = []
    rows: list[dict[str, Any]] = []
    print(f"{'network':34}{'kind':11}{'ops':>7}{'MB':>10} {'proven':7}{'s':>7}", *(f"{n:>6}" for n in HEADINGS))
    if "scored" in arguments.only:
        rows = list(_scored(arguments.shared, arguments.seconds))
    for section in arguments.only:
        if section == "scored":
            continue
        optima = _optima(arguments.shared)
        for name, make in SECTIONS[section](arguments.shared):
            graph = make()
            for kind in KINDS:
                known = optima.get(name) if kind == "reference" else None
                line = measure(section, name, PROBLEMS[kind](graph), kind, arguments.seconds, known)
                if section in SOLVED_BY_OTHERS:
                    line = _beside_solvers(line, graph, PROBLEMS[kind](graph), arguments.seconds)
                lines.append(line)
                print(_shown(line), flush=True)
    print("\n".join(_summary(lines)))
    worse = [row["network"] for row in rows if row["scored_bytes"] > row["portfolio_bytes"]]
    if rows:
        better = sum(row["scored_bytes"] < row["portfolio_bytes"] for row in rows)
        print(f"scored: lower than the portfolio on {better} of {len(rows)}, higher on {len(worse)}")
    write_record(
        arguments.json,
        {"seconds_limit": arguments.seconds, "lines": [asdict(line) for line in lines], "scored": rows},
    )
    wrong = [line for line in lines if line.known_optimum_bytes not in (None, line.peak_bytes)]
    if wrong:
        sys.exit(f"not at the known optimum: {', '.join(line.network for line in wrong)}")


def measure(section: str, name: str, problem: OrderProblem, kind: str, seconds: float, known: int | None) -> Line:
    """Return the planner's answer and its rivals' on one problem."""
    # Of the processor: what else the machine does is no matter.
    result = find_order(problem, Meter(seconds, clock=time.process_time))
    assert problem.is_order(result.order)
    assert problem.peak_bytes(result.order) == result.peak_bytes <= result.before_bytes
    peak_bytes = result.peak_bytes or 1
    rivals: dict[str, float] = {}
    downsets = None
    if problem.op_count <= MAX_RIVAL_OPS:
        reduction = reduce_problem(problem)
        for rival, rule in RIVALS.items():
            order = reduction.expand(CANDIDATES[rule](reduction.piece))
            rivals[rival] = problem.peak_bytes(order) / peak_bytes
        found = peak_by_downsets(reduction.piece)
        downsets = None if found is None else found / peak_bytes
    return Line(
        section=section,
        network=name,
        kind=kind,
        operations=problem.op_count,
        peak_bytes=result.peak_bytes,
        lower_bound_bytes=result.lower_bound_bytes,
        is_optimal=result.is_optimal,
        proof=result.proof,
        seconds=result.seconds,
        given=result.before_bytes / peak_bytes,
        rivals=rivals,
        downsets=downsets,
        known_optimum_bytes=known,
    )


def _beside_solvers(line: Line, graph: Graph, problem: OrderProblem, seconds: float) -> Line:
    """Return ``line`` with the hill-valley merge, where there are chains, and with CP-SAT."""
    merged = merge_chains(graph) if line.section == "forks" else None
    if merged is not None:
        line = replace(line, rivals={**line.rivals, "merge": problem.peak_bytes(merged) / max(1, line.peak_bytes)})
    solved = order_by_cp_sat(problem, seconds) if problem.op_count <= MAX_SOLVER_OPS else None
    if solved is not None:
        order, bound = solved
        assert problem.is_order(order)
        ratio = problem.peak_bytes(order) / max(1, line.peak_bytes)
        line = replace(line, rivals={**line.rivals, "cp_sat": ratio}, cp_sat_bound_bytes=bound)
    return line


def _scored(shared: Path, seconds: float) -> Iterator[dict[str, Any]]:
    """Yield and print, by graph and runtime model, the peak of ``plan``'s order and of the portfolio's."""
    print(f"{'network':34}{'runtime':13}{'given':>12}{'portfolio':>12}{'scored':>12}{'ratio':>7}{'bound':>12}")
    for name, make in _study(shared):
        graph = make()
        for runtime, row in RULES.items():
            if row.ordering is None or row.ordering.is_exact:
                continue
            found = find_scored_order(
                graph,
                partial(_peak_bytes, row),
                floor=partial(PROBLEMS[runtime], graph),
                related=[partial(find(late), graph) for late in row.ordering.related],
                seconds=Meter(seconds, clock=time.process_time),
            )
            names = (row.ordering.bound, *row.ordering.related)
            orders = [
                find_order(find(late)(graph), Meter(seconds / len(names), clock=time.process_time)).order
                for late in names
            ]
            portfolio = min(found.before_bytes, *(_peak_bytes(row, graph, order) for order in orders))
            ratio = found.peak_bytes / max(1, portfolio)
            print(
                f"{name:34}{runtime:13}{found.before_bytes:12}{portfolio:12}{found.peak_bytes:12}{ratio:7.3f}"
                f"{found.lower_bound_bytes:12}",
                flush=True,
            )
            yield {
                "network": name,
                "runtime": runtime,
                "given_bytes": found.before_bytes,
                "portfolio_bytes": portfolio,
                "scored_bytes": found.peak_bytes,
                "lower_bound_bytes": found.lower_bound_bytes,
            }


def _peak_bytes(row: RuntimeModel, graph: Graph, order: Sequence[int]) -> int:
    return row.lifetimes(graph, order).timeline.peak_bytes


def peak_by_downsets(piece: Piece) -> int | None:
    """Return the smallest peak by plain dynamic programming, ``None`` if a stretch has too many downsets."""
    during, _ = piece.steps(range(len(piece.ops)))
    peak_bytes = max(piece.start_bytes, piece.end_bytes)
    ranges = []
    for start, stop in pairwise(must_pass_cuts(piece)):
        if stop - start == 1:
            peak_bytes = max(peak_bytes, during[start])
        else:
            ranges.append((start, stop))
    for window in windows(piece, range(len(piece.ops)), ranges):
        masks = Masks(window)
        layer = {0: (0, window.start_bytes, masks.sources)}
        states = 0
        for _ in window.ops:
            following: dict[int, tuple[int, int, int]] = {}
            for state, (highest, alive, ready) in layer.items():
                for op in bits(ready):
                    opened = masks.opened(state, op)
                    reached = state | 1 << op
                    step = max(highest, alive + opened + masks.scratch[op])
                    if reached not in following or step < following[reached][0]:
                        after = alive + opened - masks.closed(state, op)
                        following[reached] = (step, after, ready & ~(1 << op) | masks.readied(reached, op))
            layer = following
            states += len(layer)
            if states > MAX_DOWNSETS:
                return None
        peak_bytes = max(peak_bytes, layer[masks.everything][0])
    return peak_bytes


def _study(shared: Path) -> Cases:
    for path in sorted((shared / "graphs").glob("*.json")):
        yield path.stem, partial(read_study_graph, path)


def read_study_graph(path: Path) -> Graph:
    """Read a graph of operations with tensor ids in and out, and the tensors' bytes."""
    data = json.loads(path.read_text(encoding="utf-8"))
    builder = GraphBuilder(data["name"])
    ids: dict[int, int] = {}
    for tensor in data["inputs"]:
        ids[tensor] = builder.add_input(f"t{tensor}", TensorType.of_bytes(data["sizes"][tensor]))
    for op in data["ops"]:
        new = [NewValue(f"t{tensor}", TensorType.of_bytes(data["sizes"][tensor])) for tensor in op["outs"]]
        reads = [ids[tensor] for tensor in op["ins"]]
        written = builder.add_node(op["name"], reads, new, is_elementwise=op["inp"], is_foldable=False)
        ids.update(zip(op["outs"], (i for i in written if i is not None), strict=True))
    return builder.build([ids[tensor] for tensor in data["outputs"]])


def _optima(shared: Path) -> dict[str, int]:
    path = shared / "graphs" / "optima.csv"
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8") as file:
        return {row["graph"]: int(row["optimal_peak_bytes"]) for row in csv.DictReader(file)}


def _cells(_: Path) -> Cases:
    for name, genotype in GENOTYPES.items():
        make = partial(searched_network, genotype=genotype)
        yield f"{name}_cifar", partial(make, f"{name}_cifar", channels=36, cells=20, image=32)
        yield f"{name}_imagenet", partial(make, f"{name}_imagenet", channels=48, cells=14, image=224)
        yield f"{name}_mobile", partial(make, f"{name}_mobile", channels=44, cells=12, image=224, stem="cells")
        yield f"{name}_large", partial(make, f"{name}_large", channels=168, cells=18, image=320, stem="cells")
    for seed in range(10):
        make = partial(searched_network, genotype=random_genotype(seed, 4 + seed % 4))
        yield f"random_cells_{seed}", partial(make, f"random_cells_{seed}", channels=36, cells=20, image=32)


def _wired(_: Path) -> Cases:
    for seed in range(20):
        yield f"wired_32x3_{seed}", partial(random_wired_network, seed)
    for seed in range(20):
        yield f"wired_32x3_fine_{seed}", partial(random_wired_network, seed, detail="fine")


TORCHVISION = (
    "alexnet vgg11_bn resnet18 resnet50 resnext50_32x4d densenet121 googlenet inception_v3 mobilenet_v2 "
    "mobilenet_v3_large efficientnet_b0 efficientnet_v2_s mnasnet1_0 regnet_y_400mf shufflenet_v2_x1_0 squeezenet1_1 "
    "convnext_tiny vit_b_16 swin_t swin_v2_t maxvit_t"
)
TRAINED = "resnet50 densenet121 mobilenet_v2 googlenet vit_b_16 swin_t"


def _torchvision(_: Path) -> Cases:
    for name in TORCHVISION.split():
        yield name, partial(_load_torchvision, name, is_training=False)


def _training(_: Path) -> Cases:
    for name in TRAINED.split():
        yield f"{name}_training", partial(_load_torchvision, name, is_training=True)
    yield "transformer_12_training", partial(transformer_training_step, 12, tokens=2048)


def _checkpointed(_: Path) -> Cases:
    for layers, width, tokens in (
        (8, 768, 512),
        (12, 768, 512),
        (24, 768, 512),
        (24, 256, 512),
        (36, 768, 1024),
        (48, 768, 512),
    ):
        name = f"checkpointed_{layers}_{width}_{tokens}"
        yield name, partial(checkpointed_training_step, layers, width=width, tokens=tokens)


def _load_torchvision(name: str, is_training: bool) -> Graph:
    from memprof.importers.torch.training import Training

    side = 299 if name == "inception_v3" else 224
    training = Training(optimizer="momentum") if is_training else None
    return load(f"torchvision:{name}", inputs={"x": (1, 3, side, side)}, training=training).graph


def _tangled(_: Path) -> Cases:
    for nodes, neighbours in ((64, 4), (80, 4), (96, 4), (128, 4), (96, 6), (128, 6)):
        for seed in range(2):
            yield f"tangled_{nodes}_k{neighbours}_{seed}", partial(tangled_block, nodes, neighbours, seed)
    yield "tangled_128_k4_sizes", partial(tangled_block, 128, 4, 0, has_random_sizes=True)


def _size(_: Path) -> Cases:
    def chain() -> Graph:
        builder = GraphBuilder("chain_1000")
        of = TensorType("float32", (1, 64, 56, 56))
        value = builder.add_input("image", of)
        for i in range(1000):
            (written,) = builder.add_node("Conv", [value], [NewValue(f"t{i}", of)], is_foldable=False)
            assert written is not None
            value = written
        return builder.build([value])

    yield "chain_1000", chain
    for layers in (200, 2050):
        yield f"transformer_{layers}_training", partial(transformer_training_step, layers, tokens=2048)


def _forks(_: Path) -> Cases:
    for count, length in ((10, 10), (30, 20), (100, 10)):
        for seed in range(2):
            yield f"chains_{count}x{length}_{seed}", partial(forked_chains, count, length, seed)
    for count in (500, 2000):
        yield f"branches_{count}_equal", partial(branches, count, None)
        yield f"branches_{count}_0", partial(branches, count, 0)


SECTIONS: dict[str, Callable[[Path], Cases]] = {
    "study": _study,
    "cells": _cells,
    "wired": _wired,
    "torchvision": _torchvision,
    "training": _training,
    "checkpointed": _checkpointed,
    "tangled": _tangled,
    "size": _size,
    "forks": _forks,
}
HEADINGS = ("given", *RIVALS, "merge", "cp_sat", "downsets")


def _shown(line: Line) -> str:
    gap = "yes" if line.is_optimal else f"{line.peak_bytes / max(1, line.lower_bound_bytes):.3f}"
    ratios = [line.given, *(line.rivals.get(name) for name in (*RIVALS, "merge", "cp_sat")), line.downsets]
    shown = " ".join(f"{'-':>6}" if ratio is None else f"{ratio:6.2f}" for ratio in ratios)
    megabytes = line.peak_bytes / 1e6
    return f"{line.network:34}{line.kind:11}{line.operations:7}{megabytes:10.3f} {gap:7}{line.seconds:7.3f} {shown}"


def _summary(lines: list[Line]) -> Iterator[str]:
    for section in dict.fromkeys(line.section for line in lines):
        found = [line for line in lines if line.section == section]
        proven = sum(line.is_optimal for line in found)
        slowest = max(found, key=lambda line: line.seconds)
        reached = {
            name: sum(line.rivals.get(name) == 1 for line in found) for name in (*RIVALS, "merge", "cp_sat")
        } | {
            "given": sum(line.given == 1 for line in found),
            "downsets": sum(line.downsets == 1 for line in found),
        }
        others = ", ".join(f"{name} {count}" for name, count in reached.items())
        ours = f"{section}: {proven} of {len(found)} proven, slowest {slowest.network} {slowest.seconds:.2f} s"
        yield f"{ours}; at the planner's peak: {others}"


if __name__ == "__main__":
    started = time.monotonic()
    main()
    print(f"{time.monotonic() - started:.0f} s in all")
