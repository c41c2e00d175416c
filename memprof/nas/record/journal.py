"""The journal of a search: an append-only table of events in SQLite. State is a fold over it, in ``state``.

    DIR/search.db        events(id, kind, at, data) and one heartbeat row
    DIR/search.lock      held by the process that writes

Write-ahead log and full synchronisation: when ``append`` returns, the event is on the disk, and a reader in another
process sees it without ever blocking the writer. A process that dies at any moment leaves whole events only.
"""

from __future__ import annotations

import fcntl
import json
import shlex
import sqlite3
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from memprof.errors import InputError, RuntimeFailure, UsageError

DATABASE = "search.db"
BEAT_SECONDS = 2.0
"""How often a running search writes its heartbeat; after five missed beats it counts as interrupted."""

_SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, at REAL NOT NULL, data TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS heartbeat (one INTEGER PRIMARY KEY CHECK (one = 1), at REAL NOT NULL);
COMMIT;
"""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    Attributes:
        kind: A key of ``memprof.nas.record.state.FOLDS``.
        at: Seconds since the epoch.
        data: What the kind says.
    """

    kind: str
    at: float
    data: Mapping[str, Any]


class Journal:
    """The writing end. One process at a time; use it as a context manager.

    Args:
        folder: Folder of the search; made if it is not there.

    Raises:
        UsageError: Another process writes to it.
        InputError: The file is not a journal.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / DATABASE
        self._lock = take_lock(folder / "search.lock", "search")
        try:
            self._database = sqlite3.connect(self._path, isolation_level=None)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.executescript(_SCHEMA)
        except sqlite3.DatabaseError as error:
            self._lock.close()
            raise InputError(f"{self._path} is not a search journal: {error}.") from error
        self._stop = threading.Event()
        self._heart = threading.Thread(target=self._beat, daemon=True)
        self._heart.start()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._heart.join()
        self._database.close()
        self._lock.close()

    def append(self, kind: str, data: Mapping[str, Any]) -> Event:
        """Write one event to the disk and return it.

        Raises:
            RuntimeFailure: The disk is full or not writable.
        """
        event = Event(kind, time.time(), data)
        text = json.dumps(data, allow_nan=False, sort_keys=True)
        try:
            self._database.execute("INSERT INTO events (kind, at, data) VALUES (?, ?, ?)", (kind, event.at, text))
        except sqlite3.OperationalError as error:
            raise RuntimeFailure(
                f"{self._path} cannot be written: {error}.", "What was written is safe; make room, then resume."
            ) from error
        return event

    def events(self) -> tuple[Event, ...]:
        """Return all events, oldest first."""
        return _events(self._database)

    def _beat(self) -> None:
        """Show readers that the search lives, from a connection of this thread's own."""
        database = sqlite3.connect(self._path, isolation_level=None, timeout=BEAT_SECONDS)
        # A lost heartbeat costs nothing, so it need not wait for the disk as events do.
        database.execute("PRAGMA synchronous=OFF")
        database.execute("PRAGMA wal_autocheckpoint=0")  # moving events into the database is for who syncs
        while not self._stop.is_set():
            with suppress(sqlite3.OperationalError):  # an event is being written: the next beat will do
                database.execute("INSERT OR REPLACE INTO heartbeat VALUES (1, ?)", (time.time(),))
            self._stop.wait(BEAT_SECONDS)
        database.close()


def read_journal(folder: Path) -> tuple[tuple[Event, ...], float]:
    """Return all events of a search and the time of its last heartbeat, while it runs or after.

    A file without tables is a search that was killed, or is seen, before its first event: nothing happened yet.

    Raises:
        InputError: There is no search in ``folder``, or its journal cannot be read.
    """
    path = folder / DATABASE
    if not path.is_file():
        raise InputError(f"There is no search in {folder}.", "Start one: memprof nas search --output DIR")
    try:
        database = _open_to_read(path)
        try:
            if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'events'").fetchone():
                return (), 0.0
            beat = database.execute("SELECT at FROM heartbeat").fetchone()
            return _events(database), beat[0] if beat else 0.0
        finally:
            database.close()
    except sqlite3.DatabaseError as error:
        raise InputError(f"{path} is not a search journal: {error}.") from error


def _open_to_read(path: Path) -> sqlite3.Connection:
    """Open a journal that others may be writing to, in a folder where this process may write nothing perhaps."""
    address = path.absolute().as_uri()
    database = sqlite3.connect(f"{address}?mode=ro", uri=True, timeout=5)
    try:
        database.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        # Reading a write-ahead log takes a file beside it. Without a log, nobody writes: the file alone is enough.
        if path.with_name(f"{DATABASE}-wal").exists():
            raise
        database.close()
        database = sqlite3.connect(f"{address}?mode=ro&immutable=1", uri=True)
    return database


def has_search(folder: Path) -> bool:
    """Return whether ``folder`` already holds a search."""
    return (folder / DATABASE).is_file() and bool(read_journal(folder)[0])


def _events(database: sqlite3.Connection) -> tuple[Event, ...]:
    rows = database.execute("SELECT kind, at, data FROM events ORDER BY id")
    try:
        return tuple(Event(kind, at, json.loads(data)) for kind, at, data in rows)
    except ValueError as error:
        raise InputError(f"The journal holds an event that is damaged: {error}.", "Start a new search.") from error


def take_lock(path: Path, what: str) -> IO[str]:
    """Lock a file for this process until it is closed.

    Args:
        path: The file; made if it is not there.
        what: What only one process at a time may do, in a word.

    Raises:
        UsageError: Another process holds it.
    """
    file = path.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise UsageError(
            f"Another process is running the {what} in {path.parent}.",
            shlex.join(["memprof", "nas", "status", str(path.parent)]),
        ) from error
    return file
