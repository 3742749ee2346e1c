"""The checks that protect a target: a run overwrites no object that others wrote, and a plan that is older than one
that was carried out is refused."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from migrator.errors import MigrationFailed, PlanStale, one_line
from migrator.planfile import log
from migrator.planfile.file import PlanFile
from migrator.planfile.journal import CUTOVER_BEGUN, STARTED, Journal
from migrator.planfile.queries import PLAIN_COPIES
from migrator.planfile.rows import OF_NO_TABLE, PlannedTable
from migrator.progress import Progress
from migrator.store import Conditional, Store, probe_conditional
from migrator.target.compare import Changes, find_changes, list_target
from migrator.target.ledger import Ledger, own, same
from migrator.target.record import (
    COPYING,
    CUT_OVER,
    CUTTING_OVER,
    ROLLED_BACK,
    PlanRecord,
    new_record,
    now,
    read_records,
    superseded_by,
    write_record,
)


class TargetGuard:
    """Protects one target bucket while one plan is carried out. Methods that write need the target's lease."""

    def __init__(self, plan: PlanFile, store: Store, progress: Progress) -> None:
        self._plan, self._store, self._progress = plan, store, progress
        self.bucket = plan.layout.target_bucket
        self._id = plan.header()["plan_id"]
        self._ledger = Ledger(store, self.bucket)
        self._record: PlanRecord | None = None

    def superseded(self) -> PlanRecord | None:
        """The newest of the newer plans that were carried out at the target; None if there is none."""
        records = read_records(self._store, self.bucket)
        self._record = next((record for record in records if record.plan_id == self._id), None)
        return superseded_by(records, self._plan)

    def check_not_superseded(self, more: str = "") -> None:
        """Raises PlanStale, which names it, if a newer plan was carried out at the target. ``more``: another sentence
        for its end."""
        newer = self.superseded()
        if newer is None:
            return
        error = PlanStale(
            f"{self._plan.path} is superseded: a newer plan, {newer}, was carried out at "
            f"s3://{self.bucket}/ by migrator {newer.tool_version} on {newer.host}.{more}\n",
            next_move='Use that plan, or run "migrator plan" again.',
        )
        error.says_where = True
        raise error

    def record(self) -> PlanRecord | None:
        """This plan's own record at the target; None if it was never carried out there."""
        records = read_records(self._store, self.bucket)
        return next((record for record in records if record.plan_id == self._id), None)

    def carried_out_by_copy(self, journal: Journal) -> PlanRecord | None:
        """This plan's own record, if it has a cutover that the log lacks: then the plan file was copied, and the copy
        carried out. None otherwise."""
        if journal.has(CUTOVER_BEGUN):
            return None
        record = self.record()
        if record is None or record.state not in (CUTTING_OVER, CUT_OVER) or self._is_logged(record):
            return None
        return record

    def rolled_back_by_copy(self, journal: Journal) -> PlanRecord | None:
        """This plan's own record, if it says that the cutover was rolled back and the log knows nothing of that: a copy
        of the plan file was used. None otherwise."""
        if not journal.has(CUTOVER_BEGUN):
            return None
        record = self.record()
        return record if record is not None and record.state == ROLLED_BACK and not self._is_logged(record) else None

    def log_difference(self) -> str:
        """How the log of the plan differs from the record, as a part of a sentence; "" if it does not, or if there is
        no record."""
        record = self.record()
        if record is None or self._is_logged(record):
            return ""
        return f"the target's record has {record.log_entries} entries, and another last one"

    def _is_logged(self, record: PlanRecord) -> bool:
        """True if the log of the plan has the entries that it had when the record was written."""
        return log.digest_at(self._plan.db, record.log_entries) == record.log_digest

    def begin(self, journal: Journal, *, recognize: bool, live: frozenset[int]) -> Conditional:
        """Compare the target with the plan, and write the plan's record there. Call it before the first write of a run.

        Returns which conditional writes the target supports. ``recognize``, ``live``: see
        :func:`migrator.target.compare.find_changes`. Raises PlanStale if others changed the target, or if a newer plan
        was carried out.
        """
        changes = self._find(journal, resumed=journal.first(STARTED) is not None, recognize=recognize, live=live)
        self.check_not_superseded(f" At the target since planning:{changes}" if changes.changed else "")
        self._refuse(changes)
        self._write(COPYING)
        self._ledger.write(f"{self._id}.planned", self._planned())
        self.note_written()
        return probe_conditional(self._store, self.bucket)

    def compare(self, journal: Journal, *, live: frozenset[int] = frozenset()) -> Changes:
        """List the target again, and compare it with what was planned and written.

        Raises PlanStale if others changed it.
        """
        changes = self._find(journal, resumed=False, recognize=True, live=live)
        self._refuse(changes)
        return changes

    def check_before_cutover(self, journal: Journal, *, live: frozenset[int]) -> None:
        """Do :meth:`compare`, and raise MigrationFailed if copies are missing."""
        changes = self.compare(journal, live=live)
        if changes.vanished:
            example = one_line(changes.vanished_example)
            raise MigrationFailed(
                f"{changes.vanished:,} copies vanished from the target meanwhile, such as {example}.",
                next_move="Run the same command again: it copies them again.",
            )

    def _find(self, journal: Journal, *, resumed: bool, recognize: bool, live: frozenset[int]) -> Changes:
        list_target(self._plan, self._store, self._progress)
        return find_changes(self._plan, journal, self._ledger, resumed=resumed, recognize=recognize, live=live)

    def note_written(self) -> None:
        """Store fingerprints of everything that the journal records as written. Call it whenever a run ends."""
        self._ledger.write(f"{self._id}.done", self._done())

    def note_cutover(self, tables: Iterable[PlannedTable], *, complete: bool) -> None:
        """Record the tables that are cut over. ``complete`` is True if these are all of them."""
        moved: list[Mapping[str, str | None]] = [
            {"table": t.identifier, "uuid": t.uuid, "old": t.old_metadata, "new": t.new_metadata} for t in tables
        ]
        self._write(CUT_OVER if complete else CUTTING_OVER, moved)

    def note_rollback(self, discarded: Iterable[str]) -> None:
        """Record that the tables are in the old place again. ``discarded``: metadata files at the target that were
        written there after the cutover. A target that was deleted has no record."""
        if self._store.bucket_exists(self.bucket):
            record = self.record() or new_record(self._plan)
            self._record = replace(record, discarded=sorted({*record.discarded, *discarded}))
            self._write(ROLLED_BACK)

    def note_log(self) -> None:
        """Record the present end of the plan's log, so that entries removed from it show. Only for a plan that has a
        record."""
        self._record = self.record()
        if self._record is not None:
            self._write(self._record.state)

    def _write(self, state: str, tables: list[Mapping[str, str | None]] | None = None) -> None:
        record = self._record or new_record(self._plan)
        if state == COPYING:  # a resumed run does not take back what was cut over
            state = record.state
        entries, digest = log.head(self._plan.db)
        self._record = replace(
            record,
            plan=self._plan.path.name,  # of several copies of the plan, this file
            host=socket.gethostname(),
            state=state,
            updated=now(),
            tables=record.tables if tables is None else tables,
            log_entries=entries,
            log_digest=digest,
        )
        write_record(self._store, self.bucket, self._record)

    def _refuse(self, changes: Changes) -> None:
        if changes.changed:
            raise PlanStale(
                f"The target changed since planning, and not by this plan: {changes.changed:,} objects of "
                f"s3://{self.bucket}/ are not as planned. None of them was overwritten.{changes}\n",
                next_move='Run "migrator plan" again: the new plan is based on the present target.',
            )

    def _planned(self) -> Iterator[int]:
        """Fingerprints of the copies to make. Most copies get the ETag of their source, so it is known before
        copying."""
        query = f"SELECT target, etag FROM objects WHERE {PLAIN_COPIES}"
        return (own(key, etag) for key, etag in self._plan.rows(query))

    def _done(self) -> Iterator[int]:
        """Fingerprints of the objects written, that are not in :meth:`_planned`."""
        query = (
            "SELECT o.target, d.etag, o.bucket || '/' || o.key, o.etag, o.role FROM done d JOIN objects o"
            " ON o.id = d.object_id WHERE d.etag <> o.etag OR o.role <> ''"
        )
        for key, etag, source, source_etag, role in self._plan.rows(query):
            yield own(key, etag)
            if role in OF_NO_TABLE:
                yield same(key, etag, source, source_etag)
