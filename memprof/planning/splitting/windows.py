"""Which rows and columns of its operands an operation needs for some of what it writes.

    output o  reads  input o x stride - padding + j x dilation, for each j below the kernel, where there is such a row

A patch is a rectangle: it needs all from the first row to the last one that it reads, those between them too, as
they are computed and held with the others. A window that lies in the padding as a whole reads nothing.

A table of operations; what is not in it needs everything, and no patch goes through it. Padding at the borders of a
patch that are no borders of the tensor becomes real rows: the halo.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from memprof.ir import Graph, Node, Role

Span = tuple[int, int]
"""Rows or columns, half-open, at least one."""

_MOST_APART = 1000  # no network on images reads rows that far apart


class Window(NamedTuple):
    """What one row or column of the output needs: a named tuple, as there are two per operation.

    Attributes:
        kernel: So many are read.
        stride: How far the next one's begin lies.
        padding: How far before the first of the input the first one begins.
        dilation: How far those that are read lie apart.
    """

    kernel: int = 1
    stride: int = 1
    padding: int = 0
    dilation: int = 1

    @property
    def reach(self) -> int:
        """Rows or columns from the first that is read to the last, both included."""
        return (self.kernel - 1) * self.dilation + 1

    def needs(self, span: Span, size: int) -> Span | None:
        """Return the least span of an input of ``size`` that holds all that a span of the output reads.

        ``None`` where it reads nothing.

        >>> Window(3, 2, 1).needs((0, 4), 16), Window(3, 1, 1).needs((4, 8), 8), Window(3, 1, 3, 2).needs((0, 1), 8)
        ((0, 8), (3, 8), (1, 2))
        """
        start, stop = span
        first = self._first_read(start, stop, size)
        # The last one is the first one from the other end.
        mirrored = self._replace(padding=self.reach - size - self.padding)
        last = mirrored._first_read(1 - stop, 1 - start, size)
        return None if first is None or last is None else (first, size - last)

    def _first_read(self, start: int, stop: int, size: int) -> int | None:
        """Return the first row of an input of ``size`` that some output in a range reads.

        Only windows that begin in the padding and reach out of it, and the first one behind it, can read the least;
        after ``dilation`` of them the rows in which they leave it repeat.
        """
        stride, padding, dilation = self.stride, self.padding, self.dilation
        begin = max(start, -((self.reach - 1 - padding) // stride))
        end = min(stop, max(begin, -(-padding // stride)) + 1, begin + dilation)
        begins = (output * stride - padding for output in range(begin, end))
        first = min((row if row >= 0 else row % dilation for row in begins), default=size)
        return first if first < size else None


Windows = tuple[Window, Window]
"""Of rows, of columns."""

ONE_TO_ONE: Windows = (Window(), Window())


def plane(graph: Graph, value: int) -> tuple[int, int] | None:
    """Return how many rows and columns a value has, ``None`` if it is no stack of planes of a known size."""
    shape = graph.values[value].type.shape
    if shape is None or len(shape) != 4:
        return None
    rows, columns = (shape[1], shape[2]) if _is_nhwc(graph) else (shape[2], shape[3])
    return (rows, columns) if isinstance(rows, int) and isinstance(columns, int) and rows * columns else None


def find_windows(graph: Graph, node: Node) -> Windows | None:
    """Return the windows of an operation, ``None`` if no patch goes through it."""
    rule = _RULES.get(node.op, _pointwise if node.is_elementwise and node.op not in _ALONG_AN_AXIS else None)
    data = data_inputs(graph, node)
    if rule is None or node.bodies or node.is_malformed or not data or len(node.writes) != 1:
        return None
    if any(plane(graph, i) is None for i in (*data, *node.writes)):
        return None
    return rule(graph, node)


def data_inputs(graph: Graph, node: Node) -> list[int]:
    """Return the operands that are no weights and no constants."""
    return [i for i in dict.fromkeys(node.reads) if graph.values[graph.storage[i]].role in _ACTIVE]


_ACTIVE = (Role.INPUT, Role.INTERMEDIATE)


def _is_nhwc(graph: Graph) -> bool:
    return graph.program is not None


def _pointwise(graph: Graph, node: Node) -> Windows | None:
    size = plane(graph, node.writes[0])
    return ONE_TO_ONE if all(plane(graph, i) == size for i in data_inputs(graph, node)) else None


def _on_one_input(graph: Graph, node: Node) -> Windows | None:
    return _pointwise(graph, node) if data_inputs(graph, node) == [node.inputs[0]] else None


def _concatenation(graph: Graph, node: Node) -> Windows | None:
    axis = node.attributes.get("axis")
    return _pointwise(graph, node) if axis in {1, -3} else None


def _convolution(graph: Graph, node: Node) -> Windows | None:
    weight = graph.values[node.inputs[1]].type.shape if len(node.inputs) > 1 and node.inputs[1] is not None else None
    if weight is None or len(weight) != 4 or data_inputs(graph, node) != [node.inputs[0]]:
        return None
    return _sliding(graph, node, weight[2:])


def _pooling(graph: Graph, node: Node) -> Windows | None:
    kernel = node.attributes.get("kernel_shape")
    return _sliding(graph, node, kernel) if isinstance(kernel, tuple) and len(kernel) == 2 else None


def _sliding(graph: Graph, node: Node, kernel: tuple[object, ...]) -> Windows | None:
    strides = _pair(node, "strides", 1)
    dilations = _pair(node, "dilations", 1)
    pads = node.attributes.get("pads", (0, 0, 0, 0))
    if not (isinstance(pads, tuple) and len(pads) == 4 and strides and dilations and all(_is_int(k) for k in kernel)):
        return None
    assert node.inputs[0] is not None, "an operation with data has it first"
    inside, outside = plane(graph, node.inputs[0]), plane(graph, node.writes[0])
    assert inside is not None, "find_windows has seen to it"
    assert outside is not None, "find_windows has seen to it"
    auto = node.attributes.get("auto_pad", "NOTSET")
    found = []
    for axis in range(2):
        window = Window(int(str(kernel[axis])), strides[axis], int(pads[axis]), dilations[axis])
        if auto in {"SAME_UPPER", "SAME_LOWER"}:
            window = _same(window, inside[axis], outside[axis], is_upper=auto == "SAME_UPPER")
        elif auto == "VALID":
            window = window._replace(padding=0)
        found.append(window)
    return _checked(found)


def _same(window: Window, inside: int, outside: int, *, is_upper: bool) -> Window:
    total = max(0, (outside - 1) * window.stride + window.reach - inside)
    return window._replace(padding=total // 2 if is_upper else total - total // 2)


def _checked(windows: list[Window]) -> Windows | None:
    """Return windows of which each has rows to read, not too far apart to look at them one by one."""
    is_sound = all(w.kernel > 0 and w.stride > 0 and 0 < w.dilation <= _MOST_APART for w in windows)
    return (windows[0], windows[1]) if is_sound else None


def _pair(node: Node, name: str, default: int) -> tuple[int, int] | None:
    value = node.attributes.get(name, (default, default))
    if isinstance(value, tuple) and len(value) == 2 and all(_is_int(i) for i in value):
        return int(value[0]), int(value[1])
    return None


def _is_int(value: object) -> bool:
    return isinstance(value, int)


def _tflite_convolution(graph: Graph, node: Node) -> Windows | None:
    weight = graph.values[node.inputs[1]].type.shape if len(node.inputs) > 1 and node.inputs[1] is not None else None
    if weight is None or len(weight) != 4 or data_inputs(graph, node) != [node.inputs[0]]:
        return None
    return _tflite_sliding(graph, node, (weight[1], weight[2]))


def _tflite_pooling(graph: Graph, node: Node) -> Windows | None:
    return _tflite_sliding(graph, node, (node.attributes.get("filter_h"), node.attributes.get("filter_w")))


def _tflite_sliding(graph: Graph, node: Node, kernel: tuple[object, object]) -> Windows | None:
    assert node.inputs[0] is not None, "an operation with data has it first"
    inside, outside = plane(graph, node.inputs[0]), plane(graph, node.writes[0])
    found = []
    for axis, letter in enumerate("hw"):
        stride, dilation = node.attributes.get(f"stride_{letter}"), node.attributes.get(f"dilation_{letter}", 1)
        size, is_same = kernel[axis], node.attributes.get("padding") == 0
        if not (
            isinstance(stride, int) and isinstance(dilation, int) and isinstance(size, int) and inside and outside
        ):
            return None
        window = Window(size, stride, 0, dilation)
        found.append(_same(window, inside[axis], outside[axis], is_upper=True) if is_same else window)
    return _checked(found)


def _tflite_concatenation(graph: Graph, node: Node) -> Windows | None:
    """Planes of one size can only lie behind each other if it is along the channels (batches are one)."""
    shapes = [graph.values[i].type.shape for i in (*data_inputs(graph, node), *node.writes)]
    is_one_batch = all(shape is not None and shape[0] == 1 for shape in shapes)
    return _pointwise(graph, node) if is_one_batch else None


_ALONG_AN_AXIS = frozenset({"Softmax", "LogSoftmax", "Hardmax"})

_RULES: Mapping[str, Callable[[Graph, Node], Windows | None]] = MappingProxyType(
    {
        "Conv": _convolution,
        "MaxPool": _pooling,
        "AveragePool": _pooling,
        "LpPool": _pooling,
        "BatchNormalization": _on_one_input,
        "QuantizeLinear": _on_one_input,
        "DequantizeLinear": _on_one_input,
        "Concat": _concatenation,
        "tfl.CONV_2D": _tflite_convolution,
        "tfl.DEPTHWISE_CONV_2D": _tflite_convolution,
        "tfl.AVERAGE_POOL_2D": _tflite_pooling,
        "tfl.MAX_POOL_2D": _tflite_pooling,
        "tfl.CONCATENATION": _tflite_concatenation,
        "tfl.QUANTIZE": _on_one_input,
        "tfl.DEQUANTIZE": _on_one_input,
    }
)
"""What is not here, and not elementwise, needs all rows and columns."""
