"""What would help: changes of a model or of its sizes, each with its effect on a peak, found by evaluating it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any

from memprof.base.fields import Fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change.

    Attributes:
        what: What is changed, in a few words.
        runtime: Name of the runtime model whose peak is meant.
        saved_bytes: By how much the peak is lower; below zero where it is higher and the weights make up for it.
        peak_bytes: The peak then.
        saved_weight_bytes: By how much the weights are smaller.
        command: The command that makes or shows it.
    """

    what: str
    runtime: str
    saved_bytes: int
    peak_bytes: int
    saved_weight_bytes: int = 0
    command: str

    @property
    def total_saved_bytes(self) -> int:
        """By how much peak and weights together are smaller."""
        return self.saved_bytes + self.saved_weight_bytes

    def to_json(self) -> dict[str, Any]:
        """Return the change as JSON-ready values."""
        return {
            "what": self.what,
            "runtime": self.runtime,
            "saved_bytes": self.saved_bytes,
            "peak_bytes": self.peak_bytes,
            "saved_weight_bytes": self.saved_weight_bytes,
            "command": self.command,
        }


@dataclass(frozen=True, slots=True)
class Untried:
    """A change that was not tried: it would have taken too long.

    Attributes:
        what: The change, in a few words.
        command: The command that makes or shows it; empty in a report of an older version.
    """

    what: str
    command: str = ""


@dataclass(frozen=True, slots=True)
class Helped:
    """What would help.

    Attributes:
        changes: Those that lower a peak, or peak and weights together, the largest first.
        useless: What was tried and lowers neither, in a few words each.
        skipped: What was not tried, since it would take too long.
        was_cut: Whether a tool broke or was stopped; not saved, since it decides what is kept alone.
    """

    changes: tuple[Change, ...] = ()
    useless: tuple[str, ...] = ()
    skipped: tuple[Untried, ...] = ()
    was_cut: bool = field(default=False, compare=False)

    def of_peak(self) -> Helped:
        """Return the same without changes that lower weights alone."""
        return replace(self, changes=tuple(change for change in self.changes if change.saved_bytes > 0))

    def to_json(self) -> dict[str, Any]:
        """Return fields of the document of the report that it belongs to."""
        return {
            "help": [change.to_json() for change in self.changes],
            "help_useless": list(self.useless),
            "help_skipped": [untried.what for untried in self.skipped],
            "help_skipped_commands": [untried.command for untried in self.skipped],
        }

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
                    saved_bytes=change.integer("saved_bytes"),
                    peak_bytes=change.count("peak_bytes"),
                    saved_weight_bytes=change.integer("saved_weight_bytes") if "saved_weight_bytes" in change else 0,
                    command=change.text("command"),
                )
                for change in found.each("help")
            ),
            useless=found.texts("help_useless") if "help_useless" in found else (),  # an older report has none
            skipped=_untried(found),
        )


def _untried(found: Fields) -> tuple[Untried, ...]:
    names = found.texts("help_skipped")
    commands = found.texts("help_skipped_commands") if "help_skipped_commands" in found else ()
    return tuple(Untried(*pair) for pair in zip_longest(names, commands[: len(names)], fillvalue=""))
