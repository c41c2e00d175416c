"""Folders of searches as nobody honest would send them: a whole one, and what a seeded mutator makes of it.

``make_search`` writes a small finished search without training anything. ``KINDS`` maps a name to what spoils a copy
of it: links out of the folder, values of the journal, its text, schema, bytes and order, checkpoints, results.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import random
import shutil
import sqlite3
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from memprof.nas.jobs import Outcome
from memprof.nas.rank.metric import Metric
from memprof.nas.record.journal import Journal
from memprof.nas.record.settings import Limits, Settings
from memprof.nas.searching.rounds import Search
from memprof.nas.space.architecture import Architecture, Template
from memprof.nas.space.budget import Budget
from memprof.nas.train.evaluation import save_checkpoint
from memprof.nas.train.modules import build_module
from memprof.nas.train.recipe import Recipe
from memprof.nas.train.trainer import Checkpoint

TINY = Template(strides=(1, 2), widths=(4, 4), input_shape=(1, 8, 8), classes=10, stem_width=4)
SETTINGS = Settings(
    dataset="digits",
    template=TINY,
    image_limit=100,
    seed=1,
    metric=Metric(accuracy_weight=0.9),
    budget=Budget(),
    sample=3,
    top_k=2,
    ranker="ridge",
    recipe=Recipe(epochs=1, batch=32),
    rungs=(1,),
    finalists=1,
    final_seeds=2,
    final_epochs=1,
)
EVIL_TEXT = "pwned\n## pwned\x1b[31m\u202e\x00"
VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        -1,
        0,
        1,
        7,
        10**6,
        2**63,
        2**70,
        -(2**70),
        0.5,
        1e308,
        -1e308,
        5e-324,
        "1e999",
        "NaN",
        "-Infinity",
    ),
    *(EVIL_TEXT, "", "../../../etc", "/dev/zero", "a" * 100_000, [], {}, [[]], [1] * 200_000, {"schema": EVIL_TEXT}),
    *("float64", "cuda:999", "reference", "\ud800", {"a": {"a": {"a": []}}}),
)
"""Values for any place; the texts of numbers that JSON has no value for go in without quotes."""

Spoil = Callable[[Path, Path, random.Random], None]
"""Changes the search in a folder; the second folder is the user's, of which nothing may change."""


def make_search(folder: Path) -> None:
    """Write a finished search of two rounds with weights, a final training and a report."""
    with Journal(folder) as journal:
        journal.append("started", {"settings": SETTINGS.to_json(), "limits": Limits(rounds=2).to_json()})
        search = Search(folder, journal, lambda: 0.0)
        while jobs := search.ask():
            for job in jobs:
                found = Outcome(
                    candidate=job.candidate,
                    rung=job.rung,
                    status="ok",
                    accuracy=0.3 + job.candidate / 100,
                    epochs=job.until,
                    loss=1.0,
                    seconds=2.0,
                )
                weights = build_module(Architecture.from_json(job.architecture)).state_dict()
                save_checkpoint(Checkpoint(job.until, weights, {}), Path(job.checkpoint), found)
                search.tell(found)
        chosen = search.state.chosen[0]
    place = folder / "trained" / "0"
    place.mkdir(parents=True)
    weights = build_module(chosen.architecture).state_dict()
    save_checkpoint(Checkpoint(1, weights, {}), place / "checkpoint.pt")
    (place / "result.json").write_text(json.dumps(RESULT | {"architecture": chosen.architecture.to_json()}))
    (folder / "report").mkdir()


RESULT = {
    "schema": "memprof/nas-train/1",
    "name": "0",
    "candidate": 0,
    "epochs": 1,
    "validation_accuracy": 0.5,
    "test_accuracy": 0.5,
    "parameter_bytes": 100,
    "peak_intermediate_bytes": 100,
}

PLACES = (
    *("search.db", "search.db-wal", "search.db-shm", "search.db-journal", "search.lock", "weights", "weights/0-0.pt"),
    *("trained", "trained/0", "trained/0/result.json", "trained/0/checkpoint.pt", "trained/final.lock", "data"),
    *(
        "report",
        "report/README.md",
        "report/rounds.png",
        "report/front.png",
        "report/architecture.png",
        "report/lifetimes.png",
    ),
    *("export", "export/model.onnx", "export/architecture.json", "export/architecture.png", "export/lifetimes.png"),
)


def _link(folder: Path, outside: Path, rng: random.Random) -> None:
    """Put a link, a hard link or a pipe where a search has, or writes, a file or folder."""
    place = folder / rng.choice(PLACES)
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    targets = [
        *sorted(outside.iterdir()),
        outside / "new",
        Path("/dev/zero"),
        Path("/dev/full"),
        place,
        folder.parent,
    ]
    match rng.randrange(8):
        case 0:
            os.mkfifo(place)
        case 1:
            os.link(outside / "notes.txt", place)
        case _:
            place.symlink_to(rng.choice(targets))


def _edit(folder: Path, statement: str, *values: object) -> None:
    database = sqlite3.connect(folder / "search.db", isolation_level=None)
    database.execute(statement, values)
    database.close()


def _rows(folder: Path) -> list[tuple[int, str, str]]:
    database = sqlite3.connect(folder / "search.db", isolation_level=None)
    found = database.execute("SELECT id, kind, data FROM events ORDER BY id").fetchall()
    database.close()
    return found


def _spoil(value: Any, rng: random.Random) -> Any:
    """Return JSON with one value, somewhere, replaced, removed or doubled."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        name = rng.choice(sorted(value))
        changed = {key: _spoil(item, rng) if key == name else item for key, item in value.items()}
        if rng.random() < 0.1:
            del changed[name]
        return changed
    if isinstance(value, list) and value and rng.random() < 0.85:
        place = rng.randrange(len(value))
        changed_list = [_spoil(item, rng) if i == place else item for i, item in enumerate(value)]
        return changed_list + [changed_list[place]] * (rng.random() < 0.2)
    return rng.choice(VALUES)


def _text(value: Any) -> str:
    text = json.dumps(value)
    for number in ("1e999", "NaN", "-Infinity"):
        text = text.replace(f'"{number}"', number)
    return text


def _value(folder: Path, outside: Path, rng: random.Random) -> None:
    """Replace a value somewhere in an event."""
    number, _, data = rng.choice(_rows(folder))
    _edit(folder, "UPDATE events SET data = ? WHERE id = ?", _text(_spoil(json.loads(data), rng)), number)


def _column(folder: Path, outside: Path, rng: random.Random) -> None:
    """Put what is no text or number where the table should have one."""
    number, _, _ = rng.choice(_rows(folder))
    column = rng.choice(("kind", "at", "spent", "data"))
    odd = rng.choice(
        (b"\x00\xff", 2**62, 1e308, float("inf"), "x", EVIL_TEXT, "[" * 100_000, "{", "9" * 5000, '"\\ud800"')
    )
    _edit(folder, f"UPDATE events SET {column} = ? WHERE id = ?", odd, number)
    if rng.random() < 0.3:
        _edit(folder, "UPDATE heartbeat SET at = ?", rng.choice((float("inf"), "x", b"\x00", -1e300, 1e300)))


def _order(folder: Path, outside: Path, rng: random.Random) -> None:
    """Drop, repeat or swap events."""
    rows = _rows(folder)
    a, b = rng.choice(rows), rng.choice(rows)
    match rng.randrange(3):
        case 0:
            _edit(folder, "DELETE FROM events WHERE id = ?", a[0])
        case 1:
            _edit(folder, "INSERT INTO events (kind, at, spent, data) VALUES (?, 0, 0, ?)", a[1], a[2])
        case _:
            _edit(folder, "UPDATE events SET kind = ?, data = ? WHERE id = ?", b[1], b[2], a[0])


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT "
SCHEMAS = (
    f"DROP TABLE events; CREATE VIEW events AS {ENDLESS} 'started' AS kind, 0.0 AS at, 0.0 AS spent, '{{}}' AS data, "
    "i AS id FROM n",
    f"DROP TABLE heartbeat; CREATE VIEW heartbeat AS {ENDLESS} count(*) AS at FROM n",
    "DROP TABLE events; CREATE TABLE events (id INTEGER PRIMARY KEY, kind TEXT, at REAL, spent REAL, "
    "data TEXT AS (printf('%.*c', 900000000, 'x')))",
    f"CREATE TRIGGER t AFTER INSERT ON events BEGIN INSERT INTO heartbeat {ENDLESS} i, 1.0 FROM n; END",
    "CREATE INDEX i ON events (length(hex(zeroblob(100000000))))",
    "CREATE VIRTUAL TABLE v USING fts5(x)",
    "PRAGMA application_id = 7",
    "PRAGMA user_version = 99",
    "DROP TABLE events",
    "DROP TABLE heartbeat",
    "ALTER TABLE events ADD COLUMN more TEXT DEFAULT (hex(randomblob(1000)))",
    "CREATE TABLE more (x)",
    "PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = 'CREATE TABLE events (x)' WHERE name = 'events'",
    "PRAGMA writable_schema = ON; UPDATE sqlite_master SET rootpage = 1 WHERE name = 'events'",
    "PRAGMA writable_schema = ON; UPDATE sqlite_master SET name = sql",
)


def _schema(folder: Path, outside: Path, rng: random.Random) -> None:
    """Make the tables something else: what runs when it is read, or is another program's."""
    database = sqlite3.connect(folder / "search.db", isolation_level=None)
    with contextlib.suppress(sqlite3.Error):  # this SQLite lacks the module, or already sees the damage
        database.executescript(rng.choice(SCHEMAS))
    database.close()


def _bytes(folder: Path, outside: Path, rng: random.Random) -> None:
    """Change bytes of a file, or cut it off."""
    path = folder / rng.choice(("search.db", "search.db", "weights/0-0.pt", "trained/0/checkpoint.pt"))
    found = bytearray(path.read_bytes())
    for _ in range(rng.choice((1, 4, 40))):
        found[rng.randrange(len(found))] = rng.randrange(256)
    path.write_bytes(found[: rng.randrange(len(found))] if rng.random() < 0.2 else found)


class _Attack:
    """Runs code where it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self._marker = str(marker)

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self._marker, "w")


def _checkpoint(folder: Path, outside: Path, rng: random.Random) -> None:
    """Put a pickle that runs code, an archive that swells, or another network's tensors where weights are."""
    path = rng.choice(sorted((*(folder / "weights").iterdir(), folder / "trained/0/checkpoint.pt")))
    attack = pickle.dumps({"epoch": 1, "weights": _Attack(outside / "ran"), "momentum": {}}, protocol=2)
    match rng.randrange(6):
        case 0:
            path.write_bytes(attack)
        case 1:
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("archive/data.pkl", attack)
                archive.writestr("archive/version", "3\n")
        case 2:
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("archive/data.pkl", bytes(50_000_000))
        case 3:
            save_checkpoint(Checkpoint(1, build_module(TINY.build([])).state_dict(), {}), path)
        case 4:
            weights: Any = {"x": EVIL_TEXT}
            save_checkpoint(Checkpoint(rng.choice((-1, 10**9, 1)), weights, {"state": {0: {}}}), path)
        case _:
            with path.open("wb") as file:
                file.truncate(3 * 2**30)


def _result(folder: Path, outside: Path, rng: random.Random) -> None:
    """Spoil the result of a final training."""
    path = folder / "trained" / "0" / "result.json"
    path.write_text(_text(_spoil(json.loads(path.read_text()), rng)))


def _names(folder: Path, outside: Path, rng: random.Random) -> None:
    """Give files of the folder names that lead elsewhere or do not print."""
    name = rng.choice(("\x1b[31m", "a\nb", "\u202e", "x" * 200, "..pt", "0-9999999999999.pt", "0--1.pt", "0-x.pt"))
    place = folder / rng.choice(("weights", "trained", "report")) / name
    place.mkdir() if rng.random() < 0.5 else place.write_text("x")


KINDS: Mapping[str, Spoil] = {
    "link": _link,
    "value": _value,
    "column": _column,
    "order": _order,
    "schema": _schema,
    "bytes": _bytes,
    "checkpoint": _checkpoint,
    "result": _result,
    "names": _names,
}
