"""The structure correlation controller with its idea made whole: candidates see all others, whatever their order.

    code of each block -> embedding 100 -> GRU 100 over the blocks; added, the logarithm of the bytes -> feature f_i
    f_i - mean of all f: what sets a candidate apart; in a round all come from one base, so this is what each changes
    self-attention over the candidates, four heads, added to the feature -> linear -> one score each

    loss: log(1 + exp(s_j - s_i)) over all pairs of a round in which i is better (RankNet, Burges et al., 2005)

The paper's controller (``memprof.nas.rank.controller``) carries a state from candidate to candidate instead, which
depends on their order and, as measured, on hardly anything else. Here no order exists, and one pass answers.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from memprof.nas.rank.rankers import Candidate, History, Predictor, code_bits, standardize

HIDDEN, HEADS = 100, 4
STEPS = 200
LEARNING_RATE, DECAY = 2e-3, 1e-2


class SetController(nn.Module):
    """Scores a whole set of candidates together; their order changes nothing but the order of the scores."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.embedding = nn.Linear(bits, HIDDEN, bias=False)
        self.encoder = nn.GRU(HIDDEN, HIDDEN, batch_first=True)
        self.size = nn.Linear(1, HIDDEN, bias=False)
        self.attention = nn.Linear(HIDDEN, 3 * HIDDEN)
        self.score = nn.Linear(HIDDEN, 1)
        self.direct = nn.Linear(1, 1, bias=False)  # of the bytes, so that they need not pass what is learnt of codes

    def forward(self, codes: Tensor, sizes: Tensor) -> Tensor:
        """Return scores (n,) for codes (n, blocks, bits) and scaled sizes (n, 1)."""
        _, encoded = self.encoder(self.embedding(codes))
        features = encoded[-1] + self.size(sizes)
        features = features - features.mean(dim=0)
        query, key, value = self.attention(features).view(1, len(codes), 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(query, key, value)
        features = features + seen.transpose(1, 2).reshape(len(codes), HIDDEN)
        scores: Tensor = (self.score(torch.tanh(features)) + self.direct(sizes)).squeeze(-1)
        return scores


def fit_set_controller(history: History, seed: int) -> Predictor:
    """Train a set controller on ``history``; the same history and seed give the same scores."""
    sizes = torch.cat([_log_bytes(found.candidates) for found in history])
    middle, deviation = sizes.mean(), sizes.std(correction=0)
    deviation = deviation if deviation > 0 else torch.tensor(1.0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(seed)
            rounds = [
                (
                    _codes(found.candidates),
                    (_log_bytes(found.candidates) - middle) / deviation,
                    torch.tensor(standardize(found.scores), dtype=torch.float32),
                )
                for found in history
            ]
            controller = SetController(rounds[0][0].shape[-1])
            optimizer = torch.optim.AdamW(controller.parameters(), LEARNING_RATE, weight_decay=DECAY)
            for step in range(max(STEPS, 50 * len(rounds))):
                codes, scaled, targets = rounds[step % len(rounds)]
                loss = _pairwise(controller(codes, scaled), targets)
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                optimizer.step()
    finally:
        torch.set_num_threads(threads)

    def predict(candidates: Sequence[Candidate]) -> list[float]:
        with torch.inference_mode():
            scaled = (_log_bytes(candidates) - middle) / deviation
            found: list[float] = controller(_codes(candidates), scaled).tolist()
        return found

    return predict


def _pairwise(scores: Tensor, targets: Tensor) -> Tensor:
    """Return the mean of log(1 + exp(s_j - s_i)) over the pairs in which i is better, and a hold on the scores."""
    is_better = (targets[:, None] > targets[None]).float()
    losses = nn.functional.softplus(scores[None] - scores[:, None]) * is_better
    found: Tensor = losses.sum() / is_better.sum().clamp(min=1.0) + 1e-3 * (scores**2).mean()
    return found


def _codes(candidates: Sequence[Candidate]) -> Tensor:
    return torch.from_numpy(code_bits(candidates)).float()


def _log_bytes(candidates: Sequence[Candidate]) -> Tensor:
    return torch.tensor([[max(1, c.parameter_bytes)] for c in candidates], dtype=torch.float64).log().float()
