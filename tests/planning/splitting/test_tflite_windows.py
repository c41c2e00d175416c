"""Patches of .tflite layers: what they need is what LiteRT shows when single rows of the input change."""

from __future__ import annotations

import struct
from pathlib import Path
from random import Random

import numpy as np
import pytest

import memprof
from memprof.planning.splitting.estimate import needed_spans
from memprof.planning.splitting.windows import find_windows
from tests import tflite_models as make
from tests.tflite_models import FLOAT32, Graph, Number, Operator, Table, Tensor

ROWS, COLUMNS, CHANNELS = 23, 18, 2
SAME, VALID = 0, 1


class Layers:
    """A network of random layers as it grows."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.tensors = [Tensor("x", (1, ROWS, COLUMNS, CHANNELS), FLOAT32)]
        self.operators: list[Operator] = []
        self.last = "x"
        self.size = (ROWS, COLUMNS)

    def _write(self, op: str, reads: list[str], size: tuple[int, int], options: Table, union: int) -> str:
        name = f"t{len(self.operators)}"
        depth = CHANNELS * (len(reads) if op == "CONCATENATION" else 1)
        self.tensors.append(Tensor(name, (1, *size, depth), FLOAT32))
        self.operators.append(Operator(op, reads, [name], options, union=union))
        return name

    def _slide(self, kernel: tuple[int, int], strides: tuple[int, int], dilations: tuple[int, int]) -> int:
        """Choose the padding, set the size that follows, and return the padding."""
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
        fits = all(r <= s for r, s in zip(reach, self.size, strict=True))
        padding = self._rng.choice([SAME, VALID]) if fits else SAME
        cut = [0, 0] if padding == SAME else [r - 1 for r in reach]
        rows, columns = (-(-(s - c) // stride) for s, c, stride in zip(self.size, cut, strides, strict=True))
        self.size = (rows, columns)
        return padding

    def add_convolution(self, op: str) -> None:
        kernel = self._rng.randint(1, 4), self._rng.randint(1, 4)
        dilations = self._rng.choice([(1, 1), (1, 1), (2, 1), (1, 3)])
        strides = (self._rng.randint(1, 2), self._rng.randint(1, 2)) if dilations == (1, 1) else (1, 1)
        padding = self._slide(kernel, strides, dilations)
        shape = (CHANNELS, *kernel, CHANNELS) if op == "CONV_2D" else (1, *kernel, CHANNELS)
        self._convolve(op, self.last, shape, padding, strides, dilations)

    def _convolve(
        self,
        op: str,
        reads: str,
        shape: tuple[int, ...],
        padding: int,
        strides: tuple[int, int] = (1, 1),
        dilations: tuple[int, int] = (1, 1),
    ) -> None:
        count = shape[0] * shape[1] * shape[2] * shape[3]
        weight, bias = (f"{kind}{len(self.operators)}" for kind in "wb")
        self.tensors.append(Tensor(weight, shape, FLOAT32, struct.pack(f"<{count}f", *[0.1] * count)))
        self.tensors.append(Tensor(bias, (CHANNELS,), FLOAT32, bytes(4 * CHANNELS)))
        options = {0: Number("b", padding), 1: Number("i", strides[1]), 2: Number("i", strides[0])}
        if op == "CONV_2D":
            options |= {4: Number("i", dilations[1]), 5: Number("i", dilations[0])}
        else:
            options |= {3: Number("i", 1), 5: Number("i", dilations[1]), 6: Number("i", dilations[0])}
        self.last = self._write(op, [reads, weight, bias], self.size, options, 1 if op == "CONV_2D" else 2)

    def add_pool(self, op: str) -> None:
        kernel, strides = (
            (self._rng.randint(1, 3), self._rng.randint(1, 3)),
            self._rng.choice([(1, 1), (2, 1), (2, 2)]),
        )
        padding = self._slide(kernel, strides, (1, 1))
        options = {0: Number("b", padding), 1: Number("i", strides[1]), 2: Number("i", strides[0])}
        options |= {3: Number("i", kernel[1]), 4: Number("i", kernel[0])}
        self.last = self._write(op, [self.last], self.size, options, 5)

    def add_branches(self) -> None:
        relu = self._write("RELU", [self.last], self.size, {}, 0)
        total = self._write("ADD", [self.last, relu], self.size, {0: Number("b", 0)}, 11)
        both = self._write("CONCATENATION", [total, relu], self.size, {0: Number("i", 3)}, 10)
        self._convolve("CONV_2D", both, (CHANNELS, 1, 1, 2 * CHANNELS), SAME)

    def file(self) -> bytes:
        return make.model(Graph(self.tensors, self.operators, ["x"], [self.last]))


def random_layers(rng: Random) -> Layers:
    layers = Layers(rng)
    for _ in range(4):
        kind = rng.choice(["CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "AVERAGE_POOL_2D", "branches"])
        if kind == "branches":
            layers.add_branches()
        elif "POOL" in kind:
            layers.add_pool(kind)
        else:
            layers.add_convolution(kind)
    return layers


@pytest.mark.parametrize("seed", range(12))
def test_a_patch_needs_what_changes_it(seed: int, tmp_path: Path) -> None:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    rng = Random(f"tflite patch {seed}")
    layers = random_layers(rng)
    path = tmp_path / "model.tflite"
    path.write_bytes(layers.file())
    runtime = interpreter.Interpreter(
        str(path), experimental_op_resolver_type=interpreter.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    runtime.allocate_tensors()

    def run(x: np.ndarray) -> np.ndarray:
        runtime.set_tensor(runtime.get_input_details()[0]["index"], x)
        runtime.invoke()
        found: np.ndarray = runtime.get_tensor(runtime.get_output_details()[0]["index"])
        return found

    graph = memprof.load(path).graph
    windows = {i: found for i, of in enumerate(graph.nodes) if (found := find_windows(graph, of)) is not None}
    assert len(windows) == len(graph.nodes)
    x = np.ones((1, ROWS, COLUMNS, CHANNELS), np.float32)
    plain = run(x)
    assert plain.shape == (1, *layers.size, CHANNELS)  # the sizes that the file states are those of the runtime
    for axis, size in enumerate((ROWS, COLUMNS)):
        changed = []  # of each input row: the output rows that show it
        for i in range(size):
            louder = x.copy()
            louder[(slice(None),) * (1 + axis) + (i,)] = 100
            changed.append((run(louder) != plain).any(axis=tuple(d for d in range(4) if d != 1 + axis)))
        start = rng.randrange(layers.size[axis])
        stop = rng.randint(start + 1, layers.size[axis])
        seen = [i for i, rows in enumerate(changed) if rows[start:stop].any()]
        spans = needed_spans(graph, range(len(graph.nodes)), windows, (graph.outputs[0], axis, (start, stop)))
        needed = spans[graph.inputs[0]]
        assert (needed[0], needed[1]) == (seen[0], seen[-1] + 1)
