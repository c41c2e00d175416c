"""How this copy of memprof came to be installed, and the command that brings what it lacks from the same place.

The distribution is called ``memprof-nn``: on the public index, ``memprof`` is another project's package. What is
imported and the command keep their name. A copy that came from a folder or an address is completed from there,
whatever an index may hold.

Errors import this file, and so does every command: what reads metadata and addresses is imported where it is needed.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import Distribution

NAME = "memprof-nn"
"""The name of the distribution."""

_EXTRAS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("torch", "torchvision", "onnxscript"), "nas"),  # who analyses a module is told before
        "sklearn": "nas",
        "numba": "solver",
        "timm": "timm",
        "transformers": "transformers",
    }
)
"""Module that may be missing -> the extra that brings it."""

_SOURCE = Path(__file__).parents[2]


def extra_of(error: ModuleNotFoundError) -> str | None:
    """Return the extra that brings the module that an import did not find, ``None`` if none does."""
    return _EXTRAS.get((error.name or "").partition(".")[0])


def install_command(extras: str = "") -> str:
    """Return the command that installs memprof again, with extras, from where this copy came from.

    Args:
        extras: Names of extras, separated by commas; empty for the base alone.
    """
    wanted = f"[{extras}]" if extras else ""
    found = _find_metadata()
    if found is None:
        return _install_folder(_SOURCE, wanted, is_editable=False) if _is_clone() else f"pip install '.{wanted}'"
    text = found.read_text("direct_url.json")
    origin = json.loads(text) if text else {}
    url = str(origin.get("url", ""))
    if "dir_info" in origin:
        from urllib.parse import urlsplit
        from urllib.request import url2pathname

        is_editable = bool(origin["dir_info"].get("editable"))
        return _install_folder(Path(url2pathname(urlsplit(url).path)), wanted, is_editable=is_editable)
    if "vcs_info" in origin:
        url = f"{origin['vcs_info']['vcs']}+{url}@{origin['vcs_info']['commit_id']}"
    return f"pip install {shlex.quote(f'{NAME}{wanted} @ {url}' if url else NAME + wanted)}"


def requirements() -> list[str]:
    """Return what the distribution depends on, as its metadata writes it; a clone that is not installed is asked."""
    found = _find_metadata()
    if found is not None:
        return found.requires or []
    if not _is_clone():
        return []
    import tomllib

    project = tomllib.loads((_SOURCE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].items()
    return [*project["dependencies"], *(f'{wish}; extra == "{extra}"' for extra, wishes in extras for wish in wishes)]


def _find_metadata() -> Distribution | None:
    from importlib import metadata

    try:
        return metadata.distribution(NAME)
    except metadata.PackageNotFoundError:  # run from its source folder without being installed
        return None


def _is_clone() -> bool:
    return (_SOURCE / "pyproject.toml").is_file()


def _install_folder(folder: Path, wanted: str, *, is_editable: bool) -> str:
    editable = "-e " if is_editable else ""
    return f"pip install {editable}{shlex.quote(f'{folder}{wanted}')}"
