from __future__ import annotations

import random

import pytest

from memprof.analysis.categories import bytes_by_category, phase_at
from memprof.analysis.modules import module_rows
from memprof.ir import Graph, GraphBuilder, NewValue, TensorType
from memprof.ir.trace import Category, Phase, StorageLife, Trace
from memprof.runtimes import RUNTIMES


def network() -> Graph:
    builder = GraphBuilder("net")
    x = builder.add_input("x", TensorType.of_bytes(1))
    for i, (module, size) in enumerate([("features.0.conv", 10), ("features.0.bn", 20), ("features.1.conv", 5)]):
        weight = builder.add_parameter(f"{module}.weight", TensorType.of_bytes(100 * (i + 1)), module)
        (x,) = builder.add_node(  # type: ignore[assignment]
            "op", [x, weight], [NewValue(module, TensorType.of_bytes(size))], module=module
        )
    (y,) = builder.add_node("flatten", [x], [NewValue("y", TensorType.of_bytes(2))])
    return builder.build([y])  # type: ignore[list-item]


def rows(depth: int) -> dict[str, tuple[int, int, int, int]]:
    found = module_rows(RUNTIMES["reference"].lifetimes(network()), depth)
    return {row.path: (row.nodes, row.parameter_bytes, row.peak_bytes, row.highest_bytes) for row in found}


def test_rows_are_folded_to_a_depth_in_the_order_of_the_run() -> None:
    assert rows(2) == {"features.0": (2, 300, 30, 30), "features.1": (1, 300, 0, 25), "": (1, 0, 0, 7)}
    assert rows(1) == {"features": (3, 600, 30, 30), "": (1, 0, 0, 7)}
    assert rows(0) == {"": (4, 600, 30, 30)}
    assert list(rows(9)) == ["features.0.conv", "features.0.bn", "features.1.conv", ""]


@pytest.mark.parametrize("seed", range(20))
def test_rows_part_the_whole(seed: int) -> None:
    rng = random.Random(seed)
    builder = GraphBuilder("net")
    values = [builder.add_input("x", TensorType.of_bytes(rng.randint(1, 9)))]
    for i in range(15):
        module = ".".join(rng.choice("abc") for _ in range(rng.randint(0, 3)))
        weight = builder.add_parameter(f"w{i}", TensorType.of_bytes(rng.randint(1, 9)), module)
        reads = [*rng.sample(values, min(2, len(values))), weight]
        new = NewValue(f"v{i}", TensorType.of_bytes(rng.randint(1, 9)))
        values += [v for v in builder.add_node("op", reads, [new], module=module) if v is not None]
    graph = builder.build(values[-1:])
    lifetimes = RUNTIMES["reference"].lifetimes(graph)
    for depth in range(4):
        found = module_rows(lifetimes, depth)
        assert sum(row.parameter_bytes for row in found) == graph.parameter_bytes
        assert sum(row.peak_bytes for row in found) == lifetimes.timeline.peak_bytes
        assert sum(row.nodes for row in found) == len(graph.nodes)
        assert max(row.highest_bytes for row in found) == lifetimes.timeline.peak_bytes
        assert len({row.path for row in found}) == len(found)


def test_categories_count_what_lives_at_a_step_and_weights_always() -> None:
    def life(category: Category, start: int, stop: int, device: str = "cpu") -> StorageLife:
        return StorageLife(value=0, size_bytes=1, start=start, stop=stop, category=category, device=device)

    trace = Trace(
        graph=network(),
        storages=(
            life(Category.PARAMETER, 0, 0),
            life(Category.INPUT, 0, 0),
            life(Category.ACTIVATION, 1, 3),
            life(Category.GRADIENT, 3, 4),
            life(Category.OTHER, 2, 3),
            life(Category.OPTIMIZER_STATE, 0, 4, "cuda"),
        ),
        phases=(Phase("forward", 0, 2), Phase("backward", 2, 4)),
        device="cpu",
        tensors="fake",
    )
    found = {category: size for category, size in bytes_by_category(trace, 2).items() if size}
    assert found == {Category.PARAMETER: 1, Category.INPUT: 1, Category.ACTIVATION: 1, Category.OTHER: 1}
    assert [phase_at(trace, step) for step in (0, 2, 9)] == ["forward", "backward", ""]
