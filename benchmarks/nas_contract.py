"""The footprints that a search computes, against the real export of the same networks, byte for byte.

    python benchmarks/nas_contract.py [--count 500] [--processes 2] [--minutes 8] [--state FILE] [--json FILE]

    as_trained   parameters, peak and the whole timeline under reference, ideal and paper  =  torch.export, imported
    deployed     the same, and under onnxruntime                                           =  the exported ONNX file

Random networks of one to four cells, grown and trimmed at random; network i is drawn from seed i, and every second
one has a template of its own, down to one filter and images of one pixel. With ``--state`` the results so far are
kept in a file of one JSON line each, and a later run goes on after them.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nas_record import write_record

from memprof import Graph, Report, analyze
from memprof.nas.searching.export import export_onnx
from memprof.nas.space.budget import ARENA_RUNTIME, BUDGET_RUNTIMES
from memprof.nas.space.footprint import as_trained, deployed
from memprof.nas.train.modules import build_module
from tests.nas.networks import random_network
from tests.nas.space.test_footprint import with_statistics

AS_TRAINED = ("reference", "ideal", "paper")
DEPLOYED = tuple(name for name in BUDGET_RUNTIMES if name != ARENA_RUNTIME)
"""Those that run an ONNX file: the arena is that of a converted one."""


def main() -> None:
    """Run the benchmark; the exit status is 1 if a network differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, help="file to write")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--state", type=Path, help="results so far")
    options = parser.parse_args()
    until = time.monotonic() + 60 * options.minutes
    done = read_state(options.state)
    seeds = range(len(done), options.count)
    with ProcessPoolExecutor(options.processes, get_context("spawn")) as pool:
        for found in pool.map(look_at, seeds, repeat(until)):
            if found is None:
                break
            done.append(found)
            if options.state is not None:
                with options.state.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(found) + "\n")
    different = [found for found in done if found["differences"]]
    for found in different:
        print(f"network {found['seed']}: {'; '.join(found['differences'])}")
    print(f"{len(done)} of {options.count} networks compared in both views, {len(different)} differ")
    write_record(options.json, {"wanted": options.count, "compared": len(done), "different": different})
    if different:
        raise SystemExit(1)


def read_state(path: Path | None) -> list[dict[str, Any]]:
    """Return the results of earlier runs, network 0 first."""
    if path is None or not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def look_at(seed: int, until: float) -> dict[str, Any] | None:
    """Return the result of one network; ``None`` after ``time.monotonic()`` has reached ``until``."""
    if time.monotonic() > until:
        return None
    torch.set_num_threads(1)
    return {"seed": seed, "differences": list(differences(seed))}


def differences(seed: int) -> Iterator[str]:
    """Yield each way in which network ``seed`` differs from its export."""
    architecture = random_network(seed)
    module = build_module(architecture).eval()
    imported = analyze(module, (torch.zeros(1, *architecture.input_shape),), runtimes=AS_TRAINED)
    yield from compare("as_trained", imported, as_trained(architecture))
    with tempfile.TemporaryDirectory() as folder:
        exported = export_onnx(architecture, with_statistics(module, seed), Path(folder) / "network.onnx")
        yield from compare("deployed", analyze(exported.path, runtimes=DEPLOYED), deployed(architecture))


def compare(view: str, real: Report, graph: Graph) -> Iterator[str]:
    """Yield each way in which the report of a graph differs from the real one, under the same runtime models."""
    ours = analyze(graph, runtimes=list(real.runtimes))
    if real.parameter_bytes != ours.parameter_bytes:
        yield f"{view}: {ours.parameter_bytes} bytes of parameters, really {real.parameter_bytes}"
    for runtime in real.runtimes:
        if real.runtimes[runtime].timeline != ours.runtimes[runtime].timeline:
            yield f"{view}: another timeline under {runtime}"


if __name__ == "__main__":
    main()
