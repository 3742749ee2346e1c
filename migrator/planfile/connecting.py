"""Connections to a plan's database. None of them creates a file, and reading needs only the right to read."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

WAIT_SECONDS = 60.0
"""How long to wait for another process that reads or writes the plan."""

IMMUTABLE = "ro&immutable=1"
"""The mode for a file that nobody can write to: SQLite then neither locks it nor reads a log."""
MOST_VALUES = 999
"""How many values one statement may have: every version of SQLite allows this many."""


def connect(path: Path, mode: str, *, check_same_thread: bool = True) -> sqlite3.Connection:
    """Connect to the database at ``path``, which must exist. ``mode``: "ro", "rw" or IMMUTABLE."""
    uri = f"file:{quote(os.fsencode(os.path.realpath(path)))}?mode={mode}"
    return sqlite3.connect(
        uri, uri=True, isolation_level=None, timeout=WAIT_SECONDS, check_same_thread=check_same_thread
    )


class Readers:
    """Further connections to a plan's database, for reading."""

    def __init__(self, path: Path, mode: str) -> None:
        """``path`` and ``mode`` as for :func:`connect`."""
        self._path, self._mode = path, mode
        self._shared: sqlite3.Connection | None = None
        self._lock = threading.Lock()

    def connect(self) -> sqlite3.Connection:
        """A connection for the calling thread, which must close it."""
        return connect(self._path, self._mode)

    def first_row(self, query: str, parameters: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """The first row of a query, from any thread, by a connection that all threads share."""
        with self._lock:
            if self._shared is None:
                self._shared = connect(self._path, self._mode, check_same_thread=False)
            row: tuple[Any, ...] | None = self._shared.execute(query, parameters).fetchone()
            return row

    def change_to(self, path: Path, mode: str) -> None:
        """Make all further connections to ``path`` in this mode."""
        self._path, self._mode = path, mode
        self.close()
        self._shared = None

    def close(self) -> None:
        """Close the connection that the threads share."""
        if self._shared is not None:
            self._shared.close()


def insert_rows(db: sqlite3.Connection, into: str, rows: Iterable[Sequence[Any]]) -> None:
    """Insert rows of equal length, many with one statement.

    ``executemany`` would release Python's global lock for each row, and wait for other threads, such as one that
    lists, to get it back. ``into``: the statement up to VALUES, such as ``INSERT INTO present``.
    """
    rest = iter(rows)
    for first in rest:
        page = [first, *islice(rest, max(1, MOST_VALUES // len(first)) - 1)]
        places = f"({', '.join('?' * len(first))})"
        db.execute(f"{into} VALUES {', '.join([places] * len(page))}", list(chain.from_iterable(page)))


@contextmanager
def open_to_read(path: Path) -> Iterator[tuple[sqlite3.Connection, Path, str]]:
    """Yield a connection for reading, and the path and mode for further ones (:func:`connect`).

    SQLite must write files next to a database whose last writer was killed or is running. If it may not write there,
    nobody else can, and the file is read without locks. If there is a write-ahead log, a copy of both files is read.
    """
    db = _readable(path)
    if db is not None:
        yield db, path, "ro"
        return
    log = Path(os.path.realpath(path) + "-wal")
    if not log.exists() or not log.stat().st_size:
        yield connect(path, IMMUTABLE), path, IMMUTABLE
        return
    with TemporaryDirectory(prefix="migrator-") as folder:
        copy = Path(folder) / "plan.db"
        shutil.copyfile(path, copy)
        shutil.copyfile(log, f"{copy}-wal")
        with closing(connect(copy, "rw")) as db:
            db.execute("PRAGMA journal_mode=DELETE")  # merges the log into the file
        yield connect(copy, "ro"), copy, "ro"


def _readable(path: Path) -> sqlite3.Connection | None:
    """A read-only connection; None if SQLite cannot read."""
    try:
        db = connect(path, "ro")
        try:
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except BaseException:
            db.close()
            raise
    except sqlite3.OperationalError:
        return None
    return db


def state_of(path: Path, db: sqlite3.Connection) -> tuple[int, ...]:
    """Numbers that change when somebody else writes to the plan: through SQLite, or to the bytes of its file."""
    stat = path.stat()
    (version,) = db.execute("PRAGMA data_version").fetchone()
    return int(version), stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size


@contextmanager
def closing_on_error(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Close a connection if the block fails."""
    try:
        yield db
    except BaseException:
        db.close()
        raise


def begin_writing(db: sqlite3.Connection) -> None:
    """Prepare a connection for writing to the journal. Raises sqlite3.OperationalError if that is not possible."""
    (mode,) = db.execute("PRAGMA journal_mode=WAL").fetchone()
    db.execute("PRAGMA synchronous=FULL")
    if mode != "wal":
        raise sqlite3.OperationalError("attempt to write a readonly database")
    # SQLite checks the permissions of a file only when it writes to it.
    db.executescript("BEGIN IMMEDIATE; UPDATE header SET value = value WHERE key = 'format'; ROLLBACK;")


def shadow(db: sqlite3.Connection, table: str) -> None:
    """Make a table writable on a read-only connection: a temporary copy takes its name until the connection ends."""
    (schema,) = db.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    db.execute(schema.replace("CREATE TABLE", "CREATE TEMP TABLE", 1))
    db.execute(f"INSERT INTO temp.{table} SELECT * FROM main.{table}")
