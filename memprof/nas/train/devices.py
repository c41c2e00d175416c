"""Where a search trains: the one place that asks torch which devices there are."""

from __future__ import annotations

from memprof.base.errors import MissingExtraError, UsageError


def pick_device(wish: str) -> str:
    """Return the device that ``wish`` means here: ``auto`` is the GPU if there is one.

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
    here = ["cpu", *(["cuda", *(f"cuda:{i}" for i in range(gpus))] if gpus else [])]
    if wish not in here:
        raise UsageError(f"There is no device {wish!r} here.", f"Use --device {' or '.join(here)}.")
    return wish
