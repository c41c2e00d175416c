"""``memprof check`` as a CI job runs it: a project, its file, and what the job prints and returns.

Each situation is scripted: files, what is typed, the exit code, and the line that decides.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field, replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from jsonschema import Draft202012Validator

from memprof.render.gate import explain
from memprof.results.gate import GateRow
from tests.cli.conftest import Outcome, Run, write_chain, write_counting
from tests.schemas import check_document

SMALL = "peak 2.00 kB of 2.00 kB (reference, upper bound)"
OVER = (
    "peak is 4.00 kB, 2.00 kB over 2.00 kB; look at t0 (2.00 kB); no order of its operations needs less than 4.00 kB"
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project with a small, a large, an open and a broken model, and make it the working folder."""
    for name, shape in (("small", [1, 250]), ("large", [1, 500]), ("batch", ["batch", 250])):
        write_chain(tmp_path / f"{name}.onnx", ["Relu", "Sigmoid"], shape)
    write_counting(tmp_path / "open.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"not a model")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@dataclass(frozen=True)
class Situation:
    """What is in the project's file, what is typed, what is returned, and a line of what is printed."""

    models: str
    code: int
    line: str
    flags: tuple[str, ...] = ()
    name: str = "memprof.toml"
    before: str = field(default="")  # the file as it was when the baseline was saved; none is saved if empty


def model(source: str, **keys: str) -> str:
    lines = [f'source = "{source}"', *(f"{key.replace('_', '-')} = {value}" for key, value in keys.items())]
    return "[[check.models]]\n" + "\n".join(lines) + "\n"


FITS = model("small.onnx", max_peak='"2kB"')
BREAKS = model("large.onnx", max_peak='"2kB"')
OPEN = model("open.onnx", max_peak='"2kB"')
BROKEN = model("broken.onnx", max_peak='"2kB"')
GROWS = model("small.onnx", max_growth='"1%"')

SITUATIONS = {
    "one model fits to the last byte": Situation(FITS, 0, f"ok     small.onnx: {SMALL}"),
    "one model is over": Situation(BREAKS, 1, f"OVER   large.onnx: {OVER}"),
    "bytes as a number": Situation(model("large.onnx", max_peak="4000"), 0, "1 model: all within their budgets"),
    "a model of the baseline is gone": Situation(
        GROWS,
        0,
        "gone   large.onnx: in the baseline, but no model is called so now; "
        "memprof check --update-baseline forgets it",
        before=GROWS + model("large.onnx", max_growth='"1%"'),
    ),
    "one byte too many": Situation(model("large.onnx", max_peak="3999"), 1, "1 model: 1 over"),
    "one of two is over": Situation(FITS + BREAKS, 1, "2 models: 1 over"),
    "a size is open": Situation(
        OPEN,
        4,
        "OPEN   open.onnx: peak is at least 1.00 kB: dimension found is not known; "
        "--dim found=1, or in a file dims = { found = 1 }",
    ),
    "an open size is settled": Situation(
        model("open.onnx", max_peak='"2kB"', dims="{ found = 9 }"),
        0,
        "ok     open.onnx: peak 1.00 kB of 2.00 kB (reference, upper bound)",
    ),
    "what is known is enough": Situation(
        model("open.onnx", max_peak='"999"'), 1, "OVER   open.onnx: peak is at least 1.00 kB, 5 B over 999 B"
    ),
    "a batch that is assumed": Situation(
        model("batch.onnx", max_peak='"2kB"'), 0, f"ok     batch.onnx: {SMALL}; assuming batch=1"
    ),
    "over decides before open": Situation(OPEN + BREAKS, 1, "2 models: 1 over, 1 undecided"),
    "a broken file fails and the others are judged": Situation(FITS + BROKEN, 3, "2 models: 1 failed"),
    "over decides before failed": Situation(BREAKS + BROKEN, 1, "2 models: 1 over, 1 failed"),
    "failed decides before open": Situation(OPEN + BROKEN, 3, "2 models: 1 failed, 1 undecided"),
    "a missing file": Situation(model("gone.onnx", max_peak='"1MB"'), 3, "1 model: 1 failed"),
    "what informs decides nothing": Situation(
        model("large.onnx", max_peak='"2kB"', informational="true"), 0, f"OVER (for information) large.onnx: {OVER}"
    ),
    "what informs needs no budget": Situation(
        model("large.onnx", informational="true"), 0, "ok     large.onnx: peak 4.00 kB (reference, upper bound)"
    ),
    "a glob": Situation(model("[sl]*.onnx", max_peak='"4kB"'), 0, "2 models: all within their budgets"),
    "a glob that finds nothing": Situation(model("*.pt2", max_peak='"4kB"'), 2, "'*.pt2' finds no file in ."),
    "another runtime": Situation(
        model("large.onnx", max_peak='"2kB"', runtime='"paper"'),
        0,
        "ok     large.onnx: peak 2.00 kB of 2.00 kB (paper, estimate)",
    ),
    "a runtime that is none": Situation(
        model("small.onnx", max_peak='"2kB"', runtime='"gpu"'), 2, "1 model: 1 failed"
    ),
    "keys for all models": Situation(
        '[check]\nmax-peak = "2kB"\n' + model("small.onnx"), 0, f"ok     small.onnx: {SMALL}"
    ),
    "pyproject.toml": Situation(
        BREAKS.replace("[[check", "[[tool.memprof.check"), 1, "1 model: 1 over", name="pyproject.toml"
    ),
    "a misspelt budget": Situation(
        model("small.onnx", max_peek='"2kB"'), 2, "model 1 of [[check.models]] has the unknown key 'max-peek'"
    ),
    "a budget that is no size": Situation(
        model("small.onnx", max_peak='"lots"'), 2, "'lots' is not an amount of bytes"
    ),
    "a model without a budget": Situation(model("small.onnx"), 2, "model 1 of [[check.models]] has no budget"),
    "no models at all": Situation("[check]\n", 2, "memprof.toml: [check] names no models"),
    "no TOML": Situation("[check", 3, "memprof.toml is no TOML"),
    "one name for two": Situation(FITS + FITS, 2, "'small.onnx' is named twice"),
    "a board that it fits": Situation(
        model("small.onnx", board='"nucleo-h743zi"'), 0, "ok     small.onnx: nucleo-h743zi: "
    ),
    "a board that it may not fit": Situation(
        model("small.onnx", board='"nucleo-h743zi"', margin='"2MB"'),
        4,
        "OPEN   small.onnx: nucleo-h743zi: the best plan found takes 2,016 bytes",
    ),
    "a board that is none": Situation(model("small.onnx", board='"toaster"'), 2, "1 model: 1 failed"),
    "no baseline yet": Situation(
        GROWS, 4, "OPEN   small.onnx: it has no baseline yet; memprof check --update-baseline"
    ),
    "the baseline holds": Situation(GROWS, 0, "1 model: all within their budgets", before=GROWS),
    "it grew more than allowed": Situation(
        model("batch.onnx", max_growth='"1%"', dims="{ batch = 2 }"),
        1,
        "OVER   batch.onnx: peak is 4.00 kB, 1.98 kB over 2.02 kB (baseline + 1 %)",
        before=model("batch.onnx", max_growth='"1%"', dims="{ batch = 1 }"),
    ),
    "it grew within what is allowed": Situation(
        model("batch.onnx", max_growth='"2kB"', dims="{ batch = 2 }"),
        0,
        "1 model: all within their budgets",
        before=model("batch.onnx", max_growth='"2kB"', dims="{ batch = 1 }"),
    ),
    "the stricter of budget and baseline": Situation(
        model("batch.onnx", max_growth='"2kB"', max_peak='"3kB"', dims="{ batch = 2 }"),
        1,
        "OVER   batch.onnx: peak is 4.00 kB, 1.00 kB over 3.00 kB; look at",
        before=model("batch.onnx", max_growth='"2kB"', dims="{ batch = 1 }"),
    ),
    "a new model beside the baseline": Situation(
        GROWS + model("large.onnx", max_growth='"1%"'), 4, "2 models: 1 undecided", before=GROWS
    ),
    "a baseline of another runtime": Situation(
        model("small.onnx", max_growth='"1%"', runtime='"paper"'),
        4,
        "OPEN   small.onnx: its baseline is of reference",
        before=model("small.onnx", max_growth='"1%"', runtime='"reference"'),
    ),
    "a flag of a single model": Situation(FITS, 2, "--max-peak needs a MODEL", flags=("--max-peak", "1MB")),
    "another file": Situation(FITS, 0, f"ok     small.onnx: {SMALL}", flags=("--config", "ci.toml"), name="ci.toml"),
    "no file": Situation(FITS, 2, "there is no memprof.toml and no [tool.memprof]", name="elsewhere.toml"),
}


def play(run: Run, project: Path, found: Situation) -> Outcome:
    if found.before:
        (project / "memprof.toml").write_text(found.before)
        assert run("check", "--update-baseline").stderr.startswith("wrote ")
    (project / found.name).write_text(found.models)
    return run("check", *found.flags)


def test_there_are_at_least_thirty_situations() -> None:
    assert len(SITUATIONS) >= 30


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_situation_has_its_exit_code_and_its_line(run: Run, project: Path, name: str) -> None:
    found = play(run, project, SITUATIONS[name])
    assert found.code == SITUATIONS[name].code, found
    assert SITUATIONS[name].line in found.stdout + found.stderr
    rows = re.findall(r"^(?:ok|OVER|OPEN|FAILED)\b", found.stdout, re.MULTILINE)
    watched = re.match(r"\d+", found.stdout.splitlines()[-1]) if found.stdout else None
    assert watched is None or len(rows) == int(watched[0])  # one line a model, and one for all


@pytest.mark.parametrize("name", SITUATIONS)
def test_every_format_of_a_situation_is_whole_and_has_the_same_exit_code(
    run: Run, project: Path, name: str, tmp_path: Path
) -> None:
    situation = SITUATIONS[name]
    plain = play(run, project, situation)
    if not plain.stdout:
        assert json.loads(run("check", *situation.flags, "--json").stdout)["error"]["code"] == plain.code
        return
    targets = [str(tmp_path / f"out{suffix}") for suffix in (".json", ".md", ".sarif", ".xml", ".txt")]
    found = run("check", *situation.flags, "--format", "github", *(w for target in targets for w in ("-o", target)))
    assert found.code == plain.code
    document, page, sarif, junit, text = (Path(target).read_text() for target in targets)
    check_document(json.loads(document))
    assert json.loads(document)["code"] == plain.code
    assert text == plain.stdout
    wrong = [row for row in json.loads(document)["models"] if row["status"] != "fits"]
    assert len(json.loads(sarif)["runs"][0]["results"]) == len(wrong)
    assert len(re.findall(r"^::(?:error|warning|notice) file=", found.stdout, re.MULTILINE)) == len(wrong)
    suite = ElementTree.fromstring(junit)[0].findall("testcase")
    assert len(suite) == len(json.loads(document)["models"])
    assert sum(len(case) for case in suite) == len(wrong)
    assert page.startswith("<!-- memprof check -->\n**Memory: ")
    over_all = page.partition("\n<details>")[0]
    assert over_all.count("\n| ") == len(suite) + 1  # the head of the table, and a row a model


def test_a_baseline_is_written_whole_sorted_and_only_if_all_models_can_be_read(run: Run, project: Path) -> None:
    (project / "memprof.toml").write_text(GROWS + model("large.onnx", max_growth='"1%"'))
    assert run("check", "--update-baseline").code == 0
    saved = (project / "memprof-baseline.json").read_text()
    check_document(json.loads(saved))
    assert list(json.loads(saved)["models"]) == ["large.onnx", "small.onnx"]
    (project / "memprof.toml").write_text(GROWS + BROKEN)
    found = run("check", "--update-baseline")
    assert found.code == 3
    assert found.stderr == "did not change memprof-baseline.json\n"
    assert (project / "memprof-baseline.json").read_text() == saved


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema": "memprof/baseline/1", "models": {"small.onnx": 3}}'])
def test_a_damaged_baseline_is_one_error(run: Run, project: Path, content: str) -> None:
    (project / "memprof.toml").write_text(GROWS)
    (project / "memprof-baseline.json").write_text(content)
    found = run("check")
    assert (found.code, found.stdout) == (3, "")
    assert "hint: Write it with: memprof check --update-baseline" in found.stderr or "report.json" in found.stderr


def test_a_better_order_is_named_where_it_fits(run: Run, project: Path) -> None:
    import memprof
    from memprof.gate.config import Watched
    from memprof.gate.judge import judge
    from tests.planning.test_plan import forked

    watched = Watched(
        name="forked",
        request=memprof.Request(source=forked()),
        runtime="reference",
        budgets=memprof.Budgets(peak=200),
    )
    assert judge(watched, None).row.advice.startswith("another order needs 120 B: memprof plan ")


def test_several_models_are_named_with_one_budget(run: Run, project: Path) -> None:
    found = run("check", "small.onnx", "large.onnx", "--max-peak", "2kB")
    assert found.code == 1
    assert found.stdout.splitlines() == [
        f"ok     small.onnx: {SMALL}",
        f"OVER   large.onnx: {OVER}",
        "2 models: 1 over",
    ]


def test_names_in_annotations_and_pages_are_text(run: Run, project: Path) -> None:
    name = "a,b:c%0A::error::x|`<b>@you\\u001b[31m"
    (project / "memprof.toml").write_text(BREAKS + f'name = "{name}"\n')
    github = run("check", "--format", "github").stdout
    assert github.count("\n") == 2
    assert "title=Memory%3A a%2Cb%3Ac%250A%3A%3Aerror" in github
    page = run("check", "--format", "markdown").stdout
    assert not {"\x1b", "<b>", " @you"} & {*page, *re.findall(r"<b>| @you", page)}


SARIF = {
    "type": "object",
    "required": ["$schema", "version", "runs"],
    "properties": {
        "version": {"const": "2.1.0"},
        "runs": {
            "items": {
                "required": ["tool", "results"],
                "properties": {
                    "tool": {
                        "required": ["driver"],
                        "properties": {"driver": {"required": ["name", "version", "rules"]}},
                    },
                    "results": {
                        "items": {
                            "required": ["ruleId", "ruleIndex", "level", "message", "locations"],
                            "properties": {
                                "level": {"enum": ["none", "note", "warning", "error"]},
                                "message": {"required": ["text"], "properties": {"text": {"minLength": 1}}},
                                "partialFingerprints": {"additionalProperties": {"type": "string"}},
                            },
                        }
                    },
                },
            }
        },
    },
}
"""What the standard (SARIF 2.1.0, section 3) asks of the parts that are written here; its full schema is not ours."""


def test_sarif_is_what_the_standard_asks_for(run: Run, project: Path) -> None:
    (project / "a b%.onnx").write_bytes((project / "large.onnx").read_bytes())
    (project / "memprof.toml").write_text(FITS + BREAKS + OPEN + BROKEN + model("a b%.onnx", max_peak="1"))
    log = json.loads(run("check", "--format", "sarif").stdout)
    Draft202012Validator(SARIF).validate(log)
    (found,) = log["runs"]
    ids = [rule["id"] for rule in found["tool"]["driver"]["rules"]]
    assert [ids[result["ruleIndex"]] for result in found["results"]] == [
        result["ruleId"] for result in found["results"]
    ]
    uris = [r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for r in found["results"]]
    assert uris == ["large.onnx", "open.onnx", "broken.onnx", "a%20b%25.onnx"]
    assert [result["level"] for result in found["results"]] == ["error", "warning", "error", "error"]


@pytest.mark.parametrize("source", ["mine:net", "mine.py:net"])
def test_code_that_a_file_names_runs_only_if_asked(run: Run, project: Path, source: str) -> None:
    (project / "mine.py").write_text("open('ran', 'w')\ndef net(): raise SystemExit\n")
    (project / "memprof.toml").write_text(f'[[check.models]]\nsource = "{source}"\nmax-peak = "1MB"\n')

    found = run("check")

    assert (found.code, (project / "ran").exists()) == (2, False)
    assert f"names Python code, which would run: {source}." in found.stderr


@pytest.mark.parametrize("more", [[], ["--config", "own name.toml"]], ids=["found", "named"])
def test_the_command_that_saves_a_baseline_of_code_works_as_it_is_printed(
    run: Run, project: Path, more: list[str]
) -> None:
    pytest.importorskip("torch")
    (project / "tiny.py").write_text(
        "import torch\ndef make(): return torch.nn.Linear(2, 2), torch.zeros(1, 2, device='meta')\n"
    )
    text = '[[check.models]]\nsource = "tiny.py:make"\nmax-growth = "1%"\n'
    (project / (more[1] if more else "memprof.toml")).write_text(text)
    found = run("check", "--trust", *more)
    assert found.code == 4
    command = found.stdout.partition("no baseline yet; ")[2].splitlines()[0]
    assert command == shlex.join(["memprof", "check", "--update-baseline", *more, "--trust"])
    assert run(*shlex.split(command)[1:]).code == 0
    assert run("check", "--trust", *more).code == 0


@pytest.mark.parametrize("baseline", ["../outside.json", "link.json"])
def test_a_baseline_lies_in_the_folder_of_its_file(run: Run, project: Path, baseline: str) -> None:
    outside = project.parent / "outside.json"
    outside.write_text("mine")
    (project / "link.json").symlink_to(outside)
    write_chain(project / "net.onnx", ["Relu"], [1, 4])
    (project / "memprof.toml").write_text(
        f'[check]\nbaseline = "{baseline}"\n[[check.models]]\nsource = "net.onnx"\nmax-peak = "1MB"\n'
    )

    found = run("check", "--update-baseline")

    assert (found.code, outside.read_text()) == (2, "mine")
    assert "lies outside of" in found.stderr


def test_what_would_help_is_said_in_the_line_and_folded_into_the_comment(run: Run, project: Path) -> None:
    (project / "memprof.toml").write_text(model("batch.onnx", max_peak='"3kB"', dims="{ batch = 4 }"))
    line = run("check").stdout.splitlines()[0]
    assert line.startswith("OVER   batch.onnx: peak is 8.00 kB, 5.00 kB over 3.00 kB; look at ")
    assert line.endswith("batch 1 would take 2.00 kB at the peak (6.00 kB less)")
    page = run("check", "--format", "markdown").stdout
    assert "<details><summary>What would help batch.onnx</summary>" in page
    assert "| batch 1 | 6.00 kB less | 2.00 kB |  | reference | `memprof analyze batch.onnx --dim batch=1` |" in page
    assert page.count("<details>") == page.count("</details>") == 1


def test_a_tensor_that_a_session_made_up_is_told_by_its_operator_and_shape() -> None:
    import memprof
    from memprof import GraphBuilder, NewValue, TensorType

    made, source = GraphBuilder("made"), GraphBuilder("source")
    for builder, name in ((made, "reorder_token_0"), (source, "y")):
        x = builder.add_input("x", TensorType("float32", (1, 4)))
        builder.add_node("com.microsoft.nchwc.Conv", [x], [NewValue(name, TensorType("float32", (1, 8)))], name="op")
    report = memprof.analyze(made.build([1]), runtimes=["reference"]).headline
    assert replace(report, source=source.build([1])).describe_made_up("reorder_token_0") == "Conv 1\u00d78"
    assert replace(report, source=source.build([1])).describe_made_up("x") == ""
    assert report.describe_made_up("reorder_token_0") == ""
    row = GateRow(
        name="m", source="m", status="over", tensor="reorder_token_0", tensor_bytes=32, tensor_what="Conv 1\u00d78"
    )
    assert explain(row).endswith("look at reorder_token_0 (32 B, Conv 1\u00d78)")
