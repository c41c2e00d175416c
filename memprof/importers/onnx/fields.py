"""Protobuf's wire format: where the fields of a message lie, in a file of any size, read and not mapped.

A message is a row of fields, each a tag (field number and wire type) and a value; nested messages carry their length,
so that a weight of 500 MB is stepped over by adding its length to the position. A file is read in windows: large ones
where fields follow each other, a small one after a jump, so that little is read of what is stepped over. Not a memory
map: a file that is cut meanwhile would end the process, and one page of a weight may bring two megabytes of it in.

Source: https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from memprof.base.errors import InputError

if TYPE_CHECKING:
    import numpy as np

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

HEAD_BYTES = 20
"""A tag and a length, or a tag and a number: two varints."""

FIRST_BYTES = 2**10
"""What is read after a jump."""

WINDOW_BYTES = 2**16
"""What is read where fields follow each other."""

Read = Callable[[int, int], bytes]
"""Returns so many bytes from a position on, fewer only at the end of the file."""

_ONE_BYTE = tuple(bytes([i]) for i in range(0x80))


class Field(NamedTuple):
    """One field of a message.

    Attributes:
        number: Its number.
        start: Where its tag begins.
        value: Where its value begins; behind the length of a message or string.
        stop: Where it ends.
        is_message: Whether its value has a length: a message, string or packed list.
    """

    number: int
    start: int
    value: int
    stop: int
    is_message: bool


class FieldReader:
    """Reads fields and bytes of one file through one window.

    Args:
        read: See ``Read``.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self._window, self._base = b"", 0

    def fields(self, start: int, stop: int) -> Iterator[Field]:
        """Yield the fields of the message in ``[start, stop)``.

        Raises:
            InputError: The bytes are no row of protobuf fields.
        """
        position = start
        while position < stop:
            self._show(position, min(stop, position + HEAD_BYTES))
            number, value, end = read_field(self._window, self._base, position, stop)
            yield Field(number, position, value, end, self._window_tag(position) & 7 == BYTES)
            position = end

    def bytes(self, start: int, stop: int) -> bytes:
        """Return the bytes in ``[start, stop)``.

        Raises:
            InputError: The file ends before.
        """
        self._show(start, stop)
        return self._window[start - self._base : stop - self._base]

    def _window_tag(self, position: int) -> int:
        self._show(position, position + 1)
        return self._window[position - self._base]

    def _show(self, start: int, stop: int) -> None:
        end = self._base + len(self._window)
        if self._base <= start and stop <= end:
            return
        is_next = self._base <= start <= end
        self._window = self._read(start, max(stop - start, WINDOW_BYTES if is_next else FIRST_BYTES))
        self._base = start
        if len(self._window) < stop - start:
            raise invalid(start + len(self._window))


def read_field(window: bytes, base: int, begin: int, stop: int) -> tuple[int, int, int]:
    """Return the number of the field at ``begin``, and where its value begins and ends.

    Args:
        window: Bytes of the file that hold the field's tag and length.
        base: Where they begin.
        begin: Where the field begins.
        stop: Where the message that it is in ends.

    Raises:
        InputError: There is no field.
    """
    tag, position = _read_varint(window, base, begin, stop)
    wire_type = tag & 7
    if wire_type == BYTES:
        length, position = _read_varint(window, base, position, stop)
        end = position + length
    elif wire_type == VARINT:
        _, end = _read_varint(window, base, position, stop)
    elif wire_type == FIXED32:
        end = position + 4
    elif wire_type == FIXED64:
        end = position + 8
    else:
        raise invalid(position)
    if end > stop or tag < 8:
        raise invalid(position)
    return tag >> 3, position, end


def list_end(content: bytes) -> tuple[int, int]:
    """Return where a row of fields with one number ends, as far as they are whole, and how many there are.

    A list of numbers or texts that is not packed is such a row: looking at each by itself would take minutes where a
    forest has millions.

    Args:
        content: Bytes that begin with a field. One whose tag takes more than a byte is not looked at: nothing that
            writes files writes a list so, and what is taken for a row of others would hide anything.
    """
    import numpy as np

    data, tag = np.frombuffer(content, np.uint8), content[0]
    if tag >= 0x80:
        return 0, 0
    if tag & 7 == FIXED32:
        count = _leading(data[: len(data) // 5 * 5 : 5] == tag)
        return 5 * count, count
    if tag & 7 == VARINT:  # tags, and the last byte of each number, are below 0x80 by turns
        ends = np.flatnonzero(data < 0x80)
        lasts = ends[1::2]
        tags = ends[: 2 * len(lasts) : 2]
        follows = tags[1:] == lasts[:-1] + 1
        is_whole = (data[tags] == tag) & (lasts - tags <= 10)
        is_whole[1:] &= follows
        count = _leading(is_whole)
        return (int(lasts[count - 1]) + 1 if count else 0), count
    position = count = 0
    while tag & 7 == BYTES and position + 1 < len(content) and content[position] == tag:
        length = content[position + 1]
        if length >= 0x80 or position + 2 + length > len(content):
            break
        position, count = position + 2 + length, count + 1
    return position, count


def numbers_at_most(content: bytes) -> int:
    """Return how many varints a list has at most: packed ones end in a byte below 0x80, others after their tags."""
    import numpy as np

    ends = int(np.count_nonzero(np.frombuffer(content, np.uint8) < 0x80))
    return ends // 2 if content[0] & 7 == VARINT else ends


def _leading(flags: np.ndarray[Any, Any]) -> int:
    """Return how many flags are set before the first that is not."""
    return len(flags) if flags.all() else int(flags.argmin())


def _read_varint(window: bytes, base: int, position: int, stop: int) -> tuple[int, int]:
    result = 0
    for shift in range(0, 70, 7):
        if position >= stop:
            raise invalid(position)
        byte = window[position - base]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
    raise invalid(position)


def varint(value: int) -> bytes:
    """Return a natural number as the wire format writes it."""
    if value < 0x80:
        return _ONE_BYTE[value]
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def invalid(position: int) -> InputError:
    """Return the error that the bytes at ``position`` are no model."""
    return InputError(
        f"This is not an ONNX model, or it is cut off: byte {position} does not fit the format.",
        "Name an .onnx file, or export or download it again.",
    )
