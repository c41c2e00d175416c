"""Boards as data, and models on them: fits by a plan, cannot by a bound, else open."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from memprof.base.errors import InputError, UsageError
from memprof.boards import BOARDS, Board, Footprint, find_board, fit_board, model_footprint, read_boards, smallest_fit
from memprof.cli import main
from memprof.importers.tflite import read_tflite
from tests import tflite_models
from tests.board_files import BOARD
from tests.exporters.test_tflite_plan import two_arms
from tests.render.graphs import chain
from tests.schemas import check_document
from tests.tflite_models import Graph, Operator, Tensor


def board(ram: int, flash: int = 2**20, kernels: str = "portable", external: int = 0) -> Board:
    outer = {"psram": external} if external else {}
    return Board(
        name="b",
        title="",
        core="",
        kernels=kernels,
        ram={"ram": ram},
        external_ram=outer,
        flash={"f": flash},
        source="",
    )


def footprint(arena: int | None, planned: int | None = None, bound: int = 0, flash: int = 1000) -> Footprint:
    return Footprint(
        flash_bytes=flash,
        arena_bytes={"portable": arena},
        planned_bytes={"portable": planned},
        bound_bytes={"portable": bound},
        counts="an arena",
    )


def test_every_board_has_memories_and_a_source() -> None:
    assert len(BOARDS) >= 30
    for each in BOARDS.values():
        assert each.ram and each.flash and each.source and each.title and each.core
        assert 2**13 <= each.ram_bytes < 2**27
    assert sum(bool(each.checked) for each in BOARDS.values()) >= 30


def test_a_model_with_an_operator_that_no_kernel_is_known_for_is_open(tmp_path: Path) -> None:
    tensors = [Tensor("x", (1, 4)), Tensor("y", (1, 4))]
    path = tmp_path / "m.tflite"
    path.write_bytes(tflite_models.model(Graph(tensors, [Operator("custom.Odd", ["x"], ["y"])], ["x"], ["y"])))

    found = CliRunner().invoke(main, ["check", str(path), "--board", "nucleo-h743zi"])

    assert found.exit_code == 4
    assert found.output.startswith("Open on ST NUCLEO-H743ZI2: ")
    assert "custom.Odd" in found.output


@pytest.mark.parametrize(
    ("typed", "meant"), [("nano33", "arduino-nano-33-ble"), ("F446RE", "nucleo-f446re"), ("Pico 2", "rpi-pico-2")]
)
def test_a_board_that_is_typed_as_people_say_it_is_suggested(typed: str, meant: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_board(typed)

    assert meant in caught.value.hint


def test_why_a_model_fits_is_said_once(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(tflite_models.chain(16, 16))

    found = CliRunner().invoke(main, ["check", str(path), "--board", "microbit-v2"])

    assert found.exit_code == 0
    assert found.output.count("as the runtime lays it out by itself") == 1


@pytest.mark.parametrize(
    ("found", "on", "how", "fits"),
    [
        (footprint(50_000), board(70_000), "as it is", True),
        (footprint(60_000, 50_000), board(70_000), "planned", True),
        (footprint(60_000, 58_000, bound=71_000), board(70_000), "no", False),
        (footprint(60_000, 58_000, bound=50_000), board(70_000), "open", None),
        (footprint(60_000, bound=50_000), board(70_000, external=2**20), "external", True),
        (footprint(None), board(70_000), "open", None),
        (footprint(10, flash=2**21), board(70_000), "no", False),
        (footprint(10, flash=2**20 - 10), board(70_000), "open", None),
    ],
)
def test_a_model_fits_by_a_plan_and_not_by_a_bound(found: Footprint, on: Board, how: str, fits: bool | None) -> None:
    fit = fit_board(found, on, ram_margin_bytes=16_384)

    assert (fit.how, fit.fits) == (how, fits)


def test_the_smallest_board_has_the_least_ram() -> None:
    fits = [fit_board(footprint(50_000), board(size)) for size in (200_000, 90_000, 20_000)]

    smallest = smallest_fit(fits)
    assert smallest is not None and smallest.ram_limit_bytes == 90_000
    assert smallest_fit([fits[2]]) is None


def test_ram_beside_a_small_chip_is_not_the_smallest_where_less_on_a_chip_does() -> None:
    outside = board(20_000, external=8_000_000)
    fits = [fit_board(footprint(50_000), each) for each in (outside, board(200_000))]
    assert [fit.how for fit in fits] == ["external", "as it is"]
    assert smallest_fit(fits) == fits[1]
    assert smallest_fit(fits[:1]) == fits[0]


def test_a_models_arena_is_its_runtimes_and_its_plan(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(two_arms())
    found = model_footprint(read_tflite(path, dims={}, inputs={}).graph, ["portable", "cmsis-nn"])

    as_is, planned = found.arena_bytes["portable"], found.planned_bytes["portable"]
    assert as_is is not None and planned is not None
    assert as_is - planned == 2176 - 1216
    assert found.bound_bytes["cmsis-nn"] <= found.bound_bytes["portable"] <= planned
    assert found.flash_bytes == len(two_arms())


def test_other_models_are_judged_by_a_planned_arena() -> None:
    found = model_footprint(chain([4096, 4096]), ["portable"])

    assert found.arena_bytes["portable"] == 8192
    assert fit_board(found, board(4096)).how == "no"


def test_boards_of_ones_own_are_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(BOARD)

    found = find_board(str(path))
    assert found == read_boards(path)["mine"] == find_board(f"{path}:mine")
    assert found.largest_ram == ("slow", 256 * 1024)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no"),
        ("[[board]", "no TOML"),
        (BOARD.replace("mine", "My Board!"), "no name"),
        (BOARD.replace("cmsis-nn", "fast"), "kernels is none of"),
        (BOARD.replace("64K", "lots"), "not an amount of bytes"),
        (BOARD.replace("flash = ", "colour = "), "field 'colour'"),
        (BOARD.replace('flash = { internal = "512K" }', ""), "has no flash"),
        (BOARD + BOARD, "two boards named"),
    ],
)
def test_a_broken_table_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)

    with pytest.raises(InputError, match=message):
        read_boards(path)


def test_a_name_that_is_near_is_offered() -> None:
    with pytest.raises(UsageError) as caught:
        find_board("nucleo-h743")
    assert "nucleo-h743zi" in caught.value.hint


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, list(words))
    return done.exit_code, done.stdout


def test_the_command_lists_boards_and_where_a_model_fits(tmp_path: Path) -> None:
    path, own = tmp_path / "m.tflite", tmp_path / "mine.toml"
    path.write_bytes(two_arms())
    own.write_text(BOARD)

    code, text = run("boards", "--json")
    check_document(json.loads(text))
    assert code == 0 and len(json.loads(text)["boards"]) == len(BOARDS)
    code, text = run("boards", str(path), "--boards", str(own), "--json")
    document = json.loads(text)
    check_document(document)
    assert code == 0 and len(document["boards"]) == len(BOARDS) + 1
    assert document["smallest"] == "arduino-uno-r4"
    assert "the smallest is arduino-uno-r4" in run("boards", str(path))[1]
    shown = run("boards")[1].split()
    assert BOARDS.keys() <= set(shown), "a name that is cut cannot be typed"


def test_check_answers_for_one_board(tmp_path: Path) -> None:
    path, own = tmp_path / "m.tflite", tmp_path / "mine.toml"
    path.write_bytes(two_arms())
    own.write_text(BOARD.replace('"64K"', '"1K"').replace('"0.25M"', '"1K"'))

    code, text = run("check", str(path), "--board", "nucleo-f401re", "--json")
    check_document(json.loads(text))
    assert code == 0 and json.loads(text)["board"]["ram"]["limit_bytes"] == 96 * 1024
    assert run("check", str(path), "--board", str(own))[0] == 1
    assert run("check", str(path), "--board", "nucleo-f401re", "--max-peak", "1K")[0] == 2
    assert run("plan", str(path), "--board", "nucleo-f401re")[0] == 0
    assert run("plan", str(path), "--board", "nucleo-f401re", "--budget", "1K")[0] == 2
    code, text = run("analyze", str(path), "--board", "nucleo-f401re")
    assert code == 0 and "Fits on ST NUCLEO-F401RE" in text
