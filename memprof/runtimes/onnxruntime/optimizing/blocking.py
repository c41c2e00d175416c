"""Convolutions in onnxruntime's blocked layout: channels in blocks of 16, and reorders where others want them plain.

    convolution    of float32 images with constant filters, none of the graph around a body: one group, or one
                   channel to a group, or groups of whole blocks; channels that it reads, or has one to a group, are
                   a multiple of 4; writes channels rounded up to blocks, takes fewer channels than a block plain
    joined         a sum of blocked images with the convolution that wrote one of them, if it has no activation yet
                   (the left one first); an activation with the convolution that alone writes for it;
                   x * hard-sigmoid(x) of a convolution
    scaled         a product with a weight for each channel, as a convolution of one channel to a group
    stays blocked  pools and Concat of whole blocks; sums, products and activations of blocked images; batch
                   normalisations, as convolutions of one channel to a group; nearest upsampling by whole numbers
    anything else  reads a plain copy, made once; a Transpose to or from channels last is that copy, one that puts
                   channels first only where nobody else reads it

Blocks of 16 are those of a processor with AVX-512; others have 8, which changes how far channels are rounded up.
Operations are looked at in the order in which they would run; what is written anew gets the next numbers, which
turns the order of two branches around.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from memprof.ir import TensorType
from memprof.runtimes.onnxruntime.optimizing.convolving import FUSED
from memprof.runtimes.onnxruntime.optimizing.draft import Draft, Step

_BLOCK = 16
_STEP = 4
_RANK = 4
_FACTORS = 2
_SUM = 3  # position of the image that a convolution adds to its result
DOMAIN = "com.microsoft.nchwc."
_CONVOLUTION = f"{DOMAIN}Conv"
_CHANNELS_LAST = (0, 2, 3, 1)
_CHANNELS_FIRST = (0, 3, 1, 2)


@dataclass(slots=True, eq=False, kw_only=True)
class _Image:
    """An image in blocks.

    Attributes:
        value_id: The image.
        writer: What writes it.
        channels: Its channels, before they are rounded up.
        uses: How often the plain image was read at first.
        left: How often it is still.
    """

    value_id: int
    writer: Step
    channels: int
    uses: int
    left: int


def block_all(draft: Draft) -> None:
    """Put what can be blocked into blocks."""
    if not draft.has(*_ALWAYS):
        return
    layout = _Layout(draft)
    for step in draft.ordered():
        if step.is_gone:
            continue
        rule = _ALWAYS.get(step.op)
        if rule is None and any(i in layout.images for i in step.given[: _FACTORS if step.op == "Mul" else 1]):
            rule = _BEHIND.get(step.op)
        if rule is not None:
            rule(layout, step)
    layout.give_back()


class _Layout:
    """Which values are in blocks so far."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.images: dict[int, _Image] = {}  # a plain value -> the same in blocks
        self._reordered: dict[int, int] = {}  # a plain value that was put in blocks for a reader

    def write(self, step: Step, op: str, inputs: list[int | None], channels: int) -> Step:
        """Put an operation that writes blocks in the place of one that does not."""
        plain = step.output
        uses = self.draft.uses(plain)
        of, ahead = (_rounded(kind, channels) for kind in (self.draft.types[plain], self.draft.ahead_type(plain)))
        value_id = self.draft.add_value(of, ahead)
        self.draft.remove(step)
        new = self.draft.add(step, op, inputs, [value_id], step.attributes)
        self.images[plain] = _Image(value_id=value_id, writer=new, channels=channels, uses=uses, left=uses)
        return new

    def keep(self, step: Step, images: list[_Image]) -> None:
        """Let an operation read and write blocks, under its own number."""
        plain = step.output
        uses = self.draft.uses(plain)
        of, ahead = (
            _rounded(kind, sum(image.channels for image in images) if step.op == "Concat" else images[0].channels)
            for kind in (self.draft.types[plain], self.draft.ahead_type(plain))
        )
        channels = sum(image.channels for image in images) if step.op == "Concat" else images[0].channels
        value_id = self.draft.add_value(of, ahead)
        for position, image in enumerate(images):
            self.draft.rewire(step, position, image.value_id)
            image.left -= 1
        self.draft.redirect(step, value_id)
        self.images[plain] = _Image(value_id=value_id, writer=step, channels=channels, uses=uses, left=uses)

    def fuse(self, step: Step, image: _Image) -> None:
        """Let what writes an image do what a step does, and remove that."""
        plain = step.output
        uses = self.draft.uses(plain)
        self.draft.remove(step)
        self.images[plain] = _Image(
            value_id=image.value_id, writer=image.writer, channels=image.channels, uses=uses, left=uses
        )

    def take(self, value_id: int, step: Step) -> int:
        """Return a value in blocks, put there if it is not yet."""
        found = self.images.get(value_id)
        if found is not None:
            found.left -= 1
            return found.value_id
        if value_id not in self._reordered:
            source = value_id
            first = self.draft.writer_of(value_id, "Transpose")
            is_alone = self.draft.uses(value_id) == 1
            is_last = first is not None and is_alone and first.attributes.get("perm") == _CHANNELS_FIRST
            of, ahead = (_rounded(kind, 0) for kind in (self.draft.types[value_id], self.draft.ahead_type(value_id)))
            new = self.draft.add_value(of, ahead)
            if first is not None and is_last:
                source = first.read(0)
            self.draft.add(step, f"{DOMAIN}ReorderInput", [source], [new], {"channels_last": int(is_last)})
            self._reordered[value_id] = new
        return self._reordered[value_id]

    def give_back(self) -> None:
        """Give what still reads a plain image a copy of it."""
        for plain, image in _as_hashed(list(self.images.items())):
            if image.left > 0:
                self.draft.add(image.writer, f"{DOMAIN}ReorderOutput", [image.value_id], [plain])
        for plain in self._reordered:
            first = self.draft.writer_of(plain, "Transpose")
            if first is not None and not self.draft.uses(plain):
                self.draft.remove(first)


def _convolve(layout: _Layout, step: Step) -> None:
    draft = layout.draft
    shape = draft.shape(step.read(1))
    if shape is None or len(shape) != _RANK or draft.dtype(step.output) != "float32":
        return
    if any(i >= 0 and not draft.is_own_weight(i) for i in (step.read(1), step.read(2))):
        return
    written, taken = shape[:2]
    groups = step.attributes.get("group", 1)
    if not isinstance(groups, int) or not _can_block(written, taken, groups):
        return
    is_plain = groups == 1 and taken < _BLOCK
    if step.read(_SUM) >= 0:
        return
    new = layout.write(step, _CONVOLUTION, list(step.inputs), written)
    if not is_plain:
        draft.rewire(new, 0, layout.take(step.read(0), new))


def _can_block(written: int, taken: int, groups: int) -> bool:
    if groups == 1:
        return taken < _BLOCK or taken % _STEP == 0
    if taken == 1 and written == groups:
        return written % _STEP == 0
    return taken % _BLOCK == 0 and written % groups == 0 and written // groups % _BLOCK == 0


def _pool(layout: _Layout, step: Step) -> None:
    draft = layout.draft
    shape = draft.dims(step.read(0))
    channels = shape[1] if shape is not None and len(shape) == _RANK else None
    if len(step.node.writes) > 1 or not isinstance(channels, int) or channels % _BLOCK:
        return
    if draft.dtype(step.output) != "float32":
        return
    new = layout.write(step, f"{DOMAIN}{step.op}", list(step.inputs), channels)
    draft.rewire(new, 0, layout.take(step.read(0), new))


def _combine(layout: _Layout, step: Step) -> None:
    """A sum or product of blocked images of one shape."""
    draft = layout.draft
    images = _images(layout, step)
    if images is None or any(image.channels != images[0].channels for image in images):
        return
    shapes = [draft.dims(i) for i in step.given]
    if any(shape != shapes[0] or shape is None or None in shape for shape in shapes):
        return
    if step.op != "Mul" and len(images) == 2:
        for image, other in (images, images[::-1]):
            writer = image.writer
            is_free = writer.op == _CONVOLUTION and image.uses == 1 and "activation" not in writer.attributes
            if is_free and writer.read(_SUM) < 0 and other.value_id != image.value_id:
                for found in images:
                    found.left -= 1
                draft.rewire(writer, _SUM, other.value_id)
                layout.fuse(step, image)
                return
    layout.keep(step, images)


def _multiply(layout: _Layout, step: Step) -> None:
    """A product with a number for each channel is a convolution of one channel to a group."""
    draft = layout.draft
    for kept, other in (0, 1), (1, 0):
        image = layout.images.get(step.read(kept))
        if image is None or not draft.is_own_weight(step.read(other)) or draft.writer(step.read(other)) is not None:
            continue
        if image.channels > 1 and draft.shape(step.read(other)) in (
            (image.channels, 1, 1),
            (1, image.channels, 1, 1),
        ):
            image.left -= 1
            new = layout.write(step, _CONVOLUTION, [image.value_id, step.read(other)], image.channels)
            new.attributes = {"group": -(-image.channels // _BLOCK) * _BLOCK}
            return
    _combine(layout, step)


def _concat(layout: _Layout, step: Step) -> None:
    images = _images(layout, step)
    if images is None or step.attributes.get("axis") != 1:
        return
    if all(image.channels % _BLOCK == 0 for image in images):
        layout.keep(step, images)


def _activate(layout: _Layout, step: Step) -> None:
    image = layout.images[step.read(0)]
    writer = image.writer
    is_free = writer.op == _CONVOLUTION and image.uses == 1 and "activation" not in writer.attributes
    if not is_free or step.op not in _JOINED:
        layout.keep(step, [image])
        return
    image.left -= 1
    writer.attributes = {**writer.attributes, "activation": step.op}
    layout.fuse(step, image)


def _hard_swish(layout: _Layout, step: Step) -> None:
    """x * hard-sigmoid(x), where nobody else reads x, of a convolution."""
    draft, image = layout.draft, layout.images[step.read(0)]
    product = draft.only_reader(step.output, "Mul")
    if product is None or step.read(0) not in product.given or image.uses != 2:
        return
    writer = image.writer
    if writer.op == _CONVOLUTION and "activation" not in writer.attributes:
        image.left -= 2
        writer.attributes = {**writer.attributes, "activation": "HardSwish"}
        draft.remove(step)
        layout.fuse(product, image)


def _normalise(layout: _Layout, step: Step) -> None:
    image = layout.images[step.read(0)]
    if len(step.node.writes) > 1 or not all(map(layout.draft.is_fixed, step.given[1:])):
        return
    image.left -= 1
    layout.write(step, _CONVOLUTION, [image.value_id, *step.inputs[1:3]], image.channels).attributes = {
        "group": -(-image.channels // _BLOCK) * _BLOCK
    }


def _transpose(layout: _Layout, step: Step) -> None:
    if step.attributes.get("perm") != _CHANNELS_LAST:
        return
    image = layout.images[step.read(0)]
    image.left -= 1
    layout.draft.remove(step)
    attributes = {"channels_last": 1}
    layout.draft.add(step, f"{DOMAIN}ReorderOutput", [image.value_id], step.outputs[:1], attributes)


def _resize(layout: _Layout, step: Step) -> None:
    draft = layout.draft
    mode = step.attributes.get("mode", "nearest")
    if step.op == "Resize":
        coordinates = step.attributes.get("coordinate_transformation_mode", "half_pixel")
        scales = draft.elements(step.read(2))
        is_floor = step.attributes.get("nearest_mode", "round_prefer_floor") == "floor"
        is_nearest = mode == "nearest" and coordinates == "asymmetric" and is_floor
        is_linear = mode == "linear" and coordinates in ("asymmetric", "align_corners", "half_pixel")
        if not (is_nearest or is_linear):
            return
        if draft.is_fixed(step.read(3)):
            scales = _ratios(draft.shape(step.read(0)), draft.shape(step.output))
    else:
        scales = draft.elements(step.read(1))
        if mode not in ("nearest", "linear"):
            return
    if (
        scales is None
        or len(scales) != _RANK
        or scales[:2] != (1, 1)
        or any(of != int(of) or of < 1 for of in scales)
    ):
        return
    image = layout.images[step.read(0)]
    image.left -= 1
    layout.write(step, f"{DOMAIN}Upsample", [image.value_id], image.channels)


def _ratios(before: tuple[int, ...] | None, after: tuple[int, ...] | None) -> tuple[float, ...] | None:
    if before is None or after is None or 0 in before or len(before) != len(after):
        return None
    return tuple([new / old for old, new in zip(before, after, strict=True)])


def _images(layout: _Layout, step: Step) -> list[_Image] | None:
    found = [layout.images.get(-1 if i is None else i) for i in step.inputs]
    images = [image for image in found if image is not None]
    return images if len(images) == len(found) and images else None


_JOINED = frozenset(("Relu", "Sigmoid", "Tanh", "HardSigmoid", "Clip"))

_ALWAYS: Mapping[str, Callable[[_Layout, Step], None]] = {
    "Conv": _convolve,
    FUSED: _convolve,
    "MaxPool": _pool,
    "AveragePool": _pool,
}
_BEHIND: Mapping[str, Callable[[_Layout, Step], None]] = {
    "Add": _combine,
    "Sum": _combine,
    "Mul": _multiply,
    "Concat": _concat,
    "Relu": _activate,
    "Sigmoid": _activate,
    "Tanh": _activate,
    "com.microsoft.QuickGelu": _activate,
    "com.microsoft.Gelu": _activate,
    "Gelu": _activate,
    "HardSigmoid": _hard_swish,
    "BatchNormalization": _normalise,
    "Transpose": _transpose,
    "Resize": _resize,
    "Upsample": _resize,
    "GlobalAveragePool": _pool,
    "GlobalMaxPool": _pool,
}


def _as_hashed(items: list[tuple[int, _Image]]) -> list[tuple[int, _Image]]:
    """Return items in the order of a hash table in which no two share a bucket.

    New ones come in front, and all are turned as it grows.
    onnxruntime keeps images by address; where two share a bucket, which no file tells, the order differs.
    """
    found: list[tuple[int, _Image]] = []
    for count, item in enumerate(items):
        if count in _TABLE_SIZES:
            found.reverse()
        found.insert(0, item)
    return found


_TABLE_SIZES = frozenset((1, 13, 29, 59, 127, 257, 541, 1109, 2357, 5087))
"""Buckets of a hash table of the GNU library as it grows."""


def _rounded(of: TensorType, channels: int) -> TensorType:
    shape = of.shape or ()
    found = shape[1] if len(shape) > 1 and isinstance(shape[1], int) else channels
    if len(shape) < 2 or not found:
        return of
    return TensorType(of.dtype, (shape[0], -(-found // _BLOCK) * _BLOCK, *shape[2:]))
