"""``memprof boards``: boards by name, and which of them a model fits."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click
from click.shell_completion import CompletionItem

from memprof.base.errors import UsageError
from memprof.base.text import safe_text
from memprof.base.units import parse_bytes
from memprof.cli.options import json_option, read_request, request_flags, source_options
from memprof.cli.output import open_stdout, telling
from memprof.render.json import write_document

if TYPE_CHECKING:
    from memprof.boards import Board, BoardFit, Footprint
    from memprof.importers.request import Request

BOARDS_SCHEMA = "memprof/boards/1"
CHECK_SCHEMA = "memprof/check-board/1"
DEFAULT_MARGIN = "16K"


def _complete_boards(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the names of boards, for a shell."""
    from memprof.boards import BOARDS

    return [CompletionItem(name, help=board.title) for name, board in BOARDS.items() if name.startswith(incomplete)]


board_option = click.option(
    "--board",
    metavar="NAME",
    shell_complete=_complete_boards,
    help="A board by name, or FILE.toml[:NAME]: see memprof boards.",
)
margin_option = click.option(
    "--margin",
    metavar="BYTES",
    default=DEFAULT_MARGIN,
    show_default=True,
    help="RAM that the rest of the program takes.",
)


@click.command()
@click.argument("model", required=False)
@source_options
@click.option(
    "--boards", "file", type=click.Path(path_type=Path), metavar="FILE", help="Boards of your own, in TOML."
)
@margin_option
@click.option("--seconds", type=click.FloatRange(min=0), default=2, show_default=True, help="Time to plan.")
@json_option
def command(model: str | None, file: Path | None, margin: str, seconds: float, as_json: bool) -> int:
    """Boards and their memories; with MODEL, which of them it fits, by a concrete plan or not at all, proven.

    \b
    memprof boards
    memprof boards model.tflite
    memprof boards model.tflite --boards mine.toml --margin 48K --json
    """
    from memprof.boards import BOARDS, fit_board, read_boards, smallest_fit

    margin_bytes = parse_bytes(margin)
    boards = {**BOARDS, **(read_boards(file) if file else {})}
    if model is None:
        _show_boards(boards, as_json=as_json)
        return 0
    with telling(f"planning {safe_text(model)}"):
        found = footprint(read_request(model), {board.kernels for board in boards.values()}, seconds)
    fits = [fit_board(found, board, margin_bytes) for board in boards.values()]
    smallest = smallest_fit(fits)
    with open_stdout() as stream:
        if as_json:
            document = {
                "schema": BOARDS_SCHEMA,
                "model": model,
                "counts": found.counts,
                "margin_bytes": margin_bytes,
                "smallest": None if smallest is None else smallest.board.name,
                "boards": [fit.to_json() for fit in fits],
            }
            write_document(document, stream)
        else:
            from memprof.render.boards import render_fits

            words = ["memprof", "check", model, *request_flags()]
            words += ["--board", smallest.board.name if smallest else next(iter(boards))]
            render_fits(fits, smallest, found, stream, next_command=safe_text(shlex.join(words), limit=2000))
    return 0


def footprint(request: Request, kernels: set[str], seconds: float) -> Footprint:
    """Return what the model of a request asks of boards with these kernels.

    Raises:
        InputError: The source is missing, unreadable or invalid.
        UsageError: An argument does not fit the source.
        IncompleteError: The size of a tensor is not known.
    """
    from memprof.api import load
    from memprof.boards import model_footprint

    return model_footprint(load(request).graph, sorted(kernels), seconds)


def fit_one(request: Request, name: str, margin: str, seconds: float = 2.0) -> tuple[BoardFit, Footprint]:
    """Return how the model of a request stands on one board; arguments and errors as ``footprint``."""
    from memprof.boards import find_board, fit_board

    board = find_board(name)
    with telling(f"planning {safe_text(request.name)}"):
        found = footprint(request, {board.kernels}, seconds)
    return fit_board(found, board, parse_bytes(margin)), found


def budget_on(name: str, budget: str | None) -> str:
    """Return the arena that a board leaves to a model, as it would be typed.

    Raises:
        UsageError: There is no such board, or a budget was given too.
    """
    from memprof.boards import find_board

    if budget is not None:
        raise UsageError("--board and --budget say the same.", "Give one of them.")
    return f"{max(0, find_board(name).largest_ram[1] - parse_bytes(DEFAULT_MARGIN)) // 1024}KiB"


def check_board(request: Request, name: str, margin: str, *, as_json: bool) -> int:
    """Show whether a model fits one board; return 0 if it does, 1 if it does not, 4 if that is open."""
    fit, found = fit_one(request, name, margin)
    with open_stdout() as stream:
        if as_json:
            document = {"schema": CHECK_SCHEMA, "model": request.name, "is_met": fit.fits, "board": fit.to_json()}
            write_document(document, stream)
        else:
            show_fit(fit, found, request, stream)
    return {True: 0, False: 1, None: 4}[fit.fits]


def show_fit(fit: BoardFit, found: Footprint, request: Request, stream: TextIO) -> None:
    """Write how a model stands on one board, and the next command."""
    from memprof.render.boards import render_fit

    words = ["memprof", "boards", request.name, *request_flags()]
    if fit.how == "planned":
        words = ["memprof", "plan", request.name, "-o", f"{Path(request.name).stem}-planned.tflite", "--measure"]
    render_fit(fit, found, stream, next_command=safe_text(shlex.join(words), limit=2000))


def _show_boards(boards: Mapping[str, Board], *, as_json: bool) -> None:
    with open_stdout() as stream:
        if as_json:
            write_document(
                {"schema": BOARDS_SCHEMA, "boards": [_board_json(board) for board in boards.values()]}, stream
            )
        else:
            from memprof.render.boards import render_boards

            render_boards(list(boards.values()), stream, next_command=_next_of_boards())


def _next_of_boards() -> str:
    """Return what a model in this folder fits, as a command; empty where there is no file for TensorFlow Lite."""
    try:
        name = min((path.name for path in Path().glob("*.tflite")), default="")
    except OSError:  # the folder is gone, or may not be read
        return ""
    return safe_text(shlex.join(["memprof", "boards", name]), limit=2000) if name else ""


def _board_json(board: Board) -> dict[str, Any]:
    return {
        "board": board.name,
        "title": board.title,
        "core": board.core,
        "kernels": board.kernels,
        "ram": {"banks": dict(board.ram), "external": dict(board.external_ram)},
        "flash": {"banks": dict(board.flash)},
        "source": board.source,
        "checked": board.checked,
    }
