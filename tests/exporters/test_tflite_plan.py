"""Planned .tflite files: the same network at new addresses, in a new order, with weights where they were."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from memprof.base.errors import IncompleteError, UsageError
from memprof.cli import main
from memprof.exporters.tflite_plan import planned_content, write_planned
from memprof.importers.flatbuffers import Flatbuffer
from memprof.importers.tflite import read_tflite
from memprof.importers.tflite.schema import read_contents
from memprof.ir.program import Program
from memprof.planning.tflm import plan_program
from memprof.runtimes.tflm import find_arena
from tests import tflite_models as make
from tests.importers.tflite.test_reading import branches, small_network
from tests.real_data import require_shared_data
from tests.schemas import check_document
from tests.tflite_models import Graph, Number, Operator, Tensor

WIDE, NARROW = (1, 1024), (1, 128)


def two_arms() -> bytes:
    """Two arms that grow and shrink: the file's order grows both before it shrinks either."""
    tensors = [Tensor("x", NARROW), Tensor("a", WIDE), Tensor("b", WIDE), Tensor("c", (1, 1)), Tensor("d", (1, 1))]
    tensors += [Tensor("y", (1, 1)), Tensor("axis", (1,), make.INT32, b"\1\0\0\0")]
    concatenate, mean = {0: Number("i", 1)}, {0: Number("B", 1)}
    operators = [
        Operator("CONCATENATION", ["x"] * 8, ["a"], concatenate, union=10),
        Operator("CONCATENATION", ["x"] * 8, ["b"], concatenate, union=10),
        Operator("MEAN", ["a", "axis"], ["c"], mean, union=27),
        Operator("MEAN", ["b", "axis"], ["d"], mean, union=27),
        Operator("ADD", ["c", "d"], ["y"], {0: Number("b", 0)}, union=11),
    ]
    return make.model(Graph(tensors, operators, ["x"], ["y"]))


def fragmented() -> bytes:
    """A chain whose sizes make greedy by size leave a hole."""
    sizes = {"x": 48, "a": 32, "b": 32, "c": 64, "y": 16}
    tensors = [Tensor(name, (1, size)) for name, size in sizes.items()]
    operators = [Operator("RELU", [i], [o]) for i, o in (("x", "a"), ("a", "b"), ("b", "c"), ("c", "y"))]
    return make.model(Graph(tensors, operators, ["x"], ["y"]))


def program_of(content: bytes) -> Program:
    return read_contents(Flatbuffer(lambda start, length: content[start : start + length], len(content))).program


def test_a_better_order_is_found_proven_and_written() -> None:
    content = two_arms()
    plan = plan_program(program_of(content))

    assert plan.before_bytes == 1024 + 1024 + 128  # both arms and the input
    assert (
        plan.head_bytes == plan.order_bound_bytes == 128 + 1024 + 4 * 16
    )  # one arm, a mean, three pieces of scratch
    found = program_of(planned_content(content, plan.program, plan.order))
    assert find_arena(found).head_bytes == plan.head_bytes
    assert sorted(op.outputs for op in found.subgraphs[0].operators) == [(1,), (2,), (3,), (4,), (5,)]


@pytest.mark.parametrize("content", [fragmented(), branches(), make.model(small_network()), make.chain(100, 50, 70)])
def test_a_plan_is_never_larger_and_reads_back(content: bytes) -> None:
    program = program_of(content)
    plan = plan_program(program)
    found = program_of(planned_content(content, plan.program, plan.order))

    assert plan.head_bytes <= plan.before_bytes == find_arena(program).head_bytes
    assert find_arena(found).head_bytes == plan.head_bytes >= plan.bound_bytes
    assert found.subgraphs == plan.program.subgraphs


def test_what_the_file_holds_besides_stays(tmp_path: Path) -> None:
    more = {6: [{0: "min_runtime_version", 1: Number("I", 0)}], 7: [{2: "serve", 4: Number("I", 0)}]}
    tensors = [Tensor(f"t{i}", (1, size)) for i, size in enumerate((1024, 16, 1024, 16))]
    operators = [Operator("RELU", [f"t{i}"], [f"t{i + 1}"]) for i in range(3)]
    content = make.model(Graph(tensors, operators, ["t0"], ["t3"]), more=more)
    program = program_of(content)
    offsets = (0, 1024, 0, 1040)
    found = program_of(planned_content(content, replace(program, offsets=offsets), range(3)))

    assert found.metadata == ("min_runtime_version", "OfflineMemoryAllocation")
    assert found.signatures == {"serve": 0}
    assert found.offsets == offsets


def test_weights_behind_the_flatbuffer_are_moved_along() -> None:
    graph = Graph(
        [Tensor("x", (1, 8)), Tensor("w", (8,), more={2: Number("I", 1)}), Tensor("y", (1, 8))],
        [Operator("ADD", ["x", "w"], ["y"])],
        ["x"],
        ["y"],
    )
    bare = make.model(graph, buffers=[{1: Number("Q", 4096), 2: Number("Q", 8)}])
    content = bare + bytes(4096 - len(bare)) + b"ABCDEFGH"
    program = program_of(content)
    planned = planned_content(content, replace(program, offsets=(0, 16, 32)), range(1))

    file = Flatbuffer(lambda start, length: planned[start : start + length], len(planned))
    buffer = list(file.table(file.uint32(0)).children(4))[1]
    assert planned[buffer.uint64(1) : buffer.uint64(1) + 8] == b"ABCDEFGH"


def test_state_keeps_its_order_and_its_place() -> None:
    tensors = [Tensor("x", (1, 16)), Tensor("s", (1, 16), is_variable=True), Tensor("a", WIDE), Tensor("y", (1, 16))]
    operators = [Operator("ADD", ["x", "s"], ["a"]), Operator("ADD", ["a", "s"], ["y"])]
    plan = plan_program(program_of(make.model(Graph(tensors, operators, ["x"], ["y"]))))

    assert plan.order == (0, 1)
    assert plan.program.offsets in ((), (*plan.program.offsets[:1], -1, *plan.program.offsets[2:]))


def test_unknown_kernels_and_planned_files_are_refused(tmp_path: Path) -> None:
    odd = Graph([Tensor("x", (1, 4)), Tensor("y", (1, 4))], [Operator("custom.Odd", ["x"], ["y"])], ["x"], ["y"])
    with pytest.raises(IncompleteError, match=r"custom\.Odd"):
        plan_program(program_of(make.model(odd)))
    content = two_arms()
    plan = plan_program(program_of(content), keep_order=True)
    fixed = replace(plan.program, offsets=(0, 16, 1040, 2064, 2080, 16, -1))
    planned = program_of(planned_content(content, fixed, range(5)))
    with pytest.raises(UsageError, match="plan of addresses of its own"):
        plan_program(planned)


def test_the_model_itself_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(two_arms())
    plan = plan_program(program_of(two_arms()))

    with pytest.raises(UsageError, match="is the model itself"):
        write_planned(path, path, plan.program, plan.order)


def test_the_command_writes_files_and_a_document(tmp_path: Path) -> None:
    path, target, header = tmp_path / "m.tflite", tmp_path / "better.tflite", tmp_path / "plan.h"
    path.write_bytes(two_arms())
    done = CliRunner().invoke(main, ["plan", str(path), "-o", str(target), "--json", "--budget", "4K"])

    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    check_document(document)
    assert document["head_bytes"] == 1216 and document["budget"] == {"bytes": 4096, "fits": True}
    program = read_tflite(target, dims={}, inputs={}).graph.program
    assert program is not None and find_arena(program).head_bytes == 1216
    assert CliRunner().invoke(main, ["plan", str(path), "-o", str(header)]).exit_code == 0
    assert "model" in header.read_text() or "m_plan_words" in header.read_text()
    assert CliRunner().invoke(main, ["plan", str(path), "--budget", "1K"]).exit_code == 1
    assert CliRunner().invoke(main, ["plan", str(path), "--in-place"]).exit_code == 2


def test_a_runtime_may_be_named_and_one_that_reads_no_plan_says_so(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(two_arms())
    named = CliRunner().invoke(main, ["plan", str(path), "--runtime", "tflm", "--json"])
    other = CliRunner().invoke(main, ["plan", str(path), "--runtime", "litert"])

    assert named.exit_code == 0 and json.loads(named.stdout)["head_bytes"] == 1216
    assert other.exit_code == 2 and "reads no plan" in other.stderr


def test_planned_files_compute_the_same_in_the_runtime(tmp_path: Path) -> None:
    pytest.importorskip("tflite_micro", reason="the extra tflm is not installed")
    from memprof.measure.child import Limits
    from memprof.measure.tflm import run_arena

    sources = [require_shared_data() / "models" / "vww_96_int8.tflite"]
    for i, content in enumerate((two_arms(), branches())):
        sources.append(tmp_path / f"{i}.tflite")
        sources[-1].write_bytes(content)
    for source in sources:
        program = read_tflite(source, dims={}, inputs={}).graph.program
        assert program is not None
        plan = plan_program(program)
        target = tmp_path / f"planned-{source.name}"
        write_planned(source, target, plan.program, plan.order)

        before, after = (run_arena(str(path), 2**20, Limits(seconds=60), runs=2) for path in (source, target))

        assert after.head_bytes == plan.head_bytes <= before.head_bytes
        assert after.outputs == before.outputs
