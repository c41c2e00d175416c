"""One whole search, made up, that many tests look at."""

from __future__ import annotations

import pytest

from memprof.nas.record.state import SearchState
from tests.nas.searching.searches import drive


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> SearchState:
    return drive(tmp_path_factory.mktemp("whole"))
