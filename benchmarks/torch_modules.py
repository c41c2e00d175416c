"""Modules written here for the PyTorch accuracy benchmark: shapes of networks that torchvision does not have.

Each function returns a module and its inputs, as ``memprof analyze torch_modules:unet`` expects.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

Made = tuple[nn.Module, tuple[torch.Tensor, ...]]


class _DoubleConvolution(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layers(x)
        return out


class UNet(nn.Module):
    """A U-Net: what the encoder wrote waits for the decoder."""

    def __init__(self, widths: tuple[int, ...] = (16, 32, 64, 128)) -> None:
        super().__init__()
        self.down = nn.ModuleList(_DoubleConvolution(a, b) for a, b in zip((3, *widths), widths, strict=False))
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in pairwise(widths))
        self.merge = nn.ModuleList(_DoubleConvolution(2 * a, a) for a in widths[:-1])
        self.head = nn.Conv2d(widths[0], 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        waiting = []
        for i, block in enumerate(self.down):
            x = block(x if i == 0 else functional.max_pool2d(x, 2))
            waiting.append(x)
        waiting.pop()
        for up, merge in zip(reversed(self.up), reversed(self.merge), strict=True):
            x = merge(torch.cat([waiting.pop(), up(x)], dim=1))
        out: torch.Tensor = self.head(x)
        return out


class TextLSTM(nn.Module):
    """Embedding, two layers of LSTM, a linear head on the last step."""

    def __init__(self, *, bidirectional: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Embedding(1000, 64)
        self.lstm = nn.LSTM(64, 128, num_layers=2, batch_first=True, bidirectional=bidirectional)
        self.head = nn.Linear(256 if bidirectional else 128, 10)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        states, _ = self.lstm(self.embedding(tokens))
        out: torch.Tensor = self.head(states[:, -1])
        return out


class SpeechGRU(nn.Module):
    """Convolutions over time, then a GRU."""

    def __init__(self) -> None:
        super().__init__()
        self.front = nn.Sequential(nn.Conv1d(40, 64, 5, stride=2), nn.ReLU(), nn.Conv1d(64, 64, 5), nn.ReLU())
        self.gru = nn.GRU(64, 96, batch_first=True)
        self.head = nn.Linear(96, 30)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        states, _ = self.gru(self.front(x).transpose(1, 2))
        return functional.log_softmax(self.head(states), dim=-1)


class _Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        qkv = self.qkv(self.before_attention(x)).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        attended = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(attended.transpose(1, 2).reshape(batch, length, width))
        out: torch.Tensor = x + self.mlp(self.before_mlp(x))
        return out


class GPT(nn.Module):
    """A decoder-only transformer with tied embeddings."""

    def __init__(self, *, layers: int = 4, width: int = 128, heads: int = 4, vocabulary: int = 2000) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(256, width)
        self.blocks = nn.ModuleList(_Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        places = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.tokens(tokens) + self.positions(places)
        for block in self.blocks:
            x = block(x)
        out: torch.Tensor = self.head(self.norm(x))
        return out


class Encoder(nn.Module):
    """PyTorch's own transformer encoder, with its fast path in inference."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(128, 4, 256, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.encoder(x)
        return out


class Mixer(nn.Module):
    """An MLP mixer: transposed views between linear layers."""

    def __init__(self, patches: int = 64, width: int = 96, layers: int = 4) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 8, stride=8)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * layers))
        self.across = nn.ModuleList(
            nn.Sequential(nn.Linear(patches, 128), nn.GELU(), nn.Linear(128, patches)) for _ in range(layers)
        )
        self.within = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 192), nn.GELU(), nn.Linear(192, width)) for _ in range(layers)
        )
        self.head = nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x).flatten(2).transpose(1, 2)
        for i, (across, within) in enumerate(zip(self.across, self.within, strict=True)):
            x = x + across(self.norms[2 * i](x).transpose(1, 2)).transpose(1, 2)
            x = x + within(self.norms[2 * i + 1](x))
        out: torch.Tensor = self.head(x.mean(1))
        return out


def unet() -> Made:
    return UNet(), (torch.empty(1, 3, 96, 96),)


def text_lstm() -> Made:
    return TextLSTM(), (torch.zeros(2, 50, dtype=torch.int64),)


def text_lstm_bidirectional() -> Made:
    return TextLSTM(bidirectional=True), (torch.zeros(2, 50, dtype=torch.int64),)


def speech_gru() -> Made:
    return SpeechGRU(), (torch.empty(2, 40, 200),)


def gpt() -> Made:
    return GPT(), (torch.zeros(2, 128, dtype=torch.int64),)


def transformer_encoder() -> Made:
    return Encoder(), (torch.empty(2, 60, 128),)


def mixer() -> Made:
    return Mixer(), (torch.empty(2, 3, 64, 64),)
