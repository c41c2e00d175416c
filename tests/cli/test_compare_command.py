"""``memprof compare``: models and saved reports, in any mix."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

import memprof
from memprof.base.errors import InputError, UsageError
from memprof.render.comparison_words import summarize_comparison
from tests.cli.conftest import Run, write_chain, write_counting
from tests.render.graphs import HOSTILE_NAMES, chain, wide
from tests.schemas import check_document


@pytest.fixture
def larger(tmp_path: Path) -> Path:
    return write_chain(tmp_path / "larger.onnx", ["Relu", "Sigmoid"], [1, 500], ["t0", "wide", "t2"])


@pytest.fixture
def saved(run: Run, model: Path, tmp_path: Path) -> Path:
    run("analyze", model, "-o", tmp_path / "saved.json")
    return tmp_path / "saved.json"


def test_line_one_is_the_change_of_the_peak_and_the_last_line_explains_the_larger(
    run: Run, model: Path, larger: Path
) -> None:
    lines = run("compare", model, larger).stdout.splitlines()
    assert lines[0] == "Peak 2.00 kB to 4.00 kB, 2.00 kB more, 2.000 times (reference)"
    assert lines[-1] == f"Next: memprof analyze {larger} --why"
    back = run("compare", larger, model).stdout.splitlines()
    assert back[0] == "Peak 4.00 kB to 2.00 kB, 2.00 kB less, 0.500 times (reference)"
    assert back[-1] == lines[-1]


def test_sizes_that_are_assumed_on_a_side_are_said_of_it(run: Run, model: Path, dynamic_model: Path) -> None:
    one = run("compare", model, dynamic_model)
    assert "Assumed after: batch=1; to change: --dim batch=8\n" in one.stdout
    assert "Assumed before" not in one.stdout
    assert "Assumed: batch=1; to change" in run("compare", dynamic_model, dynamic_model).stdout
    assert (
        "**Assumed after:** `batch=1`; to change: `--dim batch=8`"
        in run("compare", model, dynamic_model, "--markdown").stdout
    )
    document = run("compare", model, dynamic_model, "--json").json
    check_document(document)
    numbers = document["numbers"]
    assert [[note["hint"] for note in numbers[side]["assumed"]] for side in numbers] == [[], ["--dim batch=1"]]
    for flags in ((), ("--json",), ("--markdown",)):
        assert run("compare", model, dynamic_model, "--strict", *flags).code == 4
    assert run("compare", model, model, "--strict").code == 0
    assert run("compare", dynamic_model, dynamic_model, "--strict", "--dim", "batch=2").code == 0


def test_json_holds_both_numbers_the_difference_and_the_ratio(run: Run, model: Path, larger: Path) -> None:
    found = run("compare", model, larger, "--json").json
    change = {"before": 2000, "after": 4000, "delta": 2000, "ratio": 2.0}
    assert [side["model"]["path"] for side in found.pop("numbers").values()] == [str(model), str(larger)]
    assert found == {
        "schema": "memprof/comparison/2",
        "before": str(model),
        "after": str(larger),
        "headline": "reference",
        "peak_intermediate_bytes": {
            "reference": change,
            "ideal": change,
            "paper": {"before": 1000, "after": 2000, "delta": 1000, "ratio": 2.0},
            "onnxruntime": change,
        },
        "total_bytes": change,
        "parameter_bytes": {"before": 0, "after": 0, "delta": 0, "ratio": None},
        "foldable_constant_bytes": {"before": 0, "after": 0, "delta": 0, "ratio": None},
        "macs": {"before": 0, "after": 0, "delta": 0, "ratio": None},
        "gone_at_peak": [{"name": "t1", "bytes": 1000}],
        "new_at_peak": [{"name": "wide", "bytes": 2000}],
        "peak_moved": {"before": "node_0", "after": "node_0"},
        "changed_at_peak": [
            {"name": "wide", "before": 0, "after": 2000},
            {"name": "t0", "before": 1000, "after": 2000},
            {"name": "t1", "before": 1000, "after": 0},
        ],
        "changed_modules_at_peak": [],
        "changed_modules_parameters": [],
    }


def test_a_saved_report_is_as_good_as_its_model(run: Run, model: Path, larger: Path, saved: Path) -> None:
    assert run("compare", saved, larger, "--json").json == run("compare", model, larger, "--json").json


def test_nothing_changed_is_said_so(run: Run, model: Path, saved: Path) -> None:
    assert "no change (reference)" in run("compare", saved, model).stdout.splitlines()[0]


def test_what_is_not_known_is_not_compared(run: Run, model: Path, tmp_path: Path) -> None:
    write_counting(tmp_path / "open.onnx")
    first = run("compare", model, tmp_path / "open.onnx").stdout.splitlines()[0]
    assert first == "Peak 2.00 kB to unknown, not comparable: one of them is not known (reference)"
    found = run("compare", model, tmp_path / "open.onnx", "--json").json["peak_intermediate_bytes"]["reference"]
    assert found == {"before": 2000, "after": None, "delta": None, "ratio": None}


def test_the_python_call_takes_reports_and_graphs() -> None:
    found = memprof.compare(memprof.analyze(chain([1, 2])), chain([1, 5]))
    assert (found.peak.before, found.peak.after, found.peak.delta, found.peak.ratio) == (3, 6, 3, 2.0)


def test_reports_without_a_common_runtime_model_cannot_be_compared() -> None:
    paper = memprof.analyze(chain([1, 2]), runtimes=["paper"])
    with pytest.raises(UsageError, match="no runtime model in common"):
        memprof.compare(paper, chain([1, 2]), runtimes=["ideal"])


def test_names_from_a_saved_report_are_text(run: Run, tmp_path: Path) -> None:
    document = memprof.analyze(wide(HOSTILE_NAMES)).to_json()
    document["runtimes"] = {"[red]\x1b[0m\u202e": document["runtimes"]["reference"]}
    document["model"]["path"] = "[/]\x1b[31m"
    other = json.loads(json.dumps(document))
    other["runtimes"]["[red]\x1b[0m\u202e"]["peak"]["live"] = []
    for name, content in (("a.json", document), ("b.json", other)):
        (tmp_path / name).write_text(json.dumps(content))
    for pair in (("a.json", "b.json"), ("b.json", "a.json")):
        found = run("compare", *(tmp_path / name for name in pair), "--top", "99")
        assert found.code == 0
        assert "[red]x" in found.stdout
        assert r"[red]\x1b[0m\u202e" in found.stdout
        assert not {"\x1b", "\u202e"} & set(found.stdout)
        assert all(cell_len(line) <= 80 for line in found.stdout.splitlines()[1:])


def _without(path: str) -> Any:
    document = memprof.analyze(chain([1, 2])).to_json()
    *parents, last = path.split("/")
    record: Any = document
    for parent in parents:
        record = record[int(parent) if parent.isdigit() else parent]
    del record[last]
    return document


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json",
        b"\xff\xfe",
        b"[" * 200_000,
        b"[]",
        b"null",
        b'{"schema": "memprof/analysis/99"}',
        b'{"schema": "memprof/analysis/1"}',
        b'{"schema": "memprof/analysis/1", "model": [], "runtimes": 3}',
        b'{"schema": "memprof/analysis/1", "model": {}, "runtimes": {}}',
        *(
            json.dumps(_without(path)).encode()
            for path in (
                "model/path",
                "model/macs",
                "model/parameter_bytes",
                "runtimes/reference/total_bytes",
                "runtimes/reference/peak/live",
                "runtimes/reference/peak/live/0/name",
            )
        ),
        json.dumps(memprof.analyze(chain([1, 2])).to_json()).replace(": 3", ": true").encode(),
        json.dumps(memprof.analyze(chain([1, 2])).to_json()).replace(": 3", ": -3").encode(),
        json.dumps(memprof.analyze(chain([1, 2])).to_json()).replace(": 3", ": 3.0").encode(),
        b'{"schema": ' + b"9" * 5000 + b"}",
    ],
    ids=range(20),
)
def test_a_damaged_report_is_an_input_error(run: Run, tmp_path: Path, model: Path, content: bytes) -> None:
    (tmp_path / "damaged.json").write_bytes(content)
    found = run("compare", tmp_path / "damaged.json", model)
    assert (found.code, found.stdout) == (3, ""), found
    assert found.stderr.startswith("error: ")


def test_a_missing_report_a_folder_and_a_bottomless_one_are_input_errors(tmp_path: Path) -> None:
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "deep.json").write_bytes(b"[" * 200_000)
    for name in ("missing.json", "folder.json", "deep.json"):
        with pytest.raises(InputError):
            memprof.compare(tmp_path / name, chain([1]))


def test_a_few_sentences_say_how_much_where_and_what(run: Run, model: Path, larger: Path) -> None:
    found = " ".join(run("compare", model, larger).stdout.split())
    assert (
        "larger.onnx needs 2.00 kB more at its peak than net.onnx: 4.00 kB instead of 2.00 kB, 2 times as much. "
        "The peak stays at node_0. Most of the 2.00 kB more: wide (+2.00 kB)." in found
    )


@pytest.mark.parametrize(
    ("before", "after", "sentences"),
    [
        (
            "torchvision:resnet18",
            "torchvision:resnet34",
            "resnet34 needs as much at its peak as resnet18, 6.42 MB. The peak stays at batch_norm. The parameters "
            "grow from 46.8 MB to 87.3 MB, 1.86 times as much; most of that growth is in layer3 and layer4 "
            "(+18.9 MB each).",
        ),
        (
            "torchvision:mobilenet_v2",
            "tests.cli.conftest:wider_mobilenet",
            "tests.cli.conftest:wider_mobilenet needs 4.82 MB more at its peak than torchvision:mobilenet_v2: "
            "14.5 MB instead of 9.63 MB, 1.5 times as much. The peak stays at batch_norm_3 in features.2. Most of "
            "the 4.82 MB more: batch_norm_3 and conv2d_3 (+2.41 MB each). The parameters grow from 14.2 MB to 24.6 "
            "MB, 1.74 times as much; the largest part of that growth is in classifier.1 (+2.05 MB), features.17 "
            "(+1.80 MB) and features.18 (+1.58 MB).",
        ),
    ],
)
def test_two_modules_read_like_a_summary(before: str, after: str, sentences: str) -> None:
    pytest.importorskip("torchvision")
    found = memprof.compare(before, after, inputs={"": (1, 3, 224, 224)}, runtimes=["reference"])
    assert summarize_comparison(found) == sentences


def test_markdown_has_the_sentences_the_numbers_and_what_changed(run: Run, model: Path, larger: Path) -> None:
    lines = run("compare", model, larger, "--markdown").stdout.splitlines()
    assert lines[0] == "<!-- memprof compare -->"
    assert lines[1].startswith("`larger.onnx` needs 2.00 kB more at its peak than `net.onnx`")
    assert "| peak, reference | 2.00 kB | 4.00 kB | +2.00 kB | 2.000 |" in lines
    assert "| `wide` | 0 B | 2.00 kB | +2.00 kB |" in lines
    assert run("compare", model, larger, "--markdown", "--json").code == 2


def test_markdown_shows_hostile_names_as_text(run: Run, tmp_path: Path) -> None:
    for name, sizes in (("a.json", (1,)), ("b.json", (2,))):
        document = memprof.analyze(wide(HOSTILE_NAMES)).to_json()
        document["runtimes"]["reference"]["peak"]["live"][0]["bytes"] = sizes[0]
        document["runtimes"]["reference"]["peak"]["node"] = "[x](http://y) <b>@you"
        (tmp_path / name).write_text(json.dumps(document))
    page = run("compare", tmp_path / "a.json", tmp_path / "b.json", "--markdown").stdout
    assert "<b>" not in page
    assert not {"\x1b", "\u202e"} & set(page)


def test_amounts_that_look_equal_and_are_not_are_told_in_bytes(run: Run, tmp_path: Path) -> None:
    before = write_chain(tmp_path / "before.onnx", ["Relu", "Sigmoid"], [1, 250_000])
    after = write_chain(tmp_path / "after.onnx", ["Relu", "Sigmoid"], [1, 250_001])
    shown = " ".join(run("compare", before, after, "--runtime", "reference").stdout.split())
    assert "Peak 2,000,000 bytes to 2,000,008 bytes, 8 B more (reference)" in shown
    assert "2,000,008 bytes instead of 2,000,000 bytes, less than 0.1% more." in shown


def test_a_plan_in_place_of_a_report_is_named_as_what_it_is(tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text('{"schema": "memprof/plan/2"}')
    with pytest.raises(InputError, match="no memprof report but what memprof plan writes") as caught:
        memprof.analyze(plan)
    assert "Name the model itself" in caught.value.hint
