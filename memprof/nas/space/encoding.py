"""The paper's one-hot codes, both ways (section 3.1 and Figure 1(b)).

    part   bits      meaning
    I1 I2  slots + 1 from the right: block input, slot 1, slot 2, ...
    L1 L2  7         ``Layer.value``; all zeros for an identity, which only a trim makes; one bit more in front for
                     each layer of one's own that the search has
    O      3         feeds the block's output | concatenates | does not feed the output

A slot without a cell is all zeros, which no cell can be: one of its outer O bits is always set.
"""

from __future__ import annotations

from memprof.nas.space.architecture import Block, Cell, Combine, Layer
from memprof.nas.space.own_layers import PAPER_LAYERS

_OUTPUT_BITS = 3
_LAYERS = {layer.value: layer for layer in Layer}


def code_length(slots: int, layer_bits: int = PAPER_LAYERS) -> int:
    """Return the number of bits of one cell in a block of ``slots`` slots, ``layer_bits`` of them for each layer."""
    return 2 * (slots + 1) + 2 * layer_bits + _OUTPUT_BITS


def encode_cell(cell: Cell | None, slots: int, layer_bits: int = PAPER_LAYERS) -> str:
    """Return the code of one cell as a string of 0 and 1: I1, I2, L1, L2, O.

    Raises:
        ValueError: The cell reads a slot beyond ``slots``.

    >>> encode_cell(Cell(input1=0, input2=0, layer1=Layer.DEPTHWISE_3X3, layer2=Layer.FACTORIZED_7), slots=1)
    '010100000100001000100'
    """
    if cell is None:
        return "0" * code_length(slots, layer_bits)
    if max(cell.inputs) > slots:
        raise ValueError(f"the cell reads slot {max(cell.inputs)} of {slots}")
    inputs = "".join(format(1 << i, f"0{slots + 1}b") for i in cell.inputs)
    concat = "1" if cell.combine is Combine.CONCAT else "0"
    output = f"1{concat}0" if cell.feeds_output else f"0{concat}1"
    return inputs + cell.layer1.value.zfill(layer_bits) + cell.layer2.value.zfill(layer_bits) + output


def decode_cell(code: str, slots: int) -> Cell | None:
    """Return the cell that ``encode_cell`` wrote.

    Raises:
        ValueError: The code has the wrong length, or is no cell's.
    """
    if len(code) != code_length(slots) or set(code) - {"0", "1"}:
        raise ValueError(f"a cell's code has {code_length(slots)} bits, not {code!r}")
    if "1" not in code:
        return None
    width = slots + 1
    input1, input2, rest = code[:width], code[width : 2 * width], code[2 * width :]
    layer1, layer2, output = rest[:PAPER_LAYERS], rest[PAPER_LAYERS : 2 * PAPER_LAYERS], rest[2 * PAPER_LAYERS :]
    if {input1.count("1"), input2.count("1")} != {1} or output[0] == output[2]:
        raise ValueError(f"{code!r} is not the code of a cell")
    if layer1 not in _LAYERS or layer2 not in _LAYERS:
        raise ValueError(f"{code!r} names a layer that does not exist")
    return Cell(
        input1=int(input1, 2).bit_length() - 1,
        input2=int(input2, 2).bit_length() - 1,
        layer1=_LAYERS[layer1],
        layer2=_LAYERS[layer2],
        combine=Combine.CONCAT if output[1] == "1" else Combine.SUM,
        feeds_output=output[0] == "1",
    )


def encode_block(block: Block, slots: int, layer_bits: int = PAPER_LAYERS) -> str:
    """Return the codes of a block's cells one after the other.

    Args:
        block: The block.
        slots: Slots that the code has room for; those the block has not are zeros.
        layer_bits: Bits of each layer.

    Raises:
        ValueError: The block has more than ``slots`` slots.
    """
    if len(block.cells) > slots:
        raise ValueError(f"a block of {len(block.cells)} slots has no code of {slots}")
    cells = block.cells + (None,) * (slots - len(block.cells))
    return "".join(encode_cell(cell, slots, layer_bits) for cell in cells)


def decode_cells(code: str, slots: int) -> tuple[Cell | None, ...]:
    """Return the cells of a block that ``encode_block`` wrote, one per slot.

    Args:
        code: A string of 0 and 1.
        slots: Slots that it has room for.

    Raises:
        ValueError: The code has the wrong length, or holds one that is no cell's.
    """
    length = code_length(slots)
    if len(code) != slots * length:
        raise ValueError(f"a block of {slots} slots has {slots * length} bits, not {len(code)}")
    return tuple(decode_cell(code[i * length : (i + 1) * length], slots) for i in range(slots))
