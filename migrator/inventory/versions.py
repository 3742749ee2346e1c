"""Older versions of objects, and delete markers: how many there are, and which of them the target lacks.

An object's *history* are all versions and delete markers before its current version, ordered from the oldest to the
newest. If the newest version is a delete marker, there is no current version, and the marker belongs to the history.
The target's history is written in the same order, and S3 only adds versions at its end. So if the target has other
versions than the first ones of the source's history, they stay, and the history cannot be copied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from migrator.errors import StoreError
from migrator.findings import INFO, Finding
from migrator.inventory.listing import Listing
from migrator.layout import Layout
from migrator.planfile.file import PlanFile
from migrator.planfile.queries import is_hadoop_marker
from migrator.planfile.rows import COPY, ROLE_VERSION_HINT, SAME, SKIP, PlannedVersion
from migrator.progress import Progress
from migrator.store import Store, StoredVersion

TOO_LATE = "too late"
"""The target has the key, but not this history. No finished plan has this action."""

OF_HINT = (
    "EXISTS (SELECT 1 FROM objects o WHERE o.bucket = versions.bucket AND o.key = versions.key"
    f" AND o.role = '{ROLE_VERSION_HINT}')"
)
"""Selects the versions of version hints. Version hints are pointers: the target must have none before the cutover."""

_SCHEMA = """
CREATE TEMP TABLE IF NOT EXISTS target_versions (
  key TEXT NOT NULL, seq INTEGER NOT NULL, version_id TEXT NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
  marker INTEGER NOT NULL, latest INTEGER NOT NULL, PRIMARY KEY (key, seq)) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class TargetVersion:
    """A version or delete marker in the target bucket. ``size`` is in bytes."""

    key: str
    version_id: str
    size: int
    etag: str
    marker: int


@dataclass(frozen=True, slots=True)
class Current:
    """The version that readers see."""

    size: int
    etag: str


@dataclass
class Histories:
    """How many older versions and delete markers one bucket has under the layout's rules. ``bytes``: their size."""

    versions: int = 0
    markers: int = 0
    bytes: int = 0
    unlisted: int = 0
    """Existing objects that the listing of versions lacked."""
    trouble: StoreError | None = None
    """Why the bucket's versions could not be listed."""

    def count(self, version: StoredVersion) -> None:
        """Count one older version or delete marker."""
        self.versions += not version.marker
        self.markers += version.marker
        self.bytes += version.size

    def __str__(self) -> str:
        parts = []
        if self.versions:
            noun = "version" if self.versions == 1 else "versions"
            parts.append(f"{self.versions:,} older {noun} ({self.bytes:,} bytes)")
        if self.markers:
            parts.append(f"{self.markers:,} delete marker" + ("" if self.markers == 1 else "s"))
        return " and ".join(parts)


# -- comparing -------------------------------------------------------------------------------------------

SameBytes = Callable[[PlannedVersion, TargetVersion], bool]
"""Compares the bytes of a version and of one at the target, if sizes are equal and ETags differ."""


@dataclass(frozen=True, slots=True)
class HistoryMatch:
    """How much of a history the target has."""

    versions: Sequence[TargetVersion] = ()
    """The target's copies of the oldest versions of the history, in order. The other versions are written after
    them."""
    followed: bool = False
    """True if the target has the whole history, and a version that was written after it."""
    current: TargetVersion | None = None
    """The version that was written after the history, if it is a copy of the source's current version."""


def match_history(
    history: Sequence[PlannedVersion],
    current: Current | None,
    at_target: Sequence[TargetVersion],
    same_bytes: SameBytes,
) -> HistoryMatch | None:
    """Compare a history with the target's versions of the same key. Both are ordered from the oldest to the newest.

    ``current`` is the source's current version, None if there is none or if the target gets another content instead.
    Returns None if the target has other content: this history cannot be written before it any more.
    """

    def match(start: int, count: int) -> bool:
        """True if the ``count`` oldest versions of the history are at the target, the first at index ``start``."""
        copies = at_target[start : start + count]
        return all(_same_version(version, copy, same_bytes) for version, copy in zip(history, copies, strict=False))

    count, last = len(history), len(at_target)
    start = last - count - 1
    if current is not None and start >= 0 and match(start, count) and _same_current(current, at_target[-1]):
        return HistoryMatch(at_target[start:-1], followed=True, current=at_target[-1])
    for start in range(last - count, -1, -1):
        if match(start, count):
            return HistoryMatch(at_target[start : start + count], followed=start + count < last)
    for part in range(min(count - 1, last), 0, -1):
        if match(last - part, part):
            return HistoryMatch(at_target[last - part :])
    return HistoryMatch() if not at_target or at_target[-1].marker else None


def _same_version(version: PlannedVersion, copy: TargetVersion, same_bytes: SameBytes) -> bool:
    if version.marker or copy.marker:
        return bool(version.marker and copy.marker)
    if version.size != copy.size:
        return False
    return not version.size or version.etag == copy.etag or same_bytes(version, copy)


def _same_current(current: Current, copy: TargetVersion) -> bool:
    if copy.marker or current.size != copy.size:
        return False
    # The ETag of a multipart upload depends on the sizes of its parts, so an equal size is accepted.
    multipart = "-" in current.etag + copy.etag
    return not current.size or current.etag == copy.etag or multipart


_RELEVANT = (
    "(EXISTS (SELECT 1 FROM versions v WHERE v.target = :key)"
    " OR :latest AND EXISTS (SELECT 1 FROM objects o WHERE o.target = :key))"
)
_INSERT = (
    f"INSERT INTO target_versions SELECT :key, :seq, :version_id, :size, :etag, :marker, :latest WHERE {_RELEVANT}"
)


class TargetVersions:
    """The listed versions of the plan's keys at the target, in a temporary table of the plan's database.

    Every instance for a plan uses the same table.
    """

    def __init__(self, plan: PlanFile, store: Store, bucket: str) -> None:
        self._db = plan.db
        self._store = store
        self._bucket = bucket
        self._db.execute(_SCHEMA)

    def list_all(self, keys: Iterable[str], stage: Progress) -> None:
        """List the whole bucket. ``keys`` are those of its current objects: a key that the listing of versions lacks
        is listed by itself, see :func:`_record_unlisted`."""
        self._db.execute("DELETE FROM target_versions")
        self._db.executemany(_INSERT, _version_rows(self._store.list_versions(self._bucket), stage))
        lacks = f"SELECT 1 WHERE {_RELEVANT} AND NOT EXISTS (SELECT 1 FROM target_versions t WHERE t.key = :key)"
        for key in keys:
            if self._db.execute(lacks, {"key": key, "latest": True}).fetchone():
                self._list_key(key, stage)

    def list_again(self, keys: Iterable[str]) -> None:
        """List the versions of these keys once more."""
        for key in keys:
            self._db.execute("DELETE FROM target_versions WHERE key = ?", (key,))
            self._list_key(key, Progress())

    def _list_key(self, key: str, stage: Progress) -> None:
        versions = self._store.versions_of(self._bucket, key)[::-1]
        self._db.executemany(_INSERT, _version_rows(versions, stage))

    def of(self, key: str) -> list[TargetVersion]:
        """The versions of a key, the oldest first."""
        query = "SELECT key, version_id, size, etag, marker FROM target_versions WHERE key = ? ORDER BY seq"
        return [TargetVersion(*row) for row in self._db.execute(query, (key,))]

    def equal_objects(self, where: str) -> list[tuple[int, int, str]]:
        """(id, size, ETag) of the planned objects whose current version at the target has the same size and ETag.
        ``where`` selects objects. Objects with older versions are left out."""
        query = (
            f"SELECT o.id, t.size, t.etag FROM (SELECT * FROM objects WHERE {where}) AS o"
            " JOIN target_versions t ON t.key = o.target AND t.latest AND NOT t.marker"
            " WHERE t.size = o.size AND t.etag = o.etag"
            " AND NOT EXISTS (SELECT 1 FROM versions v WHERE v.target = o.target)"
        )
        return self._db.execute(query).fetchall()


def _version_rows(versions: Iterable[StoredVersion], stage: Progress) -> Iterator[dict[str, object]]:
    for seq, version in enumerate(versions):
        stage.advance(1, version.size)
        yield {
            "key": version.key,
            "seq": -seq,  # listed from the newest to the oldest
            "version_id": version.version_id,
            "size": version.size,
            "etag": version.etag,
            "marker": version.marker,
            "latest": version.latest,
        }


def current_of(plan: PlanFile, history: Sequence[PlannedVersion]) -> Current | None:
    """The current version of the object with this history, if it exists and is copied without changes."""
    first = history[0]
    row = plan.db.execute(
        f"SELECT size, etag FROM objects WHERE bucket = ? AND key = ? AND action <> '{SKIP}' AND role = ''",
        (first.bucket, first.key),
    ).fetchone()
    return Current(*row) if row else None


# -- planning --------------------------------------------------------------------------------------------


def list_histories(
    plan: PlanFile, store: Store, layout: Layout, places: Iterable[tuple[str, str]], progress: Progress, *, keep: bool
) -> dict[str, Histories]:
    """Count the older versions and delete markers in the old buckets; return bucket → counts.

    ``keep`` also records each version in the plan. Without it, an error of the store is kept in
    ``Histories.trouble``; with it, the error is raised.
    """
    totals: dict[str, Histories] = {}
    plan.db.execute("CREATE TEMP TABLE latest (bucket TEXT, key TEXT, PRIMARY KEY (bucket, key)) WITHOUT ROWID")
    versioned: dict[str, bool] = {}
    with progress.stage("listing older versions", unit="versions") as stage:
        for bucket, prefix in places:
            try:
                if bucket not in versioned:
                    versioned[bucket] = store.is_versioned(bucket)
                if versioned[bucket]:
                    total = totals.setdefault(bucket, Histories())
                    _record(plan, layout, bucket, store.list_versions(bucket, prefix), total, stage, keep=keep)
            except StoreError as error:
                if keep:
                    raise
                versioned[bucket] = False
                totals[bucket] = Histories(trouble=error)
        for bucket, total in totals.items():
            if total.trouble is None:
                _record_unlisted(plan, store, layout, bucket, total, stage, keep=keep)
    plan.db.execute("DROP TABLE latest")
    if keep:
        # Listed from the newest to the oldest.
        plan.db.execute(
            "UPDATE versions SET ordinal = n.ordinal FROM (SELECT id, row_number() OVER"
            " (PARTITION BY bucket, key ORDER BY id DESC) AS ordinal FROM versions) AS n WHERE n.id = versions.id"
        )
        plan.db.execute("CREATE UNIQUE INDEX versions_source ON versions (bucket, key, ordinal)")
        plan.db.execute("CREATE INDEX versions_target ON versions (target)")
    return totals


def _record(
    plan: PlanFile,
    layout: Layout,
    bucket: str,
    listing: Iterable[StoredVersion],
    total: Histories,
    stage: Progress,
    *,
    keep: bool,
) -> None:
    for version in listing:
        stage.advance(1, version.size)
        if version.latest:
            plan.db.execute("INSERT OR IGNORE INTO latest VALUES (?, ?)", (bucket, version.key))
            if not version.marker:
                continue
        rule = layout.rule_for(bucket, version.key)
        target = rule.move(version.key) if rule else None
        if target is None or is_hadoop_marker(version.key, version.size):
            continue
        total.count(version)
        if keep:
            plan.db.execute(
                "INSERT INTO versions (bucket, key, version_id, size, etag, modified, storage_class, marker, target,"
                " action) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(bucket, version.key, version.version_id, version.size, version.etag, version.modified),
                    *(version.storage_class, version.marker, target, COPY),
                ),
            )


def _record_unlisted(
    plan: PlanFile, store: Store, layout: Layout, bucket: str, total: Histories, stage: Progress, *, keep: bool
) -> None:
    """List the versions of each object that the listing of the bucket's versions lacks. SeaweedFS leaves keys out
    where a page ends between a key and another that begins with it (``a`` and ``a-b``)."""
    query = (
        "SELECT key FROM objects o WHERE bucket = ?"
        " AND NOT EXISTS (SELECT 1 FROM latest l WHERE l.bucket = o.bucket AND l.key = o.key)"
    )
    for (key,) in plan.db.execute(query, (bucket,)).fetchall():
        versions = store.versions_of(bucket, key)[::-1]
        total.unlisted += bool(versions)
        _record(plan, layout, bucket, versions, total, stage, keep=keep)


def compare_histories(plan: PlanFile, store: Store, layout: Layout, listing: Listing, progress: Progress) -> None:
    """Record for each history in the plan whether the target has it.

    If the target has only a part of the history, or all of it and no more, its current object is an older version.
    That object is removed from ``listing``, the listing of the target, so that the plan copies the source's current
    version."""
    if not has_versions(plan):
        return
    if not store.keeps_versions(layout.target_bucket):
        place, move = f"s3://{layout.target_bucket}/", "Enable versioning on it and plan again."
        message = "does not keep versions, and older versions are to be copied"
        plan.add_finding(Finding.of("target-not-versioned", place, message, move))
        return
    target = TargetVersions(plan, store, layout.target_bucket)
    with progress.stage("listing the target's versions", unit="versions") as stage:
        target.list_all(listing.keys(), stage)

    def same_bytes(version: PlannedVersion, copy: TargetVersion) -> bool:
        return "-" in version.etag + copy.etag or store.same_content(
            (version.bucket, version.key, version.version_id), (layout.target_bucket, copy.key, copy.version_id)
        )

    plan.db.execute("CREATE TEMP TABLE settled (id INTEGER PRIMARY KEY, action TEXT NOT NULL)")
    some = "EXISTS (SELECT 1 FROM target_versions t WHERE t.key = versions.target)"
    for history in plan.histories(some, sealed=False):
        key = history[0].target
        match = match_history(history, current_of(plan, history), target.of(key), same_bytes)
        if match is not None and not match.followed:
            listing.remove(key)
        if match is None or len(match.versions) == len(history):
            action = TOO_LATE if match is None else SAME
            plan.db.executemany("INSERT INTO settled VALUES (?, ?)", ((version.id, action) for version in history))
    plan.db.execute("UPDATE versions SET action = s.action FROM settled AS s WHERE s.id = versions.id")


def settle_histories(plan: PlanFile, layout: Layout) -> None:
    """Remove the versions that cannot be copied from the plan. Call it when every object has its final action."""
    plan.db.execute(
        f"DELETE FROM versions WHERE EXISTS (SELECT 1 FROM objects o WHERE o.action = '{SKIP}'"
        " AND o.bucket = versions.bucket AND o.key = versions.key)"
    )
    query = f"SELECT count(DISTINCT target), min(target) FROM versions WHERE action = '{TOO_LATE}'"
    count, example = plan.db.execute(query).fetchone()
    if count:
        message = (
            "and others like it are there already, without their older versions, which cannot be written before them"
        )
        move = "To copy them, remove these objects from the target and plan again."
        place = f"s3://{layout.target_bucket}/{example}"
        plan.add_finding(Finding.of("versions-too-late", place, message, move, count=count))
        plan.db.execute(f"DELETE FROM versions WHERE action = '{TOO_LATE}'")


def report_histories(plan: PlanFile, bucket: str, total: Histories, *, kept: bool) -> None:
    """Add the finding about a versioned bucket to the plan."""
    place = f"s3://{bucket}/"
    if total.trouble is not None:
        message = f"versions could not be listed: {total.trouble.message}"
        plan.add_finding(Finding.of("unchecked-bucket", place, message, total.trouble.next_move))
        return
    if total.unlisted:
        message = (
            f"the listing of its versions lacked {total.unlisted:,} existing objects, which were listed one by one"
        )
        move = "Older versions of deleted objects may be missing: repair the server if these matter."
        plan.add_finding(Finding.of("versions-unlisted", place, message, move))
    count = total.versions + total.markers
    if not count:
        message = "is versioned, and has current versions only"
        plan.add_finding(Finding.of("versioned-bucket", place, message, severity=INFO))
    elif kept:
        message = f"is versioned: its {total} are copied, too, those of rewritten table files without changes"
        plan.add_finding(Finding.of("versioned-bucket", place, message, severity=INFO))
    else:
        message = f"is versioned: its {total} are not copied"
        plan.add_finding(Finding.of("versioned-bucket", place, message, "To copy them, too: --all-versions."))


def has_versions(plan: PlanFile) -> bool:
    """True if the plan has older versions or delete markers."""
    return plan.db.execute("SELECT 1 FROM versions LIMIT 1").fetchone() is not None
