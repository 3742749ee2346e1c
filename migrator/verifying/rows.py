"""Checks that the tables still have the same rows.

pyiceberg reads them, snapshot by snapshot, in the old and in the new place. The result for the old place is the
baseline: it is taken before the cutover and stored in the plan's journal, so that the target can be compared with it
when the old buckets are gone. A baseline is only written if the old table was read correctly: after a temporary error
of the old place, the run stops.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from migrator.catalogs.base import TABLE
from migrator.errors import MigrationFailed, first_lines
from migrator.findings import UNREADABLE_BEFORE
from migrator.layout import Location
from migrator.planfile.file import PlanFile
from migrator.planfile.journal import UNOPENED, Baseline, Journal
from migrator.planfile.objects import object_named
from migrator.planfile.rows import MIGRATED, PlannedTable
from migrator.progress import Progress
from migrator.store import Store
from migrator.verifying.checks import Check
from migrator.verifying.old_buckets import OldBuckets
from migrator.verifying.opening import TableOpener
from migrator.verifying.pyiceberg_reader import digest_rows
from migrator.verifying.row_counts import CountedTable, Job, count_ahead
from migrator.verifying.unreadable import CHANGED, TRANSIENT, UNSUPPORTED, Reader, Trouble

if TYPE_CHECKING:
    from pyiceberg.table import Table

Baselines = Mapping[int, Baseline]

NEWER = "written at the target after planning"
LIVED_THERE = "the table lived at the target already when the plan was made; --deep compares with its old place"
NO_OLD_METADATA = "the table lived at the target already, and none of its old metadata files is in the plan"

_BROKEN = {"missing-object", "size-differs", "unreadable", "uncatalogued-broken"}
"""Findings of a plan that a table cannot be read completely. If they do not block the plan, the user has accepted
them."""


class TableRows:
    """Takes baselines, and compares the tables at the target with them."""

    def __init__(self, plan: PlanFile, store: Store, journal: Journal, old: OldBuckets, progress: Progress) -> None:
        self._plan = plan
        self._store = store
        self._journal = journal
        self._old = old
        self._progress = progress
        self._new = Reader()
        self._opener = TableOpener(plan, store)
        self._unchanged: dict[str, bool] = {}

    # -- before the cutover --------------------------------------------------------------------------

    def take_baselines(self, tables: Iterable[PlannedTable], journal: Journal, accept: Collection[str]) -> None:
        """Count the rows of every snapshot in the old place, unless that was done before.

        Raises MigrationFailed if the old place cannot be read now, or if a file of a table is missing or malformed
        there and ``accept`` does not contain "unreadable-before".
        """
        broken: list[str] = []
        wanted = [t for t in tables if t.state != MIGRATED and t.kind == TABLE]
        snapshots = sum(table.snapshots or 0 for table in wanted)
        with (
            self._progress.stage("reading the old tables", objects=snapshots, unit="snapshots") as stage,
            closing(count_ahead(self._jobs(wanted, journal, stage), self._old.reader)) as counted,
        ):
            for each in counted:
                table = each.table
                tolerated = UNREADABLE_BEFORE in accept or table.catalog is None or bool(_known_broken(table))
                for snapshot, trouble in self._take(each, journal, stage):
                    if trouble.kind == UNSUPPORTED:
                        journal.baseline(table.id, snapshot, Baseline(trouble=trouble.reason))
                    elif tolerated:
                        reason = f"unreadable in the old place: {trouble.reason}"
                        journal.baseline(table.id, snapshot, Baseline(trouble=reason))
                    else:
                        broken.append(f"{_place(table, snapshot)}: {trouble.message}")
        if broken:
            raise _unreadable_before(broken)

    def _jobs(self, tables: Iterable[PlannedTable], journal: Journal, stage: Progress) -> Iterator[Job]:
        """The tables to count in the old place. Tables that pyiceberg could not open in an earlier run are left out."""
        for table in tables:
            known = journal.baselines(table.id)
            if UNOPENED in known:
                stage.advance(table.snapshots or 0)
            else:
                yield Job(table, partial(self._opener.open_old, self._old.reader, table.old_metadata), known)

    @staticmethod
    def _take(counted: CountedTable, journal: Journal, stage: Progress) -> list[tuple[int, Trouble]]:
        """Record the rows of the snapshots without a baseline; return those that cannot be read. UNOPENED stands for
        the table itself."""
        table, opened = counted.table, counted.opened
        if opened.result is None:
            assert opened.trouble is not None
            if opened.trouble.kind == TRANSIENT:
                raise _stopped(table, table.old_metadata, opened.trouble)
            stage.advance(table.snapshots or 0)
            return [(UNOPENED, opened.trouble)]
        troubles = []
        journal.keep_baselines(table.id, [s.snapshot_id for s in opened.result.metadata.snapshots])
        for snapshot in opened.result.metadata.snapshots:
            number = snapshot.snapshot_id
            if number in counted.known:
                stage.advance(1)
                continue
            count = counted.rows(number)
            if count.trouble is None:
                journal.baseline(table.id, number, Baseline(count.result))
            elif count.trouble.kind == TRANSIENT:
                raise _stopped(table, f"{_place(table, number)} ({snapshot.manifest_list})", count.trouble)
            else:
                troubles.append((number, count.trouble))
            stage.advance(1)
        return troubles

    # -- the target ----------------------------------------------------------------------------------

    def read_ahead(self, places: Iterable[tuple[PlannedTable, str]]) -> Generator[CountedTable, None, None]:
        """Open each table at its URI and count its rows, in order, before :meth:`check` needs them. Close it."""
        jobs = (Job(table, partial(self._new.read, partial(self._opener.open, uri))) for table, uri in places)
        return count_ahead(jobs, self._new)

    def check(self, counted: CountedTable, uri: str, rows: Check, contents: Check | None) -> None:
        """Compare every snapshot of the table at ``uri`` with the old place: the number of its rows; with
        ``contents``, also the rows themselves, as far as the old buckets are there or were read before."""
        table, opened = counted.table, counted.opened
        baselines = self._journal.baselines(table.id)
        if opened.result is None:
            assert opened.trouble is not None
            self._unopened(table, uri, opened.trouble, baselines.get(UNOPENED), rows)
            return
        snapshots = [s.snapshot_id for s in opened.result.metadata.snapshots]
        if uri == table.new_metadata and table.state != MIGRATED:
            for lost in sorted(baselines.keys() - {UNOPENED, *snapshots}):
                rows.fail(f"- {_place(table, lost)}: missing")
        whys = dict.fromkeys(snapshots, _why_unknown(table, baselines))
        if contents is not None:
            whys |= self._take_digests(table, opened.result)
            baselines = self._journal.baselines(table.id)
        for snapshot in snapshots:
            why = whys[snapshot]
            readable = self._check_count(counted, snapshot, baselines.get(snapshot), why, rows)
            if contents is not None and readable:
                self._check_content(table, opened.result, snapshot, baselines.get(snapshot), why, contents)

    @staticmethod
    def _unopened(table: PlannedTable, uri: str, trouble: Trouble, before: Baseline | None, rows: Check) -> None:
        message = f"! {table.identifier}: pyiceberg cannot open {uri} ({trouble.message})"
        if trouble.kind == TRANSIENT:
            rows.error(message)
        elif before is not None:
            rows.skip(before.trouble or trouble.reason, table.snapshots or 1)
        elif trouble.kind == UNSUPPORTED or _known_broken(table):
            rows.skip(trouble.reason, table.snapshots or 1)
        else:
            rows.fail(message)

    def _check_count(
        self, counted: CountedTable, snapshot: int, before: Baseline | None, why: str, rows: Check
    ) -> bool:
        """Compare one snapshot's row count with the old place's. True if the snapshot can be read here."""
        table, count = counted.table, counted.rows(snapshot)
        place = _place(table, snapshot)
        if count.trouble is not None:
            self._uncounted(table, place, count.trouble, before, rows)
            return False
        if before is None:
            rows.skip(why)
        elif before.rows is None:
            rows.skip(before.trouble or "not counted in the old place")
        else:
            rows.checked += 1
            if before.rows != count.result:
                rows.fail(f"* {place}: {count.result} rows, {before.rows} in the old place")
        return True

    @staticmethod
    def _uncounted(table: PlannedTable, place: str, trouble: Trouble, before: Baseline | None, rows: Check) -> None:
        """Note a snapshot that cannot be read at the target: as a difference, an error, or not compared."""
        if trouble.kind == TRANSIENT:
            rows.error(f"! {place}: {trouble.message}")
        elif before is not None and before.rows is None:
            rows.skip(before.trouble or trouble.reason)
        elif before is None and trouble.kind == UNSUPPORTED:
            rows.skip(trouble.reason)
        elif before is None and _known_broken(table):
            rows.skip("the plan found the table broken already")
        else:
            rows.fail(f"! {place}: {trouble.message}")

    def _check_content(
        self,
        table: PlannedTable,
        opened: Table,
        snapshot: int,
        before: Baseline | None,
        why: str,
        contents: Check,
    ) -> None:
        read = self._new.read(partial(digest_rows, opened, snapshot))
        if read.result is None:
            assert read.trouble is not None
            report = contents.error if read.trouble.kind == TRANSIENT else contents.fail
            report(f"! {_place(table, snapshot)}: {read.trouble.message}")
            return
        count, digest = read.result
        if before is None or before.digest is None:
            contents.skip((before and before.trouble) or why, count)
            return
        contents.checked += count
        if digest != before.digest:
            contents.fail(f"* {_place(table, snapshot)}: the rows differ from those in the old place")

    # -- the old place, for --deep -------------------------------------------------------------------

    def _take_digests(self, table: PlannedTable, new: Table) -> dict[int, str]:
        """Read the rows of every snapshot in the old place, unless that was done before. Returns why some could not be
        read: snapshot → reason."""
        known = self._journal.baselines(table.id)
        wanted = [s.snapshot_id for s in new.metadata.snapshots]
        wanted = [number for number in wanted if (before := known.get(number)) is None or before.digest is None]
        if not wanted:
            return {}
        uri = table.old_metadata if table.state != MIGRATED else self._old_metadata(new)
        if uri is None:
            return dict.fromkeys(wanted, NO_OLD_METADATA)
        at = self._plan.layout.place_of(uri)
        if at is not None and (gone := self._old.gone(at.bucket)):
            return dict.fromkeys(wanted, gone)
        opened = self._opener.open_old(self._old.reader, uri)
        if opened.result is None:
            assert opened.trouble is not None
            return dict.fromkeys(wanted, _old_reason(opened.trouble))
        old = opened.result
        there = {s.snapshot_id for s in old.metadata.snapshots}
        return {number: self._take_digest(table, old, number) if number in there else NEWER for number in wanted}

    def _take_digest(self, table: PlannedTable, old: Table, snapshot: int) -> str:
        """Read one snapshot in the old place and store its digest. Returns why that is not possible, or ""."""
        as_planned = self._old.reader.read(partial(self._as_planned, old, snapshot))
        if as_planned.trouble is not None:
            return _old_reason(as_planned.trouble)
        if not as_planned.result:
            return CHANGED
        read = self._old.reader.read(partial(digest_rows, old, snapshot))
        if read.result is None:
            assert read.trouble is not None
            return _old_reason(read.trouble)
        self._journal.baseline(table.id, snapshot, Baseline(*read.result))
        return ""

    def _as_planned(self, old: Table, snapshot: int) -> bool:
        """False if any file of the snapshot is no longer the planned one: then it must not be a baseline."""
        found = old.snapshot_by_id(snapshot)
        paths = [found.manifest_list] if found is not None else []
        for task in old.scan(snapshot_id=snapshot).plan_files():
            paths += [task.file.file_path, *(delete.file_path for delete in task.delete_files)]
        return all(self._is_unchanged(path) for path in paths)

    def _is_unchanged(self, path: str) -> bool:
        if path not in self._unchanged:
            planned = object_named(self._plan, path)
            self._unchanged[path] = (
                planned is None or self._store.head(planned.bucket, planned.key).etag == planned.etag
            )
        return self._unchanged[path]

    def _old_metadata(self, new: Table) -> str | None:
        """The old metadata file of a table that lives at the target: the newest one from before the move that is in the
        plan."""
        log = [entry.metadata_file for entry in reversed(new.metadata.metadata_log)]
        for uri in (new.metadata_location, *log):
            at = Location.parse(uri)
            if at is None or at.bucket != self._plan.layout.target_bucket:
                continue
            row = self._plan.lookup("SELECT bucket, key FROM objects WHERE target = ?", (at.key,))
            if row is not None:
                return f"{at.scheme}://{row[0]}/{row[1]}"
        return None


def _why_unknown(table: PlannedTable, baselines: Baselines) -> str:
    """Why there is no baseline for a snapshot."""
    if table.state == MIGRATED:
        return LIVED_THERE
    if (whole := baselines.get(UNOPENED)) is not None:
        return whole.trouble or "pyiceberg could not open the old table"
    return NEWER if baselines else "the old place was not read yet: migrate does that"


def _old_reason(trouble: Trouble) -> str:
    if trouble.kind == TRANSIENT:
        return f"the old place could not be read now: {trouble.reason}; run it again"
    return f"in the old place, {trouble.reason}" if trouble.kind != UNSUPPORTED else trouble.reason


def _known_broken(table: PlannedTable) -> set[str]:
    return _BROKEN & set(json.loads(table.problems))


def _place(table: PlannedTable, snapshot: int) -> str:
    return table.identifier if snapshot == UNOPENED else f"{table.identifier} snapshot {snapshot}"


def _stopped(table: PlannedTable, place: str, trouble: Trouble) -> MigrationFailed:
    return MigrationFailed(
        f"{table.identifier} cannot be read in the old place now: {place}: {trouble.message}. So it cannot be proven "
        "that the new place has the same rows.",
        next_move="If the cause persists, remove it. Run the same command again: it continues from here.",
    )


def _unreadable_before(broken: list[str]) -> MigrationFailed:
    return MigrationFailed(
        f"{len(broken)} snapshot(s) or table(s) cannot be read in the old place:\n{first_lines(broken)}\n",
        next_move=f"Repair them there and plan again. Or add --accept {UNREADABLE_BEFORE}: they are then moved as they "
        "are, and what cannot be read is not compared.",
    )
