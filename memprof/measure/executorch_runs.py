"""The child's side of ``memprof.measure.verify_executorch``: the plan that the installed exporter makes."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from memprof.measure.pytorch import asked_request


def read_addresses(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arenas of a module together, and the address of each planned tensor as the exporter meets them."""
    import torch
    from executorch.exir import to_edge

    from memprof.importers.torch.loading import real_module

    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    module, call = real_module(asked_request(asked))
    exported = torch.export.export(module.eval(), call.args, dict(call.kwargs), strict=False)
    program = to_edge(exported).to_executorch()
    planned = program.executorch_program.execution_plan[0].non_const_buffer_sizes
    try:
        known = version("executorch")
    except PackageNotFoundError:
        known = "unknown"
    return {
        "planned_bytes": sum(planned[1:]),
        "addresses": list(_addresses(program.exported_program().graph.nodes)),
        "version": known,
    }


def _addresses(nodes: Any) -> Iterator[int]:
    """Yield each planned tensor's address once: inputs and state first, then as they are allocated."""
    seen: set[int] = set()
    for node in nodes:
        if node.op != "placeholder" and getattr(node.target, "__name__", "") != "alloc":
            continue
        spec = node.meta.get("spec")
        for each in spec if isinstance(spec, list | tuple) else [spec]:
            if getattr(each, "mem_id", None) is not None and id(each) not in seen:
                seen.add(id(each))
                yield int(each.mem_offset)
