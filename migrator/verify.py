"""Does the target hold what the plan promised, and does every table read as before?

Reads only. Objects are judged by a fresh listing of the target; tables by walking every file that their
metadata names and by reading every snapshot through pyiceberg, whose counts must be those of the old
place. Those were taken before the cutover, so that all this works with the old buckets gone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from migrator.catalogs import Catalog
from migrator.catalogs.base import TABLE, VIEW
from migrator.errors import MigratorError, NotFound, StoreError, Unreachable
from migrator.iceberg.deletes import delete_paths
from migrator.iceberg.manifests import read_manifest, read_manifest_list
from migrator.iceberg.metadata import map_property, paths_in, read_metadata
from migrator.iceberg.views import read_view
from migrator.journal import CUTOVER_DONE, Journal
from migrator.layout import Location
from migrator.parallel import Failed, each
from migrator.plan.file import COPY, LEFT, MIGRATED, PlanFile, PlannedObject, PlannedTable, PlannedVersion, keys_under
from migrator.plan.summary import needs_cutover
from migrator.plan.versions import OF_HINT, VersionThere, found, has_versions, list_there, there
from migrator.progress import Progress
from migrator.store import Store, is_own
from migrator.tables import count_rows, digest_rows, open_table

if TYPE_CHECKING:
    from pyiceberg.table import Table

EXAMPLES = 20
READERS = 8

UNOPENED = -1
"""Stands in the baselines for "pyiceberg could not open the old table" (snapshot ids are never negative)."""

_SUMMARY = re.compile(r"snapshots\[\d+\]\.summary\.")

Baselines = Mapping[int, tuple[int | None, str | None]]

_PRESENT = """
CREATE TEMP TABLE IF NOT EXISTS there (
  key TEXT PRIMARY KEY, size INTEGER NOT NULL, etag TEXT NOT NULL) WITHOUT ROWID
"""
_DIFFERENCES = """
SELECT 's3://' || o.bucket || '/' || o.key, o.target, CASE
  WHEN t.key IS NULL AND o.action <> 'same' AND d.object_id IS NULL THEN 'not migrated yet'
  WHEN t.key IS NULL THEN 'missing'
  WHEN d.object_id IS NOT NULL AND (t.size <> d.size OR t.etag <> d.etag) THEN 'differs from what was written'
  WHEN d.object_id IS NULL AND o.action = 'same' AND o.role = '' AND t.size <> o.size THEN 'size differs'
  WHEN d.object_id IS NULL AND o.action <> 'same' THEN 'not migrated yet' END AS what
FROM objects o LEFT JOIN there t ON t.key = o.target LEFT JOIN done d ON d.object_id = o.id
WHERE o.action IN ('copy', 'overwrite', 'same', 'rewrite') AND what IS NOT NULL
  AND (o.role <> 'version-hint' OR :cut_over)
"""
_TOTALS = """
SELECT count(*), total(CASE WHEN d.object_id IS NOT NULL THEN d.size
  WHEN o.action = 'same' AND o.role <> '' THEN t.size ELSE o.size END), count(t.key), total(t.size)
FROM objects o LEFT JOIN there t ON t.key = o.target LEFT JOIN done d ON d.object_id = o.id
WHERE o.action IN ('copy', 'overwrite', 'same', 'rewrite') AND o.target >= ? AND o.target < ?
"""


@dataclass
class Check:
    """One kind of check: how much was checked, and what was wrong. ``problems`` holds the first of them."""

    name: str
    unit: str
    checked: int = 0
    failed: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def fail(self, problem: str) -> None:
        self.failed += 1
        if len(self.problems) < EXAMPLES:
            self.problems.append(problem)

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "unit": self.unit,
            "checked": self.checked,
            "failed": self.failed,
            "problems": self.problems,
            "notes": self.notes,
        }


@dataclass(frozen=True, slots=True)
class PrefixTotal:
    """What one target prefix should hold of this plan, and what it holds. Sizes are in bytes."""

    prefix: str
    planned_objects: int
    planned_bytes: int
    present_objects: int
    present_bytes: int


@dataclass
class Verification:
    """The outcome of :func:`verify`."""

    prefixes: list[PrefixTotal] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    cut_over: bool = False
    superseded_by: str | None = None
    """The newer plan that was carried out at the target, if there is one."""

    @property
    def ok(self) -> bool:
        return not any(check.failed for check in self.checks)


class Verifier:
    """Verifies one plan against the target as it is now."""

    def __init__(self, plan: PlanFile, store: Store, catalogs: Mapping[str, Catalog], progress: Progress) -> None:
        self._plan = plan
        self._store = store
        self._catalogs = catalogs
        self._progress = progress
        self._layout = plan.layout
        self._journal = Journal(plan)

    def verify(self, *, deep: bool = False) -> Verification:
        """Check everything. ``deep`` also reads every row and every copied byte, here and in the old
        buckets where they still exist. Raises only if the server or a catalog cannot be reached."""
        waiting = any(needs_cutover(table) for table in self._plan.tables())
        result = Verification(cut_over=not waiting or self._journal.has(CUTOVER_DONE))
        self._list_target()
        result.prefixes = self._prefix_totals()
        result.checks.append(self._check_objects(cut_over=result.cut_over))
        if has_versions(self._plan):
            result.checks += self._check_versions(cut_over=result.cut_over, deep=deep)
        if deep:
            result.checks.append(self._check_contents())
        result.checks += self._check_tables(self._current_pointers(result), deep=deep)
        return result

    def compare_tables(self, journal: Journal) -> list[Check]:
        """Before the cutover: is every object there as it was written? Take each table's row counts in the old
        place, and hold the tables at the target against them, file by file and snapshot by snapshot."""
        tables = [t for t in self._plan.tables() if t.new_metadata is not None and t.state != MIGRATED]
        self._take_baselines(tables, journal, deep=False)
        self._list_target()
        objects = self._check_objects(cut_over=False)
        return [objects, *self._check_tables({t.id: t.new_metadata or "" for t in tables}, deep=False)]

    # -- objects -------------------------------------------------------------------------------------

    def _list_target(self) -> None:
        db = self._plan.db
        db.execute(_PRESENT)
        db.execute("DELETE FROM there")
        with self._progress.stage("listing the target") as stage:
            for _, listed in self._store.list_all([(self._layout.target_bucket, "")]):
                rows = [(found.key, found.size, found.etag) for found in listed if not is_own(found.key)]
                db.executemany("INSERT INTO there VALUES (?, ?, ?)", rows)
                stage.advance(len(listed), sum(found.size for found in listed))

    def _prefix_totals(self) -> list[PrefixTotal]:
        totals = []
        for prefix in self._layout.target_prefixes:
            low, high = keys_under(prefix)
            row = self._plan.db.execute(_TOTALS, (low, high)).fetchone()
            totals.append(PrefixTotal(low, row[0], int(row[1]), row[2], int(row[3])))
        return totals

    def _check_objects(self, *, cut_over: bool) -> Check:
        check = Check("every object of the plan is at the target", "objects")
        query = "SELECT count(*) FROM objects WHERE action IN ('copy', 'overwrite', 'same', 'rewrite')"
        (check.checked,) = self._plan.db.execute(query).fetchone()
        for place, target, what in self._plan.db.execute(_DIFFERENCES, {"cut_over": cut_over}):
            symbol = "*" if "differs" in what else "-"
            check.fail(f"{symbol} s3://{self._layout.target_bucket}/{target}: {what} (from {place})")
        return check

    def _check_versions(self, *, cut_over: bool, deep: bool) -> list[Check]:
        """Every key's history, by a fresh listing of the target's versions; ``deep`` compares the bytes, too."""
        check = Check("every older version is at the target, in its order", "versions")
        with self._progress.stage("listing the target's versions") as stage:
            keys = (key for (key,) in self._plan.db.execute("SELECT key FROM there"))
            list_there(self._plan, self._store, self._layout.target_bucket, keys, stage)
        pairs = self._version_pairs("1" if cut_over else f"NOT {OF_HINT}", check)
        if deep:
            return [check, self._compare_versions(pairs)]
        for _ in pairs:
            pass
        return [check]

    def _version_pairs(self, where: str, check: Check) -> Iterator[tuple[PlannedVersion, VersionThere]]:
        """Check history by history, and yield each version beside the one at the target."""
        db, bucket = self._plan.db, self._layout.target_bucket
        for history in self._plan.histories(where):
            place = f"s3://{bucket}/{history[0].target}"
            ids = sorted(version.id for version in history)
            etags = dict(db.execute("SELECT * FROM versions_done WHERE version_id BETWEEN ? AND ?", (ids[0], ids[-1])))
            check.checked += len(history)
            if history[0].action == COPY and history[0].id not in etags:
                check.fail(f"- {place}: {len(history)} older versions are not migrated yet")
                continue
            written = [replace(version, etag=etags.get(version.id, version.etag)) for version in history]
            # What was there before us was compared by the planner; of that, as of objects, the size must do.
            same_bytes = _never if history[0].id in etags else _always
            match = found(written, None, there(self._plan, history[0].target), same_bytes)
            if match is None or match[0] < len(history):
                check.fail(f"* {place}: not all of its {len(history)} older versions are there in their order")
                continue
            yield from zip(history, match[1], strict=True)

    def _compare_versions(self, pairs: Iterable[tuple[PlannedVersion, VersionThere]]) -> Check:
        check = Check("older versions are the same byte for byte", "versions")
        count, size = self._plan.db.execute("SELECT count(*), total(size) FROM versions WHERE NOT marker").fetchone()
        gone = 0

        def same(pair: tuple[PlannedVersion, VersionThere]) -> bool | None:
            old, new = pair
            there = self._store.sha256(self._layout.target_bucket, new.key, new.version_id)
            try:
                return self._store.sha256(old.bucket, old.key, old.version_id) == there
            except NotFound:
                return None

        with self._progress.stage("comparing older versions", objects=count, size=int(size)) as stage:
            plain = (pair for pair in pairs if not pair[0].marker)
            for outcome in each(same, plain, workers=self._store.concurrency):
                stage.advance(1, outcome.item[0].size)
                if isinstance(outcome, Failed):
                    check.fail(f"! {outcome.error}")
                elif outcome.result is None:
                    gone += 1
                else:
                    check.checked += 1
                    if not outcome.result:
                        check.fail(f"* {outcome.item[0].place}: its bytes differ at the target")
        if gone:
            check.notes.append(f"{gone} older versions could only be read, not compared: their sources are gone")
        return check

    def _check_contents(self) -> Check:
        """Byte hashes of every copied object, against its source."""
        check = Check("copied objects are the same byte for byte", "objects")
        where = "action IN ('copy', 'overwrite', 'same') AND role = ''"
        count, size = self._plan.db.execute(f"SELECT count(*), total(size) FROM objects WHERE {where}").fetchone()
        gone = 0
        if self._old_server:
            check.notes.append(f"nothing is compared with the old buckets: {self._old_server}")

        def same(planned: PlannedObject) -> bool | None:
            there = self._store.sha256(self._layout.target_bucket, planned.target or "")
            if self._old_server:
                return None
            try:
                return self._store.sha256(planned.bucket, planned.key) == there
            except NotFound:
                return None

        with self._progress.stage("comparing bytes", objects=count, size=int(size)) as stage:
            for outcome in each(same, self._plan.objects(where), workers=self._store.concurrency):
                stage.advance(1, outcome.item.size)
                if isinstance(outcome, Failed):
                    check.fail(f"! {outcome.error}")
                elif outcome.result is None:
                    gone += 1
                else:
                    check.checked += 1
                    if not outcome.result:
                        check.fail(f"* s3://{self._layout.target_bucket}/{outcome.item.target}: bytes differ")
        if gone:
            check.notes.append(f"{gone} objects could only be read, not compared: their sources are gone")
        return check

    # -- tables --------------------------------------------------------------------------------------

    def _current_pointers(self, result: Verification) -> dict[int, str]:
        """Table id → metadata to verify: what the catalog says now, or the planned one."""
        check = Check("every catalog points to the target", "tables")
        pointers = {}
        for table in self._plan.tables():
            if table.new_metadata is None:
                continue
            pointers[table.id] = table.new_metadata
            if not result.cut_over and needs_cutover(table):
                check.notes = ["not cut over yet: the tables are read from their planned metadata"]
                continue
            if table.catalog is None or table.catalog_kind == "hadoop":
                continue  # a Hadoop table's pointer lies beside it, and is one of the objects
            now = self._catalogs[table.catalog].current(table.namespace, table.name)
            check.checked += 1
            at = Location.parse(now or "")
            if now is None:
                check.fail(f"- {table.identifier} is gone from its catalog")
            elif at is None or at.bucket != self._layout.target_bucket:
                check.fail(f"* {table.identifier} points to {now}")
            else:
                pointers[table.id] = now
        left = [table for table in self._plan.tables() if table.state == LEFT]
        check.notes += [f"{table.identifier} was left at {table.old_metadata} on purpose" for table in left]
        result.checks.append(check)
        return pointers

    def _check_tables(self, pointers: Mapping[int, str], *, deep: bool) -> list[Check]:
        files = Check("every file that a table refers to is there, with the recorded size", "files")
        old = Check("no old path is left in metadata, manifests or position deletes", "paths")
        rows = Check("every snapshot read through pyiceberg has the rows it had", "snapshots")
        contents = Check("every row of every snapshot is the same", "rows")
        tables = [t for t in self._plan.tables() if t.id in pointers]
        if deep and not self._old_server:
            self._take_baselines(tables, self._journal, deep=True)
        with self._progress.stage("verifying tables", objects=len(tables)) as stage:
            for table in tables:
                uri = pointers[table.id]
                if table.kind == VIEW:
                    self._check_view(table, uri, files, old)
                    stage.advance(1)
                    continue
                try:
                    self._check_graph(table, uri, files, old)
                except MigratorError as error:
                    files.fail(f"! {table.identifier}: {error}")
                self._check_rows(table, uri, rows, contents if deep else None)
                stage.advance(1)
        return [files, old, rows] + ([contents] if deep else [])

    def _check_view(self, table: PlannedTable, uri: str, files: Check, old: Check) -> None:
        """A view's own paths; what its SQL mentions was reported by the plan and stays as it is."""
        files.checked += 1
        try:
            view = read_view(self._get(uri), uri)
        except MigratorError as error:
            files.fail(f"! {table.identifier}: {error}")
            return
        properties = ((f"properties.{key}", value) for key, value in view.properties.items())
        for label, value in (("location", view.location), *properties):
            if self._must_have_moved(label, value):
                old.checked += 1
                if self._layout.is_source(value):
                    old.fail(f"* {uri} {label}: {value}")

    def _check_graph(self, table: PlannedTable, uri: str, files: Check, old: Check) -> None:
        """Walk one table at the target: metadata, lists, manifests, data and delete files."""
        strict = table.catalog is not None
        accepted = "size-differs" in json.loads(table.problems)  # recorded sizes were wrong before
        resized = 0

        def path(value: str, place: str) -> None:
            old.checked += 1
            if self._layout.is_source(value):
                old.fail(f"* {place}: {value}")

        data = self._get(uri)
        for label, value in paths_in(data, uri):
            if self._must_have_moved(label, value):
                path(value, f"{uri} {label}")
        metadata = read_metadata(data, uri)
        lists = [s.manifest_list for s in metadata.snapshots if s.manifest_list]
        manifests: dict[str, int | None] = {m: None for s in metadata.snapshots for m in s.manifests}
        for list_uri, list_data in self._read(lists, files, strict=strict):
            for manifest in read_manifest_list(list_data, list_uri):
                path(manifest.path, list_uri)
                manifests[manifest.path] = manifest.length
        deletes: set[str] = set()
        for manifest_uri, manifest_data in self._read(manifests, files, strict=strict):
            recorded = manifests[manifest_uri]
            if recorded is not None and recorded != len(manifest_data):
                files.fail(f"* {manifest_uri}: {len(manifest_data)} bytes, its list records {recorded}")
            for entry in read_manifest(manifest_data, manifest_uri):
                path(entry.path, manifest_uri)
                if entry.referenced_data_file is not None:
                    path(entry.referenced_data_file, manifest_uri)
                if entry.status == 2:
                    continue
                size = self._size_before(entry.path, entry.size) if accepted else entry.size
                resized += size != entry.size
                self._check_file(entry.path, size, files, strict=strict)
                if entry.content == 1:
                    deletes.add(entry.path)
        for delete_uri, delete_data in self._read(sorted(deletes), files, strict=strict):
            for value in delete_paths(delete_data, delete_uri):
                path(value, delete_uri)
        if resized:
            message = "have another size than their manifests record, as before [size-differs, accepted]"
            files.notes.append(f"{table.identifier}: {resized} files {message}")

    def _must_have_moved(self, label: str, value: str) -> bool:
        """False for what stays as it is: summaries, and properties that only mention a path. The plan reported them."""
        if label.startswith("properties."):
            return map_property(value, self._layout.map_uri) is not None
        return not _SUMMARY.match(label) and self._layout.map_uri(value) is not None

    def _size_before(self, uri: str, recorded: int) -> int:
        """The size that a copied file had in the old place, whatever its manifest records."""
        at = Location.parse(uri)
        query = "SELECT size FROM objects WHERE target = ? AND action IN ('copy', 'overwrite', 'same') AND role = ''"
        row = at and self._plan.db.execute(query, (at.key,)).fetchone()
        return int(row[0]) if row else recorded

    def _check_file(self, uri: str, size: int, files: Check, *, strict: bool) -> None:
        at = Location.parse(uri)
        files.checked += 1
        if at is None or at.bucket != self._layout.target_bucket:
            files.fail(f"* {uri} lies outside the target")
            return
        query = "SELECT size FROM there WHERE key IN (?, ?) ORDER BY key = ? DESC"  # see Location.collapsed
        row = self._plan.db.execute(query, (at.key, at.collapsed.key, at.key)).fetchone()
        if row is None:
            if strict:
                files.fail(f"- {uri}: missing")
            else:
                files.notes.append(f"{uri} is missing, as it was before: no catalog names its table")
        elif row[0] != size and strict:
            files.fail(f"* {uri}: {row[0]} bytes, its manifest records {size}")

    def _check_rows(self, table: PlannedTable, uri: str, rows: Check, contents: Check | None) -> None:
        """Every snapshot has the rows that it had in the old place."""
        baselines = self._journal.baselines(table.id)
        opened, trouble = _attempt(lambda: self._open(uri))
        if opened is None:
            message = f"{table.identifier}: pyiceberg cannot open {uri} ({trouble})"
            if UNOPENED in baselines:
                rows.notes.append(f"{message}, nor could it open the old one")
            else:
                rows.fail(f"! {message}")
            return
        snapshots = [s.snapshot_id for s in opened.metadata.snapshots]
        if uri == table.new_metadata:
            for lost in sorted(baselines.keys() - {UNOPENED, *snapshots}):
                rows.fail(f"- {table.identifier} snapshot {lost}: missing")
        for snapshot in snapshots:
            place = f"{table.identifier} snapshot {snapshot}"
            readable = self._check_count(opened, snapshot, place, baselines, rows, strict=table.catalog is not None)
            if contents is not None and readable:
                self._check_content(opened, snapshot, place, baselines.get(snapshot, (None, None))[1], contents)

    @staticmethod
    def _check_count(
        table: Table, snapshot: int, place: str, baselines: Baselines, rows: Check, *, strict: bool
    ) -> bool:
        """Hold one snapshot's row count against the old place's. True if the snapshot can be read."""
        expected = baselines.get(snapshot, (None, None))[0]
        count, trouble = _attempt(lambda: count_rows(table, snapshot))
        rows.checked += 1
        if trouble and snapshot in baselines and expected is None:
            rows.notes.append(f"{place}: pyiceberg can read it neither here nor in the old place ({trouble})")
        elif trouble and not strict:
            rows.notes.append(f"{place}: cannot be read ({trouble}); no catalog names the table")
        elif trouble:
            rows.fail(f"! {place}: {trouble}")
        elif snapshot not in baselines:
            rows.notes.append(f"{place}: {count} rows; not counted in the old place")
        elif expected != count:
            rows.fail(f"* {place}: {count} rows, {expected} in the old place")
        return not trouble

    def _check_content(self, table: Table, snapshot: int, place: str, expected: str | None, contents: Check) -> None:
        result, trouble = _attempt(lambda: digest_rows(table, snapshot))
        if result is None:
            contents.fail(f"! {place}: {trouble}")
            return
        count, digest = result
        contents.checked += count
        if expected is None:
            contents.notes.append(f"{place}: all {count} rows read, but the old place is gone: nothing to compare with")
        elif digest != expected:
            contents.fail(f"* {place}: the rows differ from those in the old place")

    def _take_baselines(self, tables: Iterable[PlannedTable], journal: Journal, *, deep: bool) -> None:
        """Count (deep: also digest) every snapshot in the old place, unless that was done before."""
        wanted = [t for t in tables if t.state != MIGRATED and t.kind == TABLE]
        with self._progress.stage("reading the old tables", objects=len(wanted)) as stage:
            for table in wanted:
                self._take_baseline(table, journal, deep=deep)
                stage.advance(1)

    def _take_baseline(self, table: PlannedTable, journal: Journal, *, deep: bool) -> None:
        opened, _ = _attempt(lambda: self._open(table.old_metadata))
        known = journal.baselines(table.id)
        if opened is None:
            if not known:
                journal.baseline(table.id, UNOPENED, None)
            return
        for snapshot in (s.snapshot_id for s in opened.metadata.snapshots):
            if deep and known.get(snapshot, (None, None))[1] is None:
                result, _ = _attempt(partial(digest_rows, opened, snapshot))
                if result is not None:
                    journal.baseline(table.id, snapshot, *result)
            elif snapshot not in known:
                count, _ = _attempt(partial(count_rows, opened, snapshot))
                journal.baseline(table.id, snapshot, count)

    # -- reading -------------------------------------------------------------------------------------

    def _open(self, uri: str) -> Table:
        """The table that this metadata file describes, read where its bucket is."""
        at = Location.parse(uri)
        return open_table(uri, self._store.reader_properties(at.bucket) if at else {})

    @cached_property
    def _old_server(self) -> str:
        """Why the server of the old buckets cannot be asked; empty if it can. It may be gone, as they may be."""
        for bucket in self._layout.buckets:
            try:
                self._store.bucket_exists(bucket)
            except Unreachable as error:
                return error.message
            except StoreError:
                continue  # it answers; what is wrong shows with each object
        return ""

    def _get(self, uri: str) -> bytes:
        at = Location.parse(uri)
        if at is None:
            raise NotFound(f"{uri} is not in S3.")
        try:
            return self._store.get(at.bucket, at.key).data
        except NotFound:
            if at.collapsed == at:
                raise
            return self._store.get(at.bucket, at.collapsed.key).data

    def _read(self, uris: Iterable[str], files: Check, *, strict: bool) -> Iterator[tuple[str, bytes]]:
        """Read many. What is missing of a table that no catalog names was missing before: the plan has said so."""
        for outcome in each(self._get, uris, workers=READERS):
            files.checked += 1
            if isinstance(outcome, Failed) and isinstance(outcome.error, NotFound) and not strict:
                files.notes.append(f"{outcome.item} is missing, as it was before: no catalog names its table")
            elif isinstance(outcome, Failed):
                files.fail(f"! {outcome.item}: {outcome.error}")
            else:
                yield outcome.item, outcome.result


def _never(_: PlannedVersion, __: VersionThere) -> bool:
    return False


def _always(_: PlannedVersion, __: VersionThere) -> bool:
    return True


def _attempt(read: Callable[[], Any]) -> tuple[Any, str]:
    """(result, "") or (None, what went wrong). pyiceberg and s3fs raise many kinds of exceptions, and all
    of them mean the same here: this table cannot be read that way."""
    try:
        return read(), ""
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"
