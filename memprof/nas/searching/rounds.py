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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from memprof.nas.given.inside import inner_folder
from memprof.nas.jobs import Job, Outcome, Parent, derive_seed
from memprof.nas.record.forecast import forecast_seconds, is_fuller, plan_tournament, reserved_seconds
from memprof.nas.record.halving import open_visits
from memprof.nas.record.journal import Journal
from memprof.nas.record.scores import (
    finalists_of_round,
    first_winner,
    scores_of_round,
)
from memprof.nas.record.settings import Limits, Settings
from memprof.nas.record.state import Chosen, Round, Tournament, fold
from memprof.nas.record.tournament import waiting
from memprof.nas.searching.offering import Offers
from memprof.nas.space.budget import Budget
from memprof.nas.space.screening import Footprint, count_macs

_NO_TIME = "the time is up"
_LAST = 8
"""So many candidates of a rung begin with the longest, so that who is idle last waits for a short one. Only the last:
what was trained of a round that the time cut off is no larger than the rest."""
WEIGHTS = "weights"
"""Folder of checkpoints inside a search's folder."""


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
        self._offers = Offers()
        self._is_judging = False
        self._has_opened_final = False
        self._counted: dict[int, int] = {}
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
        if not self._is_judging and (self.limits.rounds is None or len(self.state.rounds) < self.limits.rounds):
            self._offers.prepare(self.state)
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
                return _NO_TIME if rounds[-1].cut else _why_there_is_no_winner(rounds[-1], self.settings.budget)
            cells = self.state.chosen[rounds[-1].winner].architecture.slots
            is_bounded = self.limits.rounds is not None or self.limits.seconds is not None
            if cells >= self.settings.max_cells and not (self.settings.goal == "front" and is_bounded):
                return f"the chosen network has {cells} cells"
            if self.limits.rounds is not None and len(rounds) >= self.limits.rounds:
                return "1 round is done" if len(rounds) == 1 else f"{len(rounds)} rounds are done"
        return _NO_TIME if self._is_judging or self.round_seconds_left <= 0 else ""

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
        """Return what the tournament still trains, repeat by repeat, the longest first; opens it.

        One that an earlier process opened, for want of time a short one, is held anew where a fuller one fits now.
        """
        if not self._has_opened_final:
            self._open_tournament(self.state.final)
        final = self.state.final
        if final is None:
            return []
        start, many = final.chosen[0].candidate, len(final.entrants)
        numbers = sorted(waiting(self.state, final), key=lambda n: ((n - start) // many, -self._macs(n), n))
        return [self._final_job(number, final.epochs) for number in numbers]

    def _open_tournament(self, held: Tournament | None) -> None:
        """Choose who enters, how often and how long each trains; nothing where nobody can or ``held`` is as full."""
        plan = plan_tournament(self.state, self.seconds_left)
        found, repeats, epochs = plan
        first = first_winner(self.state)
        if not found or first is None or (held is not None and not is_fuller(plan, held)):
            return
        self._has_opened_final = True
        start = self.state.count
        chosen = [
            replace(self.state.chosen[entrant], candidate=start + i, predicted=None).to_json()
            for i, entrant in enumerate(found * repeats)
        ]
        facts = {"after": len(self.state.rounds), "epochs": epochs, "entrants": found}
        self._write("tournament", {**facts, "yardstick": first, "chosen": chosen})

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
        index = len(self.state.rounds)
        offer = self._offers.best(self.state)
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
                "generated": len(offer.fresh.measured),
                "rejected": len(offer.fresh.measured) - offer.fitting,
                "idle": offer.fresh.idle,
                "pruned": offer.fitting - offer.able,
                "least_peak_bytes": min((f.peak_intermediate_bytes for _, f in offer.fresh.measured), default=None),
                "least_parameter_bytes": min((f.parameter_bytes for _, f in offer.fresh.measured), default=None),
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

    def _jobs(self, found: Round) -> list[Job]:
        """Return the visits of an open round that wait for nothing and have no outcome."""
        ready = list(open_visits(self.state, found).ready)
        if self.settings.halving == "by rung":
            ready[-_LAST:] = sorted(ready[-_LAST:], key=lambda visit: (-self._macs(visit[0]), visit))
        return [self._job(number, found, rung) for number, rung in ready]

    def _macs(self, number: int) -> int:
        if number not in self._counted:
            self._counted[number] = count_macs(self.state.chosen[number].architecture)
        return self._counted[number]

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
