"""Branches that weights alone decide: the branch in the place of its If."""

from __future__ import annotations

from memprof.ir import Graph, Role
from memprof.runtimes.onnxruntime.optimizing.draft import Draft, Step


def inline_branches(draft: Draft) -> None:
    """Put the only branch of an If whose condition is constant in its place."""
    for step in draft.of("If"):
        bodies = step.node.bodies
        if len(bodies) == 1 and draft.is_fixed(step.read(0)) and not any(node.bodies for node in bodies[0].nodes):
            _inline(draft, step, bodies[0])


def _inline(draft: Draft, step: Step, body: Graph) -> None:
    outside = {draft.graph.values[i].name: i for i in step.node.captures}
    if any(value.role is Role.CAPTURE and value.name not in outside for value in body.values):
        return
    results = dict(zip(body.outputs, step.outputs, strict=True))
    ids: list[int] = []
    for i, value in enumerate(body.values):
        if value.role is Role.CAPTURE:
            ids.append(outside[value.name])
        elif (result := results.get(i)) is not None and value.producer is not None:
            ids.append(result)
        else:
            ids.append(draft.add_value(value.type))
            if value.role is not Role.INTERMEDIATE:
                draft.fix(ids[-1], body.elements.get(i))
    draft.remove(step)
    for node in body.nodes:
        if all(draft.is_fixed(ids[i]) for i in node.writes):
            continue
        inputs, outputs = ([None if i is None else ids[i] for i in found] for found in (node.inputs, node.outputs))
        draft.add(step, node.op, inputs, outputs, node.attributes, node)
    draft.release(step.node.captures)
