"""What PyTorch's allocator takes of a GPU for a run, in parts. Pure.

    part                 what it is                                                        known by
    tensors              storages of parameters, inputs and the run, at their peak         the trace
    rounding             what blocks of 512 bytes and unsplit rests add to them            the allocator's rules
    segments             reserved beyond the allocated peak: rests between blocks          two steps replayed
    cuBLAS workspace     taken at the first matrix product, kept                           PyTorch's default
    context              the driver's own memory for a process and its kernels             measurement alone
    kernels' workspaces  cuDNN's scratch, while a kernel runs                              no part here

``benchmarks/cuda_memory.py`` measures all of them.
"""

from __future__ import annotations

from collections.abc import Mapping

from memprof.ir.trace import Category, StorageLife, Trace
from memprof.runtimes.pytorch.cuda_allocator import CachingAllocator, Request, replay

CUBLAS_BYTES = 4096 * 1024 * 2 + 16 * 1024 * 8
"""PyTorch's default for cuBLAS before Hopper: ``CUBLAS_WORKSPACE_CONFIG=:4096:2:16:8``."""

CUBLAS_HOPPER_BYTES = 4096 * 1024 * 8
"""The same from compute capability 9.0 on."""

_STAYS = (Category.PARAMETER, Category.INPUT)
_MATRIX_WORDS = ("mm", "linear", "matmul", "addmm", "bmm", "attention")


def uses_cublas(trace: Trace) -> bool:
    """Return whether the run multiplies matrices."""
    return any(word in node.op for node in trace.graph.nodes for word in _MATRIX_WORDS)


def device_parts(trace: Trace, cublas_bytes: int = CUBLAS_BYTES) -> Mapping[str, int]:
    """Return the parts that PyTorch's allocator holds on the device after two steps like ``trace``, in bytes.

    The first step makes the optimiser's state, the second finds it. What a step leaves is gone when the next begins.
    """
    allocator = CachingAllocator()
    workspace = cublas_bytes if uses_cublas(trace) else 0
    replay(allocator, _requests(trace, workspace))
    tensors = _tensor_peak(trace)
    return {
        "tensors": tensors,
        "rounding": allocator.most_allocated_bytes - tensors - workspace,
        "cublas_workspace": workspace,
        "segments": allocator.reserved_bytes - allocator.most_allocated_bytes,
    }


def _requests(trace: Trace, workspace: int) -> list[Request]:
    end = max(1, len(trace.graph.nodes))
    optimizer = next((phase.start for phase in trace.phases if phase.name == "optimizer"), 0)
    lives = [life for life in trace.storages if _is_on_device(trace, life)]
    found = [
        Request(key=i, size_bytes=life.size_bytes, start=0, stop=None)
        for i, life in enumerate(lives)
        if life.category in _STAYS
    ]
    if workspace:
        found.append(Request(key=-1, size_bytes=workspace, start=1, stop=None))
    found += [
        Request(key=i, size_bytes=life.size_bytes, start=1 + optimizer, stop=None)
        for i, life in enumerate(lives)
        if life.category is Category.OPTIMIZER_STATE
    ]
    for step in (0, 1):
        found += [
            Request(
                key=i + (step + 1) * len(lives),
                size_bytes=life.size_bytes,
                start=1 + life.start + step * (end + 1),
                stop=1 + life.stop + step * (end + 1),
            )
            for i, life in enumerate(lives)
            if life.category not in (*_STAYS, Category.OPTIMIZER_STATE)
        ]
    return found


def _tensor_peak(trace: Trace) -> int:
    """Return the most bytes of tensors at any step, parameters and inputs included."""
    change = [0] * (len(trace.graph.nodes) + 2)
    always = 0
    for life in trace.storages:
        if _is_on_device(trace, life):
            if life.category in (*_STAYS, Category.OPTIMIZER_STATE):
                always += life.size_bytes
            else:
                change[life.start] += life.size_bytes
                change[life.stop] -= life.size_bytes
    alive = most = 0
    for delta in change:
        alive += delta
        most = max(most, alive)
    return always + most


def _is_on_device(trace: Trace, life: StorageLife) -> bool:
    return life.device in (trace.device, trace.tensors)
