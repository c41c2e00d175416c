"""Sweeps: every number is what the model gives at that size, from few evaluations; names mean what people mean."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from onnx import ModelProto, TensorProto

import memprof
from memprof import Report, Request, Sweep, UsageError
from memprof.api.sizing import sweeping
from memprof.api.sizing.axes import find_axes, parse_axes
from memprof.api.sizing.numbers import Numbers, evaluate
from memprof.ir import Unknown
from memprof.render.sweep import render_sweep
from tests.onnx_models import integers, model, node, tensor, weight
from tests.schemas import check_document


def attention(*dims: int | str | None) -> ModelProto:
    """Return attention over a sequence: quadratic in its length."""
    nodes = [
        node("Transpose", ["x"], ["t"], perm=[0, 2, 1]),
        node("MatMul", ["x", "t"], ["scores"]),
        node("Softmax", ["scores"], ["weights"], axis=-1),
        node("MatMul", ["weights", "x"], ["y"]),
    ]
    return model(nodes, inputs=[tensor("x", [*dims, 32])], outputs=["y"])


def image(*dims: int | str | None) -> ModelProto:
    nodes = [
        node("Conv", ["x", "w"], ["a"], strides=[2, 2], pads=[1] * 4),
        node("Relu", ["a"], ["b"]),
        node("GlobalAveragePool", ["b"], ["c"]),
        node("Reshape", ["c", "s"], ["d"]),
    ]
    return model(
        nodes,
        inputs=[tensor("x", dims)],
        outputs=["d"],
        initializers=[weight("w", 8, 3, 3, 3), integers("s", -1, 8)],
    )


def written(folder: Path, found: ModelProto) -> str:
    path = folder / "net.onnx"
    path.write_bytes(found.SerializeToString())
    return str(path)


def peak(path: str, **dims: int) -> int | None:
    return memprof.analyze(path, dims=dims, runtimes=["reference"]).peak_intermediate_bytes


def test_a_length_is_quadratic_and_exact_at_every_size(tmp_path: Path) -> None:
    path = written(tmp_path, attention("batch", "seq"))
    found = memprof.sweep(path, {"seq": range(1, 200)}, runtime="reference")
    assert found.evaluations < 30
    assert found.pieces is not None
    assert found.pieces[-1].coefficients[2] == 8  # two matrices of float32, seq by seq
    for point in found.points[::23]:
        assert point.peak_intermediate_bytes == peak(path, batch=1, seq=point.dims["seq"])


def unknown_where(monkeypatch: pytest.MonkeyPatch, is_unknown: Callable[[int], bool]) -> None:
    def partly(request: Request, runtime: str, digest: str) -> Numbers:
        numbers = evaluate(request, runtime, digest)
        why = (Unknown(kind="shape", name="rnn", reason="it depends on data"),)
        return (
            replace(numbers, peak_bytes=None, grade=None, unknown=why) if is_unknown(request.dims["seq"]) else numbers
        )

    monkeypatch.setattr(sweeping, "evaluate", partly)


@pytest.mark.parametrize("sizes", [(16, 32, 64), range(16, 257)])
def test_sizes_before_one_that_is_not_known_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sizes: Sequence[int]
) -> None:
    path = written(tmp_path, attention("batch", "seq"))
    expected = {size: peak(path, batch=1, seq=size) for size in (16, 32)}
    unknown_where(monkeypatch, lambda size: size > 40)
    found = memprof.sweep(path, {"seq": sizes}, runtime="reference")
    peaks = {point.dims["seq"]: point.peak_intermediate_bytes for point in found.points}
    assert {size: peaks[size] for size in expected} == expected
    assert all((peaks[size] is None) == (size > 40) for size in peaks)
    assert found.unknown.endswith(": rnn: it depends on data")
    report = replace(memprof.analyze(path, runtimes=["reference"]), sweep=found)
    check_document(report.to_json())
    assert Report.from_json(report.to_json()).sweep == found
    stream = io.StringIO()
    render_sweep(report, stream, top=5, next_command="", width=200)
    known = sum(size <= 40 for size in sizes)
    upto = max(size for size in sizes if size <= 40)
    assert f"known at {known} of {len(sizes)} sizes, up to {upto} (" in stream.getvalue().splitlines()[0]
    assert "it depends on data" in stream.getvalue()


def test_a_gap_between_known_sizes_is_no_peak_of_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, attention("batch", "seq"))
    unknown_where(monkeypatch, lambda size: 20 <= size < 60)
    found = memprof.sweep(path, {"seq": range(2, 100)}, runtime="reference")
    assert [p.dims["seq"] for p in found.points if p.peak_intermediate_bytes is None] == [*range(20, 60)]
    assert found.pieces is None


def test_two_dimensions_are_a_table(tmp_path: Path) -> None:
    path = written(tmp_path, attention("batch", "seq"))
    found = memprof.sweep(path, {"batch": [1, 2, 5], "seq": range(16, 200, 8)}, runtime="reference")
    assert found.pieces is None
    assert len(found.points) == 3 * 23
    assert [*found.points[23].dims.values()] == [2, 16]
    for point in found.points[::13]:
        assert point.peak_intermediate_bytes == peak(path, **point.dims)


def test_the_assumed_size_of_one_dimension_does_not_follow_another(tmp_path: Path) -> None:
    path = written(tmp_path, image("n", 3, "h", "w"))
    found = memprof.sweep(path, {"height": range(64, 321, 64)}, runtime="reference")
    assert [p.peak_intermediate_bytes for p in found.points] == [
        peak(path, n=1, h=h, w=640) for h in range(64, 321, 64)
    ]


@pytest.mark.parametrize("dims", [("n", 3, 64, 64), (None, 3, 64, 64), (0, 3, 64, 64), ("n", 3, None, None)])
def test_a_batch_is_the_first_dimension_whatever_the_file_calls_it(
    tmp_path: Path, dims: tuple[int | str | None, ...]
) -> None:
    path = written(tmp_path, image(*dims))
    one = memprof.analyze(path, inputs={"x": (1, 3, 64, 64)}, runtimes=["reference"]).peak_intermediate_bytes
    found = memprof.sweep(path, {"batch": [1, 2, 3]}, inputs={"": (1, 3, 64, 64)}, runtime="reference")
    assert one is not None
    assert [p.peak_intermediate_bytes for p in found.points] == [one, 2 * one, 3 * one]


def test_a_size_that_the_file_fixes_is_said_so(tmp_path: Path) -> None:
    path = written(tmp_path, image(1, 3, 64, 64))
    with pytest.raises(UsageError, match="fixes the dimension 'batch'"):
        memprof.sweep(path, {"batch": [1, 2]})
    with pytest.raises(UsageError, match="no dimension 'depth'"):
        memprof.sweep(path, {"depth": [1, 2]})


def test_an_error_of_the_model_says_at_which_size(tmp_path: Path) -> None:
    nodes = [node("Reshape", ["x", "s"], ["y"])]
    path = written(
        tmp_path, model(nodes, inputs=[tensor("x", ["n", 4])], outputs=["y"], initializers=[integers("s", 4, -1)])
    )
    found = memprof.sweep(path, {"n": [1, 2, 3]}, runtime="reference")
    assert [point.peak_intermediate_bytes for point in found.points] == [16, 32, 48]


def test_what_stays_unknown_is_null_and_is_asked_few_times(tmp_path: Path) -> None:
    nodes = [node("Relu", ["x"], ["a"]), node("Strange", ["a"], ["y"], domain="my")]
    path = written(tmp_path, model(nodes, inputs=[tensor("x", ["n", 4])], outputs=["y"]))
    found = memprof.sweep(path, {"n": range(1, 65)}, runtime="reference")
    assert {point.peak_intermediate_bytes for point in found.points} == {None}
    assert found.evaluations <= 18  # both ends, and a few between
    assert found.grade is None


def test_the_inputs_of_a_module_all_have_the_batch() -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
    found = memprof.sweep(module, {"batch": range(1, 33)}, torch.zeros(2, 8))
    assert found.runtime == "pytorch"
    assert [found.points[i].peak_intermediate_bytes for i in (0, 31)] == [2 * 64, 32 * 128]
    assert found.evaluations < 10
    step = memprof.sweep(module, {"batch": [3, 9]}, torch.zeros(2, 8), training=memprof.Training("adam"))
    expected = memprof.analyze(module, torch.zeros(9, 8), training=memprof.Training("adam"))
    assert step.points[-1].peak_intermediate_bytes == expected.peak_intermediate_bytes


def test_a_sweep_is_saved_with_its_report(tmp_path: Path) -> None:
    path = written(tmp_path, attention("batch", "seq"))
    report = memprof.analyze(path, runtimes=["reference"])
    report = replace(report, sweep=memprof.sweep(path, {"seq": range(8, 99)}, runtime="reference"))
    document = report.to_json()
    check_document(document)
    assert document["sweep"][0].keys() >= {"dims", "peak_intermediate_bytes", "process_bytes"}
    read = Report.from_json(document).sweep
    assert isinstance(read, Sweep)
    assert read == report.sweep


@pytest.mark.parametrize(
    "text", ["batch", "batch=", "=1..4", "batch=4..1", "batch=1..4:0", "batch=a", "batch=1,,2", "batch=1..9999999"]
)
def test_what_is_no_sweep_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--sweep"):
        parse_axes([text])


def test_sizes_that_were_given_are_kept_and_only_the_one_changes(tmp_path: Path) -> None:
    nodes = [node("Add", ["ids", "mask"], ["y"])]
    inputs = [tensor("ids", ["b", "s"], TensorProto.INT64), tensor("mask", ["b", "s"], TensorProto.INT64)]
    path = written(tmp_path, model(nodes, inputs=inputs, outputs=["y"]))
    request = Request(source=path, inputs={"ids": (3, 7)})
    axes = find_axes(request, memprof.load(request), ["length"])
    resized = axes.resized({"length": 9})
    assert resized.inputs == {"ids": (3, 9)}
    assert resized.dims == {"b": 3, "s": 9}


def test_over_two_dimensions_rows_that_agree_are_one_formula(tmp_path: Path) -> None:
    path = tmp_path / "image.onnx"
    path.write_bytes(image("batch", 3, "height", 64).SerializeToString())
    over = {"batch": range(1, 7), "height": range(32, 128, 8)}
    found = memprof.sweep(path, over, runtime="reference")
    (surface,) = found.surfaces
    assert found.surface_dims == ("batch", "height")
    assert (surface.first, surface.last) == ((1, 32), (6, 120))
    for point in found.points:
        assert surface.at(point.dims["batch"], point.dims["height"]) == point.peak_intermediate_bytes
    assert found.evaluations < len(found.points)
    report = replace(memprof.analyze(path, runtimes=["reference"]), sweep=found)
    document = report.to_json()
    check_document(document)
    assert Report.from_json(document).sweep == found
    shown = io.StringIO()
    render_sweep(report, shown, top=8, next_command="")
    assert "Peak = " in shown.getvalue()
    assert "batch height" in shown.getvalue()
