"""What people and programs are told of a search: one frozen value, which goes to JSON and comes back.

Made from a search's state in ``memprof.nas.record.summarizing``; JSON schema ``memprof/nas-status/3``. Only a
tournament says which network is the best; until then one leads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from memprof.base.errors import InputError
from memprof.base.fields import Fields, check_schema
from memprof.nas.given.values import read_record, read_value
from memprof.nas.record.settings import Settings
from memprof.nas.record.tournament import Standing
from memprof.nas.space.architecture import Architecture

STATUS_SCHEMA = "memprof/nas-status/3"
_HINT = "Write it again: memprof nas status DIR --json"

Status = Literal["running", "stopped", "interrupted", "finished"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateSummary:
    """One network that was chosen for training.

    Attributes:
        candidate: Its number.
        round: Round that chose it.
        architecture: What it is.
        status: ``ok``, what went wrong, ``cut`` by the time budget, or ``waiting``.
        message: What went wrong, in one line.
        validation_accuracy: After its last visit; ``None`` if it has none.
        epochs: Epochs trained.
        parameter_bytes: Deployed.
        peak_intermediate_bytes: Deployed.
        epochs_in_all: Those behind its weights, inherited ones among them.
        is_base: Whether it is the round's base itself, which trained on beside the candidates.
        worth: Its accuracy on the search's one scale (``memprof.nas.record.scores``); ``None`` unless it went all the
            way.
        round_score: The metric against the base that trained on beside it; ``None`` if it was not trained.
        predicted: The accuracy that the controller predicted; ``None`` in rounds without one.
        seconds: Time its visits took.
    """

    candidate: int
    round: int
    architecture: Architecture
    status: str
    message: str
    validation_accuracy: float | None
    epochs: int
    parameter_bytes: int
    peak_intermediate_bytes: int
    epochs_in_all: int
    is_base: bool
    worth: float | None
    round_score: float | None
    predicted: float | None
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return the network as JSON-ready values."""
        return {field.name: getattr(self, field.name) for field in fields(self)} | {
            "architecture": self.architecture.to_json()
        }

    @classmethod
    def from_json(cls, document: object, source: str = "the document") -> CandidateSummary:
        """Return the network that ``to_json`` gave as ``document``.

        Raises:
            InputError: A field is missing or wrong.
        """
        return _read_candidate(Fields(document, source))


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundSummary:
    """One round.

    Attributes:
        index: 0 for the first.
        base: Candidate it started from.
        generated: Candidates that were considered.
        rejected: Of those, over a budget.
        idle: Trims that save neither a byte nor a MAC, and were none.
        pruned: Of those within the budget, that could not win even without an error.
        chosen: Of the rest, chosen for training.
        trained: Of those, trained so far without failing.
        failed: Of those, one visit of which failed.
        winner: Candidate chosen for the next round.
        score: Its metric, relative to the base.
    """

    index: int
    base: int | None
    generated: int
    rejected: int
    idle: int
    pruned: int
    chosen: int
    trained: int
    failed: int
    winner: int | None
    score: float | None

    def to_json(self) -> dict[str, Any]:
        """Return the round as JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: object, source: str = "the document") -> RoundSummary:
        """Return the round that ``to_json`` gave as ``document``.

        Raises:
            InputError: A field is missing or wrong.
        """
        return _read_round(Fields(document, source))


@dataclass(frozen=True, kw_only=True)
class SearchSummary:
    """A whole search.

    Attributes:
        settings: What it does.
        status: Whether it runs, was stopped in order, was interrupted (no heartbeat), or is finished.
        reason: Why it finished; empty while it has not.
        seconds: Time spent training and choosing.
        rounds: All rounds.
        candidates: All networks chosen for training, by number.
        standings: How the entrants of the tournament did, the most accurate first; none before it.
        best: The best of them; ``None`` before the tournament.
        leader: Who leads as far as rounds can tell; ``None`` before the first is closed.
        front: Candidates that no other beats in worth, parameters and peak at once.
    """

    settings: Settings
    status: Status
    reason: str
    seconds: float
    rounds: tuple[RoundSummary, ...]
    candidates: tuple[CandidateSummary, ...]
    standings: tuple[Standing, ...]
    best: Standing | None
    leader: CandidateSummary | None
    front: tuple[CandidateSummary, ...]

    @property
    def found(self) -> CandidateSummary | None:
        """The best network's candidate, before a tournament the leader."""
        if self.best is None:
            return self.leader
        return next(c for c in self.candidates if self.best.candidate == c.candidate)

    @property
    def undecided(self) -> str:
        """What is to be said of a leader: why no network is called the best."""
        if self.status == "finished":
            return "the search ended before a tournament told which network is the best"
        return "which network is the best, a tournament will tell"

    def to_json(self) -> dict[str, Any]:
        """Return the summary as JSON-ready values."""
        return {
            "schema": STATUS_SCHEMA,
            "state": self.status,
            "reason": self.reason,
            "seconds": self.seconds,
            "rounds": len(self.rounds),
            "candidates": self._totals(),
            "best": None if self.best is None else self._standing_json(self.best),
            "standings": [self._standing_json(found) for found in self.standings],
            "leader": None if self.leader is None else self.leader.to_json(),
            "front": [found.to_json() for found in self.front],
            "settings": self.settings.to_json(),
            "history": [found.to_json() for found in self.rounds],
            "networks": [found.to_json() for found in self.candidates],
        }

    @classmethod
    def from_json(cls, document: object, source: str = "the document") -> SearchSummary:
        """Return the search that ``to_json`` gave as ``document``; what it says twice must agree.

        Raises:
            InputError: It is no search of this version, or a field is missing or wrong.
        """
        try:
            check_schema(document, source, (STATUS_SCHEMA,))
            return _read_search(Fields(document, source))
        except InputError as error:
            raise InputError(error.message, _HINT) from error

    def _totals(self) -> dict[str, int]:
        return {name: sum(getattr(found, name) for found in self.rounds) for name in _COUNTED}

    def _standing_json(self, found: Standing) -> dict[str, Any]:
        candidate = next(c for c in self.candidates if c.candidate == found.candidate)
        return {
            "candidate": found.candidate,
            "architecture": candidate.architecture.to_json(),
            "validation_accuracy": found.accuracy,
            "standard_error": found.standard_error,
            "accuracies": list(found.accuracies),
            "epochs": found.epochs,
            "score": found.score,
            "parameter_bytes": found.parameter_bytes,
            "peak_intermediate_bytes": found.peak_intermediate_bytes,
        }


_COUNTED = ("generated", "rejected", "idle", "pruned", "chosen", "trained", "failed")
"""Fields of a round that add up over a search."""


def _read_search(found: Fields) -> SearchSummary:
    standings = tuple(map(_read_standing, found.each("standings")))
    summary = SearchSummary(
        settings=found.value("settings", lambda value: read_record(Settings, value)),
        status=found.value("state", _read_status),
        reason=found.value("reason", _read_text),
        seconds=found.value("seconds", _read_number),
        rounds=tuple(map(_read_round, found.each("history"))),
        candidates=tuple(map(_read_candidate, found.each("networks"))),
        standings=standings,
        best=None if found.is_null("best") else _read_standing(found.fields("best")),
        leader=None if found.is_null("leader") else _read_candidate(found.fields("leader")),
        front=tuple(map(_read_candidate, found.each("front"))),
    )
    for name, reason in _disagreements(found, summary):
        raise found.error(name, reason)
    return summary


def _disagreements(found: Fields, summary: SearchSummary) -> Iterator[tuple[str, str]]:
    """Yield field and reason of what contradicts the rounds, the networks or the standings."""
    networks = {each.candidate: each for each in summary.candidates}
    named = {number for each in summary.rounds for number in (each.base, each.winner) if number is not None}
    leaders = [] if summary.leader is None else [summary.leader]
    if len(networks) < len(summary.candidates):
        yield "networks", "has two networks of one number"
    if any(each.round >= len(summary.rounds) for each in summary.candidates):
        yield "networks", "has a network of a round that is none"
    if [each.index for each in summary.rounds] != list(range(len(summary.rounds))):
        yield "history", "numbers its rounds otherwise than from 0 on"
    if not named <= networks.keys():
        yield "history", "names a network that is none"
    if any(each.candidate not in networks for each in summary.standings):
        yield "standings", "names a network that is none"
    if summary.best is not None and summary.best not in summary.standings:
        yield "best", "is none of the standings"
    if any(networks.get(each.candidate) != each for each in leaders):
        yield "leader", "is none of the networks"
    if any(networks.get(each.candidate) != each for each in summary.front):
        yield "front", "holds what is none of the networks"
    if found.count("rounds") != len(summary.rounds):
        yield "rounds", "is not the number of rounds"
    totals = found.fields("candidates")
    if any(totals.count(name) != total for name, total in summary._totals().items()):
        yield "candidates", "is not what the rounds add up to"


def _read_candidate(found: Fields) -> CandidateSummary:
    return CandidateSummary(
        candidate=found.count("candidate"),
        round=found.count("round"),
        architecture=found.value("architecture", Architecture.from_json),
        status=found.value("status", _read_text),
        message=found.value("message", _read_text),
        validation_accuracy=found.value("validation_accuracy", _read_number_or_none),
        epochs=found.count("epochs"),
        parameter_bytes=found.count("parameter_bytes"),
        peak_intermediate_bytes=found.count("peak_intermediate_bytes"),
        epochs_in_all=found.count("epochs_in_all"),
        is_base=found.flag("is_base"),
        worth=found.value("worth", _read_number_or_none),
        round_score=found.value("round_score", _read_number_or_none),
        predicted=found.value("predicted", _read_number_or_none),
        seconds=found.value("seconds", _read_number),
    )


def _read_round(found: Fields) -> RoundSummary:
    return RoundSummary(
        index=found.count("index"),
        base=found.count_or_none("base"),
        winner=found.count_or_none("winner"),
        score=found.value("score", _read_number_or_none),
        **{name: found.count(name) for name in _COUNTED},
    )


def _read_standing(found: Fields) -> Standing:
    return Standing(
        candidate=found.count("candidate"),
        accuracies=found.value("accuracies", _read_accuracies),
        epochs=found.count("epochs"),
        score=found.value("score", _read_number),
        parameter_bytes=found.count("parameter_bytes"),
        peak_intermediate_bytes=found.count("peak_intermediate_bytes"),
    )


def _read_accuracies(value: object) -> tuple[float, ...]:
    found: tuple[float, ...] = read_value(tuple[float, ...], value)
    if not found:
        raise ValueError("an entrant that never trained has no mean")
    return found


def _read_status(value: object) -> Status:
    found: Status = read_value(Status, value)
    return found


def _read_text(value: object) -> str:
    """Return a text as it may be shown, as one of the search's own folder is read."""
    found: str = read_value(str, value)
    return found


def _read_number(value: object) -> float:
    found: float = read_value(float, value)
    return found


def _read_number_or_none(value: object) -> float | None:
    found: float | None = read_value(float | None, value)
    return found
