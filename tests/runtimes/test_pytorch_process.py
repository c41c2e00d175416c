from __future__ import annotations

import pytest

pytest.importorskip("torch")

import torch
from torch import nn

import memprof
from memprof.base.errors import UsageError
from memprof.importers.torch.calls import Call
from memprof.ir import Graph, GraphBuilder, NewValue, TensorType
from memprof.measure.pytorch import steps_of_profile
from memprof.runtimes.pytorch_process import kernel_bytes


def graph_of(op: str, shapes: list[tuple[int, ...]], written: tuple[int, ...], **attributes: object) -> Graph:
    builder = GraphBuilder()
    given = [builder.add_input(f"x{i}", TensorType("float32", shape)) for i, shape in enumerate(shapes)]
    new = NewValue("y", TensorType("float32", written))
    builder.add_node(op, given, [new], attributes=attributes)  # type: ignore[arg-type]
    return builder.build([len(shapes)])


def taken(op: str, shapes: list[tuple[int, ...]], written: tuple[int, ...], **attributes: object) -> int:
    graph = graph_of(op, shapes, written, **attributes)
    return kernel_bytes(graph, graph.nodes[0])


def test_a_strided_depthwise_convolution_copies_its_input() -> None:
    found = taken("aten.conv2d", [(1, 96, 112, 112), (96, 1, 3, 3)], (1, 96, 56, 56), stride=(2, 2), groups=96)
    assert found == 96 * 112 * 112 * 4 + 96 * 9 * 4


def test_a_pointwise_convolution_of_one_image_takes_nothing() -> None:
    assert taken("aten.conv2d", [(1, 64, 56, 56), (256, 64, 1, 1)], (1, 256, 56, 56)) == 0


def test_a_small_convolution_goes_through_im2col() -> None:
    assert taken("aten.conv2d", [(1, 48, 13, 13), (192, 48, 3, 3)], (1, 192, 13, 13)) == 48 * 9 * 169 * 4


def test_channels_are_padded_to_blocks() -> None:
    found = taken("aten.conv2d", [(1, 3, 224, 224), (24, 3, 3, 3)], (1, 24, 112, 112), stride=(2, 2))
    assert found == 32 * 112 * 112 * 4  # the copy of the output; the three channels of the input are read as they are


def test_what_has_no_rule_or_no_size_takes_nothing() -> None:
    assert taken("aten.softmax", [(4, 4)], (4, 4)) == 0
    builder = GraphBuilder()
    x = builder.add_input("x", TensorType("float32", ("n", 3, 8, 8)))
    builder.add_node("aten.max_pool2d", [x], [NewValue("y", TensorType("float32", ("n", 3, 4, 4)))])
    graph = builder.build([1])
    assert kernel_bytes(graph, graph.nodes[0]) == 0


def test_training_steps_and_other_devices_are_refused() -> None:
    module, x = nn.Conv2d(3, 4, 3), torch.zeros(1, 3, 8, 8)
    with pytest.raises(UsageError, match="inference on the CPU alone"):
        memprof.analyze(module, x, training=memprof.Training(), runtimes=["pytorch-process"])


CONVOLUTIONS = {
    "depthwise, stride 2": (nn.Conv2d(40, 40, 3, stride=2, padding=1, groups=40), (1, 40, 40, 40)),
    "3x3": (nn.Conv2d(32, 48, 3, padding=1), (1, 32, 40, 40)),
    "1x1, stride 2": (nn.Conv2d(64, 32, 1, stride=2), (1, 64, 28, 28)),
    "small": (nn.Conv2d(16, 8, 3), (1, 16, 12, 12)),
    "image": (nn.Conv2d(3, 20, 7, stride=2), (1, 3, 64, 64)),
    "batch": (nn.Conv2d(8, 24, 3), (2, 8, 20, 20)),
    "groups": (nn.Conv2d(24, 48, 3, groups=3, bias=False), (1, 24, 30, 30)),
    "odd channels": (nn.Conv2d(20, 10, 5, dilation=2), (1, 20, 40, 40)),
}


@pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() != "AVX512" or not torch.backends.mkldnn.is_available(),
    reason="the rules are those of oneDNN on CPUs with AVX-512",
)
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_the_rules_agree_with_pytorchs_profiler(name: str) -> None:
    module, shape = CONVOLUTIONS[name]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        steps = steps_of_profile(module.eval(), Call((torch.randn(shape),)))
    finally:
        torch.set_num_threads(threads)
    report = memprof.analyze(module, torch.zeros(shape), runtimes=["pytorch-process"])
    assert report.peak_intermediate_bytes == max(most for *_, most in steps)


def test_a_process_is_the_sum_of_its_parts_on_either_device() -> None:
    import memprof

    module, x = nn.Conv2d(16, 16, 3, bias=False), torch.zeros(2, 16, 20, 20)
    report = memprof.analyze(module, x)
    process, rows = report.process, report.runtimes
    assert process is not None and process.size_bytes == sum(process.parts.values())
    assert (process.parts["weights"], process.parts["inputs"]) == (16 * 16 * 9 * 4, x.nbytes)
    assert process.parts["tensors"] == rows["pytorch"].peak_intermediate_bytes
    assert process.parts["tensors"] + process.parts["kernels"] == rows["pytorch-process"].peak_intermediate_bytes
    on_device = memprof.analyze(module, x, device="cuda").process
    assert on_device is not None
    assert on_device.parts["tensors"] == 16 * 16 * 9 * 4 + x.nbytes + 2 * 16 * 18 * 18 * 4
    assert on_device.parts["cublas_workspace"] == 0
    held = on_device.size_bytes - on_device.parts["context"] if on_device.size_bytes else None
    assert held == 2 * 2**20  # one small segment
