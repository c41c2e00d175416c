"""``memprof fit``: the largest batch, resolution or length that fits a memory."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from memprof.base.errors import UsageError
from memprof.base.text import safe_text
from memprof.base.units import parse_bytes
from memprof.cli.boards import board_option
from memprof.cli.options import (
    json_option,
    pop_bare_dims,
    read_request,
    repeat_flags,
    request_flags,
    runtime_option,
    source_options,
)
from memprof.cli.output import open_stdout, telling

if TYPE_CHECKING:
    from memprof.api.sizing.fitting import Memory
    from memprof.results.fit import Fit


@click.command()
@click.argument("model")
@source_options
@click.option("--ram", metavar="BYTES", help="The memory: 8GB, 512KiB.")
@board_option
@click.option("--margin", metavar="BYTES", help="Of it, what is kept for others. [default: 0; 16K on a board]")
@click.option("--step", type=click.IntRange(min=1), help="From one size to the next. [default: 1; else 2 to 64]")
@runtime_option(help="Runtime model of the peak; the headline if left out.")
@json_option
def command(  # noqa: PLR0913, PLR0917 - click gives one argument per flag, by name
    model: str,
    ram: str | None,
    board: str | None,
    margin: str | None,
    step: int | None,
    runtime: str | None,
    as_json: bool,
) -> int:
    """The largest batch, resolution or length with which MODEL fits a memory, and proof that the next does not.

    --dim NAME, without a size, says which dimension is found (batch if left out); --dim NAME=N settles another. Names
    are those of the file, INPUT[AXIS], or batch, height, width, resolution, length.

    What counts for an ONNX file is the whole process of a default session; for a module weights, inputs and the peak,
    with --device cuda the CUDA context and cuBLAS's workspace too; on a board the arena.

    Exit code 0: a size fits and the next does not, 1: none does, 4: a size that decides is unknown.

    \b
    memprof fit model.onnx --ram 8GB
    memprof fit model.onnx --ram 2GB --dim resolution --step 32
    memprof fit model.tflite --board nucleo-h743zi
    memprof fit torchvision:resnet18 --input 1x3x224x224 --ram 24GB --optimizer adam --device cuda
    """
    dims = pop_bare_dims()
    if len(dims) > 1:
        raise UsageError("One dimension is found at a time.", f"Settle the others: --dim {dims[1]}=1")
    memory = _memory(ram, board, margin)
    request = read_request(model)
    flags = request_flags()
    from memprof.api.sizing.fitting import fit

    with telling(f"reading {safe_text(model)}"):
        found = fit(request, memory, dim=dims[0] if dims else None, step=step, runtime=runtime)
    with open_stdout() as stream:
        if as_json:
            from memprof.render.json import write_document

            write_document(found.to_json(), stream)
        else:
            from memprof.render.fit import render_fit

            words = [*flags, *repeat_flags({"--runtime": [runtime] if runtime else []})]
            memory_flags = {"--ram": ram, "--board": board, "--margin": margin}
            asked = repeat_flags({flag: [text] for flag, text in memory_flags.items() if text})
            render_fit(found, stream, next_command=_advise(found, model, words, asked))
    if not found.is_decided:
        return 4
    return 0 if found.fits else 1


def _memory(ram: str | None, board: str | None, margin: str | None) -> Memory:
    from memprof.api.sizing.fitting import Memory

    if (ram is None) == (board is None):
        raise UsageError("One memory is needed: an amount or a board.", "--ram 8GB or --board NAME")
    kept = None if margin is None else parse_bytes(margin)
    if board is not None:
        return Memory.on_board(board) if kept is None else Memory.on_board(board, kept)
    return Memory(size_bytes=parse_bytes(ram or ""), margin_bytes=kept or 0)


def _advise(found: Fit, model: str, flags: list[str], memory: list[str]) -> str:
    """Return the command to try next: a resolution that fits where no batch does, the peak up to the answer, or what
    takes so much.
    """
    if found.largest is None and found.runtime == "tflm" and not found.board:
        return safe_text(shlex.join(["memprof", "boards", model]), limit=2000)
    open_sizes = {note.name.partition("=")[0] for note in found.assumed}
    if found.largest is None and found.dim == "batch" and {"height", "width"} <= open_sizes:
        return safe_text(shlex.join(["memprof", "fit", model, *flags, "--dim", "resolution", *memory]), limit=2000)
    if found.largest is None or found.largest.size == found.step:
        words = ["memprof", "analyze", model, *flags]
        return safe_text(shlex.join(words), limit=2000)
    last, step = found.largest.size, found.step
    coarse = max(1, last // (64 * step)) * step
    words = ["memprof", "analyze", model, *flags, "--sweep", f"{found.dim}={coarse}..{last}:{coarse}"]
    return safe_text(shlex.join(words), limit=2000)
