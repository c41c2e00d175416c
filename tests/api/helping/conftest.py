"""The command line, for tests of what its suggestions do."""

from __future__ import annotations

from tests.cli.conftest import run

__all__ = ["run"]
