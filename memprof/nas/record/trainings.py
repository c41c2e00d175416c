"""Final trainings of found networks as their results tell of them, read without torch.

DIR/trained/NAME/result.json           written once, after the one look at the test images
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memprof.base.errors import InputError, UsageError
from memprof.base.text import safe_text
from memprof.nas.given.inside import inside, open_inside
from memprof.nas.given.values import parse_json, read_record
from memprof.nas.space.architecture import Architecture

RESULT_SCHEMA = "memprof/nas-train/1"
_MOST_RESULT_BYTES = 4 * 1024**2
TRAINED = "trained"
RESULT = "result.json"
FINAL_LOCK = "final.lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalTraining:
    """One network trained to the end.

    Attributes:
        name: Its folder below ``trained``.
        candidate: The candidate it came from.
        architecture: What was trained, scaled perhaps.
        epochs: Epochs trained.
        validation_accuracy: On the validation images; ``None`` if it was trained on them too.
        test_accuracy: On the test images, looked at once.
        parameter_bytes: Deployed.
        peak_intermediate_bytes: Deployed, under ``reference``.
    """

    name: str
    candidate: int
    architecture: Architecture
    epochs: int
    validation_accuracy: float | None
    test_accuracy: float
    parameter_bytes: int
    peak_intermediate_bytes: int

    def __post_init__(self) -> None:
        shares = (self.validation_accuracy or 0.0, self.test_accuracy)
        if not all(0 <= share <= 1 for share in shares) or min(self.candidate, self.epochs) < 0:
            raise ValueError("accuracies are shares, candidates and epochs are counted")
        if min(self.parameter_bytes, self.peak_intermediate_bytes) < 0:
            raise ValueError("bytes are not negative")

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON-ready values, schema ``memprof/nas-train/1``."""
        return {
            "schema": RESULT_SCHEMA,
            "name": self.name,
            "candidate": self.candidate,
            "architecture": self.architecture.to_json(),
            "epochs": self.epochs,
            "validation_accuracy": self.validation_accuracy,
            "test_accuracy": self.test_accuracy,
            "parameter_bytes": self.parameter_bytes,
            "peak_intermediate_bytes": self.peak_intermediate_bytes,
        }


def read_result(place: Path) -> FinalTraining | None:
    """Return the result of a final training, ``None`` if it is not finished.

    Raises:
        InputError: What is there is no result, or no plain file.
    """
    try:
        with open_inside(place, RESULT, most_bytes=_MOST_RESULT_BYTES) as file:
            data = parse_json(file.read())
        if not isinstance(data, dict) or data.pop("schema", None) != RESULT_SCHEMA:
            raise ValueError(f"its schema is not {RESULT_SCHEMA}")
        return read_record(FinalTraining, data)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(
            f"{safe_text(str(place / RESULT))} is not a result of memprof: {safe_text(str(error))}.",
            "Remove its folder and train again.",
        ) from error


def finished_trainings(folder: Path) -> list[FinalTraining]:
    """Return the results of all final trainings of the search in ``folder``, by name.

    Raises:
        InputError: One is none, or a link leads out of the folder.
    """
    parent = inside(folder, TRAINED)
    names = sorted(path.name for path in parent.iterdir()) if parent.is_dir() else []
    places = [place for name in names if name != FINAL_LOCK and (place := inside(folder, TRAINED, name)).is_dir()]
    return [result for place in places if (result := read_result(place)) is not None]


def find_training(folder: Path, name: str) -> FinalTraining:
    """Return the result of the final training ``name`` of the search in ``folder``.

    Raises:
        UsageError: There is no such training, or it is not finished; names those that are.
    """
    result = read_result(inside(folder, TRAINED, name))
    if result is None:
        finished = ", ".join(found.name for found in finished_trainings(folder)) or "none"
        raise UsageError(
            f"There is no finished training {safe_text(name)!r} in {safe_text(str(folder))}.",
            f"Finished: {finished}.",
        )
    return result
