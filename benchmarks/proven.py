"""Which operations are proven for an onnxruntime: the table that grades read, made from what was measured with it.

    python benchmarks/node_tests.py --json nodes.json
    python benchmarks/accuracy.py --jobs 1 [...]
    python benchmarks/proven.py --nodes nodes.json [--write]      the table beside today's, or in its place

An operation at an element type is proven if a traced run of a model with it took exactly what was predicted, and no
run took anything else that nothing else in it explains: of what an unequal model runs, the operations that fewest
equal models run are to blame. A network of which something else than an operation lowers the grade (threads, an order
that sessions do not share) says nothing when it is unequal. Operations that only move elements need no proof. The
version is that of the installed onnxruntime; both records have to be of it. What was measured by hand on single
operations stands beside the table, and falls away with another version.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from memprof.runtimes.onnxruntime import proven_table
from memprof.runtimes.onnxruntime.proven import MOVES

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "memprof/runtimes/onnxruntime/proven_table.py"
ACCURACY = ROOT / "benchmarks/results/accuracy.json"
_LETTERS = "fdhb12345678?s~"
_WIDTH = 116

Kernel = tuple[str, str]
Run = tuple[str, frozenset[Kernel], bool]
"""A model, what it runs, and whether it took what was predicted."""


def node_runs(document: Mapping[str, Any]) -> Iterator[Run]:
    """Yield the node tests that ran and have a number that depends on no bound."""
    for test in document["tests"]:
        if test["refusal"] or test["predicted_bytes"] is None or test["grade"] == "upper bound":
            continue
        yield test["name"], _kernels(test["kernels"]), test["predicted_bytes"] == test["measured_bytes"]


def network_runs(document: Mapping[str, Any]) -> Iterator[Run]:
    """Yield the whole networks of the accuracy record."""
    for name, row in document["models"].items():
        if "error" in row or "kernels" not in row:
            continue
        found = [kernel.rsplit(":", 1) for kernel in row["kernels"].split()]
        headline, ops = row["headline"], {op for op, _ in found}
        is_equal = headline["predicted"] == headline["measured"]
        if is_equal or all(reason in ops and reason not in _UNORDERED for reason in row["lowered_by"]):
            yield name, _kernels(found), is_equal


_UNORDERED = frozenset(("com.microsoft.nchwc.ReorderOutput", "If", "Loop", "Scan"))
"""Reasons of a grade that are no kernel's: see ``default_lowered_by``."""


def _kernels(found: Iterable[Sequence[str]]) -> frozenset[Kernel]:
    return frozenset((op, letter) for op, letter in found if op not in MOVES)


def proven(runs: Sequence[Run]) -> tuple[set[Kernel], dict[str, list[Kernel]]]:
    """Return what is proven, and by unequal model what is blamed for it."""
    support = Counter(kernel for _, kernels, is_equal in runs if is_equal for kernel in kernels)
    found = set(support)
    blamed: dict[str, list[Kernel]] = {}
    for name, kernels, is_equal in runs:
        if is_equal or not kernels or not kernels <= found:
            continue
        least = min(support[kernel] for kernel in kernels)
        blamed[name] = sorted(kernel for kernel in kernels if support[kernel] == least)
        found.difference_update(blamed[name])
    return found, blamed


def written(found: Iterable[Kernel]) -> str:
    """Return the table's text."""
    letters: defaultdict[str, set[str]] = defaultdict(set)
    for op, letter in found:
        letters[op].add(letter)
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for op in sorted(letters):
        groups["".join(sorted(letters[op], key=_LETTERS.find))].append(op)
    lines = []
    for key, operations in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        line = key
        for op in operations:
            if len(line) + 1 + len(op) > _WIDTH:
                lines.append(line)
                line = " "
            line = f"{line} {op}"
        lines.append(line)
    return "\n".join(lines)


def main() -> None:
    """Compare the table with today's, or write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=Path, required=True, help="what node_tests.py wrote")
    parser.add_argument("--accuracy", type=Path, default=ACCURACY)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    runs = [
        *node_runs(json.loads(asked.nodes.read_text(encoding="utf-8"))),
        *network_runs(json.loads(asked.accuracy.read_text(encoding="utf-8"))),
    ]
    found, blamed = proven(runs)
    before = _today()
    equal = sum(is_equal for *_, is_equal in runs)
    print(f"{len(runs)} models, {equal} equal, {len(found)} operations at a type proven")
    for name, kernels in blamed.items():
        print(f"blamed for {name}: {_listed(kernels)}")
    for title, some in (("new", found - before), ("no longer", before - found)):
        print(f"{title}: {_listed(sorted(some)) or 'nothing'}")
    if asked.write:
        text = TABLE.read_text(encoding="utf-8")
        head = text[: text.index("VERSION = ")]
        release = ".".join(version("onnxruntime").split(".")[:2])
        by_hand = "\n".join(_by_hand(found)) if release == proven_table.VERSION else ""
        tables = f'TABLE = """\\\n{written(found)}\n"""\n\nBY_HAND = """\\\n{by_hand}\n"""\n'
        TABLE.write_text(f'{head}VERSION = "{release}"\n\n{tables}', encoding="utf-8")


def _listed(kernels: Sequence[Kernel]) -> str:
    return ", ".join(f"{op}:{letter}" for op, letter in kernels)


def _by_hand(found: set[Kernel]) -> Iterator[str]:
    """Yield what was measured by hand and is in no model of the records."""
    yield from written(_read(proven_table.BY_HAND) - found).splitlines()


def _today() -> set[Kernel]:
    return _read(proven_table.TABLE) | _read(proven_table.BY_HAND)


def _read(table: str) -> set[Kernel]:
    found: set[Kernel] = set()
    for line in table.replace("\n  ", " ").splitlines():
        letters, *operations = line.split()
        found.update((op, letter) for op in operations for letter in letters)
    return found


if __name__ == "__main__":
    main()
