"""The journal: what has been done to a plan so far. It only grows, and it lives in the plan file.

Written by one thread. Rows are gathered and committed together about once a second, so a kill at any time loses at most
the record of one second of work, which is done again.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from migrator.errors import MigratorError
from migrator.iceberg.manifests import DeleteFile
from migrator.planfile import log
from migrator.planfile.connecting import insert_rows
from migrator.planfile.copied import Copied
from migrator.planfile.file import PlanFile
from migrator.planfile.rows import PlannedTable

COMMIT_ROWS = 5000
COMMIT_SECONDS = 1.0

STARTED, COPIED, REWRITTEN, COMPARED, LATE = "started", "copied", "rewritten", "compared", "late-changes"
NOT_PREPARED = "not-prepared"
"""A pass over a lake in use has copied, but not rewritten and compared everything; its detail has the reason."""
CUTOVER_BEGUN, CUTOVER_DONE, VERIFIED, FINISHED = "cutover-begun", "cutover-done", "verified", "finished"
VERIFY_FAILED = "verify-failed"
"""A verification could not be carried out; its detail has the reason. It has no result."""
ROLLBACK_BEGUN, CATALOG_PUT_BACK, ROLLED_BACK = "rollback-begun", "catalog-put-back", "rolled-back"
TABLE_PUT_BACK = "table-put-back"
"""A rollback has set one table of a catalog to its old place whose tables cannot be swapped together; its detail names
catalog, namespace and table."""
BROUGHT_BACK = "brought-back"
"""The commits to one table at the target are in the old place, too; no pointer names them there yet."""
REPAIRED = "repaired"
"""One table at the target was repaired: it had commits with paths in the old buckets, and now names copies of these
files."""
RETIRE_BEGUN, RETIRED = "retire-begun", "retired"
FENCE_SET, FENCE_LIFTED = "fence-set", "fence-lifted"
"""Writes to one old bucket are about to be denied by its policy; they are allowed again. See
:mod:`migrator.cutover.fence`."""
SETTING_SET, SETTING_UNDONE = "setting-set", "setting-undone"
"""A setting of the target bucket is about to be changed; it has its old value again, or somebody else has changed it
and it was not changed back. See :mod:`migrator.target.settings`."""
OLD_ENTRIES_REMOVED = "old-entries-removed"
"""The entries of moved tables were removed from an old catalog; its detail names these entries."""
CATALOG_SWAPPED = "catalog-swapped"
"""All tables of one catalog are cut over; its detail names the catalog and the tables."""
TABLE_SWAPPED = "table-swapped"
"""One table of a catalog is cut over whose tables cannot be swapped together; its detail names catalog, namespace and
table."""

UNOPENED = -(1 << 64)
"""Used instead of a snapshot id in the baselines: pyiceberg could not open the old table. No snapshot has such an
id."""

_DONE = "INSERT OR REPLACE INTO done"
_SINCE_ROLLBACK = f"id > (SELECT coalesce(max(id), 0) FROM events WHERE event = '{ROLLED_BACK}')"


@dataclass(frozen=True, slots=True)
class Baseline:
    """The result for a snapshot in the old place: the number of rows and, if they were read, the digest over them; or
    ``trouble``: the permanent reason why it could not be read there."""

    rows: int | None = None
    digest: str | None = None
    trouble: str | None = None


class Journal:
    """Records what has been done. Use it as a context manager: leaving it commits the open transaction."""

    def __init__(self, plan: PlanFile) -> None:
        self._plan = plan
        self._db = plan.db
        self._rows = 0
        self._since = time.monotonic()

    @property
    def path(self) -> Path:
        """The path of the plan file."""
        return self._plan.path

    def done(self, object_id: int, size: int, etag: str, delete_file: DeleteFile | None = None) -> None:
        """Record that a rewritten object is at the target with this size and ETag."""
        with self._plan.writing():
            self._begin()
            insert_rows(self._db, _DONE, [(object_id, size, etag, "")])
            if delete_file is not None:
                facts = (object_id, delete_file.size, delete_file.lower, delete_file.upper)
                self._db.execute("INSERT OR REPLACE INTO delete_files VALUES (?, ?, ?, ?)", facts)
        self._count(1)

    def copied(self, copies: Iterable[Copied]) -> None:
        """Record that these objects are at the target, with their proofs."""
        rows = [(copy.id, copy.size, copy.etag, copy.proof) for copy in copies]
        if not rows:  # all copies of a batch failed: do not open a transaction without rows
            return
        with self._plan.writing():
            self._begin()
            insert_rows(self._db, _DONE, rows)
        self._count(len(rows))

    def forget(self, object_ids: Iterable[int]) -> None:
        """Remove the record of objects that are no longer at the target, so that they are copied or rewritten again."""
        self._write("DELETE FROM done WHERE object_id = ?", [(object_id,) for object_id in object_ids])

    def start_replaceable(self) -> None:
        """Clear the list of objects at the target that may be replaced; :meth:`may_replace` adds to it."""
        self.commit()
        with self._plan.writing():
            self._db.execute("DELETE FROM replaceable")

    def may_replace(self, etags: Iterable[tuple[int, str]]) -> None:
        """Record (object id, ETag) of objects at the target that migrator wrote and that may be replaced."""
        self._write("INSERT OR REPLACE INTO replaceable VALUES (?, ?)", list(etags))

    def versions_done(self, etags: Mapping[int, str]) -> None:
        """Record that all older versions of one key are at the target. ``etags``: id in the plan → ETag there."""
        self._write("INSERT OR REPLACE INTO versions_done VALUES (?, ?)", list(etags.items()))

    def _write(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if not rows:  # do not open a transaction without rows
            return
        with self._plan.writing():
            self._begin()
            self._db.executemany(statement, rows)
        self._count(len(rows))

    def _begin(self) -> None:
        if not self._rows:
            self._db.execute("BEGIN")

    def _count(self, rows: int) -> None:
        self._rows += rows
        if self._rows >= COMMIT_ROWS or time.monotonic() - self._since > COMMIT_SECONDS:
            self.commit()

    def event(self, name: str, **detail: Any) -> None:
        """Record that something happened, durably, before the call returns."""
        self.commit()
        with self._plan.writing():
            log.append(self._db, name, detail)

    def baseline(self, table_id: int, snapshot_id: int, baseline: Baseline) -> None:
        """Record the result for a snapshot in the old place. If the plan is open read-only, it is kept until the plan
        is closed."""
        self.commit()
        with self._plan.writing():
            self._db.execute(
                "INSERT INTO baselines VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                " rows = coalesce(excluded.rows, rows), digest = coalesce(excluded.digest, digest),"
                " trouble = excluded.trouble",
                (table_id, _stored(snapshot_id), *astuple(baseline)),
            )

    def keep_baselines(self, table_id: int, snapshot_ids: Collection[int]) -> None:
        """Remove the baselines of the table's other snapshots, and that it was compared: they are from an earlier
        generation of the plan, and the table has changed since."""
        kept = {_stored(snapshot_id) for snapshot_id in snapshot_ids}
        stored = self._db.execute("SELECT snapshot_id FROM baselines WHERE table_id = ?", (table_id,)).fetchall()
        rows = [(table_id, snapshot_id) for (snapshot_id,) in stored if snapshot_id not in kept]
        self._write("DELETE FROM baselines WHERE table_id = ? AND snapshot_id = ?", rows)
        self._write("DELETE FROM compared WHERE table_id = ?", [(table_id,)])

    def compared(self, tables: Iterable[tuple[int, str, str]]) -> None:
        """Record that these tables have the same rows as the old ones: (table id, its old metadata file, digest over
        its files); see :mod:`migrator.planfile.compared`."""
        self._write("INSERT OR REPLACE INTO compared VALUES (?, ?, ?)", list(tables))

    def commit(self) -> None:
        """Make durable what was recorded so far. Raises PlanUnusable if it cannot be, or if the plan was deleted."""
        self._plan.check_there()
        with self._plan.writing():
            if self._db.in_transaction:
                self._db.execute("COMMIT")
        self._rows, self._since = 0, time.monotonic()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.commit()
            return
        with suppress(sqlite3.Error, MigratorError):  # the first error matters more, and may have the same cause
            self.commit()
        with suppress(sqlite3.Error):
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    # -- reading -------------------------------------------------------------------------------------

    @property
    def was_rolled_back(self) -> bool:
        """True if there was a rollback, and no run of a migration since."""
        query = "SELECT event FROM events WHERE event IN (?, ?) ORDER BY id DESC LIMIT 1"
        return bool(self._db.execute(query, (STARTED, ROLLED_BACK)).fetchone() == (ROLLED_BACK,))

    def has(self, event: str) -> bool:
        """True if this event happened since the last rollback."""
        query = f"SELECT 1 FROM events WHERE event = ? AND {_SINCE_ROLLBACK} LIMIT 1"
        return self._db.execute(query, (event,)).fetchone() is not None

    def swapped(self) -> set[str]:
        """The names of the catalogs whose tables are cut over."""
        query = f"SELECT json_extract(detail, '$.catalog') FROM events WHERE event = ? AND {_SINCE_ROLLBACK}"
        return {name for (name,) in self._db.execute(query, (CATALOG_SWAPPED,))}

    def put_back(self) -> set[str]:
        """The names of the catalogs whose tables a rollback that has not ended has put back."""
        return {detail["catalog"] for detail in self.each(CATALOG_PUT_BACK)}

    def put_back_among(self, tables: Iterable[PlannedTable]) -> set[int]:
        """The ids of the given tables that a rollback that has not ended has put back."""
        return _among(tables, self.put_back(), self._single(TABLE_PUT_BACK))

    def swapped_tables(self) -> set[tuple[str, str, str]]:
        """(catalog, namespace, table) of the tables that were cut over one by one."""
        return self._single(TABLE_SWAPPED)

    def swapped_among(self, tables: Iterable[PlannedTable]) -> set[int]:
        """The ids of the given tables whose pointers in their catalogs are swapped."""
        return _among(tables, self.swapped(), self.swapped_tables())

    def _single(self, event: str) -> set[tuple[str, str, str]]:
        """(catalog, namespace, table) of these events, each about one table."""
        columns = ", ".join(f"json_extract(detail, '$.{field}')" for field in ("catalog", "namespace", "table"))
        query = f"SELECT {columns} FROM events WHERE event = ? AND {_SINCE_ROLLBACK}"
        return set(self._db.execute(query, (event,)))

    def last(self, event: str) -> dict[str, Any]:
        """The detail of the last such event since the last rollback; empty if there is none."""
        query = f"SELECT detail FROM events WHERE event = ? AND {_SINCE_ROLLBACK} ORDER BY id DESC LIMIT 1"
        row = self._db.execute(query, (event,)).fetchone()
        return dict(json.loads(row[0])) if row else {}

    def each(self, event: str) -> list[dict[str, Any]]:
        """The details of all such events since the last rollback."""
        query = f"SELECT detail FROM events WHERE event = ? AND {_SINCE_ROLLBACK} ORDER BY id"
        return [dict(json.loads(detail)) for (detail,) in self._db.execute(query, (event,))]

    def first(self, event: str) -> int | None:
        """When the event first happened, in milliseconds since the epoch, also before a rollback; None if never."""
        query = "SELECT at FROM events WHERE event = ? ORDER BY id LIMIT 1"
        row = self._db.execute(query, (event,)).fetchone()
        return int(log.time_of(row[0]).timestamp() * 1000) if row else None

    def last_at(self, event: str) -> datetime | None:
        """When the event last happened since the last rollback; None if it did not."""
        query = f"SELECT at FROM events WHERE event = ? AND {_SINCE_ROLLBACK} ORDER BY id DESC LIMIT 1"
        row = self._db.execute(query, (event,)).fetchone()
        return log.time_of(row[0]) if row else None

    def events(self) -> list[dict[str, Any]]:
        """Everything that happened, in order."""
        return [{"at": entry.at, "event": entry.event, **entry.detail} for entry in log.entries(self._db)]

    def baselines(self, table_id: int) -> dict[int, Baseline]:
        """Snapshot id → its result in the old place."""
        query = "SELECT snapshot_id, rows, digest, trouble FROM baselines WHERE table_id = ?"
        return {_loaded(stored): Baseline(*values) for stored, *values in self._db.execute(query, (table_id,))}


def _among(tables: Iterable[PlannedTable], catalogs: set[str], single: set[tuple[str, str, str]]) -> set[int]:
    """The ids of the tables of these catalogs, and of these tables."""
    return {t.id for t in tables if t.catalog in catalogs or (t.catalog or "", t.namespace, t.name) in single}


def _stored(snapshot_id: int) -> int | str:
    """How a snapshot id is stored: as a number if it fits in 64 bits with a sign, otherwise as text (DuckDB has
    written ids up to 2^64). -1 stands for UNOPENED."""
    if snapshot_id == UNOPENED:
        return -1
    return snapshot_id if -1 << 63 <= snapshot_id < 1 << 63 and snapshot_id != -1 else f"#{snapshot_id}"


def _loaded(stored: int | str) -> int:
    if stored == -1:
        return UNOPENED
    return int(stored.removeprefix("#")) if isinstance(stored, str) else stored
