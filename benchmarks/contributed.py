"""Operations outside ONNX's own domain that the installed onnxruntime has CPU kernels for, and what types them here.

python benchmarks/contributed.py

rule     a rule of ours (importers/onnx/contributed*.py)
ONNX     ONNX's own inference, for operations that its ai.onnx.ml domain defines
open     nothing: what they write is unknown, and said so
"""

from __future__ import annotations

from collections import defaultdict

import onnx
import onnxruntime.capi.onnxruntime_pybind11_state as runtime

from memprof.importers.onnx.contributed import is_contributed


def registered() -> list[tuple[str, str]]:
    """Return domain and name of each operation with a CPU kernel, ONNX's own domain left out."""
    kernels = runtime.get_all_opkernel_def()
    return sorted({(k.domain, k.op_name) for k in kernels if k.provider == "CPUExecutionProvider" and k.domain})


def typed_by(domain: str, op: str) -> str:
    """Return what types an operation's outputs."""
    if is_contributed(onnx.NodeProto(domain=domain, op_type=op)):
        return "rule"
    try:
        return "ONNX" if onnx.defs.get_schema(op, domain=domain).has_type_and_shape_inference_function else "open"
    except onnx.defs.SchemaError:
        return "open"


def main() -> None:
    """Print the list."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for domain, op in registered():
        found[typed_by(domain, op)].append(f"{domain}.{op}")
    for by in ("rule", "ONNX", "open"):
        print(f"{by}: {len(found[by])}\n    {' '.join(found[by])}")


if __name__ == "__main__":
    main()
