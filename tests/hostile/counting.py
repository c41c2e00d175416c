"""How many hostile files and folders the tests hold: ``python -m tests.hostile.counting``, mutants not counted."""

from __future__ import annotations

from tests.hostile import test_endless_files, test_pte_files, test_tflite_files
from tests.hostile.documents import KINDS
from tests.hostile.hostile_corpus import CORPUS
from tests.hostile.large_families import FAMILIES
from tests.hostile.odd_nodes import odd_nodes


def main() -> None:
    """Print a line for each corpus, and their sum."""
    counts = {
        ".onnx files, each by hand": len(CORPUS),
        ".onnx files, an operation with a flaw each": len(dict(odd_nodes())),
        ".onnx files at the limits": len(FAMILIES),
        ".tflite files": len(test_tflite_files.CORPUS),
        ".pte files": len(test_pte_files.CORPUS),
        "pipes and devices": 2 * len(test_endless_files.LINES),
        "projects with a spoilt memprof.toml": 120,
        "saved reports with a spoilt value": 300,
        "documents of other kinds, spoilt": 130 * len(KINDS),
        "search folders": 600 + 3 * 12 + 27,
    }
    for what, count in counts.items():
        print(f"{count:>6,}  {what}")
    print(f"{sum(counts.values()):>6,}  in all")


if __name__ == "__main__":
    main()
