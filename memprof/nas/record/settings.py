"""Everything that decides what a search does, in one frozen value that the journal's first event holds.

What may change between a start and a resume (where it runs, how long) is ``Limits``; all else must stay, and a resume
that asks for another space or seed is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, is_dataclass
from math import inf
from typing import Any, Literal

from memprof.base.errors import UsageError
from memprof.base.text import safe_text
from memprof.nas.given.values import MOST_CHARACTERS
from memprof.nas.rank.metric import Metric
from memprof.nas.space.architecture import (
    GROWN_LAYERS,
    MOST_CELLS,
    MOST_SIDE,
    AnyLayer,
    Combine,
    Layer,
    Template,
    check_own_layers,
)
from memprof.nas.space.budget import ARENA_RUNTIME, Budget
from memprof.nas.space.generator import BOTH
from memprof.nas.space.own_layers import MOST_OWN_LAYERS, PAPER_LAYERS, OwnLayer
from memprof.nas.train.recipe import Recipe

MOST_WORKERS = 1024
MOST_FINALISTS = 100
Goal = Literal["front", "metric"]
Halving = Literal["by rung", "as they come"]
RANKER_NAMES = ("scc", "set-scc", "single-rnn", "double-rnn", "blend", "ridge", "parameters", "random")
"""Keys of ``memprof.nas.rank.controller.RANKERS``, which need torch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a search does; the same settings, device and threads find the same network.

    Attributes:
        dataset: Name or folder, as ``memprof.nas.train.data.load_training`` takes it.
        image_limit: Training images used; ``None`` for all.
        image_side: Height and width to which images are scaled and cropped; ``None`` to leave them as they are.
        template: Blocks, widths, stem and head.
        seed: Of everything that is drawn.
        metric: Lambda and the weights of equation 4.
        budget: Hard limits.
        goal: What leads a search: ``front`` keeps whoever is not beaten in accuracy, parameters and peak at once, and
            its best is the most accurate within the budget; ``metric`` weighs them by equation 4.
        finalists: Networks of the front that a tournament compares from fresh weights; 0 for none.
        final_seeds: How often each of them trains.
        final_epochs: How long each time.
        max_cells: The search ends when the chosen network has this many cells.
        first_rounds: Rounds that skip the controller.
        sample: Candidates trained in those rounds; ``None`` for all.
        top_k: Candidates trained in every later round.
        ranker: One of ``RANKER_NAMES``.
        recipe: How a candidate is trained.
        rungs: Epochs at which the better half goes on, rising; the last is the recipe's epochs.
        halving: When the better half goes on: ``by rung`` waits for all of a rung, ``as they come`` for nobody.
        inherits: Whether a candidate starts from the weights of its base.
        mirror_images: Whether mirror images count apart, as the paper counts them.
        combines: Combiners a new cell may have.
        layers: Layers a new cell may have.
        prunes: Whether candidates that the metric could not let win even without an error are left out.
    """

    dataset: str
    template: Template
    image_limit: int | None = None
    image_side: int | None = None
    seed: int = 0
    metric: Metric
    budget: Budget
    goal: Goal = "front"
    finalists: int = 4
    final_seeds: int = 3
    final_epochs: int = 18
    max_cells: int = 6
    first_rounds: int = 2
    sample: int | None = 16
    top_k: int = 8
    ranker: str = "scc"
    recipe: Recipe
    rungs: tuple[int, ...]
    halving: Halving = "by rung"
    inherits: bool = True
    mirror_images: bool = False
    combines: tuple[Combine, ...] = BOTH
    layers: tuple[AnyLayer, ...] = GROWN_LAYERS
    prunes: bool = True

    def __post_init__(self) -> None:
        if not self.rungs or list(self.rungs) != sorted(set(self.rungs)) or self.rungs[0] < 1:
            raise UsageError(f"The epochs of successive halving must rise: {self.rungs}.")
        if self.rungs[-1] != self.recipe.epochs:
            raise UsageError(f"The last rung is {self.rungs[-1]} epochs, the recipe has {self.recipe.epochs}.")
        if min(self.max_cells, self.top_k, self.first_rounds) < 1 or (self.sample is not None and self.sample < 1):
            raise UsageError("Cells, first rounds, samples and the top k are at least 1.")
        if self.max_cells > MOST_CELLS or (self.image_side or 1) not in range(1, MOST_SIDE + 1) or self.seed < 0:
            raise UsageError(
                f"A search has at most {MOST_CELLS} cells, images of at most {MOST_SIDE} pixels a side, and a seed "
                "that is not negative."
            )
        if safe_text(self.dataset, limit=MOST_CHARACTERS) != self.dataset:
            raise UsageError(f"The name of the data set is not printable: {safe_text(self.dataset)}.", "Rename it.")
        if not 0 <= self.finalists <= MOST_FINALISTS or not 1 <= self.final_seeds <= MOST_FINALISTS:
            raise UsageError(f"A tournament has at most {MOST_FINALISTS} finalists of as many seeds.")
        if not self.layers or len(set(self.layers)) < len(self.layers) or Layer.IDENTITY in self.layers:
            raise UsageError("A new cell has layers to choose from, each named once, and none that is trimmed.")
        _check_own(self.own_layers, self.template, self.budget)
        if self.final_epochs < 1:
            raise UsageError("A final training has at least one epoch.")
        if self.ranker not in RANKER_NAMES:
            raise UsageError(f"There is no ranker {self.ranker!r}.", _choices(RANKER_NAMES))

    @property
    def chance(self) -> float:
        """The accuracy of guessing, from which areas under a front count."""
        return 1 / self.template.classes

    @property
    def own_layers(self) -> tuple[OwnLayer, ...]:
        """Those of its layers that are one's own."""
        return tuple(layer for layer in self.layers if isinstance(layer, OwnLayer))

    @property
    def layer_bits(self) -> int:
        """Bits of a layer in the codes of its networks."""
        return PAPER_LAYERS + max((layer.position + 1 for layer in self.own_layers), default=0)

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON-ready values; ``read_record(Settings, values)`` reads them back."""
        data = asdict(self)
        data["combines"] = [combine.value for combine in self.combines]
        data["layers"] = [layer.to_json() if isinstance(layer, OwnLayer) else layer.value for layer in self.layers]
        data["rungs"] = list(self.rungs)
        data["template"] = {
            key: list(value) if isinstance(value, tuple) else value for key, value in data["template"].items()
        }
        return data

    def refuse_other(self, other: Settings) -> None:
        """Raise if ``other`` asks for another search than this one.

        Raises:
            UsageError: Names each setting that differs, with both values.
        """
        mine, others = _flat(self), _flat(other)
        different = [
            f"{name} is {_show(mine[name])} here, {_show(others[name])} was asked for"
            for name in mine
            if mine[name] != others[name]
        ]
        if different:
            raise UsageError(
                f"That is another search: {'; '.join(different)}.",
                "Resume with the settings it was started with, or start a new one in another folder.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long and where a search runs: free to change on a resume, kept where nothing else is asked for.

    Attributes:
        rounds: Rounds in all; ``None`` for no limit.
        seconds: Time in all, summed over resumes; ``None`` for no limit.
        job_seconds: Time for one visit to one candidate.
        workers: Candidates that train at once: on a CPU each in a process, on a GPU all in one for each device.
        threads: CPU threads of each process.
        device: ``cpu``, ``cuda``, ``cuda:N``, or several GPUs with commas between them.
    """

    rounds: int | None = None
    seconds: float | None = None
    job_seconds: float = 3600.0
    workers: int = 1
    threads: int = 1
    device: str = "cpu"

    def __post_init__(self) -> None:
        times = (self.job_seconds, *([] if self.seconds is None else [self.seconds]))
        if not all(0 < seconds < inf for seconds in times):
            raise UsageError("A time is a number of seconds, more than none and not without end.")
        if min(self.workers, self.threads, 1 if self.rounds is None else self.rounds) < 1:
            raise UsageError("Rounds, workers and threads are at least 1.")
        if max(self.workers, self.threads) > MOST_WORKERS:
            raise UsageError(f"A machine runs at most {MOST_WORKERS} workers of as many threads.")

    @property
    def devices(self) -> tuple[str, ...]:
        """Each device."""
        return tuple(self.device.split(","))

    @property
    def lanes(self) -> int:
        """Candidates that one process trains at once."""
        return 1 if self.device == "cpu" else -(-self.workers // len(self.devices))

    def to_json(self) -> dict[str, Any]:
        """Return the limits as JSON-ready values; ``read_record(Limits, values)`` reads them back."""
        return asdict(self)


def _check_own(layers: tuple[OwnLayer, ...], template: Template, budget: Budget) -> None:
    """Raise unless own layers can stand beside each other, and at every place of every block.

    Raises:
        UsageError: With the reason.
    """
    if len(layers) > MOST_OWN_LAYERS:
        raise UsageError(f"A search has at most {MOST_OWN_LAYERS} layers of one's own.")
    try:
        check_own_layers(layers)
    except ValueError as error:
        raise UsageError(f"These layers do not go together: {error}.", "Rename one.") from error
    widths = {template.stem_width, *template.widths}
    strange = [o.op for layer in layers for o in layer.operations if o.kind == "activation" and o.op != "relu"]
    if budget.runtime == ARENA_RUNTIME and strange:
        raise UsageError(
            f"What {strange[0]} becomes once converted for {budget.runtime} is not known here.",
            "Use relu, or another --runtime.",
        )
    for layer in layers:  # a layer reads the stem, or what is a sum of widths
        for groups in {operation.groups for operation in layer.operations}:
            if any(width % groups for width in widths):
                raise UsageError(
                    f"Layer {layer.name} has {groups} groups, and not all widths are multiples of that: "
                    f"{', '.join(map(str, sorted(widths)))}.",
                    "Give other --widths, or fewer groups.",
                )


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return all fields of a dataclass by their names, those of the dataclasses in it after a dot."""
    found: dict[str, Any] = {}
    for field in fields(value):
        inner = getattr(value, field.name)
        name = f"{prefix}{field.name}"
        found.update(_flat(inner, f"{name}.") if is_dataclass(inner) else {name: inner})
    return found


def _show(value: Any) -> str:
    """Return a setting as a message names it: layers by what they are called."""
    if isinstance(value, tuple) and any(isinstance(item, Layer | OwnLayer) for item in value):
        return ", ".join(item.label for item in value)
    return repr(value)


def _choices(names: Iterable[str]) -> str:
    return f"Choose {', '.join(names)}."
