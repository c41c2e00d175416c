"""Small networks of the accuracy page that no package ships: recurrent, U-shaped, temporal, sequence to sequence.

Each entry of ``NETWORKS`` returns a module with fresh weights and an example of its inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn

Network = tuple[nn.Module, tuple[Tensor, ...]]


def _image(channels: int, side: int, batch: int = 1) -> tuple[Tensor, ...]:
    return (torch.zeros(batch, channels, side, side),)


class First(nn.Module):
    """A recurrent layer whose sequence alone is asked for."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """Return the sequence [steps, batch, features]."""
        found: Tensor = self.layer(x)[0]
        return found


class Tagger(nn.Module):
    """Embeds token ids [batch, steps], runs a two-way LSTM, scores every step."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(500, 64)
        self.lstm = nn.LSTM(64, 96, bidirectional=True, batch_first=True)
        self.out = nn.Linear(192, 20)

    def forward(self, ids: Tensor) -> Tensor:
        """Return scores [batch, steps, 20]."""
        found: Tensor = self.out(self.lstm(self.embed(ids))[0])
        return found


class UNet(nn.Module):
    """A U of ``depth`` levels with skips by concatenation."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        sizes = [channels << i for i in range(depth)]
        self.down = nn.ModuleList(_double(a, b) for a, b in zip([3, *sizes], sizes, strict=False))
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, 2) for a, b in pairwise(sizes))
        self.join = nn.ModuleList(_double(2 * a, a) for a in sizes[:-1])
        self.out = nn.Conv2d(channels, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return scores of two classes at every pixel."""
        kept = []
        for level in self.down:
            x = level(x)
            kept.append(x)
            x = nn.functional.max_pool2d(x, 2)
        x = kept.pop()
        for up, join in zip(reversed(self.up), reversed(self.join), strict=True):
            x = join(torch.cat([up(x), kept.pop()], 1))
        found: Tensor = self.out(x)
        return found


def _double(before: int, after: int) -> nn.Module:
    layers = [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(after, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU())


class Gated(nn.Module):
    """Dilated convolutions with gates and a sum of skips, as WaveNet has them."""

    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Conv1d(1, 32, 1)
        self.both = nn.ModuleList(nn.Conv1d(32, 64, 2, dilation=1 << i) for i in range(6))
        self.skip = nn.ModuleList(nn.Conv1d(32, 32, 1) for _ in range(6))
        self.end = nn.Conv1d(32, 16, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return [batch, 16, samples]."""
        x = self.start(x)
        total = torch.zeros_like(x)
        for i, (both, skip) in enumerate(zip(self.both, self.skip, strict=True)):
            a, b = both(nn.functional.pad(x, (1 << i, 0))).chunk(2, 1)
            x = x + torch.tanh(a) * torch.sigmoid(b)
            total = total + skip(x)
        found: Tensor = self.end(torch.relu(total))
        return found


class Towers(nn.Module):
    """One tower for two images, and how far apart they are."""

    def __init__(self) -> None:
        super().__init__()
        self.tower = nn.Sequential(
            nn.Conv2d(1, 16, 3, 2), nn.ReLU(), nn.Conv2d(16, 32, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(7200, 64)
        )

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Return one distance per pair."""
        found: Tensor = (self.tower(a) - self.tower(b)).pow(2).sum(1)
        return found


class Head(nn.Module):
    """Three scales of a detector with sigmoids, boxes flattened and joined."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 32, 3, 2, 1), nn.SiLU(), nn.Conv2d(32, 64, 3, 2, 1), nn.SiLU())
        self.down = nn.ModuleList(nn.Sequential(nn.Conv2d(64 << i, 128 << i, 3, 2, 1), nn.SiLU()) for i in range(3))
        self.out = nn.ModuleList(nn.Conv2d(128 << i, 3 * 85, 1) for i in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """Return [batch, boxes, 85]."""
        x, found = self.stem(x), []
        for down, out in zip(self.down, self.out, strict=True):
            x = down(x)
            found.append(out(x).sigmoid().flatten(2).transpose(1, 2).reshape(x.shape[0], -1, 85))
        return torch.cat(found, 1)


class Mixture(nn.Module):
    """Experts that all run, weighted by a gate."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(128, 4)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(128, 512), nn.GELU(), nn.Linear(512, 128)) for _ in range(4)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return [batch, steps, 128]."""
        shares = self.gate(x).softmax(-1)
        total = torch.zeros_like(x)
        for i, expert in enumerate(self.experts):
            total = total + shares[..., i : i + 1] * expert(x)
        return total


class Translator(nn.Module):
    """A GRU that reads and one that writes from its last state."""

    def __init__(self) -> None:
        super().__init__()
        self.read, self.write = nn.GRU(32, 128), nn.GRU(32, 128)
        self.out = nn.Linear(128, 200)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return scores [steps, batch, 200]."""
        found: Tensor = self.out(self.write(y, self.read(x)[1])[0])
        return found


def _sequential(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers)


def _tcn() -> nn.Module:
    layers: list[nn.Module] = []
    for i in range(5):
        layers += [nn.Conv1d(32 if i else 8, 32, 3, padding=1 << i, dilation=1 << i), nn.BatchNorm1d(32), nn.ReLU()]
    return _sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(32, 5))


def _autoencoder() -> nn.Module:
    down = [nn.Conv2d(3, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU(), nn.Conv2d(64, 16, 3, 2, 1)]
    up = [nn.ConvTranspose2d(16, 64, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.ReLU()]
    return _sequential(*down, *up, nn.ConvTranspose2d(32, 3, 4, 2, 1), nn.Sigmoid())


def _spotter() -> nn.Module:
    blocks: list[nn.Module] = [nn.Conv2d(1, 64, (10, 4), 2, (5, 1)), nn.ReLU()]
    for _ in range(4):
        blocks += [nn.Conv2d(64, 64, 3, 1, 1, groups=64), nn.ReLU(), nn.Conv2d(64, 64, 1), nn.ReLU()]
    return _sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 12), nn.Softmax(-1))


def _upscaler() -> nn.Module:
    return _sequential(
        nn.Conv2d(1, 64, 5, 1, 2), nn.Tanh(), nn.Conv2d(64, 32, 3, 1, 1), nn.Tanh(), nn.Conv2d(32, 9, 3, 1, 1),
        nn.PixelShuffle(3),
    )  # fmt: skip


def _depthwise() -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(3, 32, 3, 2, 1)]
    for _ in range(4):
        layers += [nn.Conv2d(32, 32, 7, 1, 3, groups=32), nn.Conv2d(32, 128, 1), nn.GELU(), nn.Conv2d(128, 32, 1)]
    return _sequential(*layers)


def _mlp(width: int) -> nn.Module:
    return _sequential(nn.Linear(784, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10))


def _volume() -> nn.Module:
    return _sequential(nn.Conv3d(3, 16, 3, 1, 1), nn.ReLU(), nn.MaxPool3d(2))


def _layer(kind: type[nn.Module]) -> nn.Module:
    return kind(d_model=128, nhead=4, dim_feedforward=256, batch_first=True)


_SEQUENCE = torch.zeros(32, 1, 64)

NETWORKS: Mapping[str, Callable[[], Network]] = {
    "lstm": lambda: (First(nn.LSTM(64, 128)), (_SEQUENCE,)),
    "gru": lambda: (First(nn.GRU(64, 128)), (_SEQUENCE,)),
    "rnn": lambda: (First(nn.RNN(64, 128)), (_SEQUENCE,)),
    "bi_lstm": lambda: (First(nn.LSTM(64, 128, bidirectional=True)), (_SEQUENCE,)),
    "deep_lstm": lambda: (First(nn.LSTM(64, 256, num_layers=3)), (_SEQUENCE,)),
    "lstm_tagger": lambda: (Tagger(), (torch.zeros(2, 48, dtype=torch.int64),)),
    "unet": lambda: (UNet(16, 4), _image(3, 128)),
    "unet_small": lambda: (UNet(8, 3), _image(3, 96)),
    "autoencoder": lambda: (_autoencoder(), _image(3, 64)),
    "tcn": lambda: (_tcn(), (torch.zeros(4, 8, 512),)),
    "wavenet": lambda: (Gated(), (torch.zeros(1, 1, 4000),)),
    "seq2seq": lambda: (Translator(), (torch.zeros(20, 1, 32), torch.zeros(12, 1, 32))),
    "encoder": lambda: (_layer(nn.TransformerEncoderLayer), (torch.zeros(1, 64, 128),)),
    "decoder": lambda: (_layer(nn.TransformerDecoderLayer), (torch.zeros(1, 32, 128), torch.zeros(1, 64, 128))),
    "mlp": lambda: (_mlp(256), (torch.zeros(16, 784),)),
    "wide_mlp": lambda: (_mlp(2048), (torch.zeros(1, 784),)),
    "siamese": lambda: (Towers(), (*_image(1, 64), *_image(1, 64))),
    "keyword_spotter": lambda: (_spotter(), (torch.zeros(1, 1, 49, 10),)),
    "super_resolution": lambda: (_upscaler(), _image(1, 96)),
    "yolo_head": lambda: (Head(), _image(3, 160)),
    "mixture": lambda: (Mixture(), (torch.zeros(1, 32, 128),)),
    "fft_free_conv1d": lambda: (nn.Conv1d(4, 64, 400, 160), (torch.zeros(1, 4, 16000),)),
    "conv3d": lambda: (_volume(), (torch.zeros(1, 3, 8, 32, 32),)),
    "depthwise": lambda: (_depthwise(), _image(3, 128)),
}  # fmt: skip
