"""The ONNX standard's own node tests: predicted peaks against the installed onnxruntime, optimisation off.

    python benchmarks/node_tests.py --json nodes.json      # all, about a minute; what ``proven.py`` reads
    python benchmarks/node_tests.py --page benchmarks/results/node_tests.json      # what the accuracy page reads
    python benchmarks/node_tests.py --only attention --list wrong
    python benchmarks/node_tests.py --resized 1 --list wrong       # each at three other sizes, of this seed

Each test of ``onnx.backend.test.case.node`` is one small model with data. Recorded shapes of what nodes write are
taken away, so that memprof has to infer them; then its peaks, with and without kernel scratch, are set beside what a
traced allocator saw. Where elements of inputs decide sizes, so that there is no number or none graded exact, it is
asked again with the test's own, as ``--value`` gives them; how many that were is counted. A model that onnxruntime
refuses, and one whose inputs are no plain tensors, is counted apart.

    verdict    with scratch, without
    exact      the predicted bytes are the measured ones
    unknown    no number is given
    bounded    a larger number, graded an upper bound: the data decide the size
    graded     another number, but not graded exact, and with the names of the operators that lower the grade
    wrong      another number, graded exact, or a smaller one, graded an upper bound
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np
from onnx import ModelProto

from memprof.base.errors import MemprofError
from memprof.importers.onnx import read_onnx
from memprof.importers.onnx.constants import MAX_ELEMENTS
from memprof.importers.request import Elements, Request
from memprof.results.building import lowered
from memprof.runtimes import RUNTIMES, as_read
from memprof.runtimes.onnxruntime.proven import kernels

ROOT = Path(__file__).parents[1]
_CHUNK = 200
_KEPT = 0.5
_MOST_ELEMENTS = 2_000_000
Array: TypeAlias = "np.ndarray[Any, Any]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One test.

    Attributes:
        name: The test's name.
        ops: Its operations.
        refusal: Why onnxruntime did not run it, empty if it did.
        measured_bytes: Peak with scratch.
        measured_bare_bytes: Peak without scratch, ``None`` if the trace does not show it.
        predicted_bytes: The same, predicted.
        predicted_bare_bytes: The same, predicted.
        grade: Of the prediction.
        lowered_by: Operators that lower it.
        reason: Why there is no number.
        given: Inputs whose elements were given.
        kernels: What it runs, see ``proven.kernels``.
    """

    name: str
    ops: tuple[str, ...]
    refusal: str = ""
    measured_bytes: int | None = None
    measured_bare_bytes: int | None = None
    predicted_bytes: int | None = None
    predicted_bare_bytes: int | None = None
    grade: str | None = None
    lowered_by: tuple[str, ...] = ()
    reason: str = ""
    given: tuple[str, ...] = ()
    kernels: tuple[tuple[str, str], ...] = ()

    @property
    def verdicts(self) -> frozenset[str]:
        """Both verdicts."""
        return frozenset((self.verdict(with_scratch=True), self.verdict(with_scratch=False)))

    def verdict(self, *, with_scratch: bool) -> str:
        """Return what the prediction is worth: see the module."""
        measured = self.measured_bytes if with_scratch else self.measured_bare_bytes
        predicted = self.predicted_bytes if with_scratch else self.predicted_bare_bytes
        if self.refusal:
            return "not run"
        if predicted is None:
            return "unknown"
        if measured is None or measured == predicted:
            return "exact"
        if self.grade == "upper bound" and predicted > measured:
            return "bounded"
        return "wrong" if self.grade in ("exact", "upper bound") else "graded"


def collect(only: str = "") -> list[Any]:
    """Return the tests whose name contains ``only``, shapes of what nodes write taken away."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        cases = [case for case in collect_testcases(None) if only in case.name and case.model is not None]
    for case in cases:
        assert case.model is not None, "chosen so"
        strip(case.model)
    return cases


def strip(model: ModelProto) -> None:
    """Take away what the file says of the shapes that its nodes write."""
    del model.graph.value_info[:]
    for info in model.graph.output:
        if info.type.WhichOneof("value") == "tensor_type":
            info.type.tensor_type.ClearField("shape")


def resized(cases: Sequence[Any], seed: int, tries: int = 3) -> list[Any]:
    """Return the tests at other sizes: rules that hold at the few sizes of the tests are not yet rules.

    Equal sides of a test's tensors stay equal, so that many still run; onnxruntime refuses the others. What may be
    shapes, axes and counts (integers in a row) stays as it is.
    """
    rng = Random(seed)
    found: dict[str, tuple[Any, list[Array]]] = {}
    for case in cases:
        arrays = [np.asarray(value) for value in case.data_sets[0][0] if isinstance(value, np.ndarray | np.generic)]
        if len(arrays) != len(case.model.graph.input):
            continue
        for _ in range(tries):
            factor, only_axis, table = rng.choice([0, 2, 3, 5]), rng.choice([None, None, 0, 1, 2, 3]), {1: 1}
            for side in {side for array in arrays for side in array.shape} - {1 if rng.random() < _KEPT else 0}:
                table[side] = side * factor or rng.randint(side, 4 * side + 5)
            shapes = [_resized_shape(array, table, only_axis) for array in arrays]
            if max(map(prod, shapes), default=0) <= _MOST_ELEMENTS:
                name = "@".join((case.name, *("x".join(map(str, shape)) for shape in shapes)))
                found[name] = (case, [np.resize(array, shape) for array, shape in zip(arrays, shapes, strict=True)])
    return [_with_inputs(name, case, arrays) for name, (case, arrays) in found.items()]


def _resized_shape(array: Array, table: Mapping[int, int], only_axis: int | None) -> tuple[int, ...]:
    shape: tuple[int, ...] = array.shape
    if not shape or 0 in shape or (array.dtype.kind in "iu" and len(shape) == 1):
        return shape
    return tuple(table.get(side, side) if only_axis in (None, axis) else side for axis, side in enumerate(shape))


def _with_inputs(name: str, case: Any, arrays: Sequence[Array]) -> Any:
    model = ModelProto()
    model.CopyFrom(case.model)
    for info, array in zip(model.graph.input, arrays, strict=True):
        sides = info.type.tensor_type.shape
        sides.Clear()
        sides.SetInParent()
        for side in array.shape:
            sides.dim.add().dim_value = side
    return SimpleNamespace(name=name, model=model, data_sets=[(arrays, [])])


def predict(path: Path) -> dict[str, Any]:
    """Return what memprof says of a model: fields of an ``Outcome``."""
    found = predict_given(path, {})
    if found.get("grade") != "exact" and (values := given_values(path)):
        again = predict_given(path, values)
        if "predicted_bytes" in again:
            return {**again, "given": tuple(values)}
    return found


def given_values(path: Path) -> dict[str, Elements]:
    """Return the elements of the inputs that are few plain numbers, as a person would give them."""
    import pickle

    arrays, _ = pickle.loads(path.with_suffix(".pickle").read_bytes())
    few = {name: array for name, array in arrays.items() if array.dtype.kind in "biuf" and array.size <= MAX_ELEMENTS}
    return {
        name: tuple(map(float, array.ravel().tolist())) if array.ndim else float(array)
        for name, array in few.items()
        if array.size
    }


def predict_given(path: Path, values: dict[str, Elements]) -> dict[str, Any]:
    """Return what memprof says of a model with some elements given."""
    try:
        source = read_onnx(Request(source=path, values=values))
    except MemprofError as error:
        return {"reason": error.message}
    graph, model = source.graph, as_read(RUNTIMES["onnxruntime"], source)
    if any(note.kind == "dimension" for note in graph.assumed):
        return {"reason": "it leaves a size open, or writes it as 0, and the data have another than is assumed"}
    lifetimes = model.lifetimes(graph)
    if not lifetimes.is_complete:
        return {"reason": "; ".join(unknown.reason for unknown in graph.unknown) or "a kernel's scratch is open"}
    bare = lifetimes.timeline_without_scratch
    return {
        "predicted_bytes": lifetimes.timeline.peak_bytes,
        "predicted_bare_bytes": lifetimes.timeline.peak_bytes if bare is None else bare.peak_bytes,
        "grade": lowered(model.promise(lifetimes), graph).grade,
        "kernels": tuple(sorted(kernels(lifetimes.graph))),
    }


def measure(paths: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Yield what onnxruntime took for each model, or why nothing: in child processes, since some crash."""
    todo = [str(path) for path in paths]
    while todo:
        child = [sys.executable, str(Path(__file__).resolve()), "--child", *todo[:_CHUNK]]
        done = subprocess.run(child, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        yield from lines
        finished = len(lines)
        if finished < min(_CHUNK, len(todo)):
            yield {"refusal": f"the process ended with {done.returncode}"}
            finished += 1
        todo = todo[finished:]


def run_all(cases: Sequence[Any]) -> list[Outcome]:
    """Return what came of each test."""
    with tempfile.TemporaryDirectory(prefix="memprof-") as folder:
        paths = []
        for i, case in enumerate(cases):
            path = Path(folder, f"{i}.onnx")
            path.write_bytes(case.model.SerializeToString())
            write_feeds(path.with_suffix(".pickle"), case)
            paths.append(path)
        found = zip(cases, paths, measure(paths), strict=True)
        return [
            Outcome(
                name=case.name,
                ops=tuple(dict.fromkeys(f"{n.domain}.{n.op_type}".lstrip(".") for n in case.model.graph.node)),
                **measured,
                **({} if "refusal" in measured else predict(path)),
            )
            for case, path, measured in found
        ]


def write_feeds(path: Path, case: Any) -> None:
    """Write the inputs of a test; nothing where one is no plain tensor."""
    import pickle

    inputs, _ = case.data_sets[0]
    names = [info.name for info in case.model.graph.input]
    plain = all(isinstance(value, np.ndarray | np.generic) for value in inputs)
    if plain and len(names) == len(inputs):
        arrays = {name: np.asarray(value) for name, value in zip(names, inputs, strict=True)}
        types = {info.name: info.type.tensor_type.elem_type for info in case.model.graph.input}
        path.write_bytes(pickle.dumps((arrays, types)))


def child(paths: Sequence[str]) -> None:
    """Measure models one after the other; a line of JSON each."""
    import pickle

    from memprof.measure.onnxruntime_allocator import TracedAllocator, run_peaks
    from memprof.measure.onnxruntime_native import Runtime

    runtime = Runtime()
    allocator = TracedAllocator(runtime)
    for text in paths:
        path = Path(text)
        feeds = path.with_suffix(".pickle")
        if feeds.exists():
            try:
                arrays, types = pickle.loads(feeds.read_bytes())
                found = run_peaks(runtime, allocator, text, arrays, types)
                answer: dict[str, Any] = {"measured_bytes": found[0], "measured_bare_bytes": found[1]}
            except Exception as error:
                answer = {"refusal": f"{type(error).__name__}: {str(error)[:200]}"}
        else:
            answer = {"refusal": "its inputs are no plain tensors"}
        print(json.dumps(answer), flush=True)


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return how many tests got which verdict."""
    ran = [found for found in outcomes if not found.refusal]
    return {
        "tests": len(outcomes),
        "run": len(ran),
        "with_elements_given": sum(bool(found.given) for found in ran),
        "with_scratch": dict(Counter(found.verdict(with_scratch=True) for found in ran)),
        "without_scratch": dict(Counter(found.verdict(with_scratch=False) for found in ran)),
    }


def main() -> None:
    """Run the tests and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="file to write")
    parser.add_argument("--page", type=Path, help="file to write of the summary and the tests that are not exact")
    parser.add_argument("--only", default="", help="a part of the test's name")
    parser.add_argument("--resized", type=int, metavar="SEED", help="the tests at other sizes")
    parser.add_argument("--list", default="", help="verdicts to list, with commas: wrong,graded,unknown,not run")
    parser.add_argument("--child", nargs="*", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child is not None:
        child(arguments.child)
        return
    cases = collect(arguments.only)
    outcomes = run_all(cases if arguments.resized is None else resized(cases, arguments.resized))
    for found in outcomes:
        if found.verdicts.intersection(arguments.list.split(",")):
            print(
                f"{found.name}: {', '.join(found.ops)}: predicted {found.predicted_bytes} "
                f"({found.predicted_bare_bytes}), measured {found.measured_bytes} ({found.measured_bare_bytes}) "
                f"{found.grade} {found.reason or found.refusal}"
            )
    print(json.dumps(summary(outcomes), indent=1))
    if arguments.json is not None:
        _write(arguments.json, {"summary": summary(outcomes), "tests": [asdict(found) for found in outcomes]})
    if arguments.page is not None:
        from importlib.metadata import version

        off = [asdict(found) for found in outcomes if found.verdict(with_scratch=True) not in ("exact", "not run")]
        about = {**summary(outcomes), "onnxruntime": version("onnxruntime")}
        _write(arguments.page, {"summary": about, "not exact": off})


def _write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
