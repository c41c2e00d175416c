"""What a process takes for a PyTorch module, in parts: its growth from before the module is made to its third step.

    part        what it is
    weights     parameters and buffers
    inputs      what the caller gives
    tensors     the peak of the row pytorch: activations, gradients, the optimiser's state
    kernels     what kernels add to it inside a call, see ``pytorch_process``; of backward passes nothing is known
    libraries   heap that stays: code that oneDNN compiles for each convolution, rests of the heap; fitted

    part, on a GPU           what it is
    tensors, rounding, cublas_workspace, segments    see ``memprof.runtimes.pytorch.cuda``
    kernels                  cuDNN's workspaces in a training step; as measured
    context                  the driver's memory for the process and the kernels it loaded; as measured

``benchmarks/process_pytorch.py`` measures the one (PyTorch 2.14, AVX-512, glibc, one thread),
``benchmarks/cuda_memory.py`` the other (PyTorch 2.11, CUDA 13, an H100). Pure.
"""

from __future__ import annotations

from memprof.ir.model import Model
from memprof.ir.trace import Category, Trace
from memprof.runtimes.model import Process
from memprof.runtimes.pytorch import trace_lifetimes
from memprof.runtimes.pytorch.cuda import CUBLAS_HOPPER_BYTES, device_parts
from memprof.runtimes.pytorch_process import with_kernels

CONTEXT_BYTES = 810_000_000
"""The context of a process on an H100 with the kernels that it loaded, as measured."""

_LIBRARY_BYTES = 8_000_000
_CONVOLUTION_BYTES = 115_000
_TRAINING_BYTES = 60_000_000
_CUDNN_BYTES = 50_000_000
_ERROR = "median 5 %, largest 10 %, on 6 networks of torchvision, 4 of them those it was fitted to"
_TRAINING_ERROR = "median 5 %, largest 23 %, on 5 training steps, 3 of them those it was fitted to"
_CUDA_ERROR = "median 4 %, largest 12 %, on 8 runs on an H100, whose context and workspaces were taken"


def module_process(model: Model, trace: Trace) -> Process:
    """Return what the process takes that runs what ``trace`` recorded."""
    if trace.device == "cuda":
        return _on_gpu(trace)
    lifetimes = trace_lifetimes(trace)
    tensors = lifetimes.timeline.peak_bytes
    inputs = [life.size_bytes for life in trace.storages if life.category is Category.INPUT]
    convolutions = sum(node.op.startswith("aten.conv") for node in trace.graph.nodes)
    parts = {
        "weights": model.parameter_bytes,
        "inputs": sum(inputs),
        "tensors": tensors,
        "kernels": with_kernels(lifetimes).timeline.peak_bytes - tensors,
        "libraries": _TRAINING_BYTES if trace.is_training else _LIBRARY_BYTES + _CONVOLUTION_BYTES * convolutions,
    }
    return Process(sum(parts.values()), parts, _TRAINING_ERROR if trace.is_training else _ERROR)


def _on_gpu(trace: Trace) -> Process:
    parts = {
        **device_parts(trace, CUBLAS_HOPPER_BYTES),
        "kernels": _CUDNN_BYTES if trace.is_training else 0,
        "context": CONTEXT_BYTES,
    }
    return Process(sum(parts.values()), parts, _CUDA_ERROR)
