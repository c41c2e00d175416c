"""The one place that knows where optional real-world data lies: beside the repository, never in it."""

from __future__ import annotations

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


def shared_data() -> Path | None:
    """Return the folder of real models, traces and tables, ``None`` where this checkout has none."""
    folder = REPOSITORY.parent / "shared" / "data"
    return folder if folder.is_dir() else None


def require_shared_data() -> Path:
    """Return the folder, or skip the test that asks for it."""
    folder = shared_data()
    if folder is None:
        pytest.skip("no real-world data beside this checkout")
    return folder
