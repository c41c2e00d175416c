"""ExecuTorch programs (.pte): own reader of the flatbuffer, no executorch, no torch."""

from memprof.importers.executorch.read import read_pte

__all__ = ["read_pte"]
