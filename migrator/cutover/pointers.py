"""Where the catalogs' pointers are: which of them a plan changes, and whether they are where they should be."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from migrator.catalogs.base import VIEW
from migrator.catalogs.two_catalogs import SHOWN, TAKEN, TwoCatalogs
from migrator.cutover.unregistered import Unregistered, metadata_folder, register_commands
from migrator.errors import PLAN_AGAIN, CatalogError, MigrationFailed, PlanStale, first_names, one_line
from migrator.iceberg.metadata import read_metadata
from migrator.iceberg.views import read_view
from migrator.inventory.table_files import open_at
from migrator.layout import Location
from migrator.planfile.file import PlanFile
from migrator.planfile.journal import ROLLBACK_BEGUN, Journal
from migrator.planfile.objects import object_moved_to
from migrator.planfile.queries import hint_keys, written_hints
from migrator.planfile.repoints import repoints_of
from migrator.planfile.rows import MIGRATED, PlannedTable
from migrator.run import Run
from migrator.store import Store

POINT_THERE_AGAIN = f"Set it to that file again. If the present one is intended: {PLAN_AGAIN}"
"""The next move if a pointer at the target is wrong."""


@dataclass(frozen=True)
class Pointers:
    """How many pointers a plan changes at the cutover. ``hints``: version hints of tables that no catalog names."""

    tables: int
    namespaces: int
    hints: int
    catalogs: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.tables + self.namespaces + self.hints


def needs_cutover(table: PlannedTable) -> bool:
    """True if the plan changes this table's pointer in its catalog."""
    return table.catalog is not None and table.moves


def count_pointers(plan: PlanFile) -> Pointers:
    """Tables whose catalog entry or version hint changes, each once, and namespace properties."""
    moving = [table for table in plan.tables() if needs_cutover(table)]
    namespaces = plan.namespaces()
    hints = len(hint_keys(plan.db).keys() - {table.id for table in moving})
    catalogs = {table.catalog for table in moving} | {change.catalog for change in namespaces}
    return Pointers(len(moving), len(namespaces), hints, len(catalogs))


def count_changed(plan: PlanFile, journal: Journal) -> int:
    """How many of these pointers the cutover has changed so far, as the journal records it."""
    tables, catalogs, hints = plan.tables(), journal.swapped(), written_hints(plan.db)
    changed = journal.swapped_among(t for t in tables if needs_cutover(t)) | hints.keys()
    return len(changed) + sum(change.catalog in catalogs for change in plan.namespaces())


def check_unmoved_since_planning(run: Run, *, may_be_gone: bool = True) -> None:
    """Every table is where it was when the plan was made, or where this plan has put it. Raises PlanStale, or
    MigrationFailed for a table that lived at the target and was set back, to its old place or to an older state.
    ``may_be_gone``: see :func:`check_not_set_back`.

    Tables that live at the target, also those of catalogs that an interrupted cutover has swapped, are in use there,
    and may have changed.
    """
    _check_names_are_free(run)
    tables = run.plan.tables()
    at_target = {t.id for t in tables if t.state == MIGRATED} | run.journal.swapped_among(tables)
    check_not_set_back(run, (t for t in tables if t.id in at_target), may_be_gone=may_be_gone)
    for table in run.tables_to_move():
        if table.catalog is None or table.id in at_target:
            continue
        _check_place(table, run.catalogs[table.catalog].current(table.namespace, table.name))


def _check_place(table: PlannedTable, now: str | None) -> None:
    """Raises PlanStale unless ``now`` is the pointer that the table had when the plan was made, or its new one."""
    if now not in (table.old_metadata, table.new_metadata):
        state = f"is at {now}" if now else "is gone"
        raise PlanStale(
            one_line(f"{table.identifier} moved on since planning: expected {table.old_metadata}, it {state}."),
            next_move=PLAN_AGAIN,
        )


def check_problems_still_hold(run: Run) -> None:
    """The tables that block a plan have the pointers that they had when the plan was made. Raises PlanStale: a writer
    that removes files while its table is planned makes the table look broken."""
    for table in run.plan.tables():
        if table.catalog is None or table.stays or table.state == MIGRATED or not json.loads(table.problems):
            continue
        now = run.catalogs[table.catalog].current(table.namespace, table.name)
        if now is not None:
            _check_place(table, now)


def _check_names_are_free(run: Run) -> None:
    """In a catalog to which tables move, nobody else has used the names of those that are not there yet. Raises
    PlanStale."""
    swapped = run.journal.swapped_among(run.tables_to_move())
    waiting = {(t.catalog, t.namespace, t.name) for t in run.tables_to_move() if t.id not in swapped}
    for name, catalog in run.catalogs.items():
        if not isinstance(catalog, TwoCatalogs):
            continue
        tables = [table for table in repoints_of(run.plan, name)[0] if (name, table.namespace, table.name) in waiting]
        if found := catalog.taken_entries(tables):
            raise PlanStale(first_names(found, SHOWN, " "), next_move=TAKEN)


def check_not_set_back(run: Run, tables: Iterable[PlannedTable], *, may_be_gone: bool) -> None:
    """The pointers of these tables, which live at the target, still name the planned metadata file or a later one.
    ``may_be_gone``: a table that was dropped or renamed is no error.

    Raises MigrationFailed; StoreError or Unreadable if a pointer has changed and its metadata file cannot be read."""
    for table in tables:
        if table.catalog is None or table.new_metadata is None or not run.catalogs[table.catalog].stores_pointers:
            continue
        now = run.catalogs[table.catalog].current(table.namespace, table.name)
        at = Location.parse(now or "")
        if now is None:
            if may_be_gone:
                continue
            raise _gone(run, table)
        if at is None or at.bucket != run.layout.target_bucket:
            raise _set_back(run, table, now)
        if why := misplaced(run.plan, run.store, table, now):
            text = f"{table.identifier} points to {now} now, {why}. Expected is {table.new_metadata} or a later commit."
            raise MigrationFailed(one_line(text), next_move=POINT_THERE_AGAIN)


def _gone(run: Run, table: PlannedTable) -> MigrationFailed:
    """The error for a table that lived at the target and is no longer in its catalog, under its name."""
    assert table.catalog is not None and table.new_metadata is not None
    if names := _other_names(run, table):
        now = f". In its catalog, {names} is there now."
        move = "If it was renamed on purpose, nothing is left to do. Do not register it again under its old name: two "
        move += "entries of one table overwrite each other's commits."
    else:
        entry = Unregistered(table.kind, table.namespace, table.name, table.old_metadata, table.new_metadata)
        how = "; ".join(f"{engine}: {command}" for engine, command in register_commands(entry.to_json()))
        now = " and is gone from its catalog."
        move = f"If it was dropped or renamed on purpose, nothing is left to do. To get it back, register it: {how}"
    error = MigrationFailed(one_line(f"{table.identifier} was at {table.new_metadata}{now}"), next_move=move)
    error.says_where = True
    return error


def _other_names(run: Run, table: PlannedTable) -> str:
    """The entries of the table's catalog, other than its own, whose metadata files are in its folder; "" if there is
    none, or if the catalog cannot be read."""
    assert table.catalog is not None and table.new_metadata is not None
    folder = metadata_folder(table.new_metadata)
    try:
        entries = run.catalogs[table.catalog].tables()
    except CatalogError:
        return ""
    return first_names([e.identifier for e in entries if metadata_folder(e.metadata_location) == folder], SHOWN)


def _set_back(run: Run, table: PlannedTable, now: str) -> MigrationFailed:
    """The error for a table that lived at the target and whose pointer was set back."""
    known, why = "lived there while planning", "somebody has set it back"
    next_move = f"To migrate it from there: {PLAN_AGAIN}"
    if table.state != MIGRATED:
        known = "was cut over by this plan"
        if run.journal.has(ROLLBACK_BEGUN):
            why = "a rollback of this plan has begun and has not ended"
            next_move = f"Finish it first: migrator rollback {shlex.quote(str(run.plan.path))}"
        elif copy := run.guard.rolled_back_by_copy(run.journal):
            why = f"a copy of this plan file was rolled back ({copy})"
    error = MigrationFailed(
        one_line(
            f"{table.identifier} is at {table.new_metadata} and {known}, but its catalog points to {now} now: {why}."
        ),
        next_move=next_move,
    )
    error.says_where = True
    return error


def misplaced(plan: PlanFile, store: Store, table: PlannedTable, now: str) -> str:
    """Why ``now``, the present metadata file of a table at the target, is wrong, as the end of a sentence: it belongs
    to another table, or is an older one that this plan has moved. Empty if it is the planned one or a later one.

    Raises StoreError or Unreadable if it is not the planned file and cannot be read.
    """
    at, expected = Location.parse(now), Location.parse(table.new_metadata or "")
    if at is None or expected is None or at.collapsed.key == expected.collapsed.key:
        return ""
    with open_at(store, now, at).file as file:
        data = file.read()
    uuid = read_view(data, now).view_uuid if table.kind == VIEW else read_metadata(data, now).table_uuid
    if table.uuid and uuid and uuid.lower() != table.uuid.lower():
        return f"which is another {table.kind}: its uuid is {uuid}, that of the planned one {table.uuid}"
    if object_moved_to(plan, at.key) is not None:  # the plan has not moved a later commit
        return "which is an older file, one of those that this plan has moved there"
    return ""
