"""What a GPU makes of the search: images per second against bounds, and a search on CIFAR-10 with its final training.

    python benchmarks/gpu.py rates [--seconds 1.5] [--compiled]
    python benchmarks/gpu.py lanes
    python benchmarks/gpu.py search --data IMAGES.tar.gz --minutes 8 --final-seconds 180 [--workers 3]

``rates``    one-cell and six-cell networks: the trainer as it was at batch 128, captured, compiled, at larger
             batches, the bare loop, a speed recipe after airbench's idea (Jordan, arXiv 2404.00498) as bound; several
             trainings at once as threads, as processes and under MPS; what a candidate costs around them
``lanes``    whole candidates side by side as a search trains them, against the loop that the trainer had before
``search``   a quick search within 5.2 MB of parameters and peak together and a final training of its best, as wide as
             that allows and on all images, with one look at the test images; random search if asked for

The archive has train/CLASS/ and test/CLASS/ images. Wanted on an H100: 8 times stepwise 128 for one cell, 4 times for
six.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import gpu_rates
from gpu_bound import speed_recipe
from gpu_rates import NETWORKS, captured_steps, made_up, module_of
from gpu_search import run_search
from nas_record import write_record

from memprof.nas.jobs import Job
from memprof.nas.train.augmentation import Pictures
from memprof.nas.train.evaluation import evaluate
from memprof.nas.train.recipe import Recipe
from memprof.nas.train.trainer import Trainer

IMAGES = 20_480


def main() -> None:
    """Run what was asked for and print a line for each result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, help="file to write")
    parser.add_argument("--device", default="cuda")
    parts = parser.add_subparsers(required=True)
    rates = parts.add_parser("rates")
    rates.add_argument("--seconds", type=float, default=1.5, help="of each measurement")
    rates.add_argument("--images", type=int, default=IMAGES)
    rates.add_argument("--width", type=int, help="filters of every layer; 64 if left out")
    rates.add_argument("--data", type=Path, help="archive of CIFAR-10 for the accuracy of the speed recipe")
    rates.add_argument(
        "--brief", action="store_true", help="rates, lanes and the speed recipe alone: a minute or two"
    )
    rates.add_argument("--compiled", action="store_true", help="compile the networks too: a minute")
    rates.add_argument("--together", type=int, nargs="*", default=[2, 4], help="trainings at once")
    rates.set_defaults(run=run_rates)
    lanes = parts.add_parser("lanes")
    lanes.add_argument("--seconds", type=float, default=1.5, help="of the loop to compare with")
    lanes.add_argument("--images", type=int, default=2 * IMAGES)
    lanes.add_argument("--together", type=int, nargs="*", default=[1, 3, 4], help="candidates at once")
    lanes.set_defaults(run=run_lanes)
    found = parts.add_parser("search")
    found.add_argument("--data", type=Path, required=True)
    found.add_argument("--minutes", type=float, default=8.0)
    found.add_argument("--random-minutes", type=float, default=0.0)
    found.add_argument("--final-seconds", type=float, default=180.0)
    found.add_argument("--strides", type=numbers, default=(1, 2, 1, 1, 2, 1, 1))
    found.add_argument("--widths", type=numbers, default=(32, 56, 56, 56, 104, 104, 104))
    found.add_argument("--workers", type=int, default=3)
    found.add_argument("--seed", type=int, default=0)
    found.add_argument("--within", type=int, default=5_200_000, help="bytes of parameters and peak together")
    found.add_argument("--epochs", type=int, default=7, help="of candidates that go all the way")
    found.add_argument("--images", type=int, help="to use; all if left out")
    found.add_argument("--output", type=Path, help="keep the search here")
    found.set_defaults(run=lambda options, device, results: run_search(options, results, say, part))
    options = parser.parse_args()
    torch.set_num_threads(1)  # of the CPU, which only feeds the GPU
    device = torch.device(options.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"{name}, torch {torch.__version__}", flush=True)
    results: dict[str, Any] = {"device": name, "torch": torch.__version__}
    try:
        options.run(options, device, results)
    finally:
        write_record(options.json, results)


def numbers(text: str) -> tuple[int, ...]:
    """Return whole numbers with commas between them."""
    return tuple(int(part) for part in text.split(","))


def say(line: str) -> None:
    """Print a line at once: a run that is cut off has said what it measured."""
    print(line, flush=True)


@contextmanager
def part(results: dict[str, Any], name: str) -> Iterator[None]:
    """Go on with the next measurement where one fails, and say so."""
    began = time.perf_counter()
    try:
        yield
    except Exception as error:  # the others are worth having
        traceback.print_exc()
        results[name] = f"failed: {type(error).__name__}: {error}"
    say(f"-- {name}: {time.perf_counter() - began:.1f} s")


def run_rates(options: argparse.Namespace, device: torch.device, results: dict[str, Any]) -> None:
    """Measure images per second."""
    if options.width:
        NETWORKS.update({name: gpu_rates.narrow(found, options.width) for name, found in NETWORKS.items()})
    with part(results, "parity"):
        results["parity"] = gpu_rates.parity(device)
        say(f"relative distance of weights after 12 steps: {results['parity']}")
    with part(results, "rates"):
        only = gpu_rates.BRIEF if options.brief else None
        results["rates"] = gpu_rates.measure_rates(device, options.seconds, options.images, say, only)
    if options.brief:
        with part(results, "lanes"):
            run_lanes(options, device, results)
        with part(results, "speed recipe"):
            results["speed recipe"] = speed_recipe(device, options.data, 2 * options.images, say)
        return
    with part(results, "candidate"):
        results["candidate"] = candidate_cost(device, options.images)
        say(f"one candidate of one epoch: {results['candidate']}")
    if device.type == "cuda":
        with part(results, "kernels"):
            for name in NETWORKS:
                results[f"kernels, {name}"] = gpu_rates.kernels(device, name)
                for kernel, microseconds, calls in results[f"kernels, {name}"]:
                    say(f"  {name:<10}{microseconds:>9,.0f} us {calls:>4} x {kernel[:100]}")
    for count in options.together:
        for kind, run in TOGETHER.items():
            with part(results, f"{count} {kind}"):
                results[f"{count} {kind}"] = rate = run(count, device, 2 * options.seconds, options.images)
                say(f"one cell, captured 512, {count} {kind}: {rate:,.0f} images/s together")
    with part(results, "speed recipe"):
        results["speed recipe"] = speed_recipe(device, options.data, 2 * options.images, say)
    if options.compiled:
        for name in NETWORKS:
            with part(results, f"compiled {name}"):
                results[f"compiled {name}"] = gpu_rates.measure_compiled(
                    device, name, 512, options.seconds, options.images, say
                )


def candidate_cost(device: torch.device, images: int) -> dict[str, float]:
    """Return the seconds of one candidate of one epoch that finds all warm, and of its steps alone."""
    trainer = Trainer(made_up(images), Recipe(batch=512, epochs=1, first_cycle=1), device)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(2):
            began = time.perf_counter()
            evaluate(job(number, Path(folder)), trainer)
            whole = time.perf_counter() - began
    with_more = Trainer(made_up(images), Recipe(batch=512, epochs=4, first_cycle=4), device)
    began = time.perf_counter()
    with_more.train(module_of(NETWORKS["one cell"], device), seed=0)
    step_seconds = (time.perf_counter() - began - whole) / 3
    return {"whole": whole, "epoch": step_seconds, "around": whole - step_seconds}


def run_lanes(options: argparse.Namespace, device: torch.device, results: dict[str, Any]) -> None:
    """Train whole candidates of one epoch side by side, all that is around their steps included."""
    pictures = Pictures(made_up(options.images).training, gpu_rates.CHANGE, device, torch.channels_last)
    loop = gpu_rates.stepwise_steps(module_of(NETWORKS["one cell"], device), pictures, Recipe(), device)
    today = gpu_rates.rate_of(loop, device, options.seconds)["images_per_second"]
    say(f"one cell, stepwise 128: {today:,.0f} images/s")
    trainer = Trainer(made_up(options.images), Recipe(batch=512, epochs=1, first_cycle=1), device)
    failed = 0
    for count in options.together:
        with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(count) as threads:
            list(threads.map(lambda n: evaluate(job(n, Path(folder)), trainer), range(count)))
            began, numbers = time.perf_counter(), range(count, 5 * count)
            found = list(threads.map(lambda n: evaluate(job(n, Path(folder)), trainer), numbers))
            seconds = time.perf_counter() - began
        failed += sum(outcome.status != "ok" for outcome in found)
        rate = len(found) * options.images / seconds
        results[f"{count} lanes"] = {"images_per_second": rate, "ratio": rate / today}
        say(f"one cell, whole candidates in {count} lanes: {rate:,.0f} images/s, {rate / today:.2f} x stepwise 128")
    results["stepwise 128"] = today
    if failed:
        raise SystemExit(f"{failed} candidates failed")


def job(number: int, folder: Path) -> Job:
    """Return a job that trains the one-cell network."""
    return Job(
        candidate=number,
        rung=0,
        architecture=NETWORKS["one cell"].to_json(),
        seed=number,
        until=1,
        parent=None,
        resume_from="",
        checkpoint=str(folder / f"{number}-0.pt"),
        seconds=600.0,
    )


def _train_for(device: torch.device, seconds: float, images: int, ready: Callable[[], object]) -> float:
    """Return images per second of one training, begun when all are ready."""
    pictures = Pictures(made_up(images).training, gpu_rates.CHANGE, device, torch.channels_last)
    steps = captured_steps(module_of(NETWORKS["one cell"], device), pictures, Recipe(batch=512), device)
    sum(next(steps) for _ in range(6))
    gpu_rates.wait(device)
    ready()
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        done += sum(next(steps) for _ in range(8))
        torch.cuda.current_stream(device).synchronize() if device.type == "cuda" else None
    rate = done / (time.perf_counter() - began)
    steps.close()  # type: ignore[attr-defined]
    return rate


def as_threads(count: int, device: torch.device, seconds: float, images: int) -> float:
    """Return images per second of trainings that share one process."""
    barrier, rates = threading.Barrier(count), [0.0] * count

    def run(number: int) -> None:
        try:
            rates[number] = _train_for(device, seconds, images, barrier.wait)
        except BaseException:
            barrier.abort()
            raise

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(rates)


def _child(device: str, seconds: float, images: int, barrier: Any, queue: Any) -> None:
    try:
        queue.put(_train_for(torch.device(device), seconds, images, barrier.wait))
    except BaseException:
        barrier.abort()
        queue.put(0.0)
        raise


def as_processes(count: int, device: torch.device, seconds: float, images: int) -> float:
    """Return images per second of trainings in processes of their own."""
    context: Any = torch.multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(count, timeout=90), context.Queue()
    arguments = (str(device), seconds, images, barrier, queue)
    children = [context.Process(target=_child, args=arguments) for _ in range(count)]
    for child in children:
        child.start()
    rates = [queue.get(timeout=120) for _ in children]
    for child in children:
        child.join()
    return float(sum(rates))


def under_mps(count: int, device: torch.device, seconds: float, images: int) -> float:
    """Return the same with the processes' kernels side by side: NVIDIA's multi-process service."""
    control = shutil.which("nvidia-cuda-mps-control")
    if control is None or device.type != "cuda":
        raise FileNotFoundError("there is no nvidia-cuda-mps-control here")
    with tempfile.TemporaryDirectory() as place:
        names = ("CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY")
        os.environ.update(dict.fromkeys(names, place))
        try:
            subprocess.run([control, "-d"], check=True, timeout=20)
            return as_processes(count, device, seconds, images)
        finally:
            subprocess.run([control], input=b"quit\n", check=False, timeout=20)
            for name in names:
                os.environ.pop(name)


TOGETHER = {"threads": as_threads, "processes": as_processes, "processes under MPS": under_mps}


if __name__ == "__main__":
    main()
