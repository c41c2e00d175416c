"""MemNAS's Tables 1 and 2 counted again: parameters, peak, MACs and latency of the baselines that can be built.

    python benchmarks/nas_reexamined.py [--markdown docs/memnas-reexamined.md] [--json FILE] [--without-export]
                                        [--only NAMES] [--keep DIR]

With ``--keep`` the exported files of the networks of MemNAS stay, each with the bundle of ``memprof bench --bundle``.

Baselines come from torchvision, timm or ``nas_baselines``, written from their papers, at the paper's sizes: batch 1,
float32, 224 x 224 pixels for ImageNet and 32 x 32 for CIFAR-10. Printed figures are those of the paper.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from textwrap import wrap
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import models

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nas_baselines import Darts, Nasnet, condensenet, fbnet_a, proxyless_mobile, shufflenet_cifar
from nas_lean import fitted_factor, lean_bytes, lean_network, scaled
from nas_record import write_record

import memprof
from memprof import nas
from memprof.measure.bundle import write_bundle
from memprof.measure.feeds import input_specs

WIDTH = 110
RUNTIMES = ("paper", "reference", "ideal", "pytorch")
EXPORTED = "onnxruntime-default"
"""Of the exported file, as this machine's onnxruntime would run it."""
TIMED = memprof.BenchSettings(threads=1, warmup=3, runs=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """A network of the tables.

    Attributes:
        name: As the paper calls it.
        side: Height and width of its images.
        parameters: Printed, MB; ``None`` for a network that the paper's tables have not.
        total: Printed, MB.
        build: Makes what is analysed: a module, or a graph of the search's space.
        module: Makes the module of such a graph.
    """

    name: str
    side: int
    parameters: float | None
    total: float | None
    build: Callable[[], Any]
    module: Callable[[], Any] | None = None


class Basic(nn.Module):
    """Two 3x3 convolutions and a shortcut without weights (He et al., CVPR 2016, section 4.2, option A)."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.stride = 1 if before == width else 2
        self.first = nn.Conv2d(before, width, 3, self.stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(width)
        self.more = width - before

    def forward(self, image: Tensor) -> Tensor:
        """Return the block's output."""
        found = self.second_norm(self.second(torch.relu(self.first_norm(self.first(image)))))
        if self.more:
            image = nn.functional.pad(image[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.more))
        return torch.relu(found + image)


def resnet(depth: int) -> nn.Module:
    """Return a ResNet for CIFAR-10 of 6n + 2 layers."""
    blocks = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    before = 16
    for width in (16, 32, 64):
        for _ in range((depth - 2) // 6):
            blocks.append(Basic(before, width))
            before = width
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def mobilenet_cifar() -> nn.Module:
    """Return MobileNetV2 whose first two strides are 1: its largest feature map is the one that the paper counts."""
    module: nn.Module = models.mobilenet_v2(weights=None)
    found: Any = module
    found.features[0][0].stride = (1, 1)
    found.features[2].conv[1][0].stride = (1, 1)
    return module


def fbnet_c() -> nn.Module:
    """Return FBNet-C as timm builds it."""
    module: nn.Module = import_module("timm").create_model("fbnetc_100")
    return module


def searched(name: str) -> Callable[[], Any]:
    """Return what makes the deployed graph of one of the authors' networks."""
    return lambda: nas.deployed(nas.ARCHITECTURES[name])


TABLES: dict[str, tuple[Baseline, ...]] = {
    "CIFAR-10 (Table 1)": (
        Baseline(name="MobileNet-V2", side=32, parameters=13.9, total=16.3, build=mobilenet_cifar),
        Baseline(name="ResNet-110", side=32, parameters=6.8, total=9.9, build=lambda: resnet(110)),
        Baseline(name="ResNet-56", side=32, parameters=3.4, total=6.7, build=lambda: resnet(56)),
        Baseline(name="ShuffleNet", side=32, parameters=3.6, total=8.3, build=shufflenet_cifar),
        Baseline(name="CondenseNet-86", side=32, parameters=2.1, total=8.1, build=lambda: condensenet(14)),
        Baseline(name="CondenseNet-50", side=32, parameters=1.0, total=6.8, build=lambda: condensenet(8)),
        Baseline(
            name="MemNAS, published block",
            side=32,
            parameters=0.8,
            total=5.8,
            build=searched("memnas-cifar10"),
            module=lambda: nas.build_module(nas.ARCHITECTURES["memnas-cifar10"]),
        ),
        Baseline(
            name="MemNAS, as read",
            side=32,
            parameters=0.8,
            total=5.8,
            build=partial(lean_network, nas.CIFAR10),
        ),
    ),
    "ImageNet (Table 2)": (
        Baseline(
            name="MobileNetV2 1.0",
            side=224,
            parameters=13.9,
            total=33.1,
            build=lambda: models.mobilenet_v2(weights=None),
        ),
        Baseline(
            name="MobileNetV2 1.4",
            side=224,
            parameters=21.2,
            total=48.5,
            build=lambda: models.mobilenet_v2(weights=None, width_mult=1.4),
        ),
        Baseline(
            name="ShuffleNetV2 1.5",
            side=224,
            parameters=14.0,
            total=26.1,
            build=lambda: models.shufflenet_v2_x1_5(weights=None),
        ),
        Baseline(
            name="ShuffleNetV2 2.0",
            side=224,
            parameters=23.0,
            total=51.6,
            build=lambda: models.shufflenet_v2_x2_0(weights=None),
        ),
        Baseline(
            name="MnasNet 0.75", side=224, parameters=11.6, total=27.4, build=lambda: models.mnasnet0_75(weights=None)
        ),
        Baseline(
            name="MnasNet 1.0", side=224, parameters=15.6, total=36.7, build=lambda: models.mnasnet1_0(weights=None)
        ),
        Baseline(name="NASNet-A mobile", side=224, parameters=21.2, total=53.2, build=Nasnet),
        Baseline(name="DARTS", side=224, parameters=18.8, total=31.0, build=Darts),
        Baseline(name="ProxylessNAS mobile", side=224, parameters=None, total=None, build=proxyless_mobile),
        Baseline(name="FBNet-A", side=224, parameters=17.2, total=29.0, build=fbnet_a),
        Baseline(name="FBNet-C", side=224, parameters=18.8, total=35.2, build=fbnet_c),
        Baseline(
            name="MemNAS-A, published block",
            side=224,
            parameters=10.3,
            total=22.8,
            build=searched("memnas-imagenet"),
            module=lambda: nas.build_module(nas.ARCHITECTURES["memnas-imagenet"]),
        ),
        Baseline(
            name="MemNAS-A, as read",
            side=224,
            parameters=10.3,
            total=22.8,
            build=lambda: lean_network(scaled(fitted_factor(10.3))),
        ),
        Baseline(
            name="MemNAS-B, as read",
            side=224,
            parameters=14.8,
            total=28.1,
            build=lambda: lean_network(scaled(fitted_factor(14.8))),
        ),
    ),
}


def main() -> None:
    """Count every network and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, help="file to write")
    parser.add_argument("--without-export", action="store_true", help="leave onnxruntime's column empty")
    parser.add_argument("--markdown", type=Path, help="page to write")
    parser.add_argument("--keep", type=Path, help="folder for MemNAS's own exported files and their bundles")
    parser.add_argument("--only", help="names with commas: count these, take the others from --json FILE")
    options = parser.parse_args()
    chosen = None if options.only is None else options.only.split(",")
    kept = {} if chosen is None else json.loads(options.json.read_text(encoding="utf-8"))
    found = {
        title: [row for baseline in baselines if (row := _row_of(baseline, chosen, kept.get(title, []), options))]
        for title, baselines in TABLES.items()
    }
    page = "\n".join(lines(found))
    print(page)
    if options.markdown is not None:
        options.markdown.write_text(page, encoding="utf-8")
    write_record(options.json, found)


def _row_of(
    baseline: Baseline, chosen: list[str] | None, kept: list[dict[str, Any]], options: argparse.Namespace
) -> dict[str, Any] | None:
    """Return a network counted now, or as it was counted before; ``None`` if it never was."""
    if chosen is None or baseline.name in chosen:
        return count(baseline, options.keep, exports=not options.without_export)
    return next((row for row in kept if row["name"] == baseline.name), None)


def count(baseline: Baseline, keep: Path | None, *, exports: bool) -> dict[str, Any]:
    """Return a network's bytes, printed and counted, and its MACs; ``exports`` asks onnxruntime about the exported
    file too, and how long that takes."""
    built = baseline.build()
    if isinstance(built, nn.Module):
        report = memprof.analyze(built.eval(), torch.zeros(1, 3, baseline.side, baseline.side))
    else:
        report = memprof.analyze(built)
    found = exported((baseline.module or baseline.build)(), baseline, keep) if exports else {}
    print(f"{baseline.name}: {report.parameter_bytes:,} B, {found.get('latency_ms')}", file=sys.stderr)
    return {
        "name": baseline.name,
        "printed_parameters": baseline.parameters,
        "printed_total": baseline.total,
        "parameter_bytes": report.parameter_bytes,
        "macs": report.model.macs,
        "latency_ms": found.get("latency_ms"),
        "peaks": {
            name: report.runtimes[name].peak_intermediate_bytes if name in report.runtimes else None
            for name in RUNTIMES
        }
        | {EXPORTED: found.get("peak")},
    }


def exported(module: nn.Module, baseline: Baseline, keep: Path | None) -> dict[str, Any]:
    """Return the peak of a network's ONNX file in a default session, and its latency; nothing where it cannot be
    exported."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{re.sub('[^a-z0-9]+', '-', baseline.name.lower())}.onnx"
        image = torch.zeros(1, 3, baseline.side, baseline.side)
        try:
            program = torch.onnx.export(module.eval(), (image,), dynamo=True, verbose=False)
            assert program is not None, "the dynamo exporter returns a program"
            program.save(str(path), external_data=False)
        except Exception as error:  # a network that cannot be exported is a gap in the table
            print(f"not exported: {type(error).__name__}: {error}", file=sys.stderr)
            return {}
        if keep is not None and baseline.name.startswith("MemNAS"):
            specs = input_specs(memprof.load(path).graph)
            write_bundle(path, specs, keep / path.stem, threads=TIMED.threads, runs=TIMED.runs)
        runtimes = memprof.analyze(path).runtimes
        latency = memprof.bench(path, TIMED).latency
        return {
            "peak": runtimes[EXPORTED].peak_intermediate_bytes if EXPORTED in runtimes else None,
            "latency_ms": {"median": latency.median_ms, "min": latency.min_ms, "p90": latency.p90_ms},
        }


def lines(found: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Return the page."""
    page = [
        "# MemNAS's tables, counted again",
        "",
        *wrap(INTRODUCTION, WIDTH),
        "",
    ]
    for title, rows in found.items():
        page += [
            f"## {title}",
            "",
            "| network | parameters printed | counted | rest printed | paper's rule | reference | ideal | pytorch "
            "| onnxruntime | MACs, millions | latency, ms |",
            "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
            *(_row(row) for row in rows),
            "",
        ]
    page += ["## On a device", "", *wrap(BUNDLES, WIDTH), "", *(f"    {line}" for line in COMMANDS), ""]
    found_wrong = [line for text in ERRATA for line in wrap(f"* {text}", WIDTH, subsequent_indent="  ")]
    return [*page, "## What does not agree, and why", "", *found_wrong, ""]


def _row(row: dict[str, Any]) -> str:
    peaks = ["" if row["peaks"][name] is None else _mb(row["peaks"][name]) for name in (*RUNTIMES, EXPORTED)]
    printed, total = row["printed_parameters"], row["printed_total"]
    said = ("", "") if printed is None else (f"{printed:.1f}", f"{total - printed:.1f}")
    latency, macs = row["latency_ms"], row["macs"]
    times = f"{latency['median']:.1f} ({latency['min']:.1f}-{latency['p90']:.1f})" if latency else ""
    work = "" if macs is None else f"{macs / 1e6:,.0f}"
    cells = [row["name"], said[0], _mb(row["parameter_bytes"]), said[1], *peaks, work, times]
    return f"| {' | '.join(cells)} |"


def _mb(size: int) -> str:
    return f"{size / 1e6:.2f}"


INTRODUCTION = (
    "Made by `benchmarks/nas_reexamined.py`: the baselines of MemNAS (CVPR 2020), from torchvision, timm or "
    "their papers, and the authors' two networks, built and counted: batch 1, float32, MB of "
    "1,000,000 B. The rest, printed, is the printed total less the printed parameters. Peaks are of "
    "intermediates: paper's rule, its Figure 3; reference, one operation at a time; ideal, in place where"
    " it can be; pytorch, what PyTorch allocates; onnxruntime, a default session on the exported file "
    "([definitions](definitions.md)). Latency is that of `memprof bench` on the exported file: onnxruntime, one "
    f"thread of the processor that the record names, the median of {TIMED.runs} runs and, in brackets, the shortest "
    "and the 90th percentile; all rows in one run, beside other work that came and went: compare the shortest."
)
BUNDLES = (
    "No phone was at hand. The first line writes the exported files of MemNAS's own networks, each with inputs and a "
    "script that pushes them to a phone over adb and runs onnxruntime's own test there; the last reads back what it "
    "printed. `memprof bench FILE --bundle DIR` does the same for any file."
)
COMMANDS = (
    "python benchmarks/nas_reexamined.py --keep phone",
    "sh phone/memnas-a-as-read/run.sh",
    "memprof bench --result phone/memnas-a-as-read/result.txt",
)
ERRATA = (
    "The printed rest of the MobileNetV2 rows is four times their largest feature map (19.27, 27.30, 2.36"
    " MB): no schedule needs that.",
    "The paper prints 5.2 MB in all for MemNAS at lambda .5 on CIFAR-10; its own savings column needs 5.8, as above.",
    "The rule of Figure 3 does not count a tensor in the level in which its last reader runs, and so less"
    " than a machine needs: a layer's inputs and outputs exist together while it runs.",
    "The paper does not say which row its published block belongs to, nor the widths. In this project's "
    "templates (64 filters in 5 blocks, up to 256 in 16) that block has more parameters than either row "
    "prints: 6.8 and 108 MB. One reading, *as read* in the tables, gives the first: factorised layers depthwise with "
    "one pointwise convolution, pools plain, a block's outputs added: weights of "
    f"{lean_bytes(nas.CIFAR10) / 1e6:.2f} MB; in our template for ImageNet {lean_bytes(nas.IMAGENET) / 1e6:.1f} MB. "
    "Figure 1 of the paper joins the outputs instead, so it stays a reading. With all widths "
    f"{fitted_factor(10.3):g} times ours its weights are the 10.3 MB of MemNAS-A, with {fitted_factor(14.8):g} times "
    "the 14.8 of B: one number fitted by one number.",
    "CondenseNet counts what its paper's condensed 1x1 layers leave, ShuffleNet 1x has three groups and no stride "
    "before its stages. FBNet-C (timm) has 5.6 million parameters, as its own paper says (5.5); the 18.8 MB that "
    "MemNAS prints are 4.7 million.",
    "Modules are counted as PyTorch runs them, batch norms as operations of their own. With these folded "
    "into the convolutions and activations in place MobileNetV2 1.0 needs 6.02 MB (ideal).",
    "FBNet-A, built from its published blocks, has 4.32 million parameters and 250 million MACs, as its own paper "
    "says (4.3 and 249); ProxylessNAS for a phone, which is in the paper's text and not in its tables, 4.08 and 320 "
    "(320). The counted bytes include the statistics of batch norms.",
    "Not built here: DPPNet.",
)


if __name__ == "__main__":
    main()
