"""The journal of a search: an append-only table of events in SQLite. State is a fold over it, in ``state``.

    DIR/search.db        events(id, kind, at, spent, data) and one heartbeat row
    DIR/search.lock      held by the process that writes

Write-ahead log and full synchronisation: when ``append`` returns, the event is on the disk, and a reader in another
process sees it without ever blocking the writer. A process that dies at any moment leaves whole events only.

A folder may come from somebody else, so a file is a journal only if it is a plain file with our application id whose
schema is ours to the letter: two tables, no view, trigger, index or computed column that could run. What is read is
counted: bytes, events, and the steps that SQLite takes.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from json import dumps
from pathlib import Path
from typing import IO, Any

from memprof.base.errors import InputError, LimitError, RuntimeFailure, UsageError
from memprof.base.text import safe_text
from memprof.nas.given.inside import inside
from memprof.nas.given.values import parse_json, read_value

DATABASE = "search.db"
LOCK = "search.lock"
BEAT_SECONDS = 2.0
"""How often a running search writes its heartbeat; after five missed beats it counts as interrupted."""

MOST_EVENTS = 50_000
MOST_BYTES = 256 * 1024**2
_MOST_EVENT_BYTES = 32 * 1024**2
_MOST_STEPS = 1_000
"""Ten thousand of SQLite's steps each: as many as reading the largest journal takes a few times over."""

_APPLICATION, _VERSION = 0x6D4E4153, 2
_TABLES = {
    "events": "CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, at REAL NOT NULL, "
    "spent REAL NOT NULL, data TEXT NOT NULL)",
    "heartbeat": "CREATE TABLE heartbeat (one INTEGER PRIMARY KEY CHECK (one = 1), at REAL NOT NULL)",
    "sqlite_sequence": "CREATE TABLE sqlite_sequence(name,seq)",  # SQLite's own, for AUTOINCREMENT
}
_SCHEMA = f"""
BEGIN IMMEDIATE;
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
{_TABLES["events"]};
{_TABLES["heartbeat"]};
COMMIT;
"""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    Attributes:
        kind: A key of ``memprof.nas.record.state.FOLDS``.
        at: Seconds since the epoch, by a clock that people set.
        data: What the kind says.
        spent: Seconds since the writing process opened the journal, by one that only grows.
    """

    kind: str
    at: float
    data: Mapping[str, Any]
    spent: float = 0.0


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
        self._path = _plain_database(folder)
        self._lock = take_lock(folder, LOCK, "search")
        try:
            with _own_errors(self._path):
                self._database = _open_to_write(self._path)
        except BaseException:
            self._lock.close()
            raise
        self._opened = time.monotonic()
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
        event = Event(kind, time.time(), data, time.monotonic() - self._opened)
        text = dumps(data, allow_nan=False, sort_keys=True)
        row = (kind, event.at, event.spent, text)
        try:
            self._database.execute("INSERT INTO events (kind, at, spent, data) VALUES (?, ?, ?, ?)", row)
        except sqlite3.OperationalError as error:
            raise RuntimeFailure(
                f"{self._path} cannot be written: {error}.", "What was written is safe; make room, then resume."
            ) from error
        return event

    def events(self) -> tuple[Event, ...]:
        """Return all events, oldest first.

        Raises:
            InputError: One of them is damaged.
        """
        with _own_errors(self._path):
            return _events(self._database)

    def _beat(self) -> None:
        """Show readers that the search lives, from a connection of this thread's own."""
        database = sqlite3.connect(self._path, isolation_level=None, timeout=BEAT_SECONDS)
        # A lost heartbeat costs nothing, so it need not wait for the disk as events do.
        database.execute("PRAGMA synchronous=OFF")
        database.execute("PRAGMA wal_autocheckpoint=0")  # moving events into the database is for who syncs
        while not self._stop.is_set():
            with suppress(sqlite3.Error):  # an event is being written, say: the next beat will do
                database.execute("INSERT OR REPLACE INTO heartbeat VALUES (1, ?)", (time.time(),))
            self._stop.wait(BEAT_SECONDS)
        database.close()


def read_journal(folder: Path) -> tuple[tuple[Event, ...], float]:
    """Return all events of a search and the time of its last heartbeat, while it runs or after.

    A file without tables is a search that was killed, or is seen, before its first event: nothing happened yet.

    Raises:
        InputError: There is no search in ``folder``, or its journal cannot be read.
        LimitError: It is larger than any search's.
    """
    path = _plain_database(folder)
    if not path.is_file():
        raise InputError(
            f"There is no search in {safe_text(str(folder))}.", "Start one: memprof nas search --output DIR"
        )
    with _own_errors(path):
        database = _open_to_read(path)
        try:
            if not _has_tables(database, path):
                return (), 0.0
            beat = database.execute("SELECT at FROM heartbeat LIMIT 1").fetchone()
            return _events(database), read_value(float, beat[0]) if beat else 0.0
        finally:
            database.close()


def has_search(folder: Path) -> bool:
    """Return whether ``folder`` already holds a search."""
    return _plain_database(folder).is_file() and bool(read_journal(folder)[0])


_OF_THE_DISK = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
"""What SQLite says of a file that nothing is wrong with, in the lowest byte of its codes."""


@contextmanager
def _own_errors(path: Path) -> Iterator[None]:
    """Turn whatever a file that is no journal brings SQLite and us to say into one error."""
    try:
        yield
    except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _OF_THE_DISK:
            raise RuntimeFailure(
                f"{safe_text(str(path))} cannot be used: {error}.", "Make room or access."
            ) from error
        raise InputError(f"{safe_text(str(path))} is not a search journal: {error}.") from error


def _plain_database(folder: Path) -> Path:
    """Return the database's path; it and the files that SQLite keeps beside it are plain ones, or not there.

    Raises:
        InputError: One of them is a link or no file, or a transaction of another program's is unfinished: rolling
            that back, SQLite would remove a file that it names.
        LimitError: They are too large.
    """
    path, total = inside(folder, DATABASE), 0
    for suffix in ("", "-wal", "-shm", "-journal"):
        found = inside(folder, f"{DATABASE}{suffix}")
        if not found.exists():
            continue
        if not found.is_file() or found.stat().st_nlink > 1:
            raise InputError(f"{safe_text(str(found))} is no plain file.", "Remove it, or take another folder.")
        total += found.stat().st_size
        # SQLite drops one beside an empty database, unread: a search that was killed while it made its tables.
        if suffix == "-journal" and found.stat().st_size and path.stat().st_size:
            raise InputError(
                f"{safe_text(str(found))} is not of a search, whose journal is written ahead.",
                "Remove it and the database, then start a new search.",
            )
    if total > MOST_BYTES:
        raise LimitError(
            f"The journal in {safe_text(str(folder))} has {total:,} bytes, more than {MOST_BYTES:,}.",
            "No search of memprof's writes so much.",
        )
    return path


def _guarded(database: sqlite3.Connection) -> sqlite3.Connection:
    """Return ``database`` such that nothing that its file holds runs, and nothing takes for ever."""
    left = iter(range(_MOST_STEPS))
    database.set_progress_handler(lambda: next(left, None) is None, 10_000)
    database.execute("PRAGMA trusted_schema = OFF")
    database.execute("PRAGMA cell_size_check = ON")
    database.execute("PRAGMA mmap_size = 0")
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_EVENT_BYTES)
    return database


def _open_to_write(path: Path) -> sqlite3.Connection:
    database = _guarded(sqlite3.connect(path, isolation_level=None))
    try:
        if not _has_tables(database, path):
            database.execute("PRAGMA journal_mode=WAL")
            database.executescript(_SCHEMA)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.set_progress_handler(None, 0)  # the schema is ours: nothing is left that could go on for ever
    except BaseException:
        database.close()
        raise
    return database


def _open_to_read(path: Path) -> sqlite3.Connection:
    """Open a journal that others may be writing to, in a folder where this process may write nothing perhaps."""
    address = path.absolute().as_uri()
    database = _guarded(sqlite3.connect(f"{address}?mode=ro", uri=True, timeout=5))
    try:
        database.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        # Reading a write-ahead log takes a file beside it. Without a log, nobody writes: the file alone is enough.
        database.close()
        if path.with_name(f"{DATABASE}-wal").exists():
            raise
        database = _guarded(sqlite3.connect(f"{address}?mode=ro&immutable=1", uri=True))
    return database


def _has_tables(database: sqlite3.Connection, path: Path) -> bool:
    """Return whether this is a journal, or an empty file that may become one.

    Raises:
        InputError: It is another program's database, of another version, or one that was tampered with.
    """
    query = "SELECT type, name, tbl_name, sql FROM sqlite_master LIMIT 9"
    found = sorted(database.execute(query).fetchall(), key=str)
    if not found:
        return False
    ours = sorted((("table", name, name, sql) for name, sql in _TABLES.items()), key=str)
    ids = [database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
    if found != ours or ids != [_APPLICATION, _VERSION]:
        raise InputError(
            f"{safe_text(str(path))} is not a search journal of this version.", "Start a new search elsewhere."
        )
    return True


def _events(database: sqlite3.Connection) -> tuple[Event, ...]:
    found, total = [], 0
    for row in database.execute("SELECT kind, at, spent, data FROM events ORDER BY id"):
        found.append(_event(*row))
        total += len(row[-1])  # pages may be shared: a small file can hold one text many times
        if len(found) > MOST_EVENTS or total > MOST_BYTES:
            raise LimitError(
                f"The journal has more than {MOST_EVENTS:,} events or {MOST_BYTES:,} bytes of them.",
                "No search of memprof's writes so many.",
            )
    return tuple(found)


def _event(kind: object, at: object, spent: object, data: object) -> Event:
    """Return one row as an event; SQLite keeps any type in any column."""
    if not isinstance(data, str):
        raise ValueError("an event's data are no text")
    said = parse_json(data)
    if not isinstance(said, dict):
        raise ValueError("an event says nothing by name")
    return Event(read_value(str, kind), read_value(float, at), said, max(0.0, read_value(float, spent)))


def take_lock(folder: Path, name: str, what: str) -> IO[bytes]:
    """Lock a file for this process until it is closed.

    Args:
        folder: Folder of the search.
        name: The file in it; made if it is not there.
        what: What only one process at a time may do, in a word.

    Raises:
        UsageError: Another process holds it.
        InputError: It is no plain file.
    """
    path = inside(folder, name)
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666), "r+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise UsageError(
            f"Another process is running the {what} in {safe_text(str(path.parent))}.",
            shlex.join(["memprof", "nas", "status", str(path.parent)]),
        ) from error
    return file
