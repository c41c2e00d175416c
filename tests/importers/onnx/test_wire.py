"""Weights stay on disk: large payloads are stepped over wherever they are, small constants stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, ModelProto, NodeProto, SparseTensorProto, TensorProto, helper, numpy_helper

import memprof
from memprof.base.errors import InputError, LimitError, UsageError
from memprof.importers.onnx.limits import Room
from memprof.importers.onnx.wire import SMALL_BYTES, read_structure, strip
from tests.onnx_models import FLOAT, body, integers, load, model, node, tensor, weight

LARGE = np.arange(10_000, dtype=np.float32)


def _stripped(found: ModelProto) -> ModelProto:
    return ModelProto.FromString(strip(found.SerializeToString()))


def _typed(data_type: int, **fields: object) -> TensorProto:
    return TensorProto(name="w", dims=[10_000], data_type=data_type, **fields)


@pytest.mark.parametrize(
    "large",
    [
        numpy_helper.from_array(LARGE, "w"),
        _typed(TensorProto.FLOAT, float_data=LARGE),
        _typed(TensorProto.INT32, int32_data=range(10_000)),
        _typed(TensorProto.INT64, int64_data=range(10_000)),
        _typed(TensorProto.DOUBLE, double_data=LARGE),
        _typed(TensorProto.UINT64, uint64_data=range(10_000)),
        _typed(TensorProto.STRING, string_data=[b"word"] * 10_000),
    ],
    ids=["raw", "float", "int32", "int64", "double", "uint64", "string"],
)
def test_a_large_payload_of_any_kind_is_left_out(large: TensorProto) -> None:
    found = _stripped(model([node("Relu", ["w"], ["y"])], initializers=[large], outputs=["y"]))

    (kept,) = found.graph.initializer
    assert kept == TensorProto(name="w", dims=[10_000], data_type=large.data_type)


def _in_attribute(large: TensorProto) -> ModelProto:
    return model([node("Constant", [], ["w"], value=large)], outputs=["w"])


def _in_attribute_list(large: TensorProto) -> ModelProto:
    listed = AttributeProto(name="all", type=AttributeProto.TENSORS, tensors=[large, large])
    return model([NodeProto(op_type="Odd", domain="my", output=["w"], attribute=[listed])], outputs=["w"])


def _in_body(large: TensorProto) -> ModelProto:
    branch = body([node("Constant", [], ["b"], value=large)], outputs=["b"])
    branch.initializer.append(large)
    deep = node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    outer = body([deep], outputs=["y"])
    return model([node("If", ["c"], ["z"], then_branch=outer, else_branch=outer)], outputs=["z"])


def _in_function(large: TensorProto) -> ModelProto:
    made = helper.make_function("my", "F", ["a"], ["b"], [node("Constant", [], ["b"], value=large)], [])
    return model([NodeProto(op_type="F", domain="my", output=["y"])], functions=[made], outputs=["y"])


def _sparse(large: TensorProto) -> ModelProto:
    found = model([node("Relu", ["w"], ["y"])], outputs=["y"])
    indices = numpy_helper.from_array(np.arange(1000, dtype=np.int64), "i")
    found.graph.sparse_initializer.append(SparseTensorProto(values=large, indices=indices, dims=[5000]))
    return found


@pytest.mark.parametrize("place", [_in_attribute, _in_attribute_list, _in_body, _in_function, _sparse])
def test_a_large_payload_in_any_place_is_left_out(place: object) -> None:
    large = numpy_helper.from_array(LARGE, "w")
    assert callable(place)
    original: ModelProto = place(large)

    stripped = strip(original.SerializeToString())

    assert large.raw_data not in stripped
    assert len(stripped) < 2 * SMALL_BYTES
    ModelProto.FromString(stripped)


def test_small_constants_stay() -> None:
    shape = integers("shape", 1, -1)
    filling = weight("w", 1000)
    original = model([node("Reshape", ["w", "shape"], ["y"])], initializers=[filling, shape], outputs=["y"])

    assert _stripped(original).graph.initializer[1] == shape


def test_everything_but_payloads_documentation_and_foreign_metadata_is_kept() -> None:
    original = model(
        [node("Gemm", ["x", "w"], ["y"], transB=1, alpha=0.5, doc_string="d" * 30_000)],
        inputs=[tensor("x", ["batch", 1000])],
        initializers=[weight("w", 10, 1000)],
        outputs=["y"],
    )
    path = original.graph.node[0].metadata_props.add(key="pkg.torch.onnx.name_scopes", value="['', 'fc', 'linear']")
    original.graph.node[0].metadata_props.add(key="pkg.torch.onnx.stack_trace", value="t" * 30_000)
    expected = ModelProto.FromString(original.SerializeToString())
    expected.graph.node[0].ClearField("doc_string")
    del expected.graph.node[0].metadata_props[:]
    expected.graph.node[0].metadata_props.append(path)
    expected.graph.initializer[0].ClearField("raw_data")

    assert _stripped(original) == expected


def test_the_digest_is_the_same_for_embedded_and_for_external_weights(tmp_path: Path) -> None:
    original = model(
        [node("Gemm", ["x", "w"], ["y"])], inputs=[tensor("x", [1, 100])], initializers=[weight("w", 100, 100)]
    )
    onnx.save(original, tmp_path / "embedded.onnx")
    onnx.save(original, tmp_path / "external.onnx", save_as_external_data=True, location="weights")

    embedded, external = (memprof.load(tmp_path / f"{name}.onnx") for name in ("embedded", "external"))

    assert embedded.structure_sha256 == external.structure_sha256
    assert embedded.graph == external.graph


def test_a_change_of_structure_changes_the_digest(tmp_path: Path) -> None:
    first = load(tmp_path, model([node("Relu", ["x"], ["y"])], inputs=[tensor("x", [2])], outputs=["y"]))
    second = load(tmp_path, model([node("Neg", ["x"], ["y"])], inputs=[tensor("x", [2])], outputs=["y"]))

    assert first.structure_sha256 != second.structure_sha256


def test_a_file_over_two_gibibytes_opens(tmp_path: Path) -> None:
    count = 3 * 2**28  # 3 GiB of float32
    payload = 4 * count
    head = TensorProto(name="w", dims=[count], data_type=FLOAT).SerializeToString() + b"\x4a" + _varint(payload)
    graph = node("Relu", ["w"], ["y"]).SerializeToString()
    graph = b"\x0a" + _varint(len(graph)) + graph + b"\x62\x03\x0a\x01y"
    length = len(graph) + 1 + len(_varint(len(head) + payload)) + len(head) + payload
    start = b"\x08\x08\x42\x02\x10\x11\x3a" + _varint(length) + graph + b"\x2a" + _varint(len(head) + payload) + head
    path = tmp_path / "huge.onnx"
    with path.open("wb") as file:
        file.write(start)
        file.truncate(len(start) + payload)  # a hole: the payload takes no disk, and reading it would take minutes

    assert memprof.load(path).graph.parameter_bytes == payload


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


@pytest.mark.parametrize("content", [b"\x3a\x05\x0a", b"\xff" * 20, b"\x07", b"\x0b\x0b"])
def test_what_is_not_the_wire_format_is_refused(content: bytes) -> None:
    with pytest.raises(InputError, match="not an ONNX model"):
        strip(content)


def test_a_name_of_absurd_length_is_refused() -> None:
    with pytest.raises(LimitError, match="a name or a shape of 100000 bytes"):
        strip(model([node("R" * 100_000, ["x"], ["y"])]).SerializeToString())


def test_bytes_within_bytes_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = [node("Relu", [f"a{i}"], [f"a{i + 1}"], note="x" * 100) for i in range(300)]
    branch = body(inner, inputs=["a0"], outputs=["a300"])
    content = model([node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)]).SerializeToString()
    monkeypatch.setattr(Room, "structure_bytes", len(content))
    assert strip(content) == content
    monkeypatch.setattr(Room, "structure_bytes", len(content) - 1)
    with pytest.raises(LimitError, match="structure"):
        strip(content)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.onnx").touch()

    with pytest.raises(InputError, match="is empty"):
        read_structure(tmp_path / "empty.onnx")


def test_a_constant_in_external_data_is_not_read_even_where_it_is_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights").write_bytes(np.array([3, 2], np.int64).tobytes())
    outside = TensorProto(dims=[2], data_type=TensorProto.INT64, data_location=TensorProto.EXTERNAL)
    outside.external_data.add(key="location", value="weights")
    nodes = [node("Constant", [], ["shape"], value=outside), node("Expand", ["x", "shape"], ["y"])]
    monkeypatch.chdir(tmp_path)

    graph = load(tmp_path, model(nodes, inputs=[tensor("x", [1])], outputs=["y"])).graph

    assert [(unknown.kind, unknown.name) for unknown in graph.unknown] == [("shape", "y")]


def test_the_callers_limit_replaces_the_usual_one(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    nodes = [node("Relu", [f"a{i}"], [f"a{i + 1}"]) for i in range(5)]
    path.write_bytes(model(nodes, inputs=[tensor("a0", [1])], outputs=["a5"]).SerializeToString())
    assert len(memprof.load(path, max_nodes=5).graph.nodes) == 5
    with pytest.raises(LimitError, match="more than 4 nodes") as refused:
        memprof.load(path, max_nodes=4)
    assert "--max-nodes" in refused.value.hint
    with pytest.raises(UsageError):
        memprof.load(path, max_nodes=0)
