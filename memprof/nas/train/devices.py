"""Where a search trains: the one place that asks torch which devices there are."""

from __future__ import annotations

from memprof.base.errors import MissingExtraError, UsageError


def name_device(wish: str) -> str:
    """Return the device that ``wish`` means on another machine, without a look at this one.

    Raises:
        UsageError: It is none that every machine of a cluster can have.
    """
    if wish not in {"auto", "cpu", "cuda"}:
        raise UsageError(f"{wish!r} is no device of every machine.", "Use --device cpu or cuda.")
    return "cpu" if wish == "auto" else wish


def pick_device(wish: str) -> str:
    """Return the devices that ``wish`` means here, with commas between them.

    Args:
        wish: ``auto`` is the GPU if there is one, ``all`` every GPU; else the names of devices.

    Raises:
        MissingExtraError: torch, torchvision or scikit-learn is not installed.
        UsageError: There is no such device.
    """
    try:
        import sklearn  # noqa: F401 - the data sets come from it and torchvision
        import torch
        import torchvision  # noqa: F401 - as above
    except ImportError as error:
        raise MissingExtraError("The search", "nas") from error
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wish == "auto":
        return "cuda" if gpus else "cpu"
    each = [f"cuda:{i}" for i in range(gpus)]
    if wish == "all":
        return ",".join(each) or "cpu"
    here = ["cpu", *(["cuda"] if gpus else []), *each]
    names = wish.split(",")
    for name in names:
        if name not in here:
            raise UsageError(f"There is no device {name!r} here.", f"Use --device {' or '.join(here)}.")
    if len(set(names)) < len(names) or (len(names) > 1 and not set(names) <= set(each)):
        raise UsageError(f"Several devices are different GPUs, not {wish!r}.", "Use --device cuda:0,cuda:1, or all.")
    return wish
