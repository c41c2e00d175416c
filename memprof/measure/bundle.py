"""What a run on a device needs, in one folder, and its result read back. Untried on a device so far.

    DIR/model.onnx                     the model
    DIR/test_data_set_0/input_N.pb     its inputs, as onnxruntime's perf test reads them beside a model
    DIR/run.sh                         pushes the folder with adb, runs onnxruntime_perf_test there, keeps its output
    DIR/result.txt                     what it printed, once run.sh has run

The tool is onnxruntime's own, built for the device: options and layout of the data as its README documents them
(https://github.com/microsoft/onnxruntime/tree/main/onnxruntime/test/perftest). The parser reads the lines it prints
with ``-s``; older versions wrote "P90 Latency is 0.06 sec", newer ones "P90 Latency: 0.06 s".
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from memprof.base.errors import InputError, UsageError
from memprof.measure.feeds import InputSpec, random_feeds

DEVICE_FOLDER = "/data/local/tmp/memprof"
RESULT = "result.txt"
WEIGHT_SUFFIXES = (".data", "_data", ".bin", ".weight", ".weights")

_LINE = re.compile(
    r"^(?P<name>Min Latency|Max Latency|P50 Latency|P90 Latency|P95 Latency|P99 Latency|"
    r"Average inference time cost|Session creation time cost|Peak working set size)"
    r"(?: is|:)\s*(?P<value>\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*(?P<unit>ms|sec|s|bytes)\b",
    re.IGNORECASE | re.MULTILINE,
)
_MILLISECONDS = {"ms": 1.0, "s": 1000.0, "sec": 1000.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceResult:
    """What onnxruntime_perf_test printed.

    Attributes:
        median_ms: P50 latency.
        p90_ms: P90 latency.
        min_ms: Fastest run.
        mean_ms: Average time of a run; ``None`` if it was not printed.
        peak_process_bytes: Peak working set of the whole process; ``None`` if it was not printed.
    """

    median_ms: float
    p90_ms: float
    min_ms: float
    mean_ms: float | None
    peak_process_bytes: int | None


def write_bundle(
    model: Path, inputs: Sequence[InputSpec], folder: Path, *, threads: int, runs: int, weights: Sequence[Path] = ()
) -> None:
    """Write the folder; it must not exist yet, or be empty.

    Args:
        model: The .onnx file.
        inputs: Its inputs.
        folder: What to write.
        threads: Threads inside an operation.
        runs: Timed runs.
        weights: Files of weights to copy: what ``weight_files`` gives.

    Raises:
        UsageError: The folder holds something.
    """
    from onnx import numpy_helper

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is not an empty folder.", "Name a new one.")
    data = folder / "test_data_set_0"
    data.mkdir(parents=True)
    shutil.copyfile(model, folder / "model.onnx")
    for file in weights:
        shutil.copyfile(file, folder / file.name)
    for i, (name, array) in enumerate(random_feeds(inputs).items()):
        (data / f"input_{i}.pb").write_bytes(numpy_helper.from_array(array, name).SerializeToString())
    script = folder / "run.sh"
    script.write_text(_script(threads, runs), encoding="utf-8")
    script.chmod(0o755)


def read_result(path: Path) -> DeviceResult:
    """Return what the perf test printed into ``path``, or into ``result.txt`` of a bundle's folder.

    Raises:
        InputError: The file is missing, or the latencies are not in it.
    """
    if path.is_dir():
        path /= RESULT
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.", "Run run.sh of the bundle first.") from error
    return parse_result(text, str(path))


def parse_result(text: str, source: str) -> DeviceResult:
    """Return the figures in what onnxruntime_perf_test prints with ``-s``.

    Raises:
        InputError: The latencies are not in it.
    """
    found = {m["name"].lower(): (float(m["value"]), m["unit"].lower()) for m in _LINE.finditer(text)}
    missing = [name for name in ("P50 Latency", "P90 Latency", "Min Latency") if name.lower() not in found]
    if missing:
        raise InputError(
            f"{source} is no output of onnxruntime_perf_test -s: {', '.join(missing)} is not in it.",
            "See whether the run on the device failed.",
        )

    def milliseconds(name: str) -> float | None:
        value, unit = found.get(name, (0.0, ""))
        return value * _MILLISECONDS[unit] if unit in _MILLISECONDS else None

    size, unit = found.get("peak working set size", (0.0, ""))
    return DeviceResult(
        median_ms=milliseconds("p50 latency") or 0.0,
        p90_ms=milliseconds("p90 latency") or 0.0,
        min_ms=milliseconds("min latency") or 0.0,
        mean_ms=milliseconds("average inference time cost"),
        peak_process_bytes=int(size) if unit == "bytes" else None,
    )


def weight_files(model: Path) -> list[Path]:
    """Return the files beside ``model`` that it names as its weights.

    A model can name any file, a private key say, and a bundle is made to be handed on: a path that leads elsewhere is
    not followed, and a name must end as those of weights do.

    Raises:
        UsageError: A name is not one of a plain file of weights beside the model.
    """
    import onnx
    from onnx.external_data_helper import uses_external_data

    try:
        proto = onnx.load(str(model), load_external_data=False)
    except Exception as error:  # protobuf's own: over 2 GiB, say
        raise UsageError(f"{model} is too large for one file of a bundle.", "Save its weights beside it.") from error
    names = {
        entry.value
        for tensor in proto.graph.initializer
        if uses_external_data(tensor)
        for entry in tensor.external_data
        if entry.key == "location"
    }
    files = [model.parent / name for name in sorted(names)]
    for name, file in zip(sorted(names), files, strict=True):
        if not Path(name).name.endswith(WEIGHT_SUFFIXES):
            raise UsageError(
                f"{model} names {name!r} as its weights, which does not end in {', '.join(WEIGHT_SUFFIXES)}.",
                "Save the model again, with its weights in one file: model.onnx.data",
            )
        if Path(name).name != name or not file.is_file() or file.is_symlink():
            raise UsageError(f"The weights {name!r} are no plain file beside {model}.", "Save the model again.")
    return files


def _script(threads: int, runs: int) -> str:
    place = shlex.quote(DEVICE_FOLDER)
    test = f"cd {place} && chmod +x onnxruntime_perf_test && ./onnxruntime_perf_test"
    options = f"-m times -r {runs} -s -e cpu -o 99 -x {threads} -y 1 model/model.onnx"
    return f"""#!/bin/sh
# Runs the model on an Android device. Needs adb, and onnxruntime_perf_test built for the device:
#     PERF_TEST=path/to/onnxruntime_perf_test ./run.sh
# Then read the result back: memprof bench --result {RESULT}
set -eu
cd "$(dirname "$0")"
: "${{PERF_TEST:?name the onnxruntime_perf_test that was built for the device}}"
adb shell mkdir -p {place}/model
adb push "$PERF_TEST" {place}/onnxruntime_perf_test
for each in *.onnx* test_data_set_0; do adb push "$each" {place}/model/; done
adb shell {shlex.quote(f"{test} {options}")} | tee {RESULT}
"""
