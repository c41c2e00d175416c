"""A file is the old one or the new one, whole, whatever happens to its writer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from memprof.base.errors import UsageError
from memprof.base.files import check_writable, remove_drafts, write_text_whole, write_whole


def fails_halfway(draft: Path) -> None:
    draft.write_text("half")
    raise OSError(28, "No space left on device")


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    target.write_text("old")
    with pytest.raises(UsageError, match=r"Cannot write .*report\.json: No space left on device"):
        write_whole(target, fails_halfway)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"report.json": "old"}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_whatever_ends_the_writer_ends_its_draft(tmp_path: Path, error: type[BaseException]) -> None:
    def write(draft: Path) -> None:
        draft.write_text("half")
        raise error

    with pytest.raises(error):
        write_whole(tmp_path / "plot.png", write)
    assert list(tmp_path.iterdir()) == []


def test_the_writer_never_sees_the_target_and_its_draft_has_the_same_suffix(tmp_path: Path) -> None:
    target = tmp_path / "plot.png"
    seen: list[Path] = []

    def write(draft: Path) -> None:
        seen.append(draft)
        assert not target.exists()
        draft.write_bytes(b"picture")

    write_whole(target, write)
    assert (seen[0].parent, seen[0].suffix) == (tmp_path, ".png")
    assert seen[0] != target
    assert target.read_bytes() == b"picture"


def test_a_link_stays_a_link_and_a_file_keeps_its_mode(tmp_path: Path) -> None:
    real = tmp_path / "real.txt"
    real.write_text("old")
    real.chmod(0o600)
    (tmp_path / "link.txt").symlink_to(real)
    write_text_whole(tmp_path / "link.txt", "new\n")
    assert (tmp_path / "link.txt").is_symlink()
    assert (real.read_bytes(), real.stat().st_mode & 0o777) == (b"new\n", 0o600)


def test_a_killed_writer_leaves_a_draft_that_the_next_one_removes(tmp_path: Path) -> None:
    target = tmp_path / "weights.pt"
    target.write_text("old")
    child = os.fork()
    if not child:
        write_whole(target, lambda draft: (draft.write_text("half"), os._exit(9)))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert target.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2
    remove_drafts(tmp_path)
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("missing/a.json", "its folder does not exist"), (".", "it is a folder"), ("pipe", "it is not a regular file")],
)
def test_what_cannot_be_written_is_said_before_the_work(tmp_path: Path, name: str, reason: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match=reason):
        check_writable(tmp_path / name)
