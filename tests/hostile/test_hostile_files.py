"""A model from a stranger ends in a report or in one sentence: soon, in little memory, and without a traceback."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.hostile.attack import SECONDS, Answer, attack
from tests.hostile.hostile_corpus import ACCEPTED, CORPUS
from tests.hostile.odd_nodes import odd_nodes

STYLES = ("absolute", "dot", "bare")
_ODD_PLACES = ("directory", "fifo", "loop", "missing")
_FILES = [
    (name, style)
    for style in STYLES
    for name in ((*CORPUS, *_ODD_PLACES) if style == "bare" else (*sorted(CORPUS)[::12], *_ODD_PLACES))
]
"""Every file under its bare name, and a few under the other ways to write a path."""
_ASKED = 40
"""One file in so many has the installed onnxruntime asked, in a process of its own; that takes most of the time."""
_ODD_NODES_ASKED = (173, pytest.param(10, marks=pytest.mark.slow))
"""The same for one operation each; the files themselves are all met in every run."""
_ODD_NAMES = ("\x1b[31mred.onnx", "[bold].onnx", "\u202egpj.onnx", "a\nb.onnx")


def _flags(number: int, asked: int = _ASKED) -> list[str]:
    return ["--from-file"] if number % asked else []


def _path(folder: Path, file: str, style: str) -> str:
    return {"absolute": str(folder / file), "dot": f"./{file}", "bare": file}[style]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Answer]:
    """Analyse every hostile file under every way to write its path."""
    folder = tmp_path_factory.mktemp("hostile")
    for name, content in CORPUS.items():
        (folder / f"{name}.onnx").write_bytes(content())
    (folder / "directory.onnx").mkdir()
    os.mkfifo(folder / "fifo.onnx")
    (folder / "loop.onnx").symlink_to("loop.onnx")
    for name in _ODD_NAMES:
        (folder / name).write_bytes(CORPUS["zero_dim"]())
    keys = [(f"{name}.onnx", style) for name, style in _FILES]
    keys += [(file, style) for style in STYLES for file in _ODD_NAMES]
    jobs = [["analyze", "--json", *_flags(i), "--", _path(folder, *key)] for i, key in enumerate(keys)]
    return dict(zip(keys, attack(folder, jobs), strict=True))


@pytest.mark.parametrize(("name", "style"), _FILES)
def test_ends_with_a_report_or_one_sentence(answers: dict[tuple[str, str], Answer], name: str, style: str) -> None:
    answer = answers[f"{name}.onnx", style]

    assert answer.code in (0, 3), answer.stderr
    assert answer.seconds < SECONDS
    assert "Traceback" not in answer.stderr
    expected = "memprof/analysis/2" if answer.code == 0 else "memprof/error/1"
    assert answer.document["schema"] == expected


@pytest.mark.parametrize("name", sorted(ACCEPTED))
def test_odd_but_valid_files_are_analysed(answers: dict[tuple[str, str], Answer], name: str) -> None:
    answer = answers[f"{name}.onnx", "bare"]

    assert answer.code == 0
    assert answer.document["runtimes"]["reference"]["peak_intermediate_bytes"] is not None
    assert not [unknown for unknown in answer.document["unknown"] if unknown["kind"] != "macs"]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("file", _ODD_NAMES)
def test_odd_file_names_are_only_names(answers: dict[tuple[str, str], Answer], file: str, style: str) -> None:
    assert answers[file, style].code == 0


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("cycle", "cycle"),
        ("undefined_input", "which nothing in the model writes"),
        ("doubling_functions", "expand to 8388608 nodes"),
        ("deep_functions", "more than 64 deep"),
        ("recursive_functions", "calls itself"),
        ("all_values_are_outputs", "has 90000 outputs; 16384 are possible"),
        ("hundred_thousand_graph_inputs", "has 100000 inputs; 16384 are possible"),
        ("half_a_million_weights", "has 500001 initialisers; 500000 are possible"),
        ("thirty_nodes_called_4000_times", "expand to 120000 nodes"),
        ("sixty_thousand_inputs", "more than 16384 tensors"),
        ("too_many_nodes", "more than 100000 nodes"),
        ("forty_one_thousand_shape_additions", "More than 40000 operations of the model differ"),
        ("forty_one_thousand_open_sizes", "More than 40000 operations of the model differ"),
        ("duplicate_outputs", "Two tensors of one graph are named 'y'"),
        ("not_utf8", "not UTF-8"),
        ("dim_2_to_the_62", "dimension of 4611686018427387904"),
        ("empty", "is empty"),
        ("directory", "a directory"),
        ("fifo", "not a regular file"),
        ("missing", "No such file"),
    ],
)
def test_the_sentence_says_what_is_wrong(answers: dict[tuple[str, str], Answer], name: str, sentence: str) -> None:
    assert sentence in answers[f"{name}.onnx", "bare"].document["error"]["message"]


@pytest.mark.parametrize("name", ["control_characters", "bidirectional_name", "markup_name", "markup_and_html_name"])
def test_names_reach_the_terminal_without_control_of_it(tmp_path: Path, name: str) -> None:
    (tmp_path / "model.onnx").write_bytes(CORPUS[name]())

    (answer,) = attack(tmp_path, [["analyze", "model.onnx"]])

    assert answer.code == 0
    assert not set("\x1b\x07\r\u202e\u2066") & set(answer.stdout)


def test_the_file_that_external_data_points_to_is_never_opened(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    secret = tmp_path / "etc" / "passwd"
    secret.parent.mkdir()
    os.mkfifo(secret)  # opening it would block until the time limit
    (folder / "model.onnx").write_bytes(CORPUS["external_data_elsewhere"]())

    (answer,) = attack(folder, [["analyze", "model.onnx", "--json"]])

    assert answer.code == 0
    assert answer.seconds < SECONDS / 2


def test_strict_makes_what_is_unknown_a_failure(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(CORPUS["unknown_domain"]())

    (answer,) = attack(tmp_path, [["analyze", "model.onnx", "--json", "--strict"]])

    assert answer.code == 4


@pytest.mark.parametrize("asked", _ODD_NODES_ASKED)
def test_no_operation_with_any_flaw_costs_the_report(tmp_path: Path, asked: int) -> None:
    files = dict(odd_nodes())
    for name, content in files.items():
        (tmp_path / f"{name}.onnx").write_bytes(content)

    answers = attack(
        tmp_path, [["analyze", "--json", *_flags(i, asked), f"{name}.onnx"] for i, name in enumerate(files)]
    )

    assert len(files) > 500
    odd = {name: answer.stderr for name, answer in zip(files, answers, strict=True) if answer.code not in (0, 3)}
    assert odd == {}
    lost = [name for name, answer in zip(files, answers, strict=True) if answer.code == 0 and not _explains(answer)]
    assert lost == []


def _explains(answer: Answer) -> bool:
    """Whether every peak is a number, or something is listed that says why it is not."""
    document = answer.document
    peaks = [row["peak_intermediate_bytes"] for row in document["runtimes"].values()]
    return None not in peaks or any(unknown["kind"] != "macs" for unknown in document["unknown"])
