"""Scratch of Einsum: copies with axes in another order, and the product before it goes to the output.

Letters are numbered in the order in which they appear; dimensions of an ellipsis come first. Then

    1  each input that does not name its letters in that order is copied so that it does
    2  letters that only the first input has, and the output has not, are summed up in it
    3  the inputs are taken in from left to right: letters in both and wanted (L), in the left alone (A), in the right
       alone or of size 1 (B), summed up here (R). The left is brought to the order L A R B, the right to L R B A; one
       matrix product per index of L gives L A 1 B, which is brought back, or, at the last input, to the output's
    4  the result is copied to the output, which exists by then

Bringing a tensor to an order that it has costs nothing, nor does moving axes of size 1 of what is a copy already.
Copies of step 1 stay to the end. Letters repeated within one input are not modelled (size unknown).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from memprof.runtimes.onnxruntime.scratch.kernel import Kernel, Ledger, OpenSize, Shape, volume

_ELLIPSIS = "..."


@dataclass(frozen=True, slots=True)
class _Equation:
    """Letters as numbers.

    Attributes:
        inputs: For each input its letters.
        output: The output's letters.
        count: How many letters there are.
    """

    inputs: tuple[Shape, ...]
    output: Shape
    count: int


def einsum(kernel: Kernel) -> int:
    """Return the scratch of an Einsum."""
    shapes = [kernel.shape(i) for i in range(len(kernel.node.inputs))]
    equation = _parse(kernel.text("equation"), [len(shape) for shape in shapes])
    if any(len(set(letters)) != len(letters) for letters in equation.inputs):
        raise OpenSize
    element = kernel.element_bytes()
    ledger = Ledger()
    aligned = [
        _aligned(letters, shape, equation.count) for letters, shape in zip(equation.inputs, shapes, strict=True)
    ]
    for letters, dims in zip(equation.inputs[1:], aligned[1:], strict=True):
        if list(letters) != sorted(letters):
            ledger.take(volume(dims) * element)
    first = equation.inputs[0]
    held = ledger.take(volume(aligned[0]) * element) if list(first) != sorted(first) else 0
    last = [max(i for i, letters in enumerate(equation.inputs) if n in letters) for n in range(equation.count)]
    wanted = set(equation.output)
    dims = aligned[0]
    alone = [n for n in range(equation.count) if last[n] == 0 and n not in wanted]
    if alone:
        dims = tuple(1 if n in alone else dim for n, dim in enumerate(dims))
        taken = ledger.take(volume(dims) * element)
        held += taken  # the copy of step 1, if any, stays
    order: Sequence[int] = range(equation.count)
    for i in range(1, len(shapes)):
        summed = [n for n in range(equation.count) if last[n] == i and n not in wanted]
        dims, order, taken, copies = _pair(dims, aligned[i], summed, ledger, element)
        if i == len(shapes) - 1:
            break
        dims, taken = _restored(dims, order, taken, ledger, element)
        ledger.give(copies + held)
        held = taken
    output_bytes = ledger.take(volume(kernel.output_shape()) * element)
    if [n for n in order if n in wanted] != list(equation.output):
        ledger.take(output_bytes)
    return ledger.peak - output_bytes


def _parse(text: str, ranks: Sequence[int]) -> _Equation:
    left, arrow, right = text.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise OpenSize
    spread = max(
        (rank - len(term) + len(_ELLIPSIS) for term, rank in zip(terms, ranks, strict=True) if _ELLIPSIS in term),
        default=0,
    )
    letters = [letter for letter in dict.fromkeys(left) if letter.isalpha()]
    number = {letter: spread + i for i, letter in enumerate(letters)}
    if not arrow:
        right = _ELLIPSIS * bool(spread) + "".join(sorted(n for n in letters if left.count(n) == 1))

    def numbers(term: str) -> Shape:
        head, dots, tail = term.partition(_ELLIPSIS)
        middle = range(spread) if dots else ()
        return (*(number[n] for n in head), *middle, *(number[n] for n in tail))

    try:
        found = tuple(numbers(term) for term in terms)
        output = numbers(right)
    except KeyError as error:
        raise OpenSize from error
    if any(len(term) != rank for term, rank in zip(found, ranks, strict=True)):
        raise OpenSize
    return _Equation(found, output, spread + len(letters))


def _aligned(letters: Shape, shape: Shape, count: int) -> Shape:
    dims = dict(zip(letters, shape, strict=True))
    return tuple(dims.get(n, 1) for n in range(count))


def _pair(
    left: Shape, right: Shape, summed: Sequence[int], ledger: Ledger, element: int
) -> tuple[Shape, list[int], int, int]:
    """Return the product's dimensions and axes in its own order, its bytes, and those of copies of its sides."""
    both: list[int] = []
    left_alone: list[int] = []
    right_alone: list[int] = []
    for n, (a, b) in enumerate(zip(left, right, strict=True)):
        if n not in summed:
            (both if a > 1 and b > 1 else left_alone if a > 1 else right_alone).append(n)
    taken = 0
    is_copy = {"left": False, "right": False}
    sides = {"left": left, "right": right}
    for n in summed:  # a letter that only one side has is summed up at once
        for side, other in (("left", "right"), ("right", "left")):
            if sides[side][n] > 1 and sides[other][n] == 1:
                reduced = tuple(1 if i == n else dim for i, dim in enumerate(sides[side]))
                size = ledger.take(volume(reduced) * element)
                if is_copy[side]:
                    ledger.give(volume(sides[side]) * element)
                    taken -= volume(sides[side]) * element
                taken += size
                sides[side], is_copy[side] = reduced, True
    orders = {
        "left": [*both, *left_alone, *summed, *right_alone],
        "right": [*both, *summed, *right_alone, *left_alone],
    }
    for side, order in orders.items():
        dims = sides[side]
        if order == sorted(order) or (is_copy[side] and _moves_ones_alone(order, dims)):
            continue
        size = ledger.take(volume(dims) * element)
        if is_copy[side]:
            ledger.give(size)
        else:
            taken += size
    order = orders["left"]
    product = tuple(1 if n in summed else left[n] if n in both or n in left_alone else right[n] for n in order)
    result = ledger.take(volume(product) * element)
    return product, order, result, taken


def _restored(dims: Shape, order: Sequence[int], held: int, ledger: Ledger, element: int) -> tuple[Shape, int]:
    """Return a product with its axes in the order of the letters, and the bytes it holds."""
    back = sorted(range(len(order)), key=order.__getitem__)
    restored = tuple(dims[i] for i in back)
    if not _moves_ones_alone(back, dims):
        size = ledger.take(volume(restored) * element)
        ledger.give(held)
        return restored, size
    return restored, held


def _moves_ones_alone(order: Sequence[int], dims: Shape) -> bool:
    """Whether the axes longer than 1 keep their order."""
    long = [axis for axis in order if dims[axis] != 1]
    return long == sorted(long)


SCRATCH: Mapping[str, Callable[[Kernel], int]] = MappingProxyType({"Einsum": einsum})
