"""Scratch of LSTM, GRU and RNN in 32-bit floats, one thread. S steps, B sequences, H units, I inputs, D directions.

    for each direction     LSTM                               GRU
    gates of all steps     S * B * 4H                         S * B * 3H
    states                 3 * B * H + 2 * H                  2 * B * H
    with a bias            4 * H                              3 * B * H
    linear_before_reset                                       B * H, twice with a bias
    lengths, if not given  B integers                         B integers

    for the node
    a direction backwards  S * B * I + S * B * H              the same
    a last state that      D * B * H each (Y_h, Y_c)          D * B * H (Y_h)
        is not an output

A dynamically quantised LSTM takes for each direction also the larger of its inputs and a state in 8 bits, S * B * I
or B * H bytes, and the sums of one step, B * 4H; measured alike with one thread and two.
RNN: S * B * H, used by one direction after the other, and D * S * B * H if the whole sequence is not an output.
All bytes are four per number. From measurements over these six parameters, all fitted exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from memprof.runtimes.onnxruntime.scratch.kernel import Kernel

_NUMBER_BYTES = 4


def _directions(kernel: Kernel) -> int:
    return 2 if kernel.text("direction", "forward") == "bidirectional" else 1


def _backwards(kernel: Kernel, hidden: int) -> int:
    steps, batch, inputs = kernel.shape(0, rank=3)
    return 0 if kernel.text("direction", "forward") == "forward" else steps * batch * (inputs + hidden)


def lstm(kernel: Kernel) -> int:
    """Return the scratch of an LSTM."""
    return _lstm(kernel, kernel.shape(2)[-1])


def quantized_lstm(kernel: Kernel) -> int:
    """Return the scratch of a DynamicQuantizeLSTM."""
    steps, batch, inputs = kernel.shape(0, rank=3)
    hidden = kernel.shape(2)[1]
    narrow = max(steps * batch * inputs, batch * hidden)
    return _lstm(kernel, hidden) + _directions(kernel) * (narrow + batch * 4 * hidden * _NUMBER_BYTES)


def _lstm(kernel: Kernel, hidden: int) -> int:
    steps, batch, _ = kernel.shape(0, rank=3)
    directions = _directions(kernel)
    each = steps * batch * 4 * hidden + 3 * batch * hidden + 2 * hidden
    each += 4 * hidden if kernel.has_input(3) else 0
    each += 0 if kernel.has_input(4) else batch
    missing = sum(not kernel.has_output(i) for i in (1, 2)) * directions * batch * hidden
    return (each * directions + missing + _backwards(kernel, hidden)) * _NUMBER_BYTES


def gru(kernel: Kernel) -> int:
    """Return the scratch of a GRU."""
    steps, batch, _ = kernel.shape(0, rank=3)
    hidden, directions = kernel.shape(2)[-1], _directions(kernel)
    has_bias, is_linear = kernel.has_input(3), bool(kernel.integer("linear_before_reset", 0))
    states = 2 + 3 * has_bias + is_linear * (1 + has_bias)
    each = steps * batch * 3 * hidden + states * batch * hidden
    each += 0 if kernel.has_input(4) else batch
    missing = 0 if kernel.has_output(1) else directions * batch * hidden
    return (each * directions + missing + _backwards(kernel, hidden)) * _NUMBER_BYTES


def rnn(kernel: Kernel) -> int:
    """Return the scratch of an RNN."""
    steps, batch, _ = kernel.shape(0, rank=3)
    whole = steps * batch * kernel.shape(2)[-1]
    missing = 0 if kernel.has_output(0) else _directions(kernel) * whole
    return (whole + missing) * _NUMBER_BYTES


SCRATCH: Mapping[str, Callable[[Kernel], int]] = MappingProxyType(
    {"LSTM": lstm, "GRU": gru, "RNN": rnn, "com.microsoft.DynamicQuantizeLSTM": quantized_lstm}
)
