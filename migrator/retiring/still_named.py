"""Finds everything that still names an old place: then its objects must not be deleted.

These are read now, not taken from the plan: every table, view and namespace of the given catalogs and of their
neighbours; the files of tables that stay where they are; the texts of tables and views; logs, checkpoints and scripts
at the target.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from migrator.carriers.kinds import NARROW
from migrator.catalogs import Catalog, CatalogTable
from migrator.catalogs.base import Neighbour
from migrator.catalogs.two_catalogs import TwoCatalogs
from migrator.checking.old_names import (
    MOST_SCRIPT_BYTES,
    MOST_SCRIPTS,
    Mention,
    in_carriers,
    in_neighbours,
    in_texts,
    is_script,
    moved,
    moved_in_text,
    read_scripts,
    tables_of,
)
from migrator.checking.table_paths import TablePaths
from migrator.concurrency.threads import Failed
from migrator.errors import NotFound, StoreError, Unreachable, Unreadable
from migrator.findings import CARRIERS, INFO, NOT_COMPARED
from migrator.inventory.listing import TARGET
from migrator.layout import Location
from migrator.planfile.file import PlanFile
from migrator.planfile.objects import object_named
from migrator.planfile.queries import SAME_AS_SOURCE
from migrator.planfile.rows import OTHER_ROLES, SKIP, PlannedTable
from migrator.planfile.wave import is_wave
from migrator.retiring.old_entries import moved_metadata, moved_namespaces, old_entries
from migrator.retiring.proof import RETIRABLE
from migrator.store import Store

SCRIPTS = "scripts-unchanged"

_IS_SCRIPT = f"o.target GLOB 'scripts/*' OR {is_script('o.target')}"
_COPIES = f"({SAME_AS_SOURCE} OR o.role IN {OTHER_ROLES}) AND t.size > 0"
_SCRIPTS = (
    f"SELECT t.key FROM objects o JOIN {TARGET} t ON t.key = o.target"
    f" WHERE {_COPIES} AND ({_IS_SCRIPT}) AND t.size <= {MOST_SCRIPT_BYTES} LIMIT {MOST_SCRIPTS}"
)
_CARRIERS = (
    "SELECT bucket, key, size, etag FROM (SELECT ? AS bucket, t.key, t.size, t.etag FROM objects o"
    f" JOIN {TARGET} t ON t.key = o.target WHERE {_COPIES}) WHERE {NARROW}"
)


class StillNamed:
    """Finds what names the old places of one plan. The target must be listed, and what is proven noted
    (:func:`migrator.retiring.proof.note_proven`)."""

    def __init__(self, plan: PlanFile, store: Store, catalogs: Mapping[str, Catalog]) -> None:
        self._plan, self._store, self._catalogs, self._layout = plan, store, catalogs, plan.layout
        self._paths = TablePaths(store)
        self._wave = is_wave(plan)
        self._changed = {(change.catalog, change.namespace, change.key) for change in plan.namespaces()}
        self._planned = {(t.catalog, t.namespace, t.name): t for t in plan.tables() if t.catalog is not None}

    def everything(self) -> Iterator[Mention]:
        """Yield what names an old place. Raises MigratorError if a catalog or the server does not answer."""
        yield from self.pointers()
        yield from self._files_of_tables()
        yield from self._texts_of_tables()
        yield from self._carriers()
        yield from self._scripts()

    # -- catalogs --------------------------------------------------------------------------------------

    def pointers(self) -> Iterator[Mention]:
        """Yield the pointers and namespace properties that name an old place now. Quick: reads catalogs only."""
        for catalog in self._catalogs.values():
            if isinstance(catalog, TwoCatalogs):
                yield from self._pointers_of(catalog.target)
                yield from self._pointers_of(
                    catalog.old, self._old_entries(catalog), moved_namespaces(self._plan, catalog)
                )
                yield from self._neighbours_of(catalog.target, catalog.neighbours_of_target())
                yield from self._neighbours_of(catalog.old, catalog.old.neighbours())
            else:
                yield from self._pointers_of(catalog)
                yield from self._neighbours_of(catalog, catalog.neighbours())

    def _old_entries(self, catalog: TwoCatalogs) -> frozenset[tuple[str, str]]:
        """(namespace, name) of the entries in an old catalog of tables that moved to another one."""
        entries = old_entries({catalog.name: catalog}, moved_metadata(self._plan, self._store))
        return frozenset((entry.table.namespace, entry.table.name) for entry in entries)

    def _pointers_of(
        self,
        catalog: Catalog,
        known: frozenset[tuple[str, str]] = frozenset(),
        namespaces: frozenset[str] = frozenset(),
    ) -> Iterator[Mention]:
        """``known``: the tables that may be in an old place; ``namespaces``: those that may name one."""
        for table in tables_of(catalog):
            may = (table.namespace, table.name) in known or self._may_be_there(catalog, table)
            if moved(self._layout, table.metadata_location) and not may:
                yield Mention(table.identifier, f"points to {table.metadata_location}")
        for namespace, key, value in catalog.namespace_properties():
            if self._wave and (catalog.name, namespace, key) not in self._changed:
                continue  # its tables, or some of them, stay for a later wave
            if namespace not in namespaces and (uri := moved_in_text(self._layout, value)):
                yield Mention(f"{catalog.name}.{namespace}", f"has the property {key!r} with {uri}")

    def _neighbours_of(self, catalog: Catalog, neighbours: Iterable[Neighbour]) -> Iterator[Mention]:
        if not self._wave:
            yield from in_neighbours(self._layout, catalog, neighbours)

    def _may_be_there(self, catalog: Catalog, table: CatalogTable) -> bool:
        """True for a table that was left on purpose, and for a moved table in its old place if the catalog's pointers
        are objects: they are deleted like other objects, if they are the planned ones."""
        if self._stays(self._planned.get((catalog.name, table.namespace, table.name))):
            return True
        return not catalog.stores_pointers and self._moved_with_the_plan(table.metadata_location)

    def _moved_with_the_plan(self, uri: str) -> bool:
        at = object_named(self._plan, uri)
        return at is not None and at.action != SKIP

    # -- tables ----------------------------------------------------------------------------------------

    def _files_of_tables(self) -> Iterator[Mention]:
        """Read every table that the verification does not: those that stay in the old buckets must keep their files,
        and no other one may name an old place."""
        for name, location, stays in self._unverified():
            try:
                for path, file in self._paths.of(location):
                    if self._is_deleted(path):
                        yield Mention(name, f"needs {path}, which would be deleted ({file} names it)")
                        break
                    if not stays and moved(self._layout, path):
                        yield Mention(name, f"names {path} ({file})")
                        break
            except Unreachable:
                raise
            except (Unreadable, StoreError) as error:
                yield Mention(name, f"cannot be read, so what it names is not known: {error}", NOT_COMPARED)

    def _unverified(self) -> Iterator[tuple[str, str, bool]]:
        """(name, metadata location, whether it stays in an old bucket on purpose) of the tables to read."""
        for catalog in self._catalogs.values():
            for table in tables_of(catalog):
                at = Location.parse(table.metadata_location)
                planned = self._planned.get((catalog.name, table.namespace, table.name))
                verified = planned is not None and planned.new_metadata is not None
                if at is None or (verified and at.bucket == self._layout.target_bucket):
                    continue
                stays = at.bucket in self._layout.buckets
                if not stays or not moved(self._layout, table.metadata_location):
                    yield table.identifier, table.metadata_location, stays
                elif self._stays(planned):
                    yield table.identifier, table.metadata_location, True
            for neighbour in catalog.neighbours():
                at = Location.parse(neighbour.metadata_location)
                if neighbour.reason and "metadata.json" not in neighbour.metadata_location:
                    continue  # the folder of a table that is not Iceberg's
                ours = at is not None and at.bucket in (self._layout.target_bucket, *self._layout.buckets)
                stays = self._wave or not moved(self._layout, neighbour.metadata_location)
                if at is not None and ours and stays:
                    name = f"{neighbour.catalog}.{neighbour.namespace}.{neighbour.name}"
                    yield name, neighbour.metadata_location, at.bucket in self._layout.buckets

    def _stays(self, planned: PlannedTable | None) -> bool:
        """True for a table that may stay in an old bucket: it was left out, or is not part of this wave. A table that
        the plan does not know came after planning; it is not part of the wave, either."""
        return self._wave if planned is None else planned.stays

    def _is_deleted(self, path: str) -> bool:
        at = Location.parse(path)
        places = dict.fromkeys((at, at.collapsed)) if at else {}
        query = f"SELECT 1 FROM objects JOIN {RETIRABLE} USING (id) WHERE bucket = ? AND key = ?"
        return any(self._plan.db.execute(query, (place.bucket, place.key)).fetchone() for place in places)

    def _texts_of_tables(self) -> Iterator[Mention]:
        """Read the properties of tables and the SQL of views at the target, where they are now."""
        for table in self._plan.tables():
            location = table.new_metadata
            if location is None:
                continue
            if table.catalog is not None and self._catalogs[table.catalog].stores_pointers:
                location = self._catalogs[table.catalog].current(table.namespace, table.name) or location
            try:
                yield from in_texts(self._layout, table.identifier, self._paths.read(location), location)
            except (NotFound, Unreadable) as error:
                yield Mention(table.identifier, f"cannot be read at the target: {error}", NOT_COMPARED)

    # -- other files -----------------------------------------------------------------------------------

    def _carriers(self) -> Iterator[Mention]:
        """Logs, checkpoints and manifests: as the plan found them, and their copies as they are now."""
        for finding in self._plan.findings():
            if finding.code in CARRIERS and finding.severity != INFO:
                yield Mention(finding.place, finding.message, finding.code)
        rows = self._plan.db.execute(_CARRIERS, (self._layout.target_bucket,)).fetchall()
        yield from in_carriers(rows, self._store, self._layout)

    def _scripts(self) -> Iterator[Mention]:
        bucket = self._layout.target_bucket
        keys = [(bucket, key) for (key,) in self._plan.db.execute(_SCRIPTS)]

        def first_uri(_: object, data: bytes) -> str:
            return moved_in_text(self._layout, data.decode("utf-8", "replace"))

        for outcome in read_scripts(self._store, keys, first_uri):
            place = f"s3://{bucket}/{outcome.item[1]}"
            if isinstance(outcome, Failed):
                yield Mention(place, f"cannot be read: {outcome.error}", NOT_COMPARED)
            elif outcome.result:
                yield Mention(place, f"names {outcome.result}", SCRIPTS)


def by_code(mentions: Iterable[Mention]) -> dict[str, list[str]]:
    """Code → the mentions that can be accepted with it; "" for those that cannot."""
    found: dict[str, list[str]] = {}
    for mention in mentions:
        found.setdefault(mention.code, []).append(f"{mention.place} {mention.message}")
    return found
