"""Processor time of a candidate on a CPU: as networks are trained, against the same in torch's own layout.

    python benchmarks/nas_candidates.py [--networks 16] [--repeats 3] [--seed 0] [--json FILE]

Trained are networks as a first round of ``memprof nas search --dataset digits`` samples them, one thread, in turns:
an epoch in each layout, then the next network. Of each the least of its repeats counts; reported are the ratio of the
sums and that of each network.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nas_record import write_record

from memprof.nas.rank.metric import Metric
from memprof.nas.record.state import SearchState
from memprof.nas.searching.offering import Offers
from memprof.nas.searching.presets import facts_of, quick
from memprof.nas.space.architecture import Architecture
from memprof.nas.space.budget import Budget
from memprof.nas.train import trainer as trainers
from memprof.nas.train.data import load_training
from memprof.nas.train.modules import build_module, lay_out
from memprof.nas.train.trainer import Trainer


def main() -> None:
    """Train the networks and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--networks", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="file to write")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        settings = quick(facts_of("digits", root=Path(folder)), Metric(accuracy_weight=0.9), Budget(), options.seed)
        data = load_training("digits", root=Path(folder))
    settings = replace(settings, sample=options.networks)
    trainer = Trainer(data, replace(settings.recipe, epochs=1, first_cycle=1), torch.device("cpu"))
    rows: list[dict[str, Any]] = []
    for network, size, _ in Offers().best(SearchState(settings=settings)).picked:
        pairs = [
            [seconds_of_epoch(trainer, network, is_laid_out=is_laid_out) for is_laid_out in (True, False)]
            for _ in range(options.repeats)
        ]
        found = dict(zip(("laid out", "plain"), map(min, zip(*pairs, strict=True)), strict=True))
        rows.append({"bytes": size.parameter_bytes + size.peak_intermediate_bytes, **found})
        print(f"{rows[-1]['bytes']:>9,} B: {found['plain']:.3f} s, {found['laid out']:.3f} s", flush=True)
    ratio = sum(row["plain"] for row in rows) / sum(row["laid out"] for row in rows)
    ratios = [row["plain"] / row["laid out"] for row in rows]
    print(f"{ratio:.2f} times faster in channels_last; of a network {min(ratios):.2f} to {max(ratios):.2f}")
    write_record(options.json, {"ratio": ratio, "median": median(ratios), "rows": rows})


def seconds_of_epoch(trainer: Trainer, network: Architecture, *, is_laid_out: bool) -> float:
    """Return the processor time of an epoch and its scoring."""
    setattr(trainers, "lay_out", lay_out if is_laid_out else lambda module: None)  # noqa: B010 - not its to export
    torch.manual_seed(0)
    module = build_module(network)
    began = time.process_time()
    trainer.train(module, seed=0)
    return time.process_time() - began


if __name__ == "__main__":
    main()
