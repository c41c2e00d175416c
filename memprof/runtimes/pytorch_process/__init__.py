"""pytorch-process: as pytorch, and what CPU kernels take and give back inside an operation.

    operation, float32, one thread      what it takes besides its output
    conv2d by oneDNN                    copies of the input (not of fewer than 16 channels in one group), the weights
                                           and the output; then the plain output beside its copy, once the other
                                           copies are gone. Copies have channels in blocks of 16, rounded up, except
                                           where groups have several channels each
        rounded up, with a bias         a longer copy of the bias
        1x1 with a stride               the input's needed places, gathered
    conv2d by PyTorch's own loop        the matrix of im2col, if the kernel is larger than 1x1
    max_pool2d                          the indices of the maxima, eight bytes each
    batch_norm, layer_norm              mean and deviation, float32

    which of the two a conv2d takes     oneDNN if (stride, dilation, batch >= 16 or a kernel above 1x1)
                                           and (groups, a kernel above 3x3, batch > 1 or more than 20,480 elements)

Blocks of 16 are those of CPUs with AVX-512. Found by PyTorch's profiler on version 2.14;
``benchmarks/accuracy_pytorch.py`` compares it again. Other operations are taken to need nothing, and tensors to be
contiguous: an estimate. Several threads take more. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod
from types import MappingProxyType
from typing import NamedTuple

from memprof.analysis import Lifetimes
from memprof.ir import Attribute, Graph, Node
from memprof.ir.model import Model
from memprof.runtimes.model import Order, RuntimeModel, fixed
from memprof.runtimes.pytorch import held_lifetimes, trace_lifetimes

_FLOAT_BYTES = 4
_BLOCK = 16
_SMALL_INPUT = 20_480
_MARGIN_BYTES = 128
_INDEX_BYTES = 8

Shape = tuple[int, ...]


class _Call(NamedTuple):
    given: Shape
    written: Shape
    weight: Shape
    attributes: Mapping[str, Attribute]
    has_bias: bool


def kernel_bytes(graph: Graph, node: Node) -> int:
    """Return the bytes that a CPU kernel takes besides the node's outputs; 0 where no rule is known."""
    rule = _RULES.get(node.op)
    if rule is None or graph.values[node.reads[0]].type.dtype != "float32":
        return 0
    weight = node.reads[1:2]
    shapes = [_shape(graph, i) for i in (node.reads[0], node.writes[0], *weight)]
    known = [shape for shape in shapes if shape is not None]
    if len(known) < len(shapes):
        return 0
    given, written, *weights = known
    return rule(_Call(given, written, weights[0] if weights else (), node.attributes, len(node.reads) > 2))


def _convolution(call: _Call) -> int:
    given, written, weight = call.given, call.written, call.weight
    groups, kernel = _groups(call), prod(weight[2:])
    if not _by_onednn(call):
        return 0 if kernel == 1 else given[1] * kernel * prod(written[2:]) * _FLOAT_BYTES
    is_depthwise = weight[1] == 1 and weight[0] == groups
    is_plain = groups == 1 and given[1] < _BLOCK
    rounded = _blocks if groups == 1 or is_depthwise else _as_it_is
    inputs = weight[1] if is_plain or groups > 1 else rounded(weight[1])
    blocked_input = 0 if is_plain else given[0] * rounded(given[1]) * prod(given[2:])
    blocked_weight = rounded(weight[0]) * inputs * kernel
    blocked_output = given[0] * rounded(written[1]) * prod(written[2:])
    copies = (blocked_input + blocked_weight + blocked_output) * _FLOAT_BYTES
    if call.has_bias and rounded(written[1]) != written[1]:
        copies += rounded(written[1]) * _FLOAT_BYTES + _MARGIN_BYTES
    if kernel == 1 and _is_not_one(call, "stride"):
        copies += given[1] * prod(written[2:]) * _FLOAT_BYTES + _MARGIN_BYTES
    return max(copies - prod(written) * _FLOAT_BYTES, blocked_output * _FLOAT_BYTES)


def _by_onednn(call: _Call) -> bool:
    batch, sides = call.given[0], call.weight[2:]
    pays = _is_not_one(call, "stride") or _is_not_one(call, "dilation") or batch >= 16 or max(sides) > 1
    is_large = _groups(call) > 1 or min(sides) > 3 or batch > 1 or prod(call.given) > _SMALL_INPUT
    return pays and is_large


def _groups(call: _Call) -> int:
    groups = call.attributes.get("groups", 1)
    assert isinstance(groups, int)
    return groups


def _is_not_one(call: _Call, name: str) -> bool:
    value = call.attributes.get(name, 1)
    return any(item != 1 for item in (value if isinstance(value, tuple) else (value,)))


def _blocks(channels: int) -> int:
    return -(-channels // _BLOCK) * _BLOCK


def _as_it_is(channels: int) -> int:
    return channels


_RULES: Mapping[str, Callable[[_Call], int]] = MappingProxyType(
    {
        "aten.conv2d": _convolution,
        "aten.max_pool2d": lambda call: prod(call.written) * _INDEX_BYTES,
        "aten.batch_norm": lambda call: 2 * call.given[1] * _FLOAT_BYTES,
        "aten.layer_norm": lambda call: 2 * prod(call.given) // max(1, prod(call.weight)) * _FLOAT_BYTES,
    }
)


def _shape(graph: Graph, value_id: int) -> Shape | None:
    shape = graph.values[value_id].type.shape
    if shape is None or not all(isinstance(dim, int) for dim in shape):
        return None
    return tuple(dim for dim in shape if isinstance(dim, int))


def with_kernels(lifetimes: Lifetimes) -> Lifetimes:
    """Return ``lifetimes`` with what each step's kernel takes, reserved at that step."""
    graph = lifetimes.graph
    return replace(
        lifetimes,
        reserved=tuple(
            [sum(kernel_bytes(graph, graph.nodes[i]) for i in node_ids) for node_ids in lifetimes.schedule.steps]
        ),
    )


def _refusal(model: Model) -> str:
    trace = model.trace
    if trace is None or not (trace.is_training or trace.device != "cpu"):
        return ""
    return "it knows kernels of inference on the CPU alone; pytorch counts tensors, and 'memprof verify' measures"


def _of_source(model: Model) -> RuntimeModel:
    trace = model.trace
    if trace is None:
        return MODEL
    return replace(MODEL, lifetimes=fixed(lambda _: with_kernels(trace_lifetimes(trace)), MODEL.name))


MODEL = RuntimeModel(
    name="pytorch-process",
    definition="as pytorch, and what convolutions, pools and norms take inside a call: float32, one thread, AVX-512",
    summary="pytorch with oneDNN's copies",
    best_grade="estimate",
    counts_inputs=False,
    lifetimes=fixed(lambda graph: with_kernels(held_lifetimes(graph)), "pytorch-process"),
    order=Order.GIVEN,
    default_for=frozenset({"torch.export", "torch.run"}),
    refusal=_refusal,
    of_source=_of_source,
    judges_graphs=False,  # as pytorch
)
