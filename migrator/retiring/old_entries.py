"""The entries that an old catalog still has of tables that moved to another catalog (``[catalogs.NAME.target]``).

They point to the old place by design, since the old catalog is only read. ``retire --remove-old-entries`` removes them;
without it they stay, and name missing files once the old buckets are empty.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from migrator.catalogs import Catalog, CatalogTable, Repoint
from migrator.catalogs.two_catalogs import TwoCatalogs
from migrator.plan.target_catalogs import cut_over
from migrator.planfile.file import PlanFile
from migrator.planfile.rows import MIGRATED
from migrator.store import Store
from migrator.target import read_records


@dataclass(frozen=True, slots=True)
class OldEntry:
    """An entry of an old catalog, whose table is registered in the target catalog."""

    catalog: TwoCatalogs
    table: CatalogTable

    def __str__(self) -> str:
        return f"{self.table.identifier}: {self.table.metadata_location}"


def moved_metadata(plan: PlanFile, store: Store) -> frozenset[str]:
    """The old metadata files of the tables that this plan, or one before it, has cut over."""
    records = read_records(store, plan.layout.target_bucket)
    return frozenset(cut_over(records) | {table.old_metadata for table in plan.tables() if table.moves})


def old_entries(catalogs: Mapping[str, Catalog], moved: Collection[str]) -> list[OldEntry]:
    """The entries of old catalogs whose tables moved (``moved``: their metadata files then) and are registered at the
    target. An entry that was changed since the move is left out."""
    return [
        OldEntry(catalog, table)
        for catalog in catalogs.values()
        if isinstance(catalog, TwoCatalogs)
        for table, at in catalog.in_both()
        if catalog.is_in_target(at) and table.metadata_location in moved
    ]


def moved_namespaces(plan: PlanFile, catalog: TwoCatalogs) -> frozenset[str]:
    """The namespaces of the old catalog whose tables moved; their properties may still name an old place."""
    tables = (table for table in plan.tables() if table.catalog == catalog.name)
    return frozenset(table.namespace for table in tables if table.moves or table.state == MIGRATED)


def old_namespaces(plan: PlanFile, catalogs: Mapping[str, Catalog]) -> list[str]:
    """The properties of these namespaces that name an old place, one line each."""
    return [
        f"{catalog.name}.{namespace} {key}: {value}"
        for catalog in catalogs.values()
        if isinstance(catalog, TwoCatalogs)
        for namespace, key, value in catalog.old.namespace_properties()
        if namespace in moved_namespaces(plan, catalog) and plan.layout.map_uri(value) not in (None, value)
    ]


def remove_old_entries(entries: Collection[OldEntry]) -> None:
    """Remove these entries from the old catalogs, never a file. Safe to call again.

    Raises PlanStale if one was changed since, CannotRepoint if a catalog is not known to leave the files.
    """
    for catalog in {entry.catalog.name: entry.catalog for entry in entries}.values():
        tables = [entry.table for entry in entries if entry.catalog is catalog]
        catalog.old.entries().remove(
            [Repoint(t.namespace, t.name, t.metadata_location, "", t.kind) for t in tables],
        )
