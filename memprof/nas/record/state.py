"""What a search knows, as a fold over its journal. Pure: no file, no clock, no torch.

Each value is read by its type, and each event must fit those before it: a journal may be anybody's.

event       says                                              changes
started     settings, limits                                  both
round       base, counts, candidates chosen for training      opens a round
outcome     what came of one visit to one candidate           the candidate's results
tournament  networks that train from fresh weights            opens it; its outcomes judge them
cut         candidates that the time budget drops             they wait for nothing any more
closed      winner of the round                               closes it; its winner is the next base
resumed     a process took over, and its limits               the limits; a round that time cut off is open again
stopped     a process ended early, and its seconds            the time spent
finished    why the search ended, and its seconds             the end
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from memprof.base.errors import InputError, UsageError
from memprof.base.text import safe_text
from memprof.nas.given.values import read_record, read_value
from memprof.nas.jobs import Outcome
from memprof.nas.rank.metric import Measures
from memprof.nas.record.journal import Event
from memprof.nas.record.settings import Limits, Settings
from memprof.nas.space.architecture import Architecture

MOST_CANDIDATES = 20_000
"""More than a search of years trains."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A candidate that is to be trained.

    Attributes:
        candidate: Its number in the search.
        architecture: What it is.
        parameter_bytes: Its parameters, deployed.
        peak_intermediate_bytes: Its peak, deployed.
        predicted: The accuracy that the controller predicted; ``None`` in rounds without one.
        is_base: Whether it is the round's base itself, which trains on beside its candidates.
    """

    candidate: int
    architecture: Architecture
    parameter_bytes: int
    peak_intermediate_bytes: int
    predicted: float | None
    is_base: bool = False

    def __post_init__(self) -> None:
        if min(self.candidate, self.parameter_bytes - 1, self.peak_intermediate_bytes - 1) < 0:
            raise ValueError("a candidate has a number, parameters and a peak")

    def to_json(self) -> dict[str, Any]:
        """Return the candidate as JSON-ready values."""
        return {
            "candidate": self.candidate,
            "architecture": self.architecture.to_json(),
            "parameter_bytes": self.parameter_bytes,
            "peak_intermediate_bytes": self.peak_intermediate_bytes,
            "predicted": self.predicted,
            "is_base": self.is_base,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round.

    Attributes:
        index: 0 for the first.
        base: Candidate that it started from; ``None`` in the first.
        generated: Candidates that growing and trimming gave.
        rejected: Of those, how many were over a budget.
        idle: Trims that would have saved neither a byte nor a MAC, and so are no candidates.
        pruned: Of those within the budget, how many could not have won even without an error.
        chosen: Candidates to train.
        least_peak_bytes: The smallest peak of all that were generated; ``None`` if none was.
        least_parameter_bytes: The fewest parameter bytes of all that were generated.
        cut: Candidates that the time budget dropped.
        winner: Candidate chosen for the next round; ``None`` while the round is open or if none was trained.
        score: The winner's metric, relative to the base.
        is_closed: Whether the round is over.
    """

    index: int
    base: int | None
    generated: int
    rejected: int
    chosen: tuple[Chosen, ...]
    idle: int = 0
    pruned: int = 0
    least_peak_bytes: int | None = None
    least_parameter_bytes: int | None = None
    cut: frozenset[int] = frozenset()
    winner: int | None = None
    score: float | None = None
    is_closed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tournament:
    """Networks that a search found, each from fresh weights, equally long, more than once.

    Attributes:
        after: Rounds that were closed before it.
        epochs: Epochs of each training.
        entrants: Candidates that take part, the most promising first.
        yardstick: The first round's winner, whom the others must beat; one of the entrants.
        chosen: A training each under a number of its own: all entrants once, then all once more, and so on.
    """

    after: int
    epochs: int
    entrants: tuple[int, ...]
    yardstick: int
    chosen: tuple[Chosen, ...]

    def __post_init__(self) -> None:
        if not self.entrants or len(self.chosen) % len(self.entrants) or self.yardstick not in self.entrants:
            raise ValueError("in a tournament each entrant trains equally often, the yardstick too")
        if len(set(self.entrants)) != len(self.entrants) or self.epochs < 1:
            raise ValueError("an entrant takes part once, for at least an epoch")

    @property
    def repeats(self) -> int:
        """How often each trains."""
        return len(self.chosen) // len(self.entrants)

    def trainings(self, entrant: int) -> tuple[int, ...]:
        """Return the numbers of an entrant's trainings, the first repeat first."""
        place = self.entrants.index(entrant)
        return tuple(chosen.candidate for chosen in self.chosen[place :: len(self.entrants)])


@dataclass(frozen=True, kw_only=True)
class SearchState:
    """Everything a search knows.

    Attributes:
        settings: What it does; ``None`` before it was started.
        limits: How long and where its last process ran.
        rounds: Rounds so far, the last one perhaps open.
        tournaments: Tournaments so far.
        outcomes: By candidate the outcomes of its visits, lowest rung first.
        seconds: Time that processes spent, by clocks that only grow.
        seconds_before: The same without the last process.
        last_at: Time of the last event.
        is_stopped: Whether the last process ended early, in order.
        finished: Why the search ended; empty while it goes on.
    """

    settings: Settings | None = None
    limits: Limits = field(default_factory=Limits)
    rounds: tuple[Round, ...] = ()
    tournaments: tuple[Tournament, ...] = ()
    outcomes: Mapping[int, tuple[Outcome, ...]] = field(default_factory=dict)
    seconds: float = 0.0
    seconds_before: float = 0.0
    last_at: float = 0.0
    is_stopped: bool = False
    finished: str = ""

    @property
    def last(self) -> Round:
        """The last round.

        Raises:
            ValueError: There is none.
        """
        if not self.rounds:
            raise ValueError("no round was opened before")
        return self.rounds[-1]

    @property
    def final(self) -> Tournament | None:
        """The last tournament that was opened after the rounds so far; ``None`` while a round is open, or before."""
        found = self.tournaments[-1] if self.tournaments else None
        return found if found and found.after == len(self.rounds) and self.last.is_closed else None

    @cached_property
    def chosen(self) -> Mapping[int, Chosen]:
        """Every network that was chosen for training, in a round or a tournament, by number."""
        return {chosen.candidate: chosen for chosen in self._all_chosen}

    @property
    def _all_chosen(self) -> Iterator[Chosen]:
        for found in self.rounds:
            yield from found.chosen
        for tournament in self.tournaments:
            yield from tournament.chosen

    @cached_property
    def _bases(self) -> Mapping[int, int]:
        """By the number of a base that trained on, the number it had before."""
        return {
            chosen.candidate: found.base
            for found in self.rounds
            for chosen in found.chosen
            if chosen.is_base and found.base is not None
        }

    def origin(self, candidate: int) -> int:
        """Return the number under which a network was first chosen; a base that trains on gets another each time."""
        while candidate in self._bases:
            candidate = self._bases[candidate]
        return candidate

    def epochs(self, candidate: int) -> int:
        """Return the epochs behind a network's weights, inherited ones among them."""
        assert self.settings is not None, "a search starts with its settings"
        home = next((found for found in self.rounds if any(c.candidate == candidate for c in found.chosen)), None)
        own = max((o.epochs for o in self.outcomes.get(candidate, ())), default=0)
        if home is None or home.base is None or not self.settings.inherits:
            return own
        return own + self.epochs(home.base)

    @property
    def count(self) -> int:
        """How many numbers are given to candidates."""
        return sum(1 for _ in self._all_chosen)

    def measures(self, candidate: int, rung: int | None = None) -> Measures | None:
        """Return what the metric compares, after the last visit or that of ``rung``; ``None`` if that one failed.

        What comes of a later rung changes nothing about an earlier one, so a ranking at a rung stays as it was.
        """
        visits = [o for o in self.outcomes.get(candidate, ()) if rung is None or o.rung == rung]
        if not visits or visits[-1].status != "ok" or visits[-1].accuracy <= 0:
            return None
        chosen = self.chosen[candidate]
        return Measures(
            accuracy=visits[-1].accuracy,
            peak_intermediate_bytes=chosen.peak_intermediate_bytes,
            parameter_bytes=chosen.parameter_bytes,
        )


def fold(events: Iterable[Event], state: SearchState | None = None) -> SearchState:
    """Return the state after ``events``, starting from ``state`` or from nothing.

    Raises:
        InputError: An event says something that no search of this version writes.
    """
    state = state or SearchState()
    for event in events:
        try:
            if event.kind not in FOLDS or (state.settings is None) != (event.kind == "started"):
                raise ValueError("nothing of that kind can follow")
            before = state.seconds if event.kind == "resumed" else state.seconds_before
            state = replace(FOLDS[event.kind](state, event.data), seconds_before=before)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, UsageError) as error:
            raise InputError(
                f"The journal holds an event {safe_text(event.kind)!r} that is damaged or of another version: "
                f"{safe_text(str(error))}.",
                "Start a new search in another folder.",
            ) from error
        state = replace(state, seconds=state.seconds_before + event.spent, last_at=event.at)
    return state


def _started(state: SearchState, data: Mapping[str, Any]) -> SearchState:
    settings, limits = read_record(Settings, data["settings"]), read_record(Limits, data["limits"])
    return replace(state, settings=settings, limits=limits)


def _round(state: SearchState, data: Mapping[str, Any]) -> SearchState:
    if later := data.keys() & _SAID_LATER:
        raise ValueError(f"a round opens without {min(later)}")
    opened = read_record(Round, data)
    count = state.count
    if opened.index != len(state.rounds) or (state.rounds and not state.last.is_closed):
        raise ValueError("rounds follow each other")
    trained = {n for n, visits in state.outcomes.items() if visits[-1].status == "ok"}
    if opened.base is not None and opened.base not in trained:
        raise ValueError("a round starts from nothing or from a trained network")
    if [c.is_base for c in opened.chosen[1:]].count(True) or (opened.base is None and _has_base(opened)):
        raise ValueError("the base that trains on is the first of its round")
    if [c.candidate for c in opened.chosen] != list(range(count, count + len(opened.chosen))):
        raise ValueError("candidates are numbered in order")
    if count + len(opened.chosen) > MOST_CANDIDATES:
        raise ValueError(f"more than {MOST_CANDIDATES:,} candidates")
    assert state.settings is not None, "a search starts with its settings"
    for chosen in opened.chosen:
        _check_fits(chosen.architecture, state.settings)
    if _has_base(opened) and opened.chosen[0].architecture != state.chosen[opened.base or 0].architecture:
        raise ValueError("the base that trains on is another network")
    return replace(state, rounds=(*state.rounds, opened))


def _has_base(found: Round) -> bool:
    return bool(found.chosen) and found.chosen[0].is_base


def _tournament(state: SearchState, data: Mapping[str, Any]) -> SearchState:
    opened = read_record(Tournament, data)
    if opened.after != len(state.rounds) or not state.last.is_closed:
        raise ValueError("a tournament follows a round")
    if [c.candidate for c in opened.chosen] != list(range(state.count, state.count + len(opened.chosen))):
        raise ValueError("candidates are numbered in order")
    for entrant in opened.entrants:
        if entrant not in state.outcomes or any(
            state.chosen[entrant].architecture != opened.chosen[number - state.count].architecture
            for number in opened.trainings(entrant)
        ):
            raise ValueError(f"{entrant} enters as another network")
    return replace(state, tournaments=(*state.tournaments, opened))


def _check_fits(architecture: Architecture, settings: Settings) -> None:
    """Raise unless the network has the search's template."""
    template = settings.template
    ends = (architecture.input_shape, architecture.classes, architecture.stem_width, architecture.stem_stride)
    blocks = [(block.stride, block.width) for block in architecture.blocks]
    wanted = (template.input_shape, template.classes, template.stem_width, template.stem_stride)
    if ends != wanted or blocks != list(zip(template.strides, template.widths, strict=True)):
        raise ValueError("a candidate has other blocks, images or classes than the search")
    if not set(architecture.own_layers) <= set(settings.own_layers):
        raise ValueError("a candidate has a layer that the search has not")
    if not 1 <= architecture.slots <= settings.max_cells:
        raise ValueError("a candidate has no cell, or more than the search grows")


def _outcome(state: SearchState, data: Mapping[str, Any]) -> SearchState:
    assert state.settings is not None, "a search starts with its settings"
    outcome = read_record(Outcome, data)
    visits = state.outcomes.get(outcome.candidate, ())
    if not 0 <= outcome.candidate < state.count:
        raise ValueError(f"there is no candidate {outcome.candidate}")
    if outcome.rung != len(visits) or outcome.rung >= len(state.settings.rungs):
        raise ValueError(f"candidate {outcome.candidate} has no visit {outcome.rung} next")
    return replace(state, outcomes={**state.outcomes, outcome.candidate: (*visits, outcome)})


def _cut(state: SearchState, data: Mapping[str, Any]) -> SearchState:
    cut = read_value(frozenset[int], data["candidates"])
    if not cut <= {chosen.candidate for chosen in state.last.chosen}:
        raise ValueError("only candidates of the last round can be cut")
    return _with_last_round(state, cut=state.last.cut | cut)


def _closed(state: SearchState, data: Mapping[str, Any]) -> SearchState:
    winner, score = read_value(int | None, data["winner"]), read_value(float | None, data["score"])
    if winner is not None and winner not in {chosen.candidate for chosen in state.last.chosen}:
        raise ValueError(f"the winner {winner} is not of the round")
    return _with_last_round(state, winner=winner, score=score, is_closed=True)


def _with_last_round(state: SearchState, **changes: Any) -> SearchState:
    return replace(state, rounds=(*state.rounds[:-1], replace(state.last, **changes)))


def _resumed(state: SearchState, data: Mapping[str, Any]) -> SearchState:
    state = replace(state, limits=read_record(Limits, data["limits"]), is_stopped=False, finished="")
    if state.rounds and state.last.cut:  # the time cut that round off, and now there may be more of it
        return _with_last_round(state, cut=frozenset(), winner=None, score=None, is_closed=False)
    return state


def _stopped(state: SearchState, data: Mapping[str, Any]) -> SearchState:
    return replace(state, is_stopped=True)


def _finished(state: SearchState, data: Mapping[str, Any]) -> SearchState:
    return replace(state, finished=read_value(str, data["reason"]))


_SAID_LATER = frozenset({"cut", "winner", "score", "is_closed"})
FOLDS: Mapping[str, Callable[[SearchState, Mapping[str, Any]], SearchState]] = {
    "started": _started,
    "round": _round,
    "tournament": _tournament,
    "outcome": _outcome,
    "cut": _cut,
    "closed": _closed,
    "resumed": _resumed,
    "stopped": _stopped,
    "finished": _finished,
}
"""How each kind of event changes the state."""
