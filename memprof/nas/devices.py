"""Where a search trains: the one place that asks torch which devices there are."""

from __future__ import annotations

from memprof.errors import MissingExtraError, UsageError


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
    has_gpu = torch.cuda.is_available()
    if wish == "auto":
        return "cuda" if has_gpu else "cpu"
    if wish != "cpu" and not (wish.partition(":")[0] == "cuda" and has_gpu):
        raise UsageError(f"There is no device {wish!r} here.", "Use --device cpu.")
    return wish
