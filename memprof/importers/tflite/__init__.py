"""From a .tflite file to a Model, without TensorFlow and without generated code."""

from memprof.importers.tflite.read import read_tflite

__all__ = ["read_tflite"]
