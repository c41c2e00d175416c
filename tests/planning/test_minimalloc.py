"""minimalloc's CSV: what is read, what is refused and in which line, and that writing and reading agree."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from random import Random

import pytest

from memprof.base.errors import InputError, LimitError
from memprof.planning import minimalloc
from memprof.planning.minimalloc import parse_csv, read_csv, write_csv
from memprof.planning.offsets.problem import AllocationBuffer, AllocationProblem
from memprof.planning.offsets.solver import plan_offsets
from tests.planning.offsets.problems import loose_problem, write_problem
from tests.real_data import require_shared_data

EXAMPLE = "id,lower,upper,size\nb1,0,3,4\nb2,3,9,4\n"


def test_rows_become_buffers() -> None:
    table = parse_csv(EXAMPLE)
    assert table.offsets is None
    assert table.problem.buffers == (
        AllocationBuffer(name="b1", start=0, stop=3, size_bytes=4, traffic_bytes=8),
        AllocationBuffer(name="b2", start=3, stop=9, size_bytes=4, traffic_bytes=8),
    )


def test_columns_come_in_any_order_with_blanks_windows_line_ends_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes(b"\xef\xbb\xbfSize, offset ,upper,lower,id\r\n4,8,3,0, b1 \r\n\r\n5,0,9,3,b2")
    table = read_csv(path)
    assert [(b.name, b.start, b.stop, b.size_bytes) for b in table.problem.buffers] == [
        ("b1", 0, 3, 4),
        ("b2", 3, 9, 5),
    ]
    assert table.offsets == (8, 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "CSV, line 1: the header lacks id, lower, upper, size."),
        ("id,lower,upper\n", "CSV, line 1: the header lacks size."),
        ("id,lower,upper,size,gaps\n", "CSV, line 1: 'gaps': there is no such column."),
        ("id,start,end,size\n", "CSV, line 1: 'start': there is no such column."),
        ("id,lower,upper,size,size\n", "CSV, line 1: 'size': the column is there twice."),
        (EXAMPLE + "b3,1,2\n", "CSV, line 4: 3 cells under a header of 4."),
        (EXAMPLE + "\nb3,1,2,x\n", "CSV, line 5: size 'x' is no whole number from 0 up."),
        (EXAMPLE + "b3,-1,2,3\n", "CSV, line 4: lower '-1' is no whole number from 0 up."),
        (EXAMPLE + "b3,1.5,2,3\n", "CSV, line 4: lower '1.5' is no whole number from 0 up."),
        (EXAMPLE + f"b3,1,2,{2**63}\n", f"CSV, line 4: size '{2**63}' has 19 digits, more than 18."),
        (EXAMPLE + "b3,1,2,٣\n", "CSV, line 4: size '٣' is no whole number from 0 up."),
        (EXAMPLE + "b3,5,2,3\n", "CSV, line 4: upper 2 is below lower 5."),
        (EXAMPLE + "b1,5,6,3\n", "CSV, line 4: id 'b1' is also in line 2."),
        (EXAMPLE + "b3,1,2," + "9" * 18 + "\n", "CSV, line 4: Buffer 'b3' has 999999999999999999 bytes"),
        (EXAMPLE + "b3,1,2," + "9" * 5000 + "\n", "CSV, line 4: size '9999"),
        (EXAMPLE + '"b3,1,2,3\n', "CSV, line 4: unexpected end of data"),
    ],
)
def test_a_bad_table_is_one_error_with_its_line(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_csv(text)
    assert caught.value.message.startswith(message)
    assert "\n" not in caught.value.message


def test_a_file_that_cannot_be_read_is_an_input_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_csv(tmp_path / "missing.csv")
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"id,\xff\xfe")
    with pytest.raises(InputError, match="byte 3 is not UTF-8"):
        read_csv(binary)
    monkeypatch.setattr(minimalloc, "MAX_FILE_BYTES", 3)
    with pytest.raises(LimitError, match="more than 3 bytes"):
        read_csv(binary)


def test_what_is_written_is_read_again() -> None:
    for seed in range(100):
        problem = loose_problem(Random(seed))
        plan = plan_offsets(problem)
        text = StringIO()
        write_csv(plan, text)
        table = parse_csv(text.getvalue(), alignment=problem.alignment)
        assert table.problem == problem
        assert table.offsets == plan.offsets
        question = StringIO()
        write_problem(problem, question)
        assert parse_csv(question.getvalue(), alignment=problem.alignment).problem == problem


def test_a_name_is_data_to_whoever_opens_the_file() -> None:
    names = ("=1+1", "a,b", 'say "x"', "line\nbreak", "\x1b[31m")
    buffers = tuple(AllocationBuffer(name=name, start=0, stop=1, size_bytes=1) for name in names)
    text = StringIO()
    write_csv(plan_offsets(AllocationProblem(buffers=buffers)), text)
    assert text.getvalue().count("\n") == 1 + len(names)
    read = [buffer.name for buffer in parse_csv(text.getvalue()).problem.buffers]
    assert read == ["'=1+1", "a,b", 'say "x"', "line\\x0abreak", "\\x1b[31m"]


@pytest.mark.parametrize(
    ("file", "buffers", "load"),
    [("example.12.csv", 5, 12), ("A.1048576.csv", 154, 1048576), ("somas_resnet50.csv", 1042, 1515472556)],
)
def test_published_problems_have_their_published_load(file: str, buffers: int, load: int) -> None:
    problem = read_csv(require_shared_data() / "allocation" / file).problem
    assert (len(problem.buffers), problem.load_bytes) == (buffers, load)
