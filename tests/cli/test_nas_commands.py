"""``memprof nas``: every subcommand on one tiny search, and what each says when the call is wrong."""

from __future__ import annotations

import csv
import itertools
import json
import random
from importlib.util import find_spec
from pathlib import Path

import pytest

pytest.importorskip("torch")

from click.testing import CliRunner

from memprof import nas
from memprof.cli import main
from tests.cli.conftest import Run, write_space

TINY = (
    *("--dataset", "digits", "--images", "200", "--width", "4", "--sample", "2", "--epochs", "1", "--rounds", "1"),
    *("--finalists", "1", "--final-seeds", "2", "--final-epochs", "1"),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return the folder of a finished search and what it wrote to stdout."""
    folder = tmp_path_factory.mktemp("nas") / "tiny"
    arguments = ["nas", "search", *TINY, "--seed", "5", "--workers", "1", "-o", str(folder), "--json"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return folder, result.stdout


@pytest.fixture
def folder(made: tuple[Path, str]) -> Path:
    return made[0]


def test_a_search_ends_with_its_status_as_json(made: tuple[Path, str]) -> None:
    data = json.loads(made[1])
    assert (data["schema"], data["state"], data["rounds"]) == ("memprof/nas-status/3", "finished", 1)
    counts = {"generated": 56, "rejected": 0, "idle": 0, "pruned": 0, "chosen": 2, "trained": 2, "failed": 0}
    assert data["candidates"] == counts
    assert data["settings"]["seed"] == 5
    assert set(data["best"]["architecture"]) >= {"blocks", "input_shape", "classes"}
    assert 0 < data["best"]["validation_accuracy"] <= 1
    assert len(data["best"]["accuracies"]) == 2
    assert data["best"]["standard_error"] is not None
    assert data["front"]


def test_a_budget_that_no_network_keeps_to_is_exit_code_1_and_says_so(run: Run, tmp_path: Path) -> None:
    found = run("nas", "search", *TINY, "--max-peak", "100", "--workers", "1", "-o", tmp_path / "run")
    assert found.code == 1
    assert "all 56 candidates are over the budget: the least peak is" in " ".join(found.stdout.split())


def test_status_repeats_what_the_search_said(made: tuple[Path, str], run: Run) -> None:
    found = run("nas", "status", made[0], "--json")
    assert found.json == json.loads(made[1])


def test_status_for_people_ends_with_the_next_command(folder: Path, run: Run) -> None:
    lines = run("nas", "status", folder).stdout.strip().splitlines()
    assert lines[0] == "Search finished: 1 round on digits (1 round is done)"
    assert lines[-1] == f"Next: memprof nas export {folder}"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--seed", "6"), "seed is 5 here, 6 was asked for"),
        (("--width", "8"), "template.widths is (4, 4, 4, 4, 4) here"),
    ],
)
def test_another_search_is_refused_on_resume(folder: Path, run: Run, flags: tuple[str, ...], words: str) -> None:
    found = run("nas", "resume", folder, *flags)
    assert found.code == 2
    assert words in found.stderr


def test_a_folder_that_holds_a_search_is_not_searched_again(folder: Path, run: Run) -> None:
    found = run("nas", "search", *TINY, "--seed", "5", "-o", folder)
    assert found.code == 2
    assert f"memprof nas resume {folder}" in found.stderr


def test_export_writes_a_checked_model_and_three_things_about_it(folder: Path, run: Run, tmp_path: Path) -> None:
    found = run("nas", "export", folder, "-o", tmp_path, "--json")
    data, best = found.json, run("nas", "status", folder, "--json").json["best"]
    assert data["schema"] == "memprof/nas-export/1"
    assert data["candidate"] == best["candidate"]
    assert data["peak_intermediate_bytes"] == best["peak_intermediate_bytes"]
    assert data["weights"] == "the tournament's weights after 1 epoch"
    assert data["difference"] < 1e-4
    sizes = {name: data[name] for name in ("parameter_bytes", "peak_intermediate_bytes")}
    assert data["budget"] == {"dtype": "float32", "runtime": "reference", **sizes}
    assert {path.name for path in tmp_path.iterdir()} == {
        "model.onnx",
        "architecture.json",
        "architecture.png",
        "lifetimes.png",
    }
    assert json.loads((tmp_path / "architecture.json").read_text())["blocks"] == best["architecture"]["blocks"]


@pytest.mark.skipif(find_spec("litert_torch") is not None, reason="the converter is installed")
def test_a_tflite_file_needs_the_converter_and_nothing_is_written_without_it(
    folder: Path, run: Run, tmp_path: Path
) -> None:
    found = run("nas", "export", folder, "--tflite", "-o", tmp_path / "out")

    assert found.code == 5
    assert "[converter]" in found.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.skipif(
    any(find_spec(name) is None for name in ("litert_torch", "ai_edge_quantizer", "ai_edge_litert")),
    reason="the extra converter is not installed",
)
def test_a_tflite_file_is_converted_run_and_as_large_as_foreseen(folder: Path, run: Run, tmp_path: Path) -> None:
    found = run("nas", "export", folder, "--tflite", "-o", tmp_path, "--json").json["tflite"]

    assert found["dtype"] == "float32"
    assert found["difference"] < 1e-4
    assert found["agreement"] == 1
    assert (tmp_path / "model.tflite").is_file()
    assert abs(found["arena_bytes"] - found["foreseen_bytes"]) < found["arena_bytes"] / 10
    assert abs(found["file_bytes"] - found["foreseen_file_bytes"]) < found["file_bytes"] / 3
    assert found["weight_bytes"] < found["file_bytes"]


def test_a_search_for_a_board_needs_a_runtime_with_an_arena(run: Run, tmp_path: Path) -> None:
    found = run("nas", "search", *TINY, "--board", "microbit-v2", "-o", tmp_path / "run")

    assert found.code == 2
    assert "--runtime tflm" in found.stderr


def test_a_search_for_a_board_that_holds_nothing_trains_nothing(run: Run, tmp_path: Path) -> None:
    board = tmp_path / "tiny.toml"
    board.write_text(
        '[[board]]\nname = "tiny"\ntitle = "Tiny"\ncore = "M0"\nkernels = "portable"\nsource = "none"\n'
        'ram = { sram = "17K" }\nflash = { internal = "256K" }\n'
    )
    flags = ("--board", board, "--runtime", "tflm", "--dtype", "int8")
    found = run("nas", "search", *TINY, *flags, "-o", tmp_path / "run")

    assert found.code == 1
    assert "an arena of up to 1,024 bytes, and a file of up to 196,608" in found.stderr
    assert "over the budget" in found.stderr + found.stdout


def test_a_file_holds_more_than_weights_and_a_board_whose_flash_holds_weights_alone_trains_nothing(
    run: Run, tmp_path: Path
) -> None:
    board = tmp_path / "small.toml"
    board.write_text(
        '[[board]]\nname = "small"\ntitle = "Small"\ncore = "M0"\nkernels = "portable"\nsource = "none"\n'
        'ram = { sram = "4M" }\nflash = { internal = "72K" }\n'
    )
    flags = ("--board", board, "--runtime", "tflm", "--dtype", "int8")
    found = run("nas", "search", *TINY, *flags, "-o", tmp_path / "run")

    assert found.code == 1
    assert "a file has up to 8,192 B" in found.stderr + found.stdout


def test_a_network_is_trained_and_tested_once_and_its_weights_can_be_exported(folder: Path, run: Run) -> None:
    trained = run("nas", "train", folder, "--epochs", "1", "--width", "2", "--device", "cpu", "--json")
    assert trained.json["schema"] == "memprof/nas-train/1"
    assert 0 < trained.json["test_accuracy"] <= 1
    again = run("nas", "train", folder, "--epochs", "1", "--width", "2", "--device", "cpu")
    assert again.code == 2
    assert "has seen the test images" in again.stderr
    exported = run("nas", "export", folder, "--trained", trained.json["name"], "--json")
    assert exported.json["weights"] == "weights trained from scratch for 1 epoch"
    assert exported.json["parameter_bytes"] <= trained.json["parameter_bytes"]


def test_the_report_is_a_page_with_its_pictures(folder: Path, run: Run, tmp_path: Path) -> None:
    found = run("nas", "report", folder, folder, "-o", tmp_path)
    assert found.stdout == f"{tmp_path / 'README.md'}\n"
    page = (tmp_path / "README.md").read_text()
    pictures = {"rounds.png", "front.png", "lambda.png", "architecture.png", "lifetimes.png"}
    assert {path.name for path in tmp_path.iterdir()} == {"README.md", *pictures}
    assert all(f"({name})" in page for name in pictures)
    assert "56 candidates considered, 0 rejected over budget, 0 that could not win" in page


def write_table(path: Path, cells: int) -> Path:
    """Write the first cells of NAS-Bench-201 with accuracies that follow their 3x3 convolutions."""
    operations = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    rng = random.Random(0)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["cell", "val_accuracy"])
        for a, b, c, d, e, f in itertools.islice(itertools.product(operations, repeat=6), cells):
            accuracy = [a, b, c, d, e, f].count("nor_conv_3x3") + 0.1 * rng.random()
            writer.writerow([f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|", accuracy])
    return path


def test_controllers_are_compared_on_a_table(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memprof.nas.rank.controller.LEAST_STEPS", 6)  # whether they learn is tested elsewhere
    monkeypatch.setattr("memprof.nas.rank.controller.LEAST_VISITS", 3)
    monkeypatch.setattr("memprof.nas.rank.set_controller.STEPS", 3)
    data = run("nas", "bench-controller", write_table(tmp_path / "table.csv", 400), "--repeats", "1", "--json").json
    assert data["schema"] == "memprof/nas-controllers/1"
    assert set(data["scores"]) == {
        "blend",
        "scc",
        "set-scc",
        "single-rnn",
        "double-rnn",
        "ridge",
        "parameters",
        "random",
    }
    assert data["scores"]["ridge"]["tau"] > data["random_band"]["tau"]["high"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("status", "nowhere"), 3, "There is no search in nowhere"),
        (("resume", "nowhere"), 3, "There is no search in nowhere"),
        (("export", "nowhere"), 3, "There is no search in nowhere"),
        (("report", "nowhere"), 3, "There is no search in nowhere"),
        (("train", "nowhere"), 3, "There is no search in nowhere"),
        (("search", "--dataset", "no-such-data"), 2, "There is no data set 'no-such-data'"),
        (("search", "--max-peak", "lots"), 2, "lots"),
        (("search", "--runtime", "abacus"), 2, "abacus"),
        (("search", "--lambda", "1.5"), 2, "1.5"),
        (("search", "--lambda", "nan"), 2, "nan"),
        (("search", "--peak-weight", "inf"), 2, "inf"),
        (("search", "--minutes", "nan"), 2, "A time is"),
        (("search", "--candidate-minutes", "inf"), 2, "A time is"),
        (("search", "--device", "tpu"), 2, "There is no device 'tpu' here"),
        (("bench-controller", "nowhere.csv"), 3, "nowhere.csv"),
    ],
)
def test_a_wrong_call_is_one_line_and_leaves_no_folder(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    found = run("nas", *arguments)
    assert found.code == code
    assert found.stdout == ""
    lines = found.stderr.strip().splitlines()
    assert lines[0].startswith("error: ")
    assert words in lines[0]
    assert len(lines) <= 2
    assert list(tmp_path.iterdir()) == []


def test_a_candidate_that_was_not_trained_is_named_as_such(folder: Path, run: Run) -> None:
    found = run("nas", "export", folder, "--candidate", "99")
    assert found.code == 2
    assert "Candidate 99 is not among those that were trained" in found.stderr


def test_cifar10_without_a_network_is_one_clear_error(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise OSError("<urlopen error no route to host>")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    found = run("nas", "search", "--dataset", "cifar10", "-o", tmp_path / "run")
    assert found.code == 3
    assert "cannot be downloaded" in found.stderr.splitlines()[0]
    assert "--dataset digits" in found.stderr.splitlines()[1]


def test_a_simulation_compares_strategies_on_a_table_of_ones_own(run: Run, tmp_path: Path) -> None:
    table = write_space(tmp_path / "table.csv")
    asked = ("nas", "simulate", table, "--trained", "12", "--seeds", "2", "--ranker", "parameters")
    found = run(*asked, "--json", "-o", tmp_path / "regret.png")
    assert set(found.json["strategies"]) == {"memnas", "random", "local", "evolution", "nsga2"}
    assert found.json["trained"][-1] == 12
    assert (tmp_path / "regret.png").read_bytes().startswith(b"\x89PNG")
    shown = run(*asked, "--lambda", "0.9").stdout
    assert "lambda 0.9" in shown
    assert "evolution" in shown
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize(
    ("flags", "words"),
    [(("--trained", "64"), "64 networks, and 64 are"), (("-o", "x.txt"), "cannot be written as '.txt'")],
)
def test_a_simulation_that_cannot_be_says_why(run: Run, tmp_path: Path, flags: tuple[str, ...], words: str) -> None:
    found = run("nas", "simulate", write_space(tmp_path / "table.csv"), *flags)
    assert found.code == 2
    assert words in " ".join(found.stderr.split())
    assert run("nas", "simulate", tmp_path / "none.csv").code == 3


def test_a_sweep_chooses_for_each_lambda_among_the_networks_of_one_search(
    folder: Path, run: Run, tmp_path: Path
) -> None:
    found = run("nas", "sweep", folder, "--lambda", "1,0,.5", "--json", "-o", tmp_path / "figure5.png").json
    points = found["points"]
    assert [point["lambda"] for point in points] == [0, 0.5, 1]
    summary = nas.status(folder)
    pool = [c for c in summary.candidates if c.worth]
    assert found["pool"] == len(pool)
    assert points[-1]["accuracy"] == max(c.worth or 0 for c in pool)
    sizes = [point["parameter_bytes"] + point["peak_intermediate_bytes"] for point in points]
    assert sizes == sorted(sizes)
    assert (tmp_path / "figure5.png").read_bytes().startswith(b"\x89PNG")
    shown = run("nas", "sweep", folder).stdout.splitlines()
    assert len(shown) > 5
    assert max(map(len, shown)) <= 80


@pytest.mark.parametrize("asked", ["0,2", "x", "", "nan"])
def test_a_lambda_that_is_none_is_a_usage_error(folder: Path, run: Run, asked: str) -> None:
    found = run("nas", "sweep", folder, "--lambda", asked)
    assert found.code == 2
    assert "lambda" in found.stderr.lower()


def test_a_report_in_one_file_holds_its_data_and_lets_nothing_else_in(folder: Path, run: Run, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert run("nas", "report", folder, "-o", page).code == 0
    text = page.read_text(encoding="utf-8")
    assert "default-src 'none'; script-src 'sha256-" in text
    data = json.loads(text.partition('id="data">')[2].partition("</script>")[0])
    summary = nas.status(folder)
    assert len(data["networks"]) == len(summary.candidates)
    assert data["best"] == (summary.best.candidate if summary.best else None)
    assert set(data["lifetimes"]) >= {str(found.candidate) for found in summary.front}
