"""Candidates per second whose footprint is known, on one core: the short way against the Graph. Target: 5,000.

    python benchmarks/nas_screening.py [--json FILE]

The candidates are those of a search: everything that growing and trimming give of random networks of five blocks and
three cells, some of them trimmed before. The Graph way builds each network's Graph and asks ``analyze`` for
its peak under the reference model. Caches are empty at the start; both ways agree on every network that both see.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nas_record import write_record

from memprof import analyze
from memprof.nas.space.architecture import CIFAR10, Architecture
from memprof.nas.space.footprint import deployed
from memprof.nas.space.generator import generate
from memprof.nas.space.screening import screen
from tests.nas.networks import random_architecture

TARGET = 5000


def main() -> None:
    """Run the benchmark and print both rates."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, help="file to write")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--graphs", type=int, default=100, help="how many the Graph way does")
    options = parser.parse_args()
    began = time.perf_counter()
    candidates = draw(options.count)
    generated = options.count / (time.perf_counter() - began)
    began = time.perf_counter()
    found = [screen(candidate) for candidate in candidates]
    short = options.count / (time.perf_counter() - began)
    few = random.Random(1).sample(range(options.count), options.graphs)
    began = time.perf_counter()
    for i in few:
        graph = deployed(candidates[i])
        peak = analyze(graph, runtimes=["reference"]).peak_intermediate_bytes
        assert (graph.parameter_bytes, peak) == (found[i].parameter_bytes, found[i].peak_intermediate_bytes)
    long = options.graphs / (time.perf_counter() - began)
    print(f"short way  {short:>10,.0f} candidates/s, target {TARGET:,} ({len(set(candidates)):,} different)")
    print(f"generating {generated:>10,.0f} candidates/s, each in canonical form to find duplicates")
    print(f"Graph way  {long:>10,.0f} candidates/s; equal on {options.graphs} of them")
    print(f"ratio {short / long:.0f}")
    results = {
        "candidates": options.count,
        "different": len(set(candidates)),
        "screened_per_second": short,
        "generated_per_second": generated,
        "graphs_per_second": long,
        "ratio": short / long,
        "target_per_second": TARGET,
    }
    write_record(options.json, results)


def draw(count: int) -> list[Architecture]:
    """Return all that growing and trimming give of random networks of three cells, until there are ``count``."""
    rng = random.Random(0)
    found: list[Architecture] = []
    while len(found) < count:
        found += generate(random_architecture(rng, 3, CIFAR10))
    return found[:count]


if __name__ == "__main__":
    main()
