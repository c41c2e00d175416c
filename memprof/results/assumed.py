"""What a result rests on that its source does not say: as JSON and back, and as a refusal."""

from __future__ import annotations

import re
from collections.abc import Iterable

from memprof.base.errors import IncompleteError
from memprof.base.fields import Fields
from memprof.ir import Assumption

_SHOWN = 5
_FIRST_SIZE = re.compile(r"(?P<before>.*?[=:])(?P<size>\d+)(?P<after>(?:x\d+)*'?)", re.DOTALL)
_FEW = 8


def assumed_sizes(assumed: Iterable[Assumption]) -> tuple[Assumption, ...]:
    """Return those that a flag of the caller's settles: ``batch=1``, ``ids=int64:1x128``."""
    return tuple(note for note in assumed if note.kind in ("dimension", "input"))


def change_of(note: Assumption) -> str:
    """Return the flag that settles a size that was taken, at another one: a batch of 8, half of what is larger.

    >>> change_of(Assumption(kind="dimension", name="batch=1", reason="", hint="--dim batch=1"))
    '--dim batch=8'
    """
    found = _FIRST_SIZE.fullmatch(note.hint)
    if found is None or note.kind != "dimension":  # another type is what changes an input that was guessed
        return note.hint
    size = int(found["size"])
    return f"{found['before']}{size // 2 if size > _FEW else _FEW if size == 1 else 2 * size}{found['after']}"


def assumed_json(assumed: Iterable[Assumption]) -> list[dict[str, str]]:
    """Return what was assumed as JSON-ready values."""
    return [{"kind": note.kind, "name": note.name, "reason": note.reason, "hint": note.hint} for note in assumed]


def read_assumed(found: Fields) -> tuple[Assumption, ...]:
    """Return what the field ``assumed`` of a document lists.

    Raises:
        InputError: The field is missing or wrong.
    """
    return tuple(
        Assumption(kind=note.text("kind"), name=note.text("name"), reason=note.text("reason"), hint=note.text("hint"))
        for note in found.each("assumed")
    )


def refuse_assumed(assumed: Iterable[Assumption]) -> IncompleteError | None:
    """Return the error of a caller who takes nothing for granted, ``None`` if nothing was.

    An order that was taken otherwise decides no size.
    """
    taken = [note for note in dict.fromkeys(assumed) if note.kind != "order"]
    if not taken:
        return None
    many = "1 thing was" if len(taken) == 1 else f"{len(taken)} things were"
    shown = ", ".join(f"{note.kind} {note.name[:80]}" for note in taken[:_SHOWN])
    return IncompleteError(f"{many} assumed: {shown}.", taken[0].hint)
