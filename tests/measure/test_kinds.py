"""Programs of unusual kinds, predicted against TensorFlow Lite Micro and LiteRT themselves."""

from __future__ import annotations

import random
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.version import Version

from memprof.importers.tflite import read_tflite
from memprof.ir.program import Program
from memprof.measure.verify_litert import arena_span
from memprof.runtimes.litert.arena import lay_out
from memprof.runtimes.tflm import find_arena
from tests import tflite_models as make
from tests.tflite_kinds import ADD, integers, kinds, tensor, zeros
from tests.tflite_models import Graph, Number, Operator

ROUNDS = 40
UNKNOWN_TO_LITERT = {"8-bit LSTM", "16-bit LSTM", "half a plan", "if in if", "if in while", "the same branch twice"}


WITH_A_RECENT_TYPE = "unused tensor of 8-bit floats"


def program_of(content: bytes, folder: Path) -> tuple[str, Program]:
    path = folder / "m.tflite"
    path.write_bytes(content)
    program = read_tflite(path, dims={}, inputs={}).graph.program
    assert program is not None
    return str(path), program


def skip_if_older(kind: str, distribution: str, since: str) -> None:
    """Skip a kind that has a type which a runtime knows only since a version."""
    found = version(distribution)
    if kind == WITH_A_RECENT_TYPE and Version(found) < Version(since):
        pytest.skip(f"{distribution} {found} does not know 8-bit floats yet")


@pytest.mark.parametrize("kind", sorted(kinds()))
def test_the_head_is_predicted(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("tflite_micro", reason="the extra tflm is not installed")
    skip_if_older(kind, "tflite-micro", "0.dev20261023")
    from memprof.measure.tflm_runs import run_model

    path, program = program_of(kinds()[kind], tmp_path)
    arena = find_arena(program)

    assert (arena.head_bytes, arena.unproven) == (run_model(path, 2**20, 1)["head_bytes"], ())


def litert_span(path: str, program: Program) -> int:
    from memprof.measure.litert_runs import read_addresses

    main = program.subgraphs[0]
    predicted = {i for block in lay_out(program).blocks for i in block.tensors}
    spans = {
        i: (start, start + size)
        for i, start, size in read_addresses(path)["tensors"]
        if size and (i in predicted or i >= len(main.tensors))
    }
    base, top = arena_span(spans, predicted)
    return top - base


@pytest.mark.parametrize("kind", sorted(set(kinds()) - UNKNOWN_TO_LITERT))
def test_the_arena_of_litert_is_predicted(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
    skip_if_older(kind, "ai-edge-litert", "2.3")
    path, program = program_of(kinds()[kind], tmp_path)
    arena = lay_out(program)

    assert (arena.arena_bytes, arena.unproven) == (litert_span(path, program), ())


@pytest.mark.parametrize("kind", ["16-bit LSTM", "if in if", "if in while"])
def test_what_litert_takes_for_other_kinds_is_an_estimate(tmp_path: Path, kind: str) -> None:
    assert lay_out(program_of(kinds()[kind], tmp_path)[1]).unproven


def random_network(rng: random.Random) -> bytes:
    """Return operators that share, unfold, count along axes, read twice or write what nobody reads."""
    image = (1, 4, 4, 8)
    tensors, operators = [tensor("x", image)], []
    pool = list(tensors)
    for i in range(rng.randrange(2, 20)):
        name, first = f"t{i}", pool[-1] if rng.random() < 0.6 else rng.choice(pool)
        op = rng.choice(["RELU", "LOGISTIC", "ADD", "SUB", "MEAN", "RESHAPE", "CONV_2D"])
        shape = tuple(first.shape)
        if op in {"RELU", "LOGISTIC"}:
            operators.append(Operator(op, [first.name], [name]))
        elif op in {"ADD", "SUB"}:
            pair = [first.name, rng.choice([t for t in pool if t.shape == first.shape]).name]
            rng.shuffle(pair)
            operators.append(Operator(op, pair, [name], ADD, union=11 if op == "ADD" else 28))
        elif op == "RESHAPE":
            shape = (1, 128) if len(shape) == 4 else image
            tensors.append(integers(f"s{i}", *shape))
            operators.append(Operator(op, [first.name, f"s{i}"], [name], {}, union=17))
        elif len(shape) != 4:
            continue
        elif op == "MEAN":
            tensors.append(integers(f"s{i}", 0, 3))
            operators.append(Operator(op, [first.name, f"s{i}"], [name], {0: Number("B", 0)}, union=27))
            shape = (4, 4)
        else:
            tensors += [zeros(f"w{i}", (8, 3, 3, 8)), zeros(f"b{i}", (8,))]
            options = {0: Number("b", 0), 1: Number("i", 1), 2: Number("i", 1)}
            operators.append(Operator(op, [first.name, f"w{i}", f"b{i}"], [name], options))
        tensors.append(tensor(name, shape))
        if shape != (4, 4):
            pool.append(tensors[-1])
    if not operators:
        return random_network(rng)
    return make.model(Graph(tensors, operators, ["x"], [operators[-1].outputs[0]]))


def test_the_arena_of_litert_is_predicted_for_random_networks(tmp_path: Path) -> None:
    """Nine in ten exactly: of equal sizes written by equal operators the runtime's sort is not stable."""
    pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
    misses = []
    for seed in range(ROUNDS):
        path, program = program_of(random_network(random.Random(seed)), tmp_path)
        misses.append(abs(lay_out(program).arena_bytes - litert_span(path, program)))

    assert max(misses) <= 64
    assert misses.count(0) >= 0.9 * ROUNDS
