"""The order of a repair: look for tables at the target that name old places, copy what they name, commit.

A compare-and-swap of a table's pointer does not stop an engine that has the table in its cache: it writes its files to
the old place, and commits them to the table at the target (issue 14). Such a table can be read until the old buckets
are deleted. The repair writes new metadata in which every snapshot names the target, with one more snapshot that says
so.
"""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from migrator._version import __version__
from migrator.catalogs import Repoint
from migrator.catalogs.base import VIEW
from migrator.cutover.hints import point_hint_to
from migrator.cutover.places import CUT_OVER, NEWER, TablePlace, find_places
from migrator.errors import MigrationFailed, MigratorError, Occupied
from migrator.iceberg.metadata import metadata_version, read_metadata, rewrite_metadata
from migrator.iceberg.replace_snapshot import add_replace_snapshot
from migrator.layout import Location
from migrator.planfile.journal import CUTOVER_DONE, REPAIRED
from migrator.planfile.objects import object_named
from migrator.planfile.rows import SKIP
from migrator.repair.stale_files import StaleFiles, find_stale_files, is_old
from migrator.rewriting.measured_files import JournalledFiles
from migrator.rewriting.table_mover import KnownFile, Moved, TableMover, place_in_s3, with_suffix
from migrator.run import Run
from migrator.store import Content
from migrator.target.lease import lease
from migrator.verifying.same_rows import check_same_rows

SUFFIX = "-repaired"
"""Ends the name, before the extension, of the new version of a file that names the old place."""
TAG = "before-migrator-repair-{}"
"""The tag of the snapshot before the repair; with its id."""


@dataclass
class RepairedTable:
    """One table that named, or names, old places."""

    table: str
    snapshots: list[str]
    """The snapshots that name them: id, time, and the writer if known."""
    old_paths: int
    """How many old paths are named."""
    examples: list[str]
    metadata: str
    """The metadata file that names them."""
    new_metadata: str | None = None
    """The metadata file that names copies at the target; None if nothing was changed yet."""
    snapshot_id: int | None = None
    """The snapshot that the repair has committed; None if the current one named no old place."""
    tag: str | None = None
    copied: int = 0
    copied_bytes: int = 0
    rewritten: int = 0
    not_compared: str = ""
    """Why the rows before and after the repair were not compared; empty if they were."""
    trouble: str = ""
    """Why it could not be repaired; empty if it was, or if nothing was tried."""


@dataclass
class Repair:
    """What a repair found and did."""

    changed: bool
    """False if nothing was to be changed."""
    checked: int = 0
    """Tables that were changed since the cutover, and were read."""
    tables: list[RepairedTable] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """True if no table names an old place any more."""
        return all(table.new_metadata is not None and not table.trouble for table in self.tables)

    def to_json(self) -> dict[str, Any]:
        """The keys and values of ``migrator repair --json``, without the plan's path."""
        tables = [asdict(table) for table in self.tables]
        return {"ok": self.ok, "changed": self.changed, "checked": self.checked, "tables": tables}


def repair_tables(run: Run, *, change: bool) -> Repair:
    """Repair every table that this plan has cut over and that names old places since.

    ``change`` False: only find them. If a table cannot be repaired, the others still are: see ``trouble``. May be
    repeated after any interruption. Raises MigrationFailed if the plan is not cut over, PlanBusy if another run holds
    the target.
    """
    if not run.journal.has(CUTOVER_DONE):
        run.guard.check_not_superseded()
        raise MigrationFailed(
            f"{run.plan.path} is not cut over: there is nothing to repair.", next_move="Run migrator migrate first."
        )
    if not change:
        return _repair(run, change=False)
    with lease(run.store, run.layout.target_bucket, run.plan.path):
        return _repair(run, change=True)


def _repair(run: Run, *, change: bool) -> Repair:
    places = [p for p in find_places(run) if p.place in (NEWER, CUT_OVER) and p.table.kind != VIEW]
    result = Repair(changed=change, checked=len(places))
    with run.progress.stage("reading tables", objects=len(places), unit="tables") as stage:
        for place in places:
            if (found := _look(run, place, change=change)) is not None:
                result.tables.append(found)
            stage.advance(1)
    return result


def _look(run: Run, place: TablePlace, *, change: bool) -> RepairedTable | None:
    """Look at one table, and repair it if ``change``. None if it names no old place."""
    uri = place.metadata or ""
    report = RepairedTable(place.table.identifier, [], 0, [], uri)
    try:
        at = place_in_s3(uri)
        data = run.store.get(at.bucket, at.key).data
        stale = find_stale_files(run, uri, data)
        if not stale.count:
            return None
        report.snapshots = [str(snapshot) for snapshot in stale.snapshots]
        report.old_paths, report.examples = stale.count, stale.examples
        if change:
            _commit(run, place, data, stale, report)
    except Occupied as error:  # its next move may be about the options of relocate
        report.trouble = f"{error.message} Move that object away, and run the same command again."
    except MigratorError as error:
        report.trouble = f"{error.message} {error.next_move}".strip()
    return report


class _ToTheTarget:
    """The route of the files that name the old place; see :class:`migrator.rewriting.table_mover.Route`."""

    def __init__(self, run: Run, stale: StaleFiles) -> None:
        self._run, self._layout, self._stale = run, run.layout, stale
        self._measured = JournalledFiles(run.plan, run.store)

    def source(self, path: str) -> Location | None:
        """Where the object of a path is now."""
        return self._layout.place_of(path)

    def new_path(self, path: str) -> str | None:
        """The path at the target. A file there that must be written anew gets another name."""
        new = self._layout.map_uri(path) or path
        return with_suffix(new, SUFFIX) if path in self._stale.rewritten else new

    def known(self, path: str) -> KnownFile | None:
        """Files that name no old place stay where they are; files that the plan has moved are at the target."""
        if path in self._stale.rewritten:
            return None
        if not is_old(self._layout, path):
            return KnownFile(None)
        planned = object_named(self._run.plan, path)
        if planned is None or planned.action == SKIP:  # another wave moves it
            return None
        return KnownFile(self._measured.length_of(path, path), self._measured.delete_file(path))

    def rewritten(self, paths: Sequence[str]) -> None:
        """The names are known already."""


def _commit(run: Run, place: TablePlace, data: bytes, stale: StaleFiles, report: RepairedTable) -> None:
    """Copy and rewrite what names the old place, write new metadata, and swap the pointer to it."""
    uri, route, moved = report.metadata, _ToTheTarget(run, stale), Moved()
    mover = TableMover(run.store, uri, data, route, moved, run.progress)
    mover.move_files(uri)
    report.copied, report.copied_bytes, report.rewritten = moved.copied, moved.copied_bytes, moved.rewritten
    rewritten = rewrite_metadata(data, route.new_path, uri)
    new = _next_metadata(uri)
    rewritten = _with_snapshot(run, stale, report, rewritten)
    report.not_compared = _compare(run, stale, report, new, rewritten)
    mover.move_metadata_log()
    report.rewritten = moved.rewritten
    run.store.put(new.bucket, new.key, Content(rewritten, ""), replace=False)
    table = place.table
    if place.stored and table.catalog is not None:
        run.catalogs[table.catalog].repoint([Repoint(table.namespace, table.name, uri, new.uri, table.kind)], [])
    else:
        point_hint_to(run.store, table.identifier, new)
    report.new_metadata = new.uri
    pointers = {report.table: {"old": uri, "new": new.uri}}
    run.journal.event(REPAIRED, pointers=pointers, files=moved.copied + moved.rewritten, tag=report.tag)


def _compare(run: Run, stale: StaleFiles, report: RepairedTable, new: Location, data: bytes) -> str:
    """Each snapshot that named the old place has the same number of rows by the new metadata, as pyiceberg counts them.
    Returns why that was not compared. Raises MigrationFailed if the numbers differ."""
    if stale.in_deletes:
        return "deletes that named old paths take effect now"
    both = (report.metadata, "before the repair"), (new.uri, "after it")
    return check_same_rows(run.store, report.table, stale.snapshots, *both, data)


def _with_snapshot(run: Run, stale: StaleFiles, report: RepairedTable, data: bytes) -> bytes:
    """The metadata with one more snapshot, if the current one named the old place; else as it is."""
    uri, metadata = report.metadata, read_metadata(data, report.metadata)
    named = {snapshot.snapshot_id for snapshot in stale.snapshots} & {metadata.current_snapshot_id}
    current = next((snapshot for snapshot in metadata.snapshots if snapshot.snapshot_id in named), None)
    if current is None or current.manifest_list is None:
        return data
    report.snapshot_id, report.tag = secrets.randbits(62) | 1, TAG.format(current.snapshot_id)
    # A new manifest list: engines delete the list of the snapshot before when that snapshot expires.
    at = place_in_s3(current.manifest_list)
    own = f"{current.manifest_list.rpartition('/')[0]}/snap-{report.snapshot_id}-1-{uuid.uuid4()}.avro"
    to = place_in_s3(own)
    run.store.put(to.bucket, to.key, run.store.get(at.bucket, at.key), replace=False)
    return add_replace_snapshot(
        data,
        uri,
        snapshot_id=report.snapshot_id,
        timestamp_ms=time.time_ns() // 1_000_000,
        manifest_list=own,
        tag=report.tag,
        summary={"migrator.repair": f"files in old buckets, copied by migrator {__version__}"},
        log=(metadata.last_updated_ms, uri),
    )


def _next_metadata(uri: str) -> Location:
    """The name of the next metadata file in the same folder, as engines would choose it."""
    at = place_in_s3(uri)
    folder, _, name = at.key.rpartition("/")
    version, (_, dot, extension) = (metadata_version(name) or 0) + 1, name.partition(".")
    is_hadoop = name.startswith("v") and metadata_version(name) is not None
    stem = f"v{version}" if is_hadoop else f"{version:05d}-{uuid.uuid4()}"
    return Location(at.scheme, at.bucket, f"{folder}/{stem}{dot}{extension}")
