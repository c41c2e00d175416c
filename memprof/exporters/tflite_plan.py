"""A .tflite file with planned addresses, and with its first subgraph's operators in another order.

    new file:  root offset | TFL3 | vtable, root | vectors of buffers and metadata | their new entries | old file

Offsets in a flatbuffer are relative and point forwards, so the old file stays as it is behind a new head: moved by a
multiple of its alignment, all offsets within it still hold. The new root points into it, and its vectors of buffers
and of metadata list the old entries and one new one each. Two kinds of numbers count from the beginning of the file
and are moved along: where the bytes of a buffer, and large options of an operator, lie behind the flatbuffer. An
order is the same operators pointed at in another order. Weights are copied, not understood.

The addresses go into the metadata entry ``OfflineMemoryAllocation``: version 1, subgraph 0, the number of tensors of
all subgraphs, one address each, -1 for those that the runtime places. Source:
tensorflow/lite/micro/docs/memory_management.md.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

from memprof.base.errors import InputError, LimitError, UsageError
from memprof.base.files import write_whole
from memprof.importers.flatbuffers import Flatbuffer, Table
from memprof.importers.tflite.schema import IDENTIFIER, OFFLINE_PLAN, read_contents
from memprof.ir.program import Program

_ALIGNMENT = 64
_MAX_BYTES = 2**31 - 1  # a flatbuffer's signed offsets reach no further
_SUBGRAPHS, _BUFFERS, _METADATA = 2, 4, 6
_OPERATORS, _BUFFER_OFFSET, _LARGE_OPTIONS = 3, 1, 9
_VERSION = 1


def write_planned(source: Path, target: Path, program: Program, order: Sequence[int]) -> None:
    """Write ``source`` with the addresses of ``program`` and the operators of its first subgraph in ``order``.

    Args:
        source: The .tflite file.
        target: The file to write, whole or not at all.
        program: What was planned; its addresses are written, none if it has none.
        order: Numbers of the first subgraph's operators as the source lists them, in their new order.

    Raises:
        UsageError: The target is the source, or cannot be written.
        InputError: The source changed since it was read.
        LimitError: The new file would be larger than a flatbuffer can be.
    """
    if target.exists() and target.samefile(source):
        raise UsageError(f"-o {target} is the model itself.", "Write to another file.")
    content = planned_content(source.read_bytes(), program, order)
    write_whole(target, lambda draft: draft.write_bytes(content))


def planned_content(content: bytes, program: Program, order: Sequence[int]) -> bytes:
    """Return the planned file; arguments and errors as ``write_planned``."""
    old = bytearray(content)
    file = _file(old)
    root = file.table(file.uint32(0))
    _reorder(old, next(root.children(_SUBGRAPHS)), order)
    if program.offsets:
        old = _with_plan(old, root, program.offsets)
    found = read_contents(_file(old)).program
    if found.subgraphs != program.subgraphs or found.offsets != program.offsets:
        raise InputError("The model changed while it was planned.", "Plan it again.")
    return bytes(old)


def _file(content: bytes | bytearray) -> Flatbuffer:
    return Flatbuffer(lambda start, length: bytes(content[start : start + length]), len(content))


def _reorder(content: bytearray, subgraph: Table, order: Sequence[int]) -> None:
    """Point at the same operators in another order."""
    place = subgraph.place(_OPERATORS, 4)
    if place is None or list(order) == list(range(len(order))):
        return
    start, count = subgraph.file.vector(place, 4)
    if count != len(order):
        raise InputError("The model changed while it was planned.", "Plan it again.")
    targets = [start + 4 * i + subgraph.file.uint32(start + 4 * i) for i in range(count)]
    for i, number in enumerate(order):
        position = start + 4 * i
        if targets[number] <= position:
            raise InputError("Operators of this file lie before the list of them.", "Convert the model again.")
        struct.pack_into("<I", content, position, targets[number] - position)


def _with_plan(content: bytearray, root: Table, offsets: Sequence[int]) -> bytearray:
    fields = max((root.vtable_bytes - 4) // 2, _METADATA + 1)
    places = {field: place for field in range(fields) if (place := root.place(field, 4)) is not None}
    targets = {field: place + root.file.uint32(place) for field, place in places.items() if field}
    buffers = [table.position for table in root.children(_BUFFERS)]
    metadata = [table.position for table in root.children(_METADATA)]

    head = bytearray(4) + IDENTIFIER
    vtable = len(head)
    head += struct.pack("<HH", 4 + 2 * fields, 4 + 4 * fields)
    used = {*places, _BUFFERS, _METADATA}
    head += b"".join([struct.pack("<H", 4 + 4 * field if field in used else 0) for field in range(fields)])
    head += bytes(-len(head) % 4)
    start = len(head)
    struct.pack_into("<I", head, 0, start)
    head += struct.pack("<i", start - vtable) + bytes(4 * fields)
    version = places.get(0)
    struct.pack_into("<I", head, start + 4, 0 if version is None else root.file.uint32(version))
    buffer_list = _reserve(head, len(buffers) + 1)
    metadata_list = _reserve(head, len(metadata) + 1)
    new_buffer = _add_table(head, ((4, None),))
    new_metadata = _add_table(head, ((4, None), (8, len(buffers))))
    name = _add_vector(head, OFFLINE_PLAN.encode() + b"\0", len(OFFLINE_PLAN))
    plan = struct.pack("<3i", _VERSION, 0, len(offsets)) + struct.pack(f"<{len(offsets)}i", *offsets)
    data = _add_vector(head, plan, len(plan))
    head += bytes(-len(head) % _ALIGNMENT)
    moved = len(head)
    if moved + len(content) > _MAX_BYTES:
        raise LimitError(f"The planned file would have more than {_MAX_BYTES} bytes.")

    def point(place: int, target: int) -> None:
        struct.pack_into("<I", head, place, target - place)

    for field, target in targets.items():
        point(start + 4 + 4 * field, moved + target)
    point(start + 4 + 4 * _BUFFERS, buffer_list)
    point(start + 4 + 4 * _METADATA, metadata_list)
    for listed, old, new in ((buffer_list, buffers, new_buffer), (metadata_list, metadata, new_metadata)):
        for i, target in enumerate([*[moved + each for each in old], new]):
            point(listed + 4 + 4 * i, target)
    point(new_buffer + 4, data)
    point(new_metadata + 4, name)
    _move_absolute(content, root, moved)
    return head + content


def _move_absolute(content: bytearray, root: Table, moved: int) -> None:
    """Move what counts from the beginning of the file."""
    absolute = [(table, _BUFFER_OFFSET) for table in root.children(_BUFFERS)]
    for subgraph in root.children(_SUBGRAPHS):
        absolute += [(table, _LARGE_OPTIONS) for table in subgraph.children(_OPERATORS)]
    places = {place for table, field in absolute if table.uint64(field) > 1 and (place := table.place(field, 8))}
    for place in places:
        struct.pack_into("<Q", content, place, struct.unpack_from("<Q", content, place)[0] + moved)


def _reserve(head: bytearray, count: int) -> int:
    head += bytes(-len(head) % 4)
    start = len(head)
    head += struct.pack("<I", count) + bytes(4 * count)
    return start


def _add_table(head: bytearray, fields: Sequence[tuple[int, int | None]]) -> int:
    """Add a table of 32-bit fields at the given places, ``None`` for an offset that is filled in later."""
    head += bytes(-len(head) % 4)
    vtable = len(head)
    head += struct.pack("<HH", 4 + 2 * len(fields), 4 + 4 * len(fields))
    head += b"".join([struct.pack("<H", place) for place, _ in fields])
    head += bytes(-len(head) % 4)
    start = len(head)
    head += struct.pack("<i", start - vtable)
    head += b"".join([struct.pack("<I", value or 0) for _, value in fields])
    return start


def _add_vector(head: bytearray, items: bytes, count: int) -> int:
    """Add a vector of bytes, the first of them at a multiple of 16."""
    head += bytes((12 - len(head)) % 16)
    start = len(head)
    head += struct.pack("<I", count) + items
    return start
