"""``memprof analyze``: what it prints, what it writes, what it refuses."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from memprof import analyze
from tests.cli.conftest import Run, write_chain
from tests.render.graphs import HOSTILE_NAMES


def test_line_one_is_the_peak_and_the_last_line_the_next_command(run: Run, model: Path) -> None:
    found = run("analyze", model)
    lines = found.stdout.splitlines()
    assert found.code == 0
    assert found.stderr == ""
    assert lines[0] == "Peak 2.00 kB of intermediates at step 0 of 2, node_0 (Relu)"
    assert lines[-1] == f"Next: memprof analyze {model} -o net.png"


def test_the_next_command_leads_from_the_picture_to_the_causes(run: Run, model: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    after_picture = run("analyze", model, "--runtime", "ideal", "-o", page).stdout.splitlines()[-1]
    assert after_picture == f"Next: memprof analyze {model} --runtime ideal --why"
    after_causes = run("analyze", model, "-o", page, "--why").stdout.splitlines()[-1]
    assert after_causes.startswith("Next: memprof ")
    assert "--why" not in after_causes


def test_an_open_size_is_assumed_and_said_with_what_changes_it(run: Run, dynamic_model: Path) -> None:
    first = run("analyze", dynamic_model)
    assert first.code == 0
    assert "Assumed: batch=1; to change: --dim batch=8" in first.stdout
    assert run("analyze", dynamic_model, "--json").json["assumed"][0]["name"] == "batch=1"
    assert "Assumed" not in run("analyze", dynamic_model, "--dim", "batch=2").stdout


def test_json_is_the_report(run: Run, model: Path) -> None:
    found = run("analyze", model, "--json")
    nothing_helps = {
        "help": [],
        "help_useless": ["another order", "operations in place"],
        "help_skipped": [],
        "help_skipped_commands": [],
    }
    assert found.json == analyze(model).to_json() | nothing_helps
    assert found.json["model"]["path"] == str(model)
    assert found.json["runtimes"]["reference"]["peak_intermediate_bytes"] == 2000


def test_csv_and_markdown_go_to_stdout(run: Run, model: Path) -> None:
    assert run("analyze", model, "--csv").stdout.splitlines() == [
        "name,bytes,dtype,start,stop,alive_at_peak,producer,held_by,module",
        "t0,1000,float32,0,1,1,,node_0,",
        "t1,1000,float32,0,2,1,node_0,node_1,",
        "t2,1000,float32,1,2,0,node_1,,",
    ]
    assert run("analyze", model, "--markdown").stdout.startswith("**Peak 2.00 kB** of intermediates")


def test_the_runtimes_asked_for_are_shown_and_the_first_leads(run: Run, model: Path) -> None:
    found = run("analyze", model, "--json", "--runtime", "paper", "--runtime", "reference").json
    assert list(found["runtimes"]) == ["paper", "reference"]


def test_dims_and_input_shapes_settle_an_open_batch(run: Run, dynamic_model: Path) -> None:
    for flags in (["--dim", "batch=2"], ["--input", "t0=2x250"], ["--input", "2x250"], ["--input", "t0=2,250"]):
        found = run("analyze", dynamic_model, "--json", *flags)
        assert found.json["runtimes"]["reference"]["peak_intermediate_bytes"] == 4000, flags
        assert found.json["unknown"] == []


@pytest.mark.parametrize(
    "flags",
    [
        ["--dim", "batch"],
        ["--dim", "=1"],
        ["--dim", "batch=-1"],
        ["--dim", "batch=1.5"],
        ["--dim", "batch=1", "--dim", "batch=2"],
        ["--dim", f"batch={'9' * 30}"],
        ["--dim", "nosuch=1"],
        ["--input", "1x"],
        ["--input", "t0="],
        ["--input", "t0=axb"],
        ["--input", "t0=1x2", "--input", "t0=2x2"],
        ["--input", "nosuch=1x250"],
        ["--runtime", "nosuch"],
        ["--json", "--csv"],
        ["--csv", "--markdown"],
        ["-o", "report.docx"],
        ["-o", "report"],
        ["-o", "no/such/folder/report.json"],
    ],
)
def test_what_does_not_fit_is_a_usage_error(run: Run, dynamic_model: Path, flags: list[str]) -> None:
    found = run("analyze", dynamic_model, *flags)
    assert found.code == 2, found
    if "--json" not in flags:
        assert found.stdout == ""
        assert found.stderr.startswith("error: ")
    as_json = run("analyze", dynamic_model, "--json", *flags)
    assert (as_json.code, as_json.json["error"]["kind"]) == (2, "usage")


@pytest.mark.parametrize("as_json", [False, True])
def test_strict_exits_with_4_if_anything_is_unknown(run: Run, dynamic_model: Path, as_json: bool) -> None:
    found = run("analyze", dynamic_model, "--strict", *(["--json"] if as_json else []))
    assert found.code == 4
    if as_json:
        assert found.json["error"]["kind"] == "incomplete"
        assert "batch" in found.json["error"]["message"]
        assert "--dim batch=" in found.json["error"]["hint"]
    else:
        assert "Assumed: batch=1" in found.stdout
        assert found.stderr.startswith("error: ")


def test_strict_says_nothing_if_all_is_known(run: Run, model: Path) -> None:
    found = run("analyze", model, "--strict")
    assert (found.code, found.stderr) == (0, "")


def test_each_suffix_writes_its_report_and_stderr_says_so(run: Run, model: Path, tmp_path: Path) -> None:
    flags = {".json": "--json", ".csv": "--csv", ".md": "--markdown"}
    targets = [tmp_path / f"report{suffix}" for suffix in (*flags, ".html")]
    found = run("analyze", model, *(word for target in targets for word in ("-o", target)))
    assert found.stderr.splitlines() == [f"wrote {target}" for target in targets]
    for target, flag in zip(targets, flags.values(), strict=False):
        assert target.read_text() == run("analyze", model, flag).stdout
    assert targets[-1].read_text().startswith("<!doctype html>")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(target.name for target in targets)


@pytest.mark.parametrize(("suffix", "magic"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_a_picture_suffix_writes_the_lifetime_plot(
    run: Run, model: Path, tmp_path: Path, suffix: str, magic: bytes
) -> None:
    target = tmp_path / f"net{suffix}"
    assert run("analyze", model, "-o", target).code == 0
    assert target.read_bytes().startswith(magic)
    assert list(tmp_path.iterdir()) == [target]


def test_files_are_written_beside_json_on_stdout(run: Run, model: Path, tmp_path: Path) -> None:
    target = tmp_path / "again.json"
    found = run("analyze", model, "--json", "-o", target)
    assert json.loads(target.read_text()) == found.json


def test_a_file_that_fails_half_way_leaves_the_old_one_and_nothing_else(
    run: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "report.json"
    target.write_text("old")

    def write_half(report: object, stream: object) -> None:
        stream.write("{")  # type: ignore[attr-defined]
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("memprof.render.json.render_json", write_half)
    found = run("analyze", model, "-o", target)
    assert found.code == 2
    assert found.stderr.splitlines()[0] == f"error: Cannot write {target}: No space left on device."
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_link_is_written_through_and_permissions_stay(run: Run, model: Path, tmp_path: Path) -> None:
    target = tmp_path / "real.json"
    target.write_text("old")
    target.chmod(0o640)
    link = tmp_path / "link.json"
    link.symlink_to(target)
    assert run("analyze", model, "-o", link).code == 0
    assert link.is_symlink()
    assert target.read_text().startswith("{")
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_a_new_file_gets_the_permissions_that_the_umask_leaves(run: Run, model: Path, tmp_path: Path) -> None:
    previous = os.umask(0o027)
    try:
        run("analyze", model, "-o", tmp_path / "new.json")
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "new.json").stat().st_mode) == 0o640


def test_a_target_that_cannot_be_written_is_refused_before_the_work(run: Run, tmp_path: Path) -> None:
    found = run("analyze", tmp_path / "nosuch.onnx", "-o", tmp_path / "no" / "folder.json")
    assert (found.code, found.stdout) == (2, "")  # and not 3: the model was not looked at


def test_folders_and_pipes_are_no_targets(run: Run, model: Path, tmp_path: Path) -> None:
    (tmp_path / "folder.json").mkdir()
    os.mkfifo(tmp_path / "pipe.json")
    for name in ("folder.json", "pipe.json"):
        found = run("analyze", model, "-o", tmp_path / name)
        assert found.code == 2
        assert found.stderr.startswith(f"error: Cannot write {tmp_path / name}: it is ")


def test_a_folder_as_target_is_said_to_be_one_and_a_missing_folder_to_be_missing(
    run: Run, model: Path, tmp_path: Path
) -> None:
    for arguments in (["analyze", model], ["plan", model], ["check", model, "--max-peak", "1MB"]):
        for target in (str(tmp_path), f"{tmp_path}/new/"):
            found = run(*arguments, "-o", target)
            assert (found.code, found.stdout) == (2, "")
            assert found.stderr.startswith(f"error: -o {target}: that is a folder."), found.stderr
        found = run(*arguments, "-o", tmp_path / "new" / "x.json")
        assert found.code == 2
        assert "folder does not exist" in found.stderr
        assert f"Make {tmp_path / 'new'} first" in found.stderr


def test_a_missing_file_and_a_folder_are_input_errors(run: Run, tmp_path: Path) -> None:
    for source in (tmp_path / "nosuch.onnx", tmp_path):
        found = run("analyze", source)
        assert (found.code, found.stdout) == (3, "")
        assert found.stderr.startswith("error: ")
        assert run("analyze", source, "--json").json["error"]["code"] == 3


def test_names_in_a_file_cannot_reach_the_terminal_raw(run: Run, tmp_path: Path) -> None:
    names = [name for name in HOSTILE_NAMES if len(name) < 1000]
    source = write_chain(tmp_path / "[red]\u202e.onnx", ["Relu"] * (len(names) - 1), [1, 4], names)
    for flags in ([], ["--why", "--top", "99"], ["--markdown"], ["--csv"], ["--json"]):
        found = run("analyze", source, *flags)
        assert found.code == 0, found
        assert "\x1b" not in found.stdout
        assert "\u202e" not in found.stdout
    first, *_ = run("analyze", source, "--csv").stdout.splitlines()[1:]
    assert first.startswith("[/],")


def test_the_same_from_a_process_of_its_own(run_process: Run, model: Path, tmp_path: Path) -> None:
    found = run_process("analyze", model, "--json", "-o", "net.html", cwd=tmp_path)
    assert found.code == 0
    assert found.json["schema"] == "memprof/analysis/2"
    assert found.stderr == "wrote net.html\n"
    bare = run_process("analyze", model.name, cwd=model.parent)
    assert bare.stdout.splitlines()[-1] == "Next: memprof analyze net.onnx -o net.png"


def test_a_terminal_without_unicode_gets_ascii(run_process: Run, model: Path) -> None:
    found = run_process(
        "analyze", model, "--runtime", "reference", env={"PYTHONIOENCODING": "ascii", "COLUMNS": "60"}
    )
    assert found.code == 0
    assert found.stdout.isascii()
    assert "v peak, step 0" in found.stdout


def test_a_saved_report_gives_every_file_that_the_model_gave(run: Run, model: Path, tmp_path: Path) -> None:
    run("analyze", model, "-o", tmp_path / "saved.json")
    names = ("page.html", "plot.svg", "table.csv", "comment.md", "again.json")
    for source, folder in ((model, tmp_path / "fresh"), (tmp_path / "saved.json", tmp_path / "saved")):
        folder.mkdir()
        found = run("analyze", source, "--why", *(word for name in names for word in ("-o", folder / name)))
        assert found.code == 0
    for name in names:
        fresh, saved = ((tmp_path / folder / name).read_text() for folder in ("fresh", "saved"))
        assert fresh.replace(f"memprof analyze {model}", "") == saved.replace(
            f"memprof analyze {tmp_path}/saved.json", ""
        )


def test_flags_that_settle_sizes_mean_nothing_to_a_saved_report(run: Run, model: Path, tmp_path: Path) -> None:
    run("analyze", model, "-o", tmp_path / "saved.json")
    found = run("analyze", tmp_path / "saved.json", "--dim", "batch=1")
    assert (found.code, found.stdout) == (2, "")
    assert "saved report" in found.stderr
