"""From tables to a ``Program``: what the fields of a .tflite file mean, by number.

    Model -> operator codes, buffers (located, not read), subgraphs (tensors, operators), signatures, metadata

Numbers of fields are those of schema.fbs of TensorFlow Lite. Whatever points at something by number (a tensor's
buffer, an operator's tensors) is checked here, so that everything behind may index.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from struct import Struct

from memprof.base.errors import InputError, LimitError
from memprof.importers.flatbuffers import Flatbuffer, Table
from memprof.importers.tflite.operators import CALLS, CUSTOM, DTYPES, OPERATORS, OPTIONS
from memprof.ir.program import Content, Program, ProgramOperator, ProgramTensor, Subgraph
from memprof.ir.types import MAX_RANK, TensorType

IDENTIFIER = b"TFL3"
OFFLINE_PLAN = "OfflineMemoryAllocation"

_HINT = "Convert or download the model again."
_CODE_BYTES = 127  # the number of an operator from 127 on is in a field of its own
_SIZES = {1: Struct("<B"), 4: Struct("<i")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """A .tflite file as it was read.

    Attributes:
        program: Tensors and operators.
        open_axes: For each tensor of the first subgraph the axes that the file leaves open; a converter writes a size
            for each all the same, most often 1.
        shared: For each subgraph and tensor the number of its buffer, 0 where it has none.
    """

    program: Program
    open_axes: tuple[tuple[int, ...], ...]
    shared: tuple[tuple[int, ...], ...]


def read_contents(file: Flatbuffer) -> Contents:
    """Return what a .tflite file holds.

    Raises:
        InputError: It is none, or points at what does not exist.
        LimitError: It asks for more than a safety limit allows.
    """
    if file.size < 8 or file.at(4, 4) != IDENTIFIER:
        raise InputError("This is not a TensorFlow Lite model: it does not begin like one.", "Name a .tflite file.")
    model = file.table(file.uint32(0))
    kinds = [_kind(code) for code in model.children(1)]
    buffers = [_content(buffer) for buffer in model.children(4)]
    tables = list(model.children(2))
    if not tables:
        raise InputError("This TensorFlow Lite model holds no subgraph.", _HINT)
    found = [_subgraph(table, kinds, buffers, len(tables)) for table in tables]
    names, offsets = _metadata(model, sum(len(each.tensors) for each, _, _ in found))
    program = Program(
        subgraphs=tuple([subgraph for subgraph, _, _ in found]),
        file_bytes=file.size,
        offsets=offsets,
        signatures={table.text(2): table.uint32(4) for table in model.children(7)},
        metadata=names,
    )
    return Contents(program=program, open_axes=found[0][1], shared=tuple([numbers for _, _, numbers in found]))


def _kind(code: Table) -> str:
    number = max(code.int8(0), code.int32(3))
    if number == CUSTOM:
        return f"custom.{code.text(1)}"
    return OPERATORS[number] if 0 <= number < len(OPERATORS) else f"BUILTIN_{number}"


def _content(buffer: Table) -> Content:
    if buffer.span(0)[1]:
        return Content.INSIDE
    return Content.BEHIND if buffer.uint64(1) > 1 and buffer.uint64(2) else Content.NONE


def _subgraph(
    table: Table, kinds: list[str], buffers: list[Content], subgraphs: int
) -> tuple[Subgraph, tuple[tuple[int, ...], ...], tuple[int, ...]]:
    """Return a subgraph, for each of its tensors the axes left open, and for each the number of its buffer."""
    tensors: list[ProgramTensor] = []
    open_axes: list[tuple[int, ...]] = []
    numbers: list[int] = []
    names: set[str] = set()
    for number, each in enumerate(table.children(0)):
        buffer = each.uint32(2)
        if buffer >= max(1, len(buffers)):
            raise _missing("tensor", number, f"buffer {buffer}")
        has_external = each.uint32(10) != 0
        content = Content.BEHIND if has_external else buffers[buffer] if buffers else Content.NONE
        tensor, axes = _tensor(each, number, names, content)
        tensors.append(tensor)
        open_axes.append(axes)
        numbers.append(buffer if content is Content.INSIDE or (content is Content.BEHIND and not has_external) else 0)
    count = len(tensors)
    operators = [_operator(each, number, kinds, count, subgraphs) for number, each in enumerate(table.children(3))]
    inputs = _known(table.int32s(1) or (), count, "subgraph", 0)
    outputs = _known(table.int32s(2) or (), count, "subgraph", 0)
    subgraph = Subgraph(
        name=table.text(4), tensors=tuple(tensors), operators=tuple(operators), inputs=inputs, outputs=outputs
    )
    return subgraph, tuple(open_axes), tuple(numbers)


def _tensor(table: Table, number: int, names: set[str], content: Content) -> tuple[ProgramTensor, tuple[int, ...]]:
    name = table.text(3) or f"tensor_{number}"
    while name in names:
        name = f"{name}#{number}"
    names.add(name)
    sizes = table.int32s(0) or ()
    if len(sizes) > MAX_RANK:
        raise LimitError(f"The tensor {name!r} has {len(sizes)} dimensions; up to {MAX_RANK} are possible.")
    signature = table.int32s(7) or ()
    code = table.uint8(1)
    dtype, ours = DTYPES[code] if code < len(DTYPES) else (f"TYPE_{code}", None)
    shape = tuple([size if size >= 0 else f"{name}[{axis}]" for axis, size in enumerate(sizes)])
    quantization = table.child(4)
    scales = 0
    if quantization is not None and quantization.span(3, 8)[1]:
        scales = quantization.span(2, 4)[1]
    axes = tuple([axis for axis, size in enumerate(signature[: len(sizes)]) if size < 0])
    tensor = ProgramTensor(
        name=name,
        type=TensorType(ours, shape),
        dtype=dtype,
        content=content,
        is_variable=table.uint8(5) != 0,
        scales=scales,
    )
    return tensor, axes


def _operator(table: Table, number: int, kinds: list[str], tensors: int, subgraphs: int) -> ProgramOperator:
    code = table.uint32(0)
    if code >= len(kinds):
        raise _missing("operator", number, f"operator code {code}")
    op = kinds[code]
    options = table.child(4) or table.child(12)
    calls = tuple([options.int32(field) for field in CALLS[op]]) if options is not None and op in CALLS else ()
    for subgraph in calls:
        if not 0 <= subgraph < subgraphs:
            raise _missing("operator", number, f"subgraph {subgraph}")
    wanted = OPTIONS.get(op, ())
    return ProgramOperator(
        op=op,
        inputs=_known(table.int32s(1) or (), tensors, "operator", number, lowest=-1),
        outputs=_known(table.int32s(2) or (), tensors, "operator", number),
        calls=calls,
        options={
            name: default if options is None else options.number(field, _SIZES[width], default)
            for name, field, width, default in wanted
        },
    )


def _metadata(model: Table, tensors: int) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the names of the file's metadata, and the addresses it plans, if it does."""
    names: list[str] = []
    offsets: tuple[int, ...] = ()
    for entry in model.children(6):
        name = entry.text(0)
        names.append(name)
        if name == OFFLINE_PLAN:
            offsets = _planned(model, entry.uint32(1), tensors)
    return tuple(names), offsets


def _planned(model: Table, number: int, tensors: int) -> tuple[int, ...]:
    """Return the planned addresses in a buffer: version, subgraph, count, one 32-bit number per tensor."""
    for i, buffer in enumerate(model.children(4)):
        if i == number:
            start, length = buffer.span(0)
            count = buffer.file.uint32(start + 8) if length >= 12 else 0
            if count != tensors or length < 12 + 4 * count:
                raise InputError(
                    f"The file's own plan of addresses has {count} entries for {tensors} tensors.",
                    "TensorFlow Lite Micro would not load it either: write the plan again, or remove it.",
                )
            return Struct(f"<{count}i").unpack(buffer.file.at(start + 12, 4 * count))
    raise _missing("plan of addresses", 0, f"buffer {number}")


def _known(numbers: Iterable[int], count: int, what: str, which: int, lowest: int = 0) -> tuple[int, ...]:
    found = tuple(numbers)
    if found and not lowest <= min(found) <= max(found) < count:
        odd = next(number for number in found if not lowest <= number < count)
        raise _missing(what, which, f"tensor {odd}")
    return found


def _missing(what: str, number: int, target: str) -> InputError:
    return InputError(f"The {what} {number} of this model points at {target}, which does not exist.", _HINT)
