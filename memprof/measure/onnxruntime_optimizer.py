"""Has onnxruntime optimise a model and write the graph it would run. Nothing is run. Runs in a child process.

Weights go to a file of their own, which is removed at once: the graph alone is wanted, and it stays small.
"""

from __future__ import annotations

from pathlib import Path

_SMALLEST_EXTERNAL_BYTES = "1025"


def write_graph(model: str, target: str) -> str:
    """Write the optimised graph of ``model`` to ``target``; return onnxruntime's version: the task of the child."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # the layout belongs to this processor, which is what is asked for
    options.optimized_model_filepath = target
    for key, value in external_weights(target).items():
        options.add_session_config_entry(key, value)
    try:
        onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    finally:
        Path(weights_path(target)).unlink(missing_ok=True)
    return str(onnxruntime.__version__)


def external_weights(target: str) -> dict[str, str]:
    """Return the settings that keep the weights out of an optimised graph, in a file beside it."""
    prefix = "session.optimized_model_external_initializers_"
    return {
        f"{prefix}file_name": Path(weights_path(target)).name,
        f"{prefix}min_size_in_bytes": _SMALLEST_EXTERNAL_BYTES,
    }


def weights_path(target: str) -> str:
    """Return the file of the weights that belong to an optimised graph."""
    return f"{target}.weights"
