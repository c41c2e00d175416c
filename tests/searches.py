"""Summaries of searches that nobody ran: what pictures and pages of a search are tested with."""

from __future__ import annotations

from dataclasses import replace

from memprof.nas.rank.metric import Metric
from memprof.nas.record.summary import CandidateSummary, RoundSummary, SearchSummary
from memprof.nas.record.tournament import Standing
from memprof.nas.searching.presets import DataFacts, quick
from memprof.nas.space.architecture import CIFAR10, Architecture
from memprof.nas.space.budget import Budget
from memprof.nas.space.generator import grow, trim

FACTS = DataFacts(name="digits", input_shape=(1, 8, 8), classes=10, images=500, limit=None)
SETTINGS = quick(FACTS, Metric(accuracy_weight=0.9), Budget(), seed=0)
"""Two epochs, then six for the better half."""
ONE_CELL = next(grow(CIFAR10.build([])))


def candidate(number: int, index: int, architecture: Architecture, accuracy: float, epochs: int) -> CandidateSummary:
    return CandidateSummary(
        candidate=number,
        round=index,
        architecture=architecture,
        status="ok",
        message="",
        validation_accuracy=accuracy,
        epochs=epochs,
        parameter_bytes=20_000 + 997 * number,
        peak_intermediate_bytes=10_000 + 1000 * (number % 4),
        epochs_in_all=epochs,
        is_base=False,
        worth=accuracy if epochs == 6 else None,
        round_score=0.1,
        predicted=None,
        seconds=3.0 * epochs,
    )


def standing(found: CandidateSummary) -> Standing:
    """Return how a candidate did in a tournament: as well as in its round."""
    return Standing(
        candidate=found.candidate,
        accuracies=(found.validation_accuracy or 0.0,) * 3,
        epochs=18,
        score=0.1,
        parameter_bytes=found.parameter_bytes,
        peak_intermediate_bytes=found.peak_intermediate_bytes,
    )


def made_up_search(rounds: int = 3, accuracy_weight: float = 0.9, accuracy: float = 0.9) -> SearchSummary:
    """Return a search: in each round three networks, the first the winner, the last dropped. Round 1 grows."""
    candidates, network = [], ONE_CELL
    for index in range(rounds):
        network = next(trim(network), network) if index else network
        found = [(accuracy, 6), (accuracy - 0.1, 6), (0.5 + 0.01 * index, 2)]
        candidates += [candidate(3 * index + i, index, network, a, epochs) for i, (a, epochs) in enumerate(found)]
    return SearchSummary(
        settings=replace(SETTINGS, metric=Metric(accuracy_weight=accuracy_weight)),
        status="finished",
        reason=f"{rounds} rounds are done",
        seconds=100.0,
        rounds=tuple(
            RoundSummary(
                index=index,
                base=3 * index - 3 if index else None,
                generated=1056,
                rejected=7,
                idle=1,
                pruned=2,
                chosen=3,
                trained=3,
                failed=0,
                winner=3 * index,
                score=0.25,
            )
            for index in range(rounds)
        ),
        candidates=tuple(candidates),
        standings=(standing(candidates[0]),) if candidates else (),
        best=standing(candidates[0]) if candidates else None,
        leader=candidates[0] if candidates else None,
        front=tuple(candidates[:3]),
    )
