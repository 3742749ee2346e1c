"""Lists the objects of the old buckets and of the target, for plans, comparisons and verifications. The objects are
written to a temporary table of the plan's database, page by page, so that memory stays flat and SQL can compare them
with the plan.

Nothing depends on the order of a listing, which differs between servers.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence

from migrator.errors import listed_twice
from migrator.planfile.connecting import insert_rows
from migrator.planfile.file import PlanFile
from migrator.progress import OBJECTS, Progress
from migrator.store import Store, StoredObject, is_own

TARGET = "present"
"""The temporary table with the objects of the target. SQL in other modules uses this name."""
SOURCE_PAGE = "source_page"
"""The temporary table with one page of an old bucket's listing."""


def list_pages(
    store: Store, places: Sequence[tuple[str, str]], progress: Progress, title: str
) -> Iterator[tuple[str, Sequence[StoredObject]]]:
    """List every (bucket, prefix) in parallel. Yields (bucket, some of its objects), each object once, in no order.

    ``title`` names the stage in which ``progress`` shows it. Raises StoreError.
    """
    with progress.stage(title, unit=OBJECTS) as stage:
        for bucket, page in store.list_all(places):
            yield bucket, page
            stage.advance(len(page), sum(found.size for found in page))


def list_sources(
    store: Store, places: Sequence[tuple[str, str]], progress: Progress
) -> Iterator[tuple[str, Sequence[StoredObject]]]:
    """:func:`list_pages` of the old buckets."""
    return list_pages(store, places, progress, "listing the old buckets")


def is_at_target(plan: PlanFile, key: str) -> bool:
    """True if the listing of the target has this key."""
    return plan.db.execute(f"SELECT 1 FROM {TARGET} WHERE key = ?", (key,)).fetchone() is not None


class Listing:
    """Objects as they were listed, in a temporary table: ``key``, ``size`` in bytes, ``etag``, ``modified`` in
    milliseconds since the epoch.

    Two instances with the same database and table name share their rows.
    """

    def __init__(self, db: sqlite3.Connection, table: str = TARGET) -> None:
        self._db = db
        self._table = table
        self._db.execute(
            f"CREATE TEMP TABLE IF NOT EXISTS {table} ("
            "key TEXT PRIMARY KEY, size INTEGER NOT NULL, etag TEXT NOT NULL, modified INTEGER NOT NULL) WITHOUT ROWID"
        )

    def clear(self) -> None:
        """Remove all objects."""
        self._db.execute(f"DELETE FROM {self._table}")

    def add(self, page: Iterable[StoredObject]) -> None:
        """Add the objects of one page. Raises MigratorError if a key was listed before."""
        try:
            rows = ((found.key, found.size, found.etag, found.modified) for found in page)
            insert_rows(self._db, f"INSERT INTO {self._table}", rows)
        except sqlite3.IntegrityError as error:
            raise listed_twice(error) from error

    def list_target(self, store: Store, bucket: str, progress: Progress) -> None:
        """List the whole target bucket, without migrator's own objects. Raises StoreError,
        such as NotFound if there is no such bucket."""
        self.clear()
        for _, page in list_pages(store, [(bucket, "")], progress, "listing the target"):
            self.add(found for found in page if not is_own(found.key))

    def size(self, *keys: str) -> int | None:
        """The size of the object with the first of these keys that was listed; None if none of them was."""
        for key in keys:
            row = self._db.execute(f"SELECT size FROM {self._table} WHERE key = ?", (key,)).fetchone()
            if row is not None:
                return int(row[0])
        return None

    def __contains__(self, key: str) -> bool:
        return self.size(key) is not None

    def keys(self) -> Iterator[str]:
        """All keys, in the order of their characters."""
        return (key for (key,) in self._db.execute(f"SELECT key FROM {self._table} ORDER BY key"))

    def remove(self, key: str) -> None:
        """Remove one object."""
        self._db.execute(f"DELETE FROM {self._table} WHERE key = ?", (key,))
