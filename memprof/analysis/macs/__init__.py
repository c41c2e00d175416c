"""Multiply-accumulate operations: ``counting`` asks ``formulas``, ``free`` and ``tflite``, tables of operations."""

from memprof.analysis.macs.counting import count_macs, node_macs, operation_kind

__all__ = ["count_macs", "node_macs", "operation_kind"]
