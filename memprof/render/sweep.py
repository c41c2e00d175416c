"""A sweep -> its formula, its table and its bars: the words that all renderers share, and the text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TextIO

from rich.table import Table
from rich.text import Text

from memprof.analysis.pieces import Piece
from memprof.analysis.staircases import Staircase
from memprof.analysis.surfaces import Surface
from memprof.base.palette import TERMINAL_ACCENT, TERMINAL_CURVE
from memprof.base.text import safe_text
from memprof.render.assumed import show_assumed_sizes
from memprof.render.terminal import Screen, open_screen
from memprof.render.wording import grade_words, known_amount
from memprof.results.report import Report
from memprof.results.sweep import Sweep, SweepPoint

_ROWS = 16
_BAR = 24
_STEPS = 8
_NARROW = 60
_HEADING = "bold"
_QUIET = "dim"


def sweep_title(sweep: Sweep) -> str:
    """Return what a sweep is over: ``batch 1 to 64``."""
    parts = [f"{safe_text(name, limit=60)} {sizes[0]:,} to {sizes[-1]:,}" for name, sizes in sweep.dims.items()]
    return " and ".join(parts)


def sweep_range(sweep: Sweep) -> str:
    """Return the lowest and the highest peak in words."""
    peaks = [point.peak_intermediate_bytes for point in sweep.points]
    known = [peak for peak in peaks if peak is not None]
    if not known:
        return "Peak unknown"
    return f"Peak {known_amount(min(known))} to {known_amount(max(known))}"


def known_words(sweep: Sweep) -> str:
    """Return at how many sizes the peak is known, and up to which; nothing where it is known at all of them."""
    known = [point for point in sweep.points if point.peak_intermediate_bytes is not None]
    if not known or len(known) == len(sweep.points):
        return ""
    upto = (
        f", up to {max(known[-1].dims.values()):,}" if len(sweep.dims) == 1 and known[-1] != sweep.points[-1] else ""
    )
    return f", known at {len(known):,} of {len(sweep.points):,} sizes{upto}"


def formula_lines(sweep: Sweep) -> list[tuple[str, str]]:
    """Return each piece of the formula in words, with where it holds; nothing for sizes that stand alone."""
    name = safe_text(next(iter(sweep.dims)), limit=60)
    if sweep.surfaces:
        return [(f"{format_surface(each, sweep.surface_dims)} bytes", _where(sweep, each)) for each in sweep.surfaces]
    if (stairs := sweep.staircase) is not None:
        return [(_steps(stairs, name), f"{name} {stairs.first:,} to {stairs.last:,}")]
    return [
        (f"{format_polynomial(piece, name)} bytes", f"{name} {piece.first:,} to {piece.last:,}")
        for piece in sweep.pieces or ()
        if piece.checks
    ]


def _steps(found: Staircase, name: str) -> str:
    """Return a staircase in words: what each period adds, and the steps of the first one."""
    shown = [f"{value:,} from {size:,}" for size, value in found.steps[:_STEPS]]
    more = f" and {len(found.steps) - _STEPS} more" if len(found.steps) > _STEPS else ""
    return f"steps: {', '.join(shown)}{more}; {found.growth:,} bytes more with every {found.period:,} of {name}"


def formula_remark(sweep: Sweep) -> str:
    """Return what is known of the formula: at how many points the model was evaluated, and where it breaks."""
    if sweep.surfaces:
        checks = sum(surface.checks for surface in sweep.surfaces)
        rest = "" if _is_covered(sweep) else "not for all of them; "
        rows = "row" if checks == 1 else "rows"
        return f"{rest}held against {checks} more {rows} of sizes; {_evaluated(sweep)}"
    if len(sweep.dims) > 1 or sweep.pieces is None:
        if sweep.staircase is not None:
            return f"a staircase, true of every size there; {_evaluated(sweep)}"
        what = "no formula of few pieces" if len(sweep.dims) == 1 else "no formula over two dimensions"
        return f"{what}; {_evaluated(sweep)}"
    named = [piece for piece in sweep.pieces if piece.checks]
    alone = [piece for piece in sweep.pieces if not piece.checks]
    checks = sum(piece.checks for piece in named)
    parts = [f"held against {checks} more sizes" if named else "too few sizes for a formula", _evaluated(sweep)]
    if len(named) > 1:
        parts.insert(0, "breaks at " + ", ".join(f"{piece.first:,}" for piece in named[1:]))
    if alone and named:
        shown = ", ".join(f"{piece.first:,}" for piece in alone[:4])
        parts.insert(0, f"not for {shown}{' and others' if len(alone) > 4 else ''}")
    return "; ".join(parts)


def _evaluated(sweep: Sweep) -> str:
    return f"the model was evaluated at {sweep.evaluations:,} of {len(sweep.points):,}"


def format_polynomial(piece: Piece, name: str) -> str:
    """Return a polynomial as people write it.

    >>> from fractions import Fraction as F
    >>> format_polynomial(Piece(first=1, last=9, coefficients=(F(64), F(3072), F(12)), checks=2), "seq")
    '12 seq^2 + 3,072 seq + 64'
    >>> format_polynomial(Piece(first=1, last=9, coefficients=(F(-4), F(1), F(1, 2)), checks=2), "n")
    '1/2 n^2 + n - 4'
    """
    constant, slope, bend = piece.coefficients
    text = ""
    for factor, power in ((bend, f"{name}^2"), (slope, name), (constant, "")):
        if not factor and (power or text):
            continue
        sign = ("-" if factor < 0 else "") if not text else (" - " if factor < 0 else " + ")
        number = _number(abs(factor))
        shown = power if power and number == "1" else f"{number} {power}".rstrip()
        text += f"{sign}{shown}"
    return text


def format_surface(surface: Surface, dims: Sequence[str]) -> str:
    """Return a polynomial in two sizes as people write it, the highest powers first.

    >>> from fractions import Fraction as F
    >>> rows = ((F(64), F(0), F(0)), (F(0), F(0), F(12)), (F(0), F(-1, 2), F(0)))
    >>> format_surface(Surface(first=(1, 1), last=(9, 9), coefficients=rows, checks=1), ("batch", "size"))
    '12 batch size^2 - 1/2 batch^2 size + 64'
    """
    names = [safe_text(name, limit=60) for name in dims]
    places = sorted(((i, j) for i in range(3) for j in range(3)), key=lambda place: (-sum(place), place))
    text = ""
    for i, j in places:
        factor = surface.coefficients[i][j]
        if not factor:
            continue
        sign = ("-" if factor < 0 else "") if not text else (" - " if factor < 0 else " + ")
        powers = " ".join(
            name if power == 1 else f"{name}^{power}" for name, power in zip(names, (i, j), strict=True) if power
        )
        number = _number(abs(factor))
        shown = powers if powers and number == "1" else f"{number} {powers}".rstrip()
        text += f"{sign}{shown}"
    return text or "0"


def _where(sweep: Sweep, surface: Surface) -> str:
    borders = zip(sweep.surface_dims, surface.first, surface.last, strict=True)
    return ", ".join(f"{safe_text(name, limit=60)} {first:,} to {last:,}" for name, first, last in borders)


def _is_covered(sweep: Sweep) -> bool:
    """Tell whether every point lies on a surface."""
    return all(
        any(
            all(
                first <= point.dims[name] <= last
                for name, first, last in zip(sweep.surface_dims, each.first, each.last, strict=True)
            )
            for each in sweep.surfaces
        )
        for point in sweep.points
    )


def _number(value: Fraction) -> str:
    return f"{value.numerator:,}" if value.denominator == 1 else f"{value.numerator:,}/{value.denominator:,}"


def shown_points(points: Sequence[SweepPoint], most: int = _ROWS) -> list[SweepPoint]:
    """Return at most ``most`` of the points, spread evenly, both ends among them."""
    if len(points) <= most:
        return list(points)
    places = {round(i * (len(points) - 1) / (most - 1)) for i in range(most)}
    return [points[place] for place in sorted(places)]


def sweep_rows(sweep: Sweep) -> list[tuple[str, str, str]]:
    """Return sizes, peak and process of a few points in words."""
    return [
        (
            ", ".join(f"{safe_text(name, limit=60)} {size:,}" for name, size in point.dims.items()),
            known_amount(point.peak_intermediate_bytes),
            "" if point.process_bytes is None else known_amount(point.process_bytes),
        )
        for point in shown_points(sweep.points)
    ]


def render_sweep(report: Report, stream: TextIO, *, top: int, next_command: str, width: int | None = None) -> None:
    """Write the sweep of ``report`` for a person to read: line one is the range, the last the next command."""
    sweep = report.sweep
    assert sweep is not None, "a sweep was asked for"
    screen = open_screen(stream, width)
    rest = f" over {sweep_title(sweep)}{known_words(sweep)}"
    about = f" ({safe_text(sweep.runtime, limit=40)}, {grade_words(sweep.grade)})"
    screen.show(Text.assemble((sweep_range(sweep), f"bold {TERMINAL_ACCENT}"), rest, (about, _QUIET)))
    screen.show()
    kept = [note for note in report.assumed if note.name.partition("=")[0] not in sweep.dims]
    show_assumed_sizes(screen, kept, top, style=TERMINAL_CURVE)
    show_sweep(screen, sweep, max(_ROWS, top))
    if next_command:
        screen.show(Text.assemble(("Next: ", _QUIET), (next_command, _HEADING)), keep_lines=True)


def show_sweep(screen: Screen, sweep: Sweep, rows: int = _ROWS) -> None:
    """Write the formula and the table."""
    for i, (formula, where) in enumerate(formula_lines(sweep)):
        lead = "Peak = " if i == 0 else "       "
        screen.show(Text.assemble((lead, _HEADING), (screen.clean(formula), TERMINAL_CURVE), f"   {where}"))
    screen.show(Text(formula_remark(sweep), style=_QUIET))
    if sweep.unknown:
        screen.show(Text(f"Unknown at {screen.clean(sweep.unknown, limit=300)}", style=_QUIET))
    screen.show()
    screen.show(_matrix(screen, sweep) if len(sweep.dims) > 1 else _table(screen, sweep, rows))
    if len(sweep.dims) == 1 and len(sweep.points) > rows:
        left = len(sweep.points) - rows
        screen.show(Text(f"{left:,} points more: --json and -o FILE.json hold all", style=_QUIET))
    screen.show()


def _table(screen: Screen, sweep: Sweep, rows: int) -> Table:
    name = next(iter(sweep.dims))
    has_process = any(point.process_bytes is not None for point in sweep.points)
    table = _grid()
    for title in (screen.clean(name, limit=24), "peak", "", *(("process",) if has_process else ())):
        table.add_column(Text(title, style=_QUIET), justify="left" if not title else "right")
    known = [point.peak_intermediate_bytes or 0 for point in sweep.points]
    wide = _BAR if screen.width >= _NARROW else _BAR // 2
    for point in shown_points(sweep.points, rows):
        cells = [Text(f"{point.dims[name]:,}"), Text(known_amount(point.peak_intermediate_bytes))]
        cells.append(Text(_bar(screen, point.peak_intermediate_bytes or 0, max(known), wide), style=TERMINAL_CURVE))
        if has_process:
            cells.append(Text(known_amount(point.process_bytes)))
        table.add_row(*cells)
    return table


def _matrix(screen: Screen, sweep: Sweep) -> Table:
    (down, rows), (across, columns) = sweep.dims.items()
    by_sizes = {(point.dims[down], point.dims[across]): point for point in sweep.points}
    room = max(2, (screen.width - 14) // 10)
    shown_columns = _spread(columns, room)
    table = _grid()
    table.add_column(Text(screen.clean(f"{down} \\ {across}", limit=24), style=_QUIET), justify="right")
    for size in shown_columns:
        table.add_column(Text(f"{size:,}", style=_QUIET), justify="right")
    for row in _spread(rows, _ROWS):
        amounts = [known_amount(by_sizes[row, column].peak_intermediate_bytes) for column in shown_columns]
        table.add_row(Text(f"{row:,}", style=_QUIET), *map(Text, amounts))
    return table


def _spread(sizes: Sequence[int], most: int) -> list[int]:
    if len(sizes) <= most:
        return list(sizes)
    return [sizes[place] for place in sorted({round(i * (len(sizes) - 1) / (most - 1)) for i in range(most)})]


def _bar(screen: Screen, size: int, highest: int, width: int) -> str:
    glyphs = screen.glyphs.bars
    eighths = round(size / highest * width * (len(glyphs) - 1)) if highest else 0
    whole, part = divmod(eighths, len(glyphs) - 1)
    return (glyphs[-1] * whole + (glyphs[part] if part else "")).rstrip()


def _grid() -> Table:
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), highlight=False)
