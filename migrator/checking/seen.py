"""The listed objects, in a temporary database on disk, so that memory does not grow with their number."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from threading import Lock

from migrator.carriers.kinds import NARROW
from migrator.checking.old_names import MOST_SCRIPT_BYTES, MOST_SCRIPTS, has_script_name
from migrator.errors import listed_twice
from migrator.iceberg.metadata import is_metadata_file, metadata_version
from migrator.inventory.listing import list_pages
from migrator.layout import Layout, source_places
from migrator.planfile.connecting import insert_rows
from migrator.planfile.queries import below
from migrator.progress import Progress
from migrator.store import Store, StoredObject, is_own

MOST_SCRIPTS_TOTAL = 256 << 20
"""How many bytes of scripts are read."""
PAGE = 1_000
"""How many rows are inserted at once."""
CARRIER, SCRIPT = "carrier", "script"
"""Why an object is noted: it may hold absolute paths, or be a script."""


class Seen:
    """Objects of the target, and of old buckets whose objects have not moved yet. ``place`` is the key in the target,
    which an object of an old bucket would have."""

    def __init__(self, layout: Layout, scripts: Iterable[str]) -> None:
        """``scripts``: the folders of the target that have scripts, without slashes at their ends."""
        self._layout, self._target = layout, layout.target_bucket
        self._scripts = tuple(f"{folder}/" for folder in scripts)
        self._metadata: dict[str, tuple[int, str]] = {}
        self._lock = Lock()
        # A temporary file, which is removed at the end. Threads that read tables write the paths in these to it.
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.executescript(
            "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;"
            "CREATE TABLE seen (bucket TEXT, key TEXT, place TEXT, size INTEGER, etag TEXT, modified INTEGER,"
            " PRIMARY KEY (bucket, key)) WITHOUT ROWID;"
            "CREATE TABLE noted (kind TEXT, bucket TEXT, key TEXT, size INTEGER, etag TEXT);"
            "CREATE TABLE named (key TEXT PRIMARY KEY, deletes INTEGER) WITHOUT ROWID;"
            "CREATE TABLE old_named (number INTEGER, path TEXT, PRIMARY KEY (number, path)) WITHOUT ROWID; BEGIN"
        )

    def close(self) -> None:
        """Remove the database."""
        self._db.close()

    # -- listing ---------------------------------------------------------------------------------------

    def list_target(self, store: Store, progress: Progress) -> None:
        """List the target, without migrator's own objects. Raises StoreError."""
        for _, page in list_pages(store, [(self._target, "")], progress, "listing the target"):
            self._add((self._target, o.key, None, o.size, o.etag, o.modified) for o in page if not is_own(o.key))

    def list_old(self, store: Store, layout: Layout, progress: Progress) -> None:
        """List the objects that the rules of this layout would move. Raises StoreError."""
        places = source_places(layout)
        for bucket, page in list_pages(store, places, progress, "listing the old buckets"):
            self._add(self._old_rows(layout, bucket, page))

    def _old_rows(self, layout: Layout, bucket: str, page: Sequence[StoredObject]) -> Iterator[tuple[object, ...]]:
        for found in page:
            rule, own = self._layout.rule_for(bucket, found.key), layout.rule_for(bucket, found.key)
            if rule is not None and rule == own and (place := rule.move(found.key)):
                yield bucket, found.key, place, found.size, found.etag, found.modified

    def _add(self, rows: Iterable[tuple[object, ...]]) -> None:
        try:
            insert_rows(self._db, "INSERT INTO seen", rows)
        except sqlite3.IntegrityError as error:
            raise listed_twice(error) from error

    # -- what is there -----------------------------------------------------------------------------------

    def at_target(self) -> Iterator[tuple[str, int]]:
        """(key, size) of everything in the target, in order. Notes which of them must be read later."""
        query = f"SELECT bucket, key, key, size, etag, {NARROW} FROM seen WHERE bucket = ? ORDER BY key"
        yield from self._noted(self._db.execute(query, (self._target,)))

    def in_old_buckets(self) -> Iterator[tuple[str, int]]:
        """(place, size) of the listed objects of the old buckets, in order. Notes which of them must be read later."""
        query = f"SELECT bucket, key, place, size, etag, {NARROW} FROM seen WHERE bucket <> ? ORDER BY place"
        yield from self._noted(self._db.execute(query, (self._target,)))

    def _noted(self, rows: Iterable[tuple[str, str, str, int, str, int]]) -> Iterator[tuple[str, int]]:
        found: list[tuple[object, ...]] = []
        for bucket, key, place, size, etag, narrow in rows:
            if narrow and size:
                found.append((CARRIER, bucket, key, size, etag))
            if size and (place.startswith(self._scripts) or has_script_name(key)):
                found.append((SCRIPT, bucket, key, size, etag))
            if ".metadata.json" in key and bucket == self._target:
                self._note_metadata(key)
            if len(found) > PAGE:
                insert_rows(self._db, "INSERT INTO noted", found)
                found = []
            yield place, size
        insert_rows(self._db, "INSERT INTO noted", found)

    def _note_metadata(self, key: str) -> None:
        folder, _, name = key.rpartition("/")
        if is_metadata_file(name):
            self._metadata[folder] = max(self._metadata.get(folder, (-1, "")), (metadata_version(name) or 0, key))

    def has_below(self, folder: str) -> bool:
        """True if the target has an object below this folder (without a slash at its end)."""
        query = f"SELECT 1 FROM seen WHERE bucket = ? AND {below('key', '?')} LIMIT 1"
        return self._db.execute(query, (self._target, folder, folder)).fetchone() is not None

    def carriers(self) -> Iterator[tuple[str, str, int, str]]:
        """(bucket, key, size, ETag) of objects that may be a log, checkpoint or manifest with absolute paths."""
        yield from self._db.execute("SELECT bucket, key, size, etag FROM noted WHERE kind = ?", (CARRIER,))

    def scripts(self) -> tuple[list[tuple[str, str]], int]:
        """(bucket, key) of the scripts to read, and how many more there are that are too large or over the limit."""
        (total,) = self._db.execute("SELECT count(*) FROM noted WHERE kind = ?", (SCRIPT,)).fetchone()
        rows = self._db.execute(
            "SELECT bucket, key, size FROM noted WHERE kind = ? AND size <= ? ORDER BY bucket, key LIMIT ?",
            (SCRIPT, MOST_SCRIPT_BYTES, MOST_SCRIPTS),
        ).fetchall()
        read = accumulate(size for _, _, size in rows)
        scripts = [
            (bucket, key) for (bucket, key, _), sum_ in zip(rows, read, strict=True) if sum_ <= MOST_SCRIPTS_TOTAL
        ]
        return scripts, int(total) - len(scripts)

    def newest_metadata(self) -> dict[str, str]:
        """Folder → key of its newest table metadata file, of all folders in the target that have one."""
        return {folder: key for folder, (_, key) in self._metadata.items()}

    # -- paths in the tables, for metrics -----------------------------------------------------------

    def note_named(self, rows: Iterable[tuple[str, bool]]) -> None:
        """(key in the target, whether it is a file of deletes) of what a table names. From any thread."""
        with self._lock:
            insert_rows(self._db, "INSERT OR IGNORE INTO named", rows)

    def note_old(self, number: int, paths: Iterable[str]) -> None:
        """Paths to old buckets that the table with this number names. From any thread."""
        with self._lock:
            insert_rows(self._db, "INSERT OR IGNORE INTO old_named", ((number, path) for path in paths))

    def count_old(self) -> dict[int, int]:
        """Number of a table → how many different paths to old buckets it names."""
        return dict(self._db.execute("SELECT number, count(*) FROM old_named GROUP BY number").fetchall())

    def with_names(self) -> Iterator[tuple[str, int, int, bool | None]]:
        """(key, size, milliseconds since the epoch, whether it is a file of deletes; None if no table names it) of all
        that is in the target, in order."""
        query = (
            "SELECT s.key, s.size, s.modified, n.deletes FROM seen s LEFT JOIN named n ON n.key = s.key"
            " WHERE s.bucket = ? ORDER BY s.key"
        )
        yield from self._db.execute(query, (self._target,))
