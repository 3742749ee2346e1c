"""Checks that every catalog points to the target, and there to the planned metadata of each table or to a later state.
Chooses the metadata file of each table to verify."""

from __future__ import annotations

from collections.abc import Mapping

from migrator.catalogs import Catalog, CatalogTable
from migrator.cutover.places import WRITE_HINT, hinted_tables
from migrator.cutover.pointers import POINT_THERE_AGAIN, misplaced, needs_cutover
from migrator.errors import MigratorError, NotFound, Unreachable
from migrator.findings import counted
from migrator.layout import Location
from migrator.planfile.file import PlanFile
from migrator.planfile.rows import LATER, LEFT, PlannedTable
from migrator.store import Store
from migrator.verifying.checks import Check, note_unreadable


def check_catalogs_point_to_target(
    plan: PlanFile, store: Store, catalogs: Mapping[str, Catalog], *, cut_over: bool
) -> tuple[Check, dict[int, str]]:
    """Ask the catalogs where their tables are. Returns the check, and table id → URI of the metadata file to verify:
    the one that the catalog, or the version hint of a Hadoop table, names if it is at the target, otherwise the planned
    one."""
    check = Check("every catalog points to the target", "tables")
    pointers: dict[int, str] = {}
    tables = {table.id: table for table in plan.tables()}
    for table in tables.values():
        if table.new_metadata is None:
            continue
        pointers[table.id] = table.new_metadata
        if not cut_over and needs_cutover(table):
            check.skip("not cut over yet: the tables are read from their planned metadata")
        elif (
            table.catalog is not None and catalogs[table.catalog].stores_pointers
        ):  # otherwise the pointer is an object
            now = catalogs[table.catalog].current(table.namespace, table.name)
            if _is_at_target(plan, table, now, check) and now is not None:
                pointers[table.id] = now
                _check_state(plan, store, table, now, check)
    for hinted in hinted_tables(plan, store) if cut_over else ():
        if hinted.metadata is not None:
            pointers[hinted.table.id] = hinted.metadata  # others may have committed since
            _check_state(plan, store, hinted.table, hinted.metadata, check)
        if hinted.trouble:
            check.fail(f"* {hinted.table.identifier}: its version hint {hinted.trouble}. {WRITE_HINT}")
    left = [table for table in tables.values() if table.state == LEFT]
    check.notes += [f"{table.identifier} was left at {table.old_metadata} on purpose" for table in left]
    if later := sum(table.state == LATER for table in tables.values()):
        check.notes.append(f"{counted(later, 'table')} stayed for a later wave")
    return check, pointers


def _is_at_target(plan: PlanFile, table: PlannedTable, now: str | None, check: Check) -> bool:
    """Check one table's pointer. ``now``: its present value; None if the table was dropped."""
    check.checked += 1
    at = Location.parse(now or "")
    if now is None:
        check.fail(f"- {table.identifier} is gone from its catalog")
        return False
    if at is None or at.bucket != plan.layout.target_bucket:
        check.fail(f"* {table.identifier} points to {now}")
        return False
    return True


def _check_state(plan: PlanFile, store: Store, table: PlannedTable, now: str, check: Check) -> None:
    """Check that ``now`` is the table as planned, or a later state of it."""
    try:
        why = misplaced(plan, store, table, now)
    except MigratorError as error:
        return note_unreadable(check, f"{table.identifier}: {error}", error)
    if why:
        check.fail(
            f"* {table.identifier} points to {now}, {why}. Expected is {table.new_metadata} or a later commit. "
            f"{POINT_THERE_AGAIN}"
        )


def registered_metadata(plan: PlanFile, catalogs: Mapping[str, Catalog]) -> list[str]:
    """The metadata location of every table that the catalogs name now; empty if every table of the plan is in a
    catalog, because then it is not needed."""
    if all(table.catalog is not None for table in plan.tables()):
        return []
    return [named.metadata_location for catalog in catalogs.values() for named in _tables_of(catalog)]


def _tables_of(catalog: Catalog) -> list[CatalogTable]:
    try:
        return catalog.tables()
    except (NotFound, Unreachable):  # the bucket of a Hadoop warehouse, or its server, may not exist any more
        return []
