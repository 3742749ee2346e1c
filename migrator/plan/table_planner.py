"""Plans the tables and views: finds all of them, and decides for each whether it moves, stays or has moved already."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping

from migrator.catalogs import Catalog, CatalogTable
from migrator.catalogs.base import VIEW
from migrator.catalogs.hadoop import VERSION_HINT_FILE
from migrator.config import Settings
from migrator.errors import Unreadable, first_names
from migrator.findings import EXAMPLES, Finding, counted
from migrator.iceberg.metadata import read_metadata
from migrator.iceberg.views import read_view
from migrator.inventory.advice import Rules
from migrator.inventory.metadata_cache import MetadataCache
from migrator.inventory.tables import discover, is_named
from migrator.layout import Layout
from migrator.plan.moving_tables import plan_table
from migrator.plan.moving_views import plan_view
from migrator.plan.overlap import find_overlaps
from migrator.plan.staying_tables import (
    plan_later_table,
    plan_left_table,
    plan_table_of_other_plan,
    plan_unmapped_table,
)
from migrator.plan.stray_metadata import report_stray_metadata
from migrator.plan.table_context import TableContext, new_context
from migrator.plan.table_marks import prepare_marks
from migrator.plan.wave import Wave
from migrator.planfile.file import PlanFile
from migrator.planfile.rows import LATER
from migrator.progress import Progress
from migrator.store import Store
from migrator.target import given_up, read_records


def plan_tables(
    plan: PlanFile,
    store: Store,
    files: MetadataCache,
    layout: Layout,
    catalogs: Mapping[str, Catalog],
    named: Iterable[CatalogTable],
    progress: Progress,
    settings: Settings,
) -> None:
    """Plan every table that a catalog names (``named``), and every other one that the listing shows. Findings go into
    the plan. The settings say which tables stay where they are.

    Raises an error only if a server or a catalog cannot be read.
    """
    named = list(named)
    discovery = discover(plan, store, files, layout, catalogs, named, progress)
    prepare_marks(plan)
    wave = Wave(plan, layout, settings.only)
    _plan_namespaces(plan, layout, catalogs, named, wave)
    rules, left = Rules(plan, layout), frozenset(settings.leave)
    back = given_up(read_records(store, layout.target_bucket))
    tables = [new_context(plan, store, files, layout, found, rules, back) for found in discovery.tables]
    claims = []
    with progress.stage("reading tables", objects=len(tables), unit="tables") as stage:
        # Tables that stay come first, so that the others can move the files that they share with them.
        for table in sorted(tables, key=lambda table: not _may_stay(table, left, wave)):
            _plan_one(table, left, wave)
            if not table.of_other_plan:
                wave.note(table)
            if table.claim is not None:
                claims.append(table.claim)
            stage.advance(1)
    find_overlaps(plan, layout, claims, rules)
    wave.settle()
    _report_other_plans(plan, layout)
    report_stray_metadata(plan, layout, discovery)


def _plan_namespaces(
    plan: PlanFile, layout: Layout, catalogs: Mapping[str, Catalog], named: Iterable[CatalogTable], wave: Wave
) -> None:
    """Plan the properties of namespaces that hold an old path."""
    moved = wave.moved_namespaces(named)
    for catalog in catalogs.values():
        for namespace, key, value in catalog.namespace_properties():
            new = layout.map_uri(value)
            if new is None or new == value:
                continue
            if moved is not None and (catalog.name, namespace) not in moved:
                wave.report_namespace(f"{catalog.name}.{namespace}", key, value)
            else:
                row = (catalog.name, namespace, key, value, new)
                plan.db.execute("INSERT INTO namespaces VALUES (?, ?, ?, ?, ?)", row)


def _report_other_plans(plan: PlanFile, layout: Layout) -> None:
    """Add the finding about the rules that other plans carry out."""
    if layout.later:
        later = sum(table.state == LATER for table in plan.tables())
        rules = first_names([rule.source for rule in layout.later], EXAMPLES)
        message = f"leaves these rules to other plans: {rules}; {counted(later, 'table')} below them not moved yet"
        plan.add_finding(Finding.of("later-wave", "--rule", message))


def _is_left(table: TableContext, left: Container[str]) -> bool:
    found = table.found
    catalog = found.catalog.name if found.catalog else None
    return is_named(catalog, found.namespace, found.name, left)


def _may_stay(table: TableContext, left: Container[str], wave: Wave) -> bool:
    """True if nothing of the table may have to move: it is left out, not part of this wave, or seems to live at the
    target."""
    stays = _is_left(table, left) or table.of_other_plan or not wave.includes(table.found)
    return stays or table.lives_at_target()


def _plan_one(table: TableContext, left: Container[str], wave: Wave) -> None:
    table.new_walk()
    if _is_left(table, left):
        plan_left_table(table)
    elif table.of_other_plan:
        plan_table_of_other_plan(table)
    elif not wave.includes(table.found):
        plan_later_table(table)
    elif (new_metadata := table.layout.map_uri(table.found.metadata)) is None:
        plan_unmapped_table(table)
    elif (data := table.walker.read(table.found.metadata)) is not None:
        _report_pointer(table)
        if _fits_catalog(table, new_metadata):
            _plan_by_content(table, data, new_metadata)
    table.update(problems=json.dumps(table.problems.codes))
    if table.problems.copied_as_is:
        table.update(new_metadata=None)


def _report_pointer(table: TableContext) -> None:
    """Report a table that no given catalog names, and a wrong version hint."""
    found = table.found
    if found.catalog is None:
        message = "is in none of the given catalogs; it is rewritten, and no pointer is changed"
        move = "Name its catalog with --catalog or in [catalogs], if it has one."
        table.plan.add_finding(Finding.of("uncatalogued-table", found.metadata, message, move))
    if found.trouble and found.hint is not None:
        place = f"s3://{found.hint[0]}/{found.hint[1]}/{VERSION_HINT_FILE}"
        message = f"{found.trouble}; as Iceberg does, {found.metadata} is used"
        table.problems.note("odd-hint", place, message)


def _fits_catalog(table: TableContext, new_metadata: str) -> bool:
    """False, with a problem, if the new pointer is too long for the catalog."""
    limit = table.found.catalog.longest_pointer if table.found.catalog else None
    if limit is None or len(new_metadata) <= limit:
        return True
    message = f"new metadata location would have {len(new_metadata)} characters; {limit} fit"
    table.problems.add("location-too-long", table.found.metadata, message, "Choose a shorter target prefix.")
    return False


def _plan_by_content(table: TableContext, data: bytes, new_metadata: str) -> None:
    """Plan a table or view as its metadata says. ``data``: its metadata file."""
    uri = table.found.metadata
    try:
        if table.found.kind == VIEW:
            plan_view(table, data, read_view(data, uri), new_metadata)
            return
        metadata = read_metadata(data, uri)
    except Unreadable as error:
        table.problems.unreadable(error)
        return
    table.problems.location = metadata.location
    table.note_identity(metadata, new_location=table.layout.map_uri(metadata.location), new_metadata=new_metadata)
    if metadata.encryption_keys:
        table.problems.add("encrypted-table", uri, f"{table.label} is encrypted", "")
    else:
        plan_table(table, data, metadata, new_metadata)
