"""Write a found network as ONNX and check it against PyTorch's own outputs in onnxruntime."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from memprof.base.errors import MissingExtraError, RuntimeFailure, UsageError
from memprof.base.files import write_whole
from memprof.nas.given.inside import inside
from memprof.nas.record.journal import read_journal
from memprof.nas.record.state import fold
from memprof.nas.record.trainings import TRAINED, find_training
from memprof.nas.searching.final import CHECKPOINT, count_epochs
from memprof.nas.searching.rounds import WEIGHTS
from memprof.nas.space.architecture import Architecture
from memprof.nas.space.screening import refuse_giant
from memprof.nas.train.evaluation import load_checkpoint
from memprof.nas.train.modules import NO_BUILDERS, Builders, build_module
from memprof.nas.train.trainer import restore

TOLERANCE = 1e-4
"""Largest allowed difference of an output, relative to the largest output: folding batch norm rounds anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """An ONNX file that was checked.

    Attributes:
        path: The file.
        difference: Largest difference to PyTorch's outputs, relative to the largest of them.
    """

    path: Path
    difference: float


def weights_of(
    folder: Path, candidate: int, architecture: Architecture, trained: str | None
) -> tuple[Architecture, dict[str, torch.Tensor], str]:
    """Return the network to export, its weights, and in words where they come from.

    Args:
        folder: Folder of the search.
        candidate: The candidate.
        architecture: The candidate's own architecture.
        trained: Name of a final training; the weights of the search if left out.

    Raises:
        UsageError: There is no such training of this candidate, or the weights are gone.
        InputError: The weights cannot be read.
    """
    if trained is None:
        state = fold(read_journal(folder)[0])
        for tournament in reversed([t for t in state.tournaments if candidate in t.entrants]):
            # The first repeat, whatever the others gave: picking the best would be one more choice by accuracy.
            path = inside(folder, WEIGHTS, f"{tournament.trainings(candidate)[0]}-0.pt")
            if path.is_file():
                weights = load_checkpoint(path).weights
                return architecture, weights, f"the tournament's weights after {count_epochs(tournament.epochs)}"
        visits = sorted(
            (int(found[1]), path)
            for path in inside(folder, WEIGHTS).glob(f"{candidate}-*.pt")
            if (found := re.fullmatch(r"\d+-(\d{1,9})", path.stem))
        )
        if not visits:
            raise UsageError(f"The search in {folder} has no weights of candidate {candidate} any more.")
        checkpoint = load_checkpoint(visits[-1][1])
        return architecture, checkpoint.weights, f"the search's weights after {count_epochs(checkpoint.epoch)}"
    result = find_training(folder, trained)
    if result.candidate != candidate:
        raise UsageError(
            f"{trained} is a training of candidate {result.candidate}, not of {candidate}.",
            "Leave --candidate out: the training says whose it is.",
        )
    checkpoint = load_checkpoint(inside(folder, TRAINED, trained, CHECKPOINT))
    words = f"weights trained from scratch for {count_epochs(checkpoint.epoch)}"
    return result.architecture, checkpoint.weights, words


def export_onnx(
    architecture: Architecture, weights: dict[str, torch.Tensor], path: Path, builders: Builders = NO_BUILDERS
) -> Exported:
    """Write ``architecture`` with ``weights`` to ``path`` and check it; the file appears only if it is right.

    Args:
        architecture: The network.
        weights: State of its module.
        path: The .onnx file; its folder must exist.
        builders: What makes the modules of layers of one's own.

    Raises:
        MissingExtraError: onnxruntime or onnxscript is not installed.
        RuntimeFailure: onnxruntime's outputs differ from PyTorch's.
        UsageError: The file cannot be written.
    """
    refuse_giant(architecture)
    module = build_module(architecture, builders)
    restore(module, weights)
    module.eval()
    images = torch.randn((1, *architecture.input_shape), generator=torch.Generator().manual_seed(0))
    differences: list[float] = []

    def write(draft: Path) -> None:
        _write(module, images, draft)
        differences.append(_difference(module, images, draft))
        if not differences[0] <= TOLERANCE:
            raise RuntimeFailure(
                f"The exported network's outputs differ from PyTorch's by {differences[0]:.2g} of the largest.",
                "Nothing was written; please report this architecture.",
            )

    write_whole(path, write)
    return Exported(path=path, difference=differences[0])


def _write(module: nn.Module, images: torch.Tensor, path: Path) -> None:
    try:
        program = torch.onnx.export(
            module, (images,), dynamo=True, input_names=["images"], output_names=["logits"], verbose=False
        )
    except ImportError as error:
        raise MissingExtraError("The ONNX export", "nas") from error
    assert program is not None, "the dynamo exporter returns a program"
    program.save(str(path), external_data=False)


def _difference(module: nn.Module, images: torch.Tensor, path: Path) -> float:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("Checking the export", "nas") from error
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found: Any = session.run(None, {"images": images.numpy()})[0]
    with torch.inference_mode():
        expected = module(images).numpy()
    return float(np.abs(found - expected).max() / max(float(np.abs(expected).max()), 1e-12))
