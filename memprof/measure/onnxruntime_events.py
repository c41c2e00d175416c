"""onnxruntime's profile: a JSON list of events, of which the kernels' matter here.

Events come in the order in which they ended, so a node that runs bodies comes after the nodes in them. What it began
before, and ended after, it contains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_SUFFIX = "_kernel_time"
_OWNERS = frozenset({"If", "Loop", "Scan", "SequenceMap"})


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelEvent:
    """One kernel that ran.

    Attributes:
        node: Name of the node.
        op: Kind of operation.
        depth: How many nodes that run bodies contain it.
        start_us: When it began, in microseconds.
        duration_us: How long it took, in microseconds.
        in_use_bytes: Bytes that the arena had handed out when it ended, ``None`` if the profile does not say.
        change_bytes: By how much it changed them.
        held_bytes: Bytes that the arena held of the system when it ended, ``None`` if the profile does not say.
    """

    node: str
    op: str
    depth: int
    start_us: int
    duration_us: int
    in_use_bytes: int | None
    change_bytes: int
    held_bytes: int | None = None


def kernel_events(profile: Sequence[Mapping[str, Any]]) -> list[KernelEvent]:
    """Return the kernels of a profile in the order in which they began."""
    ended = [e for e in profile if e.get("cat") == "Node" and str(e.get("name", "")).endswith(_SUFFIX)]
    depths = [0] * len(ended)
    order: list[int] = []
    for i, event in enumerate(ended):
        at = len(order)
        if event["args"].get("op_name") in _OWNERS:
            while at and ended[order[at - 1]]["ts"] > event["ts"]:
                at -= 1
                depths[order[at]] += 1
        order.insert(at, i)
    return [_event(ended[i], depths[i]) for i in order]


def _event(event: Mapping[str, Any], depth: int) -> KernelEvent:
    arguments = event["args"]
    in_use, held = arguments.get("mem_bytes_requested_in_use"), arguments.get("mem_arena_held")
    return KernelEvent(
        node=str(event["name"])[: -len(_SUFFIX)],
        op=str(arguments.get("op_name", "")),
        depth=depth,
        start_us=int(event["ts"]),
        duration_us=int(event["dur"]),
        in_use_bytes=None if in_use is None else int(in_use),
        change_bytes=int(arguments.get("mem_requested_in_use_delta", 0)),
        held_bytes=None if held is None else int(held),
    )
