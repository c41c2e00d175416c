"""The two ways to run the kernels: plainly on lists, and compiled by numba on arrays. One source, one algorithm.

    engine     needs    start, once per machine, then from a cache               speed
    plain      nothing  none                                                     1
    compiled   numba    some 10 s (``kernel``), 3 s (the others); then 0.3 s     30 to 50

The compiled functions are clones of the plain ones whose globals lead to their compiled kin. None of them calls
itself (numba's cache and self-recursion do not go together).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from memprof.base.errors import MissingExtraError
from memprof.planning.offsets import abutting, kernel, shelving
from memprof.planning.offsets.abutting import Abutting
from memprof.planning.offsets.kernel import Kernel
from memprof.planning.offsets.problem import Ints
from memprof.planning.offsets.shelving import Shelving

_NUMBA_SETTINGS = ".numba_config.yaml"
_UNFINISHED = "no compiled object yet"

_SEARCH = (
    "_rank",
    "_split",
    "_largest_part",
    "_open",
    "_open_part",
    "_climb",
    "_descend",
    "_find_blocker",
    "_find_witness",
    "_is_hopeful",
    "_undo",
    "_place",
    "begin",
    "advance",
)
"""The functions of ``kernel``, callees first."""

_FIRST_FIT = ("_climb", "_pass", "_split", "put", "_insert", "clear", "place")
"""Those of ``shelving``."""

_ABUTTING = ("put", "_list_near", "_closeness", "_closest", "abut")
"""Those of ``abutting``."""


@dataclass(frozen=True)
class Engine:
    """A way to run the kernels.

    Attributes:
        name: ``plain`` or ``compiled``.
        make_column: From an int64 array to what the kernel indexes.
        begin: ``kernel.begin``.
        advance: ``kernel.advance``.
        clear: ``shelving.clear``.
        place: ``shelving.place``.
        abut: ``abutting.abut``.
    """

    name: str
    make_column: Callable[[Ints], Any]
    begin: Callable[[Kernel], int]
    advance: Callable[[Kernel, int], int]
    clear: Callable[[Shelving], None]
    place: Callable[[Shelving, int], int]
    abut: Callable[[Abutting, int], int]


PLAIN = Engine(
    name="plain",
    make_column=lambda column: column.tolist(),
    begin=kernel.begin,
    advance=kernel.advance,
    clear=shelving.clear,
    place=shelving.place,
    abut=abutting.abut,
)


def has_compiler() -> bool:
    """Whether numba is installed and may be imported here; does not import it."""
    # numba takes settings from the working folder, the place of its cache among them, and unpickles what is there;
    # the folder of a model may be a stranger's
    return find_spec("numba") is not None and not Path(_NUMBA_SETTINGS).exists()


def is_compiled_before(function: Callable[..., Any]) -> bool:
    """Whether numba's cache holds a function as the source is now, so that it starts at once."""
    stats = getattr(function, "stats", None)
    if stats is None:
        return False
    source = Path(inspect.getfile(function.py_func))  # type: ignore[attr-defined] # numba's
    entries = Path(stats.cache_path or "").glob(f"{source.stem}.{function.__name__}-*.nbi")
    return any(entry.stat().st_mtime >= source.stat().st_mtime for entry in entries)


@cache
def compiled_engine() -> Engine:
    """Return the compiled engine; its functions compile, or load from numba's cache, when first called.

    Raises:
        MissingExtraError: numba is not installed.
    """
    search, first_fit = _compiled(kernel, _SEARCH), _compiled(shelving, _FIRST_FIT)
    first = _compiled(abutting, _ABUTTING)
    return Engine(
        name="compiled",
        make_column=lambda column: column.copy(),
        begin=search["begin"],
        advance=search["advance"],
        clear=first_fit["clear"],
        place=first_fit["place"],
        abut=first["abut"],
    )


def _compiled(module: ModuleType, names: Sequence[str]) -> dict[str, Any]:
    try:
        import numba
    except ImportError as error:
        raise MissingExtraError("The compiled search", "solver") from error
    namespace: dict[str, Any] = dict(vars(module))
    for name in names:
        plain = namespace[name]
        clone = FunctionType(plain.__code__, namespace, name, plain.__defaults__)
        clone.__module__, clone.__qualname__ = plain.__module__, plain.__qualname__
        try:
            namespace[name] = numba.njit(clone, cache=True)
        except RuntimeError:  # no folder for the cache can be written
            namespace[name] = numba.njit(clone)
    return namespace


@contextmanager
def interrupted_compiling() -> Iterator[None]:
    """Turn what numba makes of Ctrl-C while it compiles back into ``KeyboardInterrupt``.

    The interrupt may be lost in a callback of the compiler, which then misses an object that it did not finish. What
    was compiled by halves is dropped.
    """
    try:
        yield
    except KeyboardInterrupt:
        compiled_engine.cache_clear()
        raise
    except RuntimeError as error:
        if not isinstance(error.__context__, KeyboardInterrupt) and _UNFINISHED not in str(error):
            raise
        compiled_engine.cache_clear()
        raise KeyboardInterrupt from error
