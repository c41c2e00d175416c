"""What a file records is checked against its operations: never believed, and the difference is said."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, numpy_helper

import memprof
from memprof.importers.onnx.overruled import last_window_begins_inside
from tests.onnx_models import load, model, node, sizes, tensor, weight


def scalar(name: str, value: int) -> TensorProto:
    return numpy_helper.from_array(np.array(value), name)


def edited(batch: object) -> ModelProto:
    """Return a model whose input's batch was edited after its shapes were recorded."""
    nodes = [
        node("Conv", ["x", "w"], ["a"], pads=[1] * 4),
        node("Relu", ["a"], ["b"]),
        node("Add", ["a", "b"], ["c"]),
    ]
    found = model(
        nodes, inputs=[tensor("x", [batch, 4, 16, 16])], outputs=["c"], initializers=[weight("w", 8, 4, 3, 3)]
    )
    found.graph.value_info.extend([tensor("a", [1, 8, 16, 16]), tensor("b", [1, 8, 16, 16])])
    return found


def notes(found: memprof.Model) -> list[tuple[str, str]]:
    return [(note.kind, note.name) for note in found.graph.assumed]


def test_a_stale_shape_gives_way_to_what_the_operations_imply(tmp_path: Path) -> None:
    found = load(tmp_path, edited(4))
    assert {sizes(found)[name] for name in "abc"} == {4 * 8 * 16 * 16 * 4}
    assert notes(found) == [("shape", "a"), ("shape", "b")]
    assert "1x8x16x16" in found.graph.assumed[0].reason
    assert "4x8x16x16" in found.graph.assumed[0].reason


def test_a_stale_shape_gives_way_to_a_symbol_too(tmp_path: Path) -> None:
    assert sizes(load(tmp_path, edited("N"), dims={"N": 4}))["c"] == 4 * 8 * 16 * 16 * 4


def test_a_contradiction_lowers_every_grade(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(edited(4).SerializeToString())
    report = memprof.analyze(path)
    assert {found.grade for found in report.runtimes.values()} == {"estimate"}
    assert report.runtimes["reference"].lowered_by == ("a", "b")


def test_a_stale_element_type_gives_way(tmp_path: Path) -> None:
    found = model([node("Relu", ["x"], ["a"]), node("Abs", ["a"], ["y"])], inputs=[tensor("x", [8])], outputs=["y"])
    found.graph.value_info.append(tensor("a", [8], TensorProto.FLOAT16))
    read = load(tmp_path, found)
    assert sizes(read)["a"] == 32
    assert notes(read) == [("dtype", "a")]


def test_what_is_recorded_and_fits_is_no_contradiction(tmp_path: Path) -> None:
    assert notes(load(tmp_path, edited(1))) == []


def test_a_recorded_scalar_says_nothing(tmp_path: Path) -> None:
    found = model([node("Relu", ["x"], ["a"]), node("Abs", ["a"], ["y"])], inputs=[tensor("x", [8])], outputs=["y"])
    found.graph.value_info.append(tensor("a", []))
    read = load(tmp_path, found)
    assert (sizes(read)["a"], notes(read)) == (32, [])


def test_unsorted_nodes_are_sorted_and_it_is_said(tmp_path: Path) -> None:
    nodes = [node("Relu", ["b"], ["y"], name="r"), node("Abs", ["a"], ["b"]), node("Neg", ["x"], ["a"])]
    read = load(tmp_path, model(nodes, inputs=[tensor("x", [2])], outputs=["y"]))
    assert [each.op for each in read.graph.nodes] == ["Neg", "Abs", "Relu"]
    assert notes(read) == [("order", "r")]


def test_an_empty_batch_is_an_open_one(tmp_path: Path) -> None:
    found = model([node("Relu", ["x"], ["y"])], inputs=[tensor("x", [0, 2, 2])], outputs=["y"])
    assert sizes(load(tmp_path, found))["y"] == 16
    assert sizes(load(tmp_path, found, inputs={"x": (3, 2, 2)}))["y"] == 48
    empty = model([node("Relu", ["x"], ["y"])], inputs=[tensor("x", [0])], outputs=["y"])
    assert sizes(load(tmp_path, empty))["y"] == 0


@pytest.mark.parametrize(("onesided", "bins"), [(None, 101), (1, 101), (0, 200)])
def test_stft_is_onesided_unless_it_says_otherwise(tmp_path: Path, onesided: int | None, bins: int) -> None:
    attributes = {} if onesided is None else {"onesided": onesided}
    found = model(
        [node("STFT", ["x", "step", "", "length"], ["y"], **attributes)],
        inputs=[tensor("x", [1, 400, 1])],
        outputs=["y"],
        initializers=[scalar("step", 100), scalar("length", 200)],
    )
    assert sizes(load(tmp_path, found))["y"] == 3 * bins * 2 * 4


@pytest.mark.parametrize("shape", [(), (1,)])
def test_a_range_takes_vectors_of_one_element_as_onnxruntime_does(tmp_path: Path, shape: tuple[int, ...]) -> None:
    given = [numpy_helper.from_array(np.full(shape, value, np.float32), f"n{value}") for value in (0, 7, 2)]
    constant = model([node("Range", ["n0", "n7", "n2"], ["y"])], outputs=["y"], initializers=given)
    assert sizes(load(tmp_path, constant))["y"] == 16
    asked = model(
        [node("Range", ["n0", "n7", "x"], ["y"])], inputs=[tensor("x", shape)], outputs=["y"], initializers=given
    )
    load(tmp_path, asked)
    assert sizes(memprof.load(tmp_path / "model.onnx", values={"x": (2.0,)}))["y"] == 16


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_a_window_that_begins_in_the_padding_is_dropped(tmp_path: Path, op: str) -> None:
    pool = node(op, ["x"], ["y"], kernel_shape=[2, 2], strides=[3, 3], ceil_mode=1)
    assert sizes(load(tmp_path, model([pool], inputs=[tensor("x", [1, 3, 9, 9])], outputs=["y"])))["y"] == 108


@pytest.mark.parametrize("seed", range(3))
def test_windows_and_sizes_are_those_of_onnxruntime(tmp_path: Path, seed: int) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    rng, compared = Random(seed), 0
    for _ in range(60):
        found = _windows(rng)
        shape = [dim.dim_value for dim in found.graph.input[0].type.tensor_type.shape.dim]
        try:
            session = onnxruntime.InferenceSession(found.SerializeToString(), options)
            (ran,) = session.run(None, {"x": np.zeros(shape, np.float32)})
        except Exception:  # onnxruntime refuses padding larger than a kernel, say
            continue
        compared += 1
        assert sizes(load(tmp_path, found))["y"] == ran.nbytes, found
    assert compared > 40


def _windows(rng: Random) -> ModelProto:
    """Return a pooling or a transposed convolution with attributes that go together."""
    op = rng.choice(["MaxPool", "AveragePool", "LpPool", "ConvTranspose"])
    rank = rng.choice([1, 2])
    kernel = [rng.randint(1, 4) for _ in range(rank)]
    strides = [rng.randint(1, 4) for _ in range(rank)]
    attributes: dict[str, object] = {"kernel_shape": kernel, "strides": strides}
    names_sides = op == "ConvTranspose" and rng.random() < 0.4
    if names_sides:
        attributes["output_shape"] = [rng.randint(2, 30) for _ in range(rank)]
    elif op == "ConvTranspose":
        attributes["output_padding"] = [rng.randint(0, stride - 1) for stride in strides]
    else:
        attributes["ceil_mode"] = rng.randint(0, 1)
    if rng.random() < 0.5:
        attributes["dilations"] = [rng.randint(1, 3) for _ in range(rank)]
    if names_sides or rng.random() < 0.6:
        attributes["auto_pad"] = rng.choice(["SAME_UPPER", "SAME_LOWER", "VALID"])
    if "auto_pad" not in attributes or (op != "ConvTranspose" and rng.random() < 0.3):  # beside the other, ignored
        attributes["pads"] = [rng.randint(0, size - 1) for size in kernel * 2]
    weights = [weight("w", 3, 2, *kernel)] if op == "ConvTranspose" else []
    shape = [1, 3, *(rng.randint(3, 13) for _ in range(rank))]
    names = ["x", "w"] if weights else ["x"]
    made = node(op, names, ["y"], **attributes)
    return model([made], inputs=[tensor("x", shape)], outputs=["y"], initializers=weights, opset=19)


@pytest.mark.parametrize("size", range(1, 12))
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_windows_are_counted_as_they_begin(size: int, stride: int) -> None:
    count = -(-max(0, size - 2) // stride) + 1
    assert last_window_begins_inside(size, count, stride, 0) == sum(i * stride < size for i in range(count))
