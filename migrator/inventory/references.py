"""The objects that the files of one table name, in ``refs``, a temporary table of the plan's database.

A table may name millions of data files, so these are compared with the listings by SQL, not in memory.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from migrator.inventory.listing import TARGET
from migrator.layout import Location
from migrator.planfile.rows import OVERWRITE

OF_MANIFEST, OF_DELETE_ROW, OF_STAYING = -1, -2, -3
"""Values of ``content`` in addition to those of data and delete files (0, 1, 2): a manifest, a data file that a delete
names, and a data file that a rule leaves where it is."""

_SCHEMA = """
CREATE TEMP TABLE IF NOT EXISTS refs (
  scheme TEXT NOT NULL, bucket TEXT NOT NULL, key TEXT NOT NULL, size INTEGER, content INTEGER NOT NULL,
  format TEXT NOT NULL, live INTEGER NOT NULL, place TEXT NOT NULL)
"""
Ref = tuple[str, str, str, int | None, int, str, bool, str]
"""A row of ``refs``: the place of the object, and the scheme of the path, or a text for it. A path outside of S3
without an object has no bucket, and the path as key. ``live``: a reader of the table's present snapshots needs the
object."""
_NAMED = "CASE r.bucket WHEN '' THEN r.key ELSE 's3://' || r.bucket || '/' || r.key END"

IN_OLD_BUCKETS = "SELECT o.id FROM refs r JOIN objects o ON o.bucket = r.bucket AND o.key = r.key"
"""SQL: the ids of the objects of the old buckets that the table names."""
_OUTSIDE = "SELECT bucket, key, place FROM refs WHERE bucket <> ? LIMIT ?"
_OVERWRITTEN = f"""
SELECT r.place, r.key, 's3://' || o.bucket || '/' || o.key FROM refs r JOIN objects o ON o.target = r.key
WHERE r.live AND r.bucket = ? AND o.action = '{OVERWRITE}'
"""
_ORPHANS = f"""
SELECT DISTINCT scheme, bucket, key FROM refs r WHERE (key LIKE '%//%' OR key LIKE '/%') AND bucket <> ''
AND NOT EXISTS (SELECT 1 FROM objects o WHERE o.bucket = r.bucket AND o.key = r.key)
AND NOT EXISTS (SELECT 1 FROM {TARGET} p WHERE r.bucket = :target AND p.key = r.key)
"""
# Iceberg's Java code compares the paths in deletes as text, so a delete for s3a:// does not apply to s3://.
_MIXED = f"""
SELECT {_NAMED}, min(place), min(scheme), max(scheme), count(*) OVER () FROM refs r
WHERE content IN (0, -2, -3) GROUP BY bucket, key HAVING min(scheme) <> max(scheme)
"""
_SUMS = """
SELECT content, format, count(*), total(size) FROM (
  SELECT max(content, 0) AS content, format, max(size) AS size FROM refs
  WHERE live AND (content >= 0 OR content = -3) GROUP BY bucket, key)
GROUP BY content, format ORDER BY content, format
"""
_MISSING = f"""
SELECT {_NAMED}, r.place, count(*) OVER () FROM refs r
LEFT JOIN objects o ON o.bucket = r.bucket AND o.key = r.key
LEFT JOIN {TARGET} p ON r.bucket = :target AND p.key = r.key
WHERE r.live AND r.content >= 0 AND o.id IS NULL AND p.key IS NULL GROUP BY r.bucket, r.key
"""
_RESIZED = f"""
SELECT 's3://' || r.bucket || '/' || r.key, r.place, count(*) OVER () FROM refs r
LEFT JOIN objects o ON o.bucket = r.bucket AND o.key = r.key
LEFT JOIN {TARGET} p ON r.bucket = :target AND p.key = r.key
WHERE r.live AND coalesce(o.size, p.size) <> r.size GROUP BY r.bucket, r.key
"""
_STAYING = "SELECT bucket, key, max(size), min(place) FROM refs WHERE live AND content = -3 GROUP BY bucket, key"
_BY_BUCKET = """
SELECT bucket, count(DISTINCT key) FROM refs WHERE live AND content BETWEEN :low AND :high
GROUP BY bucket ORDER BY bucket
"""
_SIZES = """
SELECT bucket, count(*), total(size) FROM (
  SELECT bucket, max(size) AS size FROM refs WHERE live AND (content >= 0 OR content = -3) GROUP BY bucket, key)
GROUP BY bucket ORDER BY bucket
"""
_POSITION_DELETES = """
SELECT 's3://' || r.bucket || '/' || r.key, max(r.live), min(r.format), max(r.format) FROM refs r
JOIN objects o ON o.bucket = r.bucket AND o.key = r.key WHERE r.content = 1 GROUP BY r.bucket, r.key
"""


def named_outside(db: sqlite3.Connection, bucket: str, most: int) -> list[tuple[str, str, str]]:
    """(bucket, key, the file that names it) of objects outside of ``bucket`` that the table names; see :data:`Ref`. At
    most ``most``."""
    return db.execute(_OUTSIDE, (bucket, most)).fetchall()


def overwritten_at_target(db: sqlite3.Connection, target: str) -> list[tuple[str, str, str]]:
    """(the file that names it, key, URI of the source) of the live files in the target bucket that the plan would
    overwrite."""
    return db.execute(_OVERWRITTEN, (target,)).fetchall()


@dataclass(frozen=True, slots=True)
class Files:
    """The live files of one kind. ``content``: 0 data, 1 position deletes, 2 equality deletes."""

    content: int
    format: str
    """In upper case, as the manifests name it."""
    count: int
    bytes: int


class References:
    """The objects that one table names. A new instance removes the rows of the one before.

    ``target``: the target bucket. It and the old buckets must be listed.
    """

    def __init__(self, db: sqlite3.Connection, target: str) -> None:
        self._db = db
        self._target = target
        db.execute(_SCHEMA)
        db.execute("DELETE FROM refs")

    def add(self, rows: Iterable[Ref]) -> None:
        """Add rows. If ``rows`` raises an error, the rows before it stay."""
        self._db.executemany("INSERT INTO refs VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def files(self) -> list[Files]:
        """The distinct live files, by kind."""
        rows = self._db.execute(_SUMS).fetchall()
        return [Files(content, form, count, int(size)) for content, form, count, size in rows]

    def sizes_by_bucket(self) -> dict[str, dict[str, int]]:
        """Bucket → ``files`` and ``bytes`` of the distinct live files in it, also of those that stay."""
        rows = self._db.execute(_SIZES).fetchall()
        return {bucket: {"files": count, "bytes": int(size)} for bucket, count, size in rows}

    def count_outside(self, bucket: str, low: str, high: str) -> int:
        """How many live files are not in this bucket with a key in the range [low, high)."""
        query = "SELECT count(*) FROM refs WHERE live AND content >= 0 AND NOT (bucket = ? AND key >= ? AND key < ?)"
        return int(self._db.execute(query, (bucket, low, high)).fetchone()[0])

    def orphans(self) -> list[Location]:
        """The paths with ``//`` that name no object."""
        return [Location(*row) for row in self._db.execute(_ORPHANS, {"target": self._target}).fetchall()]

    def redirect(self, path: Location, key: str) -> None:
        """Note that the object of this path is at another key of its bucket."""
        self._db.execute("UPDATE refs SET key = ? WHERE bucket = ? AND key = ?", (key, path.bucket, path.key))

    def missing(self, limit: int) -> list[tuple[str, str, int]]:
        """(path, the file that names it, total number) of the first live files that do not exist."""
        return self._first(_MISSING, limit)

    def staying(self) -> list[tuple[str, str, int, str]]:
        """(bucket, key, recorded size, the file that names it) of the live data files that a rule leaves where they
        are."""
        return self._db.execute(_STAYING).fetchall()

    def by_bucket(self, *, staying: bool) -> dict[str, int]:
        """Bucket → number of live data and delete files in it that move, or with ``staying`` that stay."""
        contents = {"low": OF_STAYING, "high": OF_STAYING} if staying else {"low": 0, "high": 2}
        return dict(self._db.execute(_BY_BUCKET, contents).fetchall())

    def resized(self, limit: int) -> list[tuple[str, str, int]]:
        """(path, the file that names it, total number) of the first live files whose size is not the recorded one."""
        return self._first(_RESIZED, limit)

    def mixed(self, limit: int) -> list[tuple[str, str, str, str, int]]:
        """(path, the file that names it, a scheme, another scheme, total number) of the first data files that
        are named with two schemes."""
        return self._first(_MIXED, limit)

    def position_deletes(self) -> dict[str, tuple[bool, set[str]]]:
        """URI of each file of position deletes that exists in an old bucket → whether it is live, and its format, in
        upper case, as the manifests name it. There are two if manifests contradict each other."""
        rows = self._db.execute(_POSITION_DELETES).fetchall()
        return {uri: (bool(live), set(formats)) for uri, live, *formats in rows}

    def _first(self, query: str, limit: int) -> list[Any]:
        return self._db.execute(f"{query} LIMIT {limit}", {"target": self._target}).fetchall()
