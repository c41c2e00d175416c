"""Which dimensions a name changes: odd names and arithmetic too, against every size asked one by one."""

from __future__ import annotations

from pathlib import Path

import pytest

import memprof
from tests.onnx_models import model, node, tensor, weight

SHAPES = {
    "plain names": ["batch", 3, "height", "width"],
    "names that are no words": ["p2o.Dimension.0", 3, "p2o.Dimension.1", "p2o.Dimension.2"],
    "names with signs": ["batch-size", 3, "in-height", "in-width"],
    "no names": [None, 3, None, None],
    "arithmetic": ["batch", 3, "2*h", "2*w"],
}


@pytest.mark.parametrize("dim", ["batch", "resolution"])
@pytest.mark.parametrize("name", SHAPES)
def test_the_largest_size_is_that_of_asking_for_each(name: str, dim: str, tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w"], ["a"], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("MaxPool", ["a"], ["y"], kernel_shape=[2, 2], ceil_mode=1),
    ]
    path = tmp_path / "net.onnx"
    proto = model(nodes, inputs=[tensor("x", SHAPES[name])], outputs=["y"], initializers=[weight("w", 8, 3, 3, 3)])
    path.write_bytes(proto.SerializeToString())
    base = next(value.type.shape for value in memprof.load(path).graph.values if value.name == "x")
    change = {"batch": (0,), "resolution": (2, 3)}[dim]

    def taken(size: int) -> int:
        shape = tuple(size if axis in change else int(given or 0) for axis, given in enumerate(base or ()))
        report = memprof.analyze(path, inputs={"x": shape}, runtimes=["reference"], from_file=True)
        assert report.peak_intermediate_bytes is not None
        return report.peak_intermediate_bytes + report.model.parameter_bytes  # graph inputs are part of the peak

    sizes = {size: taken(size) for size in range(2, 12)}
    for limit in (sizes[5], sizes[9] + 1):
        found = memprof.fit(path, limit, dim=dim, runtime="reference", from_file=True).largest
        assert found is not None
        assert found.size == max(size for size, size_bytes in sizes.items() if size_bytes <= limit)
        assert found.size_bytes == sizes[found.size]


@pytest.mark.slow
def test_sizes_too_small_to_run_are_passed_over() -> None:
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.MaxPool2d(3), torch.nn.Conv2d(4, 2, 3))
    report = memprof.analyze(net, torch.zeros(1, 3, 21, 21))
    assert report.process is not None
    assert report.process.size_bytes is not None
    found = memprof.fit(net, report.process.size_bytes, torch.zeros(1, 3, 32, 32), dim="resolution")
    assert (found.step, found.largest and found.largest.size) == (1, 21)
