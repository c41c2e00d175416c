"""Gaussian error units written out: by the error function, by tanh, by sigmoid."""

from __future__ import annotations

from memprof.runtimes.onnxruntime.optimizing.draft import Draft, Step

_HALF = "float16"  # widened before anything is joined
_ROOT = 2**0.5
_NUMBERS = {"Add": 1.0, "Mul": 0.5}
_GELU_STEPS = 5
_SUM = 2  # behind a quotient and the error function
_MAX_CUBE = 6


def join_erfs(draft: Draft) -> None:
    """Join x * (1 + erf(x / sqrt 2)) / 2, where the sum is not halved before it meets x."""
    for step in draft.of("Erf"):
        before = draft.writer_of(step.read(0), "Div", "Mul")
        if before is None or draft.uses(before.output) != 1 or step.is_gone or draft.dtype(step.output) == _HALF:
            continue
        if not any(draft.is_number(i, _ROOT if before.op == "Div" else 1 / _ROOT) for i in before.given):
            continue
        root = next((i for i in before.given if not draft.is_fixed(i)), None)
        chain = _chain(draft, root, [before, step])
        inside = [i for other in chain[2:] for i in other.given]
        halves = [half for i in inside if (half := _half(draft, i, root)) is not None and half not in chain]
        meets = len(chain) > _SUM + 1 and any(i == root or _half(draft, i, root) for i in chain[_SUM + 1].given)
        if len(chain) + len(halves) == _GELU_STEPS and root is not None and meets:
            draft.replace([*halves, *chain], "com.microsoft.Gelu", [root])


def join_tanhs(draft: Draft) -> None:
    """Join (x / 2) * (1 + tanh(a * (x + b * x ** 3))), or with a * x * (1 + b * x * x) in it."""
    for step in draft.of("Tanh"):
        cone = _cube(draft, step)
        if step.is_gone or cone is None:
            continue
        root, before = cone
        plus = draft.only_reader(step.output, "Add")
        if plus is None or not any(draft.is_number(i, 1.0) for i in plus.given):
            continue
        product = draft.only_reader(plus.output, "Mul")
        if product is None:
            continue
        half = _half(draft, product.read(1) if product.read(0) == plus.output else product.read(0), root)
        if half is not None and draft.uses(half.output) == 1:
            draft.replace([*before, half, step, plus, product], "com.microsoft.FastGelu", [root])


def _cube(draft: Draft, tanh: Step) -> tuple[int, list[Step]] | None:
    """Return what a tanh's argument is a cubic of, and the steps between; ``None`` if it is no such thing."""
    found: list[Step] = []
    roots: list[int] = []
    open_values = [tanh.read(0)]
    while open_values:
        value_id = open_values.pop()
        if draft.is_fixed(value_id):
            if not draft.is_number(value_id):
                return None
            continue
        step = draft.writer_of(value_id, "Mul", "Pow", "Add")
        is_inner = step is not None and all(reader in found or reader is tanh for reader in draft.readers(value_id))
        if step is None or not is_inner or draft.is_seen(value_id) or len(found) == _MAX_CUBE:
            roots.append(value_id)
        elif step not in found:
            found.append(step)
            open_values += step.given
    ops = {step.op for step in found}
    sums = [step for step in found if step.op == "Add"]
    has_one = any(draft.is_number(i) for step in sums for i in step.given)
    is_cubic = bool(sums) and ("Pow" in ops or (has_one and len(roots) >= _CUBIC_READS))
    return (roots[0], found) if is_cubic and len(set(roots)) == 1 else None


_CUBIC_READS = 3


def join_sigmoids(draft: Draft) -> None:
    """Join x * sigmoid(x), and x * sigmoid(a * x)."""
    for step in draft.of("Sigmoid"):
        product = draft.only_reader(step.output, "Mul")
        if product is None or draft.dtype(step.output) not in ("float32", "float64", "float16"):
            continue
        other = product.read(1) if product.read(0) == step.output else product.read(0)
        scaled = draft.writer_of(step.read(0), "Mul")
        if step.read(0) == other:
            draft.replace([step, product], "com.microsoft.QuickGelu", [other])
            continue
        if scaled is None or draft.uses(scaled.output) != 1 or other not in scaled.given:
            continue
        if any(draft.is_number(i) for i in scaled.given):
            draft.replace([scaled, step, product], "com.microsoft.QuickGelu", [other])


def _chain(draft: Draft, root: int | None, chain: list[Step]) -> list[Step]:
    """Return ``chain`` and the sums and products behind it that read nothing but it, numbers and the root."""
    while len(chain) < _GELU_STEPS:
        value = chain[-1].output
        step = draft.only_reader(value, "Add", "Mul")
        if step is None:
            break
        rest = [i for i in step.given if not draft.is_number(i, _NUMBERS[step.op]) and i not in (value, root)]
        if not all(_half(draft, i, root) is not None for i in rest):
            break
        chain.append(step)
    return chain


def _half(draft: Draft, value_id: int | None, root: int | None) -> Step | None:
    step = draft.writer_of(value_id, "Mul")
    if step is None or root not in step.given or not any(draft.is_number(i, _NUMBERS["Mul"]) for i in step.given):
        return None
    return step
