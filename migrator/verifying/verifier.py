"""Is the target what the plan promised, and does every table read as before?

Reads only. Objects are compared with a fresh listing of the target; tables by walking every file that their
metadata names, and by reading every snapshot through pyiceberg (:mod:`migrator.verifying.rows`). What the old place
had was noted before the cutover, so that all this works with the old buckets gone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from migrator.catalogs import Catalog, CatalogTable
from migrator.catalogs.base import VIEW
from migrator.concurrency.threads import Failed, run_in_threads
from migrator.cutover.pointers import needs_cutover
from migrator.cutover.unregistered import unregistered_tables
from migrator.errors import MigratorError, NotFound, Unreachable
from migrator.iceberg.deletes import delete_paths
from migrator.iceberg.manifests import read_manifest, read_manifest_list
from migrator.iceberg.metadata import map_property, paths_in, read_metadata
from migrator.iceberg.views import read_view
from migrator.inventory.versions import OF_HINT, VersionThere, found, has_versions, list_there, there
from migrator.layout import Location
from migrator.planfile.file import PlanFile
from migrator.planfile.journal import CUTOVER_DONE, LATE, STARTED, Journal
from migrator.planfile.queries import keys_under, same_etag
from migrator.planfile.rows import COPY, LEFT, MIGRATED, PlannedObject, PlannedTable, PlannedVersion
from migrator.progress import Progress
from migrator.results import SourceChanges
from migrator.store import Store
from migrator.target.compare import list_target
from migrator.verifying.checks import Check, PrefixTotal, Verification
from migrator.verifying.rows import TableRows
from migrator.verifying.unreadable import is_transient, refusal

__all__ = ["Check", "PrefixTotal", "Verification", "Verifier"]

READERS = 8

_SUMMARY = re.compile(r"snapshots\[\d+\]\.summary\.")

_DIFFERENCES = f"""
SELECT 's3://' || o.bucket || '/' || o.key, o.target, CASE
  WHEN o.action = 'conflict' THEN 'is not what the plan wants there, which is why the plan is blocked'
  WHEN t.key IS NULL AND o.action <> 'same' AND d.object_id IS NULL THEN 'not migrated yet'
  WHEN t.key IS NULL THEN 'missing'
  WHEN d.object_id IS NOT NULL AND (t.size <> d.size OR NOT {same_etag("t.etag", "d.etag")})
  THEN 'differs from what was written'
  WHEN d.object_id IS NULL AND o.action = 'same' AND o.role = '' AND t.size <> o.size THEN 'size differs'
  WHEN d.object_id IS NULL AND o.action = 'same' AND o.role = '' AND t.etag IS NOT o.target_etag
  THEN 'differs from what was there while planning'
  WHEN d.object_id IS NULL AND o.action <> 'same' THEN 'not migrated yet' END AS what
FROM objects o LEFT JOIN there t ON t.key = o.target LEFT JOIN done d ON d.object_id = o.id
WHERE o.action <> 'skip' AND what IS NOT NULL
  AND (o.role <> 'version-hint' OR :cut_over)
"""
_TOTALS = """
SELECT count(*), total(CASE WHEN d.object_id IS NOT NULL THEN d.size
  WHEN o.action = 'same' AND o.role <> '' THEN t.size ELSE o.size END), count(t.key), total(t.size)
FROM objects o LEFT JOIN there t ON t.key = o.target LEFT JOIN done d ON d.object_id = o.id
WHERE o.action IN ('copy', 'overwrite', 'same', 'rewrite') AND o.target >= ? AND o.target < ?
"""


class Verifier:
    """Verifies one plan against the target as it is now."""

    def __init__(self, plan: PlanFile, store: Store, catalogs: Mapping[str, Catalog], progress: Progress) -> None:
        self._plan = plan
        self._store = store
        self._catalogs = catalogs
        self._progress = progress
        self._layout = plan.layout
        self._journal = Journal(plan)
        self._rows = TableRows(plan, store, self._journal, progress)

    def verify(self, *, deep: bool = False, listed: bool = False) -> Verification:
        """Check everything. ``deep`` also reads every row and every copied byte, and compares them with the old
        buckets as far as these still exist. ``listed``: the target was listed (:func:`list_target`) after the last
        write. Raises only if the target or a catalog cannot be reached."""
        waiting = any(needs_cutover(table) for table in self._plan.tables())
        result = Verification(cut_over=not waiting or self._journal.has(CUTOVER_DONE), late=self._left_behind())
        if not listed:
            list_target(self._plan, self._store, self._progress)
        result.prefixes = self._prefix_totals()
        result.checks.append(self._check_objects(cut_over=result.cut_over))
        if has_versions(self._plan):
            result.checks += self._check_versions(cut_over=result.cut_over, deep=deep)
        if deep:
            result.checks.append(self._check_contents())
        result.checks += self._check_tables(self._current_pointers(result), deep=deep)
        result.unregistered = unregistered_tables(self._plan.tables(), self._registered())
        return result

    def count_old_rows(self, journal: Journal, accept: Collection[str] = ()) -> None:
        """Before the cutover: count each table's rows in the old place. ``accept``: codes of
        :data:`migrator.findings.AT_MIGRATION` that need not stop it.

        Raises MigrationFailed if the old tables cannot be read.
        """
        self._rows.take_baselines(self._moved_tables(), journal, accept)

    def compare_tables(self) -> list[Check]:
        """Before the cutover: is every object there as it was written? Compare the tables at the target with the rows
        that were counted, file by file and snapshot by snapshot. The target must have been listed just before
        (:func:`migrator.target.compare.list_target`)."""
        objects = self._check_objects(cut_over=False)
        return [objects, *self._check_tables({t.id: t.new_metadata or "" for t in self._moved_tables()}, deep=False)]

    def _moved_tables(self) -> list[PlannedTable]:
        return [t for t in self._plan.tables() if t.new_metadata is not None and t.state != MIGRATED]

    def _registered(self) -> list[str]:
        """The metadata location of every table that the catalogs name now."""
        if all(table.catalog is not None for table in self._plan.tables()):
            return []
        return [named.metadata_location for catalog in self._catalogs.values() for named in _tables_of(catalog)]

    def _left_behind(self) -> SourceChanges | None:
        """What the cutover left behind in the old buckets, if it did."""
        if not self._journal.has(CUTOVER_DONE):
            return None
        late: SourceChanges | None = None
        for event in self._journal.events():
            if event["event"] == LATE:  # the last one before the cutover
                late = SourceChanges(event["added"], event["changed"], event["removed"], event["examples"])
            elif event["event"] == STARTED:
                late = None
            elif event["event"] == CUTOVER_DONE:
                break
        return late

    # -- objects -------------------------------------------------------------------------------------

    def _prefix_totals(self) -> list[PrefixTotal]:
        totals = []
        for prefix in self._layout.target_prefixes:
            low, high = keys_under(prefix)
            row = self._plan.db.execute(_TOTALS, (low, high)).fetchone()
            totals.append(PrefixTotal(low, row[0], int(row[1]), row[2], int(row[3])))
        return totals

    def _check_objects(self, *, cut_over: bool) -> Check:
        check = Check("every object of the plan is at the target", "objects")
        query = "SELECT count(*) FROM objects WHERE action <> 'skip' AND (role <> 'version-hint' OR ?)"
        (check.checked,) = self._plan.db.execute(query, (cut_over,)).fetchone()
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

        def compare(pair: tuple[PlannedVersion, VersionThere]) -> bool | str:
            old, new = pair
            # A version never changes, but "null" stands for whichever was written last without one.
            etag = old.etag if old.version_id == "null" else None
            digest = self._store.sha256(self._layout.target_bucket, new.key, new.version_id)
            return self._same_as_old(digest, old.bucket, old.key, old.version_id, etag)

        with self._progress.stage("comparing older versions", objects=count, size=int(size)) as stage:
            plain = (pair for pair in pairs if not pair[0].marker)
            for outcome in run_in_threads(compare, plain, workers=self._store.concurrency):
                stage.advance(1, outcome.item[0].size)
                _judge(check, outcome, f"{outcome.item[0].place}: its bytes differ at the target")
        return check

    def _check_contents(self) -> Check:
        """Byte hashes of every copied object, compared with its source, as long as that is what was planned."""
        check = Check("copied objects are the same byte for byte", "objects")
        where = "action IN ('copy', 'overwrite', 'same') AND role = ''"
        count, size = self._plan.db.execute(f"SELECT count(*), total(size) FROM objects WHERE {where}").fetchone()

        def compare(planned: PlannedObject) -> bool | str:
            digest = self._store.sha256(self._layout.target_bucket, planned.target or "")
            return self._same_as_old(digest, planned.bucket, planned.key, None, planned.etag)

        with self._progress.stage("comparing bytes", objects=count, size=int(size)) as stage:
            for outcome in run_in_threads(compare, self._plan.objects(where), workers=self._store.concurrency):
                stage.advance(1, outcome.item.size)
                _judge(check, outcome, f"s3://{self._layout.target_bucket}/{outcome.item.target}: bytes differ")
        return check

    def _same_as_old(self, digest: str, bucket: str, key: str, version_id: str | None, etag: str | None) -> bool | str:
        """Has the object in the old bucket this digest? Or why it cannot be compared."""
        if gone := self._rows.old_bucket(bucket):
            return gone
        read = self._rows.old.read(partial(self._store.sha256, bucket, key, version_id, etag=etag))
        return read.result == digest if read.error is None else refusal(read.error)

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
                check.skip("not cut over yet: the tables are read from their planned metadata")
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
                    _trouble(files, f"{table.identifier}: {error}", error)
                self._rows.check(table, uri, rows, contents if deep else None)
                stage.advance(1)
        return [files, old, rows] + ([contents] if deep else [])

    def _check_view(self, table: PlannedTable, uri: str, files: Check, old: Check) -> None:
        """A view's own paths; what its SQL mentions was reported by the plan and stays as it is."""
        files.checked += 1
        try:
            view = read_view(self._get(uri), uri)
        except MigratorError as error:
            _trouble(files, f"{table.identifier}: {error}", error)
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

    # -- reading -------------------------------------------------------------------------------------

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
        for outcome in run_in_threads(self._get, uris, workers=READERS):
            files.checked += 1
            if isinstance(outcome, Failed) and isinstance(outcome.error, NotFound) and not strict:
                files.notes.append(f"{outcome.item} is missing, as it was before: no catalog names its table")
            elif isinstance(outcome, Failed):
                _trouble(files, f"{outcome.item}: {outcome.error}", outcome.error)
            else:
                yield outcome.item, outcome.result


def _never(_: PlannedVersion, __: VersionThere) -> bool:
    return False


def _always(_: PlannedVersion, __: VersionThere) -> bool:
    return True


def _trouble(check: Check, message: str, error: MigratorError) -> None:
    """Something at the target cannot be read: for good, or because the server refuses at this moment."""
    report = check.error if is_transient(error) else check.fail
    report(f"! {message}")


def _judge(check: Check, outcome: Any, difference: str) -> None:
    """Note the outcome of one comparison of bytes."""
    if isinstance(outcome, Failed):
        _trouble(check, str(outcome.error), outcome.error)
    elif isinstance(outcome.result, str):
        check.skip(outcome.result)
    else:
        check.checked += 1
        if not outcome.result:
            check.fail(f"* {difference}")


def _tables_of(catalog: Catalog) -> list[CatalogTable]:
    try:
        return catalog.tables()
    except (NotFound, Unreachable):  # the bucket of a Hadoop warehouse, or its server, may be gone by now
        return []
