"""The graph that onnxruntime runs: definitions instead of missing kernels, 16-bit floats between casts."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from memprof.importers.onnx import read_onnx
from memprof.importers.request import Request
from memprof.ir import Graph
from memprof.runtimes.onnxruntime.kernels import has_kernel
from memprof.runtimes.onnxruntime.lowering import lower

HALF, FULL, DOUBLE = TensorProto.FLOAT16, TensorProto.FLOAT, TensorProto.DOUBLE


def chain(path: Path, *ops: str, dtype: int = FULL, opset: int = 22) -> Graph:
    """Return a chain of operations on one tensor, read from a file."""
    names = ["x", *(f"t{i}" for i in range(len(ops)))]
    nodes = [helper.make_node(op, [a], [b]) for op, a, b in zip(ops, names, names[1:], strict=False)]
    inputs = [helper.make_tensor_value_info("x", dtype, [2, 8])]
    outputs = [helper.make_tensor_value_info(names[-1], dtype, None)]
    graph = helper.make_graph(nodes, "chain", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    path.write_bytes(model.SerializeToString())
    return read_onnx(Request(source=path)).graph


def ops_run(graph: Graph) -> list[str]:
    return [node.op for node in lower(graph).graph.nodes if node.op != "Constant"]


def ops_of_the_runtime(path: Path, target: Path) -> list[str]:
    runtime = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.optimized_model_filepath = str(target)
    runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return [node.op_type for node in onnx.load(target).graph.node]


def test_a_graph_that_has_all_its_kernels_is_returned_as_it_is(tmp_path: Path) -> None:
    graph = chain(tmp_path / "m.onnx", "Relu", "Softmax")
    assert lower(graph).graph is graph


def test_an_operation_without_a_kernel_runs_as_its_definition(tmp_path: Path) -> None:
    graph = chain(tmp_path / "m.onnx", "Relu", "HardSwish")
    assert ops_run(graph) == ["Relu", "HardSigmoid", "Mul"]
    assert lower(graph).graph.nodes[-1].name == graph.nodes[-1].name, "the last node keeps the name"


def test_a_definition_holds_until_an_operation_in_it_changes(tmp_path: Path) -> None:
    assert "Elu" not in ops_run(chain(tmp_path / "m.onnx", "Elu", dtype=HALF, opset=18))
    assert ops_run(chain(tmp_path / "m.onnx", "Elu", dtype=HALF, opset=22)) == ["Cast", "Elu", "Cast"]


def test_halves_are_widened_once_and_cast_back_at_the_end(tmp_path: Path) -> None:
    assert ops_run(chain(tmp_path / "m.onnx", "Exp", "Sqrt", dtype=HALF)) == ["Cast", "Exp", "Sqrt", "Cast"]


def test_a_cast_of_the_file_that_undoes_ours_does_not_run(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    nodes = [
        helper.make_node("Exp", ["x"], ["a"]),
        helper.make_node("Cast", ["a"], ["b"], to=FULL),
        helper.make_node("Sqrt", ["b"], ["y"]),
    ]
    inputs = [helper.make_tensor_value_info("x", HALF, [2, 8])]
    graph = helper.make_graph(nodes, "casts", inputs, [helper.make_tensor_value_info("y", FULL, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    path.write_bytes(model.SerializeToString())
    assert ops_run(read_onnx(Request(source=path)).graph) == ["Cast", "Exp", "Sqrt"]


@pytest.mark.parametrize(
    ("ops", "dtype", "opset"),
    [
        (("HardSwish", "Mish"), FULL, 22),
        (("HardSwish", "Relu"), HALF, 21),
        (("Elu", "Sigmoid"), HALF, 18),
        (("Elu", "Softplus"), HALF, 22),
        (("Softmax", "Gelu"), HALF, 21),
        (("Abs", "Identity", "Sigmoid"), HALF, 17),
        (("Relu", "Round", "Tanh"), HALF, 20),
        (("ReduceL1",), HALF, 22),
        (("Swish",), DOUBLE, 24),
    ],
)
def test_the_installed_runtime_runs_the_same_operations(
    tmp_path: Path, ops: tuple[str, ...], dtype: int, opset: int
) -> None:
    if opset > onnx.defs.onnx_opset_version():
        pytest.skip(f"the installed onnx defines no operations of opset {opset}")
    path = tmp_path / "m.onnx"
    graph = chain(path, *ops, dtype=dtype, opset=opset)
    assert sorted(ops_run(graph)) == sorted(ops_of_the_runtime(path, tmp_path / "run.onnx"))


def test_the_table_of_kernels_is_that_of_the_runtime(tmp_path: Path) -> None:
    graph = chain(tmp_path / "m.onnx", "Relu", "Elu", dtype=DOUBLE)
    assert [has_kernel(graph, node) for node in graph.nodes] == [True, False]


@pytest.mark.parametrize(("is_own", "restored"), [(False, 2), (True, 3)])
def test_a_standard_definition_is_one_reader_of_a_restored_tensor_and_a_function_of_the_file_is_what_it_reads(
    tmp_path: Path, is_own: bool, restored: int
) -> None:
    scale = helper.make_tensor("s", FULL, [], [0.1])
    zero = helper.make_tensor("z", TensorProto.INT8, [], [0])
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("Mine" if is_own else "HardSwish", ["d"], ["h"], domain="mine" if is_own else ""),
        helper.make_node("QuantizeLinear", ["h", "s", "z"], ["r"]),
        helper.make_node("DequantizeLinear", ["r", "s", "z"], ["y"]),
    ]
    imports = [helper.make_opsetid("", 17)]
    inner = [helper.make_node("HardSigmoid", ["a"], ["c"]), helper.make_node("Mul", ["a", "c"], ["b"])]
    functions = [helper.make_function("mine", "Mine", ["a"], ["b"], inner, imports)] if is_own else []
    x, y = (helper.make_tensor_value_info(name, FULL, [1, 8]) for name in "xy")
    graph = helper.make_graph(nodes, "restored", [x], [y], [scale, zero])
    imports = [*imports, helper.make_opsetid("mine", 1)]
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=8, functions=functions), path)

    found = sorted(ops_run(read_onnx(Request(source=path)).graph))
    assert found == sorted(ops_of_the_runtime(path, tmp_path / "run.onnx"))
    assert found.count("DequantizeLinear") == restored


def of_halves(path: Path, *nodes: onnx.NodeProto, outputs: tuple[str, ...]) -> Graph:
    """Return a graph of 16-bit floats, read from a file: Add and Sin have no kernel for them."""
    made = helper.make_graph(
        [helper.make_node("Sin", ["x"], ["wide"]), *nodes],
        "halves",
        [helper.make_tensor_value_info("x", HALF, [4, 8])],
        [helper.make_tensor_value_info(name, HALF, None) for name in outputs],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return read_onnx(Request(source=path)).graph


TURNED = helper.make_node("Transpose", ["x"], ["narrow"], perm=[0, 1])


@pytest.mark.parametrize(
    ("nodes", "outputs", "is_widened"),
    [
        ((helper.make_node("Transpose", ["wide"], ["y"]),), ("wide",), True),
        ((TURNED, helper.make_node("Concat", ["wide", "narrow"], ["y"], axis=0)), ("wide",), True),
        ((TURNED, helper.make_node("Concat", ["narrow", "wide"], ["y"], axis=0)), ("wide",), False),
        (
            (
                helper.make_node("Split", ["wide"], ["a", "b"], axis=0),
                helper.make_node("Sin", ["a"], ["y"]),
                helper.make_node("Transpose", ["b"], ["z"]),
            ),
            ("y", "z"),
            True,
        ),
        (
            (
                helper.make_node("Split", ["wide"], ["b", "a"], axis=0),
                helper.make_node("Sin", ["a"], ["y"]),
                helper.make_node("Transpose", ["b"], ["z"]),
            ),
            ("y", "z"),
            False,
        ),
    ],
)
def test_what_lies_between_widened_nodes_is_widened(
    tmp_path: Path, nodes: tuple[onnx.NodeProto, ...], outputs: tuple[str, ...], *, is_widened: bool
) -> None:
    path = tmp_path / "m.onnx"
    lowered = lower(of_halves(path, *nodes, outputs=outputs)).graph
    judged = next(node for node in lowered.nodes if node.op in ("Concat", "Split") or node.op == nodes[-1].op_type)
    assert (lowered.values[judged.writes[0]].type.dtype == "float32") == is_widened
    assert sorted(node.op for node in lowered.nodes) == sorted(ops_of_the_runtime(path, tmp_path / "made.onnx"))


TYPES = {
    of: getattr(TensorProto, of.upper()) for of in ("bool", "uint8", "int32", "int64", "float16", "float", "double")
}


def casts(path: Path, first: int, *changes: tuple[str, str, int], outputs: tuple[str, ...], reads: str) -> Graph:
    """Return Casts (what each reads, writes and changes to) of a tensor, the last of which is read twice."""
    nodes = [helper.make_node("Concat", ["x"], ["x0"], axis=0)]
    nodes += [helper.make_node("Cast", [read], [written], to=to) for read, written, to in changes]
    nodes.append(helper.make_node("Concat", [reads, reads], ["y"], axis=0))
    types = {written: to for _, written, to in changes}
    made = helper.make_graph(
        nodes,
        "casts",
        [helper.make_tensor_value_info("x", first, [4])],
        [helper.make_tensor_value_info(name, types.get(name, types[reads]), None) for name in ("y", *outputs)],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return read_onnx(Request(source=path)).graph


@pytest.mark.parametrize("first", TYPES)
def test_casts_of_casts_are_joined_as_the_runtime_joins_them(tmp_path: Path, first: str) -> None:
    path, kinds = tmp_path / "m.onnx", TYPES.values()
    for second, third in [(b, c) for b in kinds for c in kinds if TYPES[first] != b != c]:
        graph = casts(path, TYPES[first], ("x0", "p", second), ("p", "q", third), outputs=(), reads="q")
        assert sorted(ops_run(graph)) == sorted(ops_of_the_runtime(path, tmp_path / "made.onnx")), (second, third)


@pytest.mark.parametrize("outputs", [(), ("p",), ("q",), ("r",)])
@pytest.mark.parametrize("middle", ["int32", "float16", "double"])
def test_several_casts_of_a_cast_are_joined_unless_it_is_a_result(
    tmp_path: Path, middle: str, outputs: tuple[str, ...]
) -> None:
    path, full = tmp_path / "m.onnx", TensorProto.FLOAT
    changes = (("x0", "p", TYPES[middle]), ("p", "q", full), ("p", "r", TensorProto.INT64), ("r", "s", full))
    graph = casts(path, full, *changes, outputs=outputs, reads="q")
    assert sorted(ops_run(graph)) == sorted(ops_of_the_runtime(path, tmp_path / "made.onnx"))


def test_a_cast_of_the_file_that_cannot_be_undone_keeps_those_beside_it(tmp_path: Path) -> None:
    """What a Cast to 16 bits writes is read by one back to 32, and by an operation that runs in 32."""
    path = tmp_path / "m.onnx"
    nodes = [
        helper.make_node("Sin", ["x"], ["a"]),
        helper.make_node("Cast", ["a"], ["h"], to=HALF),
        helper.make_node("Cast", ["h"], ["y"], to=FULL),
        helper.make_node("Sin", ["h"], ["z"]),
    ]
    results = [helper.make_tensor_value_info("y", FULL, None), helper.make_tensor_value_info("z", HALF, None)]
    made = helper.make_graph(nodes, "casts", [helper.make_tensor_value_info("x", FULL, [4])], results)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    found = ops_run(read_onnx(Request(source=path)).graph)
    assert sorted(found) == sorted(ops_of_the_runtime(path, tmp_path / "made.onnx"))
    assert found.count("Cast") == 4
