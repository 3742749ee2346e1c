"""Checks the files, paths and rows of each table at the target. Every file that its metadata names is compared with the
listing of the target, no old path may be left in it, and every snapshot must have the same rows as before."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing

from migrator.catalogs.base import VIEW
from migrator.concurrency.threads import Failed, run_in_threads
from migrator.errors import MigratorError, NotFound, Unreadable
from migrator.iceberg.deletes import delete_paths
from migrator.iceberg.manifests import DELETED, POSITION_DELETES, Entry
from migrator.iceberg.metadata import Snapshot, map_property, paths_in, read_metadata
from migrator.iceberg.views import read_view
from migrator.inventory.listing import Listing
from migrator.inventory.table_files import READERS, BrokenFile, SourceFile, open_at, read_lists, read_manifests
from migrator.layout import Location
from migrator.planfile.file import PlanFile
from migrator.planfile.queries import SAME_AS_SOURCE
from migrator.planfile.rows import PlannedTable
from migrator.progress import Progress
from migrator.store import Store
from migrator.verifying.checks import Check, note_unreadable
from migrator.verifying.rows import TableRows

_SUMMARY = re.compile(r"snapshots\[\d+\]\.summary\.")


def check_tables(
    plan: PlanFile, store: Store, rows: TableRows, pointers: Mapping[int, str], progress: Progress, *, deep: bool
) -> list[Check]:
    """Check the tables and views whose metadata files are ``pointers``, table id → URI. ``deep`` compares every row of
    every snapshot, too. The target must be listed."""
    files = Check("every file that a table refers to is there, with the recorded size", "files")
    old_paths = Check("no old path is left in metadata, manifests or position deletes", "paths")
    counts = Check("every snapshot read through pyiceberg has the rows it had", "snapshots")
    contents = Check("every row of every snapshot is the same", "rows")
    tables = [table for table in plan.tables() if table.id in pointers]
    with (
        progress.stage("verifying tables", objects=len(tables), unit="tables") as stage,
        closing(rows.read_ahead((table, pointers[table.id]) for table in tables if table.kind != VIEW)) as counted,
    ):
        for table in tables:
            uri = pointers[table.id]
            checker = _TableFiles(plan, store, table, files, old_paths)
            try:
                if table.kind == VIEW:
                    checker.check_view(uri)
                else:
                    checker.check(uri)
            except MigratorError as error:
                note_unreadable(files, f"{table.identifier}: {error}", error)
            if table.kind != VIEW:
                rows.check(next(counted), uri, counts, contents if deep else None)
            stage.advance(1)
    return [files, old_paths, counts] + ([contents] if deep else [])


class _TableFiles:
    """Checks the files of one table or view at the target."""

    def __init__(self, plan: PlanFile, store: Store, table: PlannedTable, files: Check, old_paths: Check) -> None:
        self._plan = plan
        self._store = store
        self._layout = plan.layout
        self._listing = Listing(plan.db)
        self._table = table
        self._files = files
        self._old_paths = old_paths
        self._strict = table.catalog is not None
        """False for a table that no catalog names: its missing files were missing before, and are in the plan's
        findings."""
        self._accepted = "size-differs" in json.loads(table.problems)
        """True if recorded sizes were wrong before, and that was accepted."""
        self._spans = "spanning-table" in json.loads(table.problems)
        """True if the table has data files that a rule leaves in old buckets, and that was accepted."""
        self._resized = 0
        self._snapshots: dict[str, Snapshot] = {}
        """Manifest list or manifest → the first snapshot that has it: the snapshot that wrote it."""

    def check_view(self, uri: str) -> None:
        """Check the paths of a view. Its SQL stays as it is: the plan has reported the paths that it mentions."""
        self._files.checked += 1
        view = read_view(self._get(uri), uri)
        properties = ((f"properties.{key}", value) for key, value in view.properties.items())
        for label, value in (("location", view.location), *properties):
            if self._must_have_moved(label, value):
                self._check_path(value, f"{uri} {label}")

    def check(self, uri: str) -> None:
        """Check the metadata file at ``uri``, and its manifest lists, manifests, data files and delete files.

        Raises MigratorError for what cannot be read.
        """
        data = self._get(uri)
        for label, value in paths_in(data, uri):
            if self._must_have_moved(label, value):
                self._check_path(value, f"{uri} {label}")
        metadata = read_metadata(data, uri)
        lists = [s.manifest_list for s in metadata.snapshots if s.manifest_list]
        manifests: dict[str, int | None] = {m: None for s in metadata.snapshots for m in s.manifests}
        self._snapshots = {s.manifest_list: s for s in metadata.snapshots if s.manifest_list}
        for read in read_lists(lists, self._open):
            self._files.checked += 1
            if isinstance(read, BrokenFile):
                self._note_broken(read)
                continue
            for manifest in read.manifests:
                self._check_path(manifest.path, read.path)
                manifests[manifest.path] = manifest.length
                writers = (self._snapshots[read.path], self._snapshots.get(manifest.path, self._snapshots[read.path]))
                self._snapshots[manifest.path] = min(writers, key=lambda snapshot: snapshot.timestamp_ms)
        with closing(sqlite3.connect("")) as deletes:  # on disk if it grows: a table may have millions of them
            deletes.execute("CREATE TABLE deletes (path TEXT PRIMARY KEY) WITHOUT ROWID")
            self._check_manifests(manifests, deletes)
            self._check_deletes(path for (path,) in deletes.execute("SELECT path FROM deletes ORDER BY path"))
        if self._resized:
            message = "have another size than their manifests record, as before [size-differs, accepted]"
            self._files.notes.append(f"{self._table.identifier}: {self._resized} files {message}")

    def _check_manifests(self, manifests: Mapping[str, int | None], deletes: sqlite3.Connection) -> None:
        """Check manifests, path → recorded length, and what they name. Files of position deletes go to ``deletes``."""
        for read in read_manifests(manifests, self._open):
            self._files.checked += 1
            if isinstance(read, BrokenFile):
                self._note_broken(read)
                continue
            recorded = manifests[read.path]
            if recorded is not None and recorded != read.size:
                self._files.fail(f"* {read.path}: {read.size} bytes, its list records {recorded}")
            try:
                for entry in read.entries:
                    self._check_entry(entry, read.path)
                    if entry.status != DELETED and entry.content == POSITION_DELETES:
                        deletes.execute("INSERT OR IGNORE INTO deletes VALUES (?)", (entry.path,))
            except Unreadable as error:
                self._note_broken(BrokenFile(read.path, error))

    def _check_deletes(self, paths: Iterable[str]) -> None:
        """Check the paths in the rows of these files of position deletes."""
        for path, data in self._read(paths):
            try:
                for value in delete_paths(data, path):
                    self._check_path(value, path)
            except Unreadable as error:
                self._note_broken(BrokenFile(path, error))

    def _check_entry(self, entry: Entry, manifest: str) -> None:
        self._check_path(entry.path, manifest)
        if entry.referenced_data_file is not None:
            self._check_path(entry.referenced_data_file, manifest)
        if entry.status != DELETED:
            size = self._size_before(entry.path, entry.size) if self._accepted else entry.size
            self._resized += size != entry.size
            self._check_file(entry.path, size)

    def _check_path(self, path: str, place: str) -> None:
        self._old_paths.checked += 1
        if self._layout.is_source(path) and not self._stays(path):
            writer = self._snapshots.get(place)
            self._old_paths.fail(f"* {place}: {path}" + (f", written by {writer}" if writer else ""))

    def _stays(self, path: str) -> bool:
        """True for a data file that was left in its old bucket on purpose."""
        return self._spans and self._layout.stays(path)

    def _must_have_moved(self, label: str, value: str) -> bool:
        """False for texts that are not rewritten: summaries, and properties that only mention a path. The plan reported
        them."""
        if label.startswith("properties."):
            return map_property(value, self._layout.map_uri) is not None
        return not _SUMMARY.match(label) and self._layout.map_uri(value) is not None

    def _size_before(self, uri: str, recorded: int) -> int:
        """The size that a copied file had in the old place, even if its manifest records another one."""
        at = Location.parse(uri)
        query = f"SELECT size FROM objects WHERE target = ? AND {SAME_AS_SOURCE}"
        row = at and self._plan.db.execute(query, (at.key,)).fetchone()
        return int(row[0]) if row else recorded

    def _check_file(self, uri: str, size: int) -> None:
        """Compare a live data or delete file with the listing of the target."""
        at = Location.parse(uri)
        self._files.checked += 1
        if at is None or (at.bucket != self._layout.target_bucket and not self._stays(uri)):
            self._files.fail(f"* {uri} lies outside the target")
            return
        if at.bucket == self._layout.target_bucket:
            present = self._listing.size(at.key, at.collapsed.key)
        else:
            found = self._store.find(at.bucket, at.key)
            present = found.size if found is not None else None
        if present is None:
            if self._strict:
                self._files.fail(f"- {uri}: missing")
            else:
                self._note_missing(uri)
        elif present != size and self._strict:
            self._files.fail(f"* {uri}: {present} bytes, its manifest records {size}")

    def _note_missing(self, uri: str) -> None:
        self._files.notes.append(f"{uri} is missing, as it was before: no catalog names its table")

    # -- reading -------------------------------------------------------------------------------------

    def _get(self, uri: str) -> bytes:
        """The bytes of an object at the target. Raises NotFound for a path that is not in S3, too."""
        with self._open(uri).file as file:
            return file.read()

    def _open(self, uri: str) -> SourceFile:
        """Open the file of a path at the target. Raises NotFound for a path that is not in S3, too."""
        return open_at(self._store, uri, Location.parse(uri))

    def _read(self, uris: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Yield (URI, bytes) for those that can be read; the others fail the check."""
        for outcome in run_in_threads(self._get, uris, workers=READERS):
            self._files.checked += 1
            if isinstance(outcome, Failed):
                self._note_broken(BrokenFile(outcome.item, outcome.error))
            else:
                yield outcome.item, outcome.result

    def _note_broken(self, broken: BrokenFile) -> None:
        """Fail the check for a file that cannot be read, unless it was missing before."""
        if isinstance(broken.error, NotFound) and not self._strict:
            self._note_missing(broken.path)
            return
        about = self._table.identifier if isinstance(broken.error, Unreadable) else broken.path
        note_unreadable(self._files, f"{about}: {broken.error}", broken.error)
