"""The controllers: how well each ranks NAS-Bench-201, and how long 10,000 candidates take the SCC. Bound: 10 s.

    python benchmarks/nas_controllers.py TABLE.csv [--repeats 10] [--json FILE]

TABLE.csv has the columns cell and val_accuracy. Each repetition draws 392 cells, trains on 98 and ranks the others;
the last two rows are what single random rankings of such a pool score. The SCC is timed on codes as a search has
them: five blocks of up to six cells, trained on 98 candidates first, one thread.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nas_record import write_record

from memprof.nas.rank.bench import bench_controllers
from memprof.nas.rank.controller import RANKERS
from memprof.nas.rank.rankers import Candidate, RankedRound
from memprof.nas.rank.tables import read_table
from memprof.nas.space.architecture import CIFAR10, Architecture
from memprof.nas.space.encoding import encode_block
from memprof.nas.space.generator import generate
from memprof.nas.space.screening import screen
from memprof.render.search import render_controllers

BOUND_SECONDS = 10.0
SLOTS, COUNT, TRAINED = 6, 10_000, 98


def main() -> None:
    """Run the benchmark and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("table", type=Path)
    parser.add_argument("--json", type=Path, help="file to write")
    parser.add_argument("--repeats", type=int, default=10)
    options = parser.parse_args()
    pool = [candidate_of(architecture) for architecture in draw(COUNT + TRAINED)]
    seconds = {name: time_ranking(name, pool) for name in RANKERS}
    for name, (fitting, ranking) in seconds.items():
        print(f"{name:<12} trains on {TRAINED} in {fitting:6.2f} s, ranks {COUNT:,} in {ranking:6.2f} s")
    print(f"bound for the SCC: {BOUND_SECONDS:g} s to rank")
    began = time.perf_counter()
    found = bench_controllers(read_table(options.table), repeats=options.repeats, seed=0)
    took = time.perf_counter() - began
    render_controllers(found, sys.stdout)
    results = {
        "seconds": {name: {"fit": fitting, "rank": ranking} for name, (fitting, ranking) in seconds.items()},
        "ranked": COUNT,
        "bound_seconds": BOUND_SECONDS,
        "nasbench201": found.to_json(),
        "nasbench201_seconds": took,
    }
    write_record(options.json, results)


def draw(count: int) -> list[Architecture]:
    """Return candidates of up to six cells: what follows from random networks of three to five."""
    rng = random.Random(0)
    found: list[Architecture] = []
    while len(found) < count:
        base = CIFAR10.build([])
        for _ in range(rng.randrange(3, SLOTS)):
            base = rng.choice([c for c in generate(base) if c.slots > base.slots])
        found += generate(base)
    return rng.sample(found, count)


def candidate_of(architecture: Architecture) -> Candidate:
    """Return what a ranker sees of a network."""
    codes = tuple(encode_block(block, SLOTS) for block in architecture.blocks)
    return Candidate(codes, screen(architecture).parameter_bytes)


def time_ranking(name: str, pool: list[Candidate]) -> tuple[float, float]:
    """Return the seconds that a ranker trains on the first candidates and then ranks the others."""
    rng = random.Random(1)
    known, asked = pool[:TRAINED], pool[TRAINED:]
    history = [RankedRound(tuple(known), tuple(rng.random() for _ in known))]
    began = time.perf_counter()
    predictor = RANKERS[name](history, 0)
    fitted = time.perf_counter()
    predictor(asked)
    return fitted - began, time.perf_counter() - fitted


if __name__ == "__main__":
    main()
