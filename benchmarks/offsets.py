"""Offsets: arenas against their load bound and against the greedies that others use, and how long that takes.

    python benchmarks/offsets.py [--json FILE] [--seconds 30] [--skip cold cost ...] [--seeds 0]

    published   minimalloc's tables: greedy by size (TensorFlow Lite), best fit, the published capacity, memprof
    training    the tensors of a training step (MindSpore, ResNet-50), a second given
    random      10,000 buffers from a seed
    families    uniform, bursts and dense, of 300, 10,000 and 100,000 buffers from each of the seeds, beside
                size-first with buckets of time (plain Python: left out where over 30 million pairs of buffers share
                a bucket; each row tells how many do) and, of 300, CP-SAT (if ortools is installed)
    dense       10,000 and 100,000 buffers with hundreds and thousands alive, from more seeds, in less time, too
    networks    arena = peak live bytes, proven, in the given and in the planned order
    cold        what the compiled search costs where nothing is in numba's cache
    cost        whole runs of the program, and a training graph of 100,000 operations

Every arena is divided by the load bound of its problem; the search runs plainly and compiled in the same run. Limits
and seconds are of the processor, so that other work beside does not count, but in ``networks``, ``cold``, ``cost``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from pathlib import Path
from typing import Any

from families import bucket_pairs, buffers, place_by_cp_sat, place_by_size
from networks import transformer_training_step
from offset_problems import gap_problem, networks, published_problems, random_buffers, training_tensors

from memprof.ir.model import Model
from memprof.planning.lifetimes import ArenaContent, pose_allocation
from memprof.planning.meter import Meter
from memprof.planning.offsets.columns import columns_of
from memprof.planning.offsets.engine import PLAIN, Engine, compiled_engine, has_compiler
from memprof.planning.offsets.greedy import place_all
from memprof.planning.offsets.problem import AllocationProblem
from memprof.planning.offsets.solver import decide_capacity, plan_offsets
from memprof.planning.ordering.find import find_order
from memprof.planning.ordering.kinds import reference_problem
from memprof.planning.plan import PlanOptions, plan_graph
from memprof.runtimes.reference import reference_lifetimes

Row = dict[str, Any]
_CP_SAT_BUFFERS = 300
_RIVAL_PAIRS = 30_000_000  # buffers in one bucket of time, two by two: pure Python takes a minute for them
PEERS = {"greedy by size (TFLite)": "size, best fit", "size, first fit": "size, first fit"}


def main() -> None:
    """Run the benchmark, print a table per section, and write them all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, help="file to write")
    parser.add_argument("--seconds", type=float, default=30.0, help="limit of one search")
    parser.add_argument("--skip", nargs="*", default=[], choices=list(SECTIONS), help="sections to leave out")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0], help="of the families")
    options = parser.parse_args()
    sections: dict[str, Callable[[float], list[Row]]] = {
        **SECTIONS,
        "families": partial(families, seeds=options.seeds),
    }
    record: dict[str, Any] = {"environment": environment(), "seconds": options.seconds}
    for name, section in sections.items():
        if name not in options.skip:
            print(f"\n{name}")
            record[name] = section(options.seconds)
            for row in record[name]:
                print("  " + ", ".join(f"{key} {_show(value)}" for key, value in row.items()), flush=True)
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + "\n")


def published(seconds: float) -> list[Row]:
    """Search each table with both engines: to the smallest arena, and to the published capacity."""
    engines = _engines()
    rows = []
    for name, (problem, capacity) in published_problems().items():
        load = problem.load_bytes
        row: Row = {"problem": name, "buffers": len(problem.buffers), "load": load}
        row |= {peer: round(_greedy(problem, strategy) / load, 4) for peer, strategy in PEERS.items()}
        row["portfolio"] = round(plan_offsets(problem, seconds=0).arena_bytes / load, 4)
        row["published capacity"] = round(capacity / load, 4)
        for engine in engines:
            decided = decide_capacity(problem, capacity, _limit(seconds), engine=engine)
            row[f"{engine.name}: capacity met"] = decided.answer is True
            row[f"{engine.name}: capacity s"] = round(decided.plan.seconds, 3)
            plan = plan_offsets(problem, _limit(seconds), engine=engine)
            row[f"{engine.name}: arena"] = round(plan.arena_bytes / load, 4)
            row[f"{engine.name}: proven"] = plan.is_optimal
            row[f"{engine.name}: s"] = round(plan.seconds, 3)
        rows.append(row)
    return rows


def training(seconds: float) -> list[Row]:
    """Give the training tensors one second, and then more."""
    problem = training_tensors()
    if problem is None:
        return []
    return [_searched(problem, limit, engine) for engine in _engines() for limit in (1.0, seconds)]


def random(seconds: float) -> list[Row]:
    """Plan 10,000 random buffers."""
    rows = []
    for seed in range(3):
        problem = random_buffers(10_000, seed)
        row: Row = {"seed": seed}
        row |= {peer: round(_greedy(problem, strategy) / problem.load_bytes, 4) for peer, strategy in PEERS.items()}
        greedy = plan_offsets(problem, _limit(0))
        row["portfolio"] = round(greedy.arena_bytes / problem.load_bytes, 4)
        row["portfolio s"] = round(greedy.seconds, 2)
        rows.append(row | _searched(problem, seconds, None))
    return rows


def dense(seconds: float) -> list[Row]:
    """Plan dense buffers from more seeds, in less time and in all of it."""
    rows = []
    for count, seed in product((10_000, 100_000), range(7)):
        problem = buffers("dense", count, seed)
        row: Row = {"buffers": count, "seed": seed}
        for limit in (0, seconds / 5, seconds):
            plan = plan_offsets(problem, _limit(limit))
            row[f"arena in {limit:g} s"] = round(plan.arena_bytes / plan.load_bytes, 5)
        rows.append(row)
    return rows


def families(seconds: float, seeds: Sequence[int] = (0,)) -> list[Row]:
    """Plan each family beside its rivals; every ratio is to the load bound."""
    rows = []
    for kind, count, seed in product(("uniform", "bursts", "dense"), (300, 10_000, 100_000), seeds):
        problem = buffers(kind, count, seed)
        load = problem.load_bytes
        row: Row = {"family": kind, "seed": seed, "buffers": count}
        row["size, buckets: pairs"] = bucket_pairs(problem)
        if row["size, buckets: pairs"] <= _RIVAL_PAIRS:
            started = time.process_time()
            row["size, buckets"] = round(problem.arena_bytes(place_by_size(problem)) / load, 4)
            row["size, buckets CPU s"] = round(time.process_time() - started, 1)
        solved = place_by_cp_sat(problem, seconds) if count <= _CP_SAT_BUFFERS else None
        row["CP-SAT"] = None if solved is None else round(solved / load, 4)
        started = time.process_time()
        plan = plan_offsets(problem, _limit(seconds))
        row["memprof"] = round(plan.arena_bytes / load, 5)
        row["memprof proven"] = plan.is_optimal
        row["memprof by"] = plan.strategy
        row["memprof CPU s"] = round(time.process_time() - started, 1)
        rows.append(row)
        print("  " + ", ".join(f"{key} {_show(value)}" for key, value in row.items()), file=sys.stderr, flush=True)
    return rows


def networks_in_two_orders(seconds: float) -> list[Row]:
    """Plan every network in the given and in the planned order; list what falls short, and the totals."""
    rows: list[Row] = []
    sets = met = 0
    slowest = 0.0
    for graph in networks():
        for rules, in_place in (("reference", False), ("contracted", True)):
            for keeps_order in (True, False):
                options = PlanOptions(in_place=in_place, seconds=seconds, keep_order=keeps_order)
                plan = plan_graph(Model.of(graph), options)
                arena = plan.arena
                sets += 1
                met += arena.arena_bytes == arena.load_bytes
                slowest = max(slowest, arena.seconds)
                if arena.arena_bytes != arena.load_bytes:
                    ratio = round(arena.arena_bytes / arena.load_bytes, 4)
                    rows.append({"network": graph.name, "rules": rules, "kept": keeps_order, "arena": ratio})
    return [{"lifetime sets": sets, "arena = peak live bytes": met, "slowest s": round(slowest, 3)}, *rows]


def cold(seconds: float) -> list[Row]:
    """Time the first search of a process, with numba's cache empty and then filled."""
    if not has_compiler():
        return []
    code = (
        "import time; started = time.perf_counter()\n"
        "from offset_problems import gap_problem\n"
        "from memprof.planning.offsets.engine import compiled_engine\n"
        "from memprof.planning.offsets.solver import decide_capacity\n"
        "assert decide_capacity(gap_problem(), 9, 100, engine=compiled_engine()).answer is False\n"
        "print(time.perf_counter() - started)"
    )
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for state in ("cold", "warm"):
            done = subprocess.run(
                [sys.executable, "-c", code],
                capture_output=True,
                text=True,
                check=True,
                cwd=Path(__file__).parent,
                env={**os.environ, "NUMBA_CACHE_DIR": folder},
            )
            rows.append({"numba": state, "first search s": round(float(done.stdout), 2)})
    return rows


def cost(seconds: float) -> list[Row]:
    """Time the program on a network of 1,000 operations, and the parts of a plan of 100,000."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "chain.onnx"
        _write_chain(model, 1000)
        command = [sys.executable, "-m", "memprof", "plan", str(model)]
        rows.append({"run": "memprof plan, 1,000 operations", "s": _median_seconds(command)})
        bare = [sys.executable, "-c", "import click, numpy, onnx"]
        rows.append({"run": "python -c 'import click, numpy, onnx'", "s": _median_seconds(bare)})
    graph = transformer_training_step(2100)
    parts: Row = {"run": f"training step, {len(graph.nodes):,} operations"}
    order = _timed(parts, "order and bound s", lambda: find_order(reference_problem(graph), seconds=10))
    lifetimes = _timed(parts, "lifetimes s", lambda: reference_lifetimes(graph, order.order))
    problem = _timed(parts, "problem s", lambda: pose_allocation(lifetimes, ArenaContent()))
    plan = _timed(parts, "offsets s", lambda: plan_offsets(problem, seconds=0))
    parts["order proven"] = order.is_optimal
    parts["arena"] = round(plan.arena_bytes / plan.load_bytes, 5)
    parts["all s"] = round(sum(value for key, value in parts.items() if key.endswith(" s")), 2)
    return [*rows, parts]


def _timed(row: Row, name: str, call: Callable[[], Any]) -> Any:
    started = time.perf_counter()
    found = call()
    row[name] = round(time.perf_counter() - started, 2)
    return found


def _median_seconds(command: list[str], runs: int = 5) -> float:
    taken = []
    for _ in range(runs):
        started = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        taken.append(time.perf_counter() - started)
    return round(sorted(taken)[runs // 2], 2)


def _write_chain(path: Path, length: int) -> None:
    import onnx
    from onnx import TensorProto, helper

    nodes = [helper.make_node("Relu", [f"t{i}"], [f"t{i + 1}"], name=f"n{i}") for i in range(length)]
    ends = [helper.make_tensor_value_info(f"t{i}", TensorProto.FLOAT, [1, 64]) for i in (0, length)]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def _engines() -> list[Engine]:
    if not has_compiler():
        return [PLAIN]
    engine = compiled_engine()
    decide_capacity(gap_problem(), 9, 100, engine=engine)  # compiles, or loads what is compiled
    return [PLAIN, engine]


def _limit(seconds: float) -> Meter:
    return Meter(seconds, clock=time.process_time)


def _searched(problem: AllocationProblem, seconds: float, engine: Engine | None) -> Row:
    plan = plan_offsets(problem, _limit(seconds), engine=engine)
    return {
        "search": engine.name if engine else "default",
        "limit s": seconds,
        "arena": round(plan.arena_bytes / plan.load_bytes, 5),
        "proven": plan.is_optimal,
        "s": round(plan.seconds, 2),
    }


def _greedy(problem: AllocationProblem, strategy: str) -> int:
    columns = columns_of(problem)
    offsets = [0] * len(problem.buffers)
    for i, offset in zip(columns.ids.tolist(), place_all(columns, strategy), strict=True):
        offsets[i] = offset
    return problem.arena_bytes(offsets)


def _show(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def environment() -> dict[str, str | int | None]:
    """Return what the numbers depend on."""
    root = Path(__file__).parents[1]
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=False
    ).stdout.strip()
    found: dict[str, str | int | None] = {
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "commit": commit,
    }
    for package in ("numpy", "numba", "ortools"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


SECTIONS: dict[str, Callable[[float], list[Row]]] = {
    "published": published,
    "training": training,
    "random": random,
    "families": families,
    "dense": dense,
    "networks": networks_in_two_orders,
    "cold": cold,
    "cost": cost,
}


if __name__ == "__main__":
    main()
