"""The swap of every pointer: the only step that readers of the lake notice."""

from __future__ import annotations

from contextlib import suppress

from migrator.catalogs import Catalog, Repoint
from migrator.catalogs.base import repoint_all
from migrator.copying.stage import copy_versions
from migrator.cutover.incomplete import incomplete
from migrator.cutover.pointers import check_unmoved_since_planning, count_changed, count_pointers
from migrator.errors import MigratorError
from migrator.planfile.journal import CATALOG_SWAPPED, CUTOVER_BEGUN, CUTOVER_DONE, TABLE_SWAPPED
from migrator.planfile.queries import pending_rewrites
from migrator.planfile.repoints import repoints_of
from migrator.planfile.rows import FILES, ROLE_VERSION_HINT, PlannedObject, PlannedTable
from migrator.results import Written
from migrator.run import Run


def swap_pointers(run: Run) -> None:
    """Swap every pointer: those that catalogs store, in one transaction each where they can; then the version hints.

    Raises PlanStale if a table changed since planning; CutoverIncomplete if some catalogs were swapped and another one
    could not be.
    """
    tables = run.tables_to_move()
    check_unmoved_since_planning(run)
    pointers = {t.identifier: {"old": t.old_metadata, "new": t.new_metadata} for t in tables}
    before = count_changed(run.plan, run.journal)
    run.journal.event(CUTOVER_BEGUN, pointers=pointers)
    try:
        _swap_catalogs(run, tables)
    except MigratorError as error:
        live = run.live_tables()
        with suppress(MigratorError):  # the server may not answer: the error of the swap matters more than this one
            run.guard.note_cutover([t for t in tables if t.id in live], complete=False)
        raise incomplete(run, error) from error
    total = count_pointers(run.plan).total
    run.result.pointers, run.result.pointers_now = total, max(0, total - before)
    run.journal.event(CUTOVER_DONE, tables=len(tables), pointers_changed=run.result.pointers_now)
    run.result.cut_over = [t.identifier for t in tables if t.catalog is not None]
    run.guard.note_cutover([t for t in tables if t.catalog is not None], complete=True)


def _swap_catalogs(run: Run, tables: list[PlannedTable]) -> None:
    swapped = run.journal.swapped()
    for name, catalog in run.catalogs.items():
        if catalog.stores_pointers and name not in swapped:
            repoint(run, catalog)
            _note_swapped(run, tables, name)
    copy_versions(run, hints=True)
    run.each_object(
        "writing version hints",
        pending_rewrites(ROLE_VERSION_HINT),
        lambda planned: _copy_hint(run, planned),
        workers=1,
        unit=FILES,
    )
    for name, catalog in run.catalogs.items():
        if not catalog.stores_pointers and name not in swapped:
            _note_swapped(run, tables, name)


def repoint(run: Run, catalog: Catalog) -> None:
    """Swap the pointers of the tables, and the namespaces' properties, that the plan changes in one catalog."""
    tables, namespaces = repoints_of(run.plan, catalog.name)
    swapped = run.journal.swapped_tables()
    left = [
        t for t in tables if (catalog.name, t.namespace, t.name) not in swapped
    ]  # the others may have newer commits

    def note(table: Repoint) -> None:
        run.journal.event(TABLE_SWAPPED, catalog=catalog.name, namespace=table.namespace, table=table.name)

    repoint_all(catalog, left, namespaces, note)


def _note_swapped(run: Run, tables: list[PlannedTable], catalog: str) -> None:
    moved = [t.identifier for t in tables if t.catalog == catalog]
    run.journal.event(CATALOG_SWAPPED, catalog=catalog, tables=moved)


def _copy_hint(run: Run, planned: PlannedObject) -> Written:
    """Write a table's version hint at the target, unless somebody else has written one there."""
    bucket, key = run.layout.target_bucket, planned.target or ""
    content = run.store.get(planned.bucket, planned.key, etag=planned.etag)
    etag = run.store.put(bucket, key, content, replace=False, replaces=run.plan.replaceable(planned.id))
    return Written(planned.size, etag)
