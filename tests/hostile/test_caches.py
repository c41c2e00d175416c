"""What is kept between runs, spoilt in every way: the answer is the same, found anew, and nothing in a file runs."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import memprof
from memprof.measure import kept
from memprof.measure.kept import keep_bytes, kept_path, read_kept
from tests.onnx_models import model, node, tensor, weight

pytest.importorskip("onnxruntime")


class Attack:
    """Makes a file where it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self._marker = str(marker)

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self._marker, "w")


def spoils(answer: Path, whole: bytes, outside: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield ways to put something else where ``whole`` was kept; a folder, which stays in the way, is the last."""
    other = answer.with_name(f"{'0' * 64}{answer.suffix}")
    contents = {
        "nothing": b"",
        "half": whole[: len(whole) // 2],
        "no seal": whole[:-66],
        "a longer one": whole + b"\n",
        "nesting": b"[" * 100_000,
        "an object": b'{"help": [], "help_skipped": []}',
        "an odd number": b'{"holes": [[NaN, 1e999]], "written": []}',
        "a pickle": pickle.dumps(Attack(outside / "ran")),
    }
    for name, content in contents.items():
        yield name, lambda content=content: answer.write_bytes(content)  # type: ignore[misc] # bound now
    for place in range(0, len(whole), max(1, len(whole) // 7)):
        yield f"byte {place}", lambda place=place: answer.write_bytes(_flipped(whole, place))  # type: ignore[misc] # bound now
    yield "another answer", lambda: answer.write_bytes(whole[:-66] + kept._seal(whole[:-66], other))
    yield "a link without an end", lambda: answer.symlink_to("/dev/zero")
    yield "a link out of the cache", lambda: answer.symlink_to(outside / "mine.txt")
    yield "a pipe", lambda: os.mkfifo(answer)
    yield "a folder", lambda: (answer / "full").mkdir(parents=True)


def _flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder of the user's own."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    return folder


def test_an_answer_that_was_spoilt_is_none_and_is_kept_anew(
    tmp_path: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    place = kept_path("help", "a question", suffix=".json")
    assert place is not None
    answer = b'{"what": "an answer that is long enough to be cut"}'
    keep_bytes(answer, place)
    assert read_kept(place) == answer
    for name, spoil in spoils(place, place.read_bytes(), outside):
        place.unlink()
        spoil()
        assert read_kept(place) is None, name
        keep_bytes(answer, place)
        assert read_kept(place) == (None if name == "a folder" else answer), name
    assert [path.name for path in place.parent.iterdir()] == [place.name]
    assert [path.name for path in outside.iterdir()] == ["mine.txt"]
    assert (outside / "mine.txt").read_text() == "mine"


@pytest.mark.default_session
def test_a_report_is_the_same_whatever_became_of_the_cache(
    tmp_path: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every file of every kind at once, each spoilt in another way: a run for each would take minutes."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file, cache = tmp_path / "net.onnx", tmp_path / "cache" / "memprof"
    nodes = [node("Conv", ["x", "w"], ["a"], pads=[1] * 4), node("Relu", ["a"], ["y"])]
    proto = model(nodes, inputs=[tensor("x", [1, 8, 16, 16])], outputs=["y"], initializers=[weight("w", 8, 8, 3, 3)])
    file.write_bytes(proto.SerializeToString())

    def asked() -> dict[str, Any]:
        found: dict[str, Any] = memprof.analyze(file).to_json()
        return {name: found[name] for name in ("runtimes", "unknown", "notes") if name in found}

    first = asked()
    wholes = {path: path.read_bytes() for path in sorted(cache.rglob("*.*"))}
    assert {path.parent.name for path in wholes} >= {"onnxruntime", "loading"}
    for turn in range(2):
        for i, (path, whole) in enumerate(wholes.items()):
            ways = list(spoils(path, whole, outside))[:-1]
            path.unlink()
            ways[(7 * turn + 3 * i) % len(ways)][1]()
        assert asked() == first
        assert all(read_kept(path) for path in wholes), "what was spoilt is kept anew"
    assert [path.name for path in outside.iterdir()] == ["mine.txt"]
