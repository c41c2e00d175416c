"""Images in tar shards: plain .tar files that are never unpacked; each image is a place in one of them.

    class of an image     as in
    KEY.cls beside it     WebDataset: the number of its class, in text
    folder inside         CLASS/name.jpg
    the shard's name      CLASS.tar, as ImageNet is given out

Only the heads are read, once; images are read where they lie. Compressed shards have no such places.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Self

from memprof.base.errors import InputError
from memprof.base.text import first_line, safe_text
from memprof.nas.train.encoded import SUFFIXES, Encoded

_CLASS_SUFFIX = ".cls"
_MOST_CLASS_BYTES = 64
_MOST_NAME_BYTES = 1 << 20
_NAMING = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)
"""Kinds of heads before another that are read whole: they hold its long name, or more about it."""


def is_sharded(place: Path) -> bool:
    """Return whether a part's images lie in shards."""
    return bool(_shards(place))


def list_shards(place: Path) -> list[tuple[str, Encoded]]:
    """Return each image of the shards of a folder with the name of its class, in the order of shards and heads.

    Raises:
        InputError: A shard is none, is compressed or damaged, or an image has no class.
    """
    return [found for shard in _shards(place) for found in _images_of(shard)]


def by_number(name: str) -> tuple[int, int | str, str]:
    """Return what orders names of classes: numbers by value, before words."""
    return (0, int(name), name) if name.isdecimal() and name.isascii() else (1, name, "")


def _shards(place: Path) -> list[Path]:
    return sorted(path for path in place.glob("*.tar") if path.is_file())


def _images_of(shard: Path) -> Iterator[tuple[str, Encoded]]:
    images: list[tuple[PurePosixPath, Encoded]] = []
    classes: dict[str, str] = {}
    end = shard.stat().st_size
    try:
        with tarfile.open(shard, "r:", tarinfo=_Head) as archive:
            for member in archive:
                if member.size < 0:  # it would lead back to heads that were read
                    raise ValueError(f"{member.name} has less than no bytes")
                name = PurePosixPath(member.name)
                if not member.isreg() or member.sparse is not None:
                    continue
                if member.offset_data + member.size > end:
                    raise ValueError(f"{member.name} ends early")
                if name.suffix.lower() in SUFFIXES:
                    images.append((name, Encoded(shard, member.offset_data, member.size, member.name)))
                elif name.suffix == _CLASS_SUFFIX:
                    classes[_key(name)] = _class_in(archive, member)
    except (tarfile.TarError, OSError, ValueError, EOFError, OverflowError, RecursionError) as error:
        raise InputError(
            f"The shard {safe_text(str(shard))} cannot be read: {safe_text(first_line(error))}.",
            "Shards are plain .tar files, not compressed.",
        ) from error
    for name, image in images:
        found = classes.get(_key(name)) or (name.parent.name if len(name.parts) > 1 else shard.stem)
        if classes and _key(name) not in classes:
            raise InputError(f"The image {image} has no class: there is no {safe_text(_key(name))}.cls.", "Add it.")
        yield found, image


class _Head(tarfile.TarInfo):
    """A head that is whole: at a damaged one ``tarfile`` takes a shard to end, and says nothing."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Return the head in a block; raises ``ValueError`` for one that is damaged or leads nowhere."""
        try:
            found = super().frombuf(buf, encoding, errors)
        except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError) as error:  # type: ignore[attr-defined] # not in its types
            raise ValueError(f"a head is damaged: {error}") from error
        if found.size < 0 or (found.size > _MOST_NAME_BYTES and found.type in _NAMING):
            raise ValueError(f"a head has the size {found.size}")
        return found


def _key(name: PurePosixPath) -> str:
    """Return what the files of one sample share: all before the first dot of the name."""
    return str(name.parent / name.name.split(".", maxsplit=1)[0])


def _class_in(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    content = archive.extractfile(member)
    text = "" if content is None else content.read(_MOST_CLASS_BYTES).decode("ascii", "replace").strip()
    if not text.isdecimal():
        raise ValueError(f"{member.name} holds no number")
    return str(int(text))
