"""Convolutions in onnxruntime's blocked layout: channels in blocks of 16, and reorders where others want them plain.

    convolution    of float32 images with constant filters: one group, or one channel to a group, or groups of whole
                   blocks; channels that it reads, or has one to a group, are a multiple of 4; writes channels
                   rounded up to blocks, takes fewer channels than a block plain
    stays blocked  pools and Concat of whole blocks; sums, products and activations of blocked images
    anything else  reads a plain copy, made once

Blocks of 16 are those of a processor with AVX-512; others have 8, which changes how far channels are rounded up.
"""

from __future__ import annotations

from memprof.ir import TensorType
from memprof.runtimes.onnxruntime.optimizing.draft import Draft, Step

_BLOCK = 16
_STEP = 4
_CONVOLUTIONS = frozenset(("Conv", "com.microsoft.FusedConv"))
_POOLS = frozenset(("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"))
_TOGETHER = frozenset(("Add", "Sum", "Mul", "Relu", "Sigmoid", "Tanh"))
_DOMAIN = "com.microsoft.nchwc."
_IMAGE_RANK = 4


def block_all(draft: Draft) -> None:
    """Put what can be blocked into blocks."""
    layout = _Layout(draft)
    for step in draft.steps:
        layout.place(step)
    for value_id in draft.graph.outputs:
        layout.give_back(value_id)
    draft.steps = layout.steps


class _Layout:
    """Which values are in blocks so far, and the steps with reorders between them."""

    def __init__(self, draft: Draft) -> None:
        self.steps: list[Step] = []
        self._draft = draft
        self._blocked: dict[int, int] = {}  # a value -> the same in blocks
        self._writers: dict[int, Step] = {}  # a value -> what writes it in blocks
        self._plain: dict[int, int] = {}  # a value that exists in blocks alone -> itself, once there is a plain copy

    def place(self, step: Step) -> None:
        """Add a step, with the reorders that it needs."""
        if step.op in _CONVOLUTIONS and self._can_block(step):
            self._place_convolution(step)
        elif self._stays(step):
            step.op = f"{_DOMAIN}{step.op}" if step.op in _POOLS else step.op
            step.inputs = [self._blocked.get(-1 if i is None else i, i) for i in step.inputs]
            self._write_blocked(step)
        else:
            for value_id in (*step.inputs, *step.node.captures):
                if value_id is not None:
                    self._unblock(value_id, step)
            self.steps.append(step)

    def give_back(self, value_id: int) -> None:
        """See that the caller gets a value plain."""
        if value_id in self._writers:
            self._unblock(value_id, self._writers[value_id])

    def _can_block(self, step: Step) -> bool:
        draft = self._draft
        filters, image, out = (draft.shape(i) for i in (step.inputs[1], step.inputs[0], step.output))
        if filters is None or image is None or out is None or {len(image), len(filters)} != {_IMAGE_RANK}:
            return False
        if draft.types[step.output].dtype != "float32" or step.inputs[1] not in draft.fixed:
            return False
        groups = image[1] // filters[1] if filters[1] else 0
        if groups * filters[1] != image[1] or not groups:
            return False
        if groups == 1:
            return image[1] < _BLOCK or image[1] % _STEP == 0
        if filters[1] == 1 and filters[0] == groups:
            return filters[0] % _STEP == 0
        return filters[1] % _BLOCK == 0 and filters[0] // groups % _BLOCK == 0

    def _stays(self, step: Step) -> bool:
        images = [i for i in step.inputs if i is not None and i not in self._draft.fixed]
        if not images or any(i not in self._blocked for i in images):
            return False
        shapes = [self._draft.shape(i) or () for i in images]
        if step.op in _POOLS:
            return len([i for i in step.outputs if i is not None]) == 1 and shapes[0][1] % _BLOCK == 0
        if step.op in _TOGETHER:
            return len(images) == len(step.inputs) and all(shape == shapes[0] for shape in shapes)
        return step.op == "Concat" and step.attributes.get("axis") == 1 and all(s[1] % _BLOCK == 0 for s in shapes)

    def _place_convolution(self, step: Step) -> None:
        image, filters = step.inputs[0], self._draft.shape(step.inputs[1]) or (0, 0)
        channels = (self._draft.shape(image) or (0, 0))[1]
        is_plain = channels == filters[1] and channels < _BLOCK
        positions = ([] if is_plain else [0]) + ([3] if len(step.inputs) > _IMAGE_RANK - 1 else [])
        if is_plain and image is not None:
            self._unblock(image, step)
        for position in positions:
            value_id = step.inputs[position]
            if value_id is not None:
                step.inputs[position] = self._block(value_id, step)
        step.op = f"{_DOMAIN}Conv"
        self._write_blocked(step)

    def _write_blocked(self, step: Step) -> None:
        value_id = step.output
        new = self._draft.add_value(_rounded(self._draft.types[value_id]))
        self._blocked[value_id], self._writers[value_id] = new, step
        step.outputs = [new]
        self.steps.append(step)

    def _block(self, value_id: int, step: Step) -> int:
        if value_id not in self._blocked:
            new = self._draft.add_value(_rounded(self._draft.types[value_id]))
            self.steps.append(Step(step.node, f"{_DOMAIN}ReorderInput", [value_id], [new]))
            self._blocked[value_id] = new
            self._plain[value_id] = value_id
        return self._blocked[value_id]

    def _unblock(self, value_id: int, step: Step) -> None:
        if value_id in self._blocked and value_id not in self._plain:
            self.steps.append(Step(step.node, f"{_DOMAIN}ReorderOutput", [self._blocked[value_id]], [value_id]))
            self._plain[value_id] = value_id


def _rounded(of: TensorType) -> TensorType:
    shape = of.shape or ()
    channels = shape[1] if len(shape) > 1 else None
    if not isinstance(channels, int):
        return of
    return TensorType(of.dtype, (shape[0], -(-channels // _BLOCK) * _BLOCK, *shape[2:]))
