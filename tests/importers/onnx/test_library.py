"""The two files of onnx that reading needs: loaded without the package, shared with it, whole if need be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
READ = "from memprof.importers.onnx import library; import sys; "


def run(script: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout.split()


def test_neither_the_package_nor_numpy_is_loaded() -> None:
    assert run(READ + "print(*(name in sys.modules for name in ('onnx', 'numpy')))") == ["False", "False"]


@pytest.mark.parametrize("first", ["import onnx; ", ""], ids=["onnx first", "onnx later"])
def test_the_messages_are_those_of_onnx(first: str) -> None:
    script = first + READ + "import onnx, onnx.defs, onnx.checker, onnx.helper, onnx.shape_inference\n"
    script += (
        "print(library.ModelProto is onnx.ModelProto, library.OpSchema is onnx.defs.OpSchema)\n"
        "node = onnx.helper.make_node('MaxPool', ['x'], ['y'], kernel_shape=[2, 2])\n"
        "of = onnx.helper.make_tensor_type_proto(1, [1, 3, 8, 8])\n"
        "schema, imports = library.get_schema('MaxPool', 12, ''), [onnx.helper.make_opsetid('', 12)]\n"
        "ours = library.infer_node_outputs(schema, node, {'x': of}, {}, imports, 8)\n"
        "print(ours == onnx.shape_inference.infer_node_outputs(schema, node, {'x': of}, opset_imports=imports))\n"
        "print([dim.dim_value for dim in ours['y'].tensor_type.shape.dim] == [1, 3, 7, 7])"
    )
    assert run(script) == ["True"] * 4


def test_what_operations_are_defined_as_is_read_without_the_package(tmp_path: Path) -> None:
    """Their defaults too, which onnx makes values of only where all of it is imported."""
    from onnx import TensorProto, helper

    node = helper.make_node("Celu", ["x"], ["y"])
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT16, [2, 3]) for name in "xy")
    model = helper.make_model(helper.make_graph([node], "g", [x], [y]), opset_imports=[helper.make_opsetid("", 17)])
    path = tmp_path / "celu.onnx"
    path.write_bytes(model.SerializeToString())
    script = READ + "from memprof.importers.onnx import read_onnx; from memprof.importers.request import Request\n"
    script += f"node, = read_onnx(Request(source={str(path)!r})).graph.nodes\n"
    script += "print(node.definition is not None, 'onnx' in sys.modules)"
    assert run(script) == ["True", "False"]


def test_another_layout_of_the_package_is_imported_whole() -> None:
    script = (
        "import sys; from importlib.machinery import PathFinder; find = PathFinder.find_spec\n"
        "hides = lambda name: name.startswith('onnx.') and 'onnx' not in sys.modules\n"
        "PathFinder.find_spec = classmethod(lambda cls, name, *rest: None if hides(name) else find(name, *rest))\n"
    )
    script += READ + "print('onnx' in sys.modules, library.get_schema('Relu', 17, '').since_version)"
    assert run(script) == ["True", "14"]
