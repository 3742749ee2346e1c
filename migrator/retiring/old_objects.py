"""Compares what an old bucket holds now with the plan, object by object: which are deleted, and which stay, and why.

Nothing is deleted unless the plan knows it with this size, ETag and time, and its copy is proven
(:mod:`migrator.retiring.proof`). A bucket that has, or had, versioning is listed version by version.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice

from migrator.errors import StoreError
from migrator.planfile.file import PlanFile
from migrator.planfile.queries import is_hadoop_marker
from migrator.planfile.rows import (
    CONFLICT,
    OBJECT_COLUMNS,
    ROLE_CHECKSUM,
    ROLE_LATER,
    ROLE_LEFT,
    SKIP,
    VERSION_COLUMNS,
    PlannedObject,
    PlannedVersion,
)
from migrator.planfile.table_folders import left_folders
from migrator.retiring.proof import RETIRABLE, RETIRABLE_VERSIONS
from migrator.retiring.results import CHECKSUMS, DELETE_MARKERS, FOLDER_MARKERS, OBJECTS, OLDER_VERSIONS, OldBucket
from migrator.store import Deletion, Store, StoredObject, StoredVersion

NOT_PLANNED = "not in the plan: it came after planning"
NO_RULE = "no rule of the layout moves it"
LATER_WAVE = "it is left for a later wave"
LEFT_TABLE = "it belongs to a table that was left where it is"
NOT_COPIED = "the plan did not copy it"
CHANGED = "changed since planning"
WRITTEN_AGAIN = "written again since planning, with the same bytes"
NOT_PROVEN = "its copy at the target is gone or was changed"
OLDER = "an older version or delete marker that the plan did not copy"
KEY_CHANGED = "its key was written to since planning"


@dataclass(frozen=True, slots=True)
class Choice:
    """Something that is to be deleted: how, its size in bytes, which kind it is
    (:data:`migrator.retiring.results.KINDS`), and its id in the plan, None for a version."""

    deletion: Deletion
    size: int
    kind: str
    object_id: int | None


class OldObjects:
    """Decides what is deleted of the old buckets. ``taken`` notes what was deleted by this run."""

    def __init__(self, plan: PlanFile, store: Store) -> None:
        self._plan, self._store, self._db, self._layout = plan, store, plan.db, plan.layout
        self._left = left_folders(plan)
        for table in ("retire_seen", "retire_taken"):
            self._db.execute(f"CREATE TEMP TABLE IF NOT EXISTS {table} (id INTEGER PRIMARY KEY)")
            self._db.execute(f"DELETE FROM {table}")

    def choices(self, bucket: OldBucket, prefixes: Sequence[str], batch: int) -> Iterator[list[Choice]]:
        """List what is below these prefixes now, page by page: yield what is to be deleted of each page, and note in
        ``bucket`` what stays. Raises StoreError, also for a listing with keys outside of the prefix."""
        for prefix in prefixes:
            found = self._versions(bucket, prefix) if bucket.versioned else self._objects(bucket, prefix)
            while page := list(islice(found, batch)):
                yield [choice for choice in page if choice is not None]

    def taken(self, choices: Sequence[Choice]) -> None:
        """Note that these were deleted: an object that appears at their keys from now on is not the planned one."""
        rows = [(choice.object_id,) for choice in choices if choice.object_id is not None]
        self._db.executemany("INSERT OR IGNORE INTO retire_taken VALUES (?)", rows)

    def unseen(self, bucket: str) -> Iterator[str]:
        """The proven sources that no listing of this bucket had."""
        query = (
            f"SELECT key FROM objects o JOIN {RETIRABLE} USING (id) WHERE o.bucket = ?"
            " AND id NOT IN (SELECT id FROM retire_seen) ORDER BY id"
        )
        return (f"s3://{bucket}/{key}" for (key,) in self._db.execute(query, (bucket,)))

    # -- buckets without versions ----------------------------------------------------------------------

    def _objects(self, bucket: OldBucket, prefix: str) -> Iterator[Choice | None]:
        for stored in self._store.list(bucket.name, prefix):
            _check_asked(bucket.name, prefix, stored.key)
            planned = self._planned(bucket.name, stored.key)
            kind, reason = self._decide(bucket.name, stored, planned)
            if reason:
                bucket.stay(reason, f"s3://{bucket.name}/{stored.key}")
                yield None
            else:
                yield Choice(Deletion(stored.key, stored.etag), stored.size, kind, planned.id if planned else None)

    def _planned(self, bucket: str, key: str) -> PlannedObject | None:
        query = f"SELECT {OBJECT_COLUMNS} FROM objects WHERE bucket = ? AND key = ?"
        row = self._db.execute(query, (bucket, key)).fetchone()
        if row is None:
            return None
        self._db.execute("INSERT OR IGNORE INTO retire_seen VALUES (?)", (row[0],))
        return PlannedObject(*row)

    def _decide(self, bucket: str, stored: StoredObject, planned: PlannedObject | None) -> tuple[str, str]:
        """(kind, "") for an object that is deleted, or ("", the reason why it stays)."""
        if planned is None:
            return "", NOT_PLANNED if self._layout.map_key(bucket, stored.key) is not None else NO_RULE
        kind, reason = self._kind(planned)
        if reason:
            return "", reason
        if self._has("retire_taken", planned.id) or not same_content(stored, planned):
            return "", CHANGED
        if not same_time(stored.modified, planned.modified):
            return "", WRITTEN_AGAIN
        return kind, ""

    def _kind(self, planned: PlannedObject) -> tuple[str, str]:
        """As :meth:`_decide`, by the plan alone."""
        if planned.target is None or self._layout.map_key(planned.bucket, planned.key) is None:
            return "", NO_RULE
        if planned.role == ROLE_LATER:
            return "", LATER_WAVE
        if planned.role == ROLE_LEFT or self._in_left_folder(planned.bucket, planned.key):
            return "", LEFT_TABLE
        if planned.action in (SKIP, CONFLICT):
            return self._kind_of_skipped(planned)
        return (OBJECTS, "") if self._has(RETIRABLE, planned.id) else ("", NOT_PROVEN)

    def _kind_of_skipped(self, planned: PlannedObject) -> tuple[str, str]:
        """Of the objects that were not copied, only two kinds are deleted: empty folder markers of Hadoop, and its
        checksum files of rewritten files that are deleted, too."""
        if planned.action == SKIP and planned.role == ROLE_CHECKSUM:
            folder, slash, name = planned.key.rpartition("/")
            beside = self._planned_id(planned.bucket, f"{folder}{slash}{name[1:-4]}")
            if name.startswith(".") and name.endswith(".crc") and beside is not None and self._has(RETIRABLE, beside):
                return CHECKSUMS, ""
        if planned.action == SKIP and planned.role == "" and is_hadoop_marker(planned.key, planned.size):
            folder = planned.key.removesuffix("_$folder$") + "/"
            near = any(at == planned.bucket and left.startswith(folder) for at, left in self._left)
            return ("", LEFT_TABLE) if near else (FOLDER_MARKERS, "")
        return "", NOT_COPIED

    def _planned_id(self, bucket: str, key: str) -> int | None:
        row = self._db.execute("SELECT id FROM objects WHERE bucket = ? AND key = ?", (bucket, key)).fetchone()
        return int(row[0]) if row else None

    def _in_left_folder(self, bucket: str, key: str) -> bool:
        """True for a file in the folder of a table that was left, even if the plan copied it for another table."""
        return any(bucket == at and key.startswith(folder) for at, folder in self._left)

    def _has(self, table: str, row_id: int) -> bool:
        return self._db.execute(f"SELECT 1 FROM {table} WHERE id = ?", (row_id,)).fetchone() is not None

    # -- buckets with versions -------------------------------------------------------------------------

    def _versions(self, bucket: OldBucket, prefix: str) -> Iterator[Choice | None]:
        listed = self._store.list_versions(bucket.name, prefix)
        for key, group in groupby(listed, key=lambda version: version.key):
            _check_asked(bucket.name, prefix, key)
            yield from self._of_key(bucket, key, list(group))

    def _of_key(self, bucket: OldBucket, key: str, versions: list[StoredVersion]) -> Iterator[Choice | None]:
        """Decide about the versions of one key, the newest first. Where somebody wrote to the key, or deleted it, since
        planning, all of it stays. That is decided by the server's order, not by times."""
        planned, known = self._planned(bucket.name, key), self._known(bucket.name, key)
        decisions = [self._of_version(bucket.name, version, planned, known) for version in versions]
        written = decisions[0][1] in (CHANGED, WRITTEN_AGAIN, NOT_PLANNED, OLDER) and bool(planned or known)
        below = False  # the planned version, or one that the plan copied, is newer
        for version, (kind, reason) in zip(versions, decisions, strict=True):
            if reason == CHANGED and below:
                reason = OLDER
            below |= not reason
            reason = KEY_CHANGED if written and not reason else reason
            place = f"s3://{bucket.name}/{key} (version {version.version_id})"
            if reason:
                bucket.stay(reason, place)
                yield None
            else:
                object_id = planned.id if planned and kind not in (OLDER_VERSIONS, DELETE_MARKERS) else None
                yield Choice(Deletion(key, version.etag, version.version_id), version.size, kind, object_id)

    def _known(self, bucket: str, key: str) -> dict[str, PlannedVersion]:
        """The older versions of a key that the plan copied, by version id."""
        query = f"SELECT {VERSION_COLUMNS} FROM versions WHERE bucket = ? AND key = ?"
        rows = (PlannedVersion(*row) for row in self._db.execute(query, (bucket, key)))
        return {row.version_id: row for row in rows}

    def _of_version(
        self, bucket: str, version: StoredVersion, planned: PlannedObject | None, known: dict[str, PlannedVersion]
    ) -> tuple[str, str]:
        """(kind, "") for a version that is deleted, or ("", the reason why it stays)."""
        row = known.get(version.version_id)
        if row is not None and _is_version(version, row):
            if not self._has(RETIRABLE_VERSIONS, row.id):
                return "", NOT_PROVEN
            return DELETE_MARKERS if version.marker else OLDER_VERSIONS, ""
        if self._is_older(version, planned, known):
            return "", OLDER
        if version.marker:
            return "", CHANGED
        stored = StoredObject(version.key, version.size, version.etag, version.modified, version.storage_class)
        if planned is None and known:
            return "", CHANGED
        kind, reason = self._decide(bucket, stored, planned)
        return (kind, reason) if reason or version.latest else ("", CHANGED)

    def _is_older(
        self, version: StoredVersion, planned: PlannedObject | None, known: dict[str, PlannedVersion]
    ) -> bool:
        """True for a version that was there before the planned one, or that shows because the planned one is gone."""
        if planned is None and not known:
            return version.marker or not version.latest
        if planned is None:
            return version.modified < max(row.modified for row in known.values())
        if self._has("retire_taken", planned.id) and same_time(version.modified, planned.modified):
            return True
        return version.modified < planned.modified and not same_time(version.modified, planned.modified)


def same_content(stored: StoredObject, planned: PlannedObject) -> bool:
    """True if size and ETag are the planned ones."""
    return (stored.size, stored.etag) == (planned.size, planned.etag)


def same_time(a: int, b: int) -> bool:
    """True for the same second. Listings of versions may have whole seconds where other listings have milliseconds."""
    return a // 1000 == b // 1000


def _is_version(version: StoredVersion, row: PlannedVersion) -> bool:
    """True if it is the planned version. The id "null" may be that of another one by now."""
    same = (version.size, version.etag, version.marker) == (row.size, row.etag, bool(row.marker))
    return same and same_time(version.modified, row.modified)


def _check_asked(bucket: str, prefix: str, key: str) -> None:
    if not key.startswith(prefix):
        raise StoreError(
            f"s3://{bucket}/{prefix}: the server's listing has {key!r}, which was not asked for.",
            next_move="Check the endpoint and any proxy in front of it, then run it again.",
        )
