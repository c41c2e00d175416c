"""Arrays that lie in files of a search: mapped, whoever wrote them, or refused."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from memprof.nas.given.inside import inside


def map_array(folder: Path, name: str) -> np.ndarray[Any, Any]:
    """Return the array in a .npy file; changes of it stay in memory.

    ``numpy.load`` would take an archive or a pickle for it, too.

    Args:
        folder: Folder of a search, or one in it.
        name: Name of the file there.

    Raises:
        ValueError: There is none, or its head is not true.
        InputError: It is a link, a device or a pipe.
    """
    path = inside(folder, name)
    try:
        with warnings.catch_warnings():  # of odd heads; what they come to is judged here
            warnings.simplefilter("ignore")
            found = np.lib.format.open_memmap(path, mode="c")
    except Exception as error:  # a head is a Python literal, of which numpy says whatever comes to it
        raise ValueError(f"{name} is no array: {error}") from error
    return found
