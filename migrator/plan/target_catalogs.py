"""Checks the catalogs to which tables move: whether a name is used there already, and whether a moved table was written
to through the old catalog since."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from migrator.catalogs import Catalog, CatalogTable
from migrator.catalogs.base import VIEW
from migrator.catalogs.two_catalogs import TAKEN, TwoCatalogs
from migrator.errors import NotFound, Unreadable
from migrator.findings import Finding
from migrator.iceberg.metadata import TableMetadata, read_metadata
from migrator.inventory.tables import is_named
from migrator.layout import Layout, Location
from migrator.planfile.file import PlanFile
from migrator.store import Store
from migrator.target import PlanRecord, read_records
from migrator.target.record import CUT_OVER, CUTTING_OVER


def check_target_catalogs(
    plan: PlanFile, store: Store, layout: Layout, catalogs: Mapping[str, Catalog], leave: Iterable[str]
) -> None:
    """Report the entries of target catalogs that have the name of a table that moves. ``leave``: names of tables that
    stay."""
    pairs = [catalog for catalog in catalogs.values() if isinstance(catalog, TwoCatalogs)]
    if not pairs:
        return
    left = frozenset(leave)
    moved = cut_over(read_records(store, layout.target_bucket))
    for pair in pairs:
        for table, at in pair.in_both():
            if is_named(pair.name, table.namespace, table.name, left):
                continue
            if not pair.is_in_target(at):
                message = f"is at {table.metadata_location}, and {pair.describe_target()} has an entry at {at}"
                plan.add_finding(Finding.of("entry-at-target", table.identifier, message, TAKEN))
            elif table.metadata_location not in moved:
                _check_unchanged(plan, store, layout, table, at)


def cut_over(records: Iterable[PlanRecord]) -> set[str]:
    """The old metadata files of the tables that plans have cut over, as their records at the target say."""
    states = (CUT_OVER, CUTTING_OVER)
    return {str(table["old"]) for record in records if record.state in states for table in record.tables}


def _check_unchanged(plan: PlanFile, store: Store, layout: Layout, table: CatalogTable, at: str) -> None:
    """Compare an old entry, which no record lists as cut over, with the table's entry ``at`` the target."""
    old, new = table.metadata_location, layout.map_uri(table.metadata_location)
    code, message = "old-entry-changed", ""
    if new == at:
        return
    if table.kind == VIEW:
        message = f"is at {at} in the target catalog, and at {old} in the old one, which was not moved there"
    else:
        try:
            ours, there = _read(store, old), _read(store, at)
        except (NotFound, Unreadable) as error:
            message = f"is at {at} in the target catalog; whether {old} was moved there is not known: {error}"
        else:
            if ours.table_uuid != there.table_uuid:
                code, message = "entry-at-target", f"is at {old}, and the target catalog has another table at {at}"
            elif new not in there.metadata_log and not _descends(there, ours):
                message = f"is at {at} in the target catalog; somebody has written to {old} in the old one since"
    if message:
        move = "Find out who uses which of the two, and stop that writer. Then plan again."
        plan.add_finding(Finding.of(code, table.identifier, message, move))


def _descends(there: TableMetadata, ours: TableMetadata) -> bool:
    known = {snapshot.snapshot_id for snapshot in there.snapshots}
    return ours.current_snapshot_id is None or ours.current_snapshot_id in known


def _read(store: Store, uri: str) -> TableMetadata:
    at = Location.parse(uri)
    if at is None:
        raise NotFound(f"{uri} is not a place in S3.")
    return read_metadata(store.get(at.bucket, at.key).data, uri)
