"""Connections to a plan's database: none creates a file, and reading needs no more than the right to read."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

WAIT_SECONDS = 60.0
"""How long to wait for another process that reads or writes the plan."""

IMMUTABLE = "ro&immutable=1"


def connect(path: Path, mode: str, *, check_same_thread: bool = True) -> sqlite3.Connection:
    """Connect to the database that is at ``path``, and has to be there. ``mode``: "ro", "rw" or IMMUTABLE."""
    uri = f"file:{quote(os.fsencode(os.path.realpath(path)))}?mode={mode}"
    return sqlite3.connect(
        uri, uri=True, isolation_level=None, timeout=WAIT_SECONDS, check_same_thread=check_same_thread
    )


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
