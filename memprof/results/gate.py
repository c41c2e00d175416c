"""What a gate found: every model of a project against its budgets, one row each. Frozen, with JSON.

    status      what it means                                                     exit code of the gate
    over        a limit is broken, and that is certain                            1
    failed      the model could not be read or analysed                           that of the error
    undecided   a size that decides is not known, or there is no baseline         4
    fits        every limit holds                                                 0

The first line that applies decides. A row that informs only decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from memprof.results.budgets import Verdict
from memprof.results.helped import Helped

GATE_SCHEMA = "memprof/gate/1"

Status = Literal["over", "failed", "undecided", "fits"]
STATUSES: tuple[Status, ...] = ("over", "failed", "undecided", "fits")
"""From what decides most to what decides least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRow:
    """One model against its budgets.

    Attributes:
        name: What the project calls it.
        source: The file or module.
        runtime: The runtime model whose peak was judged; empty if it failed before.
        grade: What that peak promises; empty if it is not known.
        board: The board that it must fit, and how it does; empty if none is asked for.
        status: See above.
        is_informational: Whether the row decides nothing.
        sizes: Bytes of ``peak``, ``params`` and ``total``, ``None`` where not known; empty if it failed before.
        before: The same of the baseline; empty without one.
        verdicts: One per limit.
        assumed: What was taken for sizes that the source leaves open: ``batch=1``.
        reason: Why it is not ``fits``; empty if it is.
        tensor: The tensor to look at: the largest that is new at the peak, or the largest there; empty if not known.
        tensor_bytes: Its bytes, ``None`` if not known.
        tensor_what: Its operator and shape, where the source has no tensor of that name; else empty.
        advice: What would help, in a sentence; empty if nothing is known to.
        helped: Changes that were tried where a peak or a total is over, each with its effect and command.
        code: The exit code that a failure stands for, else 0.
    """

    name: str
    source: str
    runtime: str = ""
    grade: str = ""
    board: str = ""
    status: Status
    is_informational: bool = False
    sizes: Mapping[str, int | None] = field(default_factory=dict)
    before: Mapping[str, int | None] = field(default_factory=dict)
    verdicts: tuple[Verdict, ...] = ()
    assumed: tuple[str, ...] = ()
    reason: str = ""
    tensor: str = ""
    tensor_bytes: int | None = None
    tensor_what: str = ""
    advice: str = ""
    helped: Helped = field(default_factory=Helped)
    code: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the row as JSON-ready values."""
        return {
            "name": self.name,
            "source": self.source,
            "runtime": self.runtime,
            "grade": self.grade or None,
            "board": self.board or None,
            "status": self.status,
            "informational": self.is_informational,
            "bytes": dict(self.sizes),
            "baseline_bytes": dict(self.before),
            "checks": [verdict.to_json() for verdict in self.verdicts],
            "assumed": list(self.assumed),
            "reason": self.reason,
            "tensor": {"name": self.tensor, "bytes": self.tensor_bytes, "what": self.tensor_what}
            if self.tensor
            else None,
            "advice": self.advice,
            **self.helped.to_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """All models of a project against their budgets.

    Attributes:
        config: The file that says so; empty for models that were named.
        rows: One per model, in the order in which they are named.
        gone: Names in the baseline that no model bears any more: deleted or renamed, which nobody else may notice.
    """

    config: str
    rows: tuple[GateRow, ...]
    gone: tuple[str, ...] = ()

    @property
    def deciding(self) -> tuple[GateRow, ...]:
        """The rows that decide."""
        return tuple(row for row in self.rows if not row.is_informational)

    @property
    def status(self) -> Status:
        """The status that decides."""
        found = {row.status for row in self.deciding}
        return next((status for status in STATUSES if status in found), "fits")

    @property
    def code(self) -> int:
        """The exit code: 0 all fit, 1 one is over, 4 something is undecided, else that of what failed."""
        failures = [row.code for row in self.deciding if row.status == "failed"]
        return {"over": 1, "failed": max(failures, default=0), "undecided": 4, "fits": 0}[self.status]

    def to_json(self) -> dict[str, Any]:
        """Return the gate as JSON-ready values, schema ``memprof/gate/1``."""
        return {
            "schema": GATE_SCHEMA,
            "config": self.config or None,
            "status": self.status,
            "code": self.code,
            "models": [row.to_json() for row in self.rows],
            "gone": list(self.gone),
        }
