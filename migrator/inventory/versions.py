"""Older versions of objects, and delete markers: how many there are, and which of them the target lacks.

An object's *history* is all that was under its key before its current version, the oldest first; if the
newest is a delete marker there is no current version, and the marker belongs to the history. The target's
history is put together in the same order, so it can only grow at its end: what is there and is no
beginning of the source's history stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from migrator.errors import StoreError
from migrator.findings import INFO, Finding
from migrator.layout import Layout
from migrator.planfile.file import PlanFile
from migrator.planfile.queries import is_hadoop_marker
from migrator.planfile.rows import COPY, ROLE_VERSION_HINT, SAME, SKIP, PlannedVersion
from migrator.progress import Progress
from migrator.store import Store, StoredVersion

TOO_LATE = "too late"
"""The target has the key without this history. Never in a finished plan."""

OF_HINT = (
    "EXISTS (SELECT 1 FROM objects o WHERE o.bucket = versions.bucket AND o.key = versions.key"
    f" AND o.role = '{ROLE_VERSION_HINT}')"
)
"""Selects the versions of version hints. Those are pointers: until the cutover the target must have none."""

_THERE = """
CREATE TEMP TABLE IF NOT EXISTS versions_there (
  key TEXT NOT NULL, seq INTEGER NOT NULL, version_id TEXT NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
  marker INTEGER NOT NULL, latest INTEGER NOT NULL, PRIMARY KEY (key, seq)) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class VersionThere:
    """A version or delete marker in the target bucket."""

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
    """How much older there is in one bucket, below the layout's rules. Sizes are in bytes."""

    versions: int = 0
    markers: int = 0
    bytes: int = 0
    unlisted: int = 0
    """Objects that the listing of versions lacked, though they are there."""
    trouble: StoreError | None = None
    """Why the bucket could not be asked."""

    def count(self, version: StoredVersion) -> None:
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


def found(
    history: Sequence[PlannedVersion],
    current: Current | None,
    there: Sequence[VersionThere],
    same_bytes: Callable[[PlannedVersion, VersionThere], bool],
) -> tuple[int, Sequence[VersionThere]] | None:
    """How many versions of ``history`` are there already, and which those are; the rest goes on top of them.

    One more than the history has: something came after it, and if that is ``current``, it is returned, too.
    None: something else is there, before which the history cannot be put. ``same_bytes`` decides where sizes
    are equal and ETags differ.
    """

    def same(wanted: PlannedVersion | Current, other: VersionThere) -> bool:
        if isinstance(wanted, Current):
            multipart = "-" in wanted.etag + other.etag  # its ETag depends on its part sizes: the size must do
            return (
                not other.marker
                and wanted.size == other.size
                and (not wanted.size or wanted.etag == other.etag or multipart)
            )
        if wanted.marker or other.marker:
            return bool(wanted.marker and other.marker)
        if wanted.size != other.size:
            return False
        return not wanted.size or wanted.etag == other.etag or same_bytes(wanted, other)

    def at(wanted: Sequence[PlannedVersion | Current], start: int) -> bool:
        return start >= 0 and all(map(same, wanted, there[start : start + len(wanted)]))

    count, last = len(history), len(there)
    if current is not None and at([*history, current], last - count - 1):
        return count + 1, there[last - count - 1 :]
    for start in range(last - count, -1, -1):
        if at(history, start):
            return count + (start + count < last), there[start : start + count]
    for part in range(min(count - 1, last), 0, -1):
        if at(history[:part], last - part):
            return part, there[last - part :]
    return (0, []) if not there or there[-1].marker else None


_RELEVANT = (
    "(EXISTS (SELECT 1 FROM versions v WHERE v.target = :key)"
    " OR :latest AND EXISTS (SELECT 1 FROM objects o WHERE o.target = :key))"
)

_INSERT = f"INSERT INTO versions_there SELECT :key, :seq, :version_id, :size, :etag, :marker, :latest WHERE {_RELEVANT}"


def list_there(plan: PlanFile, store: Store, bucket: str, keys: Iterable[str], stage: Progress) -> None:
    """Keep, in a temporary table, what the target's versions are of the keys of the plan. ``keys`` are those of
    its current objects: a listing of versions that lacks one of them is not to be trusted, see _record_unlisted.
    """
    plan.db.execute(_THERE)
    plan.db.execute("DELETE FROM versions_there")
    plan.db.executemany(_INSERT, _there_rows(store.list_versions(bucket), stage))
    lacks = f"SELECT 1 WHERE {_RELEVANT} AND NOT EXISTS (SELECT 1 FROM versions_there t WHERE t.key = :key)"
    for key in keys:
        if plan.db.execute(lacks, {"key": key, "latest": True}).fetchone():
            plan.db.executemany(_INSERT, _there_rows(store.versions_of(bucket, key)[::-1], stage))


def list_again(plan: PlanFile, store: Store, bucket: str, keys: Iterable[str]) -> None:
    """Bring what :func:`list_there` has seen of these keys up to date."""
    plan.db.execute(_THERE)
    for key in keys:
        plan.db.execute("DELETE FROM versions_there WHERE key = ?", (key,))
        plan.db.executemany(_INSERT, _there_rows(store.versions_of(bucket, key)[::-1], Progress()))


def _there_rows(versions: Iterable[StoredVersion], stage: Progress) -> Iterator[dict[str, object]]:
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


def there(plan: PlanFile, key: str) -> list[VersionThere]:
    """The versions of a key at the target as :func:`list_there` saw them, the oldest first."""
    query = "SELECT key, version_id, size, etag, marker FROM versions_there WHERE key = ? ORDER BY seq"
    return [VersionThere(*row) for row in plan.db.execute(query, (key,))]


def current_of(plan: PlanFile, history: Sequence[PlannedVersion]) -> Current | None:
    """The current version of the object with this history, if it is there and goes to the target as it is."""
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
    """Count what the versioned ones among the old buckets hold beside current objects, bucket by bucket.

    ``keep`` also records each version in the plan, and then raises what goes wrong.
    """
    totals: dict[str, Histories] = {}
    plan.db.execute("CREATE TEMP TABLE latest (bucket TEXT, key TEXT, PRIMARY KEY (bucket, key)) WITHOUT ROWID")
    versioned: dict[str, bool] = {}
    with progress.stage("listing older versions") as stage:
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
    """Ask one by one for objects that the listing of versions lacks. SeaweedFS loses keys where a page ends
    between a key and another that begins with it (``a`` and ``a-b``)."""
    query = (
        "SELECT key FROM objects o WHERE bucket = ?"
        " AND NOT EXISTS (SELECT 1 FROM latest l WHERE l.bucket = o.bucket AND l.key = o.key)"
    )
    for (key,) in plan.db.execute(query, (bucket,)).fetchall():
        versions = store.versions_of(bucket, key)[::-1]
        total.unlisted += bool(versions)
        _record(plan, layout, bucket, versions, total, stage, keep=keep)


def compare_histories(plan: PlanFile, store: Store, layout: Layout, progress: Progress) -> None:
    """Say of each history in the plan whether the target has it. Where it has only a beginning, what readers
    see there is work half done, which is no reason to leave the current version alone: it is forgotten."""
    if not has_versions(plan):
        return
    if not store.keeps_versions(layout.target_bucket):
        place, move = f"s3://{layout.target_bucket}/", "Enable versioning on it and plan again."
        message = "does not keep versions, and older versions are to be copied"
        plan.add_finding(Finding.of("target-not-versioned", place, message, move))
        return
    with progress.stage("listing the target's versions") as stage:
        keys = (key for (key,) in plan.db.execute("SELECT key FROM present"))
        list_there(plan, store, layout.target_bucket, keys, stage)

    def same_bytes(wanted: PlannedVersion, other: VersionThere) -> bool:
        return "-" in wanted.etag + other.etag or store.same_content(
            (wanted.bucket, wanted.key, wanted.version_id), (layout.target_bucket, other.key, other.version_id)
        )

    plan.db.execute("CREATE TEMP TABLE settled (id INTEGER PRIMARY KEY, action TEXT NOT NULL)")
    some = "EXISTS (SELECT 1 FROM versions_there t WHERE t.key = versions.target)"
    for history in plan.histories(some, sealed=False):
        match = found(history, current_of(plan, history), there(plan, history[0].target), same_bytes)
        if match is not None and match[0] <= len(history):
            plan.db.execute("DELETE FROM present WHERE key = ?", (history[0].target,))
        if match is None or match[0] >= len(history):
            action = TOO_LATE if match is None else SAME
            plan.db.executemany("INSERT INTO settled VALUES (?, ?)", ((version.id, action) for version in history))
    plan.db.execute("UPDATE versions SET action = s.action FROM settled AS s WHERE s.id = versions.id")


def settle_histories(plan: PlanFile, layout: Layout) -> None:
    """Leave out what cannot be carried over, once it is known what happens to every object."""
    plan.db.execute(
        f"DELETE FROM versions WHERE EXISTS (SELECT 1 FROM objects o WHERE o.action = '{SKIP}'"
        " AND o.bucket = versions.bucket AND o.key = versions.key)"
    )
    query = f"SELECT count(DISTINCT target), min(target) FROM versions WHERE action = '{TOO_LATE}'"
    count, example = plan.db.execute(query).fetchone()
    if count:
        message = "and its like are there already, without their older versions, which cannot be put before them"
        move = "To have them, remove these objects from the target and plan again."
        place = f"s3://{layout.target_bucket}/{example}"
        plan.add_finding(Finding.of("versions-too-late", place, message, move, count=count))
        plan.db.execute(f"DELETE FROM versions WHERE action = '{TOO_LATE}'")


def report_histories(plan: PlanFile, bucket: str, total: Histories, *, kept: bool) -> None:
    """What the plan says about a versioned bucket."""
    place = f"s3://{bucket}/"
    if total.trouble is not None:
        message = f"could not be asked for versions: {total.trouble.message}"
        plan.add_finding(Finding.of("unchecked-bucket", place, message, total.trouble.next_move))
        return
    if total.unlisted:
        message = f"the listing of its versions lacked {total.unlisted:,} objects that are there, and were asked for"
        move = "Older versions of deleted objects may be missing: have the server mended if these matter."
        plan.add_finding(Finding.of("versions-unlisted", place, message, move))
    count = total.versions + total.markers
    if not count:
        message = "is versioned, and holds current versions only"
        plan.add_finding(Finding.of("versioned-bucket", place, message, severity=INFO))
    elif kept:
        message = f"is versioned: its {total} go to the target, too, those of rewritten table files as they are"
        plan.add_finding(Finding.of("versioned-bucket", place, message, severity=INFO))
    else:
        message = f"is versioned: its {total} are not copied"
        plan.add_finding(Finding.of("versioned-bucket", place, message, "To copy them, too: --all-versions."))


def has_versions(plan: PlanFile) -> bool:
    return plan.db.execute("SELECT 1 FROM versions LIMIT 1").fetchone() is not None
