"""Small random graphs with every corner the definitions speak of, from any ``random.Random``.

A hypothesis ``st.randoms(use_true_random=False)`` works as well: then failures shrink.
"""

from __future__ import annotations

from random import Random

from memprof.ir import Graph, GraphBuilder, NewValue, TensorType

MAX_NODES = 8


def random_type(rng: Random) -> TensorType:
    """Return one of a few types, so that equal bytes are common and zero bytes happen."""
    return TensorType(rng.choice(["uint8", "uint8", "float16", "int4"]), (rng.choice([0, 1, 2, 2, 2, 4, 4, 7]),))


def random_graph(rng: Random, max_nodes: int = MAX_NODES, *, nesting: int = 1, captures: int = 0) -> Graph:
    """Return a graph of up to ``max_nodes`` nodes.

    Args:
        rng: Where every choice comes from.
        max_nodes: Most nodes the graph may have; none is possible.
        nesting: How deep bodies may nest.
        captures: Number of values of the graph around this one.
    """
    builder = GraphBuilder("random")
    types: dict[int, TensorType] = {}
    for i in range(captures):
        type_ = random_type(rng)
        types[builder.add_capture(f"captured{i}", type_)] = type_
    for i in range(rng.randint(0, 3)):
        type_ = random_type(rng)
        types[builder.add_input(f"x{i}", type_)] = type_
    for i in range(rng.randint(0, 2)):
        type_ = random_type(rng)
        types[builder.add_parameter(f"w{i}", type_)] = type_
    for step in range(rng.randint(0, max_nodes)):
        _add_random_node(builder, types, rng, step, nesting)
    leaving = rng.sample(sorted(types), k=min(len(types), rng.randint(0, 3)))
    return builder.build(leaving)


def _add_random_node(
    builder: GraphBuilder, types: dict[int, TensorType], rng: Random, step: int, nesting: int
) -> None:
    known = sorted(types)
    recent = known[-4:]
    inputs = [rng.choice(recent if rng.random() < 0.6 else known) for _ in range(rng.randint(0, 3)) if known]
    reads: list[int | None] = [None if rng.random() < 0.1 else i for i in inputs]
    bodies: list[Graph] = []
    captured: list[int] = []
    if nesting and rng.random() < 0.1:
        captured = rng.sample(known, k=min(len(known), rng.randint(0, 2)))
        bodies = [random_graph(rng, 3, nesting=nesting - 1, captures=len(captured)) for _ in range(rng.randint(1, 2))]
    outputs: list[NewValue | None] = []
    for k in range(rng.choice([0, 1, 1, 1, 1, 1, 2, 3])):
        viewable = [i for i in reads if i is not None]
        if rng.random() < 0.1:
            outputs.append(None)
        elif viewable and rng.random() < 0.3:
            base = rng.choice(viewable)
            outputs.append(NewValue(f"v{step}.{k}", types[base], view_of=base))
        else:
            outputs.append(NewValue(f"t{step}.{k}", random_type(rng)))
    written = builder.add_node(
        "Op",
        reads,
        outputs,
        captures=captured,
        bodies=bodies,
        is_elementwise=rng.random() < 0.5,
        is_foldable=rng.random() < 0.7,
    )
    for value_id, new in zip(written, outputs, strict=True):
        if value_id is not None and new is not None:
            types[value_id] = new.type
