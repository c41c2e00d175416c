"""Documents that memprof reads back, from a stranger: each ends in an answer or one sentence, soon and in a gigabyte.

Three of a kind in an ordinary run, 130 in the slow one, which meets the tables of networks too.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from memprof.base.errors import InputError
from memprof.planning.record import Plan
from tests.hostile.attack import ADDRESS_SPACE_BYTES, SECONDS, Answer, attack
from tests.hostile.documents import KINDS, Kind, named, prepare, spoil_json, spoilt
from tests.hostile.test_search_folders import unprintable

TORCH_SPACE_BYTES = 6 * 2**30
CODES = range(6)


def given(base: Path, name: str, count: int) -> list[list[str]]:
    """Write a whole document and spoilt ones; return what is typed for each."""
    kind, folder = KINDS[name], base / name.replace(" ", "_")
    whole = prepare(folder, kind)
    jobs = []
    for number in range(-1, count):
        content = kind.pack(whole) if number < 0 else spoilt(whole, kind, name, number)
        place = folder / str(number)
        place.mkdir()
        for path in folder.iterdir():
            if path.is_file():
                (place / path.name).write_bytes(path.read_bytes())
        (place / kind.file).write_bytes(content)
        more = [] if {kind.file, "."} & set(kind.line.split()) else ["--config", str(place / "memprof.toml")]
        jobs.append([*named(kind, place), *more])
    return jobs


def faults(kind: Kind, job: list[str], answer: Answer) -> list[str]:
    """Return what is wrong with an answer."""
    wrong = []
    if answer.code not in CODES:
        wrong.append(f"code {answer.code}: {(answer.stderr or answer.stdout)[-600:]}")
    if answer.seconds >= SECONDS:
        wrong.append(f"{answer.seconds:.1f} s")
    if found := unprintable(answer.stdout + answer.stderr):
        wrong.append(f"characters {found[:5]}")
    if "\n## pwned" in answer.stdout:
        wrong.append("a line of the document's own")
    if "--json" in job and not wrong:
        try:
            json.loads(answer.stdout, parse_constant=pytest.fail)
        except ValueError as error:
            wrong.append(f"no document: {error}")
    return [f"{' '.join(job)}: {each}" for each in wrong]


@pytest.mark.parametrize(
    ("needs_torch", "count"),
    [(False, 3), pytest.param(False, 130, marks=pytest.mark.slow), pytest.param(True, 130, marks=pytest.mark.slow)],
)
def test_spoilt_documents_end_in_answers_or_refusals(tmp_path: Path, needs_torch: bool, count: int) -> None:
    if needs_torch:
        pytest.importorskip("torch")
    kinds = {name: kind for name, kind in KINDS.items() if kind.needs_torch == needs_torch}
    jobs = {name: given(tmp_path, name, count) for name in kinds}
    space = TORCH_SPACE_BYTES if needs_torch else ADDRESS_SPACE_BYTES

    answers = iter(attack(tmp_path, [job for each in jobs.values() for job in each], space=space))

    wrong = []
    for name, kind in kinds.items():
        first, *others = [next(answers) for _ in jobs[name]]
        if first.code not in kind.codes:
            wrong.append(f"{name} that nobody spoilt: {first}")
        for job, answer in zip(jobs[name][1:], others, strict=True):
            wrong += faults(kind, job, answer)
        if count > 100 and not any(answer.code for answer in others):
            wrong.append(f"{name}: whatever it says is taken")
    assert not wrong, "\n".join([f"{len(wrong)}:", *wrong[:20]])


@pytest.mark.parametrize("count", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_a_spoilt_plan_is_read_as_a_plan_or_refused(tmp_path: Path, count: int) -> None:
    whole = prepare(tmp_path / "given", KINDS["saved plan"])
    refused = 0
    for number in range(count):
        text = spoil_json(whole, random.Random(f"plan/{number}"))
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            refused += 1
            continue
        try:
            json.dumps(Plan.from_json(document, "p.json").to_json(), allow_nan=False)
        except InputError:
            refused += 1
    assert 0 < refused < count
