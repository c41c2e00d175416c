"""Sizes for dimensions of graph inputs that the file leaves open and the caller does not settle: usual ones, said so.

    which dimension                                       what is taken
    the first one; one named after a batch                1
    height and width of an image, both open               640 x 640, a multiple of every usual stride
    one of them                                           the other; the width of a line of text (up to 64 high): 320
    one named after what is cached, and after the total   128, and 256: those and the new ones
    samples of sound                                      16,000, a second of speech
    any other of integers, or named after a length        128
    any other of rank 2, of rank 3                        512, 128
    any other                                             64

A rate of sampling that decides what is unknown without it is 16,000 as well.

Where these do not fit the graph (``misfits``), others are tried, one dimension after the other, height and width
together: usual sizes of images, the sizes of the graph's constants, multiples of its strides.

A size of 0 in the first of three places or more is what old exporters write for "open". Each size is listed with the
flag that changes it. Never 1 where a network has nothing to do at 1.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from memprof.base.text import safe_text
from memprof.importers.onnx.symbols import evaluate
from memprof.ir import Assumption, Dim, TensorType

_BATCH = re.compile(r"batch|(^|[_.\W])bs([_.\W]|$)", re.IGNORECASE)
_BATCH_LETTER = re.compile(r"(^|[_.\W])[nb]([_.\W]|$)", re.IGNORECASE)
_PAST = re.compile(r"past|cache", re.IGNORECASE)
_TOTAL = re.compile(r"total", re.IGNORECASE)
_SOUND = re.compile(r"sample|audio|wav|speech|sound|voice|pcm", re.IGNORECASE)
_LENGTH = re.compile(r"seq|len|token|time|step|frame|^[tls]$", re.IGNORECASE)
_RATE = re.compile(r"(^|[_.\W])(sr|fs)([_.\W]|$)|sampl(e|ing)[_.\W]?rate", re.IGNORECASE)
_CHANNELS = (1, 3, 4)
_LINE_HEIGHT = 64
_SAMPLES = 16_000
_IMAGES = (224, 256, 320, 416, 512, 672, 299, 384, 448, 112, 128, 96, 64, 48, 32, 28)
_MANY = 3


@dataclass(frozen=True, slots=True)
class Assumed:
    """What is taken for what is open.

    Attributes:
        dims: Sizes of named dimensions.
        inputs: Shapes of inputs that have dimensions without a name.
        notes: One for each size.
        groups: The dimensions that were assumed, by their names here; those of one group change together. Batches are
            last: any other size is sooner another one.
    """

    dims: Mapping[str, int] = field(default_factory=dict)
    inputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    notes: tuple[Assumption, ...] = ()
    groups: tuple[tuple[str, ...], ...] = ()


def assume_sizes(
    graph_inputs: Mapping[str, TensorType], settled: Collection[str], wished: Mapping[str, int]
) -> Assumed:
    """Return sizes for what graph inputs leave open.

    Args:
        graph_inputs: Their types, with what the caller settled in place.
        settled: Names of inputs whose whole shape the caller gave.
        wished: Sizes to take instead of the usual ones, by name of the dimension, or ``INPUT[AXIS]``.
    """
    groups: dict[tuple[str, ...], int] = {}
    dims: dict[str, int] = {}
    inputs: dict[str, tuple[int, ...]] = {}
    notes: list[Assumption] = []
    for name, of in graph_inputs.items():
        shape = of.shape
        if shape is None or name in settled:
            continue
        found: list[int] = []
        own: dict[int, str] = {}
        for axis, dim in enumerate(shape):
            if isinstance(dim, int) and not _is_nothing(shape, axis):
                found.append(dim)
                continue
            known = dims.get(dim) if isinstance(dim, str) else None
            if known is None and isinstance(dim, str) and not dim.isidentifier():
                known = evaluate(dim, dims)
            size = known
            if size is None:
                own[axis] = dim if isinstance(dim, str) else f"{name}[{axis}]"
                size = wished.get(own[axis]) or _usual(name, of, axis)
            found.append(size)
            if isinstance(dim, str) and dim not in dims:
                dims[dim] = size
                notes.append(_note(dim, size, f"the graph input {name} leaves it open", "--dim"))
        image = tuple(own.pop(axis) for axis in _spatial(shape) if axis in own and len(shape) == 4)
        if image:
            groups.setdefault(image, _MANY)
        for axis, key in own.items():
            groups.setdefault((key,), found[axis])
        if nameless := [axis for axis, dim in enumerate(shape) if dim is None or _is_nothing(shape, axis)]:
            inputs[name] = tuple(found)
            shown, why = "x".join(map(str, found)), f"the file leaves sizes of the graph input {name} open"
            note = _note(f"{name}={shown}", None, why, "--input")
            if nameless[0]:  # what settles it, and another one, names a size that is open
                axis = nameless[0]
                note = replace(note, hint=_note(f"{name}[{axis}]", found[axis], why, "--dim").hint)
            notes.append(note)
    return Assumed(dims, inputs, tuple(notes), tuple(sorted(groups, key=lambda keys: groups[keys] == 1)))


def usual_rate(name: str, of: TensorType) -> int | None:
    """Return the elements of an input that is a rate of sampling, ``None`` of any other."""
    is_number = (of.dtype or "").startswith(("int", "uint", "float")) and of.shape in ((), (1,))
    return _SAMPLES if is_number and _RATE.search(name) else None


def usual_rates(graph_inputs: Mapping[str, TensorType], given: Collection[str]) -> dict[str, int]:
    """Return the elements of the inputs that are rates of sampling and were not given."""
    rates = {name: usual_rate(name, of) for name, of in graph_inputs.items() if name not in given}
    return {name: rate for name, rate in rates.items() if rate is not None}


def rate_notes(rates: Mapping[str, int]) -> tuple[Assumption, ...]:
    """Return what is said of them."""
    return tuple(_note(name, rate, f"what {name} holds decides what runs", "--value") for name, rate in rates.items())


def sizes_that_fit(
    groups: Iterable[Sequence[str]], candidates: Sequence[int], count_misfits: Callable[[Mapping[str, int]], int]
) -> Mapping[str, int]:
    """Return sizes for dimensions that fit a graph better than the usual ones, which do not; none if none do.

    Args:
        groups: The dimensions, those that change together.
        candidates: Sizes that are tried, the most usual first.
        count_misfits: How many operations contradict some sizes; of the others the usual ones are taken.
    """
    best: dict[str, int] = {}
    fewest = count_misfits(best)
    for group in groups:
        before = best
        for size in candidates:
            if not fewest:
                return best
            wished = {**before, **dict.fromkeys(group, size)}
            misfits = count_misfits(wished)
            if misfits < fewest:
                best, fewest = wished, misfits
    return best


def candidate_sizes(constants: Iterable[Sequence[int]], strides: Collection[int]) -> Iterator[int]:
    """Yield sizes that a graph may be made for: usual ones of images, then those that its constants have.

    Args:
        constants: Shapes of its weights and of its other inputs.
        strides: By how much its operations step.
    """
    counts: dict[int, int] = {}
    for shape in constants:
        for dim in shape:
            counts[dim] = counts.get(dim, 0) + 1
    steps = [step * max(1, round(640 / step)) for step in sorted(strides) if step > 2]
    frequent = sorted((dim for dim in counts if dim > 1), key=lambda dim: (-counts[dim], dim))
    yield from dict.fromkeys([*_IMAGES, *steps, *frequent])


def _is_nothing(shape: tuple[Dim, ...], axis: int) -> bool:
    return axis == 0 and shape[0] == 0 and len(shape) >= _MANY


def _note(name: str, size: int | None, why: str, flag: str) -> Assumption:
    what = name if size is None else f"{name}={size}"
    hint = f"{flag} {shlex.quote(what)}"
    return Assumption(
        kind="dimension", name=safe_text(what), reason=safe_text(f"{why}; taken so", 500), hint=safe_text(hint, 500)
    )


def _usual(name: str, of: TensorType, axis: int) -> int:
    shape = of.shape or ()
    dim = shape[axis]
    symbol = dim if isinstance(dim, str) else ""
    is_integer = (of.dtype or "").startswith(("int", "uint", "bool"))
    is_length = _LENGTH.search(symbol) is not None
    is_second_of_three = axis == 1 and len(shape) == 3 and not symbol and isinstance(shape[0], int)
    rules = (
        ((axis == 0 and not is_length) or _names_batch(shape, axis) or is_second_of_three, 1),
        (_TOTAL.search(symbol) and is_length, 256),
        (_PAST.search(symbol), 128),
        (len(shape) == 4 and axis in _spatial(shape), _pixels(shape, axis)),
        (_SOUND.search(symbol) or _SOUND.search(name), _SAMPLES),
        (is_integer or (is_length and len(shape) > 2), 128),
        (is_length or len(shape) == 2, 512),
        (len(shape) == 3, 128),
    )
    return next((size for applies, size in rules if applies), 64)


def _names_batch(shape: tuple[Dim, ...], axis: int) -> bool:
    """Whether a dimension has the name of a batch: a single letter has not beside another batch."""
    names = [dim if isinstance(dim, str) else "" for dim in shape]
    own = names[axis]
    if _BATCH.search(own):
        return True
    is_second = axis > 0 and names[0] != own and _BATCH_LETTER.search(names[0]) is not None
    return _BATCH_LETTER.search(own) is not None and not is_second and not any(map(_BATCH.search, names))


def _pixels(shape: tuple[Dim, ...], axis: int) -> int:
    if len(shape) != 4:
        return 0
    height, width = _spatial(shape)
    other = shape[height if axis == width else width]
    if not isinstance(other, int):
        return 640
    return 320 if other <= _LINE_HEIGHT and axis == width else other


def _spatial(shape: tuple[Dim, ...]) -> tuple[int, int]:
    if len(shape) != 4:
        return (2, 3)
    return (1, 2) if shape[3] in _CHANNELS and shape[1] not in _CHANNELS else (2, 3)
