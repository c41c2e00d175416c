"""The controllers and their rivals: their shape, how they are trained and asked, and one contract for all."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch")

import numpy as np
import torch
from torch import Tensor, nn

from memprof.base.errors import InputError, UsageError
from memprof.nas.rank import controller, set_controller
from memprof.nas.rank.bench import bench_controllers
from memprof.nas.rank.blend import _weight
from memprof.nas.rank.controller import (
    RANKERS,
    RecurrentController,
    StructureCorrelationController,
    believe,
    fit_controller,
)
from memprof.nas.rank.process import Process, _evidence
from memprof.nas.rank.rankers import PENALTIES, Candidate, RankedRound, code_bits, features, fit_parameters, fit_ridge
from memprof.nas.rank.ranking import kendall_tau
from memprof.nas.rank.set_controller import SetController
from memprof.nas.rank.tables import read_table

BITS = 12
BUILDS = [
    StructureCorrelationController,
    lambda bits: RecurrentController(bits, 1),
    lambda bits: RecurrentController(bits, 2),
]


def make_round(rng: random.Random, count: int) -> RankedRound:
    """Return candidates whose score is the weighted sum of their bits."""
    weights = [random.Random(i).uniform(-1, 1) for i in range(2 * BITS)]
    codes = ["".join(rng.choice("01") for _ in range(2 * BITS)) for _ in range(count)]
    scores = tuple(sum(w for bit, w in zip(code, weights, strict=True) if bit == "1") for code in codes)
    return RankedRound(tuple(Candidate((code[:BITS], code[BITS:]), code.count("1")) for code in codes), scores)


def codes_of(candidates: tuple[Candidate, ...]) -> Tensor:
    return torch.from_numpy(code_bits(candidates)).float()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train for a few steps: enough to show how, not to learn."""
    monkeypatch.setattr(controller, "LEAST_STEPS", 6)
    monkeypatch.setattr(controller, "LEAST_VISITS", 3)
    monkeypatch.setattr(set_controller, "STEPS", 3)


@pytest.fixture
def weights() -> Iterator[None]:
    """Draw the same weights in every run."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        yield


class Recorder(nn.Module):
    """Keeps what a controller was asked and what it answered."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.calls: list[tuple[Tensor, Tensor]] = []

    def forward(self, codes: Tensor) -> Tensor:
        scores: Tensor = self.inner(codes)
        self.calls.append((codes.clone(), scores.detach().clone()))
        return scores


def test_the_scc_has_the_sizes_of_the_paper() -> None:
    scc = StructureCorrelationController(BITS)
    assert {name: tuple(found.shape) for name, found in scc.named_parameters() if "bias" not in name} == {
        "embedding.weight": (100, BITS),
        "encoder.weight_ih_l0": (300, 100),  # three gates of 100
        "encoder.weight_hh_l0": (300, 100),
        "ranker.weight_ih_l0": (300, 100),
        "ranker.weight_hh_l0": (300, 100),
        "score.weight": (1, 100),
    }


@pytest.mark.parametrize("layers", [1, 2])
def test_a_recurrent_controller_has_the_sizes_of_the_paper(layers: int) -> None:
    rnn = RecurrentController(BITS, layers)
    assert rnn.embedding.weight.shape == (100, BITS)
    assert (rnn.encoder.input_size, rnn.encoder.hidden_size, rnn.encoder.num_layers) == (100, 100, layers)
    assert rnn.score.weight.shape == (1, 100)


@pytest.mark.usefixtures("weights")
def test_the_scc_scores_a_candidate_by_those_before_it_and_not_by_those_after() -> None:
    scc = StructureCorrelationController(BITS)
    codes = torch.randint(0, 2, (5, 2, BITS)).float()
    changed = codes.clone()
    changed[2] = 1 - changed[2]
    with torch.inference_mode():
        difference = (scc(changed) - scc(codes)).abs()
    assert difference[:2].max() < 1e-6
    assert difference[2:].min() > 1e-6


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize("layers", [1, 2])
def test_a_recurrent_controller_scores_each_candidate_by_itself(layers: int) -> None:
    rnn = RecurrentController(BITS, layers)
    codes = torch.randint(0, 2, (5, 2, BITS)).float()
    with torch.inference_mode():
        apart = torch.cat([rnn(code[None]) for code in codes])
        assert rnn(codes).tolist() == pytest.approx(apart.tolist(), abs=1e-6)


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize("build", BUILDS)
def test_a_controller_reads_the_blocks_in_their_order(build: Callable[[int], nn.Module]) -> None:
    found = build(BITS)
    codes = torch.randint(0, 2, (3, 2, BITS)).float()
    with torch.inference_mode():
        assert (found(codes.flip(1)) - found(codes)).abs().min() > 1e-6


@pytest.mark.usefixtures("short")
def test_a_prediction_is_the_mean_of_five_passes_the_first_in_the_canonical_order() -> None:
    rng = random.Random(2)
    history, pool = [make_round(rng, 8)], make_round(rng, 12).candidates
    built: list[Recorder] = []

    def build(bits: int) -> Recorder:
        built.append(Recorder(StructureCorrelationController(bits)))
        return built[0]

    predictor = fit_controller(build, history, 0)
    calls = built[0].calls
    calls.clear()
    predicted = predictor(pool)

    position = {codes_of((candidate,)).numpy().tobytes(): i for i, candidate in enumerate(pool)}
    orders = [[position[code.numpy().tobytes()] for code in codes] for codes, _ in calls]
    assert orders[0] == sorted(range(12), key=lambda i: pool[i].codes)
    assert all(sorted(order) == list(range(12)) for order in orders)
    assert len({tuple(order) for order in orders}) == len(orders) == 5
    passes = [scores[np.argsort(order)] for order, (_, scores) in zip(orders, calls, strict=True)]
    assert predicted == pytest.approx(torch.stack(passes).mean(0).tolist(), abs=1e-6)


class Silent(nn.Module):
    """Scores nothing, so that training costs nothing; keeps which round each step saw, and in which order."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.orders: list[tuple[int, ...]] = []

    def forward(self, codes: Tensor) -> Tensor:
        self.orders.append(tuple(codes[:, 0].argmax(-1).tolist()))
        return self.weight.expand(len(codes))


def one_hot_round(count: int) -> RankedRound:
    codes = ["".join("1" if i == k else "0" for i in range(BITS)) for k in range(count)]
    return RankedRound(tuple(Candidate((code,), 1) for code in codes), tuple(map(float, range(count))))


def train_silently(history: list[RankedRound]) -> Silent:
    silent = Silent()
    fit_controller(lambda bits: silent, history, 0)
    return silent


@pytest.mark.parametrize(("rounds", "visits"), [(1, 300), (2, 150), (3, 100), (4, 100), (11, 100)])
def test_training_visits_every_round_a_hundred_times_and_takes_300_steps_at_least(rounds: int, visits: int) -> None:
    silent = train_silently([one_hot_round(count) for count in range(1, rounds + 1)])
    assert Counter(map(len, silent.orders)) == dict.fromkeys(range(1, rounds + 1), visits)


@pytest.mark.usefixtures("short")
def test_training_shuffles_the_candidates_in_every_step() -> None:
    orders = train_silently([one_hot_round(BITS)]).orders
    assert len(set(orders)) == len(orders) == 6


@pytest.mark.parametrize("name", ["scc", "set-scc", "single-rnn", "double-rnn", "blend", "ridge"])
def test_a_ranker_learns_what_can_be_learnt_and_repeats_itself(name: str) -> None:
    rng = random.Random(0)
    history, pool = [make_round(rng, 40)], make_round(rng, 60)
    predicted = RANKERS[name](history, 3)(pool.candidates)
    assert kendall_tau(predicted, pool.scores) > 0.4
    assert RANKERS[name](history, 3)(pool.candidates) == predicted


@pytest.mark.usefixtures("short")
def test_the_controllers_scores_do_not_depend_on_the_order_it_is_asked_in() -> None:
    rng = random.Random(1)
    history, pool = [make_round(rng, 20)], make_round(rng, 15).candidates
    predictor = RANKERS["scc"](history, 0)
    assert predictor(pool[::-1])[::-1] == pytest.approx(predictor(pool), abs=1e-5)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("name", RANKERS)
def test_every_ranker_gives_the_same_scores_when_asked_again(name: str) -> None:
    rng = random.Random(4)
    history, pool = [make_round(rng, 6)], make_round(rng, 5).candidates
    predictor = RANKERS[name](history, 0)
    first = predictor(pool)
    predictor(pool[:2])
    assert predictor(pool) == first
    assert RANKERS[name](history, 0)(pool) == first


def test_chance_differs_from_seed_to_seed_and_from_round_to_round() -> None:
    found = make_round(random.Random(5), 4)
    asked = [
        RANKERS["random"](history, seed)(found.candidates) for history in ([found], [found] * 2) for seed in (0, 1)
    ]
    assert len({tuple(scores) for scores in asked}) == 4


@pytest.mark.parametrize("name", RANKERS)
def test_no_ranker_learns_from_nothing(name: str) -> None:
    with pytest.raises(ValueError, match="the history is empty"):
        RANKERS[name]([], 0)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("name", RANKERS)
def test_no_candidates_have_no_scores(name: str) -> None:
    assert RANKERS[name]([make_round(random.Random(6), 3)], 0)([]) == []


def test_the_parameter_count_is_followed_in_the_direction_it_had() -> None:
    small, large = Candidate(("0",), 1), Candidate(("1",), 9)
    shrinking = fit_parameters([RankedRound((small, large), (1.0, 0.0))], 0)
    growing = fit_parameters([RankedRound((small, large), (0.0, 1.0))], 0)
    assert shrinking([small])[0] > shrinking([large])[0]
    assert growing([small])[0] < growing([large])[0]


def noisy(found: RankedRound, rng: np.random.Generator) -> RankedRound:
    """Return the round with scores that its codes explain only in part."""
    return RankedRound(found.candidates, tuple(score + 2 * rng.normal() for score in found.scores))


def refit(inputs: np.ndarray, targets: np.ndarray, penalty: float, asked: np.ndarray) -> np.ndarray:
    """Return what ridge regression with a free mean, from the normal equations, says of ``asked``."""
    mean, level = inputs.mean(axis=0), targets.mean()
    centred = inputs - mean
    weights = np.linalg.solve(centred.T @ centred + penalty * np.eye(inputs.shape[1]), centred.T @ (targets - level))
    return np.asarray(level + (asked - mean) @ weights)


@pytest.mark.parametrize(("seed", "sizes"), [(1, (12,)), (4, (12, 8)), (0, (40,)), (3, (30, 20))])
def test_ridge_takes_the_penalty_that_refits_without_one_candidate_each_find_best(
    seed: int, sizes: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(seed)
    history = [noisy(make_round(random.Random(seed + size), size), rng) for size in sizes]
    inputs = np.array([[float(bit) for code in c.codes for bit in code] for r in history for c in r.candidates])
    targets = np.concatenate([(np.array(r.scores) - np.mean(r.scores)) / np.std(r.scores) for r in history])

    def error(penalty: float) -> float:
        """Return the mean squared error of refits that leave out one candidate each."""
        rest = [np.delete(np.arange(len(targets)), i) for i in range(len(targets))]
        return float(
            np.mean(
                [(targets[i] - refit(inputs[r], targets[r], penalty, inputs[i])) ** 2 for i, r in enumerate(rest)]
            )
        )

    best = min(PENALTIES, key=error)
    assert PENALTIES[0] < best < PENALTIES[-1]  # or the example would not tell one rule from another
    predicted = fit_ridge(history, 0)([candidate for found in history for candidate in found.candidates])
    assert predicted == pytest.approx(refit(inputs, targets, best, inputs).tolist())


def test_ridge_stands_scores_that_do_not_differ() -> None:
    same = RankedRound((Candidate(("01",), 1), Candidate(("10",), 1)), (0.5, 0.5))
    assert fit_ridge([same], 0)(same.candidates) == pytest.approx([0, 0])


def test_codes_become_arrays_bit_by_bit() -> None:
    candidates = (Candidate(("011", "100"), 1), Candidate(("000", "101"), 1))
    assert code_bits(candidates).tolist() == [[[0, 1, 1], [1, 0, 0]], [[0, 0, 0], [1, 0, 1]]]
    assert features(candidates).tolist() == [[0, 1, 1, 1, 0, 0], [0, 0, 0, 1, 0, 1]]
    assert features(candidates).dtype == np.float64


def test_codes_of_different_shapes_are_an_error() -> None:
    for other in (Candidate(("01", "01", "01"), 1), Candidate(("011",), 1), Candidate(("01", "0110"), 1)):
        with pytest.raises(ValueError, match="one shape"):
            code_bits((Candidate(("011", "100"), 1), other))


def test_the_share_of_the_trees_is_that_of_least_squares_within_bounds() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.standard_normal((2, 50))
    assert _weight(one, other, 0.7 * one + 0.3 * other) == pytest.approx(0.3)
    assert _weight(one, other, one - other) == 0
    assert _weight(one, other, other) == pytest.approx(0.6)


def by_bytes(rng: random.Random, count: int, sign: float) -> RankedRound:
    """Return candidates whose score is the logarithm of their bytes, or its negative, and noise."""
    sizes = [rng.randrange(1_000, 1_000_000) for _ in range(count)]
    codes = ["".join(rng.choice("01") for _ in range(BITS)) for _ in sizes]
    scores = tuple(sign * float(np.log(size)) + rng.gauss(0, 0.3) for size in sizes)
    return RankedRound(tuple(Candidate((c,), s) for c, s in zip(codes, sizes, strict=True)), scores)


@pytest.mark.parametrize(("count", "sign", "least"), [(4, 1.0, 0.5), (40, 1.0, 0.6), (40, -1.0, 0.6)])
def test_the_blend_expects_more_of_larger_networks_until_data_say_otherwise(
    count: int, sign: float, least: float
) -> None:
    rng = random.Random(0)
    history, asked = [by_bytes(rng, count, sign)], by_bytes(rng, 60, sign)
    assert kendall_tau(RANKERS["blend"](history, 0)(asked.candidates), asked.scores) > least


def test_the_blend_is_surer_of_what_it_has_seen() -> None:
    rng = random.Random(0)
    history = [make_round(rng, 30)]
    belief = believe("blend", history, 0)
    known, others = belief(history[0].candidates), belief(make_round(rng, 30).candidates)
    assert max(known.deviations) < min(others.deviations)
    assert believe("ridge", history, 0)(history[0].candidates).deviations == (0.0,) * 30


def test_leaving_one_out_is_what_a_process_that_never_saw_it_says() -> None:
    found = noisy(make_round(random.Random(3), 12), np.random.default_rng(0))
    targets = np.array(found.scores) / np.std(found.scores)
    process = Process(found.candidates, targets, 0)
    member, inverse = process._members[0], process._inverses[0]
    gaps = process.scales.gaps(process._known, process._known)
    covariance = gaps.covariance(member) + member.noise * np.eye(12)
    assert inverse == pytest.approx(np.linalg.inv(covariance))
    rest = process._rest
    kept = list(range(1, 12))
    said = covariance[0, kept] @ np.linalg.solve(covariance[np.ix_(kept, kept)], rest[kept])
    assert rest[0] - (inverse @ rest)[0] / inverse[0, 0] == pytest.approx(said)


@pytest.mark.usefixtures("weights")
def test_in_the_set_controller_candidates_see_each_other_and_order_means_nothing() -> None:
    found = SetController(BITS)
    codes, sizes = torch.randint(0, 2, (6, 2, BITS)).float(), torch.randn(6, 1)
    order = torch.tensor([3, 1, 5, 0, 4, 2])
    changed = codes.clone()
    changed[2] = 1 - changed[2]
    with torch.inference_mode():
        scores = found(codes, sizes)
        assert found(codes[order], sizes[order]).tolist() == pytest.approx(scores[order].tolist(), abs=1e-5)
        assert (found(changed, sizes) - scores)[[0, 1, 3, 4, 5]].abs().min() > 1e-6


def test_a_table_of_codes_is_ranked_like_that_of_nas_bench(tmp_path: Path) -> None:
    rng = random.Random(0)
    lines = ["code,accuracy,bytes"]
    for _ in range(60):
        code = "".join(rng.choice("01") for _ in range(8))
        lines.append(f"{code[:4]} {code[4:]},{code.count('1') / 8},{100 + 7 * rng.randrange(9)}")
    table = tmp_path / "table.csv"
    table.write_text("\n".join(lines))
    found = bench_controllers(
        read_table(table), repeats=3, seed=0, rankers=("blend", "ridge", "random"), pool_size=50, trained=30
    )
    assert found.scores["blend"]["tau"] > 0.5 > found.scores["random"]["tau"]
    low, high = found.intervals["blend"]["tau"]
    assert low <= found.scores["blend"]["tau"] <= high
    with pytest.raises(UsageError, match="nothing to learn or to rank"):
        bench_controllers(read_table(table), repeats=1, seed=0, pool_size=50, trained=50)


def test_the_evidence_is_the_likelihood_of_the_data() -> None:
    rng = np.random.default_rng(3)
    half, rest = rng.normal(size=(9, 9)), rng.normal(size=9) * 5
    covariance, noise = half @ half.T, 0.05
    whole = covariance + noise * np.eye(9)
    expected = -0.5 * rest @ np.linalg.inv(whole) @ rest - 0.5 * np.linalg.slogdet(whole)[1]
    assert _evidence(covariance, noise, rest) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("row", ["012,0.5,1", "01 1,0.5,1", ",0.5,1", "01,nan,1", "01,0.5,x", "01"])
def test_a_row_that_is_no_network_is_named(tmp_path: Path, row: str) -> None:
    table = tmp_path / "table.csv"
    table.write_text(f"code,accuracy,bytes\n01,0.5,1\n{row}\n")
    with pytest.raises(InputError, match="line 3, is no network"):
        read_table(table)
