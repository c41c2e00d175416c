"""Search folders from a stranger, 64 and in the slow run 600: each command ends in a result or one refusal."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import shutil
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

pytest.importorskip("torch")

from memprof.base.errors import MemprofError
from memprof.nas.train.evaluation import load_checkpoint
from tests.hostile.attack import Answer, attack
from tests.hostile.search_folders import KINDS, make_search

FOLDERS = (64, pytest.param(600, marks=pytest.mark.slow))
WEIGHTS = (3, pytest.param(12, marks=pytest.mark.slow))
"""The first of each count are the same folders: the slow run meets them all."""
SEED = 20
CODES = range(6)
SPACE_BYTES = 6 * 2**30  # torch alone reserves more than the gigabyte that readers of models are held to
FIRST = ("link", "value", "result", "names")
"""Kinds that a page is made of; one in eight of the others is reported on too."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search that nobody spoilt."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    make_search(folder)
    return folder


def make_outside(folder: Path) -> Path:
    """Return a folder of the user's, which links lead to."""
    folder.mkdir()
    (folder / "notes.txt").write_text("mine\n")
    (folder / "empty").mkdir()
    (folder / "full").mkdir()
    (folder / "full" / "README.md").write_text("mine too\n")
    return folder


def fingerprint(folder: Path) -> str:
    """Return what says whether anything in a folder changed."""
    parts = (
        f"{path.relative_to(folder)}:{path.stat().st_mode}:{path.read_bytes()!r}" if path.is_file() else str(path)
        for path in sorted(folder.rglob("*"))
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def unprintable(text: str) -> list[str]:
    """Return the characters that a terminal would obey and no person sees."""
    return [c for c in text if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]


def faults(arguments: Sequence[str], answer: Answer) -> Iterator[str]:
    """Yield what is wrong with how a command ended."""
    if answer.code not in CODES:
        yield f"code {answer.code}: {answer.stderr[-600:]}"
    if found := unprintable(answer.stdout + answer.stderr):
        yield f"characters {found[:5]}"
    if "\n## pwned" in answer.stdout:
        yield "a line of the folder's own"
    if "--json" in arguments:
        try:
            json.loads(answer.stdout, parse_constant=pytest.fail)
        except ValueError as error:
            yield f"no document: {error} in {answer.stdout[:200]!r}"


def commands(kind: str, index: int, folder: str) -> list[list[str]]:
    """Return what is run on a folder."""
    found = [["nas", "status", folder], ["nas", "status", folder, "--json"]]
    if (kind in FIRST and index % 2 == 0) or index % 16 == 1:
        found.append(["nas", "report", folder])
    return found


def spoilt(whole: Path, place: Path, kind: str, index: int) -> tuple[Path, Path]:
    """Return a spoilt copy of the search, and the folder outside that belongs to the user."""
    place.mkdir()
    outside = make_outside(place / "outside")
    folder = place / "run"
    shutil.copytree(whole, folder)
    KINDS[kind](folder, outside, random.Random(f"{SEED}/{kind}/{index}"))
    return folder, outside


def check(found: Sequence[tuple[Path, Path, str, list[list[str]]]], base: Path, **limits: int) -> list[str]:
    """Run the commands on all folders and return every fault."""
    before = [fingerprint(outside) for _, outside, _, _ in found]
    jobs = [arguments for *_, each in found for arguments in each]
    answers = iter(attack(base, jobs, **limits))
    wrong = []
    for (folder, outside, kind, each), mark in zip(found, before, strict=True):
        wrong += [f"{kind} {' '.join(a)}: {fault}" for a in each for fault in faults(a, next(answers))]
        if fingerprint(outside) != mark:
            wrong.append(f"{kind} {folder}: a file outside changed")
        page = folder / "report" / "README.md"
        if page.is_file() and not page.is_symlink() and (unprintable(t := page.read_text()) or "\n## pwned" in t):
            wrong.append(f"{kind} {folder}: the page holds what the folder wanted")
    return wrong


def test_the_folder_that_nobody_spoilt_is_fine(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    jobs = [["nas", "status", str(folder), "--json"], ["nas", "report", str(folder)]]
    assert [answer.code for answer in attack(tmp_path, jobs)] == [0, 0]


@pytest.mark.parametrize("folders", FOLDERS)
def test_looking_at_a_hostile_search_ends_in_a_result_or_a_refusal(whole: Path, tmp_path: Path, folders: int) -> None:
    kinds = [kind for kind in KINDS if kind != "checkpoint"]
    found = []
    for i in range(folders):
        kind = kinds[i % len(kinds)]
        folder, outside = spoilt(whole, tmp_path / str(i), kind, i)
        found.append((folder, outside, kind, commands(kind, i // len(kinds), str(folder))))
    wrong = check(found, tmp_path)
    assert not wrong, "\n".join(wrong[:20])


@pytest.mark.parametrize("folders", WEIGHTS)
def test_weights_from_a_stranger_run_nothing(whole: Path, tmp_path: Path, folders: int) -> None:
    """One process meets all commands: it loads PyTorch once."""
    found = []
    for command in (("export",), ("export", "--trained", "0"), ("train", "--epochs", "2")):
        for i in range(folders):
            kind = ("checkpoint", "link", "bytes")[i % 3]
            folder, outside = spoilt(whole, tmp_path / f"{' '.join(command)} {i}", kind, 1000 + i)
            found.append((folder, outside, kind, [["nas", command[0], str(folder), *command[1:]]]))
    wrong = check(found, tmp_path, seconds=60, space=SPACE_BYTES)
    assert not wrong, "\n".join(wrong[:20])


def test_no_checkpoint_of_a_stranger_runs_when_it_is_loaded(whole: Path, tmp_path: Path) -> None:
    """Every way to spoil one several times, in this process: commands above meet a few."""
    for i in range(24):
        folder, outside = spoilt(whole, tmp_path / str(i), "checkpoint", i)
        for path in (*(folder / "weights").iterdir(), folder / "trained" / "0" / "checkpoint.pt"):
            with contextlib.suppress(MemprofError):
                load_checkpoint(path)
        assert not (outside / "ran").exists()


@pytest.mark.parametrize("count", [3, pytest.param(27, marks=pytest.mark.slow)])
def test_a_hostile_search_goes_on_within_its_limits_or_is_refused(whole: Path, tmp_path: Path, count: int) -> None:
    """In the first three: links, values and columns; in all, every kind of harm three times."""
    kinds = list(KINDS)
    found = []
    for i in range(count):
        kind = kinds[i % len(kinds)]
        folder, outside = spoilt(whole, tmp_path / str(i), kind, 2000 + i)
        found.append((folder, outside, kind, [["nas", "resume", str(folder), "--minutes", "0.1", "--workers", "1"]]))
    wrong = check(found, tmp_path, seconds=60, space=SPACE_BYTES)
    assert not wrong, "\n".join(wrong[:20])
