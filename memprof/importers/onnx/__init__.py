"""ONNX files: only their structure is read; weights stay on disk."""

from memprof.importers.onnx.read import read_onnx

__all__ = ["read_onnx"]
