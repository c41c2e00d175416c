"""The search itself: rounds as in Figure 1(a), asked for jobs and told outcomes.

    round:  generate from the base -> reject what is over budget, known, saves nothing or cannot win -> choose
            -> train in rungs, the base beside the candidates -> next base
            first rounds choose all, or a stated sample; later ones what the controller ranks highest
    end:    tournament of the front: fresh weights, equally long, several seeds

``Search`` decides and journals; it trains nothing, so that anything that turns jobs into outcomes can drive it:

    while jobs := search.ask():
        for outcome in pool.run(jobs, more=search.newly_ready(jobs)):
            search.tell(outcome)

Everything it decides is a function of the settings and of the outcomes so far, whatever order those came in:
candidate k draws its seed from (search seed, k), the sample of a round and the controller from (search seed, round).
So a search that was killed and resumed chooses what an uninterrupted one does.

Beyond the paper, and each can be switched off (``Settings``): mirror images are one candidate, candidates start from
their base's weights, and successive halving: only the better half of a rung goes on to the next.

Who is better is in ``memprof.nas.record.scores``, who is best in ``memprof.nas.record.tournament``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from statistics import mean, pstdev
from typing import Any

from memprof.nas.given.inside import inner_folder
from memprof.nas.jobs import Job, Outcome, Parent, derive_seed
from memprof.nas.rank.choosing import BASES, choose_for_front, choose_for_metric, hopeful
from memprof.nas.rank.controller import believe
from memprof.nas.rank.fronts import pareto_front
from memprof.nas.rank.metric import Measures
from memprof.nas.rank.rankers import Candidate, RankedRound
from memprof.nas.record.forecast import forecast_seconds, plan_tournament, reserved_seconds
from memprof.nas.record.halving import open_visits
from memprof.nas.record.journal import Journal
from memprof.nas.record.scores import (
    finalists_of_round,
    first_winner,
    measured_in_round,
    median_measures,
    next_bases,
    scores_of_round,
    worth,
    worth_above_first_rung,
)
from memprof.nas.record.settings import Limits, Settings
from memprof.nas.record.state import Chosen, Round, fold
from memprof.nas.record.tournament import waiting
from memprof.nas.space.architecture import Architecture
from memprof.nas.space.budget import Budget
from memprof.nas.space.encoding import encode_block
from memprof.nas.space.generator import generate
from memprof.nas.space.screening import Footprint, count_macs, is_within, measure

WEIGHTS = "weights"
"""Folder of checkpoints inside a search's folder."""


_Pick = tuple[Architecture, Footprint, float | None]
"""A network to train, what it takes, and the accuracy that was predicted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offer:
    """What a round from one base would be.

    Attributes:
        base: Candidate that it starts from; ``None`` for the empty network.
        parent: That network.
        measured: Candidates that were not trained before, with what they take.
        idle: Trims that save nothing.
        fitting: How many are within the budget.
        able: Of those, how many could win.
        picked: What it would train.
        gain: What that promises.
    """

    base: int | None
    parent: Architecture
    measured: list[tuple[Architecture, Footprint]]
    idle: int
    fitting: int
    able: int
    picked: list[_Pick]
    gain: float


class Search:
    """Decides what to train next and remembers everything in its journal.

    Args:
        folder: Folder of the search.
        journal: Its journal, open for writing; it holds that the search has started.
        clock: Seconds that only grow.
    """

    def __init__(self, folder: Path, journal: Journal, clock: Callable[[], float]) -> None:
        self._folder = folder.resolve()  # a job's files are the same ones from every working directory
        self._journal = journal
        self._clock = clock
        self.state = fold(journal.events())
        self._is_judging = False
        self._spent_before = self.state.seconds
        self._began = clock()
        for torn in inner_folder(self._folder, WEIGHTS).glob("*.part"):
            torn.unlink(missing_ok=True)

    @property
    def settings(self) -> Settings:
        """What the search does."""
        assert self.state.settings is not None, "a search starts with its settings"
        return self.state.settings

    @property
    def limits(self) -> Limits:
        """How long and where it runs."""
        return self.state.limits

    @property
    def forecast(self) -> float | None:
        """About how many seconds are left, no more than the budget leaves; ``None`` while nobody can know."""
        found = forecast_seconds(self.state)
        if found is None:
            return None if self.limits.seconds is None else self.seconds_left
        return self.seconds_left if self._has_time_alone else min(found, self.seconds_left)

    @property
    def _has_time_alone(self) -> bool:
        return self.limits.rounds is None and self.limits.seconds is not None

    @property
    def seconds_left(self) -> float:
        """Time left of the budget; infinite without one."""
        if self.limits.seconds is None:
            return float("inf")
        return self.limits.seconds - self._spent_before - (self._clock() - self._began)

    @property
    def round_seconds_left(self) -> float:
        """Time left for rounds: what the tournament will take is kept for it."""
        if self._is_judging or self.limits.seconds is None:
            return self.seconds_left
        return self.seconds_left - reserved_seconds(self.state, self.limits.seconds)

    def ask(self) -> list[Job]:
        """Return jobs that can run now, in any order and at once; none when the search is over.

        Opens and closes rounds on the way, and at their end the tournament.
        """
        while not self.state.finished:
            reason = self._reason_to_end()
            if reason:
                if jobs := self._end(reason):
                    return jobs
                break
            if not self.state.rounds or self.state.rounds[-1].is_closed:
                self._open_round()
                continue
            jobs = self._jobs(self.state.rounds[-1])
            if jobs:
                return jobs
            self._close_round(self.state.rounds[-1])
        return []

    def tell(self, outcome: Outcome) -> bool:
        """Write down what came of a job, once; one that is cut off by the search's own time budget stays open.

        Returns:
            Whether it was written down.
        """
        if outcome.status == "timed out" and self.round_seconds_left <= 0:
            return False
        if any(told.rung == outcome.rung for told in self.state.outcomes.get(outcome.candidate, ())):
            return False
        self._write("outcome", outcome.to_json())
        if outcome.status == "ok" and outcome.rung:
            self.checkpoint(outcome.candidate, outcome.rung - 1).unlink(missing_ok=True)
        return True

    def newly_ready(self, begun: Sequence[Job]) -> Callable[[], list[Job]]:
        """Return what to ask after each outcome for jobs that need not wait for the others.

        There are such jobs where the better half goes on as outcomes come; a round is neither opened nor closed.

        Args:
            begun: What ``ask`` returned.
        """
        known = {(job.candidate, job.rung) for job in begun}

        def ready() -> list[Job]:
            if self._is_judging or self.settings.halving == "by rung" or self.round_seconds_left <= 0:
                return []
            found = [job for job in self._jobs(self.state.last) if (job.candidate, job.rung) not in known]
            known.update((job.candidate, job.rung) for job in found)
            return found

        return ready

    def stop(self) -> None:
        """Write down that this process ends early, in order."""
        self._write("stopped", {})

    def _reason_to_end(self) -> str:
        rounds = self.state.rounds
        if rounds and rounds[-1].is_closed:
            if rounds[-1].winner is None:
                return _why_there_is_no_winner(rounds[-1], self.settings.budget)
            cells = self.state.chosen[rounds[-1].winner].architecture.slots
            if cells >= self.settings.max_cells:
                return f"the chosen network has {cells} cells"
            if self.limits.rounds is not None and len(rounds) >= self.limits.rounds:
                return "1 round is done" if len(rounds) == 1 else f"{len(rounds)} rounds are done"
        return "the time is up" if self._is_judging or self.round_seconds_left <= 0 else ""

    def _end(self, reason: str) -> list[Job]:
        """Close what is open; return the trainings of the tournament, none when they are done or the time is up."""
        last = self.state.rounds[-1] if self.state.rounds else None
        if last is not None and not last.is_closed:
            waiting = sorted({job.candidate for job in self._jobs(last)})
            self._write("cut", {"candidates": waiting})
            self._close_round(self.state.rounds[-1])
        self._is_judging = True
        if self.seconds_left > 0 and (jobs := self._final_jobs()):
            return jobs
        self._write("finished", {"reason": reason})
        return []

    def _final_jobs(self) -> list[Job]:
        """Return what the tournament still trains, one repeat of all entrants before the next; opens it."""
        rounds = len(self.state.rounds)
        is_open = bool(self.state.tournaments) and self.state.tournaments[-1].after == rounds
        if not is_open and not self._open_tournament():
            return []
        tournament = self.state.tournaments[-1]
        numbers = waiting(self.state, tournament)
        return [self._final_job(number, tournament.epochs) for number in numbers]

    def _open_tournament(self) -> bool:
        """Choose who enters and how often each trains; return whether anybody does."""
        found, repeats = plan_tournament(self.state, self.seconds_left)
        first = first_winner(self.state)
        if not found or first is None:
            return False
        start = self.state.count
        chosen = [
            replace(self.state.chosen[entrant], candidate=start + i, predicted=None).to_json()
            for i, entrant in enumerate(found * repeats)
        ]
        facts = {"after": len(self.state.rounds), "epochs": self.settings.final_epochs, "entrants": found}
        self._write("tournament", {**facts, "yardstick": first, "chosen": chosen})
        return True

    def _final_job(self, number: int, epochs: int) -> Job:
        return Job(
            candidate=number,
            rung=0,
            architecture=self.state.chosen[number].architecture.to_json(),
            seed=derive_seed(self.settings.seed, "tournament", number),
            until=epochs,
            parent=None,
            resume_from="",
            checkpoint=str(self.checkpoint(number, 0)),
            seconds=min(self.limits.job_seconds, max(0.0, self.seconds_left)),
        )

    def _open_round(self) -> None:
        index, bases = len(self.state.rounds), next_bases(self.state)
        weighed: list[int | None] = [*bases[: BASES if index >= self.settings.first_rounds else 1]]
        offers = [self._offer(index, base) for base in weighed or [None]]
        offer = max(offers, key=lambda found: (bool(found.picked), found.gain))  # the first of equals
        base, parent, picked = offer.base, offer.parent, offer.picked
        if picked and base is not None and self.settings.inherits:  # it trains on beside them, as candidate 0
            before = self.state.chosen[base]
            own = Footprint(
                parameter_bytes=before.parameter_bytes, peak_intermediate_bytes=before.peak_intermediate_bytes
            )
            picked = [(parent, own, None), *picked]
        start, has_base = self.state.count, base is not None and self.settings.inherits
        self._write(
            "round",
            {
                "index": index,
                "base": base,
                "generated": len(offer.measured),
                "rejected": len(offer.measured) - offer.fitting,
                "idle": offer.idle,
                "pruned": offer.fitting - offer.able,
                "least_peak_bytes": min((f.peak_intermediate_bytes for _, f in offer.measured), default=None),
                "least_parameter_bytes": min((f.parameter_bytes for _, f in offer.measured), default=None),
                "chosen": [
                    Chosen(
                        candidate=start + i,
                        architecture=candidate,
                        parameter_bytes=footprint.parameter_bytes,
                        peak_intermediate_bytes=footprint.peak_intermediate_bytes,
                        predicted=predicted,
                        is_base=has_base and i == 0,
                    ).to_json()
                    for i, (candidate, footprint, predicted) in enumerate(picked)
                ],
            },
        )

    def _offer(self, index: int, base: int | None) -> _Offer:
        """Return what a round from ``base`` would train."""
        parent = self.settings.template.build([]) if base is None else self.state.chosen[base].architecture
        fresh, idle = self._fresh(parent)
        budget = self.settings.budget
        measured = [(candidate, measure(candidate, budget)) for candidate in fresh]
        fitting = [(candidate, footprint) for candidate, footprint in measured if is_within(footprint, budget)]
        able = [(candidate, footprint) for candidate, footprint in fitting if self._can_win(footprint, base)]
        picked, gain = self._choose(index, base, parent, able)
        return _Offer(
            base=base,
            parent=parent,
            measured=measured,
            idle=idle,
            fitting=len(fitting),
            able=len(able),
            picked=picked,
            gain=gain,
        )

    def _fresh(self, parent: Architecture) -> tuple[list[Architecture], int]:
        """Return the candidates that were not trained before, and how many trims save nothing and so are none."""
        settings = self.settings
        known = [found.architecture for found in self.state.chosen.values()]
        found = list(_candidates_of(parent, settings, known))
        if parent.slots >= settings.max_cells:
            found = [candidate for candidate in found if candidate.slots == parent.slots]
        if not settings.prunes:
            return found, 0
        trims = [candidate for candidate in found if candidate.slots == parent.slots]
        own, macs = measure(parent, settings.budget), count_macs(parent) if trims else 0
        idle = {id(candidate) for candidate in trims if not _saves(candidate, own, macs, settings.budget)}
        return [candidate for candidate in found if id(candidate) not in idle], len(idle)

    def _can_win(self, footprint: Footprint, base: int | None) -> bool:
        """Return whether a candidate without a single error would beat its base as that is now; bytes are exact."""
        previous = None if base is None else self.state.measures(base)
        if previous is None or self.settings.goal == "front" or not self.settings.prunes:
            return True
        flawless = Measures(
            accuracy=1.0,
            peak_intermediate_bytes=footprint.peak_intermediate_bytes,
            parameter_bytes=footprint.parameter_bytes,
        )
        return self.settings.metric.score(flawless, previous) > 0

    def _choose(
        self, index: int, base: int | None, parent: Architecture, able: list[tuple[Architecture, Footprint]]
    ) -> tuple[list[_Pick], float]:
        """Return what the round trains, and what that promises: all or a sample of the first rounds, else what the
        controller likes best."""
        settings = self.settings
        if index < settings.first_rounds:
            if settings.sample is not None and len(able) > settings.sample:
                rng = random.Random(derive_seed(settings.seed, "sample", index))
                grown = [i for i, (found, _) in enumerate(able) if found.slots > parent.slots]
                trimmed = [i for i, (found, _) in enumerate(able) if found.slots == parent.slots]
                able = [able[i] for i in _stratified(rng, (grown, trimmed), settings.sample)]
            return [(architecture, footprint, None) for architecture, footprint in able], 0.0
        if not able:
            return [], -inf
        predicted = self._predict(index, able)
        offered = {i: hopeful(found, deviation) for i, (found, deviation) in predicted.items()}
        if settings.goal == "front":
            found = worth(self.state)
            known = [found[number] for number in pareto_front(found)]
            lift = worth_above_first_rung(self.state)
            lifted = {i: replace(m, accuracy=max(1e-6, m.accuracy + lift)) for i, m in offered.items()}
            batch = choose_for_front(known, lifted, settings.top_k)
        else:
            previous = self.state.measures(base) if base is not None else None
            yardstick = previous or median_measures(m for m, _ in predicted.values())
            batch = choose_for_metric(lambda m: settings.metric.score(m, yardstick), offered, settings.top_k)
        return [(*able[i], predicted[i][0].accuracy) for i in batch.chosen], batch.gain

    def _predict(self, index: int, able: list[tuple[Architecture, Footprint]]) -> dict[int, tuple[Measures, float]]:
        """Return each candidate's exact bytes, its predicted accuracy on the scale of the last round trained, and how
        unsure that is."""
        settings, history = self.settings, self._history()
        seed = derive_seed(settings.seed, "controller", index) % 2**31
        candidates = [self._candidate(architecture, found.parameter_bytes) for architecture, found in able]
        belief = believe(settings.ranker, history, seed)(candidates)
        last = history[-1].scores
        deviation = max(pstdev(last), 1e-3)
        return {
            i: (
                Measures(
                    accuracy=min(1.0, max(1e-3, mean(last) + deviation * said)),
                    peak_intermediate_bytes=found.peak_intermediate_bytes,
                    parameter_bytes=found.parameter_bytes,
                ),
                deviation * unsure,
            )
            for i, ((_, found), said, unsure) in enumerate(zip(able, belief.means, belief.deviations, strict=True))
        }

    def _history(self) -> list[RankedRound]:
        """Return what the controller learns from: the accuracy of all that were trained, at the first rung."""
        history = []
        for found in self.state.rounds:
            measured = measured_in_round(self.state, found, rung=0)
            if measured:
                by_number = {chosen.candidate: chosen for chosen in found.chosen}
                candidates = [by_number[number] for number in measured]
                history.append(
                    RankedRound(
                        tuple(self._candidate(c.architecture, c.parameter_bytes) for c in candidates),
                        tuple(m.accuracy for m in measured.values()),
                    )
                )
        return history

    def _candidate(self, architecture: Architecture, parameter_bytes: int) -> Candidate:
        slots, bits = self.settings.max_cells, self.settings.layer_bits
        return Candidate(tuple(encode_block(block, slots, bits) for block in architecture.blocks), parameter_bytes)

    def _jobs(self, found: Round) -> list[Job]:
        """Return the visits of an open round that wait for nothing and have no outcome."""
        return [self._job(number, found, rung) for number, rung in open_visits(self.state, found).ready]

    def _job(self, number: int, found: Round, rung: int) -> Job:
        parent = None
        if self.settings.inherits and found.base is not None and not rung:
            architecture = self.state.chosen[found.base].architecture.to_json()
            parent = Parent(architecture, str(self.checkpoint(found.base)))
        return Job(
            candidate=number,
            rung=rung,
            architecture=self.state.chosen[number].architecture.to_json(),
            seed=derive_seed(self.settings.seed, "candidate", number),
            until=self.settings.rungs[rung],
            parent=parent,
            resume_from=str(self.checkpoint(number, rung - 1)) if rung else "",
            checkpoint=str(self.checkpoint(number, rung)),
            seconds=min(self.limits.job_seconds, max(0.0, self.round_seconds_left)),
        )

    def checkpoint(self, candidate: int, rung: int | None = None) -> Path:
        """Return the file of a candidate's weights, of its last visit if no rung is named."""
        if rung is None:
            rung = max((o.rung for o in self.state.outcomes.get(candidate, ()) if o.status == "ok"), default=0)
        return self._folder / WEIGHTS / f"{candidate}-{rung}.pt"

    def _close_round(self, found: Round) -> None:
        """Choose the winner among those that were trained longest; the base that trained on may be it."""
        winner = next(iter(finalists_of_round(self.state, found)), None)
        score = None if winner is None else scores_of_round(self.state, found).get(winner)
        self._write("closed", {"winner": winner, "score": score})

    def _write(self, kind: str, data: Mapping[str, Any]) -> None:
        self.state = fold([self._journal.append(kind, data)], self.state)


def _candidates_of(parent: Architecture, settings: Settings, known: Sequence[Architecture]) -> Iterator[Architecture]:
    return generate(
        parent, settings.combines, layers=settings.layers, known=known, mirror_images=settings.mirror_images
    )


def _saves(candidate: Architecture, base: Footprint, macs: int, budget: Budget) -> bool:
    """Return whether a trim is less than its base in anything that can be counted."""
    found = measure(candidate, budget)
    is_smaller = (
        found.parameter_bytes < base.parameter_bytes or found.peak_intermediate_bytes < base.peak_intermediate_bytes
    )
    return is_smaller or count_macs(candidate) < macs


def _stratified(rng: random.Random, strata: Sequence[Sequence[int]], most: int) -> list[int]:
    """Return ``most`` of all, as many of each stratum where it has so many, in order."""
    drawn = sorted((rng.sample(stratum, len(stratum)) for stratum in strata), key=len)
    chosen: list[int] = []
    for i, stratum in enumerate(drawn):
        chosen += stratum[: (most - len(chosen)) // (len(drawn) - i)]
    return sorted(chosen)


def _why_there_is_no_winner(found: Round, budget: Budget) -> str:
    if found.chosen:
        return "no candidate of the last round could be trained"
    if found.pruned:
        return f"none of {found.pruned} candidates could win even without an error"
    if found.rejected:
        file = "" if budget.file_bytes is None else f", and a file has up to {budget.file_bytes:,} B"
        return (
            f"all {found.rejected} candidates are over the budget: the least peak is {found.least_peak_bytes:,} B "
            f"({budget.dtype}, {budget.runtime}), the fewest parameters {found.least_parameter_bytes:,} B{file}"
        )
    return "every candidate of the last round was trained before"
