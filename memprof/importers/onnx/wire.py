"""The file without its weights: a walk over the protobuf wire format that steps over large tensor payloads.

    file (any size) --pread--> walk --> bytes of a ModelProto whose small constants (<= 1 KB) are still there

How fields lie on the wire, and why the file is read and not mapped, is told in ``fields``. The tables below say, for
each message type, which fields are entered, which are left out, and which hold a tensor's payload. Everything else
is copied in long runs. A message of at most ``SMALL_BYTES`` cannot hold a large payload and is copied whole. So
is a node of at most ``SMALL_NODE_BYTES`` until ``EAGER_BYTES`` are copied: exporters hang two kilobytes of metadata
on each node, which native code parses, and ``tidy`` drops, faster than they are walked over here.

A long list of an attribute (a forest has no other weights) is copied in runs too, and has a limit of its own.

What is left out: payloads over ``SMALL_BYTES`` (of initialisers, sparse ones, attribute tensors, in bodies and
functions alike), where external data lies (its path is never touched), long byte-string attributes (compiled
contexts), documentation, training graphs and metadata other than module paths.

Rules: nothing here interprets a tensor; of a large payload nothing is read but what shares a small window with its
header; limits are checked before anything is copied. Complexity: O(fields entered), not O(bytes of
the file).
Source: the message definitions of onnx.proto.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from memprof.base.errors import InputError, LimitError
from memprof.importers.onnx.fields import (
    BYTES,
    FIRST_BYTES,
    HEAD_BYTES,
    WINDOW_BYTES,
    invalid,
    list_end,
    numbers_at_most,
    read_field,
    varint,
)
from memprof.importers.onnx.limits import MORE, USUAL, Room, check_structure, costly_tags

SMALL_BYTES = 1024
SMALL_NODE_BYTES = 2**14
EAGER_BYTES = 2**24
MAX_NAME_BYTES = 2**16
MAX_MESSAGE_DEPTH = 100
LONG_LIST_BYTES = 2**14
LIST_WINDOW_BYTES = 2**20
MAX_LISTS = 32
"""How often one message is looked at for a long list: an attribute has one."""

_MODULE_KEY = b"pkg.torch.onnx.name_scopes"

_FLOATS, _INTS = 7, 8  # lists of numbers of an attribute

_DROP, _PAYLOAD, _METADATA, _LIST = "drop", "payload", "metadata", "list"


@dataclass(frozen=True, eq=False)
class _Message:
    """What to do with the fields of one message type; any field not named here is copied.

    Attributes:
        enter: Field number to the type of the message in it; entered if too long to be copied whole.
        drop: Field numbers that are always left out.
        payload: Field numbers that are left out together once they hold more than ``SMALL_BYTES``.
        metadata: Number of the field of key-value entries, of which module paths stay; 0 if there is none.
        lists: Fields that may be long; any other that is copied holds a name or a few numbers.
        whole_bytes: A message of this type and up to this length is copied whole, while few are.
    """

    enter: Mapping[int, _Message] = field(default_factory=dict)
    drop: frozenset[int] = frozenset()
    payload: frozenset[int] = frozenset()
    metadata: int = 0
    lists: frozenset[int] = frozenset()
    whole_bytes: int = SMALL_BYTES

    @cached_property
    def actions(self) -> dict[int, str | _Message]:
        """What to do by field number while the payload is small."""
        found: dict[int, str | _Message] = dict(self.enter)
        found |= dict.fromkeys(self.drop, _DROP)
        found |= dict.fromkeys(self.payload, _PAYLOAD)
        found |= dict.fromkeys(self.lists, _LIST)
        return found | ({self.metadata: _METADATA} if self.metadata else {})

    @cached_property
    def actions_without_payload(self) -> dict[int, str | _Message]:
        """What to do by field number once the payload is known to be large."""
        return self.actions | dict.fromkeys(self.payload, _DROP)


_TENSOR = _Message(
    drop=frozenset({12, 13, 14, 16}),  # doc_string, external_data, data_location, metadata_props
    payload=frozenset({4, 5, 6, 7, 9, 10, 11}),  # float, int32, string, int64, raw, double, uint64 data
    whole_bytes=0,  # an external tensor is a short message, and where it lies is left out
)
_SPARSE = _Message(enter={1: _TENSOR, 2: _TENSOR})
_attribute_fields: dict[int, _Message] = {5: _TENSOR, 10: _TENSOR, 22: _SPARSE, 23: _SPARSE}
_ATTRIBUTE = _Message(
    enter=_attribute_fields,
    drop=frozenset({13}),  # doc_string
    payload=frozenset({4}),  # s
    lists=frozenset({_FLOATS, _INTS, 9}),  # floats, ints, strings: words and classes decide shapes
)
_NODE = _Message(  # doc_string, device_configurations; metadata_props
    enter={5: _ATTRIBUTE}, drop=frozenset({6, 10}), metadata=9, whole_bytes=SMALL_NODE_BYTES
)
_VALUE_INFO = _Message(drop=frozenset({3, 4}))  # doc_string, metadata_props
_GRAPH = _Message(
    enter={1: _NODE, 5: _TENSOR, 15: _SPARSE, 11: _VALUE_INFO, 12: _VALUE_INFO, 13: _VALUE_INFO},
    drop=frozenset({10, 14, 16}),  # doc_string, quantization_annotation, metadata_props
    whole_bytes=0,
)
_attribute_fields |= {6: _GRAPH, 11: _GRAPH}
_FUNCTION = _Message(enter={7: _NODE, 11: _ATTRIBUTE, 12: _VALUE_INFO}, drop=frozenset({8, 14}))  # doc, metadata
_MODEL = _Message(
    enter={7: _GRAPH, 25: _FUNCTION},
    drop=frozenset({6, 14, 20, 26}),  # doc_string, metadata_props, training_info, configuration
)


def read_structure(path: Path, room: Room = USUAL) -> bytes:
    """Return the serialized ModelProto in ``path`` without large payloads.

    Args:
        path: The file.
        room: How large it may be.

    Raises:
        InputError: The file is missing, unreadable, no regular file, empty or not in the protobuf wire format.
        LimitError: What is left after dropping weights is still larger than any model's structure, or may unfold
            into far more.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a FIFO must not block the open
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot open {path}: {_reason(error)}.", "Check the path and its permissions.") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            what = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise InputError(f"Cannot read {path}: it is {what}.", "Name an .onnx file.")
        if status.st_size == 0:
            raise InputError(f"{path} is empty.", "Export or download the model again.")
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)  # read-ahead would load weights
        walk = _Walk(lambda start, length: os.pread(descriptor, length, start), room)
        structure = walk.strip(0, status.st_size, _MODEL, 0)
        check_structure(structure, walk.tags_in_lists, room)
        return structure
    except OSError as error:
        raise InputError(f"Cannot read {path}: {_reason(error)}.") from error
    finally:
        os.close(descriptor)


def strip(content: bytes) -> bytes:
    """Return the serialized ModelProto in ``content`` without large payloads.

    Raises:
        InputError: It is no row of protobuf fields.
        LimitError: It has more fields or bytes than any model's structure.
    """
    return _Walk(lambda start, length: content[start : start + length]).strip(0, len(content), _MODEL, 0)


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


class _Walk:
    """One walk over one file; counts what it has seen so that a hostile file cannot keep it busy.

    Args:
        read: Returns so many bytes from a position on.
        room: How large the model may be.
    """

    def __init__(self, read: Callable[[int, int], bytes], room: Room = USUAL) -> None:
        self._read = read
        self._room = room
        self._most_fields = room.fields
        self._fields = 0
        self._copied = 0  # but for lists
        self._listed = 0
        self.tags_in_lists = 0

    def strip(self, start: int, stop: int, message: _Message, depth: int) -> bytes:
        """Return the message in ``[start, stop)`` without what its table leaves out."""
        if depth > MAX_MESSAGE_DEPTH:
            raise LimitError(f"The model nests messages more than {MAX_MESSAGE_DEPTH} deep.")
        return self._strip(start, stop, message, message.actions, depth)

    def _strip(  # noqa: C901, PLR0912, PLR0915 - the one hot loop: a call per field would double its time
        self, start: int, stop: int, message: _Message, actions: Mapping[int, str | _Message], depth: int
    ) -> bytes:
        parts: list[bytes] = []
        before = self._copied, self._listed, self.tags_in_lists
        payload_bytes, lists_left = 0, MAX_LISTS
        window, base, end = b"", start, start  # the bytes of [base, end)
        run = position = start  # [run, position) is copied as it is once something else must be written
        while position < stop:
            begin = position
            self._fields += 1
            if self._fields > self._most_fields:
                raise LimitError(f"The model has more than {self._most_fields} fields.", MORE)
            if begin + HEAD_BYTES > end and end < stop:
                is_next = start < end and begin <= end  # after a jump over a payload little is read
                window = self._bytes(begin, min(stop, begin + (WINDOW_BYTES if is_next else FIRST_BYTES)))
                base, end = begin, begin + len(window)
            at = begin - base
            tag, length = window[at], window[at + 1] if begin + 1 < stop else 0x80
            if tag & 0x87 == BYTES and length < 0x80 and tag > 7:  # a byte each of tag and length: nearly all fields
                number, value = tag >> 3, begin + 2
                position = value + length
                if position > stop:
                    raise invalid(begin)
            else:
                number, value, position = read_field(window, base, begin, stop)
            action = actions.get(number)
            replacement = b""
            if action is None:
                if position - value > MAX_NAME_BYTES:
                    raise LimitError(f"The model holds a name or a shape of {position - value} bytes.")
                continue
            if action is _LIST:
                if stop - begin >= LONG_LIST_BYTES and lists_left:
                    lists_left -= 1
                    position = max(position, self._list_end(begin, stop))
                if position - begin < LONG_LIST_BYTES:
                    if number == _INTS and tag & 7 == BYTES:  # packed: up to eight times as much once read
                        self._count_listed(8 * (position - value))
                    continue
                replacement = self._list(begin, position)
            elif isinstance(action, _Message):
                is_eager = self._copied + begin - run < EAGER_BYTES
                if position - value <= (action.whole_bytes if is_eager else min(SMALL_BYTES, action.whole_bytes)):
                    continue
                copied, listed = self._copied, self._listed
                body = self.strip(value, position, action, depth + 1)
                if len(body) == position - value and self._listed == listed:
                    self._copied = copied  # its bytes count with those around them
                    continue  # nothing was left out
                replacement = varint(number << 3 | BYTES) + varint(len(body)) + body
            elif action is _PAYLOAD:
                payload_bytes += position - value
                if payload_bytes <= SMALL_BYTES:
                    continue
                actions = message.actions_without_payload
                if payload_bytes > position - value:  # some of it was let through: once more without
                    self._copied, self._listed, self.tags_in_lists = before
                    return self._strip(start, stop, message, actions, depth)
            elif action is _METADATA and self._is_module_path(value, position):
                continue
            self._copy(run, begin, parts)
            parts.append(replacement)
            run = position
        self._copy(run, stop, parts)
        return b"".join(parts)

    def _is_module_path(self, start: int, stop: int) -> bool:
        return self._bytes(start, min(stop, start + 2 + len(_MODULE_KEY))).endswith(_MODULE_KEY)

    def _list_end(self, begin: int, stop: int) -> int:
        """Return where the list that begins at ``begin`` ends as far as ``list_end`` knows its elements."""
        position, size, tag = begin, LONG_LIST_BYTES, b""
        while position < stop:
            content = self._bytes(position, min(stop, position + size))
            if tag not in (b"", content[:1]):
                break
            length, count = list_end(content)
            if not count:
                break
            position, size, tag = position + length, LIST_WINDOW_BYTES, content[:1]
            if content[0] & 7 == BYTES:  # a text takes far more than its bytes
                self._count(count)
        return position

    def _count(self, fields: int) -> None:
        self._fields += fields
        if self._fields > self._most_fields:
            raise LimitError(f"The model has more than {self._most_fields} fields.", MORE)

    def _list(self, start: int, stop: int) -> bytes:
        self._count_listed(stop - start)
        content = self._bytes(start, stop)
        if content[0] >> 3 == _FLOATS:
            self._count_listed(stop - start)
        elif content[0] >> 3 == _INTS:
            self._count_listed(8 * numbers_at_most(content))
        self.tags_in_lists += costly_tags(content)
        return content

    def _count_listed(self, size: int) -> None:
        self._listed += size
        if self._listed > self._room.list_bytes:
            raise LimitError(f"The model's lists take more than {self._room.list_bytes / 1e6:.4g} MB.", MORE)

    def _copy(self, start: int, stop: int, parts: list[bytes]) -> None:
        if start == stop:
            return
        self._copied += stop - start
        most = self._room.structure_bytes
        if self._copied > most:
            raise LimitError(
                f"The model's structure without weights has more than {most / 1e6:.4g} MB.",
                f"Names, shapes and attributes of a real model take far less. {MORE}",
            )
        parts.append(self._bytes(start, stop))

    def _bytes(self, start: int, stop: int) -> bytes:
        found = self._read(start, stop - start)
        if len(found) < stop - start:  # the file was cut while it was read
            raise invalid(start + len(found))
        return found
