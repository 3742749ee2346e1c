"""Connections to a plan's database: none creates a file, and reading needs no more than the right to read."""

from __future__ import annotations

import os
import shutil
import sqlite3
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
MOST_VALUES = 999
"""Values in one statement, as every SQLite takes them."""


def connect(path: Path, mode: str, *, check_same_thread: bool = True) -> sqlite3.Connection:
    """Connect to the database that is at ``path``, and has to be there. ``mode``: "ro", "rw" or IMMUTABLE."""
    uri = f"file:{quote(os.fsencode(os.path.realpath(path)))}?mode={mode}"
    return sqlite3.connect(
        uri, uri=True, isolation_level=None, timeout=WAIT_SECONDS, check_same_thread=check_same_thread
    )


def insert_rows(db: sqlite3.Connection, into: str, rows: Iterable[Sequence[Any]]) -> None:
    """Insert rows of equal length, many with one statement: sqlite3 gives the interpreter's lock away for each row of
    ``executemany``, and takes it back only when other threads, such as one that lists, let it have it.

    ``into``: the statement up to VALUES, such as ``INSERT INTO there``.
    """
    rest = iter(rows)
    for first in rest:
        page = [first, *islice(rest, max(1, MOST_VALUES // len(first)) - 1)]
        places = f"({', '.join('?' * len(first))})"
        db.execute(f"{into} VALUES {', '.join([places] * len(page))}", list(chain.from_iterable(page)))


@contextmanager
def open_to_read(path: Path) -> Iterator[tuple[sqlite3.Connection, Path, str]]:
    """A connection that reads, and where and in which mode further ones can read the same (:func:`connect`).

    SQLite wants to write beside a database whose last writer was killed, or is at work. Where it must not, what
    nobody can be writing to is read as it is; and with a write-ahead log beside it, from a copy of both.
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
            db.execute("PRAGMA journal_mode=DELETE")  # folds the log in
        yield connect(copy, "ro"), copy, "ro"


def _readable(path: Path) -> sqlite3.Connection | None:
    """A plain connection that reads; None where SQLite refuses."""
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
