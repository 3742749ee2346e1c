"""The log in a plan file: what was done with the plan, when, by whom, and with which version of migrator.

Entries are only appended. Each contains a digest of itself and the digest before it, the first one of the digest of the
plan. So an entry that was changed, removed or inserted later is detected (issue 14).
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import socket
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from migrator._version import __version__

RENEWED = "renewed"
"""The plan was made anew (:mod:`migrator.live.generation`). Its detail: ``digest`` of the new plan, and ``base``, the
digest of the first one, which the digest of the first entry includes."""

_COLUMNS = "id, at, event, detail, who, version"
_LAST = "SELECT id, digest FROM events ORDER BY id DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. ``at`` is UTC in ISO 8601; ``who`` is user@host; ``version`` is migrator's."""

    number: int
    at: str
    event: str
    detail: Mapping[str, Any]
    who: str
    version: str

    def to_json(self) -> dict[str, Any]:
        """The entry as in ``migrator log --json``; the values of the event are under "detail"."""
        return {
            "number": self.number,
            "at": self.at,
            "event": self.event,
            "who": self.who,
            "version": self.version,
            "detail": dict(self.detail),
        }


def append(db: sqlite3.Connection, event: str, detail: Mapping[str, Any]) -> None:
    """Write an entry, in a separate transaction. ``detail`` must contain no secret. Raises sqlite3.Error."""
    db.execute("BEGIN IMMEDIATE")  # the entry before must still be the last one when this is written
    try:
        last = db.execute(_LAST).fetchone()
        before = last[1] if last else base(db)
        at = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        values = ((last[0] if last else 0) + 1, at, event, json.dumps(detail), _who(), __version__)
        row = (*values, _digest(before, values))
        db.execute(f"INSERT INTO events ({_COLUMNS}, digest) VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def time_of(at: str) -> datetime:
    """The time of an entry."""
    return datetime.fromisoformat(at.replace("Z", "+00:00"))  # Python 3.10 does not parse the Z


def entries(db: sqlite3.Connection) -> list[Entry]:
    """All entries, the oldest first."""
    rows = db.execute(f"SELECT {_COLUMNS} FROM events ORDER BY id")
    return [
        Entry(number, at, event, json.loads(detail), who, version) for number, at, event, detail, who, version in rows
    ]


def first_changed(db: sqlite3.Connection) -> int | None:
    """The number of the first entry that was changed, or that follows one that was removed; None if there is none.
    Entries that were removed from the end are not detected here: see :func:`head`."""
    before, planned, renewed = base(db), "", 0
    for expected, (*values, digest) in enumerate(
        db.execute(f"SELECT {_COLUMNS}, digest FROM events ORDER BY id"), start=1
    ):
        if values[0] != expected or digest != _digest(before, values):
            return expected
        before = digest
        if values[2] == RENEWED:
            planned, renewed = json.loads(values[3])["digest"], expected
    return renewed if planned and planned != _plan_digest(db) else None


def difference(db: sqlite3.Connection) -> str:
    """What :func:`first_changed` found, as a part of a sentence; "" if it found nothing."""
    changed = first_changed(db)
    return "" if changed is None else f"entry {changed} is not the one that migrator wrote there"


def head(db: sqlite3.Connection) -> tuple[int, str]:
    """(number, digest) of the last entry; (0, digest of the plan) if there is none."""
    last: tuple[int, str] | None = db.execute(_LAST).fetchone()
    return last or (0, base(db))


def digest_at(db: sqlite3.Connection, number: int) -> str | None:
    """The digest of an entry, as :func:`head` returned it when the entry was the last; None if there is no such
    entry."""
    if number == 0:
        return base(db)
    row = db.execute("SELECT digest FROM events WHERE id = ?", (number,)).fetchone()
    return row[0] if row else None


def base(db: sqlite3.Connection) -> str:
    """The digest of the plan in its first generation, which the digest of the first entry includes."""
    query = "SELECT json_extract(detail, '$.base') FROM events WHERE event = ? ORDER BY id LIMIT 1"
    renewed = db.execute(query, (RENEWED,)).fetchone()
    return str(renewed[0]) if renewed else _plan_digest(db)


def take_over(source: sqlite3.Connection, db: sqlite3.Connection) -> None:
    """Copy all entries of the old generation of a plan unchanged into the new one, which has none yet. Then add an
    entry about the new generation."""
    rows = source.execute(f"SELECT {_COLUMNS}, digest FROM events ORDER BY id").fetchall()
    db.executemany(f"INSERT INTO events ({_COLUMNS}, digest) VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    append(db, RENEWED, {"base": base(source), "digest": _plan_digest(db)})


def _plan_digest(db: sqlite3.Connection) -> str:
    row = db.execute("SELECT value FROM header WHERE key = 'digest'").fetchone()
    return str(row[0]) if row else ""


def _digest(before: str, values: Any) -> str:
    return hashlib.sha256(json.dumps([before, *values]).encode()).hexdigest()


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
