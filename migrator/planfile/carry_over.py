"""Copies results of the old generation of a plan to the new one: rewritten files, counted rows, compared tables.

Only results that are still valid: the same source, the same place at the target, and unchanged there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from migrator.planfile.rows import REWRITE, ROLE_VERSION_HINT, SAME

_REWRITTEN_FILE = f"action IN ('{REWRITE}', '{SAME}') AND role NOT IN ('', '{ROLE_VERSION_HINT}')"
"""The action is SAME if the whole table is at the target already."""
_REWRITTEN = f"""
SELECT o.bucket, o.key, o.etag, o.target, d.size, d.etag, d.proof, x.size, x.lower, x.upper
FROM objects o JOIN done d ON d.object_id = o.id LEFT JOIN delete_files x ON x.object_id = o.id
WHERE {_REWRITTEN_FILE}
"""
_SAME_FILE = f"""
SELECT id FROM objects WHERE bucket = ? AND key = ? AND etag = ? AND target = ? AND target_etag = ?
AND {_REWRITTEN_FILE}
"""
_NAME = "catalog, namespace, name, kind, uuid, old_location"
_SAME_TABLE = (
    "SELECT id FROM tables WHERE catalog IS ? AND namespace = ? AND name = ? AND kind = ? AND uuid IS ?"
    " AND old_location IS ?"
)


def carry_over(old: sqlite3.Connection, new: sqlite3.Connection) -> None:
    """Write the results of the ``old`` generation that are still valid to the journal of the ``new`` one."""
    new.execute("BEGIN")
    for place, done, deletes in _rewritten(old):
        row = new.execute(_SAME_FILE, (*place, done[1])).fetchone()
        if row is not None:
            new.execute("INSERT OR REPLACE INTO done VALUES (?, ?, ?, ?)", (row[0], *done))
            if deletes[0] is not None:
                new.execute("INSERT OR REPLACE INTO delete_files VALUES (?, ?, ?, ?)", (row[0], *deletes))
    for number, *name in old.execute(f"SELECT id, {_NAME} FROM tables").fetchall():
        row = new.execute(_SAME_TABLE, name).fetchone()
        if row is not None:
            _carry_table(old, new, number, row[0])
    new.execute("COMMIT")


def _rewritten(old: sqlite3.Connection) -> Iterator[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]]:
    """(what must be the same), (what was written), (what was measured of position deletes) of each rewritten file."""
    for row in old.execute(_REWRITTEN):
        yield row[:4], row[4:7], row[7:]


def _carry_table(old: sqlite3.Connection, new: sqlite3.Connection, before: int, now: int) -> None:
    """Copy the counts of the table's snapshots, which never change, and that it was compared. Snapshots that could not
    be read, and their table, are read again."""
    counts = "SELECT snapshot_id, rows, digest FROM baselines WHERE table_id = ? AND rows IS NOT NULL"
    for row in old.execute(counts, (before,)).fetchall():
        new.execute("INSERT OR REPLACE INTO baselines VALUES (?, ?, ?, ?, NULL)", (now, *row))
    if old.execute("SELECT 1 FROM baselines WHERE table_id = ? AND rows IS NULL", (before,)).fetchone():
        return
    for row in old.execute("SELECT metadata, digest FROM compared WHERE table_id = ?", (before,)).fetchall():
        new.execute("INSERT OR REPLACE INTO compared VALUES (?, ?, ?)", (now, *row))
