"""What a process may still take: never more than a control group around it leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from memprof.measure.spare import spare_bytes

MIB = 2**20


def group(folder: Path, limit: str, used: int, names: tuple[str, str] = ("memory.max", "memory.current")) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{used}\n")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own"
    path.write_text("0::/box/inner\n")
    return path


def test_the_least_of_all_groups_around_counts(tmp_path: Path, own: Path) -> None:
    group(tmp_path / "box", str(9 * MIB), 2 * MIB)
    group(tmp_path / "box" / "inner", "max", 1 * MIB)
    assert spare_bytes(tmp_path, own) == 7 * MIB
    group(tmp_path / "box" / "inner", str(4 * MIB), 1 * MIB)
    assert spare_bytes(tmp_path, own) == 3 * MIB


def test_a_group_that_has_taken_all_leaves_nothing(tmp_path: Path, own: Path) -> None:
    group(tmp_path, str(4 * MIB), 5 * MIB)  # as a container sees its own
    assert spare_bytes(tmp_path, own) == 0


def test_groups_of_version_1_count(tmp_path: Path, own: Path) -> None:
    own.write_text("4:cpu,cpuacct:/elsewhere\n9:memory:/box\n")
    group(tmp_path / "memory" / "box", str(5 * MIB), MIB, ("memory.limit_in_bytes", "memory.usage_in_bytes"))
    assert spare_bytes(tmp_path, own) == 4 * MIB


@pytest.mark.parametrize("text", ["", "nonsense\n", "0::/../..\n"])
def test_without_groups_the_machine_counts(tmp_path: Path, own: Path, text: str) -> None:
    own.write_text(text)
    assert spare_bytes(tmp_path / "none", own) > MIB
    assert spare_bytes(tmp_path / "none", tmp_path / "missing") > MIB
