"""Checks the catalogs and the tables: what they point to, where the tables lie, and which old paths their files
name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from migrator.catalogs import Catalog, CatalogTable, properties_of
from migrator.catalogs.base import Neighbour
from migrator.catalogs.two_catalogs import TwoCatalogs
from migrator.checking.old_names import Mention, in_neighbours, in_texts, moved, moved_in_text, tables_of
from migrator.checking.seen import Seen
from migrator.checking.structure import LAYER, WAREHOUSE, Structure
from migrator.checking.table_paths import TablePaths
from migrator.checking.watch import LakeTable, Watch
from migrator.concurrency.threads import Failed, run_in_threads
from migrator.errors import MigratorError, NotFound, Unreachable
from migrator.findings import INFO, Finding
from migrator.iceberg.metadata import read_metadata
from migrator.iceberg.views import is_view_metadata, read_view
from migrator.inventory.tables import is_named
from migrator.layout import Layout, Location
from migrator.layout.recorded import is_s3
from migrator.progress import Progress
from migrator.store import Store

MIGRATE = 'Run "migrator plan" to move it. If it was moved before, an old entry was restored: point it to the target.'
WORKERS = 4
"""How many tables are read at once. It is low, because the manifests of each are read in threads, too."""
REPAIR = 'Run "migrator repair" with the plan that moved the table, or rewrite these files with an engine.'


def names_old(layout: Layout, path: str) -> bool:
    """True for a path to something that the layout moves, in S3 or in another file system."""
    return moved(layout, path) or (not is_s3(path) and layout.map_uri(path) is not None)


def not_checked(place: str, error: MigratorError) -> Finding:
    """The finding about something that could not be read."""
    return Finding.of("not-checked", place, f"cannot be read: {error.message}", error.next_move)


def old_warehouses(layout: Layout, catalogs: Mapping[str, Mapping[str, str]]) -> Iterator[Finding]:
    """The catalogs whose warehouse, as pyiceberg's own configuration has it, is in an old bucket: programs that use it
    make new tables there. ``catalogs``: the properties in lake.toml, which may still name an old warehouse."""
    for name, given in catalogs.items():
        warehouse = "" if "warehouse" in given else str(properties_of(name, given or None).get("warehouse", ""))
        if names_old(layout, warehouse):
            message = f"has the warehouse {warehouse} in pyiceberg's configuration; new tables are made there"
            move = f"Set it to {layout.map_uri(warehouse) or 'its new place'}."
            yield Finding.of("old-warehouse", f"catalog {name}", message, move)


class TableCheck:
    """Checks the catalogs, then the tables in the target. ``leave``: names of tables that stay where they are.
    ``watch`` gets everything that is read."""

    def __init__(
        self, store: Store, layout: Layout, structure: Structure, seen: Seen, leave: Iterable[str], watch: Watch
    ) -> None:
        self._watch = watch
        self._layout, self._structure, self._seen, self._leave = layout, structure, seen, tuple(leave)
        self._paths = TablePaths(store, summaries=False)
        self._one_server = store.ends[0] is store.ends[1]
        """False if there are two servers: then the old one, and the warehouse of a Hadoop catalog on it, may not exist
        any more."""
        self._tables: list[LakeTable] = []
        self.read = 0
        """How many tables of the target were read."""

    # -- catalogs --------------------------------------------------------------------------------------

    def catalogs(self, catalogs: Mapping[str, Catalog], progress: Progress) -> Iterator[Finding]:
        """What the catalogs and their neighbours name. A catalog that does not answer is a finding. Raises Unreachable
        if the server of the lake does not answer, and the target is not on another one."""
        with progress.stage("reading catalogs", objects=len(catalogs), unit="catalogs") as stage:
            for catalog in catalogs.values():
                try:
                    yield from self._all_of(catalog)
                    self._watch.catalog(catalog.name, None)
                except MigratorError as error:
                    if isinstance(error, Unreachable) and self._one_server:
                        raise
                    self._watch.catalog(catalog.name, error)
                    yield not_checked(f"catalog {catalog.name}", error)
                stage.advance(1)

    def _all_of(self, catalog: Catalog) -> Iterator[Finding]:
        if isinstance(catalog, TwoCatalogs):
            yield from self._old_of(catalog)
            yield from self._named_by(catalog.target)
            yield from self._beside(catalog.target, catalog.neighbours_of_target())
            yield from self._beside(catalog.old, catalog.old.neighbours())
        else:
            yield from self._named_by(catalog)
            yield from self._beside(catalog, catalog.neighbours())

    def _named_by(self, catalog: Catalog) -> Iterator[Finding]:
        for table in tables_of(catalog):
            at = Location.parse(table.metadata_location)
            if at is not None and at.bucket == self._layout.target_bucket:
                own = (catalog, table.name)
                self._tables.append(LakeTable(table.identifier, table.namespace, table.metadata_location, own))
            elif names_old(self._layout, table.metadata_location):
                yield from self._old_pointer(catalog, table)
            elif not self._layout.stays(table.metadata_location):
                message = f"points to {table.metadata_location}, which is not in the lake"
                yield Finding.of("misplaced-table", table.identifier, message, severity=INFO)
        for namespace, key, value in catalog.namespace_properties():
            if uri := moved_in_text(self._layout, value):
                message = f"has the property {key!r} with {uri}"
                move = "Set it to the new place in the target."
                yield Finding.of("old-namespace", f"{catalog.name}.{namespace}", message, move)

    def _old_pointer(self, catalog: Catalog, table: CatalogTable) -> Iterator[Finding]:
        """The finding about a pointer to an old bucket. There is no finding for the old files of a moved Hadoop
        table."""
        if not catalog.stores_pointers and self._has_moved(table.metadata_location):
            return
        left = is_named(table.catalog, table.namespace, table.name, self._leave)
        message = f"points to {table.metadata_location}" + (", where it is left on purpose" if left else "")
        yield Finding.of(
            "old-pointer", table.identifier, message, "" if left else MIGRATE, severity=INFO if left else ""
        )

    def _has_moved(self, metadata: str) -> bool:
        new = Location.parse(self._layout.map_uri(metadata) or "")
        return new is not None and self._seen.has_below(new.key.rpartition("/")[0])

    def _old_of(self, catalog: TwoCatalogs) -> Iterator[Finding]:
        """The findings about an old catalog, which is only read: its entries of tables that are in the new catalog may
        stay."""
        there = {(table.namespace, table.name) for table, at in catalog.in_both() if catalog.is_in_target(at)}
        for table in tables_of(catalog.old):
            if not names_old(self._layout, table.metadata_location):
                continue
            if (table.namespace, table.name) not in there:
                yield from self._old_pointer(catalog.old, table)
                continue
            message = f"has an entry in the old catalog that points to {table.metadata_location}"
            move = '"migrator retire --remove-old-entries" removes it.'
            yield Finding.of("old-pointer", table.identifier, message, move, severity=INFO)

    def _beside(self, catalog: Catalog, neighbours: Iterable[Neighbour]) -> Iterator[Finding]:
        for mention in in_neighbours(self._layout, catalog, neighbours):
            yield _finding("old-pointer", mention, MIGRATE)

    # -- tables ----------------------------------------------------------------------------------------

    def tables(self, progress: Progress) -> Iterator[Finding]:
        """Read every table in the target: those of the catalogs, and those that only the listing shows. One that cannot
        be read is a finding. Raises Unreachable."""
        tables = [*self._tables, *self._in_no_catalog()]
        found: dict[LakeTable, list[Finding]] = {}
        with progress.stage("reading tables", objects=len(tables), unit="tables") as stage:
            for outcome in run_in_threads(lambda table: list(self._read(table)), tables, workers=WORKERS):
                stage.advance(1)
                if not isinstance(outcome, Failed):
                    self.read += 1
                    found[outcome.item] = outcome.result
                elif isinstance(outcome.error, Unreachable):
                    raise outcome.error
                else:
                    found[outcome.item] = self._failed(outcome.item, outcome.error)
        for table in tables:
            yield from found[table]

    def _failed(self, table: LakeTable, error: MigratorError) -> list[Finding]:
        """The findings about a table that could not be read. In a lake in use, the table may have new commits, or may
        have been dropped, since it was listed: then its present metadata is read."""
        try:
            if isinstance(error, NotFound):
                now = table.in_catalog and table.in_catalog[0].current(table.namespace, table.in_catalog[1])
                if not now:
                    return []
                if now != table.metadata:
                    found = list(self._read(replace(table, metadata=now)))
                    self.read += 1
                    return found
        except Unreachable:
            raise
        except MigratorError as again:
            error = again
        self._watch.unreadable(table, error)
        return [not_checked(table.name, error)]

    def _in_no_catalog(self) -> Iterator[LakeTable]:
        bucket = self._layout.target_bucket
        places = (Location.parse(table.metadata) for table in self._tables)
        claimed = {at.key.rpartition("/")[0] for at in places if at is not None}
        for folder, key in self._seen.newest_metadata().items():
            if folder not in claimed:
                uri = f"s3://{bucket}/{key}"
                yield LakeTable(uri, "", uri)

    def _read(self, table: LakeTable) -> Iterator[Finding]:
        watch = self._watch.table(table)
        data = self._paths.read(table.metadata)
        yield from self._misplaced(table, _location(data, table.metadata))
        named = ""
        for path, file in self._paths.of(table.metadata, watch):
            if names_old(self._layout, path):
                watch.old_path(path)
                if not named:
                    yield Finding.of("old-path", table.name, f"names {path} ({file})", REPAIR)
                named = named or path
                if not watch.whole:
                    break
        for mention in in_texts(self._layout, table.name, data, table.metadata):
            if not named or f"mentions {named} " not in mention.message:
                yield _finding(mention.code, mention, "Change it yourself if something uses it as a path.")
        watch.done()

    def _misplaced(self, table: LakeTable, location: str) -> Iterator[Finding]:
        """The finding about a table whose location is neither in a warehouse nor in its layer."""
        at = Location.parse(location)
        if names_old(self._layout, location) or self._layout.stays(location) or self._structure.whole:
            return
        if at is None or at.bucket != self._layout.target_bucket:
            message = f"has the location {location}, which is not in the lake"
            yield Finding.of("misplaced-table", table.name, message, severity=INFO)
            return
        folder = self._structure.folder_of(at.key)
        layers = {folder.layer for folder in self._structure.folders if folder.kind == LAYER}
        own = layers.intersection(table.namespace.split("."))
        if folder is None or folder.kind not in (WAREHOUSE, LAYER):
            where = f"outside of {self._structure.first_of_kind(WAREHOUSE) or 'a warehouse'}/ and of every layer"
        elif folder.kind == LAYER and own and folder.layer not in own:
            where = f"in {folder.name}/, and its namespace is that of another layer"
        else:
            return
        move = 'Move it with an engine, or with "migrator relocate".'
        yield Finding.of("misplaced-table", table.name, f"has the location {location}, {where}", move)


def _location(data: bytes, place: str) -> str:
    if is_view_metadata(data, place):
        return read_view(data, place).location
    return read_metadata(data, place).location


def _finding(code: str, mention: Mention, move: str) -> Finding:
    return Finding.of(code, mention.place, mention.message, move)
