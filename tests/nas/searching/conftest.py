"""One whole search, made up, that many tests look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from memprof.nas.record.state import SearchState


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> SearchState:
    from tests.nas.searching.searches import drive  # torch: its tests skip themselves where it is not installed

    return drive(tmp_path_factory.mktemp("whole"))
