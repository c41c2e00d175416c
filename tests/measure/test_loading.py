"""What making a session takes is asked of one with zeros for weights: the look-alike, the answer, and its absence."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from memprof.importers.onnx import read_onnx
from memprof.importers.onnx.read import parse
from memprof.importers.request import Request
from memprof.measure import others as rehearsal_others
from memprof.measure import rehearsal
from memprof.measure.child import Limits
from memprof.measure.feeds import input_specs
from memprof.measure.loading import Question, find_loading, prepare
from memprof.measure.onnxruntime import measure_process, read_loading, rehearse_loading
from memprof.measure.others import Others
from memprof.measure.sessions import with_session
from memprof.measure.stand_in import left_out_bytes, write_apart, write_look_alike, write_stand_in
from memprof.runtimes.onnxruntime.default import session_frame, session_loading
from memprof.runtimes.onnxruntime.process import STAGES, process_growth

LIMITS = Limits(seconds=60)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a row of convolutions, whose filters loading lays out anew, and a constant in a node."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    filters = [numpy_helper.from_array(rng.random((128, 128, 3, 3), np.float32), f"w{i}") for i in range(6)]
    added = numpy_helper.from_array(rng.random((1, 128, 16, 16), np.float32), "constant")
    nodes = [helper.make_node("Constant", [], ["c"], value=added), helper.make_node("Add", ["x", "c"], ["x0"])]
    nodes += [helper.make_node("Conv", [f"x{i}", f"w{i}"], [f"x{i + 1}"], pads=[1] * 4) for i in range(6)]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 128, 16, 16]) for name in ("x", "x6")]
    graph = helper.make_graph(nodes, "row", ends[:1], ends[1:], filters)
    path = tmp_path / "row.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def question(file: Path, constant_bytes: int = 0, threads: int = 1) -> Question:
    digest = parse(file)[1]
    return Question(path=file, digest=digest, constant_bytes=constant_bytes, threads=threads, limits=LIMITS)


def test_a_look_alike_holds_zeros_where_the_file_holds_weights(file: Path, tmp_path: Path) -> None:
    structure, _ = parse(file)
    assert left_out_bytes(structure) == 6 * 128 * 128 * 9 * 4 + 128 * 256 * 4
    look_alike = tmp_path / "look_alike.onnx"
    write_look_alike(structure, look_alike)

    source, found = onnx.load(file), onnx.load(look_alike)
    onnx.checker.check_model(found)
    assert look_alike.stat().st_size == pytest.approx(file.stat().st_size, abs=100)
    assert [t.name for t in found.graph.initializer] == [t.name for t in source.graph.initializer]
    weights = [*found.graph.initializer, found.graph.node[0].attribute[0].t]
    assert len({numpy_helper.to_array(tensor).tobytes() for tensor in weights}) == 7  # equal ones would be shared
    assert not any(numpy_helper.to_array(tensor).reshape(-1)[1:].any() for tensor in weights)
    for graph in (source.graph, found.graph):
        del graph.initializer[:]
        graph.node[0].attribute[0].t.ClearField("raw_data")
    assert found == source


@pytest.mark.parametrize("write", [write_stand_in, write_apart, write_look_alike])
def test_what_native_code_gets_names_no_file_of_a_stranger(write: Callable[..., None], tmp_path: Path) -> None:
    def elsewhere() -> onnx.NodeProto:
        tensor = TensorProto(name="t", data_type=TensorProto.FLOAT, dims=[8])
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="secret.bin")
        return helper.make_node("Constant", [], ["t"], value=tensor)

    output = [helper.make_tensor_value_info("t", TensorProto.FLOAT, [8])]
    body = helper.make_graph([elsewhere()], "body", [], output)
    condition = helper.make_tensor_value_info("c", TensorProto.BOOL, [])
    branch = helper.make_node("If", ["c"], ["y"], then_branch=body, else_branch=body)
    graph = helper.make_graph([elsewhere(), branch], "graph", [condition], output)
    source, target = tmp_path / "source.onnx", tmp_path / "target.onnx"
    source.write_bytes(helper.make_model(graph).SerializeToString())
    structure, _ = parse(source)
    assert b"secret.bin" in structure.SerializeToString()
    write(structure, target)
    assert b"secret.bin" not in target.read_bytes()


def test_making_a_session_takes_what_a_session_without_its_weights_takes(file: Path) -> None:
    pytest.importorskip("onnxruntime")
    request = Request(source=file, threads=1)
    model = with_session(read_onnx(request), request)
    growth = process_growth(model.graph, session_frame(model), session_loading(model))

    found = measure_process(str(file), input_specs(model.graph), LIMITS, threads=1)

    assert growth is not None
    total = sum(found[name] or 0 for name in STAGES)
    assert sum(growth.parts.values()) == pytest.approx(total, rel=0.05)
    for name, size in growth.of_session.items():
        assert size == pytest.approx(found[name], rel=0.03, abs=300_000)


def test_an_answer_is_kept_and_nobody_asks_about_many_weights(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    first = find_loading(question(file))
    assert first is not None
    assert read_loading(json.loads(json.dumps(asdict(first)))) == first

    monkeypatch.setattr("memprof.measure.loading.rehearse_loading", lambda *_, **__: pytest.fail("asked again"))
    assert find_loading(question(file)) == first
    assert find_loading(question(file, constant_bytes=2**40)) is None


def test_a_body_that_claims_gigabytes_is_not_held(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = onnx.load(file)
    claimed = helper.make_node("Constant", [], ["y"], value=TensorProto(data_type=TensorProto.FLOAT, dims=[2**38]))
    body = helper.make_graph([claimed], "body", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    flag = helper.make_tensor_value_info("flag", TensorProto.BOOL, [])
    found.graph.input.append(flag)
    found.graph.node.append(helper.make_node("If", ["flag"], ["unused"], then_branch=body, else_branch=body))
    onnx.save(found, file)
    monkeypatch.setattr("memprof.measure.loading.rehearse_loading", lambda *_, **__: pytest.fail("asked"))
    assert find_loading(question(file)) is None


@pytest.mark.parametrize(
    ("sizes", "counted"),
    [
        pytest.param([10_000, 40_000, 20_000, 15_000, 30_000], 5, id="apart"),
        pytest.param([10_000, 10_100, 10_050, 40_000, 40_000], 3, id="alike"),
        pytest.param([2**28, 2**27, 2**26, 1, 1], 3, id="long to load"),
    ],
)
def test_as_many_processes_are_asked_as_tell_whether_they_differ(
    monkeypatch: pytest.MonkeyPatch, sizes: list[int], counted: int
) -> None:
    def load(libc: object, model: str, threads: int, number: int) -> dict[str, Any]:
        names = dict.fromkeys(("taken_bytes", "given_back_bytes", "top", "end", "threshold"), 0)
        return {**names, "library_bytes": number, "anonymous_bytes": sizes[number], "holes": [], "written": []}

    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(rehearsal, "_load", load)
    found = rehearsal.rehearse("any.onnx", 1)
    if found is None:
        pytest.skip("the system does not tell")
    assert [one["anonymous_bytes"] for one in (found, *found["others"])] == sizes[:counted]
    assert {one["library_bytes"] for one in found["others"]} == {0}, "pages of files are those of the first"


@pytest.mark.parametrize(
    ("anonymous", "holes", "given_back", "asks"),
    [
        (100, 7, 0, False),
        (100, 0, 7, False),
        (100, 6, 6, True),
        (100, 15, 0, True),
        (2**26, 0, 0, False),
        (2**26 + 1, 0, 0, True),
    ],
)
def test_others_are_asked_where_much_is_left_or_given_back(
    monkeypatch: pytest.MonkeyPatch, anonymous: int, holes: int, given_back: int, asks: bool
) -> None:
    def load(*_: object) -> dict[str, Any]:
        names = dict.fromkeys(("library_bytes", "top", "end", "threshold"), 0)
        sizes = {"anonymous_bytes": anonymous, "taken_bytes": anonymous - holes, "given_back_bytes": given_back}
        return {**names, **sizes, "holes": [], "written": []}

    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(rehearsal, "_load", load)
    found = rehearsal.rehearse("any.onnx", 1)
    if found is None:
        pytest.skip("the system does not tell")
    assert bool(found.get("others")) is asks


def test_a_copy_that_fails_or_dies_says_nothing_and_all_end_with_the_asker() -> None:
    if not hasattr(os, "fork"):
        pytest.skip("no copies of a process here")

    def work(number: int) -> int | str:
        if number == 1:
            raise ValueError(number)
        if number == 2:
            os._exit(3)
        if number == 5:
            rehearsal_others._write = lambda end, piece: os._exit(os.write(end, piece[:1]))
            return "whole"
        return 10 * number

    with Others(6, work) as others:
        pids = list(others._pids)
        assert [others.ask(index) for index in range(3)] == [None, None, 30]
        os.kill(pids[3], signal.SIGKILL)
        os.waitid(os.P_PID, pids[3], os.WEXITED | os.WNOWAIT)
        assert [others.ask(3), others.ask(4)] == [None, None]
    for pid in pids:  # the last was never asked
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def test_where_no_more_processes_are_allowed_there_are_fewer_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(os, "fork"):
        pytest.skip("no copies of a process here")
    fork, made = os.fork, list[int]()

    def one_alone() -> int:
        if made:
            raise BlockingIOError
        made.append(pid := fork())
        return pid

    monkeypatch.setattr(os, "fork", one_alone)
    with Others(3, lambda number: 10 * number) as others:
        assert [others.ask(index) for index in range(3)] == [10, None, None]


@pytest.mark.parametrize("end", ["os._exit(3)", "os.kill(os.getpid(), 9)"])
def test_copies_end_with_a_process_that_crashes(end: str) -> None:
    """Its output is open as long as one of them lives."""
    if not sys.platform.startswith("linux"):
        pytest.skip("the system tells no process that its parent is gone")
    script = f"import os\nfrom memprof.measure.others import Others\nOthers(3, print)\n{end}"
    subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60, check=False)


def test_processes_that_began_with_other_heaps_keep_as_much(file: Path) -> None:
    pytest.importorskip("onnxruntime")
    asked = question(file)
    prepare(parse(file)[0], asked, look_alike := file.with_name("look_alike.onnx"))
    first = rehearse_loading(str(look_alike), asked.limits, threads=1)
    if first is None:
        pytest.skip("the system does not tell")
    assert len(first.others) >= 2, "its filters are laid out anew: as much is given back as it keeps"
    for other in first.others:
        assert other.taken_bytes == pytest.approx(first.taken_bytes, rel=0.02)
        assert other.library_bytes == first.library_bytes
        assert other.end == pytest.approx(first.end, rel=0.1), "the heap is read to its end"
        assert sum(size for _, size in other.holes) == pytest.approx(sum(size for _, size in first.holes), rel=0.3)
    assert len({other.holes for other in (first, *first.others)}) > 1


def test_nobody_is_asked_where_the_file_alone_counts(file: Path) -> None:
    request = Request(source=file, from_file=True)
    model = with_session(read_onnx(request), request)
    assert session_loading(model) is None
