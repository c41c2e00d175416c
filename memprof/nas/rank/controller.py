"""The structure correlation controller (SCC) and the recurrent controllers it is compared with.

    SCC          code of each block -> embedding 100 -> E-GRU 100 over the blocks -> feature f_i
                 f_1 ... f_n -> R-GRU 100 across the candidates, its state carried on -> linear -> one score each
    single RNN   embedding 100 -> one GRU layer over the blocks -> linear: each candidate by itself
    double RNN   the same with two GRU layers

Loss: mean squared error over a round's candidates (equation 3), scores standardised by round, since the metric is
relative to that round's base. Source: MemNAS (CVPR 2020), section 3.3, Figure 2, section 4.1 for the sizes.

What the paper leaves open, and our answer. The order in which candidates enter the R-GRU changes the scores. Training
shuffles them anew in every step, so that no order is learnt; prediction runs once in a canonical order (by code) and
a few times in seeded random orders, and averages. The optimiser is not named: Adam, 3e-3, one round per step, every
round at least 100 times and at least 300 steps in all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from memprof.nas.rank.blend import Belief, fit_belief, fit_blend
from memprof.nas.rank.rankers import (
    Candidate,
    Fit,
    History,
    Predictor,
    code_bits,
    fit_parameters,
    fit_random,
    fit_ridge,
    guard,
    standardize,
)
from memprof.nas.rank.set_controller import fit_set_controller

EMBEDDING = 100
HIDDEN = 100
LEAST_STEPS = 300
"""Steps of a training, at least: on one round the error still falls, from 0.006 after 100 to 0.0002."""
LEAST_VISITS = 100
"""Steps on each round, at least: with a fixed number in all, the longer a search the less each round would teach.
After 100 the SCC knows the scores of 98 cells of NAS-Bench-201 (mean squared error 0.006 of a variance of 1), and
its tau on 294 others is as good as after 300."""
LEARNING_RATE = 3e-3
ORDERS = 4
"""Random orders that a prediction averages over, besides the canonical one."""


class StructureCorrelationController(nn.Module):
    """Scores a whole pool of candidates together."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.embedding = nn.Linear(bits, EMBEDDING, bias=False)  # of a one-hot code: the sum of its bits' vectors
        self.encoder = nn.GRU(EMBEDDING, HIDDEN, batch_first=True)
        self.ranker = nn.GRU(HIDDEN, HIDDEN, batch_first=True)
        self.score = nn.Linear(HIDDEN, 1)

    def forward(self, codes: Tensor) -> Tensor:
        """Return scores (n,) for codes (n, blocks, bits), in the order given."""
        _, encoded = self.encoder(self.embedding(codes))
        ranked, _ = self.ranker(encoded)  # (1, n, HIDDEN): the candidates are one sequence
        scores: Tensor = self.score(ranked[0]).squeeze(-1)
        return scores


class RecurrentController(nn.Module):
    """Scores each candidate by itself."""

    def __init__(self, bits: int, layers: int) -> None:
        super().__init__()
        self.embedding = nn.Linear(bits, EMBEDDING, bias=False)
        self.encoder = nn.GRU(EMBEDDING, HIDDEN, num_layers=layers, batch_first=True)
        self.score = nn.Linear(HIDDEN, 1)

    def forward(self, codes: Tensor) -> Tensor:
        """Return scores (n,) for codes (n, blocks, bits)."""
        _, encoded = self.encoder(self.embedding(codes))
        scores: Tensor = self.score(encoded[-1]).squeeze(-1)
        return scores


def fit_controller(build: Callable[[int], nn.Module], history: History, seed: int) -> Predictor:
    """Train a controller on ``history`` and return its predictor. The same history and seed give the same scores.

    Args:
        build: Bits of a block's code -> controller.
        history: Rounds that were trained, oldest first; at least one.
        seed: Of the weights, the orders in training and those in prediction.
    """
    with torch.random.fork_rng(devices=()), _one_thread():
        torch.manual_seed(seed)
        rounds = [
            (_tensor(found.candidates), torch.tensor(standardize(found.scores), dtype=torch.float32))
            for found in history
        ]
        controller = build(rounds[0][0].shape[-1])
        optimizer = torch.optim.Adam(controller.parameters(), LEARNING_RATE)
        for step in range(max(LEAST_STEPS, LEAST_VISITS * len(rounds))):
            codes, targets = rounds[step % len(rounds)]
            order = torch.randperm(len(targets))
            loss = nn.functional.mse_loss(controller(codes[order]), targets[order])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
    return lambda candidates: _predict(controller, candidates, seed)


def _predict(controller: nn.Module, candidates: Sequence[Candidate], seed: int) -> list[float]:
    codes = _tensor(candidates)
    generator = torch.Generator().manual_seed(seed)
    canonical = torch.tensor(sorted(range(len(candidates)), key=lambda i: candidates[i].codes))
    # Shuffles permute the canonical order, so that the order of the argument changes nothing.
    orders = [canonical] + [canonical[torch.randperm(len(canonical), generator=generator)] for _ in range(ORDERS)]
    total = torch.zeros(len(candidates))
    with torch.inference_mode(), _one_thread():
        for order in orders:
            total[order] += controller(codes[order])
    return (total / len(orders)).tolist()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep torch to one thread: steps this small cost twenty times as much where threads wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _tensor(candidates: Sequence[Candidate]) -> Tensor:
    """Return codes as a tensor (candidates, blocks, bits)."""
    return torch.from_numpy(code_bits(candidates)).float()


_FITS: dict[str, Fit] = {
    "scc": lambda history, seed: fit_controller(StructureCorrelationController, history, seed),
    "set-scc": fit_set_controller,
    "single-rnn": lambda history, seed: fit_controller(lambda bits: RecurrentController(bits, 1), history, seed),
    "double-rnn": lambda history, seed: fit_controller(lambda bits: RecurrentController(bits, 2), history, seed),
    "blend": fit_blend,
    "ridge": fit_ridge,
    "parameters": fit_parameters,
    "random": fit_random,
}
RANKERS: dict[str, Fit] = {name: guard(fit) for name, fit in _FITS.items()}
"""Every ranker by name; the paper's first."""


def believe(ranker: str, history: History, seed: int) -> Callable[[Sequence[Candidate]], Belief]:
    """Return what a ranker holds of candidates; only the blend knows how unsure it is.

    Raises:
        ValueError: The history is empty.
    """
    if ranker == "blend" and history:
        return fit_belief(history, seed)
    predictor = RANKERS[ranker](history, seed)
    return lambda candidates: Belief(tuple(predictor(candidates)), (0.0,) * len(candidates))
