"""Saved reports, .pt2 archives and tables of buffers from a stranger: one sentence, soon, whatever the numbers."""

from __future__ import annotations

import json
import random
import zipfile
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

import memprof
from memprof.base.errors import InputError, LimitError, MemprofError
from memprof.base.text import text_cell
from memprof.cli import main
from memprof.importers.documents import parse_json
from memprof.planning.minimalloc import MAX_ROWS, parse_csv, write_csv
from memprof.planning.offsets.problem import AllocationBuffer, AllocationProblem
from memprof.planning.offsets.solver import plan_offsets
from tests.cli.conftest import write_chain
from tests.hostile.documents import places

ODD = (
    *("9" * 400, "-" + "9" * 400, "1e999", "-1e999", "NaN", "Infinity", "18446744073709551616", "-1", "1.5"),
    *("true", "null", '"9"', "[]", "{}"),
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A report as it is saved."""
    model = write_chain(tmp_path_factory.mktemp("saved") / "net.onnx", ["Relu", "Sigmoid"], [1, 8])
    return memprof.analyze(model).to_json()


def with_value(document: Any, path: tuple[Any, ...], text: str) -> str:
    """Return the document as JSON with ``text`` at a place."""
    mark = "@here@"
    copy = json.loads(json.dumps(document))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = mark
    return json.dumps(copy).replace(f'"{mark}"', text)


@pytest.mark.parametrize("seed", range(300))
def test_a_report_with_any_odd_value_is_read_or_refused(saved: Any, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    ways = sorted(places(saved), key=repr)
    path = tmp_path / "report.json"
    path.write_text(with_value(saved, rng.choice(ways), rng.choice(ODD)))

    for read in (memprof.analyze, memprof.snapshot):
        try:
            json.dumps(read(path).to_json(), allow_nan=False)
        except MemprofError as error:
            assert error.code in (2, 3)


@pytest.mark.parametrize("text", [ODD[0], "NaN", "Infinity", "-Infinity", "[" * 100_000])
def test_json_that_no_program_wrote_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"digits|number|deep"):
        parse_json(text.encode())


def test_a_digest_of_many_digits_is_text() -> None:
    assert parse_json(json.dumps({"sha": "1" * 64, "bytes": 2**63}).encode()) == {"sha": "1" * 64, "bytes": 2**63}


def program(size: str) -> str:
    """Return the JSON of a program of torch.export with one input, one of whose sizes is ``size``."""
    meta = {
        "dtype": 7, "sizes": [{"as_int": "@size@"}], "strides": [{"as_int": 1}], "storage_offset": {"as_int": 0},
        "device": "cpu",
    }  # fmt: skip
    graph = {
        "nodes": [], "inputs": [{"as_tensor": {"name": "x"}}], "outputs": [{"as_tensor": {"name": "x"}}],
        "tensor_values": {"x": meta},
    }  # fmt: skip
    signature = {"input_specs": [{"user_input": {"arg": {"as_tensor": {"name": "x"}}}}]}
    document = json.dumps({"graph_module": {"graph": graph, "signature": signature}})
    return document.replace('"@size@"', size)


@pytest.mark.parametrize("size", ODD)
def test_a_pt2_with_any_odd_size_is_read_or_refused(tmp_path: Path, size: str) -> None:
    path = tmp_path / "net.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/models/model.json", program(size))

    try:
        json.dumps(memprof.analyze(path).to_json(), allow_nan=False)
    except MemprofError as error:
        assert error.code in (2, 3)


@pytest.mark.parametrize("dtype", ["99", "0", "-1", "NaN", "1e999", "null", '"7"', "7.5"])
def test_an_element_type_that_nobody_knows_is_listed_as_the_reason(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "net.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/models/model.json", program("8").replace('"dtype": 7', f'"dtype": {dtype}'))

    report = memprof.analyze(path)

    assert report.runtimes["reference"].peak_intermediate_bytes is None
    assert [(unknown.kind, unknown.name) for unknown in report.unknown] == [("dtype", "x")]


def test_the_program_of_the_test_above_is_one(tmp_path: Path) -> None:
    path = tmp_path / "net.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/models/model.json", program("8"))

    assert memprof.analyze(path).runtimes["reference"].peak_intermediate_bytes == 32


def test_a_table_of_a_million_rows_is_refused_before_it_is_read() -> None:
    with pytest.raises(LimitError, match=f"more than {MAX_ROWS:,} lines"):
        parse_csv("id,lower,upper,size\n" + "b,0,1,1\n" * (MAX_ROWS + 1))


@pytest.mark.parametrize("name", ["=1+1", "＝1+1", "\u00a0=1+1", "  @x", "＋1", "-1"])  # noqa: RUF001 - meant
def test_no_cell_of_a_plan_is_a_formula(name: str) -> None:
    assert text_cell(name).startswith("'")
    buffer = AllocationBuffer(name=name, start=0, stop=1, size_bytes=4)
    stream = StringIO()
    write_csv(plan_offsets(AllocationProblem(buffers=(buffer,), alignment=1), seconds=0), stream)
    assert stream.getvalue().splitlines()[1].startswith("'")


def test_devices_and_sparse_giants_are_refused_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    giants = []
    for suffix in ("onnx", "pt2", "json", "csv", "tflite"):
        path = tmp_path / f"giant.{suffix}"
        with path.open("wb") as stream:
            stream.truncate(3 * 2**30)
        giants.append(path)
    for path in giants:
        verb = "plan" if path.suffix == ".csv" else "analyze"
        assert main.main([verb, str(path)], standalone_mode=False) == 3, path
        assert len(capsys.readouterr().err.splitlines()) <= 2
    for suffix in ("onnx", "pt2", "json", "tflite"):
        link = tmp_path / f"zero.{suffix}"
        link.symlink_to("/dev/zero")
        assert main.main(["analyze", str(link)], standalone_mode=False) == 3, link


def test_a_file_that_is_no_report_says_so(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text('{"schema": ' + "9" * 400 + "}")
    with pytest.raises(InputError, match="an integer of 400 digits"):
        memprof.analyze(path)
