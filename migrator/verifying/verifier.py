"""Checks that the target has what the plan says, and that every table has the same rows as before.

It writes nothing. Objects are compared with a new listing of the target (:mod:`migrator.verifying.objects`), older
versions with a listing of its versions (:mod:`migrator.verifying.versions`), pointers with the catalogs
(:mod:`migrator.verifying.pointers`), and tables file by file and snapshot by snapshot
(:mod:`migrator.verifying.tables`, :mod:`migrator.verifying.rows`). The rows of the old tables were counted before the
cutover, so all this works when the old buckets are gone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from migrator.catalogs import Catalog
from migrator.cutover.pointers import needs_cutover
from migrator.cutover.unregistered import unregistered_tables
from migrator.findings import counted
from migrator.inventory.listing import TARGET
from migrator.inventory.versions import has_versions
from migrator.planfile import log
from migrator.planfile.compared import compared_before, counted_before, table_digests
from migrator.planfile.file import PlanFile
from migrator.planfile.journal import CUTOVER_DONE, LATE, STARTED, Journal
from migrator.planfile.rows import PlannedTable
from migrator.progress import Progress
from migrator.results import SourceChanges
from migrator.store import Store
from migrator.target.compare import list_target
from migrator.verifying.checks import Check, PrefixTotal, Verification
from migrator.verifying.contents import check_contents
from migrator.verifying.logs import check_logs
from migrator.verifying.objects import check_objects, prefix_totals
from migrator.verifying.old_buckets import OldBuckets
from migrator.verifying.pointers import check_catalogs_point_to_target, registered_metadata
from migrator.verifying.rows import TableRows
from migrator.verifying.scripts import check_scripts
from migrator.verifying.tables import check_tables
from migrator.verifying.versions import check_versions
from migrator.workers.engine import Engine
from migrator.workers.local import LocalEngine

__all__ = ["Check", "PrefixTotal", "Verification", "Verifier"]


class Verifier:
    """Verifies one plan against the target as it is now."""

    def __init__(
        self,
        plan: PlanFile,
        store: Store,
        catalogs: Mapping[str, Catalog],
        progress: Progress,
        engine: Engine | None = None,
    ) -> None:
        """``engine``: where the bytes of copies are compared; None for this process."""
        self._plan = plan
        self._engine = engine or LocalEngine()
        self._store = store
        self._catalogs = catalogs
        self._progress = progress
        self._journal = Journal(plan)
        self._old = OldBuckets(store)
        self._rows = TableRows(plan, store, self._journal, self._old, progress)
        self._digests: Mapping[int, str] = {}
        """The digests of the tables that :meth:`compare_tables` has read."""

    def verify(self, *, deep: bool = False, listed: bool = False) -> Verification:
        """Check everything. ``deep`` also reads every row and every copied byte, and compares them with the old
        buckets as far as these still exist. ``listed``: the target was listed (:func:`list_target`) after the last
        write. Raises only if the target or a catalog cannot be reached."""
        plan, store, progress = self._plan, self._store, self._progress
        waiting = any(needs_cutover(table) for table in plan.tables())
        cut_over = not waiting or self._journal.has(CUTOVER_DONE)
        result = Verification(cut_over=cut_over, late=_left_behind(self._journal), deep=deep)
        result.log_entries, _ = log.head(plan.db)
        if not listed:
            list_target(plan, store, progress)
        result.prefixes = prefix_totals(plan)
        pointing, pointers = check_catalogs_point_to_target(plan, store, self._catalogs, cut_over=cut_over)
        in_use = [table for table in plan.tables() if pointers.get(table.id) != table.new_metadata]
        result.checks.append(check_objects(plan, cut_over=cut_over, in_use=in_use))
        if has_versions(plan):
            result.checks += check_versions(plan, store, self._old, progress, cut_over=cut_over, deep=deep)
        if deep:
            result.checks.append(check_contents(plan, store, self._old, progress, self._engine))
        result.checks += check_logs(plan, store, self._old, progress, times=not cut_over)
        result.checks += check_scripts(plan, store, progress)
        result.checks.append(pointing)
        result.checks += check_tables(plan, store, self._rows, pointers, progress, deep=deep)
        result.unregistered = unregistered_tables(plan.tables(), registered_metadata(plan, self._catalogs))
        return result

    def count_old_rows(self, journal: Journal, accept: Collection[str] = ()) -> None:
        """Before the cutover: count each table's rows in the old place. ``accept``: codes of
        :data:`migrator.findings.AT_MIGRATION` that need not stop it.

        Raises MigrationFailed if the old tables cannot be read.
        """
        tables = self._moved_tables()
        counted_already = counted_before(self._plan, tables)
        self._rows.take_baselines([t for t in tables if t.id not in counted_already], journal, accept)

    def compare_tables(self) -> list[Check]:
        """Before the cutover: check that every object is at the target as it was written, and compare the tables there
        with the counted rows, file by file and snapshot by snapshot. The target must have been listed just before
        (:func:`migrator.target.compare.list_target`)."""
        objects = check_objects(self._plan, cut_over=False)
        self._digests = table_digests(self._plan, TARGET)
        known = compared_before(self._plan, self._digests)
        pointers = {table.id: table.new_metadata or "" for table in self._moved_tables() if table.id not in known}
        checks = check_tables(self._plan, self._store, self._rows, pointers, self._progress, deep=False)
        if known:
            checks[0].notes.append(f"{counted(len(known), 'table')} compared in an earlier pass, and unchanged since")
        logs = check_logs(self._plan, self._store, self._old, self._progress, times=True)
        return [objects, *logs, *checks]

    def note_compared(self, journal: Journal) -> None:
        """Record that the tables have the same rows as the old ones: :meth:`compare_tables` has just found no
        difference."""
        digests = self._digests
        tables = [table for table in self._moved_tables() if table.id in digests]
        journal.compared((table.id, table.old_metadata, digests[table.id]) for table in tables)

    def _moved_tables(self) -> list[PlannedTable]:
        return [table for table in self._plan.tables() if table.moves]


def _left_behind(journal: Journal) -> SourceChanges | None:
    """The changes that the cutover left behind in the old buckets, from the journal; None if there were none."""
    if not journal.has(CUTOVER_DONE):
        return None
    late: SourceChanges | None = None
    for event in journal.events():
        if event["event"] == LATE:  # the last one before the cutover
            late = SourceChanges(event["added"], event["changed"], event["removed"], event["examples"])
        elif event["event"] == STARTED:
            late = None
        elif event["event"] == CUTOVER_DONE:
            break
    return late
