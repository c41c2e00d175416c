"""What CPU kernels return besides their result, and fake tensors show as empty: sizes found by measurement. Pure.

    aten.mkldnn_rnn_layer, training    what oneDNN's LSTM keeps for the backward pass (float32)

Rows of gates and states are padded to whole cache lines, and by one more where that is a multiple of 1 KiB.
Every section begins at a page. The formula is fitted to PyTorch 2.14 with AVX-512 and equal on 150 random shapes of
it; ``benchmarks/accuracy_pytorch.py`` compares it with the PyTorch that is installed.
"""

from __future__ import annotations

_FLOAT_BYTES = 4
_LINE = 16  # floats to a cache line
_PAGE_BYTES = 4096


def lstm_workspace_bytes(*, steps: int, batch: int, input_size: int, hidden_size: int) -> int:
    """Return the bytes that one layer and direction of an LSTM keeps for the backward pass.

    >>> lstm_workspace_bytes(steps=50, batch=2, input_size=64, hidden_size=128)
    798720
    """
    states = 2 * (steps + 1) * batch  # one more step than there are, of the layer and of its input
    widest = _padded(max(input_size, hidden_size))
    return (
        _section(steps * batch * _padded(4 * hidden_size))
        + _section(steps * batch * _padded(hidden_size))
        + 3 * _section(states * widest)
        + 2 * _section(states * hidden_size)
    )


def _padded(width: int) -> int:
    padded = -(-width // _LINE) * _LINE
    return padded + _LINE if padded % 256 == 0 else padded


def _section(floats: int) -> int:
    return -(-floats * _FLOAT_BYTES // _PAGE_BYTES) * _PAGE_BYTES
