"""Documents that memprof reads back, each whole and spoilt in any of many ways: what a stranger could send.

A kind says what is typed, and what the file holds that nobody spoilt. A way spoils its text at a place that is drawn.
The same number makes the same file.
"""

from __future__ import annotations

import json
import random
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import memprof
from memprof.importers.weights.safetensors import INDEX_NAME
from memprof.planning.minimalloc import write_csv
from memprof.planning.offsets.problem import AllocationBuffer, AllocationProblem
from memprof.planning.offsets.solver import plan_offsets
from tests.board_files import BOARD
from tests.cli.conftest import write_chain
from tests.tflite_models import chain

EVIL = "pwned\x1b[31m\u202e\n## pwned"
ODD = (
    *("9" * 400, "-" + "9" * 400, "9" * 5000, "1e999", "-1e999", "1e308", "NaN", "Infinity", "-Infinity"),
    *("18446744073709551616", "9223372036854775807", "4611686018427387904", "-1", "0", "0.5", "1e-320"),
    *("true", "null", '""', '"9"', "[]", "{}", "[[]]", json.dumps(EVIL), '"\\ud800"', '"' + "a" * 200_000 + '"'),
    *("[" * 900 + "]" * 900, '{"a":' * 700 + "1" + "}" * 700, "[" * 100_000, "[" + "1," * 200_000 + "1]"),
)
"""Values in the place of others: too large, none, of other types, nested too deep, too many."""

TOML_ODD = (*ODD, "inf", "nan", "1979-05-27", "{ a = { b = 1 } }")

_MARK = "@here@"


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every value of a document."""
    if path:
        yield path
    children = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, child in children:
        yield from places(child, (*path, key))


def spoil_json(text: str, rng: random.Random) -> str:
    """Return JSON with one value, key or list spoilt."""
    document = json.loads(text)
    ways = sorted(places(document), key=repr)
    path = rng.choice(ways)
    inner = _at(document, path[:-1])
    old, odd = inner[path[-1]], rng.choice(ODD)
    inner[path[-1]] = _MARK
    literal = odd
    match rng.randrange(9):
        case 0 if isinstance(inner, dict):
            del inner[path[-1]]
        case 1 if isinstance(inner, dict):
            literal = f"{json.dumps(old)}, {json.dumps(path[-1])}: {odd}"
        case 2 if isinstance(inner, dict):
            del inner[path[-1]]
            inner[EVIL] = old
        case 3 if isinstance(old, list) and old:
            inner[path[-1]] = old * (50_000 // len(old))
        case 4:
            literal = json.dumps(_at(json.loads(text), rng.choice(ways)))
        case 5:
            return text[: rng.randrange(1, len(text))]
    return json.dumps(document).replace(f'"{_MARK}"', literal)


def _at(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


def spoil_toml(text: str, rng: random.Random, values: Sequence[str] = TOML_ODD) -> str:
    """Return TOML with one value, key or line spoilt."""
    lines = text.strip().splitlines()
    at = rng.randrange(len(lines))
    key, is_value, _ = lines[at].partition(" = ")
    match rng.randrange(9):
        case 0:
            lines.insert(at, lines[at])
        case 1:
            del lines[at]
        case 2:
            lines[at] = f"{key}x = 1" if is_value else "[[x"
        case 3:
            lines.insert(at, f"{json.dumps(EVIL)} = 1")
        case 4:
            lines[at] = f"{key}{rng.choice(('x', '-code', '.a.b', ' = 1 #'))} = {rng.choice(values)}"
        case _:
            lines[at] = f"{key} = {rng.choice(values)}" if is_value else f"[[{key}]]"
    return "\n".join(lines) + "\n"


def spoil_csv(text: str, rng: random.Random) -> str:
    """Return a table with one cell, row or column spoilt."""
    rows = [line.split(",") for line in text.splitlines()]
    row = rng.choice(rows)
    match rng.randrange(6):
        case 0:
            row.pop()
        case 1:
            rows.append(row)
        case 2:
            row[rng.randrange(len(row))] = '"' + "a" * 200_000
        case 3:
            rows[:] = [rows[0], *(rows[1:] * (300_000 // len(rows)))]
        case _:
            row[rng.randrange(len(row))] = rng.choice(
                (*ODD[:16], "=1+1", "\x1b[31m", "\u202e", "\0", " ", "1_0", "٣")
            )
    return "\n".join(",".join(cells) for cells in rows) + "\n"


def _report(folder: Path) -> str:
    return json.dumps(memprof.analyze(folder / "net.onnx", from_file=True).to_json())


def _plan(folder: Path) -> str:
    return json.dumps(memprof.plan(folder / "net.onnx", seconds=0).to_json())


def _helped(folder: Path) -> str:
    change = {"what": "x", "runtime": "reference", "saved_bytes": 4, "peak_bytes": 8, "saved_weight_bytes": 2}
    report = json.loads(_report(folder))
    return json.dumps(report | {"help": [change | {"command": "y"}], "help_useless": ["a"], "help_skipped": ["b"]})


def _baseline(folder: Path) -> str:
    from memprof.cli import main

    main.main(["check", "--config", str(folder / "memprof.toml"), "--update-baseline"], standalone_mode=False)
    return (folder / "memory.json").read_text(encoding="utf-8")


def _buffers(_: Path) -> str:
    buffers = [AllocationBuffer(name=f"b{i}", start=i, stop=i + 3, size_bytes=100 + i) for i in range(6)]
    problem = AllocationProblem(buffers=tuple(buffers), alignment=1)
    from io import StringIO

    stream = StringIO()
    write_csv(plan_offsets(problem, seconds=0), stream)
    return stream.getvalue()


def _exported(_: Path) -> str:
    tensor = {
        "dtype": 7, "sizes": [{"as_int": 2}, {"as_int": 8}], "strides": [{"as_int": 8}, {"as_int": 1}],
        "storage_offset": {"as_int": 0}, "device": {"type": "cpu"}, "requires_grad": False, "layout": 7,
    }  # fmt: skip
    node = {
        "target": "torch.ops.aten.relu.default", "inputs": [{"name": "self", "arg": {"as_tensor": {"name": "x"}}}],
        "outputs": [{"as_tensor": {"name": "y"}}], "metadata": {"stack_trace": "net.py"},
    }  # fmt: skip
    graph = {
        "nodes": [node], "inputs": [{"as_tensor": {"name": "x"}}], "outputs": [{"as_tensor": {"name": "y"}}],
        "tensor_values": {"x": tensor, "y": tensor}, "sym_int_values": {}, "sym_bool_values": {},
    }  # fmt: skip
    signature = {
        "input_specs": [{"user_input": {"arg": {"as_tensor": {"name": "x"}}}}],
        "output_specs": [{"user_output": {"arg": {"as_tensor": {"name": "y"}}}}],
    }
    module = {"graph": graph, "signature": signature, "module_call_graph": []}
    return json.dumps({"graph_module": module, "opset_version": {"aten": 10}, "range_constraints": {}})


def _weights(_: Path) -> str:
    return json.dumps(
        {
            "__metadata__": {"format": "pt"},
            "w": {"dtype": "F32", "shape": [4, 4], "data_offsets": [0, 64]},
            "b": {"dtype": "F16", "shape": [4], "data_offsets": [64, 72]},
        }
    )


def _index(folder: Path) -> str:
    (folder / "a.safetensors").write_bytes(_with_length(_weights(folder)))
    (folder / "config.json").write_text(_configuration(folder), encoding="utf-8")
    return json.dumps({"metadata": {"total_size": 72}, "weight_map": {"w": "a.safetensors", "b": "a.safetensors"}})


def _configuration(_: Path) -> str:
    sizes = {"hidden_size": 64, "intermediate_size": 128, "vocab_size": 100, "max_position_embeddings": 128}
    counts = {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    more = {"rope_scaling": {"type": "linear", "factor": 2.0}, "quantization_config": {"bits": 4, "group_size": 128}}
    return json.dumps({"architectures": ["LlamaForCausalLM"], "model_type": "llama", **sizes, **counts, **more})


def _in_archive(text: str) -> bytes:
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("net/models/model.json", text.encode("utf-8", errors="surrogatepass"))
    return stream.getvalue()


def _with_length(text: str) -> bytes:
    content = _plain(text)
    return struct.pack("<Q", len(content)) + content + bytes(72)


def _plain(text: str) -> bytes:
    return text.encode("utf-8", errors="surrogatepass")


PROJECT = """
[check]
baseline = "memory.json"
[[check.models]]
source = "net.onnx"
max-peak = "1MB"
max-growth = "5%"
runtime = "reference"
"""
NETWORKS = "\n".join(["code,accuracy,bytes", *(f"{i:06b},{0.5 + i / 200},{100 + i}" for i in range(16)), ""])
MACRO = json.dumps({f"{i:08o}": {"mean_acc": 80 + i / 10, "params": 1000 + i} for i in range(16)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A document that memprof reads back.

    Attributes:
        file: Name of the file that is spoilt.
        line: What is typed after ``memprof``; the folder holds ``net.onnx``, ``net.tflite`` and ``memprof.toml``.
        whole: Its text where nobody spoilt it.
        spoil: Spoils a text at a place that is drawn.
        pack: The file of a text.
        needs_torch: Whether it is read by a part that needs PyTorch, which reserves more memory.
        writes: Files that are written.
        codes: How it may end where nobody spoilt it.
    """

    file: str
    line: str
    whole: Callable[[Path], str]
    spoil: Callable[[str, random.Random], str] = spoil_json
    pack: Callable[[str], bytes] = _plain
    needs_torch: bool = False
    writes: tuple[str, ...] = ()
    codes: tuple[int, ...] = (0,)


KINDS: Mapping[str, Kind] = {
    "report": Kind(file="r.json", line="analyze r.json --json", whole=_report),
    "report with help": Kind(file="r.json", line="analyze r.json", whole=_helped),
    "report as a page": Kind(file="r.json", line="analyze r.json -o out.html", whole=_helped, writes=("out.html",)),
    "compared report": Kind(file="r.json", line="compare net.onnx r.json --from-file --json", whole=_report),
    "report as baseline": Kind(
        file="r.json", line="check net.onnx --from-file --runtime reference --baseline r.json --json", whole=_report
    ),
    "saved plan": Kind(file="p.json", line="analyze p.json --json", whole=_plan, codes=(3,)),
    "baseline": Kind(file="memory.json", line="check --json", whole=_baseline),
    "project": Kind(file="memprof.toml", line="check --json", whole=lambda _: PROJECT, spoil=spoil_toml),
    "boards": Kind(
        file="b.toml", line="boards net.tflite --boards b.toml --seconds 0", whole=lambda _: BOARD, spoil=spoil_toml
    ),
    "buffers": Kind(file="b.csv", line="plan b.csv --seconds 0 --json", whole=_buffers, spoil=spoil_csv),
    "exported program": Kind(file="n.pt2", line="analyze n.pt2 --json", whole=_exported, pack=_in_archive),
    "weights": Kind(file="w.safetensors", line="analyze w.safetensors --json", whole=_weights, pack=_with_length),
    "index of shards": Kind(file=INDEX_NAME, line="analyze . --json", whole=_index, needs_torch=True),
    "configuration": Kind(file="config.json", line="analyze . --json", whole=_configuration, needs_torch=True),
    "table": Kind(
        file="t.csv",
        line="nas simulate t.csv --trained 8 --seeds 1 --ranker parameters --json",
        whole=lambda _: NETWORKS,
        spoil=spoil_csv,
        needs_torch=True,
    ),
    "macro table": Kind(
        file="t.json",
        line="nas simulate t.json --trained 8 --seeds 1 --ranker parameters --json",
        whole=lambda _: MACRO,
        needs_torch=True,
    ),
}


def prepare(folder: Path, kind: Kind) -> str:
    """Make a folder that a kind is asked in, and return the document that nobody spoilt."""
    folder.mkdir()
    write_chain(folder / "net.onnx", ["Relu", "Sigmoid"], [1, 8])
    (folder / "net.tflite").write_bytes(chain(4, 4))
    (folder / "memprof.toml").write_text(PROJECT, encoding="utf-8")
    if kind.file == "memory.json":
        return kind.whole(folder)
    whole = kind.whole(folder)
    if kind.file == "memprof.toml":
        _baseline(folder)
    return whole


def spoilt(whole: str, kind: Kind, name: str, number: int) -> bytes:
    """Return the file number so-and-so of a kind."""
    return kind.pack(kind.spoil(whole, random.Random(f"{name}/{number}")))


def named(kind: Kind, place: Path) -> list[str]:
    """Return what is typed where the document and its neighbours lie in ``place``."""
    own = {".", "net.onnx", "net.tflite", kind.file, *kind.writes}
    return [str(place / word) if word in own else word for word in kind.line.split()]
