"""Linear algebra on one thread: beside workers that hold every core, several threads mostly wait for each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep the libraries under numpy to one thread: in the whole process, so that uses that overlap may end early."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield
