"""Networks for the planner's benchmarks, as graphs of sizes: searched cells, random wiring, training steps.

Every operation writes one tensor of 4-byte elements, batch 1. Weights are left out: they take part in no order.
Everything random comes from a seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

import networkx as nx
from network_cells import Cell, Genotype

from memprof.ir import Graph, GraphBuilder, NewValue, TensorType

_IN_PLACE = frozenset({"relu", "bn", "add", "gelu", "softmax", "dropout", "scale"})


@dataclass(frozen=True, slots=True)
class Feature:
    """A value in the making: its id, channels, and the side of its square."""

    value: int
    channels: int
    side: int


class Net:
    """A ``GraphBuilder`` that speaks of feature maps."""

    def __init__(self, name: str) -> None:
        self._builder = GraphBuilder(name)
        self._count = 0

    def image(self, channels: int, side: int) -> Feature:
        """Add the network's input."""
        type_ = TensorType("float32", (1, channels, side, side))
        return Feature(self._builder.add_input("image", type_), channels, side)

    def op(self, kind: str, *inputs: Feature, channels: int = 0, side: int = 0) -> Feature:
        """Add an operation; channels and side of its result are those of its first input unless given."""
        channels, side = channels or inputs[0].channels, side or inputs[0].side
        self._count += 1
        type_ = TensorType("float32", (1, channels, side, side))
        (value,) = self._builder.add_node(
            kind,
            [feature.value for feature in inputs],
            [NewValue(f"t{self._count}", type_)],
            is_elementwise=kind in _IN_PLACE,
            is_foldable=False,
        )
        assert value is not None
        return Feature(value, channels, side)

    def chain(self, kinds: str, x: Feature, channels: int = 0, side: int = 0) -> Feature:
        """Add one operation after the other; the first that is no ``relu`` sets channels and side."""
        for kind in kinds.split():
            x = self.op(kind, x) if kind == "relu" else self.op(kind, x, channels=channels, side=side)
        return x

    def build(self, *outputs: Feature) -> Graph:
        """Return the graph."""
        return self._builder.build([feature.value for feature in outputs])


def searched_network(
    name: str, genotype: Genotype, *, channels: int, cells: int, image: int, stem: str = "convolutions"
) -> Graph:
    """Return a network of searched cells in the frame of DARTS (arXiv 1806.09055), which fits all of them.

    Args:
        name: Name of the graph.
        genotype: The cells.
        channels: Channels of the first cells' steps.
        cells: Number of cells; the ones at a third and two thirds reduce.
        image: Side of the input.
        stem: ``convolutions``: one for images up to 64, else three strided ones, as in DARTS; ``cells``: a strided
            convolution and two reduction cells, as in NASNet, AmoebaNet and PNASNet on ImageNet.
    """
    net = Net(name)
    x = net.image(3, image)
    if stem == "cells":
        first = net.chain("conv bn", x, channels=32, side=image // 2)
        before = _add_cell(net, genotype.reduction, first, first, channels // 4, is_reduction=True)
        last = _add_cell(net, genotype.reduction, first, before, channels // 2, is_reduction=True)
    elif image <= 64:
        before = last = net.chain("conv bn", x, channels=3 * channels)
    else:
        half = net.chain("conv bn relu", x, channels=channels // 2, side=image // 2)
        before = net.chain("conv bn", half, channels=channels, side=image // 4)
        last = net.chain("relu conv bn", before, channels=channels, side=image // 8)
    reductions = {cells // 3, 2 * cells // 3}
    for i in range(cells):
        is_reduction = i in reductions
        channels *= 2 if is_reduction else 1
        cell = genotype.reduction if is_reduction else genotype.normal
        before, last = last, _add_cell(net, cell, before, last, channels, is_reduction)
    pooled = net.op("pool", net.op("relu", last), side=1)
    return net.build(net.op("linear", pooled, channels=10 if image <= 64 else 1000))


def _add_cell(net: Net, cell: Cell, before: Feature, last: Feature, channels: int, is_reduction: bool) -> Feature:
    if before.side != last.side:
        before = _strided_projection(net, before, channels, last.side)
    else:
        before = net.chain("relu conv bn", before, channels=channels)
    states = [before, net.chain("relu conv bn", last, channels=channels)]
    side = last.side // 2 if is_reduction else last.side
    for step in cell.steps:
        left, right = (_add_layer(net, layer, states[source], side) for layer, source in step)
        states.append(net.op("add", left, right))
    chosen = [states[i] for i in cell.outputs]
    return net.op("concat", *chosen, channels=channels * len(chosen))


def _add_layer(net: Net, layer: str, x: Feature, side: int) -> Feature:
    match layer[0]:
        case "s":
            x = net.chain("relu depthwise", x, side=side)
            return net.chain("pointwise bn relu depthwise pointwise bn", x)
        case "d":
            return net.chain("relu depthwise pointwise bn", x, side=side)
        case "f":
            return net.chain("relu conv conv bn", x, side=side)
        case "m" | "a":
            return net.op("pool", x, side=side)
    return x if x.side == side else _strided_projection(net, x, x.channels, side)


def _strided_projection(net: Net, x: Feature, channels: int, side: int) -> Feature:
    x = net.op("relu", x)
    halves = [net.op("conv", x, channels=channels // 2, side=side) for _ in range(2)]
    return net.op("bn", net.op("concat", *halves, channels=channels))


def random_genotype(seed: int, steps: int) -> Genotype:
    """Return cells wired at random; loose ends are concatenated."""
    rng = Random(seed)
    layers = ["s3", "s5", "s7", "d3", "d5", "m3", "a3", "id"]

    def cell() -> Cell:
        drawn = [tuple((rng.choice(layers), rng.randrange(i)) for _ in range(2)) for i in range(2, steps + 2)]
        used = {source for step in drawn for _, source in step}
        loose = tuple(i for i in range(2, steps + 2) if i not in used)
        return Cell(tuple((left, right) for left, right in drawn), loose)

    return Genotype(cell(), cell())


def watts_strogatz(nodes: int, neighbours: int, rewiring: float, seed: int) -> list[tuple[int, int]]:
    """Return the edges of a random small world, from lower to higher node."""
    graph = nx.connected_watts_strogatz_graph(nodes, neighbours, rewiring, tries=200, seed=seed)
    return sorted((min(edge), max(edge)) for edge in graph.edges)


def _wire(
    net: Net, x: Feature, nodes: int, edges: Sequence[tuple[int, int]], unit: Callable[..., Feature]
) -> Feature:
    """Add a stage of random wiring; nodes without inputs read ``x``, those without readers are averaged."""
    inputs: list[list[int]] = [[] for _ in range(nodes)]
    for source, target in edges:
        inputs[target].append(source)
    features: list[Feature] = []
    for found in inputs:
        features.append(unit(*(features[i] for i in found)) if found else unit(x))
    readers = {source for source, _ in edges}
    return net.op("mean", *(features[i] for i in range(nodes) if i not in readers))


def random_wired_network(
    seed: int, *, nodes: int = 32, stages: int = 3, channels: int = 78, side: int = 56, detail: str = "coarse"
) -> Graph:
    """Return a randomly wired network (Xie et al., arXiv 1904.01569), WS(k=4, p=0.75) stages.

    Args:
        seed: Of the first stage; the others follow from it.
        nodes: Nodes of a stage.
        stages: Number of stages; each halves the side and doubles the channels.
        channels: Channels of the first stage.
        side: Side of the first stage.
        detail: ``coarse``: one operation per node; ``fine``: the sum, activation, convolutions and normalisation.
    """
    net = Net(f"random_wired_{nodes}x{stages}_{detail}_{seed}")
    x = net.op("conv", net.image(3, 4 * side), channels=channels // 2, side=2 * side)
    for stage in range(stages):
        width, extent = channels << stage, side >> stage

        def coarse(*found: Feature, width: int = width, extent: int = extent) -> Feature:
            return net.op("node", *found, channels=width, side=extent)

        def fine(*found: Feature, width: int = width, extent: int = extent) -> Feature:
            scaled = [net.op("scale", feature) for feature in found] if len(found) > 1 else list(found)
            total = scaled[0]
            for other in scaled[1:]:
                total = net.op("add", total, other)
            return net.chain("relu depthwise pointwise bn", total, channels=width, side=extent)

        edges = watts_strogatz(nodes, 4, 0.75, 1000 * seed + stage)
        x = _wire(net, x, nodes, edges, {"coarse": coarse, "fine": fine}[detail])
    pooled = net.op("pool", net.op("conv", x, channels=1280), side=1)
    return net.build(net.op("linear", pooled, channels=1000))


def tangled_block(nodes: int, neighbours: int, seed: int, *, has_random_sizes: bool = False) -> Graph:
    """Return one random small world with nothing that every order must pass."""
    net = Net(f"tangled_{nodes}_k{neighbours}_{seed}{'_sizes' * has_random_sizes}")
    rng = Random(seed)
    image = net.image(64, 16)

    def unit(*found: Feature) -> Feature:
        return net.op("node", *found, channels=rng.randint(1, 128) if has_random_sizes else 64)

    return net.build(_wire(net, image, nodes, watts_strogatz(nodes, neighbours, 0.75, seed), unit))


def transformer_training_step(layers: int, *, width: int = 768, tokens: int = 512) -> Graph:
    """Return forward and backward of a decoder with the gradients of all weights kept: 57 operations per layer.

    Features are (tokens, channels) here, so that ``side`` is 1 and ``channels`` counts elements.
    """
    step = _TrainingStep(f"transformer_training_{layers}", width, tokens)
    x = step.embedded()
    saved = []
    for _ in range(layers):
        saved.append(step.forward(x))
        x = step.leave(saved[-1])
    gradient = step.loss(x)
    for layer in reversed(saved):
        gradient = step.backward(layer, gradient)
    return step.build(gradient)


def checkpointed_training_step(layers: int, *, width: int = 768, tokens: int = 512) -> Graph:
    """Return the same with what a layer reads kept, and the rest of it computed again: 61 operations per layer."""
    step = _TrainingStep(f"checkpointed_training_{layers}", width, tokens)
    x = step.embedded()
    kept = []
    for _ in range(layers):
        kept.append(x)
        x = step.leave(step.forward(x))
    gradient = step.loss(x)
    for x in reversed(kept):
        gradient = step.backward(step.forward(x), gradient)
    return step.build(gradient)


class _TrainingStep:
    """A decoder's training step while it is built; a layer is what its backward reads."""

    def __init__(self, name: str, width: int, tokens: int) -> None:
        self._net = Net(name)
        self._width, self._tokens = width, tokens
        self._size, self._scores = width * tokens, 12 * tokens * tokens
        self._gradients: list[Feature] = []
        self._loss: Feature | None = None

    def embedded(self) -> Feature:
        return self._net.op("embedding", self._net.image(self._tokens, 1), channels=self._size)

    def forward(self, x: Feature) -> list[Feature]:
        net, size, scores = self._net, self._size, self._scores
        normal = net.op("layer_norm", x)
        q, k, v = (net.op("matmul", normal) for _ in range(3))
        raw = net.op("scale", net.op("bmm", q, k, channels=scores))
        attention = net.op("softmax", raw)
        mixed = net.op("bmm", attention, v, channels=size)
        middle = net.op("add", net.op("matmul", mixed), x)
        normal2 = net.op("layer_norm", middle)
        hidden = net.op("matmul", normal2, channels=4 * size)
        active = net.op("gelu", hidden)
        return [x, normal, q, k, v, attention, mixed, middle, normal2, hidden, active]

    def leave(self, layer: Sequence[Feature]) -> Feature:
        return self._net.op("add", self._net.op("matmul", layer[-1], channels=self._size), layer[7])

    def loss(self, x: Feature) -> Feature:
        net = self._net
        logits = net.op("matmul", net.op("layer_norm", x), channels=self._tokens * 8000)
        self._loss = net.op("loss", logits, channels=1)
        gradient = net.op("matmul_grad", net.op("loss_grad", logits, self._loss), channels=self._size)
        return net.op("layer_norm_grad", gradient, x)

    def backward(self, layer: Sequence[Feature], gradient: Feature) -> Feature:
        net, width, size, scores = self._net, self._width, self._size, self._scores
        x, normal, q, k, v, attention, mixed, middle, normal2, hidden, active = layer
        d_active = self._linear(gradient, active, 4 * width, width, 4 * size)
        d_hidden = net.op("gelu_grad", d_active, hidden)
        d_normal2 = self._linear(d_hidden, normal2, width, 4 * width, size)
        self._keep("norm_weight_grad", d_normal2, middle, channels=2 * width)
        gradient = net.op("add", net.op("layer_norm_grad", d_normal2, middle), gradient)
        d_mixed = self._linear(gradient, mixed, width, width, size)
        d_attention = net.op("bmm", d_mixed, v, channels=scores)
        d_v = net.op("bmm", attention, d_mixed, channels=size)
        d_raw = net.op("scale", net.op("softmax_grad", d_attention, attention))
        d_q, d_k = net.op("bmm", d_raw, k, channels=size), net.op("bmm", d_raw, q, channels=size)
        parts = [self._linear(part, normal, width, width, size) for part in (d_q, d_k, d_v)]
        d_normal = net.op("add", net.op("add", parts[0], parts[1]), parts[2])
        self._keep("norm_weight_grad", d_normal, x, channels=2 * width)
        return net.op("add", net.op("layer_norm_grad", d_normal, x), gradient)

    def build(self, gradient: Feature) -> Graph:
        self._keep("embedding_grad", gradient, channels=8000 * self._width)
        assert self._loss is not None
        return self._net.build(self._loss, *self._gradients)

    def _linear(self, after: Feature, operand: Feature, inside: int, outside: int, channels: int) -> Feature:
        self._keep("weight_grad", after, operand, channels=inside * outside)
        self._keep("bias_grad", after, channels=outside)
        return self._net.op("matmul_grad", after, channels=channels)

    def _keep(self, kind: str, *inputs: Feature, channels: int) -> None:
        self._gradients.append(self._net.op(kind, *inputs, channels=channels))
