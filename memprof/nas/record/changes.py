"""What a round did to its base, in words, as Figure 4 of MemNAS notes it: the cell that grew, or what was trimmed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memprof.nas.space.architecture import Architecture, Block, Cell

if TYPE_CHECKING:
    from memprof.nas.record.summary import SearchSummary


def changes_of_rounds(summary: SearchSummary) -> dict[int, str]:
    """Return what each round changed, by its index; a round without a winner changed nothing."""
    networks = {found.candidate: found.architecture for found in summary.candidates}
    return {
        found.index: describe_change(None if found.base is None else networks[found.base], networks[found.winner])
        for found in summary.rounds
        if found.winner is not None
    }


def describe_change(base: Architecture | None, found: Architecture) -> str:
    """Return what tells ``found`` from the network that it was grown or trimmed from, in one step.

    Args:
        base: Where the round started; ``None`` for the first, which starts without a cell.
        found: What it chose.

    >>> from memprof.nas.space.architecture import CIFAR10, MEMNAS_CELLS
    >>> describe_change(CIFAR10.build(MEMNAS_CELLS[:2]), CIFAR10.build(MEMNAS_CELLS[:3]))
    '+ depthwise 3x3 & avg pool 3x3 on cell 1 (sum)'
    """
    if found == base:
        return "nothing: the base, which trained on"
    if base is None or found.slots > base.slots:
        cell = found.blocks[0].cells[-1]
        return "" if cell is None else f"+ {_describe_cell(cell)}"
    changed = (
        f"block {number}: {_describe_trim(before, after)}"
        for number, (before, after) in enumerate(zip(base.blocks, found.blocks, strict=True), start=1)
        if before != after
    )
    return next(changed, "")


def describe_blocks(found: Architecture) -> list[str]:
    """Return a line for each cell, once for all blocks that are alike.

    >>> from memprof.nas.space.architecture import CIFAR10, MEMNAS_CELLS
    >>> describe_blocks(CIFAR10.build(MEMNAS_CELLS[:2]))[1]
    'every block, cell 2: 1x7, 7x1 on cell 1 & max pool 3x3 (sum)'
    """
    lines: dict[tuple[int, str], list[str]] = {}
    for number, block in enumerate(found.blocks, start=1):
        for slot, cell in block.existing:
            lines.setdefault((slot, _describe_cell(cell)), []).append(str(number))
    ordered = sorted(lines.items(), key=lambda item: (item[0][0], item[1]))
    everywhere = len(found.blocks)
    return [
        f"{'every block' if len(blocks) == everywhere else 'block ' + ', '.join(blocks)}, cell {slot}: {text}"
        for (slot, text), blocks in ordered
    ]


def _describe_cell(cell: Cell) -> str:
    """Return both layers and how they are joined; what is said to read nothing reads the block's input."""
    sides = [f"{layer.label} on cell {read}" if read else layer.label for read, layer in cell.layers]
    return f"{' & '.join(sides)} ({cell.combine.value})"


def _describe_trim(before: Block, after: Block) -> str:
    gone = [slot for slot, _ in before.existing if after.cells[slot - 1] is None]
    if gone:
        return f"without {'cell' if len(gone) == 1 else 'cells'} {' and '.join(map(str, gone))}"
    for slot, old in before.existing:
        new = after.cells[slot - 1]
        if new is None or new == old:
            continue
        if new.feeds_output != old.feeds_output:
            return f"cell {slot} off the output"
        trimmed = old.layer1 if old.layer1 != new.layer1 else old.layer2
        return f"cell {slot}, {trimmed.label} to identity"
    return ""
