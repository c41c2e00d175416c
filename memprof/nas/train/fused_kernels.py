"""Triton kernels of ``memprof.nas.train.fused``: arrays of rows (an image's pixel) and channels side by side.

A program of a sum reads every so many rows and writes what it found to a place of its own; another adds those up, so
that the order of all sums is fixed.
"""

# mypy: ignore-errors
# ruff: noqa: PLR0913, PLR0917
# Triton reads these functions as its own language: no value is Python's, and arrays come with their sizes.

import triton
import triton.language as tl


@triton.jit
def sum_values(
    x, shift, sums, rows, channels, programs: tl.constexpr, tile_rows: tl.constexpr, tile_channels: tl.constexpr
):
    """Write sums of x - shift and of their squares: (2, programs, channels)."""
    column = tl.program_id(1) * tile_channels + tl.arange(0, tile_channels)
    is_column = column < channels
    by = tl.load(shift + column, mask=is_column, other=0.0)
    first = tl.zeros((tile_channels,), dtype=tl.float32)
    second = tl.zeros((tile_channels,), dtype=tl.float32)
    for start in range(tl.program_id(0) * tile_rows, rows, programs * tile_rows):
        row = start + tl.arange(0, tile_rows)
        inside = (row < rows)[:, None] & is_column[None, :]
        value = tl.load(x + row[:, None] * channels + column[None, :], mask=inside, other=0.0).to(tl.float32)
        moved = tl.where(inside, value - by[None, :], 0.0)
        first += tl.sum(moved, 0)
        second += tl.sum(moved * moved, 0)
    place = tl.program_id(0) * channels + column
    tl.store(sums + place, first, mask=is_column)
    tl.store(sums + programs * channels + place, second, mask=is_column)


@triton.jit
def _added(sums, column, is_column, channels, programs: tl.constexpr, few: tl.constexpr):
    total = tl.zeros((few,), dtype=tl.float32)
    for start in range(0, programs, 128):
        program = start + tl.arange(0, 128)
        inside = (program < programs)[:, None] & is_column[None, :]
        total += tl.sum(tl.load(sums + program[:, None] * channels + column[None, :], mask=inside, other=0.0), 0)
    return total


@triton.jit
def moments_of(
    sums,
    running_mean,
    running_variance,
    moments,
    rows,
    channels,
    momentum,
    epsilon,
    programs: tl.constexpr,
    few: tl.constexpr,
):
    """Write mean and 1 / deviation, (2, channels), and move the running ones."""
    column = tl.program_id(0) * few + tl.arange(0, few)
    is_column = column < channels
    first = _added(sums, column, is_column, channels, programs, few) / rows
    second = _added(sums + programs * channels, column, is_column, channels, programs, few) / rows
    old_mean = tl.load(running_mean + column, mask=is_column, other=0.0)
    old_variance = tl.load(running_variance + column, mask=is_column, other=0.0)
    mean = old_mean + first
    variance = tl.maximum(second - first * first, 0.0)
    tl.store(moments + column, mean, mask=is_column)
    tl.store(moments + channels + column, 1.0 / tl.sqrt(variance + epsilon), mask=is_column)
    unbiased = variance * (rows / tl.maximum(rows - 1.0, 1.0))
    tl.store(running_mean + column, old_mean + momentum * (mean - old_mean), mask=is_column)
    tl.store(running_variance + column, old_variance + momentum * (unbiased - old_variance), mask=is_column)


@triton.jit
def normalize(
    x,
    moments,
    weight,
    bias,
    out,
    rows,
    channels,
    clips: tl.constexpr,
    tile_rows: tl.constexpr,
    tile_channels: tl.constexpr,
):
    """Write (x - mean) / deviation * weight + bias, clipped from below if asked for."""
    column = tl.program_id(1) * tile_channels + tl.arange(0, tile_channels)
    row = tl.program_id(0) * tile_rows + tl.arange(0, tile_rows)
    is_column = column < channels
    inside = (row < rows)[:, None] & is_column[None, :]
    place = row[:, None] * channels + column[None, :]
    mean = tl.load(moments + column, mask=is_column, other=0.0)
    inverse = tl.load(moments + channels + column, mask=is_column, other=0.0)
    scale = tl.load(weight + column, mask=is_column, other=0.0)
    add = tl.load(bias + column, mask=is_column, other=0.0)
    value = tl.load(x + place, mask=inside, other=0.0).to(tl.float32)
    found = (value - mean[None, :]) * inverse[None, :] * scale[None, :] + add[None, :]
    if clips:
        found = tl.maximum(found, 0.0)
    tl.store(out + place, found.to(out.dtype.element_ty), mask=inside)


@triton.jit
def sum_gradients(
    x,
    gradient,
    moments,
    weight,
    bias,
    sums,
    rows,
    channels,
    programs: tl.constexpr,
    clips: tl.constexpr,
    tile_rows: tl.constexpr,
    tile_channels: tl.constexpr,
):
    """Write sums of what gets through the clip and of that times the normalised value: (2, programs, channels)."""
    column = tl.program_id(1) * tile_channels + tl.arange(0, tile_channels)
    is_column = column < channels
    mean = tl.load(moments + column, mask=is_column, other=0.0)
    inverse = tl.load(moments + channels + column, mask=is_column, other=0.0)
    scale = tl.load(weight + column, mask=is_column, other=0.0)
    add = tl.load(bias + column, mask=is_column, other=0.0)
    first = tl.zeros((tile_channels,), dtype=tl.float32)
    second = tl.zeros((tile_channels,), dtype=tl.float32)
    for start in range(tl.program_id(0) * tile_rows, rows, programs * tile_rows):
        row = start + tl.arange(0, tile_rows)
        inside = (row < rows)[:, None] & is_column[None, :]
        place = row[:, None] * channels + column[None, :]
        value = tl.load(x + place, mask=inside, other=0.0).to(tl.float32)
        through = tl.load(gradient + place, mask=inside, other=0.0).to(tl.float32)
        normal = (value - mean[None, :]) * inverse[None, :]
        if clips:
            through = tl.where(normal * scale[None, :] + add[None, :] > 0.0, through, 0.0)
        first += tl.sum(through, 0)
        second += tl.sum(through * normal, 0)
    place_of_sums = tl.program_id(0) * channels + column
    tl.store(sums + place_of_sums, first, mask=is_column)
    tl.store(sums + programs * channels + place_of_sums, second, mask=is_column)


@triton.jit
def add_up(sums, learnt, channels, programs: tl.constexpr, few: tl.constexpr):
    """Write the gradients of bias and weight, (2, channels)."""
    column = tl.program_id(0) * few + tl.arange(0, few)
    is_column = column < channels
    tl.store(learnt + column, _added(sums, column, is_column, channels, programs, few), mask=is_column)
    second = _added(sums + programs * channels, column, is_column, channels, programs, few)
    tl.store(learnt + channels + column, second, mask=is_column)


@triton.jit
def spread(
    x,
    gradient,
    moments,
    weight,
    bias,
    learnt,
    out,
    rows,
    channels,
    clips: tl.constexpr,
    tile_rows: tl.constexpr,
    tile_channels: tl.constexpr,
):
    """Write the gradient of x: what gets through, less its part along the mean and along the deviation."""
    column = tl.program_id(1) * tile_channels + tl.arange(0, tile_channels)
    row = tl.program_id(0) * tile_rows + tl.arange(0, tile_rows)
    is_column = column < channels
    inside = (row < rows)[:, None] & is_column[None, :]
    place = row[:, None] * channels + column[None, :]
    mean = tl.load(moments + column, mask=is_column, other=0.0)
    inverse = tl.load(moments + channels + column, mask=is_column, other=0.0)
    scale = tl.load(weight + column, mask=is_column, other=0.0)
    add = tl.load(bias + column, mask=is_column, other=0.0)
    along_mean = tl.load(learnt + column, mask=is_column, other=0.0) / rows
    along_deviation = tl.load(learnt + channels + column, mask=is_column, other=0.0) / rows
    value = tl.load(x + place, mask=inside, other=0.0).to(tl.float32)
    through = tl.load(gradient + place, mask=inside, other=0.0).to(tl.float32)
    normal = (value - mean[None, :]) * inverse[None, :]
    if clips:
        through = tl.where(normal * scale[None, :] + add[None, :] > 0.0, through, 0.0)
    found = scale[None, :] * inverse[None, :] * (through - along_mean[None, :] - normal * along_deviation[None, :])
    tl.store(out + place, found.to(out.dtype.element_ty), mask=inside)
