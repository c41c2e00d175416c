"""What would help: changes of a model or of its sizes, each with its effect on a peak, found by evaluating it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from memprof.base.fields import Fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change.

    Attributes:
        what: What is changed, in a few words.
        runtime: Name of the runtime model whose peak is meant.
        saved_bytes: By how much the peak is lower.
        peak_bytes: The peak then.
        command: The command that makes or shows it.
    """

    what: str
    runtime: str
    saved_bytes: int
    peak_bytes: int
    command: str

    def to_json(self) -> dict[str, Any]:
        """Return the change as JSON-ready values."""
        return {
            "what": self.what,
            "runtime": self.runtime,
            "saved_bytes": self.saved_bytes,
            "peak_bytes": self.peak_bytes,
            "command": self.command,
        }


@dataclass(frozen=True, slots=True)
class Helped:
    """What would help.

    Attributes:
        changes: Those that lower a peak, the largest first.
        skipped: What was not tried for want of time, in a few words each.
    """

    changes: tuple[Change, ...] = ()
    skipped: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return fields of the document of the report that it belongs to."""
        return {"help": [change.to_json() for change in self.changes], "help_skipped": list(self.skipped)}

    @classmethod
    def from_json(cls, found: Fields) -> Helped:
        """Return what the document of a report holds.

        Raises:
            InputError: A field is missing or wrong.
        """
        return cls(
            changes=tuple(
                Change(
                    what=change.text("what"),
                    runtime=change.text("runtime"),
                    saved_bytes=change.count("saved_bytes"),
                    peak_bytes=change.count("peak_bytes"),
                    command=change.text("command"),
                )
                for change in found.each("help")
            ),
            skipped=found.texts("help_skipped"),
        )
