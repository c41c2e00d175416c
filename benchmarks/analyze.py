"""What an analysis costs, beside onnx itself and other tools, as models grow.

    python benchmarks/analyze.py [--models DIR] [--before DIR] [--peers-python PYTHON] [--json FILE] [--runs 3]
                                 [--only PART] [--operations 100000]

    graphs     a chain and a random DAG of 1,000, 10,000 and 100,000 operations: analysis of a Graph in memory, and
               the whole command on the .onnx file with its peak memory         bounds at 100,000: 1 s; 6 s and 600 MB
    large      processor seconds and peak memory of the whole command, text and --json, on 100,000 operations (or as
               many as --operations says) of four families, in pairs with onnx.load + shape inference and, with
               --before, with another checkout of memprof: chain (Relus), dag (Adds of earlier tensors), wide (Relus
               of one tensor, all alive at the end) and layers (Conv, BatchNormalization, Relu, Sigmoid, Add, weights
               shared)                  bounds: 1 x that checkout; text of 100,000 2 s; a million 30 s and 3 GB
    one graph  a chain and a DAG of 10,000 operations, batch bound: reading for ``reference`` alone, which builds one
               graph, against reading that also builds what onnxruntime knows ahead of a run, as every reading did
    small      processor seconds of the whole command on the smallest .onnx of at least 0.1 MB in DIR, in pairs with
               ``import onnx`` alone and, with --before, with another checkout of memprof: under ``reference``, from
               the file alone, and as it comes, with all answers kept          bound: 1 x that checkout
    first      the same file as it comes, nothing kept, in turn with the file alone and with a process that only
               makes a session of it                  bound: 0.5 s above the file alone, and one such process
    models     every .onnx of 20 MB or more in DIR: memprof.analyze against onnx.load + shape inference, imports
               excluded on both sides                                        bound: 1/3
               from 100 MB on also whole processes                           bound: 1
    embedded   500 MB of weights inside the file against beside it           bound: 1.2
    peers      onnx-tool's profile and onnxsim's memory plan, run by another interpreter, and what they report

Each figure is the median of runs in fresh processes, taken in turn.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
from nas_record import write_record
from onnx import TensorProto, helper, numpy_helper

MIN_MODEL_BYTES = 20_000_000
MIN_COMMAND_BYTES = 100_000_000
MIN_SMALL_BYTES = 100_000
SMALL: Mapping[str, tuple[list[str], list[str]]] = MappingProxyType(
    {
        "reference": (["--runtime", "reference"], ["--runtime", "reference"]),
        "from the file alone": (["--from-file"], []),
        "as it comes, kept": ([], []),
    }
)
"""Flags of the command now and before, when it knew no session to ask."""
VIEWS: Mapping[str, tuple[str, ...]] = MappingProxyType({"text": (), "json": ("--json",)})

_MEMPROF = """
import sys, time, memprof, memprof.api, memprof.importers.onnx, memprof.render.text
began = time.perf_counter(); report = memprof.analyze(sys.argv[1]); print(time.perf_counter() - began)
"""
_ONNX = """
import sys, time, onnx
began = time.perf_counter()
onnx.shape_inference.infer_shapes(onnx.load(sys.argv[1]))
print(time.perf_counter() - began)
"""
_GRAPH = """
import sys, time
from pathlib import Path
from memprof.importers.onnx import read_onnx
from memprof.importers.request import Request
from memprof.results.building import build_report
from memprof.runtimes import RUNTIMES
began = time.perf_counter()
model = read_onnx(Request(source=sys.argv[1]))
read = time.perf_counter() - began
chosen = {name: RUNTIMES[name] for name in ("reference", "ideal", "paper")}
began = time.perf_counter(); build_report(model, chosen); print(read, time.perf_counter() - began)
"""
_ONE_GRAPH = """
import gc, sys, time
from memprof import analyze
from memprof.importers.onnx import read_onnx
from memprof.importers.request import Request
request = Request(source=sys.argv[1], dims={"batch": 1})
read_onnx(request)
for touches_ahead in (False, True):
    gc.collect(); gc.disable()
    began = time.perf_counter()
    model = read_onnx(request)
    if touches_ahead:
        assert model.ahead is not None
        model.ahead()
    analyze(model, runtimes=["reference"])
    print(time.perf_counter() - began)
    gc.enable()
"""
_ONNX_TOOL = """
import sys, time, onnx_tool
began = time.perf_counter()
graph = onnx_tool.Model(sys.argv[1]).graph
graph.shape_infer(None)
graph.profile()
size_bytes = graph.get_compute_graph().compress_memory()[1]
print(time.perf_counter() - began, int(size_bytes))
"""


_ONNXSIM = """
import sys, time, onnx, onnxsim
began = time.perf_counter()
plan = onnxsim.plan_activation_memory(onnx.load(sys.argv[1]))
print(time.perf_counter() - began, plan.arena_bytes)
"""
PEERS = {"onnx_tool": _ONNX_TOOL, "onnxsim": _ONNXSIM}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, help="folder of .onnx files")
    parser.add_argument("--peers-python", help="interpreter that has onnx-tool and onnxsim")
    parser.add_argument("--json", type=Path, help="file to write")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", choices=["large", "one_graph", "small", "first"], help="this part alone")
    parser.add_argument("--operations", type=int, default=100_000, help="of each graph of the part 'large'")
    parser.add_argument("--before", type=Path, help="another checkout of memprof, to be compared with")
    options = parser.parse_args()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        if options.only == "small":
            results["small"] = bench_small(options.models, options.before, Path(folder), options.runs)
        elif options.only == "first":
            results["first"] = bench_first(options.models, options.before, Path(folder), options.runs)
        elif options.only == "large":
            results["large"] = bench_large(options.operations, options.before, Path(folder), options.runs)
        elif options.only:
            results["one_graph"] = bench_one_graph(Path(folder), options.runs)
        if options.only:
            write_record(options.json, results)
            return
        results["graphs"] = bench_graphs(Path(folder), options.runs)
        results["large"] = bench_large(options.operations, options.before, Path(folder), options.runs)
        results["one_graph"] = bench_one_graph(Path(folder), options.runs)
        results["embedded"] = bench_embedded(Path(folder), options.runs)
        if options.models:
            results["small"] = bench_small(options.models, options.before, Path(folder), options.runs)
    if options.models:
        results["models"] = bench_models(options.models, options.peers_python, options.runs)
    write_record(options.json, results)


def bench_graphs(folder: Path, runs: int) -> list[dict[str, Any]]:
    print("graph          read      analysis   command    peak memory")
    rows = []
    for kind in ("chain", "dag"):
        for count in (1_000, 10_000, 100_000):
            path = write_graph(folder / f"{kind}_{count}.onnx", kind, count)
            inside = [run_script(_GRAPH, path) for _ in range(runs)]
            command = [
                run_command([sys.executable, "-m", "memprof", "analyze", str(path), "--json"]) for _ in range(runs)
            ]
            row: dict[str, Any] = {
                "graph": kind,
                "operations": count,
                "read_seconds": statistics.median(found[0] for found in inside),
                "analysis_seconds": statistics.median(found[1] for found in inside),
                "command_seconds": statistics.median(seconds for seconds, _ in command),
                "command_peak_bytes": max(peak for _, peak in command),
            }
            rows.append(row)
            print(
                f"{kind:<6}{count:>8,}{row['read_seconds']:>8.3f} s{row['analysis_seconds']:>9.3f} s"
                f"{row['command_seconds']:>9.2f} s{row['command_peak_bytes'] / 1e6:>10.0f} MB"
            )
    return rows


def bench_large(operations: int, before: Path | None, folder: Path, runs: int) -> list[dict[str, Any]]:
    """Return what the command takes on large graphs, and ratios taken pair by pair."""
    print(f"{operations:>10,} operations   processor   peak memory   of onnx.load + inference   of before")
    rows = []
    for kind, write in FAMILIES.items():
        path = str(write(folder / f"{kind}_large.onnx", kind, operations))
        for view, flags in VIEWS.items():
            command = [*_COMMAND, "analyze", path, "--max-nodes", str(operations), *flags]
            ours = (command, here(cache=folder / "cache"))
            onnx_alone = ([sys.executable, "-c", _ONNX, path], here())
            theirs = (command, here(before, folder / "cache before"))
            found = compare([ours, onnx_alone, *([theirs] if before else [])], runs)
            rows.append({"graph": kind, "operations": operations, "view": view, **asdict(found)})
            ratio = f"{found.of_before:>24.2f}" if before else ""
            print(
                f"{kind:<16}{view:<5}{found.seconds:>9.2f} s{found.peak_bytes / 1e6:>12.0f} MB"
                f"{found.of_onnx:>17.2f} {ratio}",
                flush=True,
            )
    return rows


def bench_one_graph(folder: Path, runs: int) -> list[dict[str, Any]]:
    """Return what reading for one runtime model costs beside reading with the graph that onnxruntime alone needs."""
    print("one graph       reference alone   both graphs   ratio")
    rows = []
    for kind in ("chain", "dag"):
        path = write_graph(folder / f"{kind}_open.onnx", kind, 10_000, batch="batch")
        found = [run_script(_ONE_GRAPH, path) for _ in range(runs)]
        one, both = (statistics.median(times[i] for times in found) for i in (0, 1))
        rows.append({"graph": kind, "one_seconds": one, "both_seconds": both, "ratio": one / both})
        print(f"{kind:<16}{one:>13.3f} s{both:>12.3f} s{one / both:>8.2f}")
    return rows


def bench_small(models: Path, before: Path | None, folder: Path, runs: int) -> list[dict[str, Any]]:
    """Return processor seconds of the command on a small file, and ratios taken pair by pair."""
    path = smallest(models)
    onnx_alone = ([sys.executable, "-c", "import onnx"], here())
    print(f"{Path(path).name:<22}processor   of import onnx   of before")
    rows = []
    for name, (flags, old_flags) in SMALL.items():
        ours = ([*_COMMAND, "analyze", path, *flags], here(cache=folder / "cache"))
        theirs = ([*_COMMAND, "analyze", path, *old_flags], here(before, folder / "cache before"))
        jobs = [ours, onnx_alone, *([theirs] if before else [])]
        for job in jobs:
            processor_seconds(*job)  # compiles, and keeps answers
        found = compare(jobs, max(runs, 9))
        row: dict[str, Any] = {
            "model": Path(path).name,
            "command": name,
            "seconds": found.seconds,
            "of_import_onnx": found.of_onnx,
            "of_before": found.of_before,
        }
        rows.append(row)
        ratio = f"{row['of_before']:>12.2f}" if before else ""
        print(f"{name:<22}{row['seconds']:>7.3f} s{row['of_import_onnx']:>14.2f} {ratio}")
    return rows


def smallest(models: Path) -> str:
    sized = [(size, path) for path in models.glob("*.onnx") if (size := path.stat().st_size) >= MIN_SMALL_BYTES]
    return str(min(sized)[1])


def bench_first(models: Path, before: Path | None, folder: Path, runs: int) -> dict[str, Any]:
    """Return processor seconds of the first analysis of a file, of the file alone, and of a session; medians."""
    path = smallest(models)
    script = f"import onnxruntime as o; o.InferenceSession({path!r}, providers=['CPUExecutionProvider'])"
    analyze, cache = [*_COMMAND, "analyze", path], folder / "first"
    jobs = {
        "as it comes, first": (analyze, here(cache=cache)),
        "from the file alone": ([*analyze, "--from-file"], here(cache=cache)),
        "one session alone": ([sys.executable, "-c", script], here()),
        **({"before, first": (analyze, here(before, cache))} if before else {}),
    }
    found: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(max(runs, 5) + 1):
        for name, job in jobs.items():
            shutil.rmtree(cache, ignore_errors=True)
            found[name].append(processor_seconds(*job))
    medians = {name: statistics.median(times[1:]) for name, times in found.items()}  # the first ones compile
    first, alone, session, *old = medians.values()
    row: dict[str, Any] = {"model": Path(path).name, "seconds": medians, "above_bound": first - alone - session - 0.5}
    if old:
        pairs = zip(found["as it comes, first"][1:], found["before, first"][1:], strict=True)
        row["of_before"] = statistics.median(now / then for now, then in pairs)
    for name, seconds in medians.items():
        print(f"{name:<22}{seconds:>7.3f} s")
    print(f"above the bound {row['above_bound']:+.3f} s; of before {row.get('of_before', 0):.2f}")
    return row


_COMMAND = [sys.executable, "-P", "-m", "memprof"]


def here(checkout: Path | None = None, cache: Path | None = None) -> dict[str, str]:
    """Return the environment of a process that takes memprof from a checkout, this one if left out."""
    found = {**os.environ, "PYTHONPATH": str((checkout or Path(__file__).parents[1]).resolve())}
    found.pop("PYTHONDONTWRITEBYTECODE", None)
    return found if cache is None else {**found, "XDG_CACHE_HOME": str(cache.resolve())}


def processor_seconds(command: Sequence[str], environment: Mapping[str, str]) -> float:
    """Return what a process and its children take of a processor: other load hardly matters to it."""
    return _cost(command, environment)[0]


def _cost(command: Sequence[str], environment: Mapping[str, str]) -> tuple[float, int]:
    """Return what a process and its children take of a processor, and the most bytes of memory of one of them."""
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return used.ru_utime + used.ru_stime, used.ru_maxrss * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What a command takes, alone and beside others.

    Attributes:
        seconds: Seconds of a processor, the median.
        peak_bytes: Most bytes of memory, the largest of all runs.
        of_onnx: Its seconds over those of onnx.
        of_before: Its seconds over those of another checkout, ``None`` without one.
    """

    seconds: float
    peak_bytes: int
    of_onnx: float
    of_before: float | None


def compare(jobs: Sequence[tuple[list[str], dict[str, str]]], runs: int) -> Compared:
    """Compare the first job with the second, which is onnx alone, and the third, if any.

    Each ratio is the median over runs in which the jobs ran one after the other.
    """
    found = [[_cost(*job) for job in jobs] for _ in range(runs)]
    ratios = [statistics.median(costs[0][0] / costs[i][0] for costs in found) for i in range(1, len(jobs))]
    return Compared(
        seconds=statistics.median(costs[0][0] for costs in found),
        peak_bytes=max(costs[0][1] for costs in found),
        of_onnx=ratios[0],
        of_before=ratios[1] if len(ratios) > 1 else None,
    )


def bench_embedded(folder: Path, runs: int) -> dict[str, Any]:
    """500 MB of weights in the file and beside it: the walk must not notice."""
    inside, beside = write_weights(folder)
    seconds: dict[str, list[float]] = {"embedded": [], "external": []}
    for _ in range(2 * runs + 1):
        for name, path in (("embedded", inside), ("external", beside)):
            seconds[name].append(run_command([sys.executable, "-m", "memprof", "analyze", str(path)])[0])
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    ratio = medians["embedded"] / medians["external"]
    print(
        f"500 MB embedded {medians['embedded']:.3f} s, external {medians['external']:.3f} s: {ratio:.2f}x, bound 1.2x"
    )
    return {**medians, "ratio": ratio, "bound": 1.2}


def bench_models(folder: Path, peers_python: str | None, runs: int) -> list[dict[str, Any]]:
    print("model                            MB   memprof    onnx     ratio   command ratio")
    rows = []
    for path in sorted(folder.glob("*.onnx")):
        size = path.stat().st_size
        if size < MIN_MODEL_BYTES:
            continue
        ours, theirs = [], []
        for _ in range(runs):
            ours.append(run_script(_MEMPROF, path)[0])
            theirs.append(run_script(_ONNX, path)[0])
        row: dict[str, Any] = {
            "model": path.stem,
            "file_bytes": size,
            "memprof_seconds": statistics.median(ours),
            "onnx_seconds": statistics.median(theirs),
            "ratio": statistics.median(ours) / statistics.median(theirs),
        }
        if size >= MIN_COMMAND_BYTES:
            row["command_ratio"] = bench_commands(path, runs)
        for name, script in PEERS.items() if peers_python else ():
            row[name] = run_peer(peers_python or "", script, path)
        rows.append(row)
        whole = f"{row['command_ratio']:.2f}" if "command_ratio" in row else ""
        whole += "".join(f"   {name} {row[name]}" for name in PEERS if name in row)
        print(
            f"{path.stem:<28}{size / 1e6:>7.0f}{row['memprof_seconds']:>8.3f} s{row['onnx_seconds']:>7.3f} s"
            f"{row['ratio']:>8.3f}{whole:>12}"
        )
    return rows


def bench_commands(path: Path, runs: int) -> float:
    """Return the whole command against a process that only loads and infers shapes."""
    ours, theirs = [], []
    for _ in range(runs):
        ours.append(run_command([sys.executable, "-m", "memprof", "analyze", str(path)])[0])
        theirs.append(run_command([sys.executable, "-c", _ONNX, str(path)])[0])
    return statistics.median(ours) / statistics.median(theirs)


def run_peer(python: str, script: str, path: Path) -> dict[str, Any]:
    done = subprocess.run([python, "-c", script, str(path)], capture_output=True, text=True, check=False, timeout=300)
    numbers = done.stdout.split()[-2:] if done.returncode == 0 else []
    if len(numbers) != 2:
        return {"error": (done.stderr.strip().splitlines() or ["no output"])[-1][:200]}
    return {"seconds": float(numbers[0]), "reported_bytes": int(numbers[1])}


def run_script(script: str, path: Path) -> list[float]:
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    return [float(number) for number in done.stdout.split()]


def run_command(command: Sequence[str]) -> tuple[float, int]:
    """Return the seconds and the peak resident bytes of one process."""
    script = (
        "import resource, subprocess, sys, time; began = time.perf_counter(); "
        "subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True); "
        "print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)"
    )
    done = subprocess.run([sys.executable, "-c", script, *command], capture_output=True, text=True, check=True)
    seconds, peak = done.stdout.split()
    return float(seconds), int(peak)


def write_graph(path: Path, kind: str, count: int, batch: int | str = 1) -> Path:
    """Write a chain of Relus, Relus of one tensor, or Adds over earlier tensors, without a record of shapes."""
    rng = random.Random(0)
    names = ["x"]
    nodes = []
    for i in range(count):
        if kind == "dag":
            reads = [names[max(0, i - int(rng.expovariate(0.1)))] for _ in range(2)]
        else:
            reads = [names[-1] if kind == "chain" else "x"]
        nodes.append(helper.make_node("Add" if kind == "dag" else "Relu", reads, [f"t{i}"], name=f"n{i}"))
        names.append(f"t{i}")
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, kind, [value("x", TensorProto.FLOAT, [batch, 64])], [value(names[-1], TensorProto.FLOAT, [batch, 64])]
    )
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString())
    return path


def write_layers(path: Path, kind: str, count: int) -> Path:
    """Write blocks of five operations that share their weights, without a record of shapes."""
    weights = {"w": np.zeros((8, 8, 3, 3), np.float32), **dict.fromkeys("sbmv", np.zeros(8, np.float32))}
    nodes, last = [], "x"
    for i in range(count // 5):
        names = [f"{i}.{name}" for name in ("conv", "norm", "relu", "gate", "sum")]
        reads = [[last, "w"], [names[0], *"sbmv"], names[1:2], names[2:3], [names[3], last]]
        for op, read, name in zip(_LAYERS, reads, names, strict=True):
            settings: dict[str, Any] = {"pads": [1] * 4, "kernel_shape": [3, 3]} if op == "Conv" else {}
            nodes.append(helper.make_node(op, read, [name], name=name, **settings))
        last = names[-1]
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 8, 16, 16]) for name in ("x", last)]
    initializers = [numpy_helper.from_array(weight, name) for name, weight in weights.items()]
    model = helper.make_model(
        helper.make_graph(nodes, kind, info[:1], info[1:], initializers), opset_imports=[helper.make_opsetid("", 17)]
    )
    path.write_bytes(model.SerializeToString())
    return path


_LAYERS = ("Conv", "BatchNormalization", "Relu", "Sigmoid", "Add")
FAMILIES = MappingProxyType({"chain": write_graph, "dag": write_graph, "wide": write_graph, "layers": write_layers})


def write_weights(folder: Path) -> tuple[Path, Path]:
    """Write one model with 500 MB of weights, embedded and external."""
    side, count = 2500, 20
    weight = np.zeros((side, side), np.float32)
    names = ["x", *(f"t{i}" for i in range(count))]
    nodes = [helper.make_node("MatMul", [names[i], f"w{i}"], [names[i + 1]], name=f"n{i}") for i in range(count)]
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, side]) for name in (names[0], names[-1])]
    weights = [numpy_helper.from_array(weight, f"w{i}") for i in range(count)]
    model = helper.make_model(helper.make_graph(nodes, "weights", info[:1], info[1:], weights))
    inside, beside = folder / "embedded.onnx", folder / "external.onnx"
    onnx.save(model, str(inside))
    onnx.save(model, str(beside), save_as_external_data=True, location="weights.bin")
    return inside, beside


if __name__ == "__main__":
    main()
