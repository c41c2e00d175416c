"""Layer normalisations written out, and sums in front of them."""

from __future__ import annotations

from memprof.runtimes.onnxruntime.optimizing.draft import Draft, Step

_SEQUENCE_RANK = 3
_SQUARE = 2.0


def join_layer_norms(draft: Draft) -> None:
    """Join mean, difference, square, mean, root, quotient, scale and bias."""
    for step in draft.of("ReduceMean"):
        if step.is_gone or not _is_last_axis(draft, step):
            continue
        source, chain = step.read(0), [step]
        centred = _follow(draft, step, "Sub")
        if centred is None or centred.read(0) != source or centred.read(1) != step.output:
            continue
        root, deviation = _deviation(draft, centred.output)
        quotient = None if root is None else _follow(draft, root, "Div")
        if root is None or quotient is None or quotient.read(0) != centred.output:
            continue
        if draft.uses(centred.output) != 2 or draft.uses(step.output) != 1:
            continue
        scaled = _with_row(draft, quotient, "Mul")
        shifted = None if scaled is None else _with_row(draft, scaled[0], "Add")
        if scaled is None or shifted is None:
            continue
        chain += [centred, *deviation, quotient, scaled[0], shifted[0]]
        draft.replace(chain, "LayerNormalization", [source, scaled[1], shifted[1]])


def join_simple_norms(draft: Draft) -> None:
    """Join square, mean, root, quotient and scale."""
    for step in draft.of("Pow", "Mul"):
        if step.is_gone:
            continue
        source = step.read(0)
        root, deviation = _deviation(draft, source, start=step)
        quotient = None if root is None else _follow(draft, root, "Div")
        if root is None or quotient is None or quotient.read(0) != source:
            continue
        scaled = _with_row(draft, quotient, "Mul")
        if scaled is not None:
            chain = [*deviation, quotient, scaled[0]]
            draft.replace(chain, "SimplifiedLayerNormalization", [source, scaled[1]])


def _deviation(draft: Draft, value_id: int, start: Step | None = None) -> tuple[Step | None, list[Step]]:
    """Return the root of the mean square of a value, and all that leads there; nothing if that is not there."""
    squares = [start] if start is not None else draft.readers(value_id)
    square = next((of for of in squares if _is_square(draft, of, value_id)), None)
    mean = None if square is None else _follow(draft, square, "ReduceMean")
    shifted = None if mean is None or not _is_last_axis(draft, mean) else _follow(draft, mean, "Add")
    root = None if shifted is None or not _has_number(draft, shifted) else _follow(draft, shifted, "Sqrt")
    if square is None or mean is None or shifted is None or root is None:
        return None, []
    return root, [square, mean, shifted, root]


def _is_square(draft: Draft, step: Step, value_id: int) -> bool:
    if step.op == "Pow":
        return step.read(0) == value_id and draft.is_number(step.read(1), _SQUARE)
    return step.op == "Mul" and step.read(0) == value_id == step.read(1)


def _has_number(draft: Draft, step: Step) -> bool:
    return any(draft.is_number(i) for i in step.given)


def _follow(draft: Draft, step: Step, op: str) -> Step | None:
    return draft.only_reader(step.output, op)


def _with_row(draft: Draft, step: Step, op: str) -> tuple[Step, int] | None:
    """Return the operation that alone reads a step, with one row of weights, and that row."""
    found = _follow(draft, step, op)
    row = None if found is None else next((i for i in found.given if i != step.output), None)
    shape, out = draft.shape(row), draft.dims(step.output)
    if found is None or row is None or not draft.is_fixed(row) or shape is None or not out:
        return None
    return (found, row) if len(shape) == 1 and out[-1] in (shape[0], None) else None


def _is_last_axis(draft: Draft, step: Step) -> bool:
    axes = step.attributes.get("axes") if len(step.inputs) < 2 else draft.elements(step.read(1))
    rank = draft.rank(step.read(0))
    is_kept = step.attributes.get("keepdims", 1) == 1
    return is_kept and isinstance(axes, tuple) and axes in ((-1,), (rank - 1,))


def join_skips(draft: Draft) -> None:
    """Join a sum of two equal shapes with the layer normalisation that alone reads it."""
    for step in draft.of("LayerNormalization"):
        first = draft.writer_of(step.read(0), "Add")
        if first is None or draft.uses(first.output) != 1 or draft.dtype(step.output) != "float32":
            continue
        shapes = [draft.dims(i) for i in first.inputs]
        if shapes[0] is None or shapes[0] != shapes[1] or None in shapes[0]:
            continue
        if len(shapes[0]) != _SEQUENCE_RANK or any(i is not None for i in step.outputs[1:]):
            continue
        if step.attributes.get("axis", -1) not in (-1, _SEQUENCE_RANK - 1):
            continue
        draft.replace([first, step], "com.microsoft.SkipLayerNormalization", [*first.inputs, *step.inputs[1:]])
