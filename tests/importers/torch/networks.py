"""Small modules and inputs that the PyTorch tests share."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class Convolutional(nn.Module):
    """Convolution, batch norm, in-place ReLU and a residual: what most CNNs are made of."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.body = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU6(inplace=True))
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = x + self.body(x)
        return self.head(functional.dropout(x, 0.5, self.training).mean((2, 3)))


class Dense(nn.Module):
    """Keeps all it has computed in a list, which no exported graph shows."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(4 * (i + 1), 4, 1) for i in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = [x]
        for layer in self.layers:
            joined = torch.cat(features, 1)
            features.append(layer(joined))
        return torch.cat(features, 1)


class Attention(nn.Module):
    """Fused attention, whose kernel depends on the device, and a tied output layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(40, 16)
        self.qkv = nn.Linear(16, 48)
        self.encoder = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.head = nn.Linear(16, 40, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embedding(tokens)
        q, k, v = self.qkv(x).view(*tokens.shape, 3, 2, 8).permute(2, 0, 3, 1, 4).unbind(0)
        x = x + functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.head(self.encoder(x))


class Recurrent(nn.Module):
    """An LSTM, whose kernel keeps a workspace for the backward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(12, 20, num_layers=2, batch_first=True, bidirectional=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.lstm(x)[0][:, -1]


NETWORKS = {
    "convolutional": (Convolutional, (torch.zeros(2, 3, 16, 16),)),
    "dense": (Dense, (torch.zeros(2, 4, 8, 8),)),
    "attention": (Attention, (torch.zeros(2, 7, dtype=torch.int64),)),
    "recurrent": (Recurrent, (torch.zeros(3, 9, 12),)),
}


def convolutional() -> nn.Module:
    """A factory, as a command line names it."""
    return Convolutional()


def attention() -> tuple[nn.Module, torch.Tensor]:
    """A factory that brings its input."""
    return Attention(), torch.zeros(2, 7, dtype=torch.int64)


def broken() -> nn.Module:
    """A factory that fails."""
    raise RuntimeError("no such checkpoint")


def number() -> int:
    """A factory that returns no module."""
    return 3


INSTANCE = Convolutional()
"""A module, not a factory."""


class Deciding(nn.Module):
    """A network whose code reads numbers while it is made, so that nothing can be on a device without memory."""

    def __init__(self, *, reads_weights: bool = False) -> None:
        super().__init__()
        depths = torch.linspace(1, 3, 3).tolist()
        self.layers = nn.Sequential(*[nn.Linear(8, 8) for _ in depths])
        self.layers[2].weight = self.layers[0].weight
        mine = nn.Parameter(torch.ones(8))
        self.first, self.second = mine, mine
        self.register_buffer("table", torch.arange(8.0))
        if reads_weights:
            self.scale = float(self.layers[1].weight.abs().max())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.layers(x) * self.first + self.second + self.table
        return found


def deciding() -> nn.Module:
    return Deciding()


def deciding_by_weights() -> nn.Module:
    return Deciding(reads_weights=True)
