"""Sizes for axes that a .tflite file leaves open.

A converter writes a size for an open axis too (most often 1), and that is what an interpreter starts with, so nothing
is unknown. A caller may ask about another size of the first axis (the batch): every tensor whose first axis is open
grows by the same factor. Other open axes need the rules of every operator between; they stay as the file says, and
asking for another size is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from memprof.base.errors import UsageError
from memprof.ir.program import Program, ProgramTensor
from memprof.ir.types import TensorType

_BATCH = "batch"
_HINT = "Convert the model with the shape that is wanted."


def bind(
    program: Program,
    open_axes: Sequence[tuple[int, ...]],
    dims: Mapping[str, int],
    inputs: Mapping[str, tuple[int, ...]],
) -> Program:
    """Return ``program`` with the sizes that the caller gives.

    Args:
        program: What was read.
        open_axes: For each tensor of the first subgraph the axes that the file leaves open.
        dims: ``{"batch": 4}``, or ``{"TENSOR[0]": 4}``.
        inputs: Shapes of inputs by name; ``""`` is the only one.

    Raises:
        UsageError: There is no such input or open axis, or the file fixes another size.
    """
    main = program.subgraphs[0]
    given = {main.tensors[number].name: number for number in main.inputs}
    batches = [_batch_of_dim(name, size, given, open_axes) for name, size in dims.items()]
    for name, shape in inputs.items():
        if not name and len(given) != 1:
            raise UsageError(f"The model has {len(given)} inputs.", f"Name one: --input {next(iter(given), '')}=...")
        if name and name not in given:
            raise UsageError(f"There is no input {name!r}.", f"Inputs: {', '.join(given) or 'none'}.")
        number = given[name] if name else next(iter(given.values()))
        batches += _batch_of_shape(main.tensors[number], shape, open_axes[number])
    if len(set(batches)) > 1:
        raise UsageError("The batch is given more than one size.", "Give it once.")
    if not batches:
        return program
    tensors = tuple(
        [
            _scaled(tensor, batches[0]) if 0 in axes else tensor
            for tensor, axes in zip(main.tensors, open_axes, strict=True)
        ]
    )
    return replace(program, subgraphs=(replace(main, tensors=tensors), *program.subgraphs[1:]))


def _batch_of_dim(name: str, size: int, given: Mapping[str, int], open_axes: Sequence[tuple[int, ...]]) -> int:
    names = {f"{tensor}[0]": number for tensor, number in given.items() if 0 in open_axes[number]}
    if names and (name == _BATCH or name in names):
        return size
    known = ", ".join([_BATCH, *names]) if names else "none: the file fixes every size"
    raise UsageError(f"There is no open dimension {name!r}.", f"Open dimensions: {known}.")


def _batch_of_shape(tensor: ProgramTensor, shape: tuple[int, ...], axes: tuple[int, ...]) -> list[int]:
    own = tensor.type.shape or ()
    if len(own) != len(shape):
        raise UsageError(f"{tensor.name} has {len(own)} axes, not {len(shape)}.", f"Its shape is {_text(own)}.")
    differing = [axis for axis, (mine, asked) in enumerate(zip(own, shape, strict=True)) if mine != asked]
    if differing not in ([], [0]) or (differing == [0] and 0 not in axes):
        raise UsageError(f"The file fixes the shape of {tensor.name}: {_text(own)}.", _HINT)
    return [shape[0]] if differing else []


def _scaled(tensor: ProgramTensor, batch: int) -> ProgramTensor:
    shape = tensor.type.shape or ()
    first = shape[0] if shape else None
    rows = first * batch if isinstance(first, int) else batch  # the file was converted for a batch of one
    return replace(tensor, type=TensorType(tensor.type.dtype, (rows, *shape[1:])))


def _text(shape: Sequence[object]) -> str:
    return "x".join(map(str, shape)) or "scalar"
