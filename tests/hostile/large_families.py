"""Families of models that grow to the accepted limits: each ends in a report in ten seconds of a processor and a GiB,
or is refused with the limit by name. Others than those that the rules were written by; a seed draws what is drawn.

    python tests/hostile/large_families.py [--seed N] [--only NAME] prints seconds and the end of each.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Callable, Mapping
from itertools import permutations
from pathlib import Path
from types import MappingProxyType

from onnx import ModelProto, NodeProto, TensorProto, helper

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.onnx_models import integers, model, node, tensor, weight

NODES = 39_000
"""Just below what may differ from all others."""

DISTINCT = ("Add", "Sub", "Mul", "Max", "Min")


def _chain(count: int, step: Callable[[int, str], tuple[list[NodeProto], list[TensorProto]]]) -> bytes:
    """Return a chain: each step says what it adds, its last node writing ``t{i + 1}``."""
    nodes: list[NodeProto] = []
    weights: list[TensorProto] = []
    for i in range(count):
        more, constants = step(i, f"t{i}")
        nodes += more
        weights += constants
    return _file(nodes, weights, f"t{count}")


def _file(
    nodes: list[NodeProto], weights: list[TensorProto], output: str, shape: tuple[object, ...] = (4, 8)
) -> bytes:
    found: ModelProto = model(nodes, inputs=[tensor("t0", shape)], initializers=weights, outputs=[output])
    return found.SerializeToString()


def _arithmetic(rng: random.Random) -> bytes:
    """Sizes that travel as numbers through every kind of arithmetic, each step with another constant."""

    def step(i: int, before: str) -> tuple[list[NodeProto], list[TensorProto]]:
        op = rng.choice(DISTINCT)
        name = "s" if not i else before
        constant = integers(f"c{i}", [rng.randint(1, 3), i % 7 + 1])
        return [node(op, [name, f"c{i}"], [f"t{i + 1}"])], [constant]

    count = NODES // 2
    nodes: list[NodeProto] = [node("Shape", ["t0"], ["s"])]
    weights: list[TensorProto] = []
    for i in range(count):
        more, constants = step(i, f"t{i}")
        nodes += more
        weights += constants
    nodes.append(node("ConstantOfShape", [f"t{count}"], ["y"]))
    return _file(nodes, weights, "y")


def _gathers(rng: random.Random) -> bytes:
    """Shape, Gather, Unsqueeze, Concat, Reshape, again and again, each of its own position."""
    nodes: list[NodeProto] = []
    weights = [integers("zero", [0]), integers("one", [1])]
    for i in range(NODES // 5):
        first, second = rng.sample(["zero", "one"], 2)
        nodes += [
            node("Shape", [f"t{i}"], [f"s{i}"]),
            node("Gather", [f"s{i}", first], [f"a{i}"]),
            node("Gather", [f"s{i}", second], [f"b{i}"]),
            node("Concat", [f"a{i}", f"b{i}"], [f"n{i}"], axis=0),
            node("Reshape", [f"t{i}", f"n{i}"], [f"t{i + 1}"]),
        ]
    return _file(nodes, weights, f"t{NODES // 5}")


def _symbols(rng: random.Random) -> bytes:
    """Concats along an open dimension, each as wide as all before it together."""
    nodes = [node("Concat", [f"t{i}", "t0" if i % 3 else f"t{i}"], [f"t{i + 1}"], axis=0) for i in range(60)]
    nodes += [node(rng.choice(DISTINCT), [f"t{i}", f"t{i}"], [f"t{i + 1}"]) for i in range(60, NODES)]
    return _file(nodes, [], f"t{NODES}", ("n", "m"))


def _slices(rng: random.Random) -> bytes:
    """Slices of one long row, each begins elsewhere."""
    nodes = []
    weights = []
    for i in range(NODES // 2):
        weights += [integers(f"b{i}", [i]), integers(f"e{i}", [i + 1 + rng.randint(1, 9)])]
        nodes.append(node("Slice", ["t0", f"b{i}", f"e{i}"], [f"p{i}"]))
    nodes.append(node("Concat", [f"p{i}" for i in range(16_000)], ["y"], axis=0))
    return _file(nodes, weights, "y", (60_000, 2))


def _pads(rng: random.Random) -> bytes:
    """Paddings, then slices back: sizes go up and down, none like another."""
    nodes: list[NodeProto] = []
    weights: list[TensorProto] = [integers("zero", [0])]
    for i in range(NODES // 4):
        wide = rng.randint(1, 1000)
        weights += [integers(f"w{i}", [0, 0, wide, 0]), integers(f"e{i}", [4 + i % 3])]
        nodes += [
            node("Pad", [f"t{i}", f"w{i}"], [f"u{i}"]),
            node("Slice", [f"u{i}", "zero", f"e{i}"], [f"t{i + 1}"]),
        ]
    return _file(nodes, weights, f"t{NODES // 4}")


def _convolutions(rng: random.Random) -> bytes:
    """Convolutions of changing numbers of channels, with their normalisation: what fusions look at."""
    nodes: list[NodeProto] = []
    weights: list[TensorProto] = []
    channels = 3
    for i in range(3000):
        new = rng.randint(1, 12)
        weights += [weight(f"w{i}", new, channels, 1, 1), *(weight(f"{k}{i}", new) for k in "abcd")]
        nodes += [
            node("Conv", [f"t{i}", f"w{i}"], [f"o{i}"]),
            node("BatchNormalization", [f"o{i}", *(f"{k}{i}" for k in "abcd")], [f"n{i}"]),
            node("Relu", [f"n{i}"], [f"t{i + 1}"]),
        ]
        channels = new
    return _file(nodes, weights, "t3000", (1, 3, 8, 8))


def _crossed(rng: random.Random) -> bytes:
    """Every sum reads two values far apart: thousands alive at once."""
    nodes = [node("Relu", ["t0"], [f"t{i + 1}"], name=f"r{i}") for i in range(NODES // 2)]
    last = NODES // 2
    nodes += [node("Add", [f"t{i + 1}", f"t{rng.randint(1, last)}"], [f"u{i}"]) for i in range(last)]
    nodes.append(node("Sum", [f"u{i}" for i in range(16_000)], ["y"]))
    return _file(nodes, [], "y")


def _branches(rng: random.Random) -> bytes:
    """Ifs with bodies that differ, one behind the other."""
    nodes: list[NodeProto] = [
        node("ReduceSum", ["t0"], ["sum"], keepdims=0),
        node("Cast", ["sum"], ["c"], to=TensorProto.BOOL),
    ]
    for i in range(6000):
        bodies = []
        for part in ("then", "else"):
            written = helper.make_tensor_value_info(f"{part}{i}", TensorProto.FLOAT, None)
            inner = node(rng.choice(("Relu", "Tanh", "Exp")), [f"t{i}"], [f"{part}{i}"])
            bodies.append(helper.make_graph([inner], part, [], [written]))
        nodes.append(node("If", ["c"], [f"t{i + 1}"], then_branch=bodies[0], else_branch=bodies[1]))
    return _file(nodes, [], "t6000")


def _products(rng: random.Random) -> bytes:
    """Products of open and known sizes, transposed in between."""

    def step(i: int, before: str) -> tuple[list[NodeProto], list[TensorProto]]:
        turned = node("Transpose", [before], [f"x{i}"], perm=[1, 0])
        return [turned, node("MatMul", [f"x{i}", before], [f"t{i + 1}"])], []

    nodes, weights = [], []
    for i in range(NODES // 4):
        more, constants = step(i, f"t{i}")
        nodes += more
        weights += constants
    rng.random()
    return _file(nodes, weights, f"t{NODES // 4}", ("n", 5))


def _quantised(rng: random.Random) -> bytes:
    """Quantised and back, with scales of their own."""
    nodes: list[NodeProto] = []
    weights: list[TensorProto] = [helper.make_tensor("z", TensorProto.UINT8, [], [0])]
    for i in range(NODES // 3):
        weights.append(helper.make_tensor(f"s{i}", TensorProto.FLOAT, [], [rng.random() + 0.1]))
        nodes += [
            node("QuantizeLinear", [f"t{i}", f"s{i}", "z"], [f"q{i}"]),
            node("DequantizeLinear", [f"q{i}", f"s{i}", "z"], [f"t{i + 1}"]),
        ]
    return _file(nodes, weights, f"t{NODES // 3}")


def _names(rng: random.Random) -> bytes:
    """Long names that differ in their last letters alone."""
    stem = "n" * 500

    def step(i: int, before: str) -> tuple[list[NodeProto], list[TensorProto]]:
        return [node("Relu", [before], [f"t{i + 1}"], name=f"{stem}{rng.random()}")], []

    return _chain(50_000, step)


def _transposed(rng: random.Random) -> bytes:
    """One transposed image that thousands read, each in a way of its own."""
    count = NODES // 2
    nodes = [node("Transpose", ["t0"], ["turned"], perm=[1, 0])]
    nodes += [node("LeakyRelu", ["turned"], [f"r{i}"], alpha=rng.random()) for i in range(count)]
    sums = [[f"r{i}" for i in range(start, min(start + 10_000, count))] for start in range(0, count, 10_000)]
    nodes += [node("Sum", summed, [f"s{i}"]) for i, summed in enumerate(sums)]
    return _file([*nodes, node("Sum", [f"s{i}" for i in range(len(sums))], ["y"])], [], "y")


def _orders(rng: random.Random) -> bytes:
    """A chain each step of which a Transpose reads, in an order of its own."""
    count = NODES // 3
    orders = list(permutations(range(8)))[1 : count + 1]
    rng.shuffle(orders)
    nodes = []
    for i, order in enumerate(orders):
        nodes += [
            node("Relu", [f"t{i}"], [f"t{i + 1}"]),
            node("Transpose", [f"t{i + 1}"], [f"turned{i}"], perm=order),
            node("Exp", [f"turned{i}"], [f"e{i}"]),
        ]
    return _file(nodes, [], f"e{count - 1}", (2,) * 8)


def _counting(rng: random.Random) -> bytes:
    """Loops that count for themselves, each to the least of many limits and by many steps."""
    number, truth = TensorProto.INT64, TensorProto.BOOL
    steps = [node("Add", [f"s{i}", "one"], [f"s{i + 1}"]) for i in range(60)]
    parts = [node("Less", [f"s{i + 40}", "n"], [f"g{i}"]) for i in range(16)]
    ends = [node("And", [f"c{i}" if i else "going", f"g{i}"], [f"c{i + 1}"]) for i in range(16)]
    body = helper.make_graph(
        [*steps, *parts, *ends, node("Identity", ["s60"], ["after"])],
        "body",
        [
            tensor("i", [], TensorProto.INT64),
            tensor("going", [], TensorProto.BOOL),
            tensor("s0", [], TensorProto.INT64),
        ],
        [tensor("c16", [], TensorProto.BOOL), tensor("after", [], TensorProto.INT64)],
    )
    count = NODES // len(body.node)
    nodes = [node("Loop", ["", "yes", "t0"], [f"t{i + 1}"], body=body) for i in range(count)]
    numbers = {"one": 1, "n": rng.randrange(1_000, 2_000), "t0": 0}
    weights = [helper.make_tensor(name, number, [], [value]) for name, value in numbers.items()]
    weights.append(helper.make_tensor("yes", truth, [], [True]))
    found = model(nodes, inputs=[], initializers=weights, outputs=[f"t{count}"])
    return found.SerializeToString()


FAMILIES: Mapping[str, Callable[[random.Random], bytes]] = MappingProxyType(
    {
        "arithmetic": _arithmetic,
        "gathers": _gathers,
        "symbols": _symbols,
        "slices": _slices,
        "pads": _pads,
        "convolutions": _convolutions,
        "crossed": _crossed,
        "branches": _branches,
        "products": _products,
        "quantised": _quantised,
        "names": _names,
        "transposed": _transposed,
        "orders": _orders,
        "counting": _counting,
    }
)


def main() -> None:
    """Analyse each family in a child of its own and print how it ends."""
    from tests.hostile.attack import attack

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=FAMILIES, action="append")
    options = parser.parse_args()
    failed = 0
    for name in options.only or FAMILIES:
        with tempfile.TemporaryDirectory() as folder:
            content = FAMILIES[name](random.Random(f"{options.seed}/{name}"))
            Path(folder, "net.onnx").write_bytes(content)
            (answer,) = attack(Path(folder), [["analyze", "net.onnx", "--from-file", "--json"]])
        end = "report" if answer.code == 0 else answer.document["error"]["message"] if answer.code == 3 else "FAILED"
        failed += answer.code not in (0, 3)
        print(f"{name:14} {len(content):>11,} B {answer.seconds:6.2f} s  {end[:110]}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
